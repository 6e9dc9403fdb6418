/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2 where golden vectors do not reach: other kinds of blocks,
 * prompts longer than a part, two sequences against each alone, sampling.
 * In: weights drawn here.  Out: TAP. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/yaml.h"
#include "net/miniomni.h"
#include "tests/unit/tap.h"

enum {
    D = 12,
    HEADS = 4,
    GROUPS = 2,
    HD = 6,
    FF = 20,
    LAYERS = 2,
    TEXT = 80,
    AUDIO = 70,
    PADDED = TEXT + 7 * AUDIO + 6,
    QKV = (HEADS + 2 * GROUPS) * HD,
    MAX = 100,
    LONG = 200
};

static uint64_t state = 5;

static float
draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 1073741824.0 - 1);
}

static struct ov_array all[MAX];
static size_t count;

static void
add(const char *name, int rows, int cols)
{
    struct ov_array *a = &all[count++];
    size_t n = (size_t)rows * (size_t)cols, i;
    float *x = malloc(n * sizeof *x);

    for (i = 0; i < n; i++)
        x[i] = draw() / sqrtf((float)cols) * 1.5f;
    *a = (struct ov_array){.name = strdup(name),
                           .dtype = OV_F32,
                           .rank = cols > 1 ? 2 : 1,
                           .shape = {rows, cols},
                           .data = x};
}

static const float *
get(const char *fmt, int layer, const char *rest)
{
    char name[100];
    size_t i;

    snprintf(name, sizeof name, "%s%d%s", fmt, layer, rest);
    if (layer < 0)
        snprintf(name, sizeof name, "%s%s", fmt, rest);
    for (i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].data;
    return NULL;
}

static void
add_all(bool plain)
{
    static const struct {
        const char *name;
        int rows, cols;
        bool bias; /* only with biases */
    } parts[] = {{"norm_1.weight", D, 1, false},
                 {"norm_1.bias", D, 1, true},
                 {"norm_2.weight", D, 1, false},
                 {"attn.attn.weight", QKV, D, false},
                 {"attn.attn.bias", QKV, 1, true},
                 {"attn.proj.weight", D, HEADS * HD, false},
                 {"attn.proj.bias", D, 1, true},
                 {"mlp.fc.weight", FF, D, true},
                 {"mlp.fc.bias", FF, 1, true},
                 {"mlp.fc_1.weight", FF, D, false},
                 {"mlp.fc_2.weight", FF, D, false},
                 {"mlp.proj.weight", D, FF, false},
                 {"mlp.proj.bias", D, 1, true}};
    char name[100];
    size_t k;
    int i;

    for (i = 0; i < LAYERS; i++)
        for (k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            snprintf(name, sizeof name, "transformer.h.%d.%s", i,
                     parts[k].name);
            if (!parts[k].bias || plain)
                add(name, parts[k].rows, parts[k].cols);
        }
    add("transformer.wte.weight", PADDED, D);
    add("transformer.ln_f.weight", D, 1);
    if (plain) {
        add("transformer.ln_f.bias", D, 1);
        add("lm_head.weight", PADDED, D);
        add("lm_head.bias", PADDED, 1);
    }
}

/* the definition, in double precision -------------------------------------- */

static bool plain; /* LayerNorm, GELU, side by side, biases; else the other */

static void
linear(const double *x, int in, const float *w, const float *b, int out,
       double *y)
{
    int i, j;

    for (i = 0; i < out; i++) {
        y[i] = b != NULL ? b[i] : 0;
        for (j = 0; j < in; j++)
            y[i] += w[i * in + j] * x[j];
    }
}

static void
norm(const double *x, const float *w, const float *b, double *y)
{
    double m = 0, v = 0;
    int i;

    for (i = 0; i < D && plain; i++)
        m += x[i] / D;
    for (i = 0; i < D; i++)
        v += (x[i] - m) * (x[i] - m) / D;
    for (i = 0; i < D; i++)
        y[i] = (x[i] - m) / sqrt(v + 1e-5) * w[i] + (b != NULL ? b[i] : 0);
}

