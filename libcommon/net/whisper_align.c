/* SPDX-License-Identifier: BSD-2-Clause */
/* When tokens were said: where the attention of some heads to the sound
 * goes, and the cheapest monotone path through it.
 * In: what was heard, tokens.  Out: rows of the encoder, probabilities.
 * Source: openai/whisper, whisper/timing.py. */
#include "net/whisper_decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEDIAN = 7 };

/* Over the tokens, for one head and row of the encoder: mean 0, deviation
 * 1.  x [n, rows]. */
static void
standardise(float *x, int n, int rows)
{
    double mean, var, d;
    int t, i;

    for (i = 0; i < rows; i++) {
        mean = var = 0;
        for (t = 0; t < n; t++)
            mean += (double)x[(size_t)t * (size_t)rows + (size_t)i];
        mean /= n;
        for (t = 0; t < n; t++) {
            d = (double)x[(size_t)t * (size_t)rows + (size_t)i] - mean;
            var += d * d;
        }
        var = sqrt(var / n);
        for (t = 0; t < n; t++) {
            float *v = &x[(size_t)t * (size_t)rows + (size_t)i];

            *v = var > 0 ? (float)(((double)*v - mean) / var) : 0;
        }
    }
}

/* The median of each value and three on both sides, the ends mirrored. */
static void
smooth(const float *x, int n, float *y)
{
    enum { SIDE = MEDIAN / 2 };
    float w[MEDIAN];
    int i, j, k;

    if (n <= SIDE) {
        memcpy(y, x, (size_t)n * sizeof *x);
        return;
    }
    for (i = 0; i < n; i++) {
        for (j = 0; j < MEDIAN; j++) {
            int at = i + j - SIDE;
            float v;

            at = at < 0 ? -at : at >= n ? 2 * n - 2 - at : at;
            v = x[at];
            for (k = j; k > 0 && w[k - 1] > v; k--)
                w[k] = w[k - 1];
            w[k] = v;
        }
        y[i] = w[SIDE];
    }
}

/* The products of all heads [heads, n, heard] to one matrix [n, rows]: how
 * much each token looks at each row, the heads' mean. */
static void
weigh(const struct ov_whisper_state *s, int n, int rows, float *x, float *line,
      float *sum)
{
    size_t heard = (size_t)s->heard, size = (size_t)n * (size_t)rows, k;
    int h, t, i;

    memset(sum, 0, size * sizeof *sum);
    for (h = 0; h < s->w->heads; h++) {
        for (t = 0; t < n; t++)
            memcpy(x + (size_t)t * (size_t)rows,
                   s->align + ((size_t)h * (size_t)n + (size_t)t) * heard,
                   (size_t)rows * sizeof *x);
        ov_softmax_rows(x, n, rows, rows);
        standardise(x, n, rows);
        for (t = 0; t < n; t++) {
            smooth(x + (size_t)t * (size_t)rows, rows, line);
            for (i = 0; i < rows; i++)
                sum[(size_t)t * (size_t)rows + (size_t)i] += line[i];
        }
    }
    for (k = 0; k < size; k++)
        sum[k] /= (float)s->w->heads;
}

/* The cheapest path through -x [n, m] from corner to corner, by steps
 * down, right or both (dynamic time warping); time [n]: the column where it
 * enters each row.  trace [n + 1, m + 1], cost [2, m + 1]. */
static void
warp(const float *x, int n, int m, unsigned char *trace, float *cost, int *time)
{
    enum { BOTH, DOWN, RIGHT };
    size_t w = (size_t)m + 1;
    float *above = cost, *here = cost + w, *swap;
    int i, j;

    for (j = 0; j <= m; j++) {
        above[j] = j == 0 ? 0 : INFINITY;
        trace[j] = RIGHT;
    }
    for (i = 1; i <= n; i++) {
        here[0] = INFINITY;
        trace[(size_t)i * w] = DOWN;
        for (j = 1; j <= m; j++) {
            float c0 = above[j - 1], c1 = above[j], c2 = here[j - 1], c;
            unsigned char t;

            t = c0 < c1 && c0 < c2 ? BOTH : c1 < c0 && c1 < c2 ? DOWN : RIGHT;
            c = t == BOTH ? c0 : t == DOWN ? c1 : c2;
            here[j] =
                (float)((double)c -
                        (double)
                            x[(size_t)(i - 1) * (size_t)m + (size_t)(j - 1)]);
            trace[(size_t)i * w + (size_t)j] = t;
        }
        swap = above;
        above = here;
        here = swap;
    }
    for (i = n, j = m; i > 0 || j > 0;) {
        unsigned char t = i == 0   ? RIGHT
                          : j == 0 ? DOWN
                                   : trace[(size_t)i * w + (size_t)j];

        if (i > 0)
            time[i - 1] = j > 0 ? j - 1 : 0;
        i -= t != RIGHT;
        j -= t != DOWN;
    }
}

