/* SPDX-License-Identifier: BSD-2-Clause */
/* TensorFlow Lite files: tensors and operations, read strictly.
 * In: bytes.  Out: graphs of operations over tensors.
 *
 * A FlatBuffer is tables that point at each other by offsets.  A table
 * begins with the distance to its vtable, which says where each field is, 0
 * where it is absent.  No offset is believed before it was compared with the
 * file's size. */
#include "model/tflite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1 << 17 };
static const size_t FILE_MAX = (size_t)1 << 30;

/* Where we are reading; the first mistake stays. */
struct reader {
    const unsigned char *p;
    size_t n;
    const char *bad; /* NULL: all well */
};

/* The number of bytes of a little-endian integer at place at. */
static uint32_t
get(struct reader *r, size_t at, int bytes)
{
    uint32_t v = 0;
    int i;

    if (at > r->n || (size_t)bytes > r->n - at) {
        r->bad = "an offset beyond the end";
        return 0;
    }
    for (i = bytes - 1; i >= 0; i--)
        v = v << 8 | r->p[at + (size_t)i];
    return v;
}

/* The place of field i of the table at t; 0: absent. */
static size_t
field(struct reader *r, size_t t, int i)
{
    int32_t back = (int32_t)get(r, t, 4);
    int64_t v = (int64_t)t - back;
    uint32_t size, off;

    if (r->bad != NULL)
        return 0;
    if (v < 0 || (size_t)v >= r->n) {
        r->bad = "a vtable outside of the file";
        return 0;
    }
    size = get(r, (size_t)v, 2);
    if (r->bad != NULL || 4 + 2 * (uint32_t)i + 2 > size)
        return 0;
    off = get(r, (size_t)v + 4 + 2 * (size_t)i, 2);
    if (r->bad != NULL || off == 0)
        return 0;
    return t + off;
}

/* What the offset at place at points to. */
static size_t
follow(struct reader *r, size_t at)
{
    uint32_t off = get(r, at, 4);

    if (r->bad == NULL && (off == 0 || off > r->n - at)) {
        r->bad = "an offset beyond the end";
        return 0;
    }
    return at + off;
}

/* Field i as a vector of elements of size bytes; absent: empty. */
static struct ov_tflite_list
vector(struct reader *r, size_t t, int i, size_t size)
{
    struct ov_tflite_list l = {NULL, 0};
    size_t at = field(r, t, i), v;
    uint32_t n;

    if (at == 0 || r->bad != NULL)
        return l;
    v = follow(r, at);
    n = get(r, v, 4);
    if (r->bad != NULL)
        return l;
    if (n > (r->n - v - 4) / size || n > INT32_MAX) {
        r->bad = "a vector beyond the end";
        return l;
    }
    l.p = r->p + v + 4;
    l.n = (int)n;
    return l;
}

static struct ov_tflite_text
text(struct reader *r, size_t t, int i)
{
    struct ov_tflite_list l = vector(r, t, i, 1);

    return (struct ov_tflite_text){(const char *)l.p, l.n};
}

/* Table i of a vector of tables. */
static size_t
table(struct reader *r, const struct ov_tflite_list *l, int i)
{
    return follow(r, (size_t)(l->p - r->p) + 4 * (size_t)i);
}

static uint32_t
number(struct reader *r, size_t t, int i, int bytes, uint32_t absent)
{
    size_t at = field(r, t, i);

    return at == 0 ? absent : get(r, at, bytes);
}

/* --- tensors --- */

static size_t
type_size(int type)
{
    switch (type) {
    case OV_TFLITE_F32:
    case OV_TFLITE_I32:
        return 4;
    case OV_TFLITE_BOOL:
    case OV_TFLITE_I8:
        return 1;
    default:
        return 0; /* no constants of these */
    }
}

static void
read_shape(struct reader *r, size_t t, struct ov_tflite_tensor *x)
{
    struct ov_tflite_list l = vector(r, t, 0, 4);
    int i;

    if (l.n > OV_TFLITE_RANK) {
        r->bad = "a tensor of too many dimensions";
        return;
    }
    x->rank = l.n;
    x->count = 1;
    for (i = 0; i < l.n; i++) {
        x->shape[i] = ov_tflite_int(&l, i);
        if (x->shape[i] < 0 || x->shape[i] > 1 << 28 ||
            (x->count > 0 && x->shape[i] > (1 << 28) / x->count)) {
            r->bad = "a tensor of an impossible shape";
            return;
        }
        x->count *= x->shape[i];
    }
}

