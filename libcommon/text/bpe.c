/* SPDX-License-Identifier: BSD-2-Clause */
/* Byte-level byte-pair encoding, applied.
 * In: UTF-8 text.  Out: token ids, and the reverse.
 * Source: openai/gpt-2, src/encoder.py; tokenizer.json as written by
 * huggingface/tokenizers, tokenizers/src/models/bpe/serialization.rs. */
#include "text/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "text/alphabet.h"
#include "text/bpe_table.h"
#include "text/split.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { TEXT_MAX = 1 << 28 };

/* reading ---------------------------------------------------------------- */

/* A member of model.vocab. */
struct entry {
    uint32_t at; /* of its key in keys */
    int32_t id;  /* -1: not in 0..OV_BPE_ID_MAX-1 */
};

/* An element of model.merges: two parts, one behind the other. */
struct rule {
    uint32_t at;          /* in keys */
    uint32_t left, right; /* lengths; both 0: it is not two tokens */
};

/* What is large in the file, as it was read: the order of its members must
 * not matter. */
struct source {
    struct ov_buf keys; /* each with a 0 behind it */
    struct ov_buf vocab, merges;
    bool with_merges, vocab_there, merges_there;
};

static int
bad(const struct ov_bpe *b, const char *what, const char *name,
    struct ov_err *err)
{
    if (name == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", b->path, what);
    return ov_err_set(err, OV_EMODEL, "%s: \"%.100s\": %s", b->path, name,
                      what);
}

static int
no_memory(const char *path, struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
}

static bool
is_id(int64_t k)
{
    return k >= 0 && k < OV_BPE_ID_MAX;
}

/* A number of the file that must be a token id. */
static bool
id_of(const struct ov_json *v, int32_t *id)
{
    int64_t k;

    *id = 0;
    if (!ov_json_int(v, &k) || !is_id(k))
        return false;
    *id = (int32_t)k;
    return true;
}

static int
pull_entry(struct source *s, struct ov_json_pull *in, struct ov_err *err)
{
    struct entry v = {(uint32_t)s->keys.n, -1};
    int e;

    if (ov_buf_put(&s->keys, in->string, in->string_n) < 0 ||
        ov_buf_put(&s->keys, "", 1) < 0)
        return no_memory(in->place, err);
    e = ov_json_pull_next(in, err);
    if (e == OV_JSON_INT && is_id(in->integer))
        v.id = (int32_t)in->integer;
    if (ov_buf_put(&s->vocab, &v, sizeof v) < 0)
        return no_memory(in->place, err);
    return e < 0 ? e : ov_json_pull_skip(in, e, err);
}

/* model.vocab: {"token": id, ...} */
static int
pull_vocab(void *arg, struct ov_json_pull *in, int e, struct ov_err *err)
{
    struct source *s = arg;
    int rc = OV_OK;

    s->vocab_there = e == OV_JSON_OBJECT;
    if (!s->vocab_there)
        return ov_json_pull_skip(in, e, err);
    while (rc == OV_OK && (e = ov_json_pull_next(in, err)) == OV_JSON_KEY)
        rc = pull_entry(s, in, err);
    return rc < 0 ? rc : e < 0 ? e : OV_OK;
}

/* "a b", whose string is in->string. */
static int
pull_joined(struct source *s, struct rule *r, const struct ov_json_pull *in,
            struct ov_err *err)
{
    const char *p = in->string, *end = p + in->string_n;
    const char *space = memchr(p, ' ', in->string_n);

    if (space == NULL ||
        memchr(space + 1, ' ', (size_t)(end - space - 1)) != NULL)
        return OV_OK;
    r->left = (uint32_t)(space - p);
    r->right = (uint32_t)(end - space - 1);
    return ov_buf_put(&s->keys, p, r->left) < 0 ||
                   ov_buf_put(&s->keys, space + 1, r->right) < 0
               ? no_memory(in->place, err)
               : OV_OK;
}

/* ["a", "b"], whose '[' is read. */
static int
pull_pair(struct source *s, struct rule *r, struct ov_json_pull *in,
          struct ov_err *err)
{
    uint32_t n[2] = {0};
    size_t i;
    int e, rc;

