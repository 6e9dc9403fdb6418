/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of a window and when they were said.
 * In: what was heard, the tokens of segments.  Out: words with times. */
#include "stage/transcribe_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double ROWS_A_SECOND = 50;

/* Signs that belong to the word behind them, or before them. */
static const char opening[] = "\"'\xe2\x80\x9c\xc2\xbf([{-";
static const char closing[] =
    "\"'.\xe3\x80\x82,\xef\xbc\x8c!\xef\xbc\x81?\xef\xbc\x9f:\xef\xbc\x9a"
    "\xe2\x80\x9d)]}\xe3\x80\x81";
static const char ending[] = ".\xe3\x80\x82!\xef\xbc\x81?\xef\xbc\x9f";

void
ov_timings_free(struct ov_timings *t)
{
    ov_whisper_words_free(&t->words);
    free(t->at);
    free(t->time);
    free(t->prob);
    memset(t, 0, sizeof *t);
}

/* Do the n bytes of s stand somewhere in all?  Nothing does. */
static bool
among(const char *s, size_t n, const char *all)
{
    size_t len = strlen(all), i;

    for (i = 0; i + n <= len; i++)
        if (memcmp(all + i, s, n) == 0)
            return true;
    return false;
}

static bool
word_among(const struct ov_timings *t, const struct ov_timing *w,
           const char *all)
{
    return among(t->words.text.p + w->text, w->text_n, all);
}

static int
by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

/* The median length of words that have one, 0.7 s at most; false: none has
 * (then it is 0). */
static bool
measure(struct ov_timings *t, struct ov_err *err, int *r)
{
    double *d = malloc((t->n + 1) * sizeof *d), len;
    size_t i, n = 0;

    t->median_s = 0;
    if (d == NULL) {
        *r = ov_err_set(err, OV_ERUN, "words: out of memory");
        return false;
    }
    for (i = 0; i < t->n; i++) {
        len = t->at[i].end_s - t->at[i].begin_s;
        if (len != 0)
            d[n++] = len;
    }
    if (n > 0) {
        qsort(d, n, sizeof *d, by_value);
        t->median_s = (d[(n - 1) / 2] + d[n / 2]) / 2;
        t->median_s = t->median_s < 0.7 ? t->median_s : 0.7;
    }
    t->longest_s = 2 * t->median_s;
    free(d);
    return n > 0;
}

/* A word too long at the end of a sentence: the pause is in it. */
static void
cut_long(struct ov_timings *t)
{
    size_t i;

    for (i = 1; i < t->n; i++) {
        struct ov_timing *w = &t->at[i];

        if (w->end_s - w->begin_s <= t->longest_s)
            continue;
        if (word_among(t, w, ending))
            w->end_s = w->begin_s + t->longest_s;
        else if (word_among(t, w - 1, ending))
            w->begin_s = w->end_s - t->longest_s;
    }
}

/* What stands between two words that are joined was joined before: their
 * texts touch. */
static void
join_into(struct ov_timing *to, struct ov_timing *gone)
{
    if (to->text_n == 0)
        to->text = gone->text;
    else if (gone->text_n > 0 && gone->text < to->text)
        to->text = gone->text;
    to->text_n += gone->text_n;
    to->tokens += gone->tokens;
    gone->text_n = gone->tokens = 0;
}

static void
join_signs(struct ov_timings *t)
{
    const char *s;
    size_t i, j, n;

    for (i = t->n - 1, j = t->n - 1; t->n > 1 && i-- > 0;) {
        struct ov_timing *w = &t->at[i];

        s = t->words.text.p + w->text;
        if (w->text_n > 0 && *s == ' ' &&
            (s = ov_whisper_strip(s, w->text_n, &n), among(s, n, opening)))
            join_into(&t->at[j], w);
        else
            j = i;
    }
    for (i = 0, j = 1; j < t->n; j++) {
        struct ov_timing *w = &t->at[i];

        s = t->words.text.p + w->text;
        if ((w->text_n == 0 || s[w->text_n - 1] != ' ') &&
            word_among(t, &t->at[j], closing))
            join_into(w, &t->at[j]);
        else
            i = j;
    }
}

