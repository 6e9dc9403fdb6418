/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader and the runner of TensorFlow Lite files under random input.
 * Built with -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target;
 * alone it runs a small good network, then mutations of its file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tflite_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int ran; /* networks */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_tflite_run *r;
    struct ov_tflite t;
    struct ov_err err;
    float *x;
    int i;

    if (ov_tflite_parse(&t, data, n, "fuzz", &err) != OV_OK)
        return 0;
    for (i = 0; i < t.graphs; i++)
        if (ov_tflite_run_open(&r, &t, i, &err) == OV_OK) {
            x = calloc((size_t)ov_tflite_run_in(r) + 1, sizeof *x);
            if (x != NULL)
                ov_tflite_run_step(r, x);
            ran++;
            free(x);
            ov_tflite_run_close(r);
        }
    ov_tflite_close(&t);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

/* A FlatBuffer, written front to back: every field takes four bytes. */
static struct {
    uint8_t p[8192];
    size_t n;
} b;

static void
put(size_t at, uint32_t v, int bytes)
{
    int i;

    for (i = 0; i < bytes; i++)
        b.p[at + (size_t)i] = (uint8_t)(v >> 8 * i);
}

static size_t
add(uint32_t v, int bytes)
{
    put(b.n, v, bytes);
    b.n += (size_t)bytes;
    return b.n - (size_t)bytes;
}

/* A table of n fields; mask: those that are there.  Its place. */
static size_t
table(int n, unsigned mask)
{
    size_t at;
    int i;

    add((uint32_t)(4 + 2 * n), 2);
    add((uint32_t)(4 + 4 * n), 2);
    for (i = 0; i < n; i++)
        add(mask >> i & 1 ? (uint32_t)(4 + 4 * i) : 0, 2);
    at = add((uint32_t)(4 + 2 * n), 4);
    for (i = 0; i < n; i++)
        add(0, 4);
    return at;
}

static void
set(size_t t, int field, uint32_t v)
{
    put(t + 4 + 4 * (size_t)field, v, 4);
}

/* Let what is at place at point to here. */
static void
point(size_t at)
{
    put(at, (uint32_t)(b.n - at), 4);
}

static size_t
begin_vector(size_t t, int field, uint32_t n)
{
    point(t + 4 + 4 * (size_t)field);
    return add(n, 4) + 4;
}

static void
ints(size_t t, int field, int n, const int32_t *v)
{
    int i;

    begin_vector(t, field, (uint32_t)n);
    for (i = 0; i < n; i++)
        add((uint32_t)v[i], 4);
}

static uint32_t
bits(float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof v);
    return v;
}

struct made_tensor {
    int n;
    int32_t shape[4];
    int type, buffer;
    float scale; /* 0: not quantised */
    int zero;
};

struct made_op {
    int code;
    int in_n;
    int32_t in[4];
    int out_n;
    int32_t out[2];
    uint32_t option[7]; /* fields of its options */
};

static void
make_tensor(const struct made_tensor *m)
{
    size_t t = table(5, m->scale != 0 ? 31 : 15), q;

    ints(t, 0, m->n, m->shape);
    set(t, 1, (uint32_t)m->type);
    set(t, 2, (uint32_t)m->buffer);
    begin_vector(t, 3, 1);
    add('t', 4);
    if (m->scale == 0)
        return;
    point(t + 4 + 16);
    /* a table is what is pointed to, its vtable is before it */
    q = table(4, 12);
    put(t + 4 + 16, (uint32_t)(q - (t + 4 + 16)), 4);
    begin_vector(q, 2, 1);
    add(bits(m->scale), 4);
    begin_vector(q, 3, 1);
    add((uint32_t)m->zero, 4);
    add(m->zero < 0 ? 0xffffffff : 0, 4);
}

