/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper's encoder that hears a sound bit by bit.
 * In: a Whisper of weights drawn here.  Out: TAP. */
#include <math.h>
#include <unistd.h>

#include "net/whisper.h"
#include "tests/unit/tap.h"
#include "tests/unit/whisper_model.h"

enum { MELS = 8, CTX = 40, D = 16, FRAMES = 2 * CTX };

static const struct tiny SMALL = {MELS, CTX, D, 2, 3, 40, 20};

/* The largest difference of n values, of their size. */
static double
off(const float *a, const float *b, size_t n)
{
    double most = 0, size = 0, d;
    size_t i;

    for (i = 0; i < n; i++) {
        d = fabs((double)a[i] - (double)b[i]);
        most = d > most || isnan(d) ? d : most;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}

/* Rows behind from see past ones that heard all as they would see them. */
static void
test_same(struct ov_whisper *w, struct ov_graph *g, const float *mel,
          const float *all)
{
    struct ov_whisper_past *p = ov_whisper_past_new(w);
    static float y[CTX * D];
    static const int from[] = {0, 1, 7, CTX - 1, CTX};
    size_t i;
    int n;

    for (i = 0; i < sizeof from / sizeof *from; i++) {
        int rows = CTX - from[i];

        ov_whisper_past_keep(p, 0);
        ov_whisper_encode_on(p, g, mel, FRAMES, y);
        ov_whisper_past_keep(p, from[i]);
        memset(y, 0, sizeof y);
        n = ov_whisper_encode_on(p, g, mel, FRAMES, y);
        ok(n == rows && (rows == 0 ||
                         off(y, all + from[i] * D, (size_t)(rows * D)) < 1e-5),
           "rows from %d: %d", from[i], n);
    }
    ov_whisper_past_free(p);
}

/* What leaves does not change, whatever comes; what comes is another thing
 * than if all had been heard, but not for the rows that come first. */
static void
test_on(struct ov_whisper *w, struct ov_graph *g, const float *mel,
        const float *all)
{
    struct ov_whisper_past *p = ov_whisper_past_new(w);
    static float first[CTX * D], y[CTX * D], again[CTX * D], half[CTX * D];
    double d;
    int n, m;

    n = ov_whisper_encode_on(p, g, mel, 40, first);
    ov_whisper_encode(w, g, mel, 40, half);
    ok(n == 20 && off(first, half, (size_t)n * D) < 1e-5,
       "what is heard first is a sound of its own");
    ov_whisper_past_keep(p, 12);
    n = ov_whisper_encode_on(p, g, mel, FRAMES, y);
    d = off(y, all + 12 * D, (size_t)n * D);
    ok(n == 28 && d > 1e-4 && d < 1, "what follows is off by %.4f", d);
    /* the same beginning again, after another end */
    ov_whisper_past_keep(p, 12);
    m = ov_whisper_encode_on(p, g, mel, FRAMES, again);
    ok(m == n && memcmp(y, again, (size_t)n * D * sizeof *y) == 0,
       "and the same when it comes again");
    ov_whisper_past_free(p);
}

int
main(void)
{
    static float mel[FRAMES * MELS], all[CTX * D];
    char dir[] = "/tmp/t_whisper_past.XXXXXX", config[1000], path[100];
    struct ov_graph *g = ov_graph_new(false);
    struct ov_whisper *w;
    struct ov_err err;
    int i, n = tiny_config(&SMALL, config, sizeof config);

    if (mkdtemp(dir) == NULL || g == NULL)
        return 1;
    tiny_weights(dir, &SMALL);
    tiny_file(dir, "config.json", config, (size_t)n);
    for (i = 0; i < FRAMES * MELS; i++)
        mel[i] = tiny_random();
    if (ov_whisper_open(&w, dir, OV_WHISPER_ENCODER, &err) != OV_OK) {
        ok(false, "%s", err.text);
        return tap_done();
    }
    ov_whisper_encode(w, g, mel, FRAMES, all);
    test_same(w, g, mel, all);
    test_on(w, g, mel, all);
    ov_whisper_close(w);
    ov_graph_free(g);
    snprintf(path, sizeof path, "%s/config.json", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    rmdir(dir);
    return tap_done();
}
