/* SPDX-License-Identifier: BSD-2-Clause */
/* network: one of the library's networks, run when told.
 * In: NETWORK MODEL SIZE THREADS, and on standard input lines: "run", "out
 * FILE"; or "quantise" FROM TO bf16|w8a8|i8|i4.  Out: "ready KERNELS" when it
 * has run once, then for each "run" its milliseconds, wall clock; "out" writes
 * what came of it, float32.
 *
 * SIZE: frames of mel, of EnCodec's latents, of SNAC's coarsest codes; all
 * networks read the same values, which are no noise of any kind, but the same
 * for everybody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "math/gemm.h"
#include "math/packed.h"
#include "model/quantise.h"
#include "net/clip.h"
#include "net/encodec.h"
#include "net/hifigan.h"
#include "net/silero.h"
#include "net/snac.h"
#include "net/whisper.h"

enum { CHUNKS = 100 /* of Silero in a run */ };

static struct ov_err err;
static struct ov_graph *graph;
static int size;
static float *in, *own; /* own: room for what came of it */
static const float *out;
static size_t out_n;

static struct ov_whisper *whisper;
static struct ov_clip *clip;
static struct ov_snac *snac;
static struct ov_snac_noise noise = {.kind = OV_SNAC_GIVEN};
static struct ov_encodec *encodec;
static struct ov_hifigan *hifigan;
static struct ov_silero *silero;

/* n values. */
static float *
values(size_t n)
{
    float *x = malloc(n * sizeof *x);
    size_t i;

    if (x == NULL)
        exit(1);
    for (i = 0; i < n; i++)
        x[i] = (float)(i * 7 % 23) / 23 - 0.5f;
    return x;
}

static void
put_out(const struct ov_tensor *x)
{
    out = x->x;
    out_n = (size_t)x->rows * (size_t)x->cols;
}

static int
open_whisper(const char *path)
{
    int r = ov_whisper_open(&whisper, path, OV_WHISPER_ENCODER, &err);

    if (r == OV_OK) {
        in = values((size_t)size * (size_t)whisper->d.mels);
        out_n = (size_t)size / 2 * (size_t)whisper->d.audio_state;
        out = own = values(out_n);
    }
    return r;
}

static void
run_whisper(void)
{
    ov_whisper_encode(whisper, graph, in, size, own);
}

static int
open_clip(const char *path)
{
    int r = ov_clip_open(&clip, path, NULL, &err);

    if (r == OV_OK) {
        int side = ov_clip_sizes(clip)->image;

        in = values(3 * (size_t)side * (size_t)side);
    }
    return r;
}

static void
run_clip(void)
{
    ov_graph_reset(graph);
    put_out(ov_clip_image(graph, clip, in, NULL));
}

static int
open_snac(const char *path)
{
    int r = ov_snac_open(&snac, path, &err), i, rows;

    if (r != OV_OK)
        return r;
    rows = size * ov_snac_unit(snac);
    in = values((size_t)rows * (size_t)ov_snac_config(snac)->latent);
    for (i = 0; i < ov_snac_config(snac)->dec_n; i++) {
        rows *= ov_snac_config(snac)->dec_rates[i];
        noise.given[i] = values((size_t)rows);
    }
    return r;
}

static void
run_snac(void)
{
    put_out(ov_snac_decode(snac, NULL, in, size * ov_snac_unit(snac), &noise));
}

static int
open_encodec(const char *path)
{
    int r = ov_encodec_open(&encodec, path, &err);

    if (r == OV_OK)
        in = values((size_t)size *
                    (size_t)ov_encodec_config(encodec)->net.dimension);
    return r;
}

static void
run_encodec(void)
{
    put_out(ov_encodec_decode(encodec, in, size, NULL, true, 1));
}

static int
open_hifigan(const char *path)
{
    int r = ov_hifigan_open(&hifigan, path, &err);

    if (r == OV_OK)
        in = values((size_t)size * (size_t)ov_hifigan_config(hifigan)->bands);
    return r;
}

static void
run_hifigan(void)
{
    put_out(ov_hifigan_run(hifigan, NULL, in, size));
}

static int
open_silero(const char *path)
{
    in = values(OV_SILERO_CHUNK);
    out = own = values(CHUNKS);
    out_n = CHUNKS;
    return ov_silero_open(&silero, path, &err);
}

static void
run_silero(void)
{
    int i;

    ov_silero_reset(silero);
    for (i = 0; i < CHUNKS; i++)
        own[i] = ov_silero_chunk(silero, in);
}

static const struct network {
    const char *name;
    int (*open)(const char *path);
    void (*run)(void);
    int runs; /* in one */
} networks[] = {{"whisper", open_whisper, run_whisper, 1},
                {"clip", open_clip, run_clip, 1},
                {"snac", open_snac, run_snac, 1},
                {"encodec", open_encodec, run_encodec, 1},
                {"hifigan", open_hifigan, run_hifigan, 1},
                {"silero", open_silero, run_silero, CHUNKS}};

static double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int
quantise(char **a)
{
    static const struct {
        const char *name;
        enum ov_quantise as;
    } kinds[] = {{"bf16", OV_QUANTISE_BF16},
                 {"w8a8", OV_QUANTISE_W8A8},
                 {"i8", OV_QUANTISE_I8},
                 {"i4", OV_QUANTISE_I4}};
    size_t i, n;

    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, a[2]) == 0) {
            if (ov_weights_quantise(a[0], a[1], kinds[i].as, NULL, &n, &err) ==
                OV_OK)
                return 0;
            fprintf(stderr, "network: %s\n", err.text);
            return 1;
        }
    return 2;
}

static int
write_out(const char *path)
{
    FILE *f = fopen(path, "wb");
    size_t n = f != NULL ? fwrite(out, sizeof *out, out_n, f) : 0;

    return (f != NULL ? fclose(f) : -1) == 0 && n == out_n ? 0 : -1;
}

static void
obey(const struct network *n)
{
    char line[1200];

    while (fgets(line, sizeof line, stdin) != NULL) {
        double t = now_ms();

        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "run") == 0) {
            n->run();
            printf("%.5f\n", (now_ms() - t) / n->runs);
        } else if (strncmp(line, "out ", 4) == 0)
            puts(write_out(line + 4) == 0 ? "written" : "failed");
        fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    const struct network *n = NULL;
    size_t i;

    if (argc == 5 && strcmp(argv[1], "quantise") == 0)
        return quantise(argv + 2);
    for (i = 0; i < sizeof networks / sizeof *networks; i++)
        if (argc == 5 && strcmp(argv[1], networks[i].name) == 0)
            n = &networks[i];
    if (n == NULL) {
        fprintf(stderr, "usage: network NETWORK MODEL SIZE THREADS\n"
                        "       network quantise FROM TO KIND\n");
        return 2;
    }
    graph = ov_graph_new_fast();
    size = atoi(argv[3]);
    ov_gemm_threads(atoi(argv[4]));
    if (graph == NULL || size < 1 || n->open(argv[2]) != OV_OK) {
        fprintf(stderr, "network: %s\n", err.text);
        return 1;
    }
    n->run(); /* the first one finds room */
    printf("ready %s\n", ov_packed_kernel());
    fflush(stdout);
    obey(n);
    return 0;
}