/* Probabilities of tokens text [n], among all of text, from the hidden rows
 * that come before them. */
static void
probabilities(struct ov_whisper_state *s, const float *hidden,
              const int32_t *text, int n, int32_t eot, float *logits,
              float *prob)
{
    size_t d = (size_t)s->w->d.text_state;
    int i;

    for (i = 0; i < n; i++) {
        ov_whisper_logits(s, hidden + (size_t)i * d, 1, logits);
        ov_softmax_rows(logits, 1, eot, eot);
        prob[i] = logits[text[i]];
    }
}

/* Memory of one alignment. */
struct room {
    int32_t *tokens;
    float *align, *x, *sum, *line, *cost, *logits;
    unsigned char *trace;
};

static bool
allot(struct room *r, const struct ov_whisper_state *s, int n, int rows)
{
    size_t t = (size_t)n, m = (size_t)rows;

    r->tokens = malloc(t * sizeof *r->tokens);
    r->align =
        malloc((size_t)s->w->heads * t * (size_t)s->heard * sizeof(float));
    r->x = malloc(t * m * sizeof(float));
    r->sum = malloc(t * m * sizeof(float));
    r->line = malloc(m * sizeof(float));
    r->cost = malloc(2 * (m + 1) * sizeof(float));
    r->logits = malloc((size_t)s->w->d.vocab * sizeof(float));
    r->trace = malloc((t + 1) * (m + 1));
    return r->tokens != NULL && r->align != NULL && r->x != NULL &&
           r->sum != NULL && r->line != NULL && r->cost != NULL &&
           r->logits != NULL && r->trace != NULL;
}

static void
release(struct room *r)
{
    free(r->tokens);
    free(r->align);
    free(r->x);
    free(r->sum);
    free(r->line);
    free(r->cost);
    free(r->logits);
    free(r->trace);
}

int
ov_whisper_align(struct ov_whisper_state *s, const int32_t *begin, int m,
                 const int32_t *text, int n, int32_t eot, int rows, int *time,
                 float *prob, struct ov_err *err)
{
    int all = m + n + 1, i;
    struct room r = {0};
    const float *h;
    size_t d = (size_t)s->w->d.text_state;

    rows = rows < s->heard ? rows : s->heard;
    if (m < 1 || n < 1 || rows < 1 || all > s->w->d.text_ctx || eot < 1)
        return ov_err_set(err, OV_EUSAGE, "%d tokens cannot be aligned", all);
    for (i = 0; i < n; i++)
        if (text[i] < 0 || text[i] >= eot)
            return ov_err_set(err, OV_EUSAGE, "token %ld is not text",
                              (long)text[i]);
    if (!allot(&r, s, all, rows)) {
        release(&r);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    memcpy(r.tokens, begin, (size_t)m * sizeof *begin);
    memcpy(r.tokens + m, text, (size_t)n * sizeof *text);
    r.tokens[all - 1] = eot;
    ov_whisper_forget(s);
    s->align = r.align;
    h = ov_whisper_read(s, r.tokens, all);
    weigh(s, all, rows, r.x, r.line, r.sum);
    s->align = NULL;
    /* rows of the token before the text, and of the text */
    warp(r.sum + (size_t)(m - 1) * (size_t)rows, n + 1, rows, r.trace, r.cost,
         time);
    probabilities(s, h + (size_t)(m - 1) * d, text, n, eot, r.logits, prob);
    ov_whisper_forget(s);
    release(&r);
    return OV_OK;
}