    for (i = 0; (e = ov_json_pull_next(in, err)) != OV_JSON_CLOSE; i++) {
        if (e == OV_JSON_STRING && i < 2) {
            n[i] = (uint32_t)in->string_n;
            if (ov_buf_put(&s->keys, in->string, in->string_n) < 0)
                return no_memory(in->place, err);
            continue;
        }
        rc = e < 0 ? e : ov_json_pull_skip(in, e, err);
        if (rc < 0)
            return rc;
        i = 2; /* whatever comes, it is no pair */
    }
    if (i == 2) {
        r->left = n[0];
        r->right = n[1];
    }
    return OV_OK;
}

/* model.merges: ["a b", ...] or [["a", "b"], ...] */
static int
pull_merges(void *arg, struct ov_json_pull *in, int e, struct ov_err *err)
{
    struct source *s = arg;
    struct rule r;
    int rc = OV_OK;

    s->merges_there = e == OV_JSON_ARRAY;
    if (!s->merges_there || !s->with_merges)
        return ov_json_pull_skip(in, e, err);
    while (rc == OV_OK && (e = ov_json_pull_next(in, err)) >= 0 &&
           e != OV_JSON_CLOSE) {
        r = (struct rule){(uint32_t)s->keys.n, 0, 0};
        if (e == OV_JSON_STRING)
            rc = pull_joined(s, &r, in, err);
        else if (e == OV_JSON_ARRAY)
            rc = pull_pair(s, &r, in, err);
        else
            rc = ov_json_pull_skip(in, e, err);
        if (rc == OV_OK && ov_buf_put(&s->merges, &r, sizeof r) < 0)
            rc = no_memory(in->place, err);
    }
    return rc < 0 ? rc : e < 0 ? e : OV_OK;
}

/* The table of tokens, sized by the largest id. */
static int
make_tokens(struct ov_bpe *b, const struct source *s,
            const struct ov_json *added, struct ov_err *err)
{
    const struct entry *v = (const struct entry *)s->vocab.p;
    size_t i, n = s->vocab.n / sizeof *v;
    int32_t id, top = -1;

    for (i = 0; i < n; i++) {
        if (v[i].id < 0)
            return bad(b, "its id is not in 0..2097151", s->keys.p + v[i].at,
                       err);
        top = v[i].id > top ? v[i].id : top;
    }
    for (i = 0; i < ov_json_size(added); i++) {
        if (!id_of(ov_json_get(ov_json_at(added, i), "id"), &id))
            return bad(b, "an added token's id is not in 0..2097151", NULL,
                       err);
        top = id > top ? id : top;
    }
    return ov_bpe_table_size(b, top + 1, err);
}

/* A member that would make other ids than this code: refused by name unless
 * it is missing, null, false or "". */
static int
check_off(const struct ov_bpe *b, const struct ov_json *o, const char *name,
          struct ov_err *err)
{
    const struct ov_json *v = ov_json_get(o, name);
    const char *s = ov_json_string(v);
    bool on = true;

    if (v == NULL || ov_json_is_null(v) || (s != NULL && *s == '\0') ||
        (ov_json_bool(v, &on) && !on))
        return OV_OK;
    return bad(b, "is not supported", name, err);
}

static int
read_added(struct ov_bpe *b, const struct ov_json *added, struct ov_err *err)
{
    const struct ov_json *v;
    const char *name;
    int32_t id;
    size_t i;
    int rc;

    if (added != NULL && !ov_json_is_array(added))
        return bad(b, "added_tokens is not a list", NULL, err);
    for (i = 0; i < ov_json_size(added); i++) {
        v = ov_json_at(added, i);
        id_of(ov_json_get(v, "id"), &id);
        name = ov_json_string(ov_json_get(v, "content"));
        if (name == NULL)
            return bad(b, "an added token has no content", NULL, err);
        rc = ov_bpe_table_add(b, name, strlen(name), id, err);
        if (rc == OV_OK)
            rc = check_off(b, v, "single_word", err);
        if (rc == OV_OK)
            rc = check_off(b, v, "lstrip", err);
        if (rc == OV_OK)
            rc = check_off(b, v, "rstrip", err);
        if (rc < 0)
            return rc;
    }
    return OV_OK;
}

/* After read_added: an entry that is an added token is only compared. */
static int
read_entry(struct ov_bpe *b, const char *key, size_t n, int32_t id,
           struct ov_err *err)
{
    struct ov_bpe_token *t = &b->tokens[id];
    long len;

