/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's eyes.
 * In: normalised pixels.  Out: rows for each patch, positions for the
 * transformer. */
#include "net/vision.h"

#include <math.h>
#include <string.h>

#include "math/route.h"
#include "net/load.h"

#define EPS ((ov_real)1e-5)

enum {
    REACH = 4, /* cells a side that a patch sees: its own 2, and 1 around */
    CELLS = REACH * REACH,
    NEAR = 3, /* neighbours: 3 x 3 */
    NEARS = NEAR * NEAR
};

/* Probabilities of names are made sharper: little is left of those that are
 * second best by far. */
#define SHARP ((ov_real)4)

int
ov_vision_config(struct ov_vision_config *c, const struct ov_config *file,
                 struct ov_err *err)
{
    const struct ov_want want[] = {
        {"vision.image", 8, 1024, &c->image},
        {"vision.patch", 2, 64, &c->patch},
        {"vision.stem", 8, 1024, &c->stem},
        {"vision.stem_layers", 0, OV_VISION_MAX_LAYERS, &c->stem_layers},
        {"vision.width", 16, 4096, &c->d},
        {"vision.heads", 1, 64, &c->heads},
        {"vision.hidden", 16, 16384, &c->ff},
        {"vision.layers", 1, OV_VISION_MAX_LAYERS, &c->layers},
        {"vision.adapter.hidden", 16, 16384, &c->adapter_h},
        {"voice.width", 16, 8192, &c->d_out},
    };
    const struct ov_want names = {"vision.names", 2, 65536, &c->names};
    int r;

    *c = (struct ov_vision_config){0};
    if (!ov_config_has(file, "vision"))
        return OV_OK;
    r = ov_config_want(file, want, sizeof want / sizeof *want, err);
    if (r == OV_OK && ov_config_has(file, "vision.names"))
        r = ov_config_want(file, &names, 1, err);
    if (r != OV_OK)
        return r;
    if (c->patch % 2 != 0 || c->image % (2 * c->patch) != 0)
        return ov_err_set(err, OV_EMODEL,
                          "config.json: an image of %d pixels is not cut into "
                          "pairs of patches of %d",
                          c->image, c->patch);
    if (ov_vision_rows(c) > 4096)
        return ov_err_set(err, OV_EMODEL, "config.json: %d patches an image",
                          ov_vision_rows(c));
    if (c->d % c->heads != 0)
        return ov_err_set(err, OV_EMODEL,
                          "config.json: vision.heads do not divide the width");
    return OV_OK;
}

int
ov_vision_rows(const struct ov_vision_config *c)
{
    return c->image / c->patch * (c->image / c->patch);
}

int
ov_vision_positions(const struct ov_vision_config *c)
{
    return ov_vision_rows(c) / OV_VISION_JOIN + 1;
}

int
ov_vision_cells(const struct ov_vision_config *c)
{
    return 4 * ov_vision_rows(c);
}

/* A window is a patch wide, twice the cell in its middle. */
int
ov_vision_values(const struct ov_vision_config *c)
{
    return 3 * c->patch * c->patch;
}

void
ov_vision_place(const struct ov_vision_config *c, int i, int *y, int *x)
{
    int across = c->image / c->patch / 2, join = i / OV_VISION_JOIN;

    *y = 2 * (join / across) + i % OV_VISION_JOIN / 2;
    *x = 2 * (join % across) + i % 2;
}

void
ov_vision_windows(const struct ov_vision_config *c, const float *pixels,
                  ov_real *x)
{
    int side = c->image, cell = c->patch / 2, across = side / cell;
    int i, plane, dy, dx;

    for (i = 0; i < across * across; i++)
        for (plane = 0; plane < 3; plane++)
            for (dy = 0; dy < c->patch; dy++)
                for (dx = 0; dx < c->patch; dx++) {
                    int py = i / across * cell - cell / 2 + dy;
                    int px = i % across * cell - cell / 2 + dx;
                    bool in = py >= 0 && py < side && px >= 0 && px < side;
                    *x++ = in ? (ov_real)pixels[(plane * side + py) * side + px]
                              : 0;
                }
}