static void
read_data(struct reader *r, const struct ov_tflite_list *buffers,
          uint32_t which, struct ov_tflite_tensor *x)
{
    struct ov_tflite_list d;
    size_t size = type_size(x->type);

    if (which >= (uint32_t)buffers->n) {
        if (which != 0)
            r->bad = "a buffer that is not there";
        return;
    }
    d = vector(r, table(r, buffers, (int)which), 0, 1);
    if (d.n == 0 || size == 0)
        return;
    if ((size_t)d.n != (size_t)x->count * size) {
        r->bad = "a constant that is not of its shape";
        return;
    }
    x->data = d.p;
}

static void
read_tensor(struct reader *r, size_t t, const struct ov_tflite_list *buffers,
            struct ov_tflite_tensor *x)
{
    size_t q;

    read_shape(r, t, x);
    x->type = (int)number(r, t, 1, 1, 0);
    x->name = text(r, t, 3);
    if (r->bad == NULL)
        read_data(r, buffers, number(r, t, 2, 4, 0), x);
    q = field(r, t, 4);
    if (q == 0 || r->bad != NULL)
        return;
    q = follow(r, q);
    x->scale = vector(r, q, 2, 4);
    x->zero = vector(r, q, 3, 8);
    if (r->bad == NULL && x->zero.n != 0 && x->zero.n != x->scale.n)
        r->bad = "scales and zeros that differ in number";
}

/* --- operations --- */

/* Every entry is a tensor of the graph; none: -1 is one as well. */
static void
check_list(struct reader *r, const struct ov_tflite_list *l, int tensors,
           bool none)
{
    int i;

    for (i = 0; i < l->n && r->bad == NULL; i++) {
        int v = ov_tflite_int(l, i);

        if (v >= tensors || v < (none ? -1 : 0))
            r->bad = "a tensor that is not there";
    }
}

static void
read_op(struct reader *r, size_t t, const struct ov_tflite_list *codes,
        int tensors, struct ov_tflite_op *op)
{
    uint32_t which = number(r, t, 0, 4, 0), old;
    size_t code, at;

    if (r->bad == NULL && which >= (uint32_t)codes->n)
        r->bad = "an operation code that is not there";
    if (r->bad != NULL)
        return;
    code = table(r, codes, (int)which);
    /* codes below 127 are in an old field of one byte */
    old = number(r, code, 0, 1, 0);
    op->code = (int)number(r, code, 3, 4, 0);
    op->code = op->code > (int)old ? op->code : (int)old;
    op->in = vector(r, t, 1, 4);
    op->out = vector(r, t, 2, 4);
    check_list(r, &op->in, tensors, true);
    check_list(r, &op->out, tensors, false);
    at = field(r, t, 4);
    if (at != 0 && r->bad == NULL)
        op->options = (uint32_t)follow(r, at);
}

static int
read_graph(struct reader *r, size_t t, const struct ov_tflite_list *codes,
           const struct ov_tflite_list *buffers, struct ov_tflite_graph *g,
           int *left)
{
    struct ov_tflite_list tensors = vector(r, t, 0, 4);
    struct ov_tflite_list ops = vector(r, t, 3, 4);
    int i;

    if (r->bad == NULL && (tensors.n > *left || ops.n > *left))
        r->bad = "too many tensors or operations";
    if (r->bad != NULL)
        return OV_OK;
    *left -= tensors.n > ops.n ? tensors.n : ops.n;
    g->tensor = calloc((size_t)tensors.n + 1, sizeof *g->tensor);
    g->op = calloc((size_t)ops.n + 1, sizeof *g->op);
    if (g->tensor == NULL || g->op == NULL)
        return OV_ERUN;
    g->tensors = tensors.n;
    g->ops = ops.n;
    g->name = text(r, t, 4);
    g->in = vector(r, t, 1, 4);
    g->out = vector(r, t, 2, 4);
    check_list(r, &g->in, g->tensors, false);
    check_list(r, &g->out, g->tensors, false);
    for (i = 0; i < tensors.n && r->bad == NULL; i++)
        read_tensor(r, table(r, &tensors, i), buffers, &g->tensor[i]);
    for (i = 0; i < ops.n && r->bad == NULL; i++)
        read_op(r, table(r, &ops, i), codes, g->tensors, &g->op[i]);
    return OV_OK;
}

static int
read_model(struct ov_tflite *t, struct reader *r)
{
    struct ov_tflite_list codes, graphs, buffers;
    size_t root;
    int i, left = MANY, rc = OV_OK;

    root = follow(r, 0);
    if (r->bad == NULL && memcmp(r->p + 4, "TFL3", 4) != 0)
        r->bad = "no TensorFlow Lite file of version 3";
    if (r->bad != NULL)
        return OV_OK;
    codes = vector(r, root, 1, 4);
    graphs = vector(r, root, 2, 4);
    buffers = vector(r, root, 4, 4);
    if (r->bad == NULL && (graphs.n < 1 || graphs.n > 1024))
        r->bad = "not 1 to 1024 graphs";
    if (r->bad != NULL)
        return OV_OK;
    t->graph = calloc((size_t)graphs.n, sizeof *t->graph);
    if (t->graph == NULL)
        return OV_ERUN;
    t->graphs = graphs.n;
    for (i = 0; i < graphs.n && r->bad == NULL && rc == OV_OK; i++)
        rc = read_graph(r, table(r, &graphs, i), &codes, &buffers, &t->graph[i],
                        &left);
    return rc;
}