/* The first half of each head turns, half as fast; or all of it. */
static void
turn(double *x, int pos)
{
    int dims = plain ? HD / 3 : HD, i;
    double y[HD];

    memcpy(y, x, sizeof y);
    for (i = 0; i < dims / 2; i++) {
        double a = (plain ? pos / 2.0 : pos) * pow(10000, -2.0 * i / dims);

        y[i] = x[i] * cos(a) - x[i + dims / 2] * sin(a);
        y[i + dims / 2] = x[i + dims / 2] * cos(a) + x[i] * sin(a);
    }
    memcpy(x, y, sizeof y);
}

static double
gelu(double x)
{
    return plain ? 0.5 * x * (1 + erf(x / sqrt(2)))
                 : 0.5 * x *
                       (1 + tanh(sqrt(2 / 3.14159265358979323846) *
                                 (x + 0.044715 * x * x * x)));
}

static void
feed(int l, const double *x, double *y)
{
    double a[FF], b[FF];
    int i;

    linear(
        x, D,
        get("transformer.h.", l, plain ? ".mlp.fc.weight" : ".mlp.fc_1.weight"),
        get("transformer.h.", l, ".mlp.fc.bias"), FF, a);
    if (!plain)
        linear(x, D, get("transformer.h.", l, ".mlp.fc_2.weight"), NULL, FF, b);
    for (i = 0; i < FF; i++)
        a[i] = gelu(a[i]) * (plain ? 1 : b[i]);
    linear(a, FF, get("transformer.h.", l, ".mlp.proj.weight"),
           get("transformer.h.", l, ".mlp.proj.bias"), D, y);
}

static double q[LONG][QKV];

/* Head h of position t over what came before. */
static void
attend(int t, int h, double *y)
{
    int per = HEADS / GROUPS, g = h / per, i, j;
    const double *a = q[t] + (g * (per + 2) + h % per) * HD, *k;
    double p[LONG], most = -1e300, sum = 0;

    for (i = 0; i <= t; i++) {
        k = q[i] + (g * (per + 2) + per) * HD;
        for (p[i] = 0, j = 0; j < HD; j++)
            p[i] += a[j] * k[j] / sqrt(HD);
        most = p[i] > most ? p[i] : most;
    }
    for (i = 0; i <= t; i++)
        sum += p[i] = exp(p[i] - most);
    for (j = 0; j < HD; j++)
        for (y[j] = 0, i = 0; i <= t; i++)
            y[j] += p[i] / sum * q[i][(g * (per + 2) + per + 1) * HD + j];
}

static void
block(int l, double (*x)[D], int n)
{
    int per = HEADS / GROUPS, t, g, h, i;
    double(*normed)[D] = malloc((size_t)n * sizeof *normed);
    double z[HEADS * HD], a[D], f[D];

    for (t = 0; t < n; t++) {
        norm(x[t], get("transformer.h.", l, ".norm_1.weight"),
             get("transformer.h.", l, ".norm_1.bias"), normed[t]);
        linear(normed[t], D, get("transformer.h.", l, ".attn.attn.weight"),
               get("transformer.h.", l, ".attn.attn.bias"), QKV, q[t]);
        for (g = 0; g < GROUPS; g++)
            for (h = 0; h <= per; h++)
                turn(q[t] + (g * (per + 2) + h) * HD, t);
    }
    for (t = 0; t < n; t++) {
        for (h = 0; h < HEADS; h++)
            attend(t, h, z + h * HD);
        linear(z, HEADS * HD, get("transformer.h.", l, ".attn.proj.weight"),
               get("transformer.h.", l, ".attn.proj.bias"), D, a);
        for (i = 0; i < D; i++)
            x[t][i] += a[i];
        if (!plain)
            norm(x[t], get("transformer.h.", l, ".norm_2.weight"), NULL,
                 normed[t]);
        feed(l, normed[t], f);
        for (i = 0; i < D; i++)
            x[t][i] += f[i];
    }
    free(normed);
}

/* Logits of the last of n rows. */
static void
define(const float *rows, int n, double *logits)
{
    static double x[LONG][D];
    double last[D];
    int i;

    for (i = 0; i < n * D; i++)
        x[i / D][i % D] = rows[i];
    for (i = 0; i < LAYERS; i++)
        block(i, x, n);
    norm(x[n - 1], get("transformer.ln_f.weight", -1, ""),
         get("transformer.ln_f.bias", -1, ""), last);
    linear(last, D,
           get(plain ? "lm_head.weight" : "transformer.wte.weight", -1, ""),
           get("lm_head.bias", -1, ""), PADDED, logits);
}