static int
room_for(struct ov_timings *t, size_t tokens, size_t words, struct ov_err *err)
{
    struct ov_timing *at = t->at;
    float *p;
    int *q;

    if (tokens + 1 > t->tokens_room) {
        q = realloc(t->time, (tokens + 1) * sizeof *q);
        t->time = q != NULL ? q : t->time;
        p = realloc(t->prob, (tokens + 1) * sizeof *p);
        t->prob = p != NULL ? p : t->prob;
        if (p == NULL || q == NULL)
            return ov_err_set(err, OV_ERUN, "words: out of memory");
        t->tokens_room = tokens + 1;
    }
    if (words > t->room) {
        at = realloc(at, words * sizeof *at);
        if (at == NULL)
            return ov_err_set(err, OV_ERUN, "words: out of memory");
        t->at = at;
        t->room = words;
    }
    return OV_OK;
}

/* The times of the first n words from those of their tokens. */
static void
set_times(struct ov_timings *t, size_t n)
{
    size_t i, k;

    for (i = 0; i < n; i++) {
        const struct ov_whisper_word *w = &t->words.word[i];
        double sum = 0;

        for (k = 0; k < w->count; k++)
            sum += (double)t->prob[w->first + k];
        t->at[i] =
            (struct ov_timing){w->text,
                               w->text_n,
                               w->count,
                               t->time[w->first] / ROWS_A_SECOND,
                               t->time[w->first + w->count] / ROWS_A_SECOND,
                               sum / (double)w->count};
    }
    t->n = n;
}

int
ov_timings_align(struct ov_timings *t, const struct ov_whisper_tokens *tok,
                 struct ov_whisper_state *s, const int32_t *begin, int m,
                 const int32_t *ids, int n, int rows, const char *language,
                 struct ov_err *err)
{
    int r;

    t->n = 0;
    t->median_s = t->longest_s = 0;
    if (n == 0 || rows < 1 || m + n + 1 > s->w->d.text_ctx)
        return OV_OK;
    r = ov_whisper_split(tok, ids, (size_t)n, language, &t->words, err);
    if (r == OV_OK)
        r = room_for(t, (size_t)n, t->words.n, err);
    if (r == OV_OK)
        r = ov_whisper_align(s, begin, m, ids, n, tok->ids.eot, rows, t->time,
                             t->prob, err);
    if (r != OV_OK || t->words.n == 0)
        return r;
    set_times(t, t->words.n);
    if (measure(t, err, &r))
        cut_long(t);
    if (r == OV_OK)
        join_signs(t);
    return r;
}

/* dealing ---------------------------------------------------------------- */

/* To two decimals, as they are printed. */
static double
round2(double x)
{
    char s[64];

    snprintf(s, sizeof s, "%.2f", x);
    return strtod(s, NULL);
}

/* The first words after a pause are not longer than twice the usual. */
static void
cut_first(const struct ov_timings *t, struct ov_transcribe_word *w, size_t n,
          double last_s)
{
    double longest = t->longest_s, edge;

    if (w[0].end_s - last_s <= 4 * t->median_s)
        return;
    if (w[0].end_s - w[0].begin_s <= longest &&
        (n < 2 || w[1].end_s - w[0].begin_s <= 2 * longest))
        return;
    if (n > 1 && w[1].end_s - w[1].begin_s > longest) {
        edge = fmax(w[1].end_s / 2, w[1].end_s - longest);
        w[0].end_s = w[1].begin_s = edge;
    }
    w[0].begin_s = fmax(0, w[0].end_s - longest);
}

/* Segment and words agree on begin and end: the segment's where the word is
 * too long, else the word's. */
static void
agree(const struct ov_timings *t, struct ov_timed_segment *g)
{
    struct ov_transcribe_word *first = g->word, *last = g->word + g->n - 1;

    if (g->begin_s < first->end_s && g->begin_s - 0.5 > first->begin_s)
        first->begin_s = fmax(0, fmin(first->end_s - t->median_s, g->begin_s));
    else
        g->begin_s = first->begin_s;
    if (g->end_s > last->begin_s && g->end_s + 0.5 < last->end_s)
        last->end_s = fmax(last->begin_s + t->median_s, g->end_s);
    else
        g->end_s = last->end_s;
}

void
ov_timings_deal(const struct ov_timings *t, struct ov_timed_segment *g,
                size_t *next, double offset_s, double *last_s)
{
    const struct ov_timing *w;
    size_t dealt = 0;

    g->n = 0;
    for (; *next < t->n && dealt < g->tokens; (*next)++) {
        w = &t->at[*next];
        dealt += w->tokens;
        if (w->text_n > 0)
            g->word[g->n++] = (struct ov_transcribe_word){
                round2(offset_s + w->begin_s), round2(offset_s + w->end_s),
                w->prob, t->words.text.p + w->text, w->text_n};
    }
    if (g->n == 0)
        return;
    cut_first(t, g->word, g->n, *last_s);
    agree(t, g);
    *last_s = g->end_s;
}