static void
make_op(const struct made_op *m, uint32_t code)
{
    size_t t = table(5, 31), o;
    int i;

    set(t, 0, code);
    ints(t, 1, m->in_n, m->in);
    ints(t, 2, m->out_n, m->out);
    o = table(7, m->code == OV_TFLITE_VAR_HANDLE ? 2 : 127);
    put(t + 4 + 16, (uint32_t)(o - (t + 4 + 16)), 4);
    for (i = 0; i < 7; i++)
        set(o, i, m->option[i]);
    if (m->code == OV_TFLITE_VAR_HANDLE) {
        begin_vector(o, 1, 1);
        add('v', 4);
    }
}

/* Entry i of a vector of offsets is a table that begins here. */
static size_t
entry(size_t vector, int i, size_t vtable)
{
    size_t at = vector + 4 * (size_t)i;

    put(at, (uint32_t)(b.n + vtable - at), 4);
    return at;
}

/* x [1,4,1,2] joined behind the last two rows, convolved (kernel 3) and, in
 * 8 bits, once more; leaky; the variable takes the last two rows. */
static const struct made_tensor TENSORS[] = {
    {2, {1, 8}, 0, 0, 0, 0},                       /* 0: input */
    {4, {1, 4, 1, 2}, 0, 0, 0, 0},                 /* 1: reshaped */
    {0, {0}, OV_TFLITE_RESOURCE, 0, 0, 0},         /* 2: handle */
    {4, {1, 2, 1, 2}, 0, 0, 0, 0},                 /* 3: read */
    {4, {1, 6, 1, 2}, 0, 0, 0, 0},                 /* 4: joined */
    {4, {3, 3, 1, 2}, 0, 1, 0, 0},                 /* 5: filters */
    {4, {1, 4, 1, 3}, 0, 0, 0, 0},                 /* 6: convolved */
    {4, {1, 4, 1, 3}, OV_TFLITE_I8, 0, 0.05f, 3},  /* 7: quantised */
    {4, {2, 1, 1, 3}, OV_TFLITE_I8, 2, 0.01f, 0},  /* 8: filters */
    {1, {2}, OV_TFLITE_I32, 3, 0.0005f, 0},        /* 9: bias */
    {4, {1, 4, 1, 2}, OV_TFLITE_I8, 0, 0.05f, -5}, /* 10: convolved */
    {4, {1, 4, 1, 2}, 0, 0, 0, 0},                 /* 11: real again */
    {4, {1, 4, 1, 2}, 0, 0, 0, 0},                 /* 12: leaky, output */
    {1, {4}, OV_TFLITE_I32, 4, 0, 0},              /* 13: begin */
    {1, {4}, OV_TFLITE_I32, 5, 0, 0},              /* 14: end */
    {1, {4}, OV_TFLITE_I32, 6, 0, 0},              /* 15: steps */
    {4, {1, 2, 1, 2}, 0, 0, 0, 0},                 /* 16: last rows */
    {1, {4}, OV_TFLITE_I32, 6, 0, 0}, /* 17: a shape, not looked at */
};

static struct made_op OPS[] = {
    {OV_TFLITE_VAR_HANDLE, 0, {0}, 1, {2}, {0}},
    {OV_TFLITE_RESHAPE, 2, {0, 17}, 1, {1}, {0}},
    {OV_TFLITE_READ_VARIABLE, 1, {2}, 1, {3}, {0}},
    {OV_TFLITE_CONCAT, 2, {3, 1}, 1, {4}, {1}},
    {OV_TFLITE_CONV, 2, {4, 5}, 1, {6}, {1, 1, 1, 0, 1, 1}},
    {OV_TFLITE_QUANTISE, 1, {6}, 1, {7}, {0}},
    {OV_TFLITE_CONV, 3, {7, 8, 9}, 1, {10}, {1, 1, 1, 0, 1, 1}},
    {OV_TFLITE_DEQUANTISE, 1, {10}, 1, {11}, {0}},
    {OV_TFLITE_LEAKY_RELU, 1, {11}, 1, {12}, {0x3e99999a}}, /* 0.3 */
    {OV_TFLITE_STRIDED_SLICE, 4, {4, 13, 14, 15}, 1, {16}, {13, 15}},
    {OV_TFLITE_ASSIGN_VARIABLE, 2, {2, 16}, 0, {0}, {0}},
};

