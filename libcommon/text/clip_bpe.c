/* SPDX-License-Identifier: BSD-2-Clause */
/* CLIP's byte-pair encoding: lower case, words with an end mark.
 * In: UTF-8 text.  Out: token ids, and the reverse. */
#include "text/clip_bpe.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gunzip.h"
#include "text/alphabet.h"
#include "text/html.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum {
    FILE_BYTES = 64 << 20,
    TEXT_BYTES = 1 << 20,
    MERGES = 49152 - 256 - 2, /* what the reference uses of its file */
    BYTES = 256
};

static const char start_name[] = "<|startoftext|>";
static const char end_name[] = "<|endoftext|>";

/* A string of bytes that can be a symbol; ends: it closes a word.  Two
 * merges may give the same string: the later one names its id. */
struct sym {
    uint32_t at, n; /* in pool */
    bool ends;
    int32_t id;
};

/* Symbols a and b become sym; the lowest rank goes first. */
struct merge {
    int32_t a, b; /* a < 0: free */
    int32_t rank, sym;
};

struct ov_clip_bpe {
    struct ov_buf pool;
    struct sym *syms;
    int n_syms;
    int32_t *names; /* hash of strings to symbols, -1: free */
    struct merge *merges;
    size_t mask;         /* of both */
    int32_t *of_id;      /* [size - 2]: the symbol of an id */
    int size;            /* tokens */
    int32_t byte[BYTES]; /* the symbol of a byte; BYTES on: ending a word */
};

/* tables ----------------------------------------------------------------- */

static size_t
hash_bytes(const char *s, size_t n, bool ends)
{
    uint64_t h = ends ? 0x9e3779b97f4a7c15u : 0xcbf29ce484222325u;
    size_t i;

    for (i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

/* Where the string is, or its free place. */
static int32_t *
name_slot(const struct ov_clip_bpe *b, const char *s, size_t n, bool ends)
{
    size_t i = hash_bytes(s, n, ends) & b->mask;

    for (; b->names[i] >= 0; i = (i + 1) & b->mask) {
        const struct sym *y = &b->syms[b->names[i]];

        if (y->n == n && y->ends == ends &&
            memcmp(b->pool.p + y->at, s, n) == 0)
            break;
    }
    return &b->names[i];
}

static struct merge *
merge_slot(const struct ov_clip_bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) *
                 UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 20) & b->mask;

    while (b->merges[i].a >= 0 &&
           (b->merges[i].a != left || b->merges[i].b != right))
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

/* The symbol of a string, made if it is new; it gets the next id.  s may
 * not point into the pool.  -1: no memory. */
static int32_t
add_sym(struct ov_clip_bpe *b, const char *s, size_t n, bool ends)
{
    int32_t *slot = name_slot(b, s, n, ends);
    struct sym *y;

    if (*slot < 0) {
        if (b->pool.n + n > UINT32_MAX / 2 || ov_buf_put(&b->pool, s, n) != 0)
            return -1;
        y = &b->syms[b->n_syms];
        y->at = (uint32_t)(b->pool.n - n);
        y->n = (uint32_t)n;
        y->ends = ends;
        *slot = b->n_syms++;
    }
    b->syms[*slot].id = b->size;
    b->of_id[b->size++] = *slot;
    return *slot;
}

/* Room for the symbols and merges of that many lines. */
static int
make_tables(struct ov_clip_bpe *b, size_t lines)
{
    size_t n = 2 * BYTES + lines, i;

    for (b->mask = 1; b->mask < 2 * n;)
        b->mask *= 2;
    b->names = malloc(b->mask * sizeof *b->names);
    b->merges = malloc(b->mask * sizeof *b->merges);
    b->syms = calloc(n, sizeof *b->syms);
    b->of_id = calloc(n, sizeof *b->of_id);
    if (b->names == NULL || b->merges == NULL || b->syms == NULL ||
        b->of_id == NULL)
        return -1;
    for (i = 0; i < b->mask; i++) {
        b->names[i] = -1;
        b->merges[i].a = -1;
    }
    b->mask--;
    return 0;
}

/* Bytes in the order of the alphabet: printable ones, then the moved. */
static int
add_bytes(struct ov_clip_bpe *b)
{
    int ends, moved, i;
    char c;

    for (ends = 0; ends < 2; ends++)
        for (moved = 0; moved < 2; moved++)
            for (i = 0; i < BYTES; i++) {
                if ((ov_alphabet_char((unsigned char)i) >= 256) != moved)
                    continue;
                c = (char)i;
                if (add_sym(b, &c, 1, ends) < 0)
                    return -1;
            }
    for (i = 0; i < BYTES; i++) {
        c = (char)i;
        b->byte[i] = *name_slot(b, &c, 1, false);
    }
    return 0;
}

/* reading ---------------------------------------------------------------- */

/* The string of one part of a line, in the alphabet: its bytes into s,
 * which has room for n.  False if a character is foreign. */
static bool
part_of(const char *p, size_t n, char *s, size_t *len, bool *ends)
{
    static const char mark[] = "</w>";
    uint32_t cp;
    size_t i, k;
    int c;

    *ends = n > 4 && memcmp(p + n - 4, mark, 4) == 0;
    n -= *ends ? 4 : 0;
    *len = 0;
    for (i = 0; i < n; i += k) {
        k = ov_utf8_get(p + i, n - i, &cp);
        c = k > 0 ? ov_alphabet_byte(cp) : -1;
        if (c < 0)
            return false;
        s[(*len)++] = (char)c;
    }
    return n > 0;
}

/* One line "a b"; room: as many bytes as the line has. */
static int
add_merge(struct ov_clip_bpe *b, const char *p, size_t n, char *room, int rank)
{
    const char *gap = memchr(p, ' ', n);
    size_t an, bn;
    bool ae, be;
    int32_t left, right, both;
    struct merge *m;

    if (gap == NULL || memchr(gap + 1, ' ', n - (size_t)(gap + 1 - p)) ||
        !part_of(p, (size_t)(gap - p), room, &an, &ae) || ae)
        return OV_EMODEL;
    if (!part_of(gap + 1, n - (size_t)(gap + 1 - p), room + an, &bn, &be))
        return OV_EMODEL;
    left = *name_slot(b, room, an, false);
    right = *name_slot(b, room + an, bn, be);
    if (left < 0 || right < 0)
        return OV_EMODEL;
    both = add_sym(b, room, an + bn, be);
    if (both < 0)
        return OV_ERUN;
    m = merge_slot(b, left, right);
    *m = (struct merge){left, right, rank, both};
    return OV_OK;
}

/* The next line at p, its end in *n; what follows, or NULL after the last. */
static const char *
line_end(const char *p, const char *end, size_t *n)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));

    *n = (size_t)((nl != NULL ? nl : end) - p);
    if (*n > 0 && p[*n - 1] == '\r')
        --*n;
    return nl != NULL ? nl + 1 : end;
}

