/* SPDX-License-Identifier: BSD-2-Clause */
/* A byte-pair tokenizer as it lies in memory.
 * In: tokens, merges, added tokens.  Out: struct ov_bpe. */
#include "text/bpe_table.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
pair_of(int32_t a, int32_t b)
{
    return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}

static uint64_t
hash_of(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    size_t i;

    for (i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static int
no_memory(const struct ov_bpe *b, struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "%s: out of memory", b->path);
}

static int
bad(const struct ov_bpe *b, const char *what, const char *name,
    struct ov_err *err)
{
    if (name == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", b->path, what);
    return ov_err_set(err, OV_EMODEL, "%s: \"%.100s\": %s", b->path, name,
                      what);
}

struct ov_bpe *
ov_bpe_table_new(const char *path)
{
    struct ov_bpe *b = calloc(1, sizeof *b);
    int i;

    if (b != NULL)
        b->path = strdup(path);
    if (b == NULL || b->path == NULL) {
        free(b);
        return NULL;
    }
    for (i = 0; i < 256; i++)
        b->bytes[i] = -1;
    return b;
}

int
ov_bpe_table_size(struct ov_bpe *b, int size, struct ov_err *err)
{
    struct ov_bpe_token *p;

    if (b->tokens != NULL && size <= b->size)
        return OV_OK;
    p = realloc(b->tokens, ((size_t)size + 1) * sizeof *p);
    if (p == NULL)
        return no_memory(b, err);
    memset(p + b->size, 0, (size_t)(size - b->size + 1) * sizeof *p);
    b->tokens = p;
    b->size = size;
    return OV_OK;
}

int
ov_bpe_table_merges(struct ov_bpe *b, size_t n, struct ov_err *err)
{
    size_t slots = 16, i;

    while (slots < 2 * n)
        slots *= 2;
    b->mask = slots - 1;
    b->merges = malloc(slots * sizeof *b->merges);
    if (b->merges == NULL)
        return no_memory(b, err);
    for (i = 0; i < slots; i++)
        b->merges[i].rank = -1;
    return OV_OK;
}

/* Where the pair is, or the free place where it belongs. */
static struct ov_bpe_merge *
slot(const struct ov_bpe *b, uint64_t pair)
{
    size_t i = (size_t)(pair * UINT64_C(0x9e3779b97f4a7c15) >> 20) & b->mask;

    while (b->merges[i].rank >= 0 && b->merges[i].pair != pair)
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

const struct ov_bpe_merge *
ov_bpe_table_get(const struct ov_bpe *b, int32_t x, int32_t y)
{
    const struct ov_bpe_merge *m = slot(b, pair_of(x, y));

    return m->rank >= 0 ? m : NULL;
}

const struct ov_bpe_merge *
ov_bpe_table_put(struct ov_bpe *b, int32_t x, int32_t y, int32_t rank,
                 int32_t id)
{
    struct ov_bpe_merge *m = slot(b, pair_of(x, y));

    if (m->rank >= 0)
        return m;
    *m = (struct ov_bpe_merge){pair_of(x, y), rank, id};
    return NULL;
}

int
ov_bpe_table_add(struct ov_bpe *b, const char *name, size_t n, int32_t id,
                 struct ov_err *err)
{
    struct ov_bpe_added *p = b->added;

    if (n == 0 || n > OV_BPE_NAME_MAX)
        return bad(b, "an added token is empty or too long", NULL, err);
    if (b->tokens[id].used)
        return bad(b, "another token has its id", name, err);
    if ((b->n_added & (b->n_added - 1)) == 0) /* full at powers of two */
        p = realloc(p, (b->n_added == 0 ? 1 : 2 * b->n_added) * sizeof *p);
    if (p == NULL)
        return no_memory(b, err);
    b->added = p;
    p += b->n_added;
    p->name = malloc(n + 1);
    if (p->name == NULL)
        return no_memory(b, err);
    memcpy(p->name, name, n);
    p->name[n] = '\0';
    p->n = n;
    p->id = id;
    b->n_added++;
    b->tokens[id].used = b->tokens[id].special = true;
    b->begins[(unsigned char)*name] = b->length[n] = true;
    return OV_OK;
}

static int
by_name(const void *x, const void *y)
{
    const struct ov_bpe_added *a = x, *b = y;
    int c = memcmp(a->name, b->name, a->n < b->n ? a->n : b->n);

    return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

int
ov_bpe_table_sort(struct ov_bpe *b, struct ov_err *err)
{
    size_t i;

    if (b->n_added > 1)
        qsort(b->added, b->n_added, sizeof *b->added, by_name);
    for (i = 1; i < b->n_added; i++)
        if (by_name(&b->added[i - 1], &b->added[i]) == 0)
            return bad(b, "this added token is there twice", b->added[i].name,
                       err);
    return OV_OK;
}

int32_t
ov_bpe_table_added(const struct ov_bpe *b, const char *name, size_t n)
{
    size_t lo = 0, hi = b->n_added, mid;
    struct ov_bpe_added want = {(char *)name, n, 0};
    int c;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        c = by_name(&want, &b->added[mid]);
        if (c == 0)
            return b->added[mid].id;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return -1;
}

/* Where the bytes are in the hash of names, or where they belong. */
static size_t
name_slot(const struct ov_bpe *b, const char *s, size_t n)
{
    size_t i = hash_of(s, n) & b->names_mask;
    const struct ov_bpe_token *t;

    for (; b->names[i] >= 0; i = (i + 1) & b->names_mask) {
        t = &b->tokens[b->names[i]];
        if (t->n == n && memcmp(t->bytes, s, n) == 0)
            break;
    }
    return i;
}

int
ov_bpe_table_names(struct ov_bpe *b, struct ov_err *err)
{
    size_t slots = 1024, i;
    int id;

    while (slots < 2 * (size_t)b->size)
        slots *= 2;
    b->names_mask = slots - 1;
    b->names = malloc(slots * sizeof *b->names);
    if (b->names == NULL)
        return no_memory(b, err);
    for (i = 0; i < slots; i++)
        b->names[i] = -1;
    for (id = 0; id < b->size; id++) {
        if (b->tokens[id].bytes == NULL || b->tokens[id].n == 0)
            continue;
        i = name_slot(b, b->tokens[id].bytes, b->tokens[id].n);
        if (b->names[i] < 0)
            b->names[i] = id;
    }
    return OV_OK;
}

int32_t
ov_bpe_table_find(const struct ov_bpe *b, const char *s, size_t n)
{
    return n == 0 ? -1 : b->names[name_slot(b, s, n)];
}