    if (t->special) {
        if (ov_bpe_special(b, key) != id)
            return bad(b, "an added token has its id", key, err);
        if (t->named)
            return bad(b, "is there twice", key, err);
        t->named = true;
        return OV_OK;
    }
    if (t->used)
        return bad(b, "another token has its id", key, err);
    len = ov_alphabet_decode(key, n, b->text + b->text_n);
    if (len < 0)
        return bad(b, "is not byte-level", key, err);
    ov_bpe_table_token(b, id, NULL, (size_t)len);
    return OV_OK;
}

static int
read_vocab(struct ov_bpe *b, const struct source *s, struct ov_err *err)
{
    const struct entry *v = (const struct entry *)s->vocab.p;
    size_t i, n = s->vocab.n / sizeof *v, len;
    int32_t again = -1;
    int rc = ov_bpe_table_text(b, s->keys.n, err);

    for (i = 0; rc == OV_OK && i < n; i++) {
        len = strlen(s->keys.p + v[i].at);
        rc = read_entry(b, s->keys.p + v[i].at, len, v[i].id, err);
    }
    for (i = 0; rc == OV_OK && i < 256; i++)
        if (b->bytes[i] < 0)
            return ov_err_set(err, OV_EMODEL, "%s: byte 0x%02zx has no token",
                              b->path, i);
    if (rc == OV_OK)
        rc = ov_bpe_table_names(b, &again, err);
    for (i = 0; rc == OV_OK && again >= 0; i++)
        if (v[i].id == again)
            return bad(b, "is there twice", s->keys.p + v[i].at, err);
    return rc;
}

/* The token of these bytes; most times it is the one that is expected. */
static int32_t
find_near(const struct ov_bpe *b, const char *s, size_t n, int32_t expected)
{
    const struct ov_bpe_token *t = &b->tokens[expected];

    if (n > 0 && t->n == n && t->bytes != NULL && memcmp(t->bytes, s, n) == 0)
        return expected;
    return ov_bpe_table_find(b, s, n);
}

/* bytes has room for both parts; *last is the result of the merge before. */
static int
read_rule(struct ov_bpe *b, const char *key, const struct rule *r, size_t rank,
          char *bytes, int32_t *last, struct ov_err *err)
{
    const struct ov_bpe_merge *m;
    long left, right;
    int32_t x, y;

    if (r->left == 0 && r->right == 0)
        return ov_err_set(err, OV_EMODEL, "%s: merge %zu is not two tokens",
                          b->path, rank);
    left = ov_alphabet_decode(key, r->left, bytes);
    right = left < 0
                ? -1
                : ov_alphabet_decode(key + r->left, r->right, bytes + left);
    x = right < 0 ? -1 : ov_bpe_table_find(b, bytes, (size_t)left);
    y = x < 0 ? -1 : ov_bpe_table_find(b, bytes + left, (size_t)right);
    /* most files number the results as the merges */
    *last = y < 0 ? -1
                  : find_near(b, bytes, (size_t)(left + right),
                              *last + 1 < b->size ? *last + 1 : 0);
    if (*last < 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: merge %zu: a token is not in the vocabulary",
                          b->path, rank);
    m = ov_bpe_table_put(b, x, y, (int32_t)rank, *last);
    if (m != NULL)
        return ov_err_set(err, OV_EMODEL,
                          "%s: merge %zu is the same as merge %d", b->path,
                          rank, m->rank);
    return OV_OK;
}

static int
read_merges(struct ov_bpe *b, const struct source *s, struct ov_err *err)
{
    const struct rule *r = (const struct rule *)s->merges.p;
    size_t n = s->merges.n / sizeof *r, longest = 0, i;
    int32_t last = -1;
    char *bytes;
    int rc = ov_bpe_table_merges(b, n, err);

    for (i = 0; i < n; i++)
        if (r[i].left + r[i].right > longest)
            longest = r[i].left + r[i].right;
    bytes = malloc(longest + 1);
    if (bytes == NULL)
        return no_memory(b->path, err);
    for (i = 0; i < n && rc == OV_OK; i++)
        rc = read_rule(b, s->keys.p + r[i].at, &r[i], i, bytes, &last, err);
    free(bytes);
    return rc;
}

static int
check_type(const struct ov_bpe *b, const struct ov_json *o, const char *path,
           const char *type, struct ov_err *err)
{
    const char *s = ov_json_string(ov_json_path(o, path));

    if (s != NULL && strcmp(s, type) == 0)
        return OV_OK;
    return ov_err_set(err, OV_EMODEL, "%s: %s is %.100s, not %s", b->path, path,
                      s != NULL ? s : "missing", type);
}

/* ByteLevel, with its own pattern or after a Split. */
static int
check_bytes(const struct ov_bpe *b, const struct ov_json *pre, bool split,
            struct ov_err *err)
{
    bool regex = true;
    int rc;

