/* SPDX-License-Identifier: BSD-2-Clause */
/* A streaming TensorFlow Lite network, run as its file says.
 * In: a row of floats a step.  Out: a row of floats.
 *
 * A tensor is rows of its last dimension.  One of 8 bits holds its integers
 * as floats: products of integers below 2^24 are exact in float32, so that
 * convolutions run through the same product as all others. */
#include "net/tflite_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/conv1d.h"
#include "math/vec.h"

/* What a step may take: values of one tensor, of all, multiplications of one
 * operation. */
enum { ONE_MAX = 1 << 20, ALL_MAX = 1 << 23 };
static const double WORK_MAX = 4294967296.0;

struct value {
    int rows, cols;
    bool eight;        /* of 8 bits */
    float scale, zero; /* of 8 bits: real = (x - zero) * scale */
    bool known;        /* some operation before gives it */
    int variable;      /* a handle: which; -1: none */
    float *constant;   /* NULL: none */
    float *x;          /* in this step */
};

struct node {
    int code, in[4], n_in, out[8], n_out;
    struct ov_conv1d conv;
    float *factor; /* 8 bits: [out channels] products to output steps */
    float *bias;   /* 8 bits: [out channels], integers */
    float slope;
    bool across;    /* joins or splits columns, not rows */
    int from, rows; /* cut */
};

struct variable {
    struct ov_tflite_text name;
    int count; /* 0: not known yet */
    float *x, *first;
};

struct ov_tflite_run {
    const struct ov_tflite *t;
    const struct ov_tflite_graph *g;
    struct value *v;
    struct node *node;
    int nodes;
    struct variable *var;
    int vars;
    struct ov_graph *arena;
    int64_t total;     /* values of all that operations give */
    struct ov_err err; /* the first thing that went wrong */
};

/* --- values --- */

static int
refuse(struct ov_tflite_run *r, const char *what, int op)
{
    if (r->err.code == OV_OK)
        ov_err_set(&r->err, OV_EMODEL, "operation %d: %s", op, what);
    return OV_EMODEL;
}

static float *
floats(struct ov_tflite_run *r, size_t n)
{
    float *x = calloc(n + 1, sizeof *x);

    if (x == NULL && r->err.code == OV_OK)
        ov_err_set(&r->err, OV_ERUN, "out of memory");
    return x;
}

/* A constant as floats; 8 and 32 bits as their integers. */
static float *
widen(struct ov_tflite_run *r, const struct ov_tflite_tensor *t)
{
    struct ov_tflite_list l = {t->data, (int)t->count};
    float *x = floats(r, (size_t)t->count);
    int i;

    for (i = 0; x != NULL && i < l.n; i++)
        x[i] = t->type == OV_TFLITE_F32   ? ov_tflite_float(&l, i)
               : t->type == OV_TFLITE_I32 ? (float)ov_tflite_int(&l, i)
                                          : (float)(signed char)t->data[i];
    return x;
}

static void
make_value(struct ov_tflite_run *r, int i)
{
    const struct ov_tflite_tensor *t = &r->g->tensor[i];
    struct value *v = &r->v[i];

    v->variable = -1;
    v->cols = t->rank > 0 ? t->shape[t->rank - 1] : 1;
    v->rows = v->cols > 0 ? (int)(t->count / v->cols) : 0;
    v->eight = t->type == OV_TFLITE_I8;
    v->scale = t->scale.n > 0 ? ov_tflite_float(&t->scale, 0) : 1;
    v->zero = t->zero.n > 0 ? (float)ov_tflite_long(&t->zero, 0) : 0;
    if (t->data != NULL && (t->type == OV_TFLITE_F32 || v->eight)) {
        v->constant = widen(r, t);
        v->known = true;
    }
}

static float
real(const struct value *v, size_t i)
{
    return v->eight ? (v->x[i] - v->zero) * v->scale : v->x[i];
}

static float
step_of(const struct value *v, float x)
{
    float q = rintf(x) + v->zero;

    return q < -128 ? -128 : q > 127 ? 127 : q;
}

