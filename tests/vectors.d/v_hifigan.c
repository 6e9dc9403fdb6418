/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of HiFi-GAN and its front end.
 * In: a case with config.json, generator and audio.wav.
 * Out: a line per tensor. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "media/hifigan_mel.h"
#include "net/hifigan.h"
#include "wav.h"

static void
look(void *ctx, const char *name, const struct ov_tensor *x)
{
    struct vcase *c = ctx;
    const struct ov_array *a;

    if (!vcase_has(c, name))
        return;
    vcase_floats(c, name, &a);
    if (a != NULL && a->rank == 2 && a->shape[0] == x->cols &&
        a->shape[1] <= x->rows)
        vcase_close_t(c, name, x->x, (size_t)a->count);
    else
        vcase_fail(c, "%s: %d x %d", name, x->rows, x->cols);
}

/* Every so many-th row of the filters is kept. */
static void
compare_filters(struct vcase *c, const float *f, int bands, int bins)
{
    const struct ov_array *a;
    float *part;
    int i, step;

    vcase_floats(c, "mel_basis_every4", &a);
    if (a == NULL || a->shape[0] < 1)
        return;
    step = (bands + (int)a->shape[0] - 1) / (int)a->shape[0];
    part = malloc((size_t)bands * (size_t)bins * sizeof *part);
    for (i = 0; i * step < bands; i++)
        memcpy(part + (size_t)i * bins, f + (size_t)i * step * bins,
               (size_t)bins * sizeof *part);
    vcase_close(c, "mel_basis_every4", part, (size_t)i * bins);
    free(part);
}

/* The reference cuts towards zero; a sample at the very edge of a step may
 * fall to the other side. */
static void
compare_int16(struct vcase *c, const float *y, int n)
{
    size_t m;
    const int32_t *want = vcase_ints(c, "audio_int16", &m);
    int i, off = 0, far = 0;

    for (i = 0; want != NULL && i < n && i < (int)m; i++) {
        int v = (int)truncf(y[i] * 32768.0f);

        v = v > 32767 ? 32767 : v < -32768 ? -32768 : v;
        off += v != want[i];
        far += abs(v - want[i]) > 1;
    }
    vcase_ok(c, n == (int)m && far == 0,
             "audio_int16: %d of %d samples by 1, %d by more", off, n, far);
}

static void
pieces(struct vcase *c, struct ov_hifigan *n, const float *mel, int frames)
{
    const struct ov_hifigan_config *k = ov_hifigan_config(n);
    float *y = malloc((size_t)frames * k->hop * sizeof *y);
    struct ov_flows s = {0};
    struct ov_tensor *t;
    int at, m, got = 0;

    for (at = 0; at < frames; at += m) {
        m = 1 + at / 2 < frames - at ? 1 + at / 2 : frames - at;
        ov_flows_piece(&s, at + m == frames);
        t = ov_hifigan_run(n, &s, mel + (size_t)at * k->bands, m);
        memcpy(y + got, t->x, (size_t)t->rows * sizeof *y);
        got += t->rows;
    }
    vcase_close(c, "audio", y, (size_t)got);
    ov_flows_free(&s);
    free(y);
}

static void
run(struct vcase *c, struct ov_hifigan *n, const float *x, size_t samples)
{
    const struct ov_hifigan_config *k = ov_hifigan_config(n);
    const struct ov_hifigan_mel_sizes sizes = {
        k->rate_hz, k->dft, k->hop, k->win, k->bands, k->low_hz, k->high_hz};
    struct ov_hifigan_mel *m;
    struct ov_tensor *y;
    struct ov_err err;
    float *mel;
    int frames;

    if (ov_hifigan_mel_new(&m, &sizes, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    compare_filters(c, ov_hifigan_mel_filters(m), k->bands, k->dft / 2 + 1);
    frames = (int)ov_hifigan_mel_frames(m, samples);
    mel = malloc((size_t)frames * k->bands * sizeof *mel + 1);
    if (ov_hifigan_mel_signal(m, x, samples, mel) != 0)
        exit(99);
    vcase_close_t(c, "mel", mel, (size_t)frames * k->bands);
    ov_hifigan_watch(n, look, c);
    y = ov_hifigan_run(n, NULL, mel, frames);
    vcase_close(c, "audio", y->x, (size_t)y->rows);
    compare_int16(c, y->x, y->rows);
    ov_hifigan_watch(n, NULL, NULL);
    pieces(c, n, mel, frames);
    free(mel);
    ov_hifigan_mel_free(m);
}

void
v_hifigan(struct vcase *c)
{
    struct ov_hifigan *n;
    struct ov_err err;
    int channels;
    size_t samples;
    float *x;

    if (ov_hifigan_open(&n, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    if (!wav_read(vcase_path(c, "audio.wav"), &x, &samples, &channels) ||
        channels != 1)
        vcase_fail(c, "audio.wav is not readable");
    else {
        run(c, n, x, samples);
        free(x);
    }
    ov_hifigan_close(n);
}