    rc = check_type(b, pre, "type", "ByteLevel", err);
    if (rc == OV_OK)
        rc = check_off(b, pre, "add_prefix_space", err);
    if (rc == OV_OK)
        ov_json_bool(ov_json_get(pre, "use_regex"), &regex);
    if (rc == OV_OK && regex == split)
        rc = bad(b,
                 split ? "is not supported after Split"
                       : "is not supported if false",
                 "use_regex", err);
    return rc;
}

/* The pattern of a Split, of those that are published. */
static int
check_pattern(struct ov_bpe *b, const struct ov_json *split, struct ov_err *err)
{
    static const char head[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
                               "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}";
    static const char tail[] = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
                               "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    const char *s = ov_json_string(ov_json_path(split, "pattern.Regex"));
    const char *how = ov_json_string(ov_json_get(split, "behavior"));
    int rc = check_off(b, split, "invert", err);

    if (rc < 0)
        return rc;
    if (how == NULL || strcmp(how, "Isolated") != 0)
        return bad(b, "is not Isolated", "behavior", err);
    if (s != NULL && strncmp(s, head, sizeof head - 1) == 0) {
        s += sizeof head - 1;
        b->digits = strncmp(s, "{1,3}", 5) == 0 ? 3 : 1;
        s += b->digits == 3 ? 5 : 0;
        if (strcmp(s, tail) == 0)
            return OV_OK;
    }
    return bad(b, "this pattern is not supported",
               s != NULL ? s : "pattern.Regex", err);
}

static int
check_pre(struct ov_bpe *b, const struct ov_json *pre, struct ov_err *err)
{
    const char *type = ov_json_string(ov_json_get(pre, "type"));
    const struct ov_json *list = ov_json_get(pre, "pretokenizers");
    int rc;

    if (type == NULL || strcmp(type, "Sequence") != 0)
        return check_bytes(b, pre, false, err);
    if (ov_json_size(list) == 1)
        return check_bytes(b, ov_json_at(list, 0), false, err);
    if (ov_json_size(list) != 2)
        return bad(b, "is not Split and ByteLevel", "pretokenizers", err);
    rc = check_type(b, ov_json_at(list, 0), "type", "Split", err);
    if (rc == OV_OK)
        rc = check_pattern(b, ov_json_at(list, 0), err);
    if (rc == OV_OK)
        rc = check_bytes(b, ov_json_at(list, 1), true, err);
    return rc;
}

static int
check_kind(struct ov_bpe *b, const struct ov_json *root, struct ov_err *err)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix",
                                      "end_of_word_suffix", "byte_fallback"};
    const struct ov_json *model = ov_json_get(root, "model");
    const struct ov_json *norm = ov_json_get(root, "normalizer");
    size_t i;
    int rc;

