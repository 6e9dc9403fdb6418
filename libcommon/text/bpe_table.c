/* SPDX-License-Identifier: BSD-2-Clause */
/* A byte-pair tokenizer as it lies in memory.
 * In: tokens, merges, added tokens.  Out: struct ov_bpe. */
#include "text/bpe_table.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
pair_of(int32_t a, int32_t b)
{
    return (uint64_t)((uint32_t)a + 1) << 32 | (uint32_t)b;
}

static uint32_t
hash_of(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    size_t i;

    for (i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ h >> 29);
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
ov_bpe_table_text(struct ov_bpe *b, size_t n, struct ov_err *err)
{
    b->text = malloc(n + 1);
    if (b->text == NULL)
        return no_memory(b, err);
    b->text_room = n;
    return OV_OK;
}

void
ov_bpe_table_token(struct ov_bpe *b, int32_t id, const char *bytes, size_t n)
{
    struct ov_bpe_token *t = &b->tokens[id];

    t->bytes = b->text + b->text_n;
    if (bytes != NULL)
        memcpy(b->text + b->text_n, bytes, n);
    t->n = (uint32_t)n;
    t->used = true;
    b->text_n += n;
    if (n == 1)
        b->bytes[(unsigned char)*t->bytes] = id;
}

int
ov_bpe_table_merges(struct ov_bpe *b, size_t n, struct ov_err *err)
{
    size_t slots = 16;

    while (slots < n + n / 2)
        slots *= 2;
    b->mask = slots - 1;
    b->merges = calloc(slots, sizeof *b->merges);
    return b->merges != NULL ? OV_OK : no_memory(b, err);
}

/* Where the pair is, or the free place where it belongs. */
static struct ov_bpe_merge *
slot(const struct ov_bpe *b, uint64_t pair)
{
    uint64_t h = (pair ^ pair >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h ^ h >> 32) & b->mask;

    while (b->merges[i].pair != 0 && b->merges[i].pair != pair)
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

const struct ov_bpe_merge *
ov_bpe_table_get(const struct ov_bpe *b, int32_t x, int32_t y)
{
    const struct ov_bpe_merge *m = slot(b, pair_of(x, y));

    return m->pair != 0 ? m : NULL;
}

const struct ov_bpe_merge *
ov_bpe_table_put(struct ov_bpe *b, int32_t x, int32_t y, int32_t rank,
                 int32_t id)
{
    struct ov_bpe_merge *m = slot(b, pair_of(x, y));

    if (m->pair != 0)
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
static struct ov_bpe_place *
name_place(const struct ov_bpe *b, const char *s, size_t n, uint32_t hash)
{
    size_t i = hash & b->names_mask;
    const struct ov_bpe_token *t;

    for (; b->names[i].token != 0; i = (i + 1) & b->names_mask) {
        t = &b->tokens[b->names[i].token - 1];
        if (b->names[i].hash == hash && t->n == n &&
            memcmp(t->bytes, s, n) == 0)
            break;
    }
    return &b->names[i];
}

int
ov_bpe_table_names(struct ov_bpe *b, int32_t *again, struct ov_err *err)
{
    struct ov_bpe_place *p;
    const struct ov_bpe_token *t;
    size_t slots = 1024;
    uint32_t hash;
    int id;

    *again = -1;
    while (slots < 2 * (size_t)b->size)
        slots *= 2;
    b->names_mask = slots - 1;
    b->names = calloc(slots, sizeof *b->names);
    if (b->names == NULL)
        return no_memory(b, err);
    for (id = 0; id < b->size; id++) {
        t = &b->tokens[id];
        if (t->bytes == NULL || t->n == 0)
            continue;
        hash = hash_of(t->bytes, t->n);
        p = name_place(b, t->bytes, t->n, hash);
        if (p->token != 0)
            *again = id;
        else
            *p = (struct ov_bpe_place){hash, id + 1};
    }
    return OV_OK;
}

void
ov_bpe_table_forget_names(struct ov_bpe *b)
{
    free(b->names);
    b->names = NULL;
}

int32_t
ov_bpe_table_find(const struct ov_bpe *b, const char *s, size_t n)
{
    return n == 0 ? -1 : name_place(b, s, n, hash_of(s, n))->token - 1;
}