enum {
    NT = sizeof TENSORS / sizeof *TENSORS,
    NO = sizeof OPS / sizeof *OPS,
    BUFFERS = 7
};

static const float FILTER[18] = {1,  0, 0, 1, 1,  -1, .5f, .5f, 0,
                                 -1, 1, 0, 2, -2, 0,  1,   0,   1};
static const signed char SMALL[6] = {100, -50, 7, 0, 127, -127};
static const int32_t BIAS[2] = {200, -300}, FROM[4] = {0, -2, 0, 0},
                     TO[4] = {0, 0, 0, 0}, STEP[4] = {1, 1, 1, 1};

static void
make_buffer(int i)
{
    size_t t = table(1, i > 0 ? 1 : 0), k;

    if (i == 0)
        return;
    k = begin_vector(t, 0, 0);
    if (i == 1)
        for (int j = 0; j < 18; j++)
            add(bits(FILTER[j]), 4);
    else if (i == 2)
        for (int j = 0; j < 6; j++)
            add((uint8_t)SMALL[j], 1);
    else
        for (int j = 0; j < (i == 3 ? 2 : 4); j++)
            add((uint32_t)(i == 3   ? BIAS
                           : i == 4 ? FROM
                           : i == 5 ? TO
                                    : STEP)[j],
                4);
    put(k - 4, (uint32_t)(b.n - k), 4);
    b.n += (4 - b.n % 4) % 4;
}

static void
make_file(void)
{
    static const int32_t in[1] = {0}, out[1] = {12};
    size_t root, codes, graphs, buffers, g, v, t;
    int i;

    b.n = 8;
    memcpy(b.p + 4, "TFL3", 4);
    root = table(5, 31);
    put(0, (uint32_t)root, 4);
    set(root, 0, 3);
    codes = begin_vector(root, 1, NO);
    b.n += 4 * NO;
    for (i = 0; i < NO; i++) {
        entry(codes, i, 4 + 2 * 4);
        t = table(4, 15);
        set(t, 0, (uint32_t)(OPS[i].code < 127 ? OPS[i].code : 127));
        set(t, 3, (uint32_t)OPS[i].code);
        point(t + 4 + 4); /* no custom code: an empty text */
        add(0, 4);
    }
    graphs = begin_vector(root, 2, 1);
    b.n += 4;
    entry(graphs, 0, 4 + 2 * 5);
    g = table(5, 15);
    v = begin_vector(g, 0, NT);
    b.n += 4 * NT;
    for (i = 0; i < NT; i++) {
        entry(v, i, 4 + 2 * 5);
        make_tensor(&TENSORS[i]);
    }
    ints(g, 1, 1, in);
    ints(g, 2, 1, out);
    v = begin_vector(g, 3, NO);
    b.n += 4 * NO;
    for (i = 0; i < NO; i++) {
        entry(v, i, 4 + 2 * 5);
        make_op(&OPS[i], (uint32_t)i);
    }
    point(root + 4 + 12); /* a description */
    add(0, 4);
    buffers = begin_vector(root, 4, BUFFERS);
    b.n += 4 * BUFFERS;
    for (i = 0; i < BUFFERS; i++) {
        entry(buffers, i, 4 + 2 * 1);
        make_buffer(i);
    }
}

