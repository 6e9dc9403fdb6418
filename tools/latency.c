/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the milliseconds went: from the end of speech to the answer.
 * In: the frames of a stream with STATS.  Out: a table. */
#include "tools/latency.h"

#include <stdlib.h>
#include <string.h>

#include "stream/keys.h"

/* Moments of a turn, nanoseconds of the wall clock; 0: not told. */
enum { SPEECH, PAUSE, SILENCE, ENCODE, FUSE, GENERATE, VOCODE, MOMENTS };

/* What is shown. */
enum { C_ENDPOINT, C_ENCODE, C_FUSE, C_GENERATE, C_VOCODE, C_TOTAL, COLUMNS };

static const struct {
    const char *stage, *key;
} moments[MOMENTS] = {
    {"vad", "speech_end_ns"}, {"vad", "end_ns"},       {"vad", "silence_ns"},
    {"encode", "end_ns"},     {"fuse", "end_ns"},      {"generate", "first_ns"},
    {"vocode", "first_ns"},
};

static const char *const titles[COLUMNS] = {"endpoint", "encode", "fuse",
                                            "generate", "vocode", "total"};

struct turn {
    uint32_t stream, number;
    bool interrupted;
    uint64_t at[MOMENTS];
};

struct latency {
    struct turn *turn;
    size_t n, cap;
};

/* The turn of the frame: its STATS may come before its TURN-BEGIN.  NULL: no
 * memory. */
static struct turn *
turn_of(struct latency *l, const struct ov_frame *f)
{
    for (size_t i = l->n; i > 0 && i + 16 > l->n; i--)
        if (l->turn[i - 1].stream == f->stream &&
            l->turn[i - 1].number == f->turn)
            return &l->turn[i - 1];
    if (l->n == l->cap) {
        size_t cap = 2 * l->cap + 64;
        struct turn *p = realloc(l->turn, cap * sizeof *p);

        if (p == NULL)
            return NULL;
        l->turn = p;
        l->cap = cap;
    }
    l->turn[l->n] = (struct turn){.stream = f->stream, .number = f->turn};
    return &l->turn[l->n++];
}

static void
take_stats(struct turn *t, const struct ov_frame *f)
{
    const char *p = (const char *)f->payload;
    char stage[16];

    if (f->length == 0 ||
        !ov_keys_copy(p, f->length, "stage", stage, sizeof stage))
        return;
    for (int i = 0; i < MOMENTS; i++)
        if (strcmp(stage, moments[i].stage) == 0)
            ov_keys_u64(p, f->length, moments[i].key, &t->at[i]);
}

static void
take_interrupt(struct latency *l, const struct ov_frame *f)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->turn[i].stream == f->stream &&
            l->turn[i].number >= ov_frame_from(f) &&
            l->turn[i].number <= f->turn)
            l->turn[i].interrupted = true;
}

int
latency_take(struct latency **l, const struct ov_frame *f, struct ov_err *err)
{
    struct turn *t;

    if (*l == NULL && (*l = calloc(1, sizeof **l)) == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    if (f->type == OV_INTERRUPT)
        take_interrupt(*l, f);
    if ((f->type != OV_STATS && f->type != OV_TURN_BEGIN) || f->turn == 0)
        return 0;
    t = turn_of(*l, f);
    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    if (f->type == OV_STATS)
        take_stats(t, f);
    return 0;
}

void
latency_free(struct latency *l)
{
    if (l != NULL)
        free(l->turn);
    free(l);
}

/* Milliseconds by column; false: the turn has not told all that is needed.
 * The endpoint is what the answer waited for: the pause, or the silence. */
static bool
budget(const struct turn *t, double ms[COLUMNS])
{
    const uint64_t *at = t->at;
    uint64_t when = at[SPEECH], stop[COLUMNS - 1];
    bool waited = at[SILENCE] != 0 && at[SILENCE] <= at[GENERATE];

    if (!at[SPEECH] || !at[PAUSE] || !at[GENERATE])
        return false;
    stop[C_ENDPOINT] = at[waited ? SILENCE : PAUSE];
    stop[C_ENCODE] = at[ENCODE];
    stop[C_FUSE] = at[FUSE];
    stop[C_GENERATE] = at[GENERATE];
    stop[C_VOCODE] = at[VOCODE];
    for (int i = 0; i < C_TOTAL; i++) { /* what was done before took nothing */
        uint64_t to = stop[i] > when ? stop[i] : when;

        ms[i] = (double)(to - when) / 1e6;
        when = to;
    }
    ms[C_TOTAL] = (double)(when - at[SPEECH]) / 1e6;
    return true;
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
print_row(FILE *out, const char *name, const double ms[COLUMNS], bool vocode)
{
    fprintf(out, "%-8s", name);
    for (int i = 0; i < COLUMNS; i++)
        if (i != C_VOCODE || vocode)
            fprintf(out, " %8.0f", ms[i]);
    fputc('\n', out);
}

/* The values of rank ceil(part * n), column by column. */
static void
print_rank(FILE *out, const char *name, double *table, size_t n, int percent,
           bool vocode)
{
    double row[COLUMNS], *column = table + n * COLUMNS;
    size_t rank = (n * (size_t)percent + 99) / 100;

    for (int i = 0; i < COLUMNS; i++) {
        for (size_t k = 0; k < n; k++)
            column[k] = table[k * COLUMNS + (size_t)i];
        qsort(column, n, sizeof *column, by_size);
        row[i] = column[rank > 0 ? rank - 1 : 0];
    }
    print_row(out, name, row, vocode);
}

size_t
latency_print(const struct latency *l, FILE *out)
{
    size_t turns = l != NULL ? l->n : 0, n = 0;
    double *table = malloc((turns + 1) * (COLUMNS + 1) * sizeof *table);
    bool vocode = false;
    char name[16];

    for (size_t i = 0; i < turns; i++)
        vocode |= l->turn[i].at[VOCODE] != 0;
    fprintf(out, "%-8s", "turn");
    for (int i = 0; i < COLUMNS; i++)
        if (i != C_VOCODE || vocode)
            fprintf(out, " %8s", titles[i]);
    fprintf(out, "   (ms)\n");
    for (size_t i = 0; table != NULL && i < turns; i++) {
        const struct turn *t = &l->turn[i];
        double *ms = table + n * COLUMNS;

        snprintf(name, sizeof name, "%u", t->number);
        if (budget(t, ms)) {
            print_row(out, name, ms, vocode);
            n++;
        } else
            fprintf(out, "%-8s %8s   %s\n", name, "-",
                    t->interrupted ? "interrupted before its answer"
                                   : "no times of an answer");
    }
    if (n > 0) {
        print_rank(out, "median", table, n, 50, vocode);
        print_rank(out, "95 %", table, n, 95, vocode);
    }
    free(table);
    return n;
}
