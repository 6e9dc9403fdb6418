/* SPDX-License-Identifier: BSD-2-Clause */
/* Spectra of many frames at once, for training.
 * In: a tensor of frames.  Out: real and imaginary parts, and gradients. */
#include "math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/vec.h"

/* Complex sequences side by side, each of two frames. */
enum { LANES = 16, FRAMES = 2 * LANES };

struct ov_fft {
    int n;
    int *place;         /* where sample t goes: its bits in reverse */
    ov_real *cos, *sin; /* of 2 pi k / n, k < n/2 */
    ov_real *window;
};

struct ov_fft *
ov_fft_new(int n)
{
    struct ov_fft *f = calloc(1, sizeof *f);
    int i, bit;

    if (f == NULL)
        return NULL;
    f->n = n;
    f->place = calloc((size_t)n, sizeof *f->place);
    f->cos = calloc((size_t)n, sizeof *f->cos);
    f->sin = calloc((size_t)n, sizeof *f->sin);
    f->window = calloc((size_t)n, sizeof *f->window);
    if (f->place == NULL || f->cos == NULL || f->sin == NULL ||
        f->window == NULL) {
        ov_fft_free(f);
        return NULL;
    }
    for (i = 0; i < n; i++) {
        for (bit = 1; bit < n; bit *= 2)
            f->place[i] = 2 * f->place[i] + ((i & bit) != 0);
        f->cos[i] = (ov_real)cos(2 * M_PI * i / n);
        f->sin[i] = (ov_real)sin(2 * M_PI * i / n);
        f->window[i] = (ov_real)(0.5 - 0.5 * cos(2 * M_PI * i / n));
    }
    return f;
}

void
ov_fft_free(struct ov_fft *f)
{
    if (f == NULL)
        return;
    free(f->place);
    free(f->cos);
    free(f->sin);
    free(f->window);
    free(f);
}

/* a, b = a + w b, a - w b, where w = c - i s, lane by lane. */
OV_HOT static void
butterfly(ov_real *restrict ar, ov_real *restrict ai, ov_real *restrict br,
          ov_real *restrict bi, ov_real c, ov_real s)
{
    int l;

    for (l = 0; l < LANES; l++) {
        ov_real tr = c * br[l] + s * bi[l], ti = c * bi[l] - s * br[l];
        br[l] = ar[l] - tr;
        bi[l] = ai[l] - ti;
        ar[l] += tr;
        ai[l] += ti;
    }
}

/* re, im [n, LANES], in the order of place -> their transforms. */
static void
transform(const struct ov_fft *f, ov_real *re, ov_real *im)
{
    int half, at, k;

    for (half = 1; half < f->n; half *= 2)
        for (at = 0; at < f->n; at += 2 * half)
            for (k = 0; k < half; k++) {
                size_t a = (size_t)(at + k) * LANES;
                size_t b = a + (size_t)half * LANES;
                int w = k * (f->n / 2 / half);
                butterfly(re + a, im + a, re + b, im + b, f->cos[w], f->sin[w]);
            }
}

/* One row into lanes: to[place[t]] = x[t] * window[t]. */
static void
spread(const struct ov_fft *f, const ov_real *x, ov_real *to)
{
    int t;

    for (t = 0; t < f->n; t++)
        to[(size_t)f->place[t] * LANES] = x[t] * f->window[t];
}

/* Bins of the even frame and, unless NULL, of the odd one out of a lane. */
static void
part_frames(int n, const ov_real *re, const ov_real *im, ov_real *even,
            ov_real *odd)
{
    int k, bins = n / 2 + 1;

    for (k = 0; k < bins; k++) {
        size_t a = (size_t)k * LANES, b = (size_t)(k == 0 ? 0 : n - k) * LANES;
        even[k] = (re[a] + re[b]) / 2;
        even[bins + k] = (im[a] - im[b]) / 2;
        if (odd != NULL) {
            odd[k] = (im[a] + im[b]) / 2;
            odd[bins + k] = (re[b] - re[a]) / 2;
        }
    }
}

