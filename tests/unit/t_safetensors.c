/* SPDX-License-Identifier: BSD-2-Clause */
/* model/safetensors: what is written is read, what is damaged is refused.
 * In: nothing.  Out: TAP. */
#include "model/safetensors.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static char dir[] = "/tmp/t_safetensors.XXXXXX";
static char path[256];
static struct ov_err err;

static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* A file in memory: header text and data_n bytes 0, 1, 2...; malloc'd. */
static char *
build(const char *head, size_t data_n, size_t *n)
{
    size_t h = strlen(head), i;
    char *p = malloc(8 + h + data_n);

    if (p == NULL)
        abort();
    for (i = 0; i < 8; i++)
        p[i] = (char)((uint64_t)h >> 8 * i);
    memcpy(p + 8, head, h);
    for (i = 0; i < data_n; i++)
        p[8 + h + i] = (char)i;
    *n = 8 + h + data_n;
    return p;
}

/* What the parser says to it. */
static int
parse(const char *head, size_t data_n)
{
    struct ov_weights *w;
    size_t n;
    char *p = build(head, data_n, &n);
    int rc = ov_weights_parse(&w, p, n, "mem", &err);

    ov_weights_close(w);
    free(p);
    return rc;
}

#define ENTRY(dtype, shape, offsets)                                           \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void
test_strict(void)
{
    static const struct {
        const char *what, *head;
        size_t data;
        const char *fact;
    } t[] = {
        {"empty header", "", 0, "no header"},
        {"no object", "[]", 0, "no header"},
        {"broken JSON", "{\"a\":", 0, "line 1"},
        {"a name twice",
         "{\"a\":" ENTRY("U8", "[1]", "[0,1]") ",\"a\":" ENTRY("U8", "[1]",
                                                               "[1,2]") "}",
         2, "a second time"},
        {"unknown dtype", "{\"a\":" ENTRY("F33", "[1]", "[0,4]") "}", 4,
         "dtype"},
        {"dtype is a number",
         "{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,4]}}", 4,
         "dtype"},
        {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4,
         "is not"},
        {"an extra member",
         "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],"
         "\"x\":1}}",
         1, "is not"},
        {"negative dimension", "{\"a\":" ENTRY("F32", "[-1]", "[0,4]") "}", 4,
         "impossible"},
        {"fractional dimension", "{\"a\":" ENTRY("F32", "[1.0]", "[0,4]") "}",
         4, "integers"},
        {"product overflows",
         "{\"a\":" ENTRY("F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
         "impossible"},
        {"bytes overflow",
         "{\"a\":" ENTRY("F64", "[4611686018427387904]", "[0,0]") "}", 0,
         "impossible"},
        {"integer too big",
         "{\"a\":" ENTRY("F32", "[99999999999999999999]", "[0,0]") "}", 0,
         "beyond 64 bits"},
        {"nine dimensions",
         "{\"a\":" ENTRY("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1,
         "more than 8"},
        {"size and shape differ", "{\"a\":" ENTRY("F32", "[2]", "[0,4]") "}", 4,
         "do not fit"},
        {"end before begin", "{\"a\":" ENTRY("F32", "[1]", "[4,0]") "}", 4,
         "two offsets"},
        {"negative offset", "{\"a\":" ENTRY("F32", "[1]", "[-4,0]") "}", 4,
         "two offsets"},
        {"three offsets", "{\"a\":" ENTRY("F32", "[1]", "[0,4,8]") "}", 4,
         "two offsets"},
        {"past the end", "{\"a\":" ENTRY("F32", "[1]", "[0,4]") "}", 3,
         "cut short"},
        {"data left over", "{\"a\":" ENTRY("F32", "[1]", "[0,4]") "}", 5,
         "after the last"},
        {"hole at the start", "{\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8,
         "hole"},
        {"overlap",
         "{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]",
                                                                "[2,6]") "}",
         6, "overlaps"},
        {"metadata is a list", "{\"__metadata__\":[]}", 0, "not an object"},
        {"metadata holds a number", "{\"__metadata__\":{\"a\":1}}", 0,
         "not a string"},
        {"text after the header", "{}x", 0, "the end of the text"},
        {"a name with NUL", "{\"a\\u0000b\":" ENTRY("U8", "[1]", "[0,1]") "}",
         1, "\\u0000"},
        {"not UTF-8", "{\"a\xff\":" ENTRY("U8", "[1]", "[0,1]") "}", 1,
         "not UTF-8"},
    };
    size_t i;

    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        err.text[0] = '\0';
        ok(parse(t[i].head, t[i].data) == OV_EMODEL &&
               strstr(err.text, t[i].fact) != NULL,
           "refused: %s: %s", t[i].what, err.text);
    }
    ok(parse("{}", 0) == OV_OK, "no tensors at all");
    ok(parse("{}     ", 0) == OV_OK, "padding");
    ok(parse("{\"a\":" ENTRY("F32", "[]", "[0,4]") "}", 4) == OV_OK, "scalar");
    ok(parse("{\"b\":" ENTRY("F32", "[0,7]",
                             "[0,0]") ",\"a\":" ENTRY("U8", "[3]", "[0,3]") "}",
             3) == OV_OK,
       "an empty tensor beside another");
}

