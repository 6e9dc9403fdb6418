/* SPDX-License-Identifier: BSD-2-Clause */
/* stage/transcribe: where windows are cut, words, and a model of random
 * weights over a long recording.
 * In: nothing.  Out: TAP. */
#include "stage/transcribe.c"
#include "stage/transcribe_words.c"

#include <unistd.h>

#include "tests/unit/tap.h"
#include "tests/unit/whisper_model.h"
#include "text/tiktoken.h"

static struct ov_err err;
static char dir[] = "/tmp/t_transcribe.XXXXXX";

/* cutting ---------------------------------------------------------------- */

/* Cut tokens: numbers below 0 are timestamps -1 - k (each 0.02 s). */
static void
cuts(const char *what, const int *tokens, int n, size_t size, size_t want_seek,
     const double *want, size_t segments)
{
    struct ov_transcribe t = {0};
    struct ov_whisper_tokens *k = &t.tok;
    size_t seek = 1000, i, bad = 0;
    int32_t said[16];
    int j, r;

    ov_whisper_ids_init(&k->ids, 51865, &err);
    if (ov_tiktoken_open(&k->bpe, "ranks", &err) < 0)
        abort();
    for (j = 0; j < n; j++)
        said[j] = tokens[j] < 0 ? k->ids.timestamps - 1 - tokens[j] : tokens[j];
    t.said = (struct ov_whisper_said){.tokens = said, .n = n};
    r = cut(&t, 10, size, &seek, &err);
    ok(r == OV_OK && seek == 1000 + want_seek && t.n_segments == segments,
       "%s: %zu segments, the next window %zu on", what, t.n_segments,
       seek - 1000);
    for (i = 0; i < t.n_segments && i < segments; i++)
        bad += fabs(t.segment[i].begin_s - want[2 * i]) > 1e-9 ||
               fabs(t.segment[i].end_s - want[2 * i + 1]) > 1e-9;
    ok(bad == 0, "%s: their times", what);
    free(t.segment);
    ov_buf_free(&t.text);
    ov_bpe_close(k->bpe);
}

static void
test_cut(void)
{
    cuts("pairs, one alone at the end", (int[]){-1, 300, -51, -51, 301, -101},
         6, 3000, 3000, (double[]){10, 11, 11, 12}, 2);
    cuts("pairs, two at the end", (int[]){-1, 300, -51, -51, 301, -101, -101},
         7, 3000, 200, (double[]){10, 11, 11, 12}, 2);
    cuts("a pair in the middle", (int[]){-1, 300, -51, -51, 301}, 5, 3000, 100,
         (double[]){10, 11}, 1);
    cuts("no end", (int[]){-1, 300}, 2, 500, 500, (double[]){10, 15}, 1);
    cuts("begin and end", (int[]){-1, 300, -76}, 3, 500, 500,
         (double[]){10, 11.5}, 1);
    cuts("no timestamps", (int[]){300, 301}, 2, 700, 700, (double[]){10, 17},
         1);
    cuts("nothing", NULL, 0, 700, 700, (double[]){10, 17}, 1);
}

/* words ------------------------------------------------------------------ */

static struct ov_timings made;

/* Words of a text with '|' between them, one after the other, each as long
 * as said. */
static void
make_words(const char *text, const double *length, double begin_s)
{
    size_t i = 0, n;

    ov_timings_free(&made);
    made.at = calloc(32, sizeof *made.at);
    made.room = 32;
    for (; *text != '\0'; text += n + (text[n] == '|')) {
        n = strcspn(text, "|");
        made.at[i] = (struct ov_timing){made.words.text.n,   n,  1, begin_s,
                                        begin_s + length[i], 0.5};
        begin_s += length[i++];
        ov_buf_put(&made.words.text, text, n);
    }
    made.n = i;
}

static bool
word_is(size_t i, const char *text, size_t tokens)
{
    const struct ov_timing *w = &made.at[i];

    return w->text_n == strlen(text) && w->tokens == tokens &&
           memcmp(made.words.text.p + w->text, text, w->text_n) == 0;
}