    rc = check_type(b, root, "model.type", "BPE", err);
    for (i = 0; i < sizeof off / sizeof off[0] && rc == OV_OK; i++)
        rc = check_off(b, model, off[i], err);
    ov_json_bool(ov_json_get(model, "ignore_merges"), &b->whole);
    if (rc == OV_OK && norm != NULL && !ov_json_is_null(norm)) {
        rc = check_type(b, root, "normalizer.type", "NFC", err);
        b->nfc = true;
    }
    if (rc == OV_OK)
        rc = check_pre(b, ov_json_get(root, "pre_tokenizer"), err);
    return rc;
}

static int
read_root(struct ov_bpe *b, const struct ov_json *root, const struct source *s,
          struct ov_err *err)
{
    const struct ov_json *added = ov_json_get(root, "added_tokens");
    int rc;

    rc = check_kind(b, root, err);
    if (rc == OV_OK && !s->vocab_there)
        rc = bad(b, "model.vocab is not an object", NULL, err);
    if (rc == OV_OK)
        rc = make_tokens(b, s, added, err);
    if (rc == OV_OK)
        rc = read_added(b, added, err);
    if (rc == OV_OK)
        rc = read_vocab(b, s, err);
    if (rc == OV_OK && s->with_merges && !s->merges_there)
        rc = bad(b, "model.merges is not a list", NULL, err);
    if (rc == OV_OK)
        rc = read_merges(b, s, err);
    if (rc == OV_OK && !b->whole)
        ov_bpe_table_forget_names(b);
    return rc;
}

static int
parse(struct ov_bpe **out, const char *text, size_t n, bool merges,
      const char *name, struct ov_err *err)
{
    static const struct ov_json_tap taps[] = {{"model.vocab", pull_vocab},
                                              {"model.merges", pull_merges}};
    struct source s = {.with_merges = merges};
    struct ov_json *root = NULL;
    struct ov_bpe *b = ov_bpe_table_new(name);
    int rc;

    *out = NULL;
    rc = b == NULL
             ? no_memory(name, err)
             : ov_json_parse_tapped(&root, text, n, name, taps, 2, &s, err);
    if (rc == OV_OK)
        rc = read_root(b, root, &s, err);
    ov_json_free(root);
    ov_buf_free(&s.keys);
    ov_buf_free(&s.vocab);
    ov_buf_free(&s.merges);
    if (rc < 0)
        ov_bpe_close(b);
    else
        *out = b;
    return rc;
}

static int
open_file(struct ov_bpe **out, const char *path, bool merges,
          struct ov_err *err)
{
    char *text;
    size_t n;
    int rc;

    *out = NULL;
    rc = ov_json_slurp(&text, &n, path, OV_BPE_FILE_MAX, err);
    if (rc == OV_OK)
        rc = parse(out, text, n, merges, path, err);
    free(text);
    return rc;
}

int
ov_bpe_open(struct ov_bpe **out, const char *path, struct ov_err *err)
{
    return open_file(out, path, true, err);
}

int
ov_bpe_open_words(struct ov_bpe **out, const char *path, struct ov_err *err)
{
    return open_file(out, path, false, err);
}

int
ov_bpe_parse(struct ov_bpe **out, const char *text, size_t n, const char *name,
             struct ov_err *err)
{
    return parse(out, text, n, true, name, err);
}

void
ov_bpe_close(struct ov_bpe *b)
{
    size_t i;

    if (b == NULL)
        return;
    for (i = 0; i < b->n_added; i++)
        free(b->added[i].name);
    free(b->text);
    free(b->tokens);
    free(b->added);
    free(b->merges);
    free(b->added_index.places);
    free(b->names.places);
    free(b->path);
    free(b);
}

/* ids and bytes ---------------------------------------------------------- */

int
ov_bpe_size(const struct ov_bpe *b)
{
    return b->size;
}

const char *
ov_bpe_bytes(const struct ov_bpe *b, int32_t id, size_t *n)
{
    *n = 0;
    if (id < 0 || id >= b->size || b->tokens[id].bytes == NULL)
        return "";
    *n = b->tokens[id].n;
    return b->tokens[id].bytes;
}

int32_t
ov_bpe_special(const struct ov_bpe *b, const char *name)
{
    return ov_bpe_table_added(b, name, strlen(name));
}