/* The way back.  A frame's gradient is the real part of the sum of
 * G[k] exp(2 pi i k t / n) over its bins: with H, the even part of G
 * continued to all n, H_even + i H_odd goes through the transform with real
 * and imaginary part exchanged, before and after, and holds both. */
static void
join_frames(const struct ov_fft *f, const ov_real *even, const ov_real *odd,
            ov_real *re, ov_real *im)
{
    int n = f->n, k, bins = n / 2 + 1;

    for (k = 0; k < bins; k++) {
        ov_real er = even[k], ei = even[bins + k];
        ov_real dr = odd != NULL ? odd[k] : 0;
        ov_real di = odd != NULL ? odd[bins + k] : 0;
        size_t a = (size_t)f->place[k] * LANES;
        if (k == 0 || k == bins - 1) {
            re[a] = dr;
            im[a] = er;
        } else {
            size_t b = (size_t)f->place[n - k] * LANES;
            re[a] = (ei + dr) / 2;
            im[a] = (er - di) / 2;
            re[b] = (dr - ei) / 2;
            im[b] = (er + di) / 2;
        }
    }
}

static void
gather(const struct ov_fft *f, const ov_real *from, ov_real *dx)
{
    int t;

    for (t = 0; t < f->n; t++)
        dx[t] += from[(size_t)t * LANES] * f->window[t];
}

struct spectrum {
    struct ov_tensor *x, *y;
    const struct ov_fft *f;
    ov_real *room; /* [2, n, LANES] */
};

/* Frames from row on, as many as there are up to FRAMES. */
static int
frames_from(int row, int rows)
{
    return rows - row < FRAMES ? rows - row : FRAMES;
}

static void
spectrum_back(struct ov_graph *g, void *args)
{
    const struct spectrum *a = args;
    int n = a->f->n, row, i, count;
    size_t wide = (size_t)n + 2, lanes = (size_t)n * LANES;
    ov_real *re = a->room, *im = re + lanes;

    (void)g;
    if (a->x->g == NULL)
        return;
    for (row = 0; row < a->x->rows; row += count) {
        const ov_real *dy = a->y->g + (size_t)row * wide;
        ov_real *dx = a->x->g + (size_t)row * n;
        count = frames_from(row, a->x->rows);
        memset(re, 0, sizeof *re * 2 * lanes);
        for (i = 0; i < count; i += 2)
            join_frames(a->f, dy + i * wide,
                        i + 1 < count ? dy + (i + 1) * wide : NULL, re + i / 2,
                        im + i / 2);
        transform(a->f, re, im);
        for (i = 0; i < count; i++)
            gather(a->f, (i % 2 == 0 ? im : re) + i / 2, dx + (size_t)i * n);
    }
}

struct ov_tensor *
ov_spectrum(struct ov_graph *g, struct ov_tensor *x, const struct ov_fft *f)
{
    int n = f->n, row, i, count;
    size_t wide = (size_t)n + 2, lanes = (size_t)n * LANES;
    struct ov_tensor *y = ov_tensor_new(g, x->rows, n + 2);
    struct spectrum *a = ov_graph_alloc(g, sizeof *a);
    ov_real *re = ov_graph_alloc(g, sizeof *re * 2 * lanes), *im = re + lanes;

    for (row = 0; row < x->rows; row += count) {
        const ov_real *in = x->x + (size_t)row * n;
        ov_real *out = y->x + (size_t)row * wide;
        count = frames_from(row, x->rows);
        memset(re, 0, sizeof *re * 2 * lanes);
        for (i = 0; i < count; i++)
            spread(f, in + (size_t)i * n, (i % 2 == 0 ? re : im) + i / 2);
        transform(f, re, im);
        for (i = 0; i < count; i += 2)
            part_frames(n, re + i / 2, im + i / 2, out + i * wide,
                        i + 1 < count ? out + (i + 1) * wide : NULL);
    }
    if (ov_graph_records(g)) {
        *a = (struct spectrum){x, y, f, re};
        ov_graph_record(g, spectrum_back, a);
    }
    return y;
}