static void
test_lengths(void)
{
    char p[64] = {0};
    struct ov_weights *w;
    size_t n;

    for (n = 0; n < 8; n++)
        if (ov_weights_parse(&w, p, n, "mem", &err) != OV_EMODEL)
            break;
    ok(n == 8, "fewer than 8 bytes are refused");
    memset(p, 0xff, 8);
    ok(ov_weights_parse(&w, p, sizeof p, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "above") != NULL,
       "header length 2^64-1: %s", err.text);
    memset(p, 0, 8);
    p[0] = 57;
    ok(ov_weights_parse(&w, p, sizeof p, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "cut short") != NULL,
       "header longer than the file: %s", err.text);
}

static const float f32[6] = {0.f, -1.5f, 3.25f, 1e30f, -0.f, 7.f};
static const uint16_t f16[3] = {0x3c00, 0x0001, 0xfbff};
static const uint16_t bf16[2] = {0x3f80, 0xc000};
static const double f64[1] = {0.1};
static const int64_t i64[2] = {-1, INT64_MIN};
static const uint8_t u8[3] = {1, 2, 255};
static char n0[] = "enc.0.weight", n1[] = "half", n2[] = "brain", n3[] = "dbl",
            n4[] = "idx", n5[] = "z\"\\\n\xc3\xa9", n6[] = "none";
static const struct ov_array arrays[] = {
    {.name = n5, .dtype = OV_U8, .rank = 1, .shape = {3}, .data = u8},
    {.name = n0, .dtype = OV_F32, .rank = 2, .shape = {2, 3}, .data = f32},
    {.name = n1, .dtype = OV_F16, .rank = 1, .shape = {3}, .data = f16},
    {.name = n2, .dtype = OV_BF16, .rank = 3, .shape = {1, 2, 1}, .data = bf16},
    {.name = n3, .dtype = OV_F64, .rank = 0, .data = f64},
    {.name = n4, .dtype = OV_I64, .rank = 1, .shape = {2}, .data = i64},
    {.name = n6, .dtype = OV_F32, .rank = 2, .shape = {0, 4}, .data = NULL},
};
enum { N = sizeof arrays / sizeof arrays[0] };
static const char *const meta[][2] = {{"format", "ov"}, {"note", "a\tb"}};