const char *
ov_bpe_name(const struct ov_bpe *b, int32_t id)
{
    if (id < 0 || id >= b->size || !b->tokens[id].special)
        return NULL;
    return b->added[b->tokens[id].n].name;
}

int
ov_bpe_add(struct ov_bpe *b, const char *name, int32_t id, struct ov_err *err)
{
    int rc = OV_OK;

    if (ov_bpe_special(b, name) == id)
        return OV_OK;
    if (id < 0 || id >= OV_BPE_ID_MAX || ov_bpe_special(b, name) >= 0)
        return bad(b, "cannot be added with this id", name, err);
    if (id >= b->size)
        rc = ov_bpe_table_size(b, id + 1, err);
    if (rc == OV_OK)
        rc = ov_bpe_table_add(b, name, strlen(name), id, err);
    return rc;
}

/* encoding --------------------------------------------------------------- */

/* A piece of text while it is merged: a list of symbols, and a heap of the
 * pairs that may be merged, lowest rank first, then leftmost. */
struct work {
    int32_t *id;   /* [room], -1: merged into the one before */
    int32_t *next; /* [room], n: the end */
    int32_t *prev;
    uint64_t *heap; /* [3 room]: rank << 32 | position */
    size_t heaped, room;
};

static int
work_room(struct work *w, size_t n, struct ov_err *err)
{
    size_t room = n < 64 ? 64 : n;

    if (n <= w->room)
        return OV_OK;
    free(w->heap);
    w->heap = malloc(room * (3 * sizeof *w->heap + 3 * sizeof *w->id));
    w->room = w->heap != NULL ? room : 0;
    if (w->heap == NULL)
        return ov_err_set(err, OV_ERUN, "tokenizer: out of memory");
    w->id = (int32_t *)(w->heap + 3 * room);
    w->next = w->id + room;
    w->prev = w->next + room;
    return OV_OK;
}

static void
heap_push(struct work *w, uint64_t v)
{
    size_t i = w->heaped++, up;

    for (; i > 0; i = up) {
        up = (i - 1) / 2;
        if (w->heap[up] <= v)
            break;
        w->heap[i] = w->heap[up];
    }
    w->heap[i] = v;
}

static uint64_t
heap_pop(struct work *w)
{
    uint64_t top = w->heap[0], v = w->heap[--w->heaped];
    size_t i = 0, down;

    for (;; i = down) {
        down = 2 * i + 1;
        if (down >= w->heaped)
            break;
        if (down + 1 < w->heaped && w->heap[down + 1] < w->heap[down])
            down++;
        if (v <= w->heap[down])
            break;
        w->heap[i] = w->heap[down];
    }
    w->heap[i] = v;
    return top;
}

/* What the symbol at i of s [n] and the one after it merge to, with its rank;
 * -1: nothing. */
static int32_t
merge_at(const struct ov_bpe *b, const struct work *w, const char *s, int32_t i,
         int32_t n, int32_t *rank)
{
    if (i < 0 || w->id[i] < 0 || w->next[i] >= n)
        return -1;
    return ov_bpe_table_join(b, s + i, w->id[i], w->id[w->next[i]], rank);
}

static void
propose(const struct ov_bpe *b, struct work *w, const char *s, int32_t i,
        int32_t n)
{
    int32_t rank;

    if (merge_at(b, w, s, i, n, &rank) >= 0)
        heap_push(w, (uint64_t)rank << 32 | (uint32_t)i);
}

/* Merge s [n] into symbols w->id, linked by w->next from 0 on.  Each merge
 * removes a symbol and proposes two pairs: at most 3 n are heaped. */
static void
merge_piece(const struct ov_bpe *b, struct work *w, const char *s, int32_t n)
{
    int32_t i, gone, id, rank;
    uint64_t top;

    w->heaped = 0;
    for (i = 0; i < n; i++) {
        w->id[i] = b->bytes[(unsigned char)s[i]];
        w->next[i] = i + 1;
        w->prev[i] = i - 1;
    }
    for (i = 0; i < n; i++)
        propose(b, w, s, i, n);
    while (w->heaped > 0) {
        top = heap_pop(w);
        i = (int32_t)(top & 0xffffffff);
        id = merge_at(b, w, s, i, n, &rank);
        if (id < 0 || (uint64_t)rank != top >> 32)
            continue; /* one of the two has changed since */
        gone = w->next[i];
        w->id[i] = id;
        w->id[gone] = -1;
        w->next[i] = w->next[gone];
        if (w->next[i] < n)
            w->prev[w->next[i]] = i;
        propose(b, w, s, i, n);
        propose(b, w, s, w->prev[i], n);
    }
}