static int
read_lines(struct ov_clip_bpe *b, const char *text, size_t bytes,
           const char *name, struct ov_err *err)
{
    const char *end = text + bytes, *p = text, *next;
    char *room = NULL;
    size_t lines = 0, n, longest = 0;
    int rc = OV_OK, rank;

    while (p < end && lines <= MERGES) { /* the first is a comment */
        p = line_end(p, end, &n);
        longest = n > longest ? n : longest;
        lines += n > 0;
    }
    if (lines < 1 || make_tables(b, lines) != 0 || add_bytes(b) != 0 ||
        (room = malloc(longest + 1)) == NULL)
        return ov_err_set(err, lines < 1 ? OV_EMODEL : OV_ERUN, "%s: %s", name,
                          lines < 1 ? "is empty" : "no memory");
    p = line_end(text, end, &n);
    for (rank = 0; p < end && rank < MERGES && rc == OV_OK; p = next) {
        next = line_end(p, end, &n);
        if (n > 0)
            rc = add_merge(b, p, n, room, rank++);
    }
    free(room);
    if (rc == OV_EMODEL)
        return ov_err_set(err, rc, "%s: line %d is no merge of tokens before",
                          name, rank + 1);
    b->size += 2;
    return rc == OV_OK ? rc : ov_err_set(err, rc, "%s: no memory", name);
}