static int
same(const struct ov_weights *w)
{
    const struct ov_array *a;
    struct ov_array b;
    uint64_t bytes;
    size_t i;

    if (ov_weights_count(w) != N || ov_weights_at(w, N) != NULL)
        return 0;
    for (i = 0; i < N; i++) {
        b = arrays[i];
        a = ov_weights_get(w, b.name);
        if (a == NULL || a->dtype != b.dtype || a->rank != b.rank ||
            memcmp(a->shape, b.shape, sizeof a->shape) != 0 ||
            !ov_array_measure(&b, &bytes) || a->count != b.count ||
            (bytes > 0 && memcmp(a->data, b.data, bytes) != 0))
            return 0;
    }
    return ov_weights_get(w, "") == NULL && ov_weights_get(w, "zz") == NULL &&
           strcmp(ov_weights_meta(w, "format"), "ov") == 0 &&
           strcmp(ov_weights_meta(w, "note"), "a\tb") == 0 &&
           ov_weights_meta(w, "x") == NULL;
}

/* The whole of a file; malloc'd. */
static char *
slurp(const char *name, size_t *n)
{
    FILE *f = fopen(at(name), "rb");
    char *p = malloc(1 << 20);

    if (f == NULL || p == NULL)
        abort();
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void
spill(const char *name, const char *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static void
test_round_trip(void)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors",
                                        "c.safetensors.zst"};
    struct ov_weights *w = NULL;
    char *p, *q;
    size_t i, n, m;

    for (i = 0; i < 3; i++) {
        ok(ov_weights_write(at(names[i]), arrays, N, meta, 2, i == 2 ? 19 : 0,
                            &err) == OV_OK,
           "write %s", names[i]);
        ok(ov_weights_open(&w, at(names[i]), &err) == OV_OK && same(w),
           "read it back");
        ov_weights_close(w);
    }
    p = slurp("a.safetensors", &n);
    q = slurp("b.safetensors", &m);
    ok(n == m && memcmp(p, q, n) == 0, "the same arrays, the same bytes");
    ok(((unsigned char)p[0] + 8) % 64 == 0 && p[8] == '{',
       "data begins at a multiple of 64");
    ok(access(at("a.safetensors.part"), F_OK) != 0, "no .part is left");
    free(p);
    free(q);
}

/* What is read where it lies begins with a line of its own, whatever else
 * there is. */
static void
test_lines(void)
{
    static char room[4 * 640];
    const struct ov_array some[] = {
        {.name = "a", .dtype = OV_F32, .rank = 1, .shape = {3}, .data = room},
        {.name = "b",
         .dtype = OV_U8,
         .rank = 2,
         .shape = {5, 128},
         .data = room},
        {.name = "c", .dtype = OV_BF16, .rank = 1, .shape = {7}, .data = room},
        {.name = "d", .dtype = OV_F32, .rank = 1, .shape = {160}, .data = room},
        {.name = "e",
         .dtype = OV_U8,
         .rank = 2,
         .shape = {1, 64},
         .data = room},
    };
    const struct ov_array *a;
    struct ov_weights *w = NULL;
    size_t i, n = 0;

    ok(ov_weights_write(at("lines"), some, 5, NULL, 0, 0, &err) == OV_OK &&
           ov_weights_open(&w, at("lines"), &err) == OV_OK,
       "whole lines and others");
    for (i = 1; i < 5; i++) {
        a = ov_weights_get(w, some[i].name);
        n += i != 2 && a != NULL && (uintptr_t)a->data % 64 == 0;
    }
    ok(n == 3, "arrays of whole lines begin with one: %zu of 3", n);
    ov_weights_close(w);
}

static void
test_truncation(const char *from, const char *to)
{
    struct ov_weights *w;
    size_t n, k;
    char *p = slurp(from, &n);

    for (k = 0; k < n; k++) {
        spill(to, p, k);
        if (ov_weights_open(&w, at(to), &err) != OV_EMODEL)
            break;
    }
    ok(k == n, "%s cut at each of its %zu bytes is refused", from, n);
    p[n] = ' ';
    spill(to, p, n + 1);
    ok(ov_weights_open(&w, at(to), &err) == OV_EMODEL,
       "%s with a byte more is refused: %s", from, err.text);
    free(p);
}

