/* SPDX-License-Identifier: BSD-2-Clause */
/* encoder: how long Whisper's encoder takes.
 * In: a checkpoint, mel frames (even), threads, runs.  Out: milliseconds of
 * each run, wall clock, a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "math/gemm.h"
#include "net/whisper.h"

static double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

int
main(int argc, char **argv)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_whisper *w;
    struct ov_err err;
    int frames, runs, i;
    float *mel, *out;

    if (argc != 5 || g == NULL) {
        fprintf(stderr, "usage: encoder CHECKPOINT FRAMES THREADS RUNS\n");
        return 2;
    }
    frames = atoi(argv[2]) & ~1;
    runs = atoi(argv[4]);
    if (ov_whisper_open(&w, argv[1], OV_WHISPER_ENCODER, &err) != OV_OK) {
        fprintf(stderr, "encoder: %s\n", err.text);
        return 1;
    }
    if (frames < 2 || frames > ov_whisper_window(w)) {
        fprintf(stderr, "encoder: %d frames\n", frames);
        return 2;
    }
    ov_gemm_threads(atoi(argv[3]));
    mel = malloc((size_t)frames * (size_t)w->d.mels * sizeof *mel);
    out = malloc((size_t)frames / 2 * (size_t)w->d.audio_state * sizeof *out);
    if (mel == NULL || out == NULL)
        return 1;
    for (i = 0; i < frames * w->d.mels; i++)
        mel[i] = (float)(i * 7 % 23) / 23 - 0.5f;
    for (i = 0; i <= runs; i++) {
        double t = now_ms();

        ov_whisper_encode(w, g, mel, frames, out);
        if (i > 0) /* the first one finds room */
            printf("%.2f\n", now_ms() - t);
    }
    free(mel);
    free(out);
    ov_graph_free(g);
    ov_whisper_close(w);
    return 0;
}