/* Where ids go. */
struct sink {
    int32_t *ids;
    size_t n, max;
};

static int
put(struct sink *out, int32_t id, struct ov_err *err)
{
    if (out->n == out->max)
        return ov_err_set(err, OV_EUSAGE, "text has more than %zu tokens",
                          out->max);
    out->ids[out->n++] = id;
    return OV_OK;
}

static int
encode_piece(const struct ov_bpe *b, struct work *w, const char *s, size_t n,
             struct sink *out, struct ov_err *err)
{
    int32_t i = b->whole ? ov_bpe_table_find(b, s, n) : -1;
    int rc;

    if (i >= 0)
        return put(out, i, err);
    rc = work_room(w, n, err);
    if (rc == OV_OK)
        merge_piece(b, w, s, (int32_t)n);
    for (i = 0; rc == OV_OK && i < (int32_t)n; i = w->next[i])
        rc = put(out, w->id[i], err);
    return rc;
}

/* Text without added tokens. */
static int
encode_plain(const struct ov_bpe *b, struct work *w, const char *text, size_t n,
             struct sink *out, struct ov_err *err)
{
    char *composed = NULL;
    size_t at, len;
    int rc = OV_OK;

    if (b->nfc) {
        rc = ov_unicode_nfc(text, n, &composed, &n, err);
        text = composed;
    }
    for (at = 0; rc == OV_OK && at < n; at += len) {
        len = b->digits > 0 ? ov_split_qwen2(text + at, n - at, b->digits)
                            : ov_split_gpt2(text + at, n - at);
        rc = encode_piece(b, w, text + at, len, out, err);
    }
    free(composed);
    return rc;
}

/* The longest added token that s [n] begins with; -1: none. */
static int32_t
added_at(const struct ov_bpe *b, const char *s, size_t n, size_t *len)
{
    size_t k = n < OV_BPE_NAME_MAX ? n : OV_BPE_NAME_MAX;
    int32_t id;

    if (n == 0 || !b->begins[(unsigned char)*s])
        return -1;
    for (; k > 0; k--) {
        id = b->length[k] ? ov_bpe_table_added(b, s, k) : -1;
        if (id >= 0) {
            *len = k;
            return id;
        }
    }
    return -1;
}

static int
encode(const struct ov_bpe *b, const char *text, size_t n, bool marked,
       struct sink *out, struct ov_err *err)
{
    struct work w = {0};
    size_t from = 0, at = 0, len = 0;
    int32_t id = -1;
    int rc = OV_OK;

    if (n > TEXT_MAX)
        return ov_err_set(err, OV_EUSAGE, "text of %zu bytes is too long", n);
    while (rc == OV_OK && from < n) {
        for (at = marked ? from : n; at < n; at++)
            if ((id = added_at(b, text + at, n - at, &len)) >= 0)
                break;
        if (at > from)
            rc = encode_plain(b, &w, text + from, at - from, out, err);
        if (rc == OV_OK && at < n)
            rc = put(out, id, err);
        from = at + len;
    }
    free(w.heap);
    return rc;
}

int
ov_bpe_encode(const struct ov_bpe *b, const char *text, size_t n, int32_t *ids,
              size_t max, struct ov_err *err)
{
    struct sink out = {ids, 0, max};
    int rc = encode(b, text, n, false, &out, err);

    return rc < 0 ? rc : (int)out.n;
}

int
ov_bpe_encode_marked(const struct ov_bpe *b, const char *text, size_t n,
                     int32_t *ids, size_t max, struct ov_err *err)
{
    struct sink out = {ids, 0, max};
    int rc = encode(b, text, n, true, &out, err);

    return rc < 0 ? rc : (int)out.n;
}