static void
put(struct value *v, size_t i, float x)
{
    v->x[i] = v->eight ? step_of(v, x / v->scale) : x;
}

/* --- building --- */

/* Count the values of tensor i, or of a variable. */
static void
account(struct ov_tflite_run *r, int64_t n, int op)
{
    r->total += n;
    if (n > ONE_MAX || r->total > ALL_MAX)
        refuse(r, "too many values", op);
}

static const struct ov_tflite_tensor *
tensor(const struct ov_tflite_run *r, int i)
{
    return &r->g->tensor[i];
}

/* Input i of an operation; NULL: absent. */
static const struct ov_tflite_tensor *
input(const struct ov_tflite_run *r, const struct node *n, int i)
{
    return i < n->n_in && n->in[i] >= 0 ? tensor(r, n->in[i]) : NULL;
}

/* The filters [out, k, 1, in], depthwise [1, k, 1, c], in PyTorch's order:
 * [out, in, k]; transposed: [in, out, k]. */
static void
turn_filters(const struct ov_conv1d *c, const float *w, float *to, bool dw)
{
    int in = dw ? 1 : c->in / c->groups, o, j, i;

    for (o = 0; o < c->out; o++)
        for (j = 0; j < c->k; j++)
            for (i = 0; i < in; i++) {
                size_t from = dw ? (size_t)j * c->out + o
                                 : ((size_t)o * c->k + j) * in + i;
                size_t at = c->transposed ? ((size_t)i * c->out + o) * c->k + j
                                          : ((size_t)o * in + i) * c->k + j;
                to[at] = w[from];
            }
}

/* 8 bits: what a product of integers is in steps of the output. */
static void
quantise_conv(struct ov_tflite_run *r, struct node *n, int op,
              const struct ov_tflite_tensor *w,
              const struct ov_tflite_tensor *b, const struct value *x,
              const struct value *y)
{
    int o;

    if (!x->eight || !y->eight || w->type != OV_TFLITE_I8 || w->scale.n < 1 ||
        (w->scale.n != 1 && w->scale.n != n->conv.out) ||
        (b != NULL && b->type != OV_TFLITE_I32) ||
        (double)n->conv.k * n->conv.in / n->conv.groups * 127 * 255 >=
            (1 << 24)) {
        refuse(r, "a quantised convolution of this form", op);
        return;
    }
    n->factor = floats(r, (size_t)n->conv.out);
    n->bias = b != NULL ? widen(r, b) : floats(r, (size_t)n->conv.out);
    for (o = 0; n->factor != NULL && o < n->conv.out; o++)
        n->factor[o] = x->scale *
                       ov_tflite_float(&w->scale, w->scale.n > 1 ? o : 0) /
                       y->scale;
}

/* Filters w, bias b (may be NULL), input x, output y. */
static void
build_conv(struct ov_tflite_run *r, struct node *n, int op,
           const struct ov_tflite_tensor *w, const struct ov_tflite_tensor *b,
           const struct value *x, const struct value *y, struct ov_conv1d sizes)
{
    bool dw = n->code == OV_TFLITE_DEPTHWISE;
    float *to, *raw, *bias = NULL;
    int64_t rows;

    if (w == NULL || w->data == NULL || w->rank != 4 || w->shape[2] != 1 ||
        w->count == 0 || x->cols < 1) {
        refuse(r, "filters that are not constant and of one column", op);
        return;
    }
    sizes.in = x->cols;
    sizes.k = w->shape[1];
    sizes.out = dw ? w->shape[3] : w->shape[0];
    sizes.groups = dw ? x->cols : x->cols / w->shape[3];
    if (!sizes.transposed && x->rows < ((int64_t)sizes.k - 1) * sizes.dil + 1) {
        refuse(r, "a convolution of too few rows", op);
        return;
    }
    rows = sizes.transposed
               ? ((int64_t)x->rows - 1) * sizes.stride + sizes.k
               : ((int64_t)x->rows - 1 - ((int64_t)sizes.k - 1) * sizes.dil) /
                         sizes.stride +
                     1;
    if (sizes.groups < 1 || (!dw && x->cols % w->shape[3] != 0) ||
        (dw && (w->shape[0] != 1 || sizes.out != sizes.in)) ||
        (sizes.transposed && sizes.groups != 1) || y->cols != sizes.out ||
        y->rows != rows || (double)x->rows * (double)w->count > WORK_MAX ||
        (b != NULL && (b->data == NULL || b->count != sizes.out))) {
        refuse(r, "shapes of a convolution that do not fit", op);
        return;
    }
    raw = widen(r, w);
    to = floats(r, (size_t)w->count);
    if (w->type != OV_TFLITE_I8 && b != NULL)
        bias = widen(r, b);
    if (raw != NULL && to != NULL && r->err.code == OV_OK) {
        turn_filters(&sizes, raw, to, dw);
        ov_conv1d_init(&n->conv, &sizes, to, bias, &r->err);
    }
    if (w->type == OV_TFLITE_I8 && r->err.code == OV_OK)
        quantise_conv(r, n, op, w, b, x, y);
    else if (x->eight || y->eight)
        refuse(r, "a convolution partly of 8 bits", op);
    free(raw);
    free(to);
    free(bias);
}

