/* SPDX-License-Identifier: BSD-2-Clause */
/* The trainer: a run interrupted and resumed, or on another number of
 * threads, is the same run to the last bit; and it learns.
 * In: a synthetic corpus.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "math/gemm.h"
#include "tests/unit/tap.h"
#include "train/muon.h"
#include "train/train_codec.h"
#include "train/train_vad.h"

static int16_t sound[12][9600];
static struct ov_utt utt[12];
static struct ov_corpus corpus = { .u = utt, .n = 12 };
static char dir[64];

static void
make_corpus(void)
{
    int u, i;

    for (u = 0; u < 12; u++) {
        for (i = 0; i < 9600; i++)
            sound[u][i] = (int16_t)(9000 * sin(i * (0.05 + 0.01 * u)) *
                                    (0.5 + 0.5 * sin(i * 0.002)));
        utt[u] = (struct ov_utt){ .x = sound[u], .n = 9600, .role = 'c',
                                  .split = "train", .voice = "sine",
                                  .text = "", .family = "", .question = "" };
    }
}

static const struct ov_codec_config cc = {
    .enc_c = 16, .enc_h = 32, .enc_blocks = 1, .dec_c = 16, .dec_h = 32,
    .dec_blocks = 1, .hops = 4, .dim = 16, .stages = 2, .card = 16
};
static const struct ov_codec_config wide = {
    .enc_c = 32, .enc_h = 48, .enc_blocks = 1, .dec_c = 32, .dec_h = 48,
    .dec_blocks = 1, .hops = 4, .dim = 16, .stages = 2, .card = 16
};
static bool halves; /* the encoder alone */
static bool muon; /* the wide codec by Muon, not the other by AdamW */

static const volatile int stop = 1;
static long mean_from;

/* Train the codec in folder name up to steps, several times if it is to be
 * interrupted; returns the weights, all in one block. */
static float *
train(const char *name, int threads, const long *stops, int n, size_t *count)
{
    struct ov_codec_task_options co = { .net = muon ? wide : cc, .batch = 2,
                                        .frames = 8, .quantise_at = 6,
                                        .encoder_only = halves, .seed = 3 };
    struct ov_trainer_options o;
    struct ov_err err = { 0 };
    float *all = NULL;
    char path[160];
    int i, k;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (i = 0; i < n; i++) {
        struct ov_codec_task *t;
        struct ov_task task;
        struct ov_params ps;
        bool done;
        ov_trainer_defaults(&o);
        o.dir = path;
        o.steps = stops[i];
        o.decay_from = 100; /* the rate does not depend on steps */
        o.warmup = 4;
        o.rate = 2e-3;
        o.threads = threads;
        o.muon = muon;
        o.mean_from = mean_from;
        o.stop = n > 9 ? &stop : NULL; /* after each step */
        o.log_every = 1;
        o.quiet = true;
        ov_params_init(&ps, NULL, NULL, 1, true);
        if (ov_codec_task_open(&t, &co, &corpus, &task, &err) != OV_OK ||
            ov_trainer_run(&o, &task, &ps, &done, &err) != OV_OK)
            diag("%s", err.text);
        free(all);
        *count = 0;
        for (k = 0; k < ps.n; k++)
            *count += (size_t)ps.p[k]->t.rows * (size_t)ps.p[k]->t.cols;
        all = malloc(sizeof *all * *count);
        *count = 0;
        for (k = 0; k < ps.n; k++) {
            size_t m = (size_t)ps.p[k]->t.rows * (size_t)ps.p[k]->t.cols;
            memcpy(all + *count, ps.p[k]->t.x, sizeof *all * m);
            *count += m;
        }
        ov_params_free(&ps);
        ov_codec_task_close(t);
    }
    return all;
}

