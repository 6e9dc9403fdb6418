/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper's rules, greedy and beam search.
 * In: what was heard, tokens to begin with.  Out: tokens. */
#include "net/whisper_decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/sample.h"
#include "math/vec.h"

/* A sequence: what was sampled so far. */
struct line {
    int32_t *tokens; /* [room] */
    int n;
    float sum;
};

/* A continuation of a beam. */
struct next {
    float sum;
    int32_t token;
    int beam;
};

struct search {
    struct ov_whisper_state *s;
    const struct ov_whisper_ask *a;
    int vocab, width, room;    /* width: sequences at once; room: tokens each */
    float *logits;             /* [width, vocab] */
    float *copy;               /* [vocab], for sampling */
    struct line *line, *spare; /* [width] */
    struct line *done;         /* [done_max]: beams that have ended */
    int n_done, done_max;
    struct next *next; /* [width * (width + 1)] */
    int32_t *last;     /* [width] */
    int *source;       /* [width] */
    double no_speech;
};

/* numbers ---------------------------------------------------------------- */

OV_HOT static float
largest(const float *x, int n)
{
    float max = -INFINITY;
    int i;

    for (i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

OV_HOT static float
sum_exp(const float *x, int n, float max)
{
    double sum = 0;
    int i, k;

    for (i = 0; i < n; i += k) {
        float part = 0;
        int j;

        k = n - i < 256 ? n - i : 256;
        for (j = 0; j < k; j++)
            part += x[i + j] - max < -80 ? 0 : ov_exp(x[i + j] - max);
        sum += (double)part;
    }
    return (float)sum;
}

/* ln sum e^x; -INFINITY if there is nothing. */
static float
log_sum(const float *x, int n)
{
    float max = largest(x, n);

    return max == -INFINITY ? max : max + logf(sum_exp(x, n, max));
}

static int
likeliest(const float *x, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static void
hide(float *x, int from, int to)
{
    for (; from < to; from++)
        x[from] = -INFINITY;
}

/* rules ------------------------------------------------------------------ */

/* Timestamps come in pairs but at the begin and the end, and rise. */
static void
pair_timestamps(const struct search *q, const struct line *l, float *x)
{
    const struct ov_whisper_rules *r = &q->a->rules;
    int32_t t0 = r->timestamps, last = -1;
    bool one, two;
    int i;

    one = l->n >= 1 && l->tokens[l->n - 1] >= t0;
    two = l->n < 2 || l->tokens[l->n - 2] >= t0;
    if (one && two)
        hide(x, t0, q->vocab);
    else if (one)
        hide(x, 0, r->eot);
    for (i = 0; i < l->n; i++)
        if (l->tokens[i] >= t0)
            last = l->tokens[i];
    if (last >= 0)
        hide(x, t0, one && !two ? last : last + 1);
}

/* Logits x [vocab] of what comes after l. */
static void
apply_rules(const struct search *q, const struct line *l, float *x)
{
    const struct ov_whisper_rules *r = &q->a->rules;
    int32_t t0 = r->timestamps;
    int i;

    for (i = 0; l->n == 0 && i < r->n_first; i++)
        x[r->first[i]] = -INFINITY;
    for (i = 0; i < r->n_never; i++)
        x[r->never[i]] = -INFINITY;
    if (!r->timed)
        return;
    if (r->no_timestamps >= 0)
        x[r->no_timestamps] = -INFINITY;
    pair_timestamps(q, l, x);
    if (l->n == 0) {
        hide(x, 0, t0);
        if (r->latest >= 0 && t0 + r->latest + 1 < q->vocab)
            hide(x, t0 + r->latest + 1, q->vocab);
    }
    /* a timestamp, if all of them together are likelier than any text */
    if (log_sum(x + t0, q->vocab - t0) > largest(x, t0))
        hide(x, 0, t0);
}

/* searches --------------------------------------------------------------- */

static void
append(struct line *l, int32_t token)
{
    l->tokens[l->n++] = token;
}

/* One token for each sequence; true when all have ended. */
static bool
choose(struct search *q, uint64_t *draws)
{
    const struct ov_whisper_ask *a = q->a;
    struct ov_sampling how = {a->temperature, 0, 1};
    bool all = true;
    int b, id;

    for (b = 0; b < q->width; b++) {
        struct line *l = &q->line[b];
        float *x = q->logits + (size_t)b * (size_t)q->vocab;

        id = a->rules.eot;
        if (l->n == 0 || l->tokens[l->n - 1] != a->rules.eot) {
            if (a->temperature > 0) {
                memcpy(q->copy, x, (size_t)q->vocab * sizeof *x);
                id = ov_sample(&how, q->copy, q->vocab, a->seed, (*draws)++);
            } else
                id = likeliest(x, q->vocab);
            l->sum += x[id] - log_sum(x, q->vocab);
        }
        append(l, id);
        all = all && id == a->rules.eot;
    }
    return all;
}

/* The k likeliest of x [n] into out, the first of equals first. */
static int
top(const float *x, int n, int k, int32_t *out)
{
    int i, j, m = 0;

    for (i = 0; i < n; i++) {
        if (m == k && !(x[i] > x[out[m - 1]]))
            continue;
        j = m < k ? m++ : m - 1;
        for (; j > 0 && x[i] > x[out[j - 1]]; j--)
            out[j] = out[j - 1];
        out[j] = i;
    }
    return m;
}

/* All continuations that may count, best first (equal ones as they came). */
static int
continuations(struct search *q, bool first)
{
    int32_t best[OV_WHISPER_BEAMS + 1];
    int beams = first ? 1 : q->width; /* at first all are the same */
    int b, i, j, k, n = 0;

    for (b = 0; b < beams; b++) {
        const float *x = q->logits + (size_t)b * (size_t)q->vocab;
        float norm = log_sum(x, q->vocab);

        k = top(x, q->vocab, q->width + 1, best);
        for (i = 0; i < k; i++) {
            struct next c = {q->line[b].sum + (x[best[i]] - norm), best[i], b};

            for (j = n++; j > 0 && c.sum > q->next[j - 1].sum; j--)
                q->next[j] = q->next[j - 1];
            q->next[j] = c;
        }
    }
    return n;
}

static void
copy_line(struct line *to, const struct line *from)
{
    memcpy(to->tokens, from->tokens, (size_t)from->n * sizeof *to->tokens);
    to->n = from->n;
    to->sum = from->sum;
}

/* Keep the best beams that go on, and those that ended before them; true
 * when enough have ended. */
static bool
extend(struct search *q, bool first)
{
    int n = continuations(q, first), i, kept = 0;
    struct line *swap, *l;

    for (i = 0; i < n && kept < q->width; i++) {
        const struct next *c = &q->next[i];

        if (c->token == q->a->rules.eot) {
            if (q->n_done == q->done_max)
                continue;
            l = &q->done[q->n_done++];
        } else {
            q->source[kept] = c->beam;
            l = &q->spare[kept++];
        }
        copy_line(l, &q->line[c->beam]);
        l->sum = c->sum;
        append(l, c->token);
    }
    swap = q->line;
    q->line = q->spare;
    q->spare = swap;
    ov_whisper_reorder(q->s, q->source, q->width);
    return q->n_done >= q->done_max;
}

/* Beams that did not end count, too, if too few have. */
static void
finish_beams(struct search *q)
{
    int b, best;

    while (q->n_done < q->width) {
        best = -1;
        for (b = 0; b < q->width; b++)
            if (q->line[b].n >= 0 &&
                (best < 0 || q->line[b].sum >= q->line[best].sum))
                best = b;
        if (best < 0)
            return;
        copy_line(&q->done[q->n_done++], &q->line[best]);
        q->line[best].n = -1;
    }
}

/* The logits after the tokens to begin with, for all sequences. */
static void
begin(struct search *q)
{
    const struct ov_whisper_ask *a = q->a;
    size_t d = (size_t)q->s->w->d.text_state, v = (size_t)q->vocab;
    const float *h;
    float *x = q->logits;
    int b;

    ov_whisper_forget(q->s);
    h = ov_whisper_read(q->s, a->tokens, a->n);
    if (a->rules.no_speech >= 0) {
        ov_whisper_logits(q->s, h + (size_t)a->sot * d, 1, x);
        q->no_speech =
            (double)expf(x[a->rules.no_speech] - log_sum(x, q->vocab));
    }
    ov_whisper_logits(q->s, h + (size_t)(a->n - 1) * d, 1, x);
    for (b = 1; b < q->width; b++)
        memcpy(x + (size_t)b * v, x, v * sizeof *x);
}

static void
run(struct search *q)
{
    const struct ov_whisper_ask *a = q->a;
    bool beams = a->beams > 1 && a->temperature == 0, all = false;
    uint64_t draws = a->count;
    int i, b;

    for (i = 0; i < a->max && !all; i++) {
        if (a->stop != NULL && a->stop(a->stop_ctx))
            break;
        if (i == 0)
            begin(q);
        else {
            for (b = 0; b < q->width; b++)
                q->last[b] = q->line[b].tokens[q->line[b].n - 1];
            ov_whisper_logits(q->s, ov_whisper_step(q->s, q->last, q->width),
                              q->width, q->logits);
        }
        for (b = 0; b < q->width; b++)
            apply_rules(q, &q->line[b],
                        q->logits + (size_t)b * (size_t)q->vocab);
        all = beams ? extend(q, i == 0) : choose(q, &draws);
        if (a->n + i + 1 > q->s->w->d.text_ctx)
            break;
    }
    if (beams)
        finish_beams(q);
}

/* Tokens before the end. */
static int
length(const struct search *q, const struct line *l)
{
    int n = 0;

    while (n < l->n && l->tokens[n] != q->a->rules.eot)
        n++;
    return n;
}

static double
score(const struct search *q, const struct line *l)
{
    int n = length(q, l);

    if (q->a->length_penalty >= 0)
        return (double)l->sum / pow((5 + n) / 6.0, q->a->length_penalty);
    return n > 0 ? (double)l->sum / n : -INFINITY;
}

static int
choose_best(const struct search *q, const struct line *l, int n,
            struct ov_whisper_said *said, struct ov_err *err)
{
    int i, best = 0, room;
    int32_t *p;

    for (i = 1; i < n; i++)
        if (score(q, &l[i]) > score(q, &l[best]))
            best = i;
    said->n = n > 0 ? length(q, &l[best]) : 0;
    room = said->n + 1;
    if (room > said->room) {
        p = realloc(said->tokens, (size_t)room * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        said->tokens = p;
        said->room = room;
    }
    if (said->n > 0)
        memcpy(said->tokens, l[best].tokens,
               (size_t)said->n * sizeof *said->tokens);
    said->sum_logprob = n > 0 ? (double)l[best].sum : 0;
    said->avg_logprob = said->sum_logprob / (said->n + 1);
    said->no_speech = q->no_speech;
    return OV_OK;
}

/* memory ----------------------------------------------------------------- */

static void
free_lines(struct line *l, int n)
{
    int i;

    for (i = 0; l != NULL && i < n; i++)
        free(l[i].tokens);
    free(l);
}

static struct line *
new_lines(int n, int room)
{
    struct line *l = calloc((size_t)n, sizeof *l);
    int i;

    for (i = 0; l != NULL && i < n; i++) {
        l[i].tokens = calloc((size_t)room, sizeof *l[i].tokens);
        if (l[i].tokens == NULL) {
            free_lines(l, n);
            return NULL;
        }
    }
    return l;
}

static void
search_close(struct search *q)
{
    free(q->logits);
    free(q->copy);
    free_lines(q->line, q->width);
    free_lines(q->spare, q->width);
    free_lines(q->done, q->done_max);
    free(q->next);
    free(q->last);
    free(q->source);
}

static int
search_open(struct search *q, struct ov_whisper_state *s,
            const struct ov_whisper_ask *a, struct ov_err *err)
{
    bool beams = a->beams > 1 && a->temperature == 0;
    double patience = a->patience > 0 ? a->patience : 1;
    size_t w;

    *q = (struct search){.s = s, .a = a, .no_speech = NAN};
    q->vocab = s->w->d.vocab;
    q->width = beams ? a->beams : a->temperature > 0 ? a->best_of : 1;
    q->width = q->width < 1 ? 1 : q->width;
    q->room = s->w->d.text_ctx + 2;
    if (q->width > s->beams || q->width >= q->vocab ||
        patience * q->width > 1e6)
        return ov_err_set(err, OV_EUSAGE, "%d sequences are too many",
                          q->width);
    q->done_max = beams ? (int)nearbyint(q->width * patience) : 1;
    q->done_max = q->done_max < q->width ? q->width : q->done_max;
    w = (size_t)q->width;
    q->logits = malloc(w * (size_t)q->vocab * sizeof *q->logits);
    q->copy = malloc((size_t)q->vocab * sizeof *q->copy);
    q->line = new_lines(q->width, q->room);
    q->spare = new_lines(q->width, q->room);
    q->done = new_lines(q->done_max, q->room);
    q->next = malloc(w * (w + 1) * sizeof *q->next);
    q->last = malloc(w * sizeof *q->last);
    q->source = malloc(w * sizeof *q->source);
    if (q->logits == NULL || q->copy == NULL || q->line == NULL ||
        q->spare == NULL || q->done == NULL || q->next == NULL ||
        q->last == NULL || q->source == NULL) {
        search_close(q);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    return OV_OK;
}

/* asking ----------------------------------------------------------------- */

static bool
all_in(const int32_t *ids, int n, int vocab)
{
    int i;

    for (i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return false;
    return true;
}

static int
check(const struct ov_whisper_state *s, const struct ov_whisper_ask *a,
      struct ov_err *err)
{
    const struct ov_whisper_rules *r = &a->rules;
    int v = s->w->d.vocab;

    if (a->n < 1 || a->n > s->w->d.text_ctx || a->sot < 0 || a->sot >= a->n ||
        !all_in(a->tokens, a->n, v))
        return ov_err_set(err, OV_EUSAGE,
                          "the %d tokens to begin with do not fit", a->n);
    if (!all_in(r->never, r->n_never, v) || !all_in(r->first, r->n_first, v) ||
        !all_in(&r->eot, 1, v) || r->no_speech >= v || r->no_timestamps >= v ||
        r->timestamps < 0 || r->timestamps > v)
        return ov_err_set(err, OV_EUSAGE,
                          "a token of the rules is not in 0..%d", v - 1);
    return OV_OK;
}

int
ov_whisper_decode(struct ov_whisper_state *s, const struct ov_whisper_ask *ask,
                  struct ov_whisper_said *said, struct ov_err *err)
{
    bool beams = ask->beams > 1 && ask->temperature == 0;
    struct search q;
    int r = check(s, ask, err);

    if (r == OV_OK)
        r = search_open(&q, s, ask, err);
    if (r != OV_OK)
        return r;
    run(&q);
    r = beams ? choose_best(&q, q.done, q.n_done, said, err)
              : choose_best(&q, q.line, q.width, said, err);
    search_close(&q);
    return r;
}

void
ov_whisper_said_free(struct ov_whisper_said *said)
{
    free(said->tokens);
    *said = (struct ov_whisper_said){0};
}

int
ov_whisper_detect(struct ov_whisper_state *s, int32_t sot, int32_t first, int n,
                  float *p, struct ov_err *err)
{
    float *x;
    int v = s->w->d.vocab, best, i;
    float norm;

    if (sot < 0 || sot >= v || n < 1 || first < 0 || first > v - n)
        return ov_err_set(err, OV_EUSAGE, "the vocabulary has no languages");
    x = malloc((size_t)v * sizeof *x);
    if (x == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    ov_whisper_forget(s);
    ov_whisper_logits(s, ov_whisper_read(s, &sot, 1), 1, x);
    ov_whisper_forget(s);
    norm = log_sum(x + first, n);
    for (i = 0; i < n; i++)
        p[i] = expf(x[first + i] - norm);
    best = likeliest(x + first, n);
    free(x);
    return best;
}