static void
bind_layer(struct ov_vision *v, struct ov_params *ps, int i)
{
    struct ov_vision_layer *l = &v->layer[i];
    int d = v->c.d, h = v->c.ff;
    double in = 1 / sqrt(d), out = 1 / sqrt(2.0 * v->c.layers);

    l->a_nw = ov_param_const(ps, 1, d, 1, "vision.%d.attn.norm.weight", i);
    l->a_nb = ov_param_const(ps, 1, d, 0, "vision.%d.attn.norm.bias", i);
    l->q = ov_param(ps, d, d, in, "vision.%d.attn.q", i);
    l->k = ov_param(ps, d, d, in, "vision.%d.attn.k", i);
    l->v = ov_param(ps, d, d, in, "vision.%d.attn.v", i);
    l->o = ov_param(ps, d, d, in * out, "vision.%d.attn.o", i);
    l->f_nw = ov_param_const(ps, 1, d, 1, "vision.%d.ff.norm.weight", i);
    l->f_nb = ov_param_const(ps, 1, d, 0, "vision.%d.ff.norm.bias", i);
    l->up = ov_param(ps, h, d, in, "vision.%d.ff.up.weight", i);
    l->ub = ov_param_const(ps, 1, h, 0, "vision.%d.ff.up.bias", i);
    l->near = ov_param(ps, NEARS, h, 0.15, "vision.%d.ff.near.weight", i);
    l->near_b = ov_param_const(ps, 1, h, 0, "vision.%d.ff.near.bias", i);
    l->down = ov_param(ps, d, h, out / sqrt(h), "vision.%d.ff.down.weight", i);
    l->db = ov_param_const(ps, 1, d, 0, "vision.%d.ff.down.bias", i);
}

static void
bind_cell(struct ov_vision *v, struct ov_params *ps, int i)
{
    struct ov_vision_cell *l = &v->cell[i];
    int d = v->c.stem, h = 2 * d;

    l->near = ov_param(ps, NEARS, d, 0.3, "vision.cell.%d.near.weight", i);
    l->near_b = ov_param_const(ps, 1, d, 0, "vision.cell.%d.near.bias", i);
    l->nw = ov_param_const(ps, 1, d, 1, "vision.cell.%d.norm.weight", i);
    l->nb = ov_param_const(ps, 1, d, 0, "vision.cell.%d.norm.bias", i);
    l->up = ov_param(ps, h, d, 1 / sqrt(d), "vision.cell.%d.up.weight", i);
    l->ub = ov_param_const(ps, 1, h, 0, "vision.cell.%d.up.bias", i);
    l->down = ov_param(ps, d, h, 1 / sqrt(h), "vision.cell.%d.down.weight", i);
    l->db = ov_param_const(ps, 1, d, 0, "vision.cell.%d.down.bias", i);
}

static void
bind_encoder(struct ov_vision *v, struct ov_params *ps)
{
    const struct ov_vision_config *c = &v->c;
    int values = ov_vision_values(c), wide = CELLS * c->stem, i;

    v->in_w =
        ov_param(ps, c->stem, values, 1 / sqrt(values), "vision.in.weight");
    v->in_b = ov_param_const(ps, 1, c->stem, 0, "vision.in.bias");
    for (i = 0; i < c->stem_layers; i++)
        bind_cell(v, ps, i);
    v->join_w = ov_param(ps, c->d, wide, 1 / sqrt(wide), "vision.join.weight");
    v->join_b = ov_param_const(ps, 1, c->d, 0, "vision.join.bias");
    v->place = ov_param(ps, ov_vision_rows(c), c->d, 0.02, "vision.place");
    for (i = 0; i < c->layers; i++)
        bind_layer(v, ps, i);
    v->nw = ov_param_const(ps, 1, c->d, 1, "vision.norm.weight");
    v->nb = ov_param_const(ps, 1, c->d, 0, "vision.norm.bias");
}

static void
bind_names(struct ov_vision *v, struct ov_params *ps)
{
    const struct ov_vision_config *c = &v->c;

    v->name_w = ov_param(ps, c->names, c->d, 1 / sqrt(c->d),
                         "adapter.image.name.weight");
    v->name_b = ov_param_const(ps, 1, c->names, 0, "adapter.image.name.bias");
}

static void
bind_adapter(struct ov_vision *v, struct ov_params *ps)
{
    const struct ov_vision_config *c = &v->c;
    int wide = OV_VISION_JOIN * c->d, h = c->adapter_h;

    v->ad_up = ov_param(ps, h, wide, 1 / sqrt(wide), "adapter.image.up.weight");
    v->ad_ub = ov_param_const(ps, 1, h, 0, "adapter.image.up.bias");
    v->ad_down =
        ov_param(ps, c->d_out, h, 0.2 / sqrt(h), "adapter.image.down.weight");
    v->ad_db = ov_param_const(ps, 1, c->d_out, 0, "adapter.image.down.bias");
    v->all_up =
        ov_param(ps, h, c->d, 1 / sqrt(c->d), "adapter.image.all.up.weight");
    v->all_ub = ov_param_const(ps, 1, h, 0, "adapter.image.all.up.bias");
    v->all_down = ov_param(ps, c->d_out, h, 0.2 / sqrt(h),
                           "adapter.image.all.down.weight");
    v->all_db =
        ov_param_const(ps, 1, c->d_out, 0, "adapter.image.all.down.bias");
    if (c->names > 0)
        v->name_say =
            ov_param_const(ps, c->d_out, c->names, 0, "adapter.image.name.say");
}