static void
test_join(void)
{
    static const double one[] = {1, 1, 1, 1, 1, 1, 1, 1};

    make_words(" (|well|,| world|.|)| -|x", one, 0);
    join_signs(&made);
    ok(word_is(0, "", 0) && word_is(1, " (well,", 3) && word_is(2, "", 0),
       "an opening sign goes to what follows, a comma to what was before");
    ok(word_is(3, " world.)", 3) && word_is(4, "", 0) && word_is(5, "", 0),
       "two signs behind a word");
    ok(word_is(6, "", 0) && word_is(7, " -x", 2), "a dash, too");
    make_words(" a", one, 0);
    join_signs(&made);
    ok(word_is(0, " a", 1), "one word stays");
    make_words("", one, 0);
    join_signs(&made);
    ok(made.n == 0, "no word");
}

static void
test_lengths(void)
{
    static const double l[] = {0.2, 0.2, 0.2, 3, 0, 0.2};
    int r = OV_OK;

    make_words(" a| b| c|.| d| e", l, 0);
    ok(measure(&made, &err, &r) && fabs(made.median_s - 0.2) < 1e-9,
       "the median of those that have a length");
    cut_long(&made);
    ok(fabs(made.at[3].end_s - 1.0) < 1e-9, "a long sign is cut: %g",
       made.at[3].end_s);
    make_words(" a| b|.| d| e", (double[]){0.2, 0.2, 0.2, 3, 0.2}, 0);
    measure(&made, &err, &r);
    cut_long(&made);
    ok(fabs(made.at[3].begin_s - 3.2) < 1e-9,
       "a long word behind one begins later: %g", made.at[3].begin_s);
}

static void
test_deal(void)
{
    struct ov_transcribe_word w[8];
    struct ov_timed_segment g = {
        .begin_s = 30, .end_s = 31, .tokens = 2, .word = w};
    double last_s = 0;
    size_t next = 0;

    make_words(" a| b| c", (double[]){0.2, 0.2, 0.3}, 0.1);
    made.median_s = 0.2;
    made.longest_s = 0.4;
    ov_timings_deal(&made, &g, &next, 30, &last_s);
    ok(g.n == 2 && next == 2 && fabs(w[0].begin_s - 30.1) < 1e-9 &&
           fabs(w[1].end_s - 30.5) < 1e-9,
       "two words for two tokens");
    ok(g.begin_s == 30.1 && g.end_s == 30.5 && last_s == 30.5,
       "the segment becomes theirs");
    g.tokens = 5;
    ov_timings_deal(&made, &g, &next, 30, &last_s);
    ok(g.n == 1 && next == 3, "the rest");
    make_words(" a| b", (double[]){4, 0.2}, 0);
    made.median_s = 0.2;
    made.longest_s = 0.4;
    g = (struct ov_timed_segment){
        .begin_s = 3.8, .end_s = 4.2, .tokens = 2, .word = w};
    next = 0;
    last_s = 0;
    ov_timings_deal(&made, &g, &next, 0, &last_s);
    ok(fabs(w[0].begin_s - 3.6) < 1e-9, "a pause before the first: %g",
       w[0].begin_s);
    ov_timings_free(&made);
}

