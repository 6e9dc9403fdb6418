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
    struct ov_bpe_token *p = b->tokens;
    int room = size;

    if (p != NULL && size <= b->size)
        return OV_OK;
    if (p == NULL || size > b->room) {
        if (p != NULL && size < 2 * b->room && 2 * b->room <= OV_BPE_ID_MAX)
            room = 2 * b->room;
        p = realloc(p, ((size_t)room + 1) * sizeof *p);
        if (p == NULL)
            return no_memory(b, err);
        b->tokens = p;
        b->room = room;
    }
    memset(p + b->size, 0, (size_t)(size - b->size) * sizeof *p);
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
    b->longest = n > b->longest ? n : b->longest;
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
ov_bpe_table_put(struct ov_bpe *b, int32_t x, int32_t y, int32_t rank,
                 int32_t id)
{
    struct ov_bpe_merge *m = slot(b, pair_of(x, y));

    if (m->pair != 0)
        return m;
    *m = (struct ov_bpe_merge){pair_of(x, y), rank, id};
    return NULL;
}

/* What entry i of the index is found by, [*n]. */
static const char *
key_of(const struct ov_bpe *b, const struct ov_bpe_index *x, int32_t i,
       size_t *n)
{
    if (x == &b->added_index) {
        *n = b->added[i].n;
        return b->added[i].name;
    }
    *n = b->tokens[i].n;
    return b->tokens[i].bytes;
}

/* Where s [n] is in the index, or where it belongs. */
static struct ov_bpe_place *
place_of(const struct ov_bpe *b, const struct ov_bpe_index *x, const char *s,
         size_t n, uint32_t hash)
{
    struct ov_bpe_place *p;
    size_t i = hash & x->mask, len;
    const char *key;

    for (; (p = &x->places[i])->entry != 0; i = (i + 1) & x->mask) {
        if (p->hash != hash)
            continue;
        key = key_of(b, x, p->entry - 1, &len);
        if (len == n && memcmp(key, s, n) == 0)
            break;
    }
    return p;
}

/* The entry of s [n], -1 if there is none. */
static int32_t
look_up(const struct ov_bpe *b, const struct ov_bpe_index *x, const char *s,
        size_t n)
{
    if (x->places == NULL || n == 0)
        return -1;
    return place_of(b, x, s, n, hash_of(s, n))->entry - 1;
}

/* Put entry i in; false: one with the same key is there. */
static bool
enter(struct ov_bpe *b, struct ov_bpe_index *x, int32_t i)
{
    size_t n;
    const char *key = key_of(b, x, i, &n);
    uint32_t hash = hash_of(key, n);
    struct ov_bpe_place *p = place_of(b, x, key, n, hash);

    if (p->entry != 0)
        return false;
    *p = (struct ov_bpe_place){hash, i + 1};
    return true;
}

/* Make it empty, with room for n entries: twice as many places. */
static int
clear(struct ov_bpe *b, struct ov_bpe_index *x, size_t n, struct ov_err *err)
{
    size_t slots = 16;

    while (slots < 2 * n)
        slots *= 2;
    free(x->places);
    x->mask = slots - 1;
    x->places = calloc(slots, sizeof *x->places);
    return x->places != NULL ? OV_OK : no_memory(b, err);
}

/* Room for another added token: it grows at powers of two. */
static int
added_room(struct ov_bpe *b, struct ov_err *err)
{
    size_t room = b->n_added == 0 ? 1 : 2 * b->n_added, i;
    struct ov_bpe_added *p;
    int rc;

    if ((b->n_added & (b->n_added - 1)) != 0)
        return OV_OK;
    p = realloc(b->added, room * sizeof *p);
    if (p == NULL)
        return no_memory(b, err);
    b->added = p;
    rc = clear(b, &b->added_index, room, err);
    for (i = 0; rc == OV_OK && i < b->n_added; i++)
        enter(b, &b->added_index, (int32_t)i);
    return rc;
}

int
ov_bpe_table_add(struct ov_bpe *b, const char *name, size_t n, int32_t id,
                 struct ov_err *err)
{
    struct ov_bpe_token *t = &b->tokens[id];
    struct ov_bpe_added *p;
    int rc;

    if (n == 0 || n > OV_BPE_NAME_MAX)
        return bad(b, "an added token is empty or too long", NULL, err);
    if (t->used)
        return bad(b, "another token has its id", name, err);
    rc = added_room(b, err);
    if (rc < 0)
        return rc;
    p = &b->added[b->n_added];
    *p = (struct ov_bpe_added){malloc(n + 1), n, id};
    if (p->name == NULL)
        return no_memory(b, err);
    memcpy(p->name, name, n);
    p->name[n] = '\0';
    t->n = (uint32_t)b->n_added++;
    t->used = t->special = true;
    b->begins[(unsigned char)*name] = b->length[n] = true;
    if (!enter(b, &b->added_index, (int32_t)t->n))
        return bad(b, "this added token is there twice", name, err);
    return OV_OK;
}

int32_t
ov_bpe_table_added(const struct ov_bpe *b, const char *name, size_t n)
{
    int32_t i = look_up(b, &b->added_index, name, n);

    return i >= 0 ? b->added[i].id : -1;
}

int
ov_bpe_table_names(struct ov_bpe *b, int32_t *again, struct ov_err *err)
{
    int id, rc = clear(b, &b->names, (size_t)b->size, err);

    *again = -1;
    for (id = 0; rc == OV_OK && id < b->size; id++)
        if (b->tokens[id].bytes != NULL && b->tokens[id].n > 0 &&
            !enter(b, &b->names, id))
            *again = id;
    return rc;
}

void
ov_bpe_table_forget_names(struct ov_bpe *b)
{
    free(b->names.places);
    b->names.places = NULL;
}

int32_t
ov_bpe_table_find(const struct ov_bpe *b, const char *s, size_t n)
{
    return n <= b->longest ? look_up(b, &b->names, s, n) : -1;
}

int32_t
ov_bpe_table_join(const struct ov_bpe *b, const char *s, int32_t x, int32_t y,
                  int32_t *rank)
{
    const struct ov_bpe_merge *m;

    if (b->ranked)
        return *rank = ov_bpe_table_find(
                   b, s, (size_t)b->tokens[x].n + b->tokens[y].n);
    m = slot(b, pair_of(x, y));
    *rank = m->rank;
    return m->pair != 0 ? m->id : -1;
}