/* Options of the three kinds: padding VALID, no activation. */
static void
build_any_conv(struct ov_tflite_run *r, struct node *n, int op,
               const struct ov_tflite_op *o)
{
    bool up = n->code == OV_TFLITE_TRANSPOSE_CONV;
    bool dw = n->code == OV_TFLITE_DEPTHWISE;
    int data = up ? 2 : 0, act = dw ? 4 : 3;
    struct ov_conv1d sizes = {.dil = 1, .transposed = up};

    if (n->n_in < (up ? 3 : 2) || n->n_in > (up ? 4 : 3) || n->n_out != 1 ||
        n->in[data] < 0) {
        refuse(r, "a convolution of so many inputs", op);
        return;
    }
    if (ov_tflite_option_byte(r->t, o, 0, 0) != 1 ||
        ov_tflite_option_byte(r->t, o, act, 0) != 0 ||
        (dw && ov_tflite_option_int(r->t, o, 3, 0) != 1)) {
        refuse(r, "padding, activation or multiplier of a convolution", op);
        return;
    }
    sizes.stride = ov_tflite_option_int(r->t, o, 2, 1);
    if (!up)
        sizes.dil = ov_tflite_option_int(r->t, o, dw ? 6 : 5, 1);
    if (sizes.stride < 1 || sizes.stride > 4096 || sizes.dil < 1 ||
        sizes.dil > 4096) {
        refuse(r, "stride or dilation of a convolution", op);
        return;
    }
    build_conv(r, n, op, input(r, n, 1), input(r, n, up ? 3 : 2),
               &r->v[n->in[data]], &r->v[n->out[0]], sizes);
    n->in[0] = n->in[data];
    n->n_in = 1;
}

/* Which dimension: does axis cut columns (the last) or rows? */
static bool
is_across(struct ov_tflite_run *r, int op, int axis, int rank)
{
    int i = axis < 0 ? axis + rank : axis;

    if (i != rank - 1 && i != 1)
        refuse(r, "joining or cutting along this dimension", op);
    return i == rank - 1;
}

static void
build_concat(struct ov_tflite_run *r, struct node *n, int op,
             const struct ov_tflite_op *o)
{
    const struct value *y = &r->v[n->out[0]];
    int i, total = 0;

    n->across = is_across(r, op, ov_tflite_option_int(r->t, o, 0, 0),
                          tensor(r, n->out[0])->rank);
    for (i = 0; i < n->n_in; i++) {
        const struct value *x;

        if (n->in[i] < 0) {
            refuse(r, "joining what is absent", op);
            return;
        }
        x = &r->v[n->in[i]];
        total += n->across ? x->cols : x->rows;
        if (n->across ? x->rows != y->rows : x->cols != y->cols)
            refuse(r, "joining tensors that do not fit", op);
    }
    if (total != (n->across ? y->cols : y->rows) ||
        ov_tflite_option_byte(r->t, o, 1, 0) != 0)
        refuse(r, "joining tensors that do not fit", op);
}

