/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's eyes: a small vision transformer, and the adapter
 * that brings what it saw into the space of the shared transformer.
 * In: normalised pixels (media/resize.h).  Out: rows for each patch,
 * positions for the transformer.
 *
 * Two overlapping convolutions make patches (Xiao et al. 2021: they learn
 * from fewer pictures than one flat cut), with ConvNeXt blocks between (Liu et
 * al. 2022); then pre-norm blocks in which every patch sees every other
 * (Dosovitskiy et al. 2021), and its neighbours within the feed-forward layer
 * (Li et al. 2021, LocalViT).  The adapter joins 2 x 2 patches into one
 * position; behind them comes one of the whole picture, from the mean of its
 * patches, as a class token would say it.  Where the adapter knows names, it
 * also says there what thing it may be: the mean of one embedding for each
 * thing, by how probable it is (Lu et al. 2024, Ovis: visual tokens of a
 * vocabulary, by their probabilities).  All else is then shown as much as it is
 * probable that there is no single thing: what a drawing of one is, is said
 * once, and in one way. */
#ifndef OV_NET_VISION_H
#define OV_NET_VISION_H

#include <stdbool.h>
#include <stdint.h>

#include "model/config.h"
#include "math/ops.h"
#include "net/params.h"

enum {
    OV_VISION_JOIN = 4, /* patches a position: 2 x 2 */
    OV_VISION_MAX_LAYERS = 24
};

struct ov_vision_config {
    int image;       /* pixels of a side; 0: the model has no eyes */
    int patch;       /* pixels of a patch's side, even; divides image */
    int stem;        /* channels of the first convolution */
    int stem_layers; /* ConvNeXt blocks on its cells */
    int d, heads, ff, layers;
    int names;            /* things, and one more for no single thing; or 0 */
    int adapter_h, d_out; /* the shared transformer's width */
};

struct ov_vision_layer {
    struct ov_tensor *a_nw, *a_nb, *q, *k, *v, *o, *f_nw, *f_nb, *up, *ub,
        *near, *near_b, *down, *db;
};

struct ov_vision_cell {
    struct ov_tensor *near, *near_b, *nw, *nb, *up, *ub, *down, *db;
};

struct ov_vision {
    struct ov_vision_config c;
    struct ov_tensor *in_w, *in_b, *join_w, *join_b, *place;
    struct ov_vision_cell cell[OV_VISION_MAX_LAYERS];
    struct ov_vision_layer layer[OV_VISION_MAX_LAYERS];
    struct ov_tensor *nw, *nb;
    struct ov_tensor *ad_up, *ad_ub, *ad_down, *ad_db;
    struct ov_tensor *all_up, *all_ub, *all_down, *all_db;
    struct ov_tensor *name_w, *name_b, *name_say;
    /* training only: drop this part of every residual branch; whose style each
     * picture takes, and how much of its own it keeps, NULL: all of it */
    ov_real drop;
    uint64_t drop_seed;
    const int *style_of;
    const ov_real *style_keep;
};

/* "vision" of config.json; without it c->image is 0, and all is well. */
int ov_vision_config(struct ov_vision_config *c, const struct ov_config *file,
                     struct ov_err *err);

enum {
    OV_VISION_ENCODER = 1, /* tensors "vision.*" */
    OV_VISION_ADAPTER = 2, /* "adapter.image.*" */
    OV_VISION_ALL = 3,
    OV_VISION_NAMES = 4 /* of the adapter's only what tells names */
};
void ov_vision_bind(struct ov_vision *v, struct ov_params *ps,
                    const struct ov_vision_config *c, int parts);

/* Patches of an image, and positions of the transformer it becomes. */
int ov_vision_rows(const struct ov_vision_config *c);
int ov_vision_positions(const struct ov_vision_config *c);
/* Of an image's pixels [3, image, image] the windows of the first
 * convolution: x [ov_vision_cells, ov_vision_values]. */
int ov_vision_cells(const struct ov_vision_config *c);
int ov_vision_values(const struct ov_vision_config *c);
void ov_vision_windows(const struct ov_vision_config *c, const float *pixels,
                       ov_real *x);
/* Row and column of patch number i, counted in patches: those of one
 * position lie one behind the other. */
void ov_vision_place(const struct ov_vision_config *c, int i, int *y, int *x);

/* Windows of n images [n * cells, values] -> [n * rows, d]. */
struct ov_tensor *ov_vision_encode(const struct ov_vision *v,
                                   struct ov_graph *g, struct ov_tensor *x,
                                   int n);
/* rows [n * rows, d] -> logits of what each picture is [n, names], only where
 * there are names. */
struct ov_tensor *ov_vision_name(const struct ov_vision *v, struct ov_graph *g,
                                 struct ov_tensor *rows);
/* rows [n * rows, d] -> [n * positions, d_out]. */
struct ov_tensor *ov_vision_adapt(const struct ov_vision *v, struct ov_graph *g,
                                  struct ov_tensor *rows);

#endif