void
ov_vision_bind(struct ov_vision *v, struct ov_params *ps,
               const struct ov_vision_config *c, int parts)
{
    *v = (struct ov_vision){.c = *c};
    if (parts & OV_VISION_ENCODER)
        bind_encoder(v, ps);
    if (parts & OV_VISION_ADAPTER)
        bind_adapter(v, ps);
    if (c->names > 0 && parts & (OV_VISION_ADAPTER | OV_VISION_NAMES))
        bind_names(v, ps);
}

/* Which cells each patch of n images sees: [n * rows, CELLS], -1 beyond the
 * edge. */
static int32_t *
reach(const struct ov_vision_config *c, struct ov_graph *g, int n)
{
    int rows = ov_vision_rows(c), across = 2 * (c->image / c->patch);
    int32_t *idx =
        ov_graph_alloc(g, sizeof *idx * (size_t)n * (size_t)rows * CELLS);
    int32_t *to = idx;
    int s, i, k, y, x;

    for (s = 0; s < n; s++)
        for (i = 0; i < rows; i++) {
            ov_vision_place(c, i, &y, &x);
            for (k = 0; k < CELLS; k++) {
                int cy = 2 * y - 1 + k / REACH, cx = 2 * x - 1 + k % REACH;
                bool in = cy >= 0 && cy < across && cx >= 0 && cx < across;
                *to++ = in ? (s * across + cy) * across + cx : -1;
            }
        }
    return idx;
}

/* The neighbours of each of across x across cells, row by row. */
static int32_t *
cells_around(struct ov_graph *g, int across)
{
    int32_t *near = ov_graph_alloc(g, sizeof *near * (size_t)across *
                                          (size_t)across * NEARS);
    int32_t *to = near;
    int i, k;

    for (i = 0; i < across * across; i++)
        for (k = 0; k < NEARS; k++) {
            int y = i / across + k / NEAR - 1, x = i % across + k % NEAR - 1;
            bool in = y >= 0 && y < across && x >= 0 && x < across;
            *to++ = in ? y * across + x : -1;
        }
    return near;
}

/* The same of patches, which lie 2 x 2 behind each other. */
static int32_t *
patches_around(const struct ov_vision_config *c, struct ov_graph *g)
{
    int across = c->image / c->patch, rows = across * across, i, k, y, x;
    int32_t *near = cells_around(g, across);
    int32_t *to = ov_graph_alloc(g, sizeof *to * (size_t)rows * NEARS);
    int32_t *row = ov_graph_alloc(g, sizeof *row * (size_t)rows);

    for (i = 0; i < rows; i++) {
        ov_vision_place(c, i, &y, &x);
        row[y * across + x] = i;
    }
    for (i = 0; i < rows; i++)
        for (k = 0; k < NEARS; k++) {
            int32_t cell = near[i * NEARS + k];
            to[row[i] * NEARS + k] = cell < 0 ? -1 : row[cell];
        }
    return to;
}

static struct ov_tensor *
run_cell(const struct ov_vision *v, int i, struct ov_graph *g,
         struct ov_tensor *x, const int32_t *near)
{
    const struct ov_vision_cell *l = &v->cell[i];
    struct ov_tensor *h;

    h = ov_around(g, x, l->near, l->near_b, near, ov_vision_cells(&v->c));
    h = ov_layernorm(g, h, l->nw, l->nb, EPS);
    h = ov_gelu(g, ov_linear(g, h, l->up, l->ub));
    return ov_add(g, x, ov_linear(g, h, l->down, l->db));
}

static struct ov_tensor *
run_layer(const struct ov_vision *v, int i, struct ov_graph *g,
          struct ov_tensor *x, const struct ov_segs *segs, const int32_t *near)
{
    const struct ov_vision_layer *l = &v->layer[i];
    uint64_t seed = v->drop_seed + 2000 + 2 * (uint64_t)i;
    struct ov_tensor *h = ov_layernorm(g, x, l->a_nw, l->a_nb, EPS);

    h = ov_attention(g, ov_linear(g, h, l->q, NULL),
                     ov_linear(g, h, l->k, NULL), ov_linear(g, h, l->v, NULL),
                     v->c.heads, v->c.heads, OV_ATTEND_ALL, segs, NULL);
    h = ov_dropout(g, ov_linear(g, h, l->o, NULL), v->drop, seed);
    x = ov_add(g, x, h);
    h = ov_layernorm(g, x, l->f_nw, l->f_nb, EPS);
    h = ov_linear(g, h, l->up, l->ub);
    h = ov_add(
        g, h, ov_around(g, h, l->near, l->near_b, near, ov_vision_rows(&v->c)));
    h = ov_linear(g, ov_gelu(g, h), l->down, l->db);
    h = ov_dropout(g, h, v->drop, seed + 1);
    return ov_add(g, x, h);
}

