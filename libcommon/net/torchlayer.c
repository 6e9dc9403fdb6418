/* SPDX-License-Identifier: BSD-2-Clause */
/* The layers of torch.nn.Transformer.
 * In: rows [t, d], for a decoder also the encoder's rows.  Out: rows [t, d]. */
#include "net/torchlayer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/attend.h"
#include "math/ops.h"

/* binding ---------------------------------------------------------------- */

/* in_proj_weight: the three matrices one below the other. */
static void
bind_joined(struct ov_mha *a, struct ov_bind *b, int d, const char *name)
{
    struct ov_tensor *w, *bias;

    w = ov_bind_matrix(b, 3 * d, d, "%sin_proj_weight", name);
    bias = ov_bind_if(b, 3 * d, 1, "%sin_proj_bias", name);
    a->q.w = ov_bind_rows(b, w, 0, d);
    a->k.w = ov_bind_rows(b, w, d, d);
    a->v.w = ov_bind_rows(b, w, 2 * d, d);
    a->q.b = ov_bind_rows(b, bias, 0, d);
    a->k.b = ov_bind_rows(b, bias, d, d);
    a->v.b = ov_bind_rows(b, bias, 2 * d, d);
}

/* The same in three, where keys or values are of another width. */
static void
bind_parted(struct ov_mha *a, struct ov_bind *b, int d, const char *name)
{
    struct ov_tensor *bias;
    int k[2], v[2];

    ov_bind_shape(b, 2, k, "%sk_proj_weight", name);
    ov_bind_shape(b, 2, v, "%sv_proj_weight", name);
    a->q.w = ov_bind_matrix(b, d, d, "%sq_proj_weight", name);
    a->k.w = ov_bind_matrix(b, d, k[1], "%sk_proj_weight", name);
    a->v.w = ov_bind_matrix(b, d, v[1], "%sv_proj_weight", name);
    if (k[1] != v[1] && b->err.code == OV_OK)
        ov_err_set(&b->err, OV_EMODEL,
                   "%s: keys and values of different width are not supported",
                   name);
    bias = ov_bind_if(b, 3 * d, 1, "%sin_proj_bias", name);
    a->q.b = ov_bind_rows(b, bias, 0, d);
    a->k.b = ov_bind_rows(b, bias, d, d);
    a->v.b = ov_bind_rows(b, bias, 2 * d, d);
}

static void
bind_mha(struct ov_mha *a, struct ov_bind *b, int d, int heads,
         const char *name)
{
    memset(a, 0, sizeof *a);
    a->heads = heads;
    if (ov_bind_has(b, "%sbias_k", name) && b->err.code == OV_OK)
        ov_err_set(&b->err, OV_EMODEL, "%sbias_k is not supported", name);
    if (ov_bind_has(b, "%sin_proj_weight", name))
        bind_joined(a, b, d, name);
    else
        bind_parted(a, b, d, name);
    a->out.w = ov_bind_matrix(b, d, d, "%sout_proj.weight", name);
    a->out.b = ov_bind_if(b, d, 1, "%sout_proj.bias", name);
}

void
ov_norm_bind(struct ov_norm *n, struct ov_bind *b, int d, const char *name)
{
    n->w = ov_bind(b, 1, d, "%sweight", name);
    n->b = ov_bind_if(b, 1, d, "%sbias", name);
    if (n->b == NULL)
        n->b = ov_bind_new(b, 1, d);
}

void
ov_torch_layer_bind(struct ov_torch_layer *l, struct ov_bind *b,
                    const struct ov_torch_options *o, const char *name)
{
    char part[200];
    int up[2], i;

    memset(l, 0, sizeof *l);
    l->norm_first = o->norm_first;
    l->act = o->act;
    l->eps = o->eps > 0 ? o->eps : 1e-5f;
    snprintf(part, sizeof part, "%sself_attn.", name);
    bind_mha(&l->self, b, o->d, o->heads, part);
    if (o->decoder) {
        snprintf(part, sizeof part, "%smultihead_attn.", name);
        bind_mha(&l->cross, b, o->d, o->heads, part);
    }
    ov_bind_shape(b, 2, up, "%slinear1.weight", name);
    l->up.w = ov_bind_matrix(b, up[0], o->d, "%slinear1.weight", name);
    l->up.b = ov_bind_if(b, up[0], 1, "%slinear1.bias", name);
    l->down.w = ov_bind_matrix(b, o->d, up[0], "%slinear2.weight", name);
    l->down.b = ov_bind_if(b, o->d, 1, "%slinear2.bias", name);
    for (i = 0; i < (o->decoder ? 3 : 2); i++) {
        snprintf(part, sizeof part, "%snorm%d.", name, i + 1);
        ov_norm_bind(&l->norm[i], b, o->d, part);
    }
}

/* running ---------------------------------------------------------------- */

struct ov_tensor *
ov_norm_run(struct ov_graph *g, const struct ov_norm *n, struct ov_tensor *x,
            float eps)
{
    return ov_layernorm(g, x, n->w, n->b, eps);
}

/* What a and mask come to for t rows of queries and n of keys. */
static void
use_mask(struct ov_graph *g, struct ov_attend *a, const struct ov_mask *mask,
         int t, int n)
{
    size_t i, j, rows = (size_t)t, cols = (size_t)n;
    float *both;

    if (mask == NULL)
        return;
    a->causal = mask->causal;
    a->bias = mask->pair != NULL ? mask->pair : mask->key;
    a->bias_row = mask->pair != NULL ? cols : 0;
    if (mask->pair == NULL || mask->key == NULL)
        return;
    both = ov_graph_alloc(g, rows * cols * sizeof *both);
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            both[i * cols + j] = mask->pair[i * cols + j] + mask->key[j];
    a->bias = both;
}