/* The same by hand: the last two rows, then x; y [4, 2]. */
static void
by_hand(const float *before, const float *x, float *y)
{
    float in[12];
    int t, o, j, i;

    memcpy(in, before, 4 * sizeof *in);
    memcpy(in + 4, x, 8 * sizeof *in);
    for (t = 0; t < 4; t++) {
        int q[3];

        for (o = 0; o < 3; o++) {
            float s = 0;

            for (j = 0; j < 3; j++)
                for (i = 0; i < 2; i++)
                    s += FILTER[(o * 3 + j) * 2 + i] * in[(t + j) * 2 + i];
            s = rintf(s / 0.05f) + 3;
            q[o] = (int)(s > 127 ? 127 : s < -128 ? -128 : s);
        }
        for (o = 0; o < 2; o++) {
            int sum = BIAS[o];
            float s;

            for (j = 0; j < 3; j++)
                sum += (q[j] - 3) * SMALL[o * 3 + j];
            s = rintf((float)sum * (0.05f * 0.01f / 0.05f)) - 5;
            s = (s > 127 ? 127 : s < -128 ? -128 : s) + 5;
            s *= 0.05f;
            y[t * 2 + o] = s < 0 ? 0.3f * s : s;
        }
    }
}

static void
good(void)
{
    static const float x[16] = {1, .5f, -.3f, .2f, .7f, -1, .25f, .1f,
                                0, 2,   -1,   .4f, .6f, 1,  -.5f, .3f};
    float want[8], zero[4] = {0};
    struct ov_tflite_run *r;
    struct ov_tflite t;
    struct ov_err err = {0};
    const float *y;
    double far = 0;
    int i, step;

    if (!ok(ov_tflite_parse(&t, b.p, b.n, "made", &err) == OV_OK,
            "a file made by hand%s", err.text))
        return;
    ok(t.graphs == 1 && t.graph[0].tensors == NT && t.graph[0].ops == NO,
       "its tensors and operations");
    if (!ok(ov_tflite_run_open(&r, &t, 0, &err) == OV_OK, "it runs%s",
            err.text))
        return;
    for (step = 0; step < 2; step++) {
        y = ov_tflite_run_step(r, x + 8 * step);
        by_hand(step == 0 ? zero : x + 4, x + 8 * step, want);
        for (i = 0; i < 8; i++)
            far = fmax(far, fabs((double)y[i] - want[i]));
    }
    ok(far < 1e-6, "two steps, as by hand: %g", far);
    ov_tflite_run_reset(r);
    y = ov_tflite_run_step(r, x + 8);
    by_hand(zero, x + 8, want);
    ok(fabsf(y[0] - want[0]) < 1e-6f, "and from the start again");
    ov_tflite_run_close(r);
    ov_tflite_close(&t);
}

/* An input of CONCAT that is absent. */
static void
absent(void)
{
    struct ov_tflite_run *r;
    struct ov_tflite t;
    struct ov_err err = {0};
    int was = OPS[3].in[1];

    OPS[3].in[1] = -1;
    make_file();
    ok(ov_tflite_parse(&t, b.p, b.n, "made", &err) == OV_OK &&
           ov_tflite_run_open(&r, &t, 0, &err) == OV_EMODEL,
       "refused: %s", err.text);
    ov_tflite_close(&t);
    OPS[3].in[1] = was;
    make_file();
}

static const char *const words[] = {"TFL3", "\xff\xff\xff\xff", "\x01\0\0\x10",
                                    "\x7f\0\0\0", NULL};

int
main(void)
{
    static uint8_t p[8192];
    size_t n;
    int times = mutate_times(30000), i;

    make_file();
    good();
    absent();
    for (i = 0; i < times; i++) {
        memcpy(p, b.p, b.n);
        n = mutate(p, b.n, sizeof p, words);
        mutate_run(LLVMFuzzerTestOneInput, p, n);
    }
    ok(ran > times / 100, "%d mutations, %d of them ran", times, ran);
    for (n = 0; n < b.n; n++)
        mutate_run(LLVMFuzzerTestOneInput, b.p, n);
    ok(1, "every truncation");
    return tap_done();
}
#endif
