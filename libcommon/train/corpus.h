/* SPDX-License-Identifier: BSD-2-Clause */
/* The training material on disk.
 * In: a folder with audio.s16 and utts.tsv (models/recipe/synthesise).
 * Out: utterances with their samples. */
#ifndef OV_TRAIN_CORPUS_H
#define OV_TRAIN_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_utt {
    const int16_t *x; /* 16 kHz mono */
    int n;
    char role;        /* q question, a answer, c codec material */
    const char *voice, *split, *family, *text;
    const char *question; /* its id in questions.tsv; "" for answers */
};

struct ov_corpus {
    struct ov_utt *u;
    size_t n;
    char *text;       /* utts.tsv */
    void *audio;
    size_t audio_bytes;
};

/* OV_ERUN if a file is missing; OV_EMODEL if a line does not fit. */
int ov_corpus_open(struct ov_corpus *c, const char *dir, struct ov_err *err);
void ov_corpus_close(struct ov_corpus *c);

/* Read a whole file; *text is malloc'd and NUL-terminated. */
int ov_slurp(const char *path, char **text, size_t *n, struct ov_err *err);

#endif
