/* SPDX-License-Identifier: BSD-2-Clause */
/* Frame decisions of a voice-activity detector, and how two of them agree.
 * In: a sound, or two lists of decisions.  Out: one line per 10 ms, 0 or 1;
 * or F1, precision and recall.
 *
 *     vadscore --silero WEIGHTS FILE      published Silero VAD
 *     vadscore --model DIR FILE           our network
 *     vadscore --energy FILE              our energy detector
 *     vadscore --f1 REFERENCE HYPOTHESIS
 *
 * Decisions: speech from a probability of 0.5 on, silence below 0.35, no
 * padding, no minimum lengths. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/soundin.h"
#include "net/silero.h"
#include "stage/vad.h"

enum { FRAME = 160, BLOCK = 1600, MOST_APART = 10 };

static const float ON = 0.5f, OFF = 0.35f;
static struct ov_err err;

static void
die(const char *text)
{
    fprintf(stderr, "vadscore: %s\n", text);
    exit(1);
}

/* One decision for each of n frames of probability p. */
static void
decide(float p, int n)
{
    static bool speech;

    speech = p >= (speech ? OFF : ON);
    for (int i = 0; i < n; i++)
        puts(speech ? "1" : "0");
}

/* Silero's chunks are 3.2 frames: a frame is what the chunk in which its
 * middle lies is. */
static void
score_silero(const char *weights, struct ov_soundin *in)
{
    struct ov_silero *s;
    float x[OV_SILERO_CHUNK];
    unsigned long heard = 0, frames = 0;
    long n = 1;

    if (ov_silero_open(&s, weights, &err) != 0)
        die(err.text);
    while (n > 0) {
        size_t have = 0;
        int due = 0;

        memset(x, 0, sizeof x);
        while (have < OV_SILERO_CHUNK
               && (n = ov_soundin_read(in, x + have, OV_SILERO_CHUNK - have,
                                       &err)) > 0)
            have += (size_t)n;
        if (have == 0)
            break;
        heard += OV_SILERO_CHUNK;
        for (; frames * FRAME + FRAME / 2 < heard; frames++)
            due++;
        decide(ov_silero_chunk(s, x), due);
    }
    ov_silero_close(s);
    if (n < 0)
        die(err.text);
}

static void
pull(struct ov_vad *v)
{
    struct ov_vad_event ev;
    float p;

    while (ov_vad_pull(v, &ev) == 1)
        ;
    while (ov_vad_pull_probs(v, &p, 1) == 1)
        decide(p, 1);
}

/* dir NULL: the energy detector. */
static void
score_ours(const char *dir, struct ov_soundin *in)
{
    struct ov_vad_options o;
    struct ov_vad *v;
    float x[BLOCK];
    long n;

    ov_vad_defaults(&o);
    o.dir = dir;
    o.keep_probs = true;
    if (ov_vad_open(&v, &o, &err) != 0)
        die(err.text);
    while ((n = ov_soundin_read(in, x, BLOCK, &err)) > 0) {
        if (ov_vad_push(v, x, (size_t)n, &err) != 0)
            die(err.text);
        pull(v);
    }
    if (n < 0 || ov_vad_flush(v, &err) != 0)
        die(err.text);
    pull(v);
    ov_vad_close(v);
}

static FILE *
open_list(const char *path)
{
    FILE *f = fopen(path, "r");

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    return f;
}

/* The next decision of f: 0, 1, or -1 at the end. */
static int
next(FILE *f, const char *path)
{
    char line[8];

    if (fgets(line, sizeof line, f) == NULL)
        return -1;
    if ((line[0] != '0' && line[0] != '1') || line[1] != '\n') {
        fprintf(stderr, "vadscore: %s: not a list of 0 and 1\n", path);
        exit(1);
    }
    return line[0] - '0';
}

static double
part(unsigned long a, unsigned long b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

static void
score_f1(const char *ref_path, const char *hyp_path)
{
    FILE *ref = open_list(ref_path), *hyp = open_list(hyp_path);
    unsigned long count[2][2] = {{0}}, apart = 0;
    int r, h;

    for (;;) {
        r = next(ref, ref_path);
        h = next(hyp, hyp_path);
        if (r < 0 && h < 0)
            break;
        if (r < 0 || h < 0)
            apart++;
        else
            count[r][h]++;
    }
    fclose(ref);
    fclose(hyp);
    if (apart > MOST_APART)
        die("the lists are of different length");
    printf("f1\t%.4f\nprecision\t%.4f\nrecall\t%.4f\n",
           part(2 * count[1][1], 2 * count[1][1] + count[0][1] + count[1][0]),
           part(count[1][1], count[1][1] + count[0][1]),
           part(count[1][1], count[1][1] + count[1][0]));
    printf("frames\t%lu\nspeech\t%lu\n", count[0][0] + count[0][1]
           + count[1][0] + count[1][1], count[1][0] + count[1][1]);
}

int
main(int argc, char **argv)
{
    const struct ov_soundin_options o = {.out_hz = 16000};
    const char *what = argc > 1 ? argv[1] : "";
    struct ov_soundin *in;
    bool energy = strcmp(what, "--energy") == 0;
    bool silero = strcmp(what, "--silero") == 0;

    if (argc == 4 && strcmp(what, "--f1") == 0) {
        score_f1(argv[2], argv[3]);
        return 0;
    }
    if (!(energy && argc == 3)
        && !((silero || strcmp(what, "--model") == 0) && argc == 4)) {
        fprintf(stderr, "usage: vadscore --silero WEIGHTS FILE\n"
                "       vadscore --model DIR FILE\n"
                "       vadscore --energy FILE\n"
                "       vadscore --f1 REFERENCE HYPOTHESIS\n");
        return 2;
    }
    if (ov_soundin_open(&in, argv[argc - 1], &o, &err) != 0)
        die(err.text);
    if (silero)
        score_silero(argv[2], in);
    else
        score_ours(energy ? NULL : argv[2], in);
    ov_soundin_close(in);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("cannot write");
    return 0;
}
