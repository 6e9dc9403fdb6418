/* SPDX-License-Identifier: BSD-2-Clause */
/* What was said, as text, SubRip, WebVTT, JSON or lines of JSON.
 * In: segments with times.  Out: text on a file. */
#include "tools/subtitles.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "stage/transcribe.h"

const char *const subtitles_formats[] = {"txt", "srt", "vtt", "json",
                                          "jsonl", NULL};

static bool
is_json(const struct subtitles *s)
{
    return s->format == SUBTITLES_JSON || s->format == SUBTITLES_JSONL;
}

/* Before a part of a segment that json has on a line of its own. */
static const char *
line(const struct subtitles *s)
{
    return s->format == SUBTITLES_JSON ? "\n  " : "";
}

void
subtitles_begin(struct subtitles *s, FILE *f, enum subtitles_format format)
{
    *s = (struct subtitles){f, format, 0};
    if (format == SUBTITLES_VTT)
        fputs("WEBVTT\n\n", f);
    if (format == SUBTITLES_JSON)
        fputs("{\"segments\":[", f);
}

void
subtitles_end(struct subtitles *s)
{
    if (s->format == SUBTITLES_JSON)
        fputs(s->count > 0 ? "\n]}\n" : "]}\n", s->f);
    fflush(s->f);
}

/* 00:01:02,345; WebVTT has a point, and no hours as long as they are 0. */
static void
put_time(const struct subtitles *s, double t)
{
    long long ms = llround((t > 0 ? t : 0) * 1000);
    bool vtt = s->format == SUBTITLES_VTT;

    if (!vtt || ms >= 3600000)
        fprintf(s->f, "%02lld:", ms / 3600000);
    fprintf(s->f, "%02lld:%02lld%c%03lld", ms / 60000 % 60, ms / 1000 % 60,
            vtt ? '.' : ',', ms % 1000);
}

/* The text; line ends in it would end it, and an arrow look like times. */
static void
put_text(const struct subtitles *s, const char *p, size_t n)
{
    size_t i;

    p = ov_whisper_strip(p, n, &n);
    for (i = 0; i < n; i++) {
        if (s->format != SUBTITLES_TXT && n - i >= 3 &&
            memcmp(p + i, "-->", 3) == 0) {
            fputs("->", s->f);
            i += 2;
        } else
            fputc(p[i] == '\n' || p[i] == '\r' || p[i] == '\0' ? ' ' : p[i],
                  s->f);
    }
    fputc('\n', s->f);
}

static void
put_number(FILE *f, const char *name, double v, int decimals)
{
    if (isfinite(v))
        fprintf(f, ",\"%s\":%.*f", name, decimals, v);
    else
        fprintf(f, ",\"%s\":null", name);
}

static void
put_words(const struct subtitles *s, const struct ov_transcribe_segment *g,
          double offset_s)
{
    FILE *f = s->f;
    size_t i;

    fputs(",\"words\":[", f);
    for (i = 0; i < g->n_words; i++) {
        const struct ov_transcribe_word *w = &g->words[i];

        fprintf(f, "%s%s{\"word\":", i > 0 ? "," : "", line(s));
        ov_json_quote(f, w->text, w->text_n);
        put_number(f, "start", offset_s + w->begin_s, 2);
        put_number(f, "end", offset_s + w->end_s, 2);
        put_number(f, "probability", w->prob, 6);
        fputc('}', f);
    }
    fputc(']', f);
}

static void
put_tokens(FILE *f, const int32_t *tokens, size_t n)
{
    size_t i;

    fputs(",\"tokens\":[", f);
    for (i = 0; i < n; i++)
        fprintf(f, "%s%ld", i > 0 ? "," : "", (long)tokens[i]);
    fputc(']', f);
}

static void
begin_json(const struct subtitles *s, unsigned turn)
{
    if (s->format == SUBTITLES_JSON)
        fputs(s->count > 0 ? ",\n" : "\n", s->f);
    fprintf(s->f, "{\"id\":%lu,\"turn\":%u", s->count, turn);
}

static void
end_json(const struct subtitles *s)
{
    fputs(s->format == SUBTITLES_JSON ? "}" : "}\n", s->f);
}

static void
put_json(const struct subtitles *s, const struct ov_transcribe_segment *g,
         unsigned turn, double offset_s)
{
    FILE *f = s->f;

    begin_json(s, turn);
    put_number(f, "start", offset_s + g->begin_s, 2);
    put_number(f, "end", offset_s + g->end_s, 2);
    fputs(",\"text\":", f);
    ov_json_quote(f, g->text, g->text_n);
    put_tokens(f, g->tokens, g->n);
    fputs(",\"language\":", f);
    ov_json_quote(f, g->language, strlen(g->language));
    put_number(f, "temperature", g->temperature, 1);
    put_number(f, "avg_logprob", g->avg_logprob, 6);
    put_number(f, "compression_ratio", g->compression, 6);
    put_number(f, "no_speech_prob", g->no_speech, 9);
    put_words(s, g, offset_s);
    end_json(s);
}

void
subtitles_put(struct subtitles *s, const struct ov_transcribe_segment *g,
              unsigned turn, double offset_s)
{
    if (is_json(s))
        put_json(s, g, turn, offset_s);
    s->count++;
    if (s->format == SUBTITLES_SRT)
        fprintf(s->f, "%lu\n", s->count);
    if (s->format == SUBTITLES_SRT || s->format == SUBTITLES_VTT) {
        put_time(s, offset_s + g->begin_s);
        fputs(" --> ", s->f);
        put_time(s, offset_s + g->end_s);
        fputc('\n', s->f);
    }
    if (!is_json(s))
        put_text(s, g->text, g->text_n);
    if (s->format == SUBTITLES_SRT || s->format == SUBTITLES_VTT)
        fputc('\n', s->f);
    fflush(s->f);
}

void
subtitles_plain(struct subtitles *s, unsigned turn, const char *text, size_t n,
                const int32_t *tokens, size_t n_tokens)
{
    if (is_json(s)) {
        begin_json(s, turn);
        fputs(",\"text\":", s->f);
        ov_json_quote(s->f, text, n);
        put_tokens(s->f, tokens, n_tokens);
        end_json(s);
    } else {
        put_text(s, text, n);
    }
    s->count++;
    fflush(s->f);
}