static void
build_split(struct ov_tflite_run *r, struct node *n, int op)
{
    const struct ov_tflite_tensor *a = input(r, n, 0);
    const struct value *x;
    struct ov_tflite_list l;
    int i;

    if (n->n_in != 2 || a == NULL || a->data == NULL || a->count != 1 ||
        a->type != OV_TFLITE_I32 || n->in[1] < 0) {
        refuse(r, "cutting along a dimension that is not constant", op);
        return;
    }
    l = (struct ov_tflite_list){a->data, 1};
    n->across =
        is_across(r, op, ov_tflite_int(&l, 0), tensor(r, n->in[1])->rank);
    n->in[0] = n->in[1];
    n->n_in = 1;
    x = &r->v[n->in[0]];
    for (i = 0; i < n->n_out; i++) {
        const struct value *y = &r->v[n->out[i]];

        if (!n->across || y->rows != x->rows ||
            (int64_t)y->cols * n->n_out != x->cols)
            refuse(r, "cutting into parts that do not fit", op);
    }
}

/* Only rows are cut, in steps of 1. */
static void
build_slice(struct ov_tflite_run *r, struct node *n, int op,
            const struct ov_tflite_op *o)
{
    const struct value *x = &r->v[n->in[0]], *y = &r->v[n->out[0]];
    int rank = tensor(r, n->in[0])->rank, i, from, to, mask;
    struct ov_tflite_list l[3];

    for (i = 0; i < 3; i++) {
        const struct ov_tflite_tensor *c = input(r, n, i + 1);

        if (c == NULL || c->data == NULL || c->type != OV_TFLITE_I32 ||
            c->count != rank || rank < 3) {
            refuse(r, "cutting at places that are not constant", op);
            return;
        }
        l[i] = (struct ov_tflite_list){c->data, rank};
    }
    mask = ov_tflite_option_int(r->t, o, 0, 0);
    from = mask & 2 ? 0 : ov_tflite_int(&l[0], 1);
    for (i = 0; i < rank; i++)
        if (ov_tflite_int(&l[2], i) != 1 ||
            (i != 1 && (mask & 1 << i) == 0 && ov_tflite_int(&l[0], i) != 0))
            refuse(r, "cutting in steps or off other dimensions", op);
    mask = ov_tflite_option_int(r->t, o, 1, 0);
    to = mask & 2 ? x->rows : ov_tflite_int(&l[1], 1);
    from = from < 0 ? from + x->rows : from;
    to = to < 0 ? to + x->rows : to;
    for (i = 2; i < 5; i++)
        if (ov_tflite_option_int(r->t, o, i, 0) != 0)
            refuse(r, "cutting with other masks", op);
    if (from < 0 || to > x->rows || from > to || y->rows != to - from ||
        y->cols != x->cols)
        refuse(r, "cutting outside of the tensor", op);
    n->from = from;
    n->rows = to - from;
    n->n_in = 1;
}

/* Same name, same variable; -1: no more room. */
static int
find_variable(struct ov_tflite_run *r, const struct ov_tflite_op *o)
{
    struct ov_tflite_text s = ov_tflite_option_text(r->t, o, 1);
    int i;

    for (i = 0; i < r->vars; i++)
        if (r->var[i].name.n == s.n &&
            (s.n == 0 || memcmp(r->var[i].name.p, s.p, (size_t)s.n) == 0))
            return i;
    r->var[r->vars].name = s;
    return r->vars++;
}

