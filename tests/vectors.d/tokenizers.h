/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the tokenizers of cases are: they are too large to lie in each.
 * In: a case.  Out: a directory or a file. */
#ifndef OV_TESTS_TOKENIZERS_H
#define OV_TESTS_TOKENIZERS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "case.h"

/* The first of the places that has a file of that name: path says DIR/NAME;
 * false, and "", if none has. */
static inline bool
find_near(struct vcase *c, const char *variable, const char *family,
          const char *name, char *dir, size_t size)
{
    const char *env = getenv(variable), *shared = getenv("OV_SHARED");
    const char *src = getenv("OV_SRCDIR");
    char path[4200];
    int i;

    for (i = 0; i < 6; i++) {
        if (i == 0)
            snprintf(dir, size, "%s", env != NULL ? env : "");
        else if (i == 1)
            snprintf(dir, size, "%s", c->dir);
        else if (i == 2)
            snprintf(dir, size, "%s/../%s", c->dir, family);
        else if (i == 3)
            snprintf(dir, size, "%s/../../%s", c->dir, family);
        else if (i == 4)
            snprintf(dir, size, "%s/vectors/%s",
                     shared != NULL ? shared : "../shared", family);
        else
            snprintf(dir, size, "%s/../shared/vectors/%s",
                     src != NULL ? src : "..", family);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (dir[0] != '\0' && access(path, R_OK) == 0)
            return true;
    }
    dir[0] = '\0';
    return false;
}

/* cases.json: the JSON reader refuses \u0000, which texts of tokenizers
 * hold; it is read as U+F8FF. */
static inline struct ov_json *
read_cases(struct vcase *c, struct ov_err *err)
{
    FILE *f = fopen(vcase_path(c, "cases.json"), "rb");
    struct ov_json *all = NULL;
    struct ov_buf b = {0};
    char part[4096], *p;
    size_t n;

    if (f == NULL) {
        ov_err_errno(err, "cases.json");
        return NULL;
    }
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        ov_buf_put(&b, part, n);
    fclose(f);
    for (p = b.p; p != NULL && (p = strstr(p, "\\u0000")) != NULL;)
        memcpy(p, "\\uf8ff", 6);
    ov_json_parse(&all, b.p, b.n, "cases.json", err);
    ov_buf_free(&b);
    return all;
}

/* The text that was meant, *n bytes; until the next call but seven. */
static inline const char *
meant(const struct ov_json *v, size_t *n)
{
    static char *kept[8];
    static int turn;
    const char *s = ov_json_string(v), *p;
    char *to;

    *n = 0;
    if (s == NULL)
        return NULL;
    turn = (turn + 1) % 8;
    free(kept[turn]);
    kept[turn] = to = (char *)malloc(strlen(s) + 1);
    while (to != NULL && *s != '\0') {
        p = strncmp(s, "\xef\xa3\xbf", 3) == 0 ? "" : s;
        kept[turn][(*n)++] = *p;
        s += p == s ? 1 : 3;
    }
    return kept[turn];
}

static inline bool
whisper_tokenizers(struct vcase *c, char *dir, size_t size)
{
    return find_near(c, "OV_WHISPER_TOKENIZERS", "whisper_tokenizer",
                     "multilingual.tiktoken", dir, size);
}

#endif
