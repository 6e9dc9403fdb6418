/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of the FastConformer: spectrogram and encoder.
 * In: a case.  Out: its comparisons. */
#include <math.h>
#include <stdlib.h>

#include "case.h"
#include "media/fastconformer_mel.h"
#include "net/conformer.h"
#include "wav.h"

static void
close_tensor(struct vcase *c, const char *name, const struct ov_tensor *t)
{
    vcase_close(c, name, t->x, (size_t)t->rows * (size_t)t->cols);
}

static void
one_number(struct vcase *c, const char *name, int got)
{
    int32_t v = got;

    vcase_equal(c, name, &v, 1);
}

static void
tables(struct vcase *c, const struct ov_fastconformer_mel *m)
{
    int n, bins, bands = ov_fastconformer_mel_bands(m), i, k;
    const float *w = ov_fastconformer_mel_window(m, &n);
    const float *f = ov_fastconformer_mel_filters(m, &bins);
    float *some = malloc((size_t)bands * (size_t)bins * sizeof *some);

    vcase_close(c, "window", w, (size_t)n);
    for (k = 0, i = 0; i < bands; i += 8, k++)
        memcpy(some + (size_t)k * (size_t)bins, f + (size_t)i * (size_t)bins,
               (size_t)bins * sizeof *some);
    vcase_close(c, "filter_banks_every8", some, (size_t)k * (size_t)bins);
    free(some);
}

/* mel [bands, frames].  The reference's single-precision DFT leaves noise of
 * 1e-7 of a frame's loudest bin in all bins, and the logarithm shows it where
 * a band is 60 dB below: single values may be 1e-3 of the rms away, all
 * together 2e-5. */
static void
spectrogram(struct vcase *c, const float *mel, size_t frames, size_t bands)
{
    const struct ov_array *a;
    const float *want = vcase_floats(c, "mel", &a);
    double most = 0, wrong = 0, all = 0, d;
    size_t t, b;

    if (want == NULL || a->rank != 2 || a->shape[0] != (int64_t)bands ||
        a->shape[1] != (int64_t)frames) {
        vcase_fail(c, "mel is not %zu x %zu", bands, frames);
        return;
    }
    for (t = 0; t < frames; t++)
        for (b = 0; b < bands; b++) {
            d = fabs((double)mel[t * bands + b] - want[b * frames + t]);
            most = d > most ? d : most;
            wrong += d * d;
            all += (double)want[b * frames + t] * want[b * frames + t];
        }
    all = sqrt(all / (double)(frames * bands));
    wrong = sqrt(wrong / (double)(frames * bands));
    vcase_ok(c, most <= 1e-3 * all && wrong <= 2e-5 * all,
             "mel [%zu,%zu] abs %.2e rms %.2e of %.2e", bands, frames, most,
             wrong, all);
}

static void
encode(struct vcase *c, const struct ov_conformer *net, const float *mel,
       int frames, int valid)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_conformer_taps taps;
    struct ov_tensor *y = ov_conformer_run(g, net, mel, frames, valid, &taps);

    if (y == NULL) {
        vcase_fail(c, "no rows");
        return;
    }
    close_tensor(c, "pre_encode", taps.pre_encode);
    close_tensor(c, "pos_emb", taps.positions);
    close_tensor(c, "layer0_ff1", taps.ff1);
    close_tensor(c, "layer0_attn", taps.attention);
    close_tensor(c, "layer0_conv", taps.conv);
    close_tensor(c, "layer0", taps.block0);
    vcase_close_t(c, "encoded", y->x, (size_t)y->rows * (size_t)y->cols);
    one_number(c, "encoded_len", ov_conformer_rows(net, valid));
    ov_graph_free(g);
}

static void
run(struct vcase *c, const struct ov_fastconformer_mel *m,
    const struct ov_conformer *net)
{
    size_t n, frames, valid;
    int channels;
    float *x, *mel;

    tables(c, m);
    if (!wav_read(vcase_path(c, "audio.wav"), &x, &n, &channels) ||
        channels != 1) {
        vcase_fail(c, "audio.wav: cannot read it");
        return;
    }
    frames = ov_fastconformer_mel_frames(m, n, &valid);
    mel = malloc(frames * (size_t)ov_fastconformer_mel_bands(m) * sizeof *mel);
    if (ov_fastconformer_mel_run(m, x, n, mel) != 0) {
        vcase_fail(c, "no memory");
        return;
    }
    spectrogram(c, mel, frames, (size_t)ov_fastconformer_mel_bands(m));
    one_number(c, "mel_len", (int)valid);
    encode(c, net, mel, (int)frames, (int)valid);
    free(mel);
    free(x);
}

void
v_conformer(struct vcase *c)
{
    struct ov_fastconformer_mel *m = NULL;
    struct ov_conformer *net = NULL;
    struct ov_weights *w = NULL;
    struct ov_json *config = NULL;
    struct ov_err err = {0};

    if (ov_json_read(&config, vcase_path(c, "config.json"), 1 << 20, &err) ||
        ov_weights_open(&w, vcase_path(c, "model.safetensors"), &err) ||
        ov_fastconformer_mel_new(&m, ov_json_get(config, "preprocessor"),
                                 &err) ||
        ov_conformer_open(&net, w, ov_json_get(config, "encoder"), "conformer.",
                          "audio_adapter.", &err))
        vcase_fail(c, "%s", err.text);
    else
        run(c, m, net);
    ov_conformer_close(net);
    ov_fastconformer_mel_free(m);
    if (w != NULL)
        ov_weights_close(w);
    ov_json_free(config);
}