/* Both sides of a variable have one size. */
static void
build_variable(struct ov_tflite_run *r, struct node *n, int op)
{
    bool reads = n->code == OV_TFLITE_READ_VARIABLE;
    int data = reads ? (n->n_out == 1 ? n->out[0] : -1)
                     : (n->n_in == 2 ? n->in[1] : -1);
    struct variable *v;
    int64_t count;

    if (data < 0 || n->n_in < 1 || n->in[0] < 0 ||
        r->v[n->in[0]].variable < 0 || r->v[data].eight) {
        refuse(r, "a variable of this form", op);
        return;
    }
    n->from = r->v[n->in[0]].variable;
    v = &r->var[n->from];
    count = (int64_t)r->v[data].rows * r->v[data].cols;
    account(r, count, op);
    if (r->err.code != OV_OK)
        return;
    if (v->x == NULL) {
        v->count = (int)count;
        v->x = floats(r, (size_t)count);
        v->first = floats(r, (size_t)count);
    }
    if (v->count != count)
        refuse(r, "a variable of two sizes", op);
    n->in[0] = data;
    n->n_in = reads ? 0 : 1;
}

static void
build_sum(struct ov_tflite_run *r, struct node *n, int op,
          const struct ov_tflite_op *o)
{
    const struct value *a, *b, *y = &r->v[n->out[0]];

    if (n->n_in != 2 || n->in[0] < 0 || n->in[1] < 0 ||
        ov_tflite_option_byte(r->t, o, 0, 0) != 0) {
        refuse(r, "a sum of this form", op);
        return;
    }
    a = &r->v[n->in[0]];
    b = &r->v[n->in[1]];
    if (a->rows != y->rows || a->cols != y->cols || b->cols != y->cols ||
        (b->rows != y->rows && b->rows != 1))
        refuse(r, "a sum of tensors that do not fit", op);
}

/* As many values in as out. */
static void
build_same(struct ov_tflite_run *r, struct node *n, int op)
{
    const struct value *x = &r->v[n->in[0]], *y = &r->v[n->out[0]];

    if ((int64_t)x->rows * x->cols != (int64_t)y->rows * y->cols)
        refuse(r, "another number of values", op);
    n->n_in = 1;
}

static bool
copy_lists(struct ov_tflite_run *r, struct node *n, int op,
           const struct ov_tflite_op *o)
{
    int i;

    if (o->in.n > 4 || o->out.n > 8) {
        refuse(r, "so many tensors", op);
        return false;
    }
    n->n_in = o->in.n;
    n->n_out = o->out.n;
    for (i = 0; i < n->n_in; i++)
        n->in[i] = ov_tflite_int(&o->in, i);
    for (i = 0; i < n->n_out; i++)
        n->out[i] = ov_tflite_int(&o->out, i);
    return true;
}

static void
build_one(struct ov_tflite_run *r, struct node *n, int op,
          const struct ov_tflite_op *o)
{
    switch (n->code) {
    case OV_TFLITE_CONV:
    case OV_TFLITE_DEPTHWISE:
    case OV_TFLITE_TRANSPOSE_CONV:
        build_any_conv(r, n, op, o);
        return;
    case OV_TFLITE_READ_VARIABLE:
    case OV_TFLITE_ASSIGN_VARIABLE:
        build_variable(r, n, op);
        return;
    case OV_TFLITE_SPLIT:
        build_split(r, n, op);
        return;
    default:
        break;
    }
    if (n->n_in < 1 || n->in[0] < 0 || n->n_out != 1) {
        refuse(r, "no input or not one output", op);
        return;
    }
    if (n->code == OV_TFLITE_CONCAT)
        build_concat(r, n, op, o);
    else if (n->code == OV_TFLITE_STRIDED_SLICE)
        build_slice(r, n, op, o);
    else if (n->code == OV_TFLITE_ADD || n->code == OV_TFLITE_SUB)
        build_sum(r, n, op, o);
    else
        build_same(r, n, op);
    if (n->code == OV_TFLITE_LEAKY_RELU)
        n->slope = ov_tflite_option_float(r->t, o, 0, 0);
}

static bool
supported(int code)
{
    static const int list[] = {
        OV_TFLITE_ADD,           OV_TFLITE_CONCAT,
        OV_TFLITE_CONV,          OV_TFLITE_DEPTHWISE,
        OV_TFLITE_DEQUANTISE,    OV_TFLITE_RESHAPE,
        OV_TFLITE_SUB,           OV_TFLITE_STRIDED_SLICE,
        OV_TFLITE_SPLIT,         OV_TFLITE_TRANSPOSE_CONV,
        OV_TFLITE_LEAKY_RELU,    OV_TFLITE_QUANTISE,
        OV_TFLITE_READ_VARIABLE, OV_TFLITE_ASSIGN_VARIABLE};
    size_t i;

    for (i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == code)
            return true;
    return false;
}