static void
test_flips(void)
{
    struct ov_weights *w;
    size_t n, k, refused = 0;
    char *p = slurp("c.safetensors.zst", &n);

    for (k = 0; k < n; k++) {
        p[k] ^= (char)(1 << k % 8);
        spill("d.zst", p, n);
        if (ov_weights_open(&w, at("d.zst"), &err) < 0)
            refused++;
        else
            refused += (size_t)same(w); /* a flip of no consequence */
        ov_weights_close(w);
        p[k] ^= (char)(1 << k % 8);
    }
    ok(refused == n,
       "a bit flipped in every byte of the packed file is noticed");
    free(p);
}

/* A file that unpacks to a thousand times its size is not refused for it. */
static void
test_bomb(void)
{
    struct ov_array big = {.name = n0, .rank = 1, .shape = {1 << 24}};
    struct ov_weights *w;
    float *zeros = calloc(1 << 24, sizeof *zeros);
    char *p;
    size_t n;

    big.data = zeros;
    if (zeros == NULL ||
        ov_weights_write(at("big.zst"), &big, 1, NULL, 0, 3, &err) < 0)
        abort();
    p = slurp("big.zst", &n);
    ok(n < 1 << 16, "64 MiB of zeros pack into %zu bytes", n);
    ok(ov_weights_open(&w, at("big.zst"), &err) == OV_OK &&
           ov_weights_at(w, 0)->count == 1 << 24,
       "and are read");
    ov_weights_close(w);
    free(p);
    free(zeros);
}

static void
test_write_refusals(void)
{
    struct ov_array a[2] = {arrays[1], arrays[1]};

    ok(ov_weights_write(at("x"), a, 2, NULL, 0, 0, &err) == OV_EUSAGE,
       "a name twice: %s", err.text);
    a[0].shape[0] = -2;
    ok(ov_weights_write(at("x"), a, 1, NULL, 0, 0, &err) == OV_EUSAGE,
       "a negative dimension: %s", err.text);
    a[0].rank = 9;
    ok(ov_weights_write(at("x"), a, 1, NULL, 0, 0, &err) == OV_EUSAGE,
       "rank 9: %s", err.text);
    ok(ov_weights_write(at("no/x"), arrays, N, NULL, 0, 0, &err) == OV_ERUN,
       "no such directory: %s", err.text);
    ok(ov_weights_write(at("x"), arrays, N, NULL, 0, 20, &err) == OV_EUSAGE,
       "level 20: %s", err.text);
    ok(access(at("x"), F_OK) != 0 && access(at("x.part"), F_OK) != 0,
       "nothing is left of them");
    if (access("/dev/full", W_OK) == 0) {
        ok(symlink("/dev/full", at("full.part")) == 0 &&
               ov_weights_write(at("full"), arrays, N, NULL, 0, 0, &err) ==
                   OV_ERUN,
           "a full disk: %s", err.text);
        ok(access(at("full"), F_OK) != 0 && access(at("full.part"), F_OK) != 0,
           "nothing is left of it");
    }
}

static void
test_open_refusals(void)
{
    struct ov_weights *w;

    ok(ov_weights_open(&w, at("none"), &err) == OV_EMODEL && w == NULL,
       "no such file: %s", err.text);
    ok(ov_weights_open(&w, at("none.zst"), &err) == OV_EMODEL && w == NULL,
       "no such packed file: %s", err.text);
    ok(ov_weights_open(&w, dir, &err) == OV_EMODEL, "a directory: %s",
       err.text);
    ok(mkfifo(at("fifo"), 0600) == 0 &&
           ov_weights_open(&w, at("fifo"), &err) == OV_EMODEL,
       "a pipe: %s", err.text);
}

/* Reference: the rounding written out in double precision. */
static int
half_is(uint16_t h, double x)
{
    double y = ov_f16_to_f32(h), up, down;

    if (!isfinite(y))
        return fabs(x) >= 65520;
    down = ov_f16_to_f32((uint16_t)((h & 0x7fff) == 0 ? h : h - 1));
    up = (h & 0x7fff) == 0x7bff ? copysign(65536, y)
                                : ov_f16_to_f32((uint16_t)(h + 1));
    if (fabs(x - y) > fabs(x - up) || fabs(x - y) > fabs(x - down))
        return 0;
    if (fabs(x - y) == fabs(x - up) ||
        ((h & 0x7fff) != 0 && fabs(x - y) == fabs(x - down)))
        return (h & 1) == 0;
    return 1;
}

