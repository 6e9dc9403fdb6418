/* SPDX-License-Identifier: BSD-2-Clause */
/* Byte-level byte-pair encoding, trained.
 * In: lines of text.  Out: a tokenizer.json.
 * Source: Sennrich et al. 2016, algorithm 1. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/utf8.h"

enum { ENTRIES_MAX = 1 << 20 };

/* A different piece of the text and how often it is there. */
struct word {
    int64_t count;
    int32_t *ids; /* [n] */
    int n;
    const char *text; /* in the caller's lines */
    size_t len;
};

struct pair {
    int32_t a, b;
    int64_t count;
    bool used, banned; /* banned: makes a name that is taken */
};

struct entry {
    char *bytes;
    size_t n;
};

struct trainer {
    struct word *words;
    size_t n_words, words_room;
    size_t *index; /* hash of words: number + 1, 0 = free */
    size_t index_mask;
    struct pair *pairs; /* hash */
    size_t pairs_used, pairs_mask;
    struct entry *entries; /* [size] */
    int n_entries, first;  /* first: the one of byte 0; specials before it */
    int32_t (*merges)[2];
    size_t n_merges, merges_room;
    const char *const *specials;
    size_t n_specials;
};

static int
no_memory(struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "training a tokenizer: out of memory");
}

/* words ------------------------------------------------------------------ */