/* Every input is there before, every output is new. */
static void
check_order(struct ov_tflite_run *r, const struct node *n, int op)
{
    int i;

    for (i = 0; i < n->n_in; i++)
        if (n->in[i] < 0 || !r->v[n->in[i]].known)
            refuse(r, "an input that nothing gives", op);
    for (i = 0; i < n->n_out; i++) {
        if (r->v[n->out[i]].known)
            refuse(r, "an output that is there already", op);
        account(r, (int64_t)r->v[n->out[i]].rows * r->v[n->out[i]].cols, op);
        r->v[n->out[i]].known = true;
    }
}

static void
build(struct ov_tflite_run *r)
{
    int i;

    for (i = 0; i < r->g->ops && r->err.code == OV_OK; i++) {
        const struct ov_tflite_op *o = &r->g->op[i];
        struct node *n = &r->node[r->nodes];

        n->code = o->code;
        if (o->code == OV_TFLITE_CALL_ONCE)
            continue; /* sets variables: ov_tflite_run_open did */
        if (!copy_lists(r, n, i, o))
            return;
        if (o->code == OV_TFLITE_VAR_HANDLE) {
            if (n->n_out == 1)
                r->v[n->out[0]].variable = find_variable(r, o);
            continue;
        }
        if (!supported(o->code)) {
            ov_err_set(&r->err, OV_EMODEL,
                       "operation %d is of kind %d, which is not supported", i,
                       o->code);
            return;
        }
        r->nodes++;
        build_one(r, n, i, o);
        if (r->err.code == OV_OK)
            check_order(r, n, i);
    }
}

/* The first values of variables: graph which assigns constants to them. */
static void
read_first(struct ov_tflite_run *r, const struct ov_tflite_graph *g)
{
    int i, j, *handle = calloc((size_t)g->tensors + 1, sizeof *handle);

    for (i = 0; handle != NULL && i < g->ops; i++) {
        const struct ov_tflite_op *o = &g->op[i];
        const struct ov_tflite_tensor *c;
        struct variable *v;
        float *x;

        if (o->code == OV_TFLITE_VAR_HANDLE && o->out.n == 1)
            for (j = 0; j < r->vars; j++) {
                struct ov_tflite_text s = ov_tflite_option_text(r->t, o, 1);

                if (s.n == r->var[j].name.n &&
                    (s.n == 0 ||
                     memcmp(s.p, r->var[j].name.p, (size_t)s.n) == 0))
                    handle[ov_tflite_int(&o->out, 0)] = j + 1;
            }
        if (o->code != OV_TFLITE_ASSIGN_VARIABLE || o->in.n != 2 ||
            ov_tflite_int(&o->in, 0) < 0 || ov_tflite_int(&o->in, 1) < 0 ||
            (j = handle[ov_tflite_int(&o->in, 0)]) == 0)
            continue;
        v = &r->var[j - 1];
        c = &g->tensor[ov_tflite_int(&o->in, 1)];
        if (c->data == NULL || c->type != OV_TFLITE_F32 ||
            c->count != v->count || (x = widen(r, c)) == NULL)
            continue;
        memcpy(v->first, x, (size_t)v->count * sizeof *x);
        free(x);
    }
    free(handle);
}

static void
find_first(struct ov_tflite_run *r)
{
    int i, which;

    for (i = 0; i < r->g->ops; i++)
        if (r->g->op[i].code == OV_TFLITE_CALL_ONCE) {
            which = ov_tflite_option_int(r->t, &r->g->op[i], 0, 0);
            if (which >= 0 && which < r->t->graphs)
                read_first(r, &r->t->graph[which]);
        }
}