int
ov_tflite_parse(struct ov_tflite *t, const void *bytes, size_t n,
                const char *name, struct ov_err *err)
{
    struct reader r = {bytes, n, NULL};
    int rc;

    *t = (struct ov_tflite){.bytes = (unsigned char *)(uintptr_t)bytes,
                            .size = n};
    if (n < 8)
        r.bad = "too short";
    rc = r.bad == NULL ? read_model(t, &r) : OV_OK;
    if (rc == OV_OK && r.bad == NULL)
        return OV_OK;
    ov_tflite_close(t);
    if (rc != OV_OK)
        return ov_err_set(err, rc, "%s: out of memory", name);
    return ov_err_set(err, OV_EMODEL, "%s: %s", name, r.bad);
}

int
ov_tflite_open(struct ov_tflite *t, const char *path, struct ov_err *err)
{
    FILE *f = fopen(path, "rb");
    unsigned char *p = NULL, *q;
    size_t n = 0, cap = 0, got;
    int rc;

    *t = (struct ov_tflite){0};
    if (f == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: cannot be opened", path);
    do {
        if (n == cap) {
            cap = cap ? 2 * cap : 1 << 20;
            q = cap <= FILE_MAX ? realloc(p, cap) : NULL;
            if (q == NULL) {
                free(p);
                fclose(f);
                return ov_err_set(err, OV_EMODEL, "%s: too large", path);
            }
            p = q;
        }
        got = fread(p + n, 1, cap - n, f);
        n += got;
    } while (got > 0);
    if (ferror(f)) {
        free(p);
        fclose(f);
        return ov_err_set(err, OV_EMODEL, "%s: read error", path);
    }
    fclose(f);
    rc = ov_tflite_parse(t, p, n, path, err);
    if (rc != OV_OK)
        free(p);
    else
        t->owned = true;
    return rc;
}

void
ov_tflite_close(struct ov_tflite *t)
{
    int i;

    for (i = 0; i < t->graphs; i++) {
        free(t->graph[i].tensor);
        free(t->graph[i].op);
    }
    free(t->graph);
    if (t->owned)
        free(t->bytes);
    *t = (struct ov_tflite){0};
}

int32_t
ov_tflite_int(const struct ov_tflite_list *l, int i)
{
    const unsigned char *p = l->p + 4 * (size_t)i;

    return (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
}

float
ov_tflite_float(const struct ov_tflite_list *l, int i)
{
    int32_t v = ov_tflite_int(l, i);
    float f;

    memcpy(&f, &v, sizeof f);
    return f;
}

int64_t
ov_tflite_long(const struct ov_tflite_list *l, int i)
{
    uint64_t v = 0;
    int j;

    for (j = 7; j >= 0; j--)
        v = v << 8 | l->p[8 * (size_t)i + (size_t)j];
    return (int64_t)v;
}

static uint32_t
option(const struct ov_tflite *t, const struct ov_tflite_op *op, int i,
       int bytes, uint32_t absent)
{
    struct reader r = {t->bytes, t->size, NULL};
    uint32_t v;

    if (op->options == 0)
        return absent;
    v = number(&r, op->options, i, bytes, absent);
    return r.bad != NULL ? absent : v;
}

int
ov_tflite_option_byte(const struct ov_tflite *t, const struct ov_tflite_op *op,
                      int i, int absent)
{
    return (int)option(t, op, i, 1, (uint32_t)absent);
}

int32_t
ov_tflite_option_int(const struct ov_tflite *t, const struct ov_tflite_op *op,
                     int i, int32_t absent)
{
    return (int32_t)option(t, op, i, 4, (uint32_t)absent);
}

float
ov_tflite_option_float(const struct ov_tflite *t, const struct ov_tflite_op *op,
                       int i, float absent)
{
    uint32_t v;
    float f;

    memcpy(&v, &absent, sizeof v);
    v = option(t, op, i, 4, v);
    memcpy(&f, &v, sizeof f);
    return f;
}

struct ov_tflite_text
ov_tflite_option_text(const struct ov_tflite *t, const struct ov_tflite_op *op,
                      int i)
{
    struct reader r = {t->bytes, t->size, NULL};
    struct ov_tflite_text s = {NULL, 0};

    if (op->options != 0)
        s = text(&r, op->options, i);
    return r.bad != NULL ? (struct ov_tflite_text){NULL, 0} : s;
}