static void
test_numbers(void)
{
    struct ov_weights *w = NULL;
    uint32_t u, seed = 1;
    float x, y[6];
    int i, bad;

    for (bad = 0, u = 0; u < 65536; u++) {
        x = ov_f16_to_f32((uint16_t)u);
        bad += isnan(x) ? !isnan(ov_f16_to_f32(ov_f32_to_f16(x)))
                        : ov_f32_to_f16(x) != u;
    }
    ok(bad == 0, "every half survives the way through float");
    for (bad = 0, u = 0; u < 65536; u++) {
        x = ov_bf16_to_f32((uint16_t)u);
        bad += isnan(x) ? !isnan(ov_bf16_to_f32(ov_f32_to_bf16(x)))
                        : ov_f32_to_bf16(x) != u;
    }
    ok(bad == 0, "every bfloat16 survives the way through float");
    for (bad = 0, i = 0; i < 1000000; i++) {
        seed = seed * 1664525 + 1013904223;
        u = seed ^ seed >> 15;
        u = (u & 0x87ffffff) + (101u << 23) + (u >> 3 & 0x08000000);
        memcpy(&x, &u, sizeof x);
        bad += !half_is(ov_f32_to_f16(x), x);
    }
    ok(bad == 0, "a million floats round to the nearest half, ties to even");
    ok(ov_f32_to_f16(65519.996f) == 0x7bff && ov_f32_to_f16(65520.f) == 0x7c00,
       "the largest half and the first infinity");
    ok(ov_f32_to_f16(0x1p-25f) == 0 && ov_f32_to_f16(0x1.000002p-25f) == 1 &&
           ov_f32_to_f16(0x1.8p-24f) == 2,
       "the smallest halves");
    ok(ov_f32_to_bf16(1.00390625f) == 0x3f80 &&
           ov_f32_to_bf16(1.01171875f) == 0x3f82 &&
           ov_f32_to_bf16(3.4e38f) == 0x7f80,
       "bfloat16 rounds to even and to infinity");
    ok(ov_weights_open(&w, at("a.safetensors"), &err) == OV_OK, "open");
    ok(ov_array_to_f32(ov_weights_get(w, "half"), y, &err) == OV_OK &&
           y[0] == 1.f && y[1] == 0x1p-24f && y[2] == -65504.f,
       "F16 to float");
    ok(ov_array_to_f32(ov_weights_get(w, "brain"), y, &err) == OV_OK &&
           y[0] == 1.f && y[1] == -2.f,
       "BF16 to float");
    ok(ov_array_to_f32(ov_weights_get(w, "dbl"), y, &err) == OV_OK &&
           y[0] == 0.1f,
       "F64 to float");
    ok(ov_array_to_f32(ov_weights_get(w, n0), y, &err) == OV_OK &&
           memcmp(y, f32, sizeof f32) == 0,
       "F32 to float");
    ok(ov_array_to_f32(ov_weights_get(w, "idx"), y, &err) == OV_EMODEL,
       "I64 to float is refused: %s", err.text);
    ov_weights_close(w);
}

int
main(void)
{
    char rm[300];

    if (mkdtemp(dir) == NULL)
        return 99;
    test_strict();
    test_lengths();
    test_round_trip();
    test_truncation("a.safetensors", "t.safetensors");
    test_truncation("c.safetensors.zst", "t.zst");
    test_flips();
    test_bomb();
    test_lines();
    test_write_refusals();
    test_open_refusals();
    test_numbers();
    snprintf(rm, sizeof rm, "rm -rf %s", dir);
    if (system(rm) != 0)
        diag("%s is left", dir);
    return tap_done();
}
