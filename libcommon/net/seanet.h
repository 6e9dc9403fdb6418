/* SPDX-License-Identifier: BSD-2-Clause */
/* SEANet: the convolutional encoder and decoder of EnCodec and Mimi
 * (Tagliasacchi et al. 2020; Defossez et al. 2022, section 3.1;
 * facebookresearch/encodec, encodec/modules/seanet.py, conv.py, lstm.py).
 *
 * In and out: sound [samples, channels], latents [frames, dimension].  A
 * causal one runs in pieces with a state, which together give what the whole
 * gives at once. */
#ifndef OV_NET_SEANET_H
#define OV_NET_SEANET_H

#include <stdbool.h>

#include "math/lstm.h"
#include "net/bind_conv.h"

enum { OV_SEANET_RATIOS = 8, OV_SEANET_RESIDUALS = 8, OV_SEANET_LSTM = 4 };

struct ov_seanet_config {
    int channels, dimension, filters, residuals;
    int n, ratios[OV_SEANET_RATIOS]; /* as the decoder's; encoder reversed */
    int kernel, last_kernel, residual_kernel, dilation_base, compress, lstm;
    bool causal, group_norm, true_skip;
    enum ov_pad pad;
    /* causal transposed convolutions: the part of what is too much that is
     * cut at the right, where 1 leaves nothing to look ahead for */
    double trim_right;
    bool hf; /* names as transformers has them, else as the publisher */
};

/* One convolution with what follows it. */
struct ov_seanet_conv {
    struct ov_conv1d c;
    const float *nw, *nb; /* group norm; NULL: none */
};

struct ov_seanet_block {
    struct ov_seanet_conv in, out, skip; /* skip.c.w NULL: x itself */
};

/* A resampling stage: blocks, then the convolution (encoder), or the
 * convolution, then blocks (decoder). */
struct ov_seanet_stage {
    struct ov_seanet_block block[OV_SEANET_RESIDUALS];
    struct ov_seanet_conv conv;
};

struct ov_seanet {
    struct ov_seanet_config config;
    bool decoder;
    int hop; /* samples a frame */
    struct ov_seanet_conv first, last;
    struct ov_seanet_stage stage[OV_SEANET_RATIOS];
    struct ov_lstm lstm[OV_SEANET_LSTM];
};

/* What a causal half keeps between pieces. */
struct ov_seanet_state {
    struct ov_conv1d_state *conv; /* in the order of their use */
    int n, at;
    float *lstm; /* [layers, 2 * width] */
};

/* Where to look at what happens inside. */
typedef void ov_seanet_tap(void *ctx, const char *name,
                           const struct ov_tensor *x);
struct ov_seanet_watch {
    ov_seanet_tap *tap; /* NULL: nobody looks */
    void *ctx;
};

/* What the shapes of b's tensors tell of the sizes; the rest of c is left
 * alone.  False and b->err if this is no SEANet. */
bool ov_seanet_derive(struct ov_bind *b, struct ov_seanet_config *c);
/* False and b->err if the configuration is not possible or a tensor is
 * missing or does not fit.  Always ov_seanet_free. */
bool ov_seanet_bind(struct ov_bind *b, struct ov_seanet *n,
                    const struct ov_seanet_config *c, bool decoder);
void ov_seanet_free(struct ov_seanet *n);

int ov_seanet_state_open(struct ov_seanet_state *s, const struct ov_seanet *n);
void ov_seanet_state_reset(struct ov_seanet_state *s,
                           const struct ov_seanet *n);
void ov_seanet_state_close(struct ov_seanet_state *s);
/* Frames that the first piece must have if it is not the last one too: with
 * reflection, what stands before the first row is taken from those after. */
int ov_seanet_first(const struct ov_seanet *n);

/* Whether it can run in pieces. */
bool ov_seanet_streams(const struct ov_seanet *n);

/* x [t, channels] -> [ceil(t/hop), dimension], or x [t, dimension] ->
 * [t*hop, channels].  s NULL: x is everything.  Without last, an encoder's t
 * is a multiple of hop.  The result lives until the arenas' next turn. */
struct ov_tensor *ov_seanet_run(const struct ov_seanet *n, struct ov_arenas *a,
                                struct ov_tensor *x, struct ov_seanet_state *s,
                                bool last, const struct ov_seanet_watch *w);

#endif