int
ov_tflite_run_open(struct ov_tflite_run **out, const struct ov_tflite *t,
                   int which, struct ov_err *err)
{
    struct ov_tflite_run *r = calloc(1, sizeof *r);
    int i, rc;

    *out = NULL;
    if (r == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r->t = t;
    r->g = &t->graph[which];
    r->v = calloc((size_t)r->g->tensors + 1, sizeof *r->v);
    r->node = calloc((size_t)r->g->ops + 1, sizeof *r->node);
    r->var = calloc((size_t)r->g->ops + 1, sizeof *r->var);
    r->arena = ov_graph_new_fast();
    if (r->v == NULL || r->node == NULL || r->var == NULL || r->arena == NULL)
        ov_err_set(&r->err, OV_ERUN, "out of memory");
    for (i = 0; i < r->g->tensors && r->err.code == OV_OK; i++)
        make_value(r, i);
    if (r->err.code == OV_OK && (r->g->in.n != 1 || r->g->out.n != 1))
        ov_err_set(&r->err, OV_EMODEL, "not one input and one output");
    if (r->err.code == OV_OK) {
        int in = ov_tflite_int(&r->g->in, 0);

        r->v[in].known = true;
        account(r, r->g->tensor[in].count, -1);
        build(r);
    }
    if (r->err.code == OV_OK && !r->v[ov_tflite_int(&r->g->out, 0)].known)
        ov_err_set(&r->err, OV_EMODEL, "nothing gives the output");
    if (r->err.code == OV_OK)
        find_first(r);
    rc = r->err.code;
    if (rc != OV_OK) {
        ov_err_set(err, rc, "%s", r->err.text);
        ov_tflite_run_close(r);
        return rc;
    }
    ov_tflite_run_reset(r);
    *out = r;
    return OV_OK;
}

void
ov_tflite_run_close(struct ov_tflite_run *r)
{
    int i;

    if (r == NULL)
        return;
    for (i = 0; r->v != NULL && i < r->g->tensors; i++)
        free(r->v[i].constant);
    for (i = 0; r->node != NULL && i < r->g->ops; i++) {
        ov_conv1d_free(&r->node[i].conv);
        free(r->node[i].factor);
        free(r->node[i].bias);
    }
    for (i = 0; r->var != NULL && i < r->vars; i++) {
        free(r->var[i].x);
        free(r->var[i].first);
    }
    free(r->v);
    free(r->node);
    free(r->var);
    ov_graph_free(r->arena);
    free(r);
}

int
ov_tflite_run_in(const struct ov_tflite_run *r)
{
    const struct value *v = &r->v[ov_tflite_int(&r->g->in, 0)];

    return v->rows * v->cols;
}

int
ov_tflite_run_out(const struct ov_tflite_run *r)
{
    const struct value *v = &r->v[ov_tflite_int(&r->g->out, 0)];

    return v->rows * v->cols;
}

void
ov_tflite_run_reset(struct ov_tflite_run *r)
{
    int i;

    for (i = 0; i < r->vars; i++)
        if (r->var[i].count > 0)
            memcpy(r->var[i].x, r->var[i].first,
                   (size_t)r->var[i].count * sizeof(float));
}

/* --- running --- */

static size_t
values(const struct value *v)
{
    return (size_t)v->rows * (size_t)v->cols;
}

static void
run_conv(struct ov_tflite_run *r, const struct node *n, const struct value *x,
         struct value *y)
{
    struct ov_tensor *t = ov_tensor_const(r->arena, x->x, x->rows, x->cols);
    size_t i, all;
    int o;

    if (x->eight) {
        t = ov_tensor_new(r->arena, x->rows, x->cols);
        all = values(x);
        for (i = 0; i < all; i++)
            t->x[i] = x->x[i] - x->zero;
    }
    t = n->conv.transposed
            ? ov_conv1d_up(r->arena, &n->conv, t, 0, 0)
            : ov_conv1d(r->arena, &n->conv, t, 0, 0, OV_PAD_ZERO);
    y->x = t->x;
    if (!y->eight)
        return;
    for (i = 0; i < (size_t)y->rows; i++)
        for (o = 0; o < y->cols; o++, t->x++)
            *t->x =
                step_of(y, (float)((double)*t->x + n->bias[o]) * n->factor[o]);
}

static void
run_concat(struct ov_tflite_run *r, const struct node *n, struct value *y)
{
    size_t at = 0, j, k;
    int i;

    for (i = 0; i < n->n_in; i++) {
        const struct value *x = &r->v[n->in[i]];

        for (j = 0; j < (size_t)x->rows; j++)
            for (k = 0; k < (size_t)x->cols; k++) {
                size_t to = n->across ? j * (size_t)y->cols + at + k
                                      : (at + j) * (size_t)y->cols + k;
                put(y, to, real(x, j * (size_t)x->cols + k));
            }
        at += (size_t)(n->across ? x->cols : x->rows);
    }
}

static void
run_split(struct ov_tflite_run *r, const struct node *n, const struct value *x)
{
    int i, j, k;

    for (i = 0; i < n->n_out; i++) {
        struct value *y = &r->v[n->out[i]];

        for (j = 0; j < y->rows; j++)
            for (k = 0; k < y->cols; k++)
                put(y, (size_t)j * y->cols + k,
                    real(x, (size_t)j * x->cols + (size_t)i * y->cols + k));
    }
}

static void
run_sum(struct ov_tflite_run *r, const struct node *n, struct value *y)
{
    const struct value *a = &r->v[n->in[0]], *b = &r->v[n->in[1]];
    float sign = n->code == OV_TFLITE_SUB ? -1 : 1;
    size_t all = values(y), period = values(b), i;

    for (i = 0; i < all; i++)
        put(y, i, real(a, i) + sign * real(b, i % period));
}

static void
run_each(const struct node *n, const struct value *x, struct value *y)
{
    size_t all = values(y), i,
           from = n->code == OV_TFLITE_STRIDED_SLICE
                      ? (size_t)n->from * (size_t)x->cols
                      : 0;
    float slope = n->code == OV_TFLITE_LEAKY_RELU ? n->slope : 1;

    for (i = 0; i < all; i++) {
        float v = real(x, from + i);

        put(y, i, v < 0 ? slope * v : v);
    }
}

static void
run_node(struct ov_tflite_run *r, const struct node *n)
{
    struct value *x = &r->v[n->in[0]], *y = &r->v[n->out[0]];
    int i;

    if (n->code == OV_TFLITE_ASSIGN_VARIABLE) {
        memcpy(r->var[n->from].x, x->x, values(x) * sizeof *x->x);
        return;
    }
    for (i = 0; i < n->n_out; i++)
        r->v[n->out[i]].x =
            ov_graph_alloc(r->arena, values(&r->v[n->out[i]]) * sizeof(float));
    if (n->code == OV_TFLITE_READ_VARIABLE)
        memcpy(y->x, r->var[n->from].x, values(y) * sizeof *y->x);
    else if (n->code == OV_TFLITE_CONV || n->code == OV_TFLITE_DEPTHWISE ||
             n->code == OV_TFLITE_TRANSPOSE_CONV)
        run_conv(r, n, x, y);
    else if (n->code == OV_TFLITE_CONCAT)
        run_concat(r, n, y);
    else if (n->code == OV_TFLITE_SPLIT)
        run_split(r, n, x);
    else if (n->code == OV_TFLITE_ADD || n->code == OV_TFLITE_SUB)
        run_sum(r, n, y);
    else
        run_each(n, x, y);
}

const float *
ov_tflite_run_step(struct ov_tflite_run *r, const float *x)
{
    int i;

    ov_graph_reset(r->arena);
    for (i = 0; i < r->g->tensors; i++)
        r->v[i].x = r->v[i].constant;
    r->v[ov_tflite_int(&r->g->in, 0)].x = (float *)(uintptr_t)x;
    for (i = 0; i < r->nodes; i++)
        run_node(r, &r->node[i]);
    return r->v[ov_tflite_int(&r->g->out, 0)].x;
}
