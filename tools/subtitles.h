/* SPDX-License-Identifier: BSD-2-Clause */
/* What was said, as text, SubRip, WebVTT, JSON or lines of JSON.
 * In: segments with times.  Out: text on a file. */
#ifndef OV_TOOLS_SUBTITLES_H
#define OV_TOOLS_SUBTITLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ov_transcribe_segment;

enum subtitles_format {
    SUBTITLES_TXT, /* a line for each segment */
    SUBTITLES_SRT,
    SUBTITLES_VTT, /* W3C WebVTT */
    SUBTITLES_JSON, /* {"segments": [...]}, times in seconds */
    SUBTITLES_JSONL /* such a segment on each line */
};

/* For TOOL_CHOICE. */
extern const char *const subtitles_formats[];

struct subtitles {
    FILE *f;
    enum subtitles_format format;
    unsigned long count; /* segments so far */
};

/* Before the first segment, and after the last; the caller looks at
 * ferror. */
void subtitles_begin(struct subtitles *s, FILE *f,
                     enum subtitles_format format);
void subtitles_end(struct subtitles *s);
/* One segment of that turn, whose times count from offset_s. */
void subtitles_put(struct subtitles *s, const struct ov_transcribe_segment *g,
                   unsigned turn, double offset_s);
/* What a model that tells no times said in a turn: text [n], of these tokens
 * [n_tokens].  Not for SRT and VTT. */
void subtitles_plain(struct subtitles *s, unsigned turn, const char *text,
                     size_t n, const int32_t *tokens, size_t n_tokens);

#endif