int
ov_clip_bpe_parse(struct ov_clip_bpe **out, const void *bytes, size_t n,
                  const char *name, struct ov_err *err)
{
    struct ov_clip_bpe *b = calloc(1, sizeof *b);
    struct ov_buf plain = {0};
    int rc = OV_OK;

    *out = NULL;
    if (b == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    if (ov_gunzip_is(bytes, n)) {
        rc = ov_gunzip(&plain, bytes, n, FILE_BYTES, name, err);
        bytes = plain.p;
        n = plain.n;
    }
    if (rc == OV_OK)
        rc = read_lines(b, bytes != NULL ? bytes : "", n, name, err);
    ov_buf_free(&plain);
    if (rc != OV_OK) {
        ov_clip_bpe_close(b);
        return rc;
    }
    *out = b;
    return OV_OK;
}

int
ov_clip_bpe_open(struct ov_clip_bpe **b, const char *path, struct ov_err *err)
{
    FILE *f = fopen(path, "rb");
    struct ov_buf all = {0};
    char part[1 << 14];
    size_t k;
    int rc = OV_OK;

    *b = NULL;
    if (f == NULL)
        return ov_err_errno(err, "%s", path);
    while (rc == OV_OK && (k = fread(part, 1, sizeof part, f)) > 0) {
        if (all.n + k > FILE_BYTES)
            rc = ov_err_set(err, OV_EMODEL, "%s: too large", path);
        else if (ov_buf_put(&all, part, k) != 0)
            rc = ov_err_set(err, OV_ERUN, "%s: no memory", path);
    }
    if (rc == OV_OK && ferror(f))
        rc = ov_err_errno(err, "%s", path);
    fclose(f);
    if (rc == OV_OK)
        rc = ov_clip_bpe_parse(b, all.p, all.n, path, err);
    ov_buf_free(&all);
    return rc;
}

void
ov_clip_bpe_close(struct ov_clip_bpe *b)
{
    if (b == NULL)
        return;
    ov_buf_free(&b->pool);
    free(b->syms);
    free(b->names);
    free(b->merges);
    free(b->of_id);
    free(b);
}

int
ov_clip_bpe_size(const struct ov_clip_bpe *b)
{
    return b->size;
}

int32_t
ov_clip_bpe_start(const struct ov_clip_bpe *b)
{
    return b->size - 2;
}

int32_t
ov_clip_bpe_end(const struct ov_clip_bpe *b)
{
    return b->size - 1;
}

/* cleaning --------------------------------------------------------------- */

/* What Python's str calls white space, which is a little more. */
static bool
is_space(uint32_t cp)
{
    return ov_unicode_class(cp) == OV_SPACE || (cp >= 0x1c && cp <= 0x1f);
}

/* Is the sigma at s + i (k bytes) the last of a word: a letter with a case
 * before it, none after (Unicode 15, 3.13, Final_Sigma)? */
static bool
is_final_sigma(const char *s, size_t n, size_t i, size_t k)
{
    uint32_t cp = 0;
    size_t at = i, len;
    bool before = false;

    while (at > 0) {
        do
            at--;
        while (at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80);
        ov_utf8_get(s + at, n - at, &cp);
        if (ov_unicode_case_ignorable(cp))
            continue;
        before = ov_unicode_cased(cp);
        break;
    }
    if (!before)
        return false;
    for (at = i + k; at < n; at += len) {
        len = ov_utf8_get(s + at, n - at, &cp);
        if (!ov_unicode_case_ignorable(cp))
            return !ov_unicode_cased(cp);
    }
    return true;
}

/* s [n] in lower case, white space collapsed and none at the ends. */
static int
lower(struct ov_buf *out, const char *s, size_t n)
{
    bool gap = false;
    uint32_t cp = 0;
    char c[8];
    size_t i, k, len;

    for (i = 0; i < n; i += k) {
        k = ov_utf8_get(s + i, n - i, &cp);
        if (is_space(cp)) {
            gap = out->n > 0;
            continue;
        }
        if (gap && ov_buf_put(out, " ", 1) != 0)
            return -1;
        gap = false;
        if (cp == 0x3a3)
            cp = is_final_sigma(s, n, i, k) ? 0x3c2 : 0x3c3;
        if (cp == 0x130) { /* dotted I: i and a dot above */
            len = ov_utf8_put(c, 'i');
            len += ov_utf8_put(c + len, 0x307);
        } else
            len = ov_utf8_put(c, ov_unicode_lower(cp));
        if (ov_buf_put(out, c, len) != 0)
            return -1;
    }
    return 0;
}

static int
clean(struct ov_buf *out, const char *text, size_t n, struct ov_err *err)
{
    struct ov_buf once = {0}, twice = {0};
    int rc;

    if (n > TEXT_BYTES)
        return ov_err_set(err, OV_EUSAGE, "text above 1 MiB");
    if (!ov_utf8_valid(text, n, NULL))
        return ov_err_set(err, OV_EUSAGE, "text is not UTF-8");
    rc = ov_html_unescape(&once, text, n);
    if (rc == 0)
        rc = ov_html_unescape(&twice, once.p, once.n);
    if (rc == 0)
        rc = lower(out, twice.p, twice.n);
    ov_buf_free(&once);
    ov_buf_free(&twice);
    return rc == 0 ? OV_OK : ov_err_set(err, OV_ERUN, "no memory");
}

/* pieces ----------------------------------------------------------------- */

/* "'s" and its like at s [n]: their length or 0.  The long s folds to s. */
static size_t
contraction(const char *s, size_t n)
{
    static const char *const tails[] = {"s",  "\xc5\xbf", "t",  "re",
                                        "ve", "m",        "ll", "d"};
    size_t i, k;

    if (n < 2 || s[0] != '\'')
        return 0;
    for (i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        k = strlen(tails[i]);
        if (k < n && memcmp(s + 1, tails[i], k) == 0)
            return k + 1;
    }
    return 0;
}

static bool
begins(const char *s, size_t n, const char *with)
{
    size_t k = strlen(with);

    return k <= n && memcmp(s, with, k) == 0;
}

/* Bytes of the piece that s [n] begins with, of the expression
 * <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|
 * [^\s\p{L}\p{N}]+ ; *kind is the class of its first character. */
static size_t
piece(const char *s, size_t n, enum ov_class *kind)
{
    uint32_t cp = 0;
    size_t len = ov_utf8_get(s, n, &cp), k;

    *kind = ov_unicode_class(cp);
    if (begins(s, n, start_name))
        return sizeof start_name - 1;
    if (begins(s, n, end_name))
        return sizeof end_name - 1;
    k = contraction(s, n);
    if (k > 0)
        return k;
    if (*kind == OV_NUMBER || *kind == OV_SPACE)
        return len;
    while (len < n) {
        k = ov_utf8_get(s + len, n - len, &cp);
        if (ov_unicode_class(cp) != *kind)
            break;
        len += k;
    }
    return len;
}

/* merging ---------------------------------------------------------------- */

struct node {
    int32_t sym; /* < 0: merged into the one before */
    int prev, next;
};

/* A pair that may be merged: a heap ordered by rank, then place. */
struct cand {
    int32_t rank, at, left, right, sym;
};

struct work {
    struct node *node;
    struct cand *heap, *fresh;
    size_t heaped, n_fresh;
};

static bool
before(const struct cand *x, const struct cand *y)
{
    return x->rank != y->rank ? x->rank < y->rank : x->at < y->at;
}

static void
heap_push(struct work *w, struct cand c)
{
    size_t i = w->heaped++, up;

    for (; i > 0; i = up) {
        up = (i - 1) / 2;
        if (!before(&c, &w->heap[up]))
            break;
        w->heap[i] = w->heap[up];
    }
    w->heap[i] = c;
}

static struct cand
heap_pop(struct work *w)
{
    struct cand top = w->heap[0], c = w->heap[--w->heaped];
    size_t i = 0, k;

    while ((k = 2 * i + 1) < w->heaped) {
        if (k + 1 < w->heaped && before(&w->heap[k + 1], &w->heap[k]))
            k++;
        if (!before(&w->heap[k], &c))
            break;
        w->heap[i] = w->heap[k];
        i = k;
    }
    w->heap[i] = c;
    return top;
}

/* Note the pair at node i, if it can be merged. */
static void
note(const struct ov_clip_bpe *b, struct work *w, int i)
{
    const struct node *x = &w->node[i];
    const struct merge *m;

    if (i < 0 || x->next < 0)
        return;
    m = merge_slot(b, x->sym, w->node[x->next].sym);
    if (m->a >= 0)
        w->fresh[w->n_fresh++] = (struct cand){m->rank, i, m->a, m->b, m->sym};
}

static void
join(struct work *w, const struct cand *c)
{
    struct node *x = &w->node[c->at], *y = &w->node[x->next];

    x->sym = c->sym;
    x->next = y->next;
    y->sym = -1;
    if (x->next >= 0)
        w->node[x->next].prev = c->at;
}

/* All pairs of the lowest rank go before what they give rise to, as in the
 * reference, which goes through the word once for each rank. */
static void
merge_all(const struct ov_clip_bpe *b, struct work *w)
{
    struct cand c;
    int32_t rank;

    for (;;) {
        while (w->n_fresh > 0)
            heap_push(w, w->fresh[--w->n_fresh]);
        if (w->heaped == 0)
            return;
        rank = w->heap[0].rank;
        while (w->heaped > 0 && w->heap[0].rank == rank) {
            const struct node *x;

            c = heap_pop(w);
            x = &w->node[c.at];
            if (x->sym != c.left || x->next < 0 ||
                w->node[x->next].sym != c.right)
                continue;
            join(w, &c);
            note(b, w, c.at);
            note(b, w, w->node[c.at].prev);
        }
    }
}

/* One piece to ids; *k counts on, past max too. */
static void
encode_piece(const struct ov_clip_bpe *b, struct work *w, const char *s,
             size_t n, int32_t *ids, size_t max, size_t *k)
{
    size_t i;
    int j;

    w->heaped = w->n_fresh = 0;
    for (i = 0; i < n; i++) {
        w->node[i].sym = b->byte[(unsigned char)s[i]];
        w->node[i].prev = (int)i - 1;
        w->node[i].next = i + 1 < n ? (int)i + 1 : -1;
    }
    w->node[n - 1].sym = *name_slot(b, s + n - 1, 1, true);
    for (i = 0; i < n; i++)
        note(b, w, (int)i);
    merge_all(b, w);
    for (j = 0; j >= 0; j = w->node[j].next, ++*k)
        if (*k < max)
            ids[*k] = b->syms[w->node[j].sym].id;
}

static size_t
encode_all(const struct ov_clip_bpe *b, struct work *w, const char *s, size_t n,
           int32_t *ids, size_t max)
{
    enum ov_class kind;
    size_t k = 0, i, len;

    for (i = 0; i < n; i += len) {
        len = piece(s + i, n - i, &kind);
        if (begins(s + i, len, start_name) || begins(s + i, len, end_name)) {
            if (k < max)
                ids[k] = b->size - (begins(s + i, len, end_name) ? 1 : 2);
            k++;
        } else if (kind != OV_SPACE)
            encode_piece(b, w, s + i, len, ids, max, &k);
    }
    return k;
}

/* Tokens of the text; ids holds the first max. */
static int
encode(const struct ov_clip_bpe *b, const char *text, size_t n, int32_t *ids,
       size_t max, size_t *count, struct ov_err *err)
{
    struct ov_buf s = {0};
    struct work w = {0};
    int rc = clean(&s, text, n, err);

    *count = 0;
    if (rc == OV_OK && s.n > 0) {
        /* a join notes two pairs: never more than 3 n stand in the heap */
        w.node = malloc(s.n * sizeof *w.node);
        w.heap = malloc(3 * s.n * sizeof *w.heap);
        w.fresh = malloc(3 * s.n * sizeof *w.fresh);
        if (w.node == NULL || w.heap == NULL || w.fresh == NULL)
            rc = ov_err_set(err, OV_ERUN, "no memory");
        else
            *count = encode_all(b, &w, s.p, s.n, ids, max);
        free(w.node);
        free(w.heap);
        free(w.fresh);
    }
    ov_buf_free(&s);
    return rc;
}

int
ov_clip_bpe_encode(const struct ov_clip_bpe *b, const char *text, size_t n,
                   int32_t *ids, size_t max, struct ov_err *err)
{
    size_t count;
    int rc = encode(b, text, n, ids, max, &count, err);

    if (rc != OV_OK)
        return rc;
    if (count > max)
        return ov_err_set(err, OV_EUSAGE, "the text has %zu tokens", count);
    return (int)count;
}

int
ov_clip_bpe_context(const struct ov_clip_bpe *b, const char *text, size_t n,
                    int32_t *ids, int context, struct ov_err *err)
{
    size_t count, room = context > 2 ? (size_t)context - 2 : 0;
    int rc, i;

    if (context < 2)
        return ov_err_set(err, OV_EUSAGE, "a context of %d tokens", context);
    rc = encode(b, text, n, ids + 1, room, &count, err);
    if (rc != OV_OK)
        return rc;
    rc = count > room;
    count = rc ? room : count;
    ids[0] = ov_clip_bpe_start(b);
    ids[count + 1] = ov_clip_bpe_end(b);
    for (i = (int)count + 2; i < context; i++)
        ids[i] = 0;
    return rc;
}

int
ov_clip_bpe_decode(const struct ov_clip_bpe *b, const int32_t *ids, size_t n,
                   struct ov_buf *out)
{
    const struct sym *y;
    const char *name;
    int rc = 0;
    size_t i;

    for (i = 0; i < n && rc == 0; i++) {
        if (ids[i] >= b->size - 2 && ids[i] < b->size) {
            name = ids[i] == b->size - 1 ? end_name : start_name;
            rc = ov_buf_put(out, name, strlen(name));
        } else if (ids[i] >= 0 && ids[i] < b->size - 2) {
            y = &b->syms[b->of_id[ids[i]]];
            rc = ov_buf_put(out, b->pool.p + y->at, y->n);
            if (rc == 0 && y->ends)
                rc = ov_buf_put(out, " ", 1);
        }
    }
    return rc;
}
