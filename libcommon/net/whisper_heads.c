/* SPDX-License-Identifier: BSD-2-Clause */
/* Which heads of published Whispers follow the sound, as their publisher
 * found them: the files do not say.
 * In: sizes.  Out: layers and heads.
 * Source: openai/whisper, whisper/__init__.py. */
#include "net/whisper.h"

#include <stdlib.h>
#include <string.h>

static const struct published {
    const char *name; /* in the file's name, where sizes do not tell */
    int layers, heads, vocab, state;
    const char *at; /* "LAYER.HEAD ..." */
} published[] = {
    {"large-v1", 32, 20, 51865, 1280,
     "9.19 11.2 11.4 11.17 22.7 22.11 22.17 23.2 23.15"},
    {NULL, 4, 6, 51864, 384, "1.0 2.0 2.5 3.0 3.1 3.2 3.3 3.4"},
    {NULL, 4, 6, 51865, 384, "2.2 3.0 3.2 3.3 3.4 3.5"},
    {NULL, 6, 8, 51864, 512, "3.3 4.7 5.1 5.5 5.7"},
    {NULL, 6, 8, 51865, 512, "3.1 4.2 4.3 4.7 5.1 5.2 5.4 5.6"},
    {NULL, 12, 12, 51864, 768,
     "6.6 7.0 7.3 7.8 8.2 8.5 8.7 9.0 9.4 9.8 9.10 10.0 10.1 10.2 10.3 10.6 "
     "10.11 11.2 11.4"},
    {NULL, 12, 12, 51865, 768, "5.3 5.9 8.0 8.4 8.7 8.8 9.0 9.7 9.9 10.5"},
    {NULL, 24, 16, 51864, 1024,
     "11.4 14.1 14.12 14.14 15.4 16.0 16.4 16.9 17.12 17.14 18.7 18.10 18.15 "
     "20.0 20.3 20.9 20.14 21.12"},
    {NULL, 24, 16, 51865, 1024, "13.15 15.4 15.15 16.1 20.0 23.4"},
    {NULL, 32, 20, 51865, 1280,
     "10.12 13.17 16.11 16.12 16.13 17.15 17.16 18.4 18.11 18.19 19.11 21.2 "
     "21.3 22.3 22.9 22.12 23.5 23.7 23.13 25.5 26.1 26.12 27.15"},
    {NULL, 32, 20, 51866, 1280,
     "7.0 10.17 12.18 13.12 16.1 17.14 19.11 21.4 24.1 25.6"},
    {NULL, 4, 20, 51866, 1280, "2.4 2.11 3.3 3.6 3.11 3.14"},
};

void
ov_whisper_heads(struct ov_whisper *w, const char *file)
{
    const struct ov_whisper_dims *d = &w->d;
    const struct published *p;
    char *end;
    const char *s;
    size_t i;

    for (i = 0; i < sizeof published / sizeof *published; i++) {
        p = &published[i];
        if (p->layers == d->text_layers && p->heads == d->text_heads &&
            p->vocab == d->vocab && p->state == d->text_state &&
            (p->name == NULL || strstr(file, p->name) != NULL))
            break;
    }
    w->heads = 0;
    if (i == sizeof published / sizeof *published)
        return;
    for (s = p->at; *s != '\0'; s = *end == ' ' ? end + 1 : end) {
        w->head_at[w->heads][0] = (int)strtol(s, &end, 10);
        w->head_at[w->heads++][1] = (int)strtol(end + 1, &end, 10);
    }
}
