/* SPDX-License-Identifier: BSD-2-Clause */
/* How unlike two sounds are to one who listens for words.
 * In: two signals.  Out: a scalar. */
#include "train/hear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/fft.h"
#include "math/ops.h"
#include "math/vec.h"
#include "media/mel.h"
#include "train/loss.h"
#include "train/spectral.h"

enum { DFT = 512, ROW = OV_MEL_HOP * OV_VOICE_STACK };

int
ov_hear_open(struct ov_hear *h, const struct ov_config *config,
             const char *path, struct ov_err *err)
{
    struct ov_voice_config c;
    int s, r = ov_voice_config(&c, config, err);

    *h = (struct ov_hear){.fft = NULL};
    if (r == OV_OK)
        r = ov_weights_open(&h->weights, path, err);
    if (r != OV_OK)
        return r;
    h->fft = ov_fft_new(DFT);
    if (h->fft == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    h->mel = ov_spectral_filters(DFT, OV_MEL_BANDS, false);
    for (s = 0; s < OV_SHARDS; s++) {
        ov_params_init(&h->ps[s], s == 0 ? h->weights : NULL,
                       s == 0 ? NULL : &h->ps[0], 0, true);
        ov_voice_bind(&h->v[s], &h->ps[s], &c, OV_VOICE_ENCODER);
    }
    if (h->ps[0].err.code != OV_OK) {
        *err = h->ps[0].err;
        return err->code;
    }
    return OV_OK;
}

void
ov_hear_close(struct ov_hear *h)
{
    int s;

    for (s = OV_SHARDS - 1; s >= 0; s--)
        ov_params_free(&h->ps[s]);
    ov_fft_free(h->fft);
    free(h->mel.x);
    ov_weights_close(h->weights);
}

/* --- what is heard --- */

/* Frames 0 .. len / hop - 1 of each sequence's len / hop + 1. */
static struct ov_tensor *
whole_frames(struct ov_graph *g, struct ov_tensor *x,
             const struct ov_segs *segs, int *n)
{
    int32_t *idx = ov_graph_alloc(g, sizeof *idx * (size_t)x->rows);
    int s, f, from = 0;

    *n = 0;
    for (s = 0; s < segs->n; s++) {
        int frames = segs->len[s] / OV_MEL_HOP;
        for (f = 0; f < frames; f++)
            idx[(*n)++] = from + f;
        from += frames + 1;
    }
    return ov_gather(g, x, idx, *n);
}

/* The encoder's rows of signal x [len, 1]. */
static struct ov_tensor *
rows_of(struct ov_hear *h, int shard, struct ov_graph *g, struct ov_tensor *x,
        const struct ov_segs *segs)
{
    const ov_real e4 = (ov_real)exp(4);
    struct ov_segs *in = ov_graph_alloc(g, sizeof *in * 2);
    int *len = ov_graph_alloc(g, sizeof *len * 2 * (size_t)segs->n), s, n;

    for (s = 0; s < segs->n; s++) {
        len[s] = segs->len[s] / OV_MEL_HOP;
        len[segs->n + s] = segs->len[s] / ROW;
    }
    in[0] = (struct ov_segs){segs->n, len};
    in[1] = (struct ov_segs){segs->n, len + segs->n};
    x = ov_spectrum(g, ov_frames(g, x, DFT, OV_MEL_HOP, segs), h->fft);
    /* ln(energy + 1e-6) / 4 + 1, of as much energy as a window of 400 has */
    x = ov_linear(g, ov_power(g, x, e4 / DFT), &h->mel, NULL);
    x = ov_logarithm(g, x, (ov_real)1e-6 * e4, (ov_real)0.25);
    x = whole_frames(g, x, segs, &n);
    return ov_voice_encode(&h->v[shard], g, x, &in[0], &in[1], NULL);
}

/* Sum of squares about the mean row. */
static double
spread(const struct ov_tensor *x)
{
    double sum = 0;
    int i, c;

    for (c = 0; c < x->cols; c++) {
        double mean = 0;
        for (i = 0; i < x->rows; i++)
            mean += (double)x->x[(size_t)i * (size_t)x->cols + (size_t)c];
        mean /= x->rows;
        for (i = 0; i < x->rows; i++) {
            double d =
                (double)x->x[(size_t)i * (size_t)x->cols + (size_t)c] - mean;
            sum += d * d;
        }
    }
    return sum;
}

struct ov_tensor *
ov_hear_loss(struct ov_hear *h, int shard, struct ov_graph *g,
             struct ov_graph *side, struct ov_tensor *y, struct ov_tensor *x,
             const struct ov_segs *segs, ov_real norm)
{
    struct ov_tensor *want = rows_of(h, shard, side, x, segs);
    struct ov_tensor *got = rows_of(h, shard, g, y, segs);

    return ov_l2(g, got, want->x, norm / (ov_real)(spread(want) + 1e-6));
}