/* tests -------------------------------------------------------------------- */

static struct ov_miniomni *
open_net(struct ov_err *err)
{
    static const char both[] =
        "n_embd: 12\nn_head: 4\nn_query_groups: 2\nhead_size: 6\nn_layer: 2\n"
        "block_size: 256\nintermediate_size: 20\npadded_vocab_size: 576\n"
        "text_vocab_size: 80\naudio_vocab_size: 70\n";
    static const char neox[] =
        "norm_class_name: LayerNorm\nmlp_class_name: GptNeoxMLP\nbias: true\n"
        "parallel_residual: true\nshared_attention_norm: true\n"
        "rotary_percentage: 0.34\nrope_condense_ratio: 2\n"
        "lm_head_bias: true\nscale_embeddings: true\n";
    static const char gemma[] =
        "norm_class_name: RMSNorm\nmlp_class_name: GemmaMLP\nbias: false\n"
        "gelu_approximate: tanh\nparallel_residual: false\n"
        "rotary_percentage: 1.0\ntie_word_embeddings: true\n";
    struct ov_miniomni_config c;
    struct ov_miniomni *m = NULL;
    struct ov_json *v = NULL;
    char path[64], text[2048];

    snprintf(text, sizeof text, "%s%s", both, plain ? neox : gemma);
    snprintf(path, sizeof path, "/tmp/t_miniomni.%ld", (long)getpid());
    if (ov_yaml_parse(&v, text, strlen(text), "yaml", err) == OV_OK &&
        ov_miniomni_config(&c, v, false, "yaml", err) == OV_OK &&
        ov_weights_write(path, all, count, NULL, 0, 0, err) == OV_OK)
        ov_miniomni_open(&m, path, &c, OV_MINIOMNI_BACK, err);
    unlink(path);
    ov_json_free(v);
    return m;
}