struct ov_tensor *
ov_vision_encode(const struct ov_vision *v, struct ov_graph *g,
                 struct ov_tensor *x, int n)
{
    const struct ov_vision_config *c = &v->c;
    int rows = ov_vision_rows(c), i, k;
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs);
    int *len = ov_graph_alloc(g, sizeof *len * (size_t)n);
    int32_t *place =
        ov_graph_alloc(g, sizeof *place * (size_t)n * (size_t)rows);
    int32_t *near;

    for (k = 0; k < n; k++)
        len[k] = rows;
    for (i = 0; i < n * rows; i++)
        place[i] = i % rows;
    *segs = (struct ov_segs){n, len};
    x = ov_gelu(g, ov_linear(g, x, v->in_w, v->in_b));
    near = cells_around(g, 2 * (c->image / c->patch));
    for (i = 0; i < c->stem_layers; i++)
        x = run_cell(v, i, g, x, near);
    if (v->style_of != NULL)
        x = ov_mix_style(g, x, ov_vision_cells(c), v->style_of, v->style_keep);
    x = ov_gather(g, x, reach(c, g, n), n * rows * CELLS);
    x = ov_view(g, x, n * rows, CELLS * c->stem);
    x = ov_linear(g, x, v->join_w, v->join_b);
    x = ov_embed(g, x, v->place, place, n * rows);
    near = patches_around(c, g);
    for (i = 0; i < c->layers; i++) {
        x = run_layer(v, i, g, x, segs, near);
        if (v->style_of != NULL && i == 0)
            x = ov_mix_style(g, x, rows, v->style_of, v->style_keep);
    }
    return ov_layernorm(g, x, v->nw, v->nb, EPS);
}

struct ov_tensor *
ov_vision_name(const struct ov_vision *v, struct ov_graph *g,
               struct ov_tensor *rows)
{
    struct ov_tensor *whole = ov_pool(g, rows, ov_vision_rows(&v->c));

    return ov_linear(g, whole, v->name_w, v->name_b);
}

/* A number of each picture, x [n,1], for each of its joined patches. */
static struct ov_tensor *
each_join(const struct ov_vision *v, struct ov_graph *g, struct ov_tensor *x)
{
    int each = ov_vision_rows(&v->c) / OV_VISION_JOIN, n = x->rows, i;
    int32_t *idx = ov_graph_alloc(g, sizeof *idx * (size_t)(n * each));

    for (i = 0; i < n * each; i++)
        idx[i] = i / each;
    return ov_gather(g, x, idx, n * each);
}

struct ov_tensor *
ov_vision_adapt(const struct ov_vision *v, struct ov_graph *g,
                struct ov_tensor *rows)
{
    int each = ov_vision_rows(&v->c), n = rows->rows / each;
    int all = ov_vision_positions(&v->c), i;
    int32_t *from = ov_graph_alloc(g, sizeof *from * (size_t)(n * all));
    int32_t *last = ov_graph_alloc(g, sizeof *last * (size_t)n);
    struct ov_tensor *x = ov_view(g, rows, rows->rows / OV_VISION_JOIN,
                                  rows->cols * OV_VISION_JOIN);
    struct ov_tensor *whole = ov_pool(g, rows, each);

    for (i = 0; i < n * all; i++)
        from[i] = i % all < all - 1 ? i / all * (all - 1) + i % all : -1;
    for (i = 0; i < n; i++)
        last[i] = i * all + all - 1;
    x = ov_gelu(g, ov_linear(g, x, v->ad_up, v->ad_ub));
    x = ov_linear(g, x, v->ad_down, v->ad_db);
    whole = ov_gelu(g, ov_linear(g, whole, v->all_up, v->all_ub));
    whole = ov_linear(g, whole, v->all_down, v->all_db);
    if (v->c.names > 0) {
        struct ov_tensor *p = ov_softmax(g, ov_vision_name(v, g, rows), SHARP);
        struct ov_tensor *none = ov_columns(g, p, v->c.names - 1, 1);
        x = ov_rows_times(g, x, each_join(v, g, none));
        whole = ov_rows_times(g, whole, none);
        whole = ov_add(g, whole, ov_linear(g, p, v->name_say, NULL));
    }
    return ov_scatter(g, ov_gather(g, x, from, n * all), whole, last);
}