/* ov_mha_run of norm(x), plus add; m NULL: of norm(x) to itself. */
static struct ov_tensor *
mha(struct ov_graph *g, const struct ov_mha *a, struct ov_tensor *x,
    struct ov_tensor *m, const struct ov_mask *mask,
    const struct ov_dense_how *how, const struct ov_tensor *add)
{
    struct ov_attend attend = {.heads = a->heads,
                               .kv_heads = a->heads,
                               .rounded = ov_dense_rounds(&a->q)};
    const struct ov_dense *const maps[] = {&a->q, &a->k, &a->v};
    const struct ov_dense_how plain = {.act = OV_ACT_NONE};
    const struct ov_dense_how out = {.add = add};
    struct ov_tensor *y[3];

    if (m == NULL)
        ov_dense_all(g, maps, 3, x, how, y);
    else {
        y[0] = ov_dense_with(g, &a->q, x, how);
        ov_dense_all(g, maps + 1, 2, m, &plain, y + 1);
    }
    attend.hd = y[0]->cols / a->heads;
    use_mask(g, &attend, mask, x->rows, y[1]->rows);
    return ov_dense_with(g, &a->out, ov_attend(g, &attend, y[0], y[1], y[2]),
                         &out);
}

struct ov_tensor *
ov_mha_run(struct ov_graph *g, const struct ov_mha *a, struct ov_tensor *x,
           struct ov_tensor *m, const struct ov_mask *mask)
{
    const struct ov_dense_how how = {.act = OV_ACT_NONE};

    return mha(g, a, x, m == x ? NULL : m, mask, &how, NULL);
}

/* Feed-forward of norm(x), plus x. */
static struct ov_tensor *
feed(struct ov_graph *g, const struct ov_torch_layer *l, struct ov_tensor *x,
     const struct ov_dense_how *how)
{
    struct ov_dense_how up = *how;
    const struct ov_dense_how down = {.add = x};

    up.act = l->act;
    return ov_dense_with(g, &l->down, ov_dense_with(g, &l->up, x, &up), &down);
}

struct ov_tensor *
ov_torch_layer_run(struct ov_graph *g, const struct ov_torch_layer *l,
                   struct ov_tensor *x, const struct ov_mask *mask,
                   struct ov_tensor *memory, const struct ov_mask *memory_mask)
{
    const struct ov_norm *norm = l->norm,
                         *last = &l->norm[l->cross.heads > 0 ? 2 : 1];
    struct ov_dense_how how[3] = {{.act = OV_ACT_NONE}};
    int i;

    for (i = 0; i < 3 && l->norm_first; i++)
        how[i] = (struct ov_dense_how){
            .norm_w = norm[i].w, .norm_b = norm[i].b, .eps = l->eps};
    x = mha(g, &l->self, x, NULL, mask, &how[0], x);
    if (!l->norm_first)
        x = ov_norm_run(g, &norm[0], x, l->eps);
    if (l->cross.heads > 0) {
        x = mha(g, &l->cross, x, memory, memory_mask, &how[1], x);
        if (!l->norm_first)
            x = ov_norm_run(g, &norm[1], x, l->eps);
    }
    x = feed(g, l, x, &how[last - norm]);
    return l->norm_first ? x : ov_norm_run(g, last, x, l->eps);
}

/* stacks ----------------------------------------------------------------- */

void
ov_torch_stack_bind(struct ov_torch_stack *s, struct ov_bind *b,
                    const struct ov_torch_options *o, const char *name)
{
    char part[200];
    int i;

    memset(s, 0, sizeof *s);
    s->eps = o->eps > 0 ? o->eps : 1e-5f;
    if (b->err.code != OV_OK)
        return;
    while (s->n < OV_TORCH_LAYERS &&
           ov_bind_has(b, "%slayers.%d.linear1.weight", name, s->n))
        s->n++;
    s->layers = calloc((size_t)s->n + 1, sizeof *s->layers);
    if (s->n == 0 || s->layers == NULL)
        ov_err_set(&b->err, s->n == 0 ? OV_EMODEL : OV_ERUN,
                   s->n == 0 ? "%slayers.0 is missing" : "%s: no memory", name);
    for (i = 0; s->layers != NULL && i < s->n; i++) {
        snprintf(part, sizeof part, "%slayers.%d.", name, i);
        ov_torch_layer_bind(&s->layers[i], b, o, part);
    }
    if (ov_bind_has(b, "%snorm.weight", name)) {
        snprintf(part, sizeof part, "%snorm.", name);
        ov_norm_bind(&s->norm, b, o->d, part);
    }
}

void
ov_torch_stack_free(struct ov_torch_stack *s)
{
    free(s->layers);
    memset(s, 0, sizeof *s);
}

struct ov_tensor *
ov_torch_stack_run(struct ov_graph *g, const struct ov_torch_stack *s,
                   struct ov_tensor *x, const struct ov_mask *mask,
                   struct ov_tensor *memory, const struct ov_mask *memory_mask)
{
    int i;

    for (i = 0; i < s->n; i++)
        x = ov_torch_layer_run(g, &s->layers[i], x, mask, memory, memory_mask);
    return s->norm.w != NULL ? ov_norm_run(g, &s->norm, x, s->eps) : x;
}