/* The encoder alone: what of a fresh codec's weights has changed. */
static void
t_encoder_only(void)
{
    const long none[1] = { 0 }, some[1] = { 3 };
    size_t n, m, i, changed = 0, encoder = 0;
    struct ov_params ps;
    struct ov_codec net;
    float *a, *b;
    int k;

    halves = true;
    a = train("fresh", 1, none, 1, &n);
    b = train("encoder", 1, some, 1, &m);
    halves = false;
    ov_params_init(&ps, NULL, NULL, 1, false);
    ov_codec_bind(&net, &ps, &cc, OV_CODEC_BOTH);
    for (k = 0; k < ps.n; k++)
        if (strncmp(ps.p[k]->name, "codec.enc.", 10) == 0)
            encoder += (size_t)ps.p[k]->t.rows * (size_t)ps.p[k]->t.cols;
    for (i = 0; n == m && i < n; i++)
        if (a[i] != b[i]) {
            changed++;
            encoder += i >= encoder ? n : 0; /* never right again */
        }
    ok(n == m && changed > encoder / 2 && changed <= encoder,
       "encoder only: %zu weights changed, of %zu", changed, encoder);
    ov_codec_unbind(&net);
    ov_params_free(&ps);
    free(a);
    free(b);
}

/* Loss in the first and last line of a run's log. */
static void
losses(const char *name, double *first, double *last)
{
    char path[160], line[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s/log", dir, name);
    f = fopen(path, "r");
    *first = *last = -1;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *p = strstr(line, " loss=");
        if (p == NULL)
            continue;
        *last = atof(p + 6);
        *first = *first < 0 ? *last : *first;
    }
    if (f != NULL)
        fclose(f);
}

static void
t_labels(void)
{
    static float x[100 * 160], label[100];
    int i, speech = 0;

    for (i = 3200; i < 6400; i++)
        x[i] = (float)sin(i * 0.3);
    for (i = 8000; i < 9600; i++)
        x[i] = (float)sin(i * 0.3);
    ov_vad_label(x, 100, label);
    for (i = 20; i < 60; i++)
        speech += label[i] > 0;
    ok(speech == 40, "labels: a short pause belongs to the speech");
    ok(label[19] == 0 && label[63] == 1 && label[64] == 0,
       "labels: 40 ms more at the end, nothing before the start");
}

/* A step has singular values of about one size, whatever those of the
 * gradient: times its transpose it is nearly diagonal. */
static void
t_step(int rows, int cols)
{
    size_t n = (size_t)rows * (size_t)cols, i;
    int r = rows < cols ? rows : cols;
    ov_real *x = calloc(n, sizeof *x), *g = calloc(n, sizeof *g);
    ov_real *room = calloc(ov_muon_room(rows, cols), sizeof *room);
    ov_real *a = calloc((size_t)(r * r), sizeof *a);
    float *m = calloc(n, sizeof *m);
    float step = 0.2f * sqrtf((float)(rows > cols ? rows : cols));
    double diagonal = 0, rest = 0;
    uint64_t seed = 7;
    int k;

    for (i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        g[i] = (ov_real)((double)(seed >> 40) / (1 << 24) - 0.5);
        if (i % (size_t)cols < (size_t)cols / 2)
            g[i] *= 5; /* half of it weighs more */
        x[i] = 1;
    }
    ov_muon_step(x, g, m, rows, cols, 2, 0.95f, 0.5f, 0, room);
    for (i = 0; i < n; i++)
        x[i] /= -0.5f * step;
    if (rows < cols)
        ov_gemm(false, true, r, r, cols, 1, x, cols, x, cols, 0, a, r);
    else
        ov_gemm(true, false, r, r, rows, 1, x, cols, x, cols, 0, a, r);
    for (k = 0; k < r * r; k++)
        if (k % (r + 1) == 0)
            diagonal += a[k] / r;
        else
            rest = fabs(a[k]) > rest ? fabs(a[k]) : rest;
    ok(diagonal > 0.6 && diagonal < 1.3 && rest < 0.35,
       "muon, %d x %d: rows of a step stand at right angles (%.2f, %.2f)", rows,
       cols, diagonal, rest);
    ok(fabs(m[3] - 2 * (double)g[3]) < 1e-6, "muon: its momentum is kept");
    free(x), free(g), free(room), free(a), free(m);
}