static void
test_packing(void)
{
    char a[100];
    unsigned char all[256];
    size_t i;

    memset(a, 'a', sizeof a);
    for (i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    ok(ov_zlib_size(a, sizeof a) == 12 && ov_zlib_size("", 0) == 8 &&
           ov_zlib_size(all, sizeof all) == 267,
       "sizes by zlib");
}

/* a recording ------------------------------------------------------------ */

enum { BANDS = 80, SECONDS = 47, FRAMES = 100 * SECONDS + 3 };

static float mel[FRAMES * BANDS];

static void
make_mel(void)
{
    int i, b;

    for (i = 0; i < FRAMES; i++)
        for (b = 0; b < BANDS; b++)
            mel[i * BANDS + b] = (float)(-4 + 2 * sin(i * 0.01 * (1 + b % 7)) +
                                         0.5 * tiny_random());
}

/* Tokens of all windows, and what is wrong with the segments. */
static size_t
run(const struct ov_transcribe_options *o, const int32_t *begin, int m,
    size_t step, int32_t *ids, size_t *bad, size_t *windows)
{
    struct ov_transcribe_segment g;
    struct ov_transcribe *t;
    size_t n = 0, k, i, w;
    const int32_t *p;
    int r = ov_transcribe_open(&t, dir, o, &err), j;

    *bad = *windows = 0;
    if (r != OV_OK) {
        diag("%s", err.text);
        return 0;
    }
    for (j = 0; r == OV_OK && j < m; j++)
        r = ov_transcribe_token(t, begin[j], &err);
    for (i = 0; r == OV_OK && i < FRAMES; i += k) {
        k = FRAMES - i < step ? FRAMES - i : step;
        r = ov_transcribe_frames(t, mel + i * BANDS, k, &err);
    }
    if (r == OV_OK)
        r = ov_transcribe_end(t, &err);
    while (r >= 0 && (r = ov_transcribe_window(t, &err)) > 0 &&
           ++*windows < 100) {
        p = ov_transcribe_said(t, &k);
        memcpy(ids + n, p, k * sizeof *ids);
        n += k;
        for (i = 0; ov_transcribe_segment(t, i, &g); i++) {
            *bad += !(g.begin_s < g.end_s) || g.begin_s < 0 ||
                    g.end_s > SECONDS + 30 || g.text_n == 0;
            for (w = 0; w < g.n_words; w++)
                *bad += !(g.words[w].begin_s <= g.words[w].end_s) ||
                        !(g.words[w].prob >= 0 && g.words[w].prob <= 1);
        }
    }
    if (r < 0)
        diag("%s", err.text);
    ov_transcribe_close(t);
    return r < 0 ? 0 : n;
}

static int asked;

static bool
after_ten(void *ctx)
{
    (void)ctx;
    return ++asked > 10;
}

static void
test_run(const struct ov_whisper_ids *d)
{
    static int32_t a[20000], b[20000];
    const int32_t sot[] = {d->sot},
                  full[] = {d->sot_prev,           300,         301, d->sot,
                            d->first_language + 2, d->translate};
    struct ov_transcribe_options o;
    size_t n, m, bad, windows, i, stamps = 0;

    ov_transcribe_defaults(&o);
    o.no_speech_max = NAN;
    o.max_tokens = 60;
    n = run(&o, sot, 1, FRAMES, a, &bad, &windows);
    for (i = 0; i < n; i++)
        stamps += a[i] >= d->timestamps;
    ok(n > 0 && windows >= 2 && bad == 0,
       "%d vocabulary: %zu windows, %zu tokens, %zu timestamps", d->vocab,
       windows, n, stamps);
    m = run(&o, sot, 1, 7, b, &bad, &windows);
    ok(m == n && memcmp(a, b, n * sizeof *a) == 0,
       "frames may come in any number");
    o.stop = after_ten;
    m = run(&o, sot, 1, FRAMES, b, &bad, &windows);
    ok(n > 20 && m > 0 && m <= 12 && asked <= 10 + 3 * (int)windows,
       "stopped in the middle of a window: %zu tokens, asked %d times", m,
       asked);
    asked = 0;
    o.stop = NULL;
    o.words = true;
    o.max_tokens = 12;
    n = run(&o, sot, 1, 1000, a, &bad, &windows);
    ok(n > 0 && bad == 0, "with words: %zu windows", windows);
    o.words = false;
    o.beams = 3;
    n = run(&o, sot, 1, 1000, a, &bad, &windows);
    ok(n > 0 && bad == 0, "three beams: %zu tokens", n);
    o.beams = 0;
    o.best_of = 2;
    o.tries = 3;
    o.temperature[0] = 0;
    o.temperature[1] = 0.5;
    o.temperature[2] = 1;
    n = run(&o, sot, 1, 1000, a, &bad, &windows);
    m = run(&o, sot, 1, 50, b, &bad, &windows);
    ok(n > 0 && n == m && memcmp(a, b, n * sizeof *a) == 0,
       "second tries come out the same with the same seed");
    o.seed = 5;
    m = run(&o, sot, 1, 50, b, &bad, &windows);
    ok(m > 0 && (m != n || memcmp(a, b, n * sizeof *a) != 0),
       "and another way with another");
    o.tries = 0;
    o.forget = o.blank = true;
    n = run(&o, full, d->multilingual ? 6 : 4, 1000, a, &bad, &windows);
    ok(n > 0 && bad == 0, "text before, language and task");
}

static bool
refuses(const int32_t *ids, int n)
{
    struct ov_transcribe_options o;
    struct ov_transcribe *t;
    int r = OV_OK, i;

    ov_transcribe_defaults(&o);
    if (ov_transcribe_open(&t, dir, &o, &err) < 0)
        return false;
    for (i = 0; r == OV_OK && i < n; i++)
        r = ov_transcribe_token(t, ids[i], &err);
    ov_transcribe_close(t);
    return r == OV_ESTREAM;
}

static void
test_refused(const struct ov_whisper_ids *d)
{
    struct ov_transcribe_options o;
    struct ov_transcribe *t;
    float bad[BANDS] = {0};

    bad[3] = NAN;
    ov_transcribe_defaults(&o);
    if (ov_transcribe_open(&t, dir, &o, &err) < 0)
        abort();
    ok(ov_transcribe_frames(t, bad, 1, &err) == OV_ESTREAM, "%s", err.text);
    ok(ov_transcribe_end(t, &err) == OV_ESTREAM, "%s", err.text);
    ov_transcribe_begin(t);
    ok(ov_transcribe_token(t, d->sot, &err) == OV_OK &&
           ov_transcribe_end(t, &err) == OV_OK &&
           ov_transcribe_window(t, &err) == 0,
       "no sound, no window");
    o.tries = 99;
    ok(ov_transcribe_set(t, &o, &err) == OV_EUSAGE, "%s", err.text);
    o.tries = 1;
    o.beams = 1000;
    ok(ov_transcribe_set(t, &o, &err) == OV_EUSAGE, "%s", err.text);
    ov_transcribe_close(t);
    ok(refuses((int32_t[]){d->transcribe}, 1), "a task before the start");
    ok(refuses((int32_t[]){d->sot, d->sot}, 2), "two starts");
    ok(refuses((int32_t[]){d->sot, d->first_language, d->first_language + 1},
               3),
       "two languages");
    ok(refuses((int32_t[]){d->sot, 300}, 2), "text behind the start");
    ok(refuses((int32_t[]){-1}, 1) && refuses((int32_t[]){d->vocab}, 1),
       "no token at all");
}

/* ------------------------------------------------------------------------ */

static void
test_model(int vocab, const char *ranks)
{
    struct tiny m = {BANDS, 1500, 16, 2, 2, vocab, 448};
    struct ov_whisper_ids d;
    char text[1024];
    int n = tiny_config(&m, text, sizeof text);

    tiny_file(dir, "config.json", text, (size_t)n);
    tiny_weights(dir, &m);
    if (ov_whisper_ids_init(&d, vocab, &err) < 0)
        abort();
    tiny_ranks(dir, ranks, d.eot);
    test_run(&d);
    test_refused(&d);
}

static void
test_vocabularies(void)
{
    struct ov_whisper_ids d;

    ok(ov_whisper_ids_init(&d, 51864, &err) == OV_OK && !d.multilingual &&
           d.languages == 99 && d.timestamps == 50363,
       "English only");
    ok(ov_whisper_ids_init(&d, 51866, &err) == OV_OK && d.multilingual &&
           d.languages == 100 && d.timestamps == 50365,
       "a hundred languages");
    ok(ov_whisper_ids_init(&d, 300, &err) == OV_EMODEL, "%s", err.text);
    ok(ov_whisper_ids_init(&d, 52000, &err) == OV_EMODEL, "%s", err.text);
    ok(ov_whisper_language("German") == ov_whisper_language("de") &&
           ov_whisper_language("castilian") == ov_whisper_language("es") &&
           ov_whisper_language("YUE") == 99 && ov_whisper_language("x") == -1,
       "languages by code and name");
}

int
main(void)
{
    char command[64];

    if (mkdtemp(dir) == NULL || chdir(dir) != 0)
        return 99;
    tiny_ranks(dir, "ranks", 50257);
    test_cut();
    test_join();
    test_lengths();
    test_deal();
    test_packing();
    test_vocabularies();
    make_mel();
    test_model(51865, "multilingual.tiktoken");
    test_model(51864, "gpt2.tiktoken");
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 99 : tap_done();
}
