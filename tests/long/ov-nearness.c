/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2 twice: how far the logits of one are from those of the other;
 * or once: how long it takes to start.
 * In: the files of weights, beside them their model_config.yaml.  Out: one
 * line. */
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/miniomni.h"

enum { POSITIONS = 16, STEPS = 5 };

static struct ov_err err;

static void
check(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "ov-nearness: %s\n", err.text);
    exit(1);
}

static double
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct ov_miniomni *
open_model(const char *path)
{
    struct ov_miniomni_config c;
    struct ov_miniomni *m;
    char *copy = strdup(path);

    check(ov_miniomni_config_open(&c, dirname(copy), &err));
    check(ov_miniomni_open(&m, path, &c, OV_MINIOMNI_BACK, &err));
    free(copy);
    return m;
}

static float *
rows(const struct ov_miniomni_config *c, int n)
{
    size_t size = (size_t)n * (size_t)c->d, i;
    float *x = malloc(size * sizeof *x);

    for (i = 0; x != NULL && i < size; i++)
        x[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * 0.06f;
    if (x == NULL)
        exit(1);
    return x;
}

/* All logits after the same rows, malloc'd. */
static float *
logits(const char *path, size_t *n)
{
    struct ov_miniomni *m = open_model(path);
    const struct ov_miniomni_config *c = ov_miniomni_sizes(m);
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    size_t text = (size_t)c->text_vocab;
    size_t audio = (size_t)OV_MINIOMNI_LAYERS * (size_t)c->audio_vocab;
    float *y = malloc((text + audio) * sizeof *y), *x;

    srand(1);
    x = rows(c, POSITIONS);
    if (s == NULL || y == NULL)
        exit(1);
    check(ov_miniomni_read(s, x, POSITIONS, &err));
    memcpy(y, ov_miniomni_text(s, 0), text * sizeof *y);
    memcpy(y + text, ov_miniomni_audio(s, 0), audio * sizeof *y);
    *n = text + audio;
    free(x);
    ov_miniomni_state_free(s);
    ov_miniomni_close(m);
    return y;
}

static void
compare(const char *a, const char *b)
{
    double most = 0, sum = 0, mean = 0, square = 0;
    size_t n, k, i;
    float *x = logits(a, &n), *y = logits(b, &k);

    if (n != k)
        exit(1);
    for (i = 0; i < n; i++) {
        double d = fabs((double)x[i] - y[i]);

        most = fmax(most, d);
        sum += d;
        mean += x[i];
        square += (double)x[i] * x[i];
    }
    mean /= (double)n;
    square = sqrt(square / (double)n - mean * mean);
    printf("max %.6g mean %.6g spread %.6g\n", most, sum / (double)n, square);
    free(x);
    free(y);
}

/* A prompt of one position, and what comes after the first token. */
static void
start(const char *path)
{
    double t0 = now_ms(), first, step = 1e9, t;
    struct ov_miniomni *m = open_model(path);
    const struct ov_miniomni_config *c = ov_miniomni_sizes(m);
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_miniomni_options o;
    struct ov_miniomni_talk talk;
    int32_t ids[OV_MINIOMNI_STREAMS];
    float *x = rows(c, 1);
    int i;

    if (s == NULL)
        exit(1);
    ov_miniomni_defaults(&o, c);
    check(ov_miniomni_begin(&talk, s, OV_OMNI_BOTH, &o, x, 1, NULL, &err));
    check(ov_miniomni_next(&talk, ids, &err));
    first = now_ms() - t0;
    for (i = 0; i < STEPS; i++) {
        t = now_ms();
        check(ov_miniomni_next(&talk, ids, &err));
        step = fmin(step, now_ms() - t);
    }
    printf("first %.0f step %.0f start %.0f\n", first, step, first - step);
    free(x);
    ov_miniomni_finish(&talk);
    ov_miniomni_state_free(s);
    ov_miniomni_close(m);
}

int
main(int argc, char **argv)
{
    if (argc == 2) {
        start(argv[1]);
        return 0;
    }
    if (argc != 3) {
        fprintf(stderr, "usage: ov-nearness WEIGHTS [WEIGHTS]\n");
        return 2;
    }
    compare(argv[1], argv[2]);
    return 0;
}