/* The weights after 22, 23 and 24 steps, and their mean; then stopped after
 * every step. */
static void
t_mean(void)
{
    const long last[3] = {22, 23, 24}, whole[1] = {24};
    long every[24];
    float *a[3], *b, *c;
    double worst = 0, moved = 0, d;
    size_t n, m, i;

    muon = false;
    for (i = 0; i < 3; i++)
        a[i] = train("last", 1, last + i, 1, &n);
    mean_from = 21; /* of the steps before it, none */
    b = train("mean", 2, whole, 1, &m);
    for (i = 0; i < n && n == m; i++) {
        d = fabs((a[0][i] + a[1][i] + a[2][i]) / 3.0 - b[i]);
        worst = d > worst ? d : worst;
        d = fabs((double)(a[2][i] - b[i]));
        moved = d > moved ? d : moved;
    }
    ok(n == m && worst < 1e-6 && moved > 1e-5,
       "the mean of the last three steps' weights (%.1e off, %.1e)", worst,
       moved);
    for (i = 0; i < 24; i++)
        every[i] = 24;
    c = train("mean-parts", 1, every, 24, &m);
    ok(n == m && memcmp(b, c, n * sizeof *b) == 0,
       "stopped after every step: the same, bit for bit");
    mean_from = 0;
    for (i = 0; i < 3; i++)
        free(a[i]);
    free(b);
    free(c);
}

static void
t_suits(void)
{
    ok(ov_muon_suits("lm.0.attn.q", 64, 64) &&
           ov_muon_suits("vision.join.weight", 192, 768),
       "muon: hidden matrices are its own");
    ok(!ov_muon_suits("lm.text.embed", 64, 64) &&
           !ov_muon_suits("lm.code.0.head", 64, 64) &&
           !ov_muon_suits("vision.place", 64, 64) &&
           !ov_muon_suits("vision.0.ff.near.weight", 9, 512),
       "muon: tables, heads and kernels are not");
}

int
main(void)
{
    const long whole[1] = { 24 }, parts[3] = { 5, 11, 24 };
    float *a, *b, *c;
    double first, last;
    size_t n, m;
    char command[200];

    snprintf(dir, sizeof dir, "/tmp/ov-trainer-XXXXXX");
    if (mkdtemp(dir) == NULL)
        skip_all("no temporary folder");
    make_corpus();
    a = train("whole", 1, whole, 1, &n);
    b = train("parts", 1, parts, 3, &m);
    ok(n == m && memcmp(a, b, n * sizeof *a) == 0,
       "interrupted twice and resumed: the same %zu weights, bit for bit", n);
    c = train("threads", 2, whole, 1, &m);
    ok(n == m && memcmp(a, c, n * sizeof *a) == 0,
       "two threads: the same weights, bit for bit");
    losses("whole", &first, &last);
    ok(first > 0 && last < 0.8 * first, "it learns: %.3f to %.3f", first,
       last);
    free(a);
    free(b);
    free(c);
    t_encoder_only();
    muon = true;
    a = train("muon", 2, whole, 1, &n);
    b = train("muon-parts", 1, parts, 3, &m);
    ok(n == m && memcmp(a, b, n * sizeof *a) == 0,
       "muon, interrupted: the same %zu weights, bit for bit", n);
    losses("muon", &first, &last);
    ok(first > 0 && last < 0.9 * first, "muon: it learns: %.3f to %.3f", first,
       last);
    free(a);
    free(b);
    t_mean();
    t_step(48, 96);
    t_step(80, 40);
    t_step(64, 64);
    t_suits();
    t_labels();
    snprintf(command, sizeof command, "rm -r %s", dir);
    if (system(command) != 0)
        diag("%s stays", dir);
    return tap_done();
}
