/* SPDX-License-Identifier: BSD-2-Clause */
/* The training material on disk.
 * In: a folder.  Out: utterances. */
#include "train/corpus.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
ov_slurp(const char *path, char **text, size_t *n, struct ov_err *err)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 1 << 16, len = 0, got;
    char *p = NULL, *q;

    if (f == NULL)
        return ov_err_errno(err, "%s", path);
    for (;;) {
        q = realloc(p, cap);
        if (q == NULL)
            break;
        p = q;
        got = fread(p + len, 1, cap - len - 1, f);
        len += got;
        if (got == 0 && !ferror(f)) {
            fclose(f);
            p[len] = '\0';
            *text = p;
            if (n != NULL)
                *n = len;
            return OV_OK;
        }
        if (got == 0)
            break;
        cap *= 2;
    }
    ov_err_errno(err, "%s", path);
    free(p);
    fclose(f);
    return OV_ERUN;
}

/* Cut a line at its tabs; the number of fields. */
static int
cut(char *line, char **field, int most)
{
    int n = 0;

    while (n < most) {
        field[n++] = line;
        line = strchr(line, '\t');
        if (line == NULL)
            break;
        *line++ = '\0';
    }
    return n;
}

static int
map_audio(struct ov_corpus *c, const char *path, struct ov_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return ov_err_errno(err, "%s", path);
    if (fstat(fd, &st) != 0 || st.st_size == 0) {
        close(fd);
        return ov_err_set(err, OV_ERUN, "%s: empty", path);
    }
    c->audio_bytes = (size_t)st.st_size;
    c->audio = mmap(NULL, c->audio_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (c->audio == MAP_FAILED) {
        c->audio = NULL;
        return ov_err_errno(err, "%s", path);
    }
    return OV_OK;
}

static int
take_line(struct ov_corpus *c, char *line)
{
    char *f[8];
    struct ov_utt *u = &c->u[c->n];
    long long off;

    if (cut(line, f, 8) != 8)
        return OV_EMODEL;
    off = atoll(f[0]);
    u->n = atoi(f[1]);
    if (off < 0 || u->n <= 0 ||
        (size_t)(off + u->n) > c->audio_bytes / sizeof(int16_t))
        return OV_EMODEL;
    u->x = (const int16_t *)c->audio + off;
    u->role = f[2][0];
    u->voice = f[3];
    u->split = f[4];
    u->family = f[5];
    u->question = f[6];
    u->text = f[7];
    c->n++;
    return OV_OK;
}

int
ov_corpus_open(struct ov_corpus *c, const char *dir, struct ov_err *err)
{
    char path[600], *p, *next;
    size_t lines = 0;
    int r;

    *c = (struct ov_corpus){ 0 };
    snprintf(path, sizeof path, "%s/audio.s16", dir);
    if ((r = map_audio(c, path, err)) != OV_OK)
        return r;
    snprintf(path, sizeof path, "%s/utts.tsv", dir);
    if ((r = ov_slurp(path, &c->text, NULL, err)) != OV_OK)
        return r;
    for (p = c->text; *p != '\0'; p++)
        lines += *p == '\n';
    c->u = calloc(lines + 1, sizeof *c->u);
    if (c->u == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (p = c->text; (next = strchr(p, '\n')) != NULL; p = next + 1) {
        *next = '\0';
        if (take_line(c, p) != OV_OK)
            return ov_err_set(err, OV_EMODEL, "%s: line %zu does not fit",
                              path, c->n + 1);
    }
    return OV_OK;
}

void
ov_corpus_close(struct ov_corpus *c)
{
    free(c->u);
    free(c->text);
    if (c->audio != NULL)
        munmap(c->audio, c->audio_bytes);
    *c = (struct ov_corpus){ 0 };
}