static double
apart(struct ov_miniomni_state *s, const double *want)
{
    const float *l = ov_miniomni_text(s, 0);
    double most = 0, d;
    int i;

    for (i = 0; i < TEXT; i++) {
        d = fabs(l[i] - want[i]);
        most = d > most || isnan(d) ? d : most;
    }
    l = ov_miniomni_audio(s, 0);
    for (i = 0; i < 7 * AUDIO; i++) {
        d = fabs(l[i] - want[TEXT + i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

static void
test_blocks(const struct ov_miniomni *m, const char *what)
{
    static float x[LONG * D];
    static double want[PADDED];
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_err err = {0};
    double a, b;
    int i;

    for (i = 0; i < LONG * D; i++)
        x[i] = draw();
    define(x, LONG, want);
    ov_miniomni_read(s, x, LONG, &err);
    a = apart(s, want);
    ov_miniomni_state_clear(s);
    for (i = 0; i < LONG; i++)
        ov_miniomni_read(s, x + i * D, 1, &err);
    b = apart(s, want);
    ok(a < 2e-4 && b < 2e-4, "%s: at once %.1e, one by one %.1e", what, a, b);
    ok(ov_miniomni_read(s, x, LONG, &err) == OV_ESTREAM,
       "%s: the context is full: %s", what, err.text);
    ov_miniomni_state_free(s);
}

/* Two sequences at once are what each is alone. */
static void
test_pair(const struct ov_miniomni *m)
{
    float x[10 * D], y[2 * D];
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_miniomni_state *t = ov_miniomni_state_new(m);
    struct ov_err err = {0};
    double most = 0;
    int seq, i;

    for (i = 0; i < 10 * D; i++)
        x[i] = draw();
    for (i = 0; i < 2 * D; i++)
        y[i] = draw();
    ov_miniomni_read(s, x, 10, &err);
    ok(ov_miniomni_state_fork(s, &err) == OV_OK &&
           ov_miniomni_read(s, y, 1, &err) == OV_OK &&
           ov_miniomni_read(s, x, 2, &err) == OV_EUSAGE,
       "two sequences");
    for (seq = 0; seq < 2; seq++) {
        const float *a, *b;

        ov_miniomni_state_clear(t);
        ov_miniomni_read(t, x, 10, &err);
        ov_miniomni_read(t, y + seq * D, 1, &err);
        b = ov_miniomni_text(t, 0);
        a = ov_miniomni_text(s, seq);
        for (i = 0; i < TEXT; i++)
            most = fmax(most, fabs(a[i] - b[i]));
    }
    ok(most < 1e-5, "each is as it is alone: %.1e", most);
    ov_miniomni_state_free(s);
    ov_miniomni_state_free(t);
}

/* A prompt that is read as it comes says what it says as a whole; and what was
 * read stays, while what came behind it is forgotten. */
static void
test_pieces(const struct ov_miniomni *m, enum ov_miniomni_answer kind)
{
    float x[12 * D], other[D];
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_miniomni_options o;
    struct ov_miniomni_talk t;
    int32_t said[3][9][OV_MINIOMNI_STREAMS];
    const float *last = kind == OV_OMNI_PAIRED ? other : NULL;
    struct ov_err err = {0};
    int i, run, n = 0;

    for (i = 0; i < 12 * D; i++)
        x[i] = draw();
    for (i = 0; i < D; i++)
        other[i] = draw();
    ov_miniomni_defaults(&o, ov_miniomni_sizes(m));
    o.eoa = o.eot = -1;
    for (run = 0; run < 3; run++) {
        if (run == 0)
            ov_miniomni_begin(&t, s, kind, &o, x, 12, last, &err);
        else {
            /* the last position alone, and then after another end */
            ov_miniomni_state_keep(s, run == 1 ? 0 : 5);
            if (run == 1)
                ov_miniomni_read(s, x, 5, &err);
            ov_miniomni_read(s, x + 5 * D, run == 1 ? 6 : 2, &err);
            i = run == 1 ? 11 : 7;
            ov_miniomni_begin_at(&t, s, kind, &o, x + i * D, 12 - i, last,
                                 &err);
        }
        for (i = 0; i < 9; i++)
            n += ov_miniomni_next(&t, said[run][i], &err) == 1;
        ov_miniomni_finish(&t);
    }
    ok(n == 27 && memcmp(said[0], said[1], sizeof said[0]) == 0 &&
           memcmp(said[0], said[2], sizeof said[0]) == 0,
       "a prompt of pieces, answer %d", (int)kind);
    o.limit = 12;
    ov_miniomni_state_keep(s, 5);
    ok(ov_miniomni_begin_at(&t, s, kind, &o, x, 7, last, &err) == OV_ESTREAM &&
           strstr(err.text, "12 positions where 12") != NULL,
       "which is too long with them: %s", err.text);
    ov_miniomni_finish(&t);
    ov_miniomni_state_free(s);
}

static int
largest(const float *l, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        best = l[i] > l[best] ? i : best;
    return best;
}

/* A paired answer whose text ends at its third token: who speaks goes on as
 * alone, with what was written. */
static void
test_text_over(const struct ov_miniomni *m)
{
    enum { STEPS = 12, END = 3 };
    float x[10 * D], other[D];
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_miniomni_options o;
    struct ov_miniomni_talk t;
    int32_t said[STEPS][OV_MINIOMNI_STREAMS];
    int32_t pad = ov_miniomni_pad_t(ov_miniomni_sizes(m));
    struct ov_err err = {0};
    int run, i, j, n = 0, same = 0;

    for (i = 0; i < 10 * D; i++)
        x[i] = draw();
    for (i = 0; i < D; i++)
        other[i] = draw();
    ov_miniomni_defaults(&o, ov_miniomni_sizes(m));
    o.eoa = o.eot = -1;
    for (run = 0; run < 2; run++) {
        ov_miniomni_begin(&t, s, OV_OMNI_PAIRED, &o, x, 10, other, &err);
        for (i = 0; i < STEPS; i++)
            n += ov_miniomni_next(&t, said[i], &err) == 1;
        ov_miniomni_finish(&t);
        o.eot = said[END][7];
    }
    for (i = 1; i < STEPS && said[i][7] != o.eot; i++)
        ;
    for (j = i + 1; j < STEPS && said[j][7] == pad; j++)
        ;
    ok(n == 2 * STEPS && i <= END && j == STEPS, "the text ends with token %d",
       i);
    ov_miniomni_state_clear(s);
    ov_miniomni_read(s, x, 10, &err);
    for (i = 0; i < STEPS; i++) {
        for (j = 0; j < 7; j++)
            same += largest(ov_miniomni_audio(s, 0) + j * AUDIO, AUDIO) ==
                    said[i][j];
        ov_miniomni_embed_step(m, said[i], NULL, x, &err);
        ov_miniomni_read(s, x, 1, &err);
    }
    ok(same == 7 * STEPS, "and speech goes on: %d of %d", same, 7 * STEPS);
    ov_miniomni_state_free(s);
}

/* Seeds decide; the same seed says the same. */
static void
test_sampling(const struct ov_miniomni *m)
{
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    struct ov_miniomni_options o;
    struct ov_miniomni_talk t;
    int32_t said[3][20][OV_MINIOMNI_STREAMS];
    float x[4 * D];
    struct ov_err err = {0};
    int i, run, n[3];

    for (i = 0; i < 4 * D; i++)
        x[i] = draw();
    ov_miniomni_defaults(&o, ov_miniomni_sizes(m));
    o.top_k = 0;
    o.temperature = 1.5;
    o.eoa = o.eot = -1;
    o.limit = 24;
    for (run = 0; run < 3; run++) {
        o.seed = run == 2 ? 8 : 7;
        ov_miniomni_begin(&t, s, OV_OMNI_BOTH, &o, x, 4, NULL, &err);
        for (n[run] = 0;
             n[run] < 20 && ov_miniomni_next(&t, said[run][n[run]], &err) == 1;)
            n[run]++;
        ok(ov_miniomni_next(&t, said[run][0], &err) == 0 || n[run] == 20,
           "run %d ends", run);
        ov_miniomni_finish(&t);
    }
    ok(n[0] == 20 && memcmp(said[0][1], said[1][1],
                            sizeof said[0] - sizeof said[0][0]) == 0,
       "the same seed");
    ok(memcmp(said[0][1], said[2][1], sizeof said[0] - sizeof said[0][0]) != 0,
       "another seed");
    o.limit = 4;
    ok(ov_miniomni_begin(&t, s, OV_OMNI_BOTH, &o, x, 4, NULL, &err) ==
           OV_ESTREAM,
       "a prompt beyond the limit: %s", err.text);
    ov_miniomni_finish(&t);
    ov_miniomni_state_free(s);
}

static void
test_layout(const struct ov_miniomni *m)
{
    struct ov_miniomni_prompt p = {
        .task = OV_OMNI_I1A2, .audio = 3, .image = 2};
    int32_t ids[8] = {0};
    float x[D];
    struct ov_err err = {0};
    bool image;

    /* image, 2 pads, end of image, [sound], 2 [sound], pad, end, answer */
    ok(ov_miniomni_prompt_length(&p) == 10 &&
           ov_miniomni_feature(&p, 2, &image) == 1 && image &&
           ov_miniomni_feature(&p, 3, &image) == -1 &&
           ov_miniomni_feature(&p, 4, &image) == 0 && !image &&
           ov_miniomni_feature(&p, 6, &image) == 2 &&
           ov_miniomni_feature(&p, 7, &image) == -1,
       "the sound begins over its mark");
    ids[3] = AUDIO;
    ok(ov_miniomni_embed_step(m, ids, NULL, x, &err) == OV_ESTREAM &&
           (ids[3] = 0, ids[7] = TEXT,
            ov_miniomni_embed_step(m, ids, NULL, x, &err) == OV_ESTREAM),
       "ids out of range");
    ok(ov_miniomni_frames(7) == 0 && ov_miniomni_frames(8) == 1,
       "a frame needs eight positions");
}

int
main(void)
{
    struct ov_miniomni *m;
    struct ov_err err = {0};
    int i;

    for (i = 0; i < 2; i++) {
        plain = i == 0;
        add_all(plain);
        m = open_net(&err);
        if (m == NULL) {
            ok(0, "%s", err.text);
            return tap_done();
        }
        test_blocks(m, plain ? "blocks of GPT-NeoX" : "blocks of Gemma");
        if (i > 0) {
            test_pair(m);
            test_pieces(m, OV_OMNI_PAIRED);
            test_pieces(m, OV_OMNI_BOTH);
            test_pieces(m, OV_OMNI_TEXT);
            test_text_over(m);
            test_sampling(m);
            test_layout(m);
        }
        ov_miniomni_close(m);
        for (; count > 0; count--) {
            free(all[count - 1].name);
            free((void *)(uintptr_t)all[count - 1].data);
        }
    }
    return tap_done();
}