static uint64_t
hash_bytes(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    size_t i;

    for (i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static size_t
word_slot(const struct trainer *t, const char *s, size_t n)
{
    size_t i = hash_bytes(s, n) & t->index_mask;
    const struct word *w;

    for (; t->index[i] != 0; i = (i + 1) & t->index_mask) {
        w = &t->words[t->index[i] - 1];
        if (w->len == n && memcmp(w->text, s, n) == 0)
            break;
    }
    return i;
}

/* Room for one more word, in the list and in its hash. */
static bool
words_grow(struct trainer *t)
{
    size_t room = t->words_room == 0 ? 1024 : 2 * t->words_room, i;
    struct word *w;

    if (t->n_words < t->words_room)
        return true;
    w = realloc(t->words, room * sizeof *w);
    if (w == NULL)
        return false;
    t->words = w;
    t->words_room = room;
    free(t->index);
    t->index = calloc(2 * room, sizeof *t->index);
    if (t->index == NULL)
        return false;
    t->index_mask = 2 * room - 1;
    for (i = 0; i < t->n_words; i++)
        t->index[word_slot(t, w[i].text, w[i].len)] = i + 1;
    return true;
}

static int
add_word(struct trainer *t, const char *s, size_t n, struct ov_err *err)
{
    struct word *w;
    size_t at, i;

    if (!words_grow(t))
        return no_memory(err);
    at = word_slot(t, s, n);
    if (t->index[at] != 0) {
        t->words[t->index[at] - 1].count++;
        return OV_OK;
    }
    w = &t->words[t->n_words];
    *w = (struct word){.count = 1, .n = (int)n, .text = s, .len = n};
    w->ids = malloc(n * sizeof *w->ids);
    if (w->ids == NULL)
        return no_memory(err);
    for (i = 0; i < n; i++)
        w->ids[i] = t->first + (unsigned char)s[i];
    t->index[at] = ++t->n_words;
    return OV_OK;
}

static int
add_lines(struct trainer *t, const char *const *lines, size_t n_lines,
          struct ov_err *err)
{
    size_t i, n, at, len;
    int rc = OV_OK;

    for (i = 0; i < n_lines && rc == OV_OK; i++) {
        n = strlen(lines[i]);
        if (n > 1 << 28)
            return ov_err_set(err, OV_EUSAGE, "line %zu is too long", i + 1);
        for (at = 0; at < n && rc == OV_OK; at += len) {
            len = ov_split_gpt2(lines[i] + at, n - at);
            rc = add_word(t, lines[i] + at, len, err);
        }
    }
    return rc;
}

/* pairs ------------------------------------------------------------------ */

static struct pair *
pair_slot(struct pair *pairs, size_t mask, int32_t a, int32_t b)
{
    uint64_t k = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    size_t i = (size_t)(k * UINT64_C(0x9e3779b97f4a7c15) >> 20) & mask;

    while (pairs[i].used && (pairs[i].a != a || pairs[i].b != b))
        i = (i + 1) & mask;
    return &pairs[i];
}

static bool
pairs_grow(struct trainer *t)
{
    size_t room = t->pairs == NULL ? 4096 : 2 * (t->pairs_mask + 1), i;
    struct pair *p;

    if (t->pairs != NULL && 2 * t->pairs_used <= t->pairs_mask)
        return true;
    p = calloc(room, sizeof *p);
    if (p == NULL)
        return false;
    for (i = 0; t->pairs != NULL && i <= t->pairs_mask; i++)
        if (t->pairs[i].used)
            *pair_slot(p, room - 1, t->pairs[i].a, t->pairs[i].b) = t->pairs[i];
    free(t->pairs);
    t->pairs = p;
    t->pairs_mask = room - 1;
    return true;
}

static bool
count_pair(struct trainer *t, int32_t a, int32_t b, int64_t by)
{
    struct pair *p;

    if (!pairs_grow(t))
        return false;
    p = pair_slot(t->pairs, t->pairs_mask, a, b);
    if (!p->used) {
        *p = (struct pair){.a = a, .b = b, .used = true};
        t->pairs_used++;
    }
    p->count += by;
    return true;
}

static bool
count_word(struct trainer *t, const struct word *w, int64_t by)
{
    int i;

    for (i = 0; i + 1 < w->n; i++)
        if (!count_pair(t, w->ids[i], w->ids[i + 1], by))
            return false;
    return true;
}

static int
compare(const struct entry *x, const struct entry *y)
{
    int c = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);

    return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

/* More often, or as often and earlier in the order of the bytes: of the left
 * one, then of the right one. */
static bool
better(const struct trainer *t, const struct pair *p, const struct pair *q)
{
    int c;

    if (q == NULL || p->count != q->count)
        return q == NULL || p->count > q->count;
    c = compare(&t->entries[p->a], &t->entries[q->a]);
    return c != 0 ? c < 0 : compare(&t->entries[p->b], &t->entries[q->b]) < 0;
}

static struct pair *
best_pair(const struct trainer *t)
{
    struct pair *best = NULL, *p;
    size_t i;

    for (i = 0; i <= t->pairs_mask && t->pairs != NULL; i++) {
        p = &t->pairs[i];
        if (p->used && !p->banned && p->count > 0 && better(t, p, best))
            best = p;
    }
    return best;
}

/* merging ---------------------------------------------------------------- */

/* The name of n bytes in the file: UTF-8, malloc'd. */
static char *
name_of(const char *bytes, size_t n)
{
    char *s = malloc(2 * n + 1), *p = s;
    size_t i;

    if (s == NULL)
        return NULL;
    for (i = 0; i < n; i++)
        p += ov_utf8_put(p, ov_alphabet_char((unsigned char)bytes[i]));
    *p = '\0';
    return s;
}

static bool
is_special(const struct trainer *t, const char *name)
{
    size_t i;

    for (i = 0; i < t->n_specials; i++)
        if (strcmp(t->specials[i], name) == 0)
            return true;
    return false;
}

/* The id that e's bytes have already, or -1. */
static int32_t
find_entry(const struct trainer *t, const struct entry *e)
{
    int i;

    for (i = t->first; i < t->n_entries; i++)
        if (t->entries[i].n == e->n &&
            memcmp(t->entries[i].bytes, e->bytes, e->n) == 0)
            return i;
    return -1;
}

/* Replace the pair in all words; the counts follow. */
static bool
merge_words(struct trainer *t, int32_t a, int32_t b, int32_t id)
{
    struct word *w;
    size_t k;
    int i, j;

    for (k = 0; k < t->n_words; k++) {
        w = &t->words[k];
        for (i = 0; i + 1 < w->n; i++)
            if (w->ids[i] == a && w->ids[i + 1] == b)
                break;
        if (i + 1 >= w->n)
            continue;
        if (!count_word(t, w, -w->count))
            return false;
        for (i = j = 0; i < w->n; i++, j++) {
            if (i + 1 < w->n && w->ids[i] == a && w->ids[i + 1] == b) {
                w->ids[j] = id;
                i++;
            } else {
                w->ids[j] = w->ids[i];
            }
        }
        w->n = j;
        if (!count_word(t, w, w->count))
            return false;
    }
    return true;
}

/* Merge the best pair.  *done: there is none. */
static int
step(struct trainer *t, bool *done, struct ov_err *err)
{
    struct pair *p = best_pair(t);
    int32_t(*more)[2], a, b, id;
    struct entry e, *x, *y;
    char *name;

    *done = p == NULL;
    if (p == NULL)
        return OV_OK;
    a = p->a;
    b = p->b;
    x = &t->entries[a];
    y = &t->entries[b];
    e.n = x->n + y->n;
    e.bytes = malloc(e.n);
    name = NULL;
    if (e.bytes == NULL)
        return no_memory(err);
    memcpy(e.bytes, x->bytes, x->n);
    memcpy(e.bytes + x->n, y->bytes, y->n);
    name = name_of(e.bytes, e.n);
    if (name == NULL)
        goto memory;
    p->banned = is_special(t, name);
    free(name);
    if (p->banned) {
        free(e.bytes);
        return OV_OK;
    }
    if (t->n_merges == t->merges_room) {
        t->merges_room = t->merges_room == 0 ? 256 : 2 * t->merges_room;
        more = realloc(t->merges, t->merges_room * sizeof *more);
        if (more == NULL)
            goto memory;
        t->merges = more;
    }
    t->merges[t->n_merges][0] = a;
    t->merges[t->n_merges++][1] = b;
    id = find_entry(t, &e);
    if (id >= 0) {
        free(e.bytes);
    } else {
        id = t->n_entries++;
        t->entries[id] = e;
    }
    return merge_words(t, a, b, id) ? OV_OK : no_memory(err);
memory:
    free(e.bytes);
    return no_memory(err);
}

/* writing ---------------------------------------------------------------- */

static int
print_entry(FILE *f, const struct trainer *t, int id)
{
    char *name;

    if (id < t->first || id >= t->n_entries) {
        const char *s =
            t->specials[id < t->first ? id : id - t->n_entries + t->first];
        ov_json_quote(f, s, strlen(s));
        return OV_OK;
    }
    name = name_of(t->entries[id].bytes, t->entries[id].n);
    if (name == NULL)
        return OV_ERUN;
    ov_json_quote(f, name, strlen(name));
    free(name);
    return OV_OK;
}

/* The id of special i: the first ones come first, the others last. */
static int
special_id(const struct trainer *t, int i)
{
    return i < t->first ? i : t->n_entries + i - t->first;
}

static int
print_json(FILE *f, const struct trainer *t)
{
    static const char level[] =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": true}";
    int rc = OV_OK, i, all = special_id(t, (int)t->n_specials);
    size_t k;

    fputs("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
          "  \"padding\": null,\n  \"added_tokens\": [",
          f);
    for (i = 0; (size_t)i < t->n_specials; i++) {
        fprintf(f, "%s\n    {\"id\": %d, \"content\": ", i > 0 ? "," : "",
                special_id(t, i));
        rc |= print_entry(f, t, special_id(t, i));
        fputs(", \"single_word\": false, \"lstrip\": false, "
              "\"rstrip\": false, \"normalized\": false, \"special\": true}",
              f);
    }
    fprintf(f,
            "\n  ],\n  \"normalizer\": null,\n  \"pre_tokenizer\": %s,\n"
            "  \"post_processor\": null,\n  \"decoder\": %s,\n",
            level, level);
    fputs("  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
          "    \"unk_token\": null,\n"
          "    \"continuing_subword_prefix\": null,\n"
          "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
          "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n"
          "    \"vocab\": {",
          f);
    for (i = 0; i < all; i++) {
        fputs(i > 0 ? ",\n      " : "\n      ", f);
        rc |= print_entry(f, t, i);
        fprintf(f, ": %d", i);
    }
    fputs("\n    },\n    \"merges\": [", f);
    for (k = 0; k < t->n_merges; k++) {
        fputs(k > 0 ? ",\n      [" : "\n      [", f);
        rc |= print_entry(f, t, t->merges[k][0]);
        fputs(", ", f);
        rc |= print_entry(f, t, t->merges[k][1]);
        putc(']', f);
    }
    fputs("\n    ]\n  }\n}\n", f);
    return rc;
}

static int
write_json(const struct trainer *t, const char *path, struct ov_err *err)
{
    size_t n = strlen(path) + sizeof ".part";
    char *part = malloc(n);
    int rc = OV_OK;
    FILE *f;

    if (part == NULL)
        return no_memory(err);
    snprintf(part, n, "%s.part", path);
    f = fopen(part, "wbe");
    if (f == NULL) {
        rc = ov_err_errno(err, "%s", part);
        free(part);
        return rc;
    }
    if (print_json(f, t) < 0)
        rc = no_memory(err);
    else if (fflush(f) != 0 || (fsync(fileno(f)) < 0 && errno != EINVAL))
        rc = ov_err_errno(err, "%s", part);
    if (fclose(f) != 0 && rc == OV_OK)
        rc = ov_err_errno(err, "%s", part);
    if (rc == OV_OK && rename(part, path) < 0)
        rc = ov_err_errno(err, "%s", path);
    if (rc < 0)
        unlink(part);
    free(part);
    return rc;
}

/* the whole -------------------------------------------------------------- */

/* Specials, then the 256 bytes. */
static int
begin(struct trainer *t, int size, struct ov_err *err)
{
    char *name;
    size_t i;
    int b;

    t->entries = calloc((size_t)size, sizeof *t->entries);
    if (t->entries == NULL)
        return no_memory(err);
    for (b = 0; b < 256; b++) {
        t->entries[t->first + b] = (struct entry){malloc(1), 1};
        t->n_entries = t->first + b + 1;
        if (t->entries[t->first + b].bytes == NULL)
            return no_memory(err);
        t->entries[t->first + b].bytes[0] = (char)b;
        name = name_of(t->entries[t->first + b].bytes, 1);
        if (name == NULL)
            return no_memory(err);
        for (i = 0; i < t->n_specials && strcmp(t->specials[i], name) != 0;)
            i++;
        free(name);
        if (i < t->n_specials)
            return ov_err_set(err, OV_EUSAGE,
                              "special token \"%s\" is the name of a byte",
                              t->specials[i]);
    }
    return OV_OK;
}

static int
check_specials(const struct trainer *t, struct ov_err *err)
{
    size_t i, j;

    for (i = 0; i < t->n_specials; i++) {
        if (t->specials[i][0] == '\0' ||
            !ov_utf8_valid(t->specials[i], strlen(t->specials[i]), NULL))
            return ov_err_set(err, OV_EUSAGE,
                              "special token %zu is empty or not UTF-8", i);
        for (j = 0; j < i; j++)
            if (strcmp(t->specials[i], t->specials[j]) == 0)
                return ov_err_set(err, OV_EUSAGE,
                                  "special token \"%s\" is there twice",
                                  t->specials[i]);
    }
    return OV_OK;
}

static void
end(struct trainer *t)
{
    size_t i;
    int k;

    for (i = 0; i < t->n_words; i++)
        free(t->words[i].ids);
    for (k = 0; t->entries != NULL && k < t->n_entries; k++)
        free(t->entries[k].bytes);
    free(t->words);
    free(t->index);
    free(t->pairs);
    free(t->entries);
    free(t->merges);
}

int
ov_bpe_train(const char *const *lines, size_t n_lines, int size,
             const char *const *specials, size_t n_specials, size_t n_first,
             const char *path, struct ov_err *err)
{
    struct trainer t = {.specials = specials, .n_specials = n_specials};
    bool done = false;
    size_t i;
    int rc;

    if (n_specials > ENTRIES_MAX || size > ENTRIES_MAX ||
        size < (int)n_specials + 256)
        return ov_err_set(err, OV_EUSAGE,
                          "a tokenizer of %d entries: not in %zu..%d", size,
                          n_specials + 256, ENTRIES_MAX);
    t.first = (int)(n_first < n_specials ? n_first : n_specials);
    size -= (int)n_specials - t.first;
    rc = check_specials(&t, err);
    if (rc == OV_OK)
        rc = begin(&t, size, err);
    if (rc == OV_OK)
        rc = add_lines(&t, lines, n_lines, err);
    for (i = 0; i < t.n_words && rc == OV_OK; i++)
        if (!count_word(&t, &t.words[i], t.words[i].count))
            rc = no_memory(err);
    while (rc == OV_OK && !done && t.n_entries < size)
        rc = step(&t, &done, err);
    if (rc == OV_OK)
        rc = write_json(&t, path, err);
    end(&t);
    return rc;
}
