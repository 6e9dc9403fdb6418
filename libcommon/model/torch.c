/* SPDX-License-Identifier: BSD-2-Clause */
/* PyTorch checkpoints: zip archives, the stream of before 1.6, TorchScript.
 * In: a file in memory.  Out: its tensors by the path that leads to them.
 * Source: pytorch/pytorch, torch/serialization.py (_load, _legacy_load). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "model/pickle.h"
#include "model/store.h"
#include "model/zip.h"

enum {
    DEPTH_MAX = 64,
    NAME_BYTES = 1024,
    TENSORS_MAX = 1 << 16,
    SCALARS_MAX = 1 << 14,
    VISITS_MAX = 1 << 22, /* a tree may be small and its paths many */
    TEXT_MAX = 1024,
    STRINGS_MAX = 16 << 20, /* of all names and texts */
    COPIES_MAX = 32 << 20   /* more than the file, of what is not contiguous */
};

/* One pickle, where its storages are, and the path to the present value. */
struct walk {
    struct ov_weights *w;
    const struct ov_pickle *k;
    const unsigned char **storages; /* [ov_pickle_storages] */
    size_t arrays_room, scalars_room, copied, copies_limit, strings;
    long visits;
    char name[NAME_BYTES];
    size_t name_len;
    struct ov_err *err;
};

static int
bad(const struct ov_weights *w, const char *fact, struct ov_err *err)
{
    return ov_err_set(err, OV_EMODEL, "%s: %s", w->path, fact);
}

static int
no_memory(const struct ov_weights *w, struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "%s: out of memory", w->path);
}

/* A copy of n bytes as a string; NULL also when there are too many. */
static char *
keep(struct walk *k, const char *s, size_t n)
{
    if (n + 1 > STRINGS_MAX - k->strings)
        return NULL;
    k->strings += n + 1;
    return strndup(s, n);
}

/* tensors ---------------------------------------------------------------- */

static bool
is_contiguous(const struct ov_pickle_tensor *t)
{
    int64_t step = 1;
    int i;

    for (i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != step)
            return false;
        step *= t->shape[i];
    }
    return true;
}

/* Copy the elements of t, from, one after the other in order of their
 * indices, the last running fastest. */
static void
gather(const struct ov_pickle_tensor *t, const unsigned char *from, size_t size,
       unsigned char *to, int64_t count)
{
    int64_t at[OV_ARRAY_RANK] = {0}, offset = 0, i;
    int d;

    for (i = 0; i < count; i++, to += size) {
        memcpy(to, from + (size_t)offset * size, size);
        for (d = t->rank - 1; d >= 0; d--) {
            offset += t->stride[d];
            if (++at[d] < t->shape[d])
                break;
            offset -= at[d] * t->stride[d];
            at[d] = 0;
        }
    }
}

/* A copy that w owns, of what does not lie in order. */
static int
copy(struct walk *k, const struct ov_pickle_tensor *t,
     const unsigned char *from, struct ov_array *a, uint64_t bytes)
{
    void **more, *p;

    if (bytes > k->copies_limit - k->copied)
        return ov_err_set(k->err, OV_EMODEL,
                          "%s: tensor \"%.100s\": it is much larger than "
                          "what the file holds of it",
                          k->w->path, k->name);
    k->copied += (size_t)bytes;
    more = realloc(k->w->copies, (k->w->n_copies + 1) * sizeof *more);
    if (more == NULL)
        return no_memory(k->w, k->err);
    k->w->copies = more;
    p = malloc((size_t)bytes);
    if (p == NULL)
        return no_memory(k->w, k->err);
    k->w->copies[k->w->n_copies++] = p;
    gather(t, from, ov_dtype_size(t->dtype), p, a->count);
    a->data = p;
    return OV_OK;
}

static int
add_tensor(struct walk *k, const struct ov_pickle_tensor *t)
{
    size_t room = k->arrays_room == 0 ? 256 : 2 * k->arrays_room;
    struct ov_weights *w = k->w;
    const unsigned char *base;
    struct ov_array *a;
    uint64_t bytes;

    if (w->count >= TENSORS_MAX)
        return bad(w, "more than 65536 tensors", k->err);
    if (w->count == k->arrays_room) {
        a = realloc(w->arrays, room * sizeof *a);
        if (a == NULL)
            return no_memory(w, k->err);
        w->arrays = a;
        k->arrays_room = room;
    }
    a = &w->arrays[w->count];
    *a = (struct ov_array){.dtype = t->dtype, .rank = t->rank};
    memcpy(a->shape, t->shape, sizeof a->shape);
    if (!ov_array_measure(a, &bytes))
        return ov_err_set(k->err, OV_EMODEL,
                          "%s: tensor \"%.100s\": its shape is impossible",
                          w->path, k->name);
    a->name =
        k->name_len > 0 ? keep(k, k->name, k->name_len) : keep(k, "tensor", 6);
    if (a->name == NULL)
        return no_memory(w, k->err);
    w->count++;
    base = k->storages[t->storage];
    a->data = base;
    if (a->count == 0)
        return OV_OK;
    base += (size_t)t->offset * ov_dtype_size(t->dtype);
    a->data = base;
    return is_contiguous(t) ? OV_OK : copy(k, t, base, a, bytes);
}

/* scalars ---------------------------------------------------------------- */

/* Numbers and texts; what cannot be one is left out. */
static int
add_scalar(struct walk *k, const struct ov_pickle_value *v)
{
    size_t room = k->scalars_room == 0 ? 64 : 2 * k->scalars_room;
    struct ov_weights *w = k->w;
    struct ov_scalar *s, x = {.kind = OV_SCALAR_INT};

    if (v->kind == OV_PICKLE_INT)
        x.i = v->u.i;
    else if (v->kind == OV_PICKLE_BOOL)
        x.i = v->u.b;
    else if (v->kind == OV_PICKLE_FLOAT)
        x.kind = OV_SCALAR_DOUBLE;
    else if (v->kind == OV_PICKLE_STRING && v->u.s.n <= TEXT_MAX &&
             memchr(v->u.s.p, '\0', v->u.s.n) == NULL)
        x.kind = OV_SCALAR_TEXT;
    else
        return OV_OK;
    if (w->n_scalars >= SCALARS_MAX)
        return OV_OK;
    if (w->n_scalars == k->scalars_room) {
        s = realloc(w->scalars, room * sizeof *s);
        if (s == NULL)
            return no_memory(w, k->err);
        w->scalars = s;
        k->scalars_room = room;
    }
    x.f = x.kind == OV_SCALAR_DOUBLE ? v->u.f : (double)x.i;
    if (x.kind == OV_SCALAR_TEXT)
        x.text = keep(k, v->u.s.p, v->u.s.n);
    x.name = keep(k, k->name, k->name_len);
    if (x.name == NULL || (x.kind == OV_SCALAR_TEXT && x.text == NULL)) {
        free(x.name);
        free(x.text);
        return no_memory(w, k->err);
    }
    w->scalars[w->n_scalars++] = x;
    return OV_OK;
}

/* walking ---------------------------------------------------------------- */

/* Append ".key" to the path; false if it gets too long or is no text. */
static bool
extend(struct walk *k, const char *key, size_t n)
{
    size_t dot = k->name_len > 0;

    if (n > NAME_BYTES - 1 - dot - k->name_len || memchr(key, '\0', n) != NULL)
        return false;
    if (dot)
        k->name[k->name_len++] = '.';
    memcpy(k->name + k->name_len, key, n);
    k->name_len += n;
    k->name[k->name_len] = '\0';
    return true;
}

static int visit(struct walk *k, const struct ov_pickle_value *v, int depth);

/* The value below the present path at key, a text or a number. */
static int
visit_member(struct walk *k, const struct ov_pickle_value *key,
             const struct ov_pickle_value *v, int depth)
{
    size_t len = k->name_len;
    char number[24];
    int rc;

    if (key->kind == OV_PICKLE_INT) {
        snprintf(number, sizeof number, "%lld", (long long)key->u.i);
        if (!extend(k, number, strlen(number)))
            return bad(k->w, "a name is too long", k->err);
    } else if (key->kind != OV_PICKLE_STRING) {
        return OV_OK;
    } else if (!extend(k, key->u.s.p, key->u.s.n)) {
        return bad(k->w, "a name is too long or holds a zero byte", k->err);
    }
    rc = visit(k, v, depth);
    k->name_len = len;
    k->name[len] = '\0';
    return rc;
}

static int
visit_items(struct walk *k, const struct ov_pickle_value *v, int depth)
{
    const struct ov_pickle_items *t = &v->u.items;
    struct ov_pickle_value key = {.kind = OV_PICKLE_INT};
    int rc = OV_OK;
    size_t i;

    if (v->kind == OV_PICKLE_DICT || v->kind == OV_PICKLE_OBJECT) {
        for (i = 0; i + 1 < t->n && rc == OV_OK; i += 2)
            rc = visit_member(k, t->v[i], t->v[i + 1], depth);
        return rc;
    }
    for (i = 0; i < t->n && rc == OV_OK; i++) {
        key.u.i = (int64_t)i;
        rc = visit_member(k, &key, t->v[i], depth);
    }
    return rc;
}

static int
visit(struct walk *k, const struct ov_pickle_value *v, int depth)
{
    if (depth > DEPTH_MAX || ++k->visits > VISITS_MAX)
        return bad(k->w, "its values are nested too deep, or in a loop",
                   k->err);
    switch (v->kind) {
    case OV_PICKLE_TENSOR:
        return add_tensor(k, v->u.tensor);
    case OV_PICKLE_TUPLE:
    case OV_PICKLE_LIST:
    case OV_PICKLE_DICT:
    case OV_PICKLE_OBJECT:
        return visit_items(k, v, depth + 1);
    default:
        return add_scalar(k, v);
    }
}

/* Bytes that storage s must have; false if that cannot be. */
static bool
storage_bytes(const struct ov_pickle_storage *s, uint64_t *bytes)
{
    return !__builtin_mul_overflow(
        (uint64_t)s->count,
        (uint64_t)(s->untyped ? 1 : ov_dtype_size(s->dtype)), bytes);
}

static int
begin(struct walk *k, const struct ov_pickle *pickle)
{
    k->k = pickle;
    free(k->storages);
    k->storages = calloc(ov_pickle_storages(pickle) + 1, sizeof *k->storages);
    return k->storages == NULL ? no_memory(k->w, k->err) : OV_OK;
}

/* zip archives ----------------------------------------------------------- */

/* "root/name" in the archive, NULL if it is not there. */
static const struct ov_zip_member *
member(const struct ov_zip *z, const char *root, const char *name, size_t n)
{
    char path[NAME_BYTES];
    int k = snprintf(path, sizeof path, "%s%.*s", root,
                     (int)(n < NAME_BYTES ? n : NAME_BYTES), name);

    return k > 0 && (size_t)k < sizeof path ? ov_zip_get(z, path) : NULL;
}

/* What of the archive is "root/data.pkl": "root/". */
static bool
find_root(const struct ov_zip *z, char *root)
{
    static const char tail[] = "/data.pkl";
    const struct ov_zip_member *m;
    size_t i, n;

    for (i = 0; i < ov_zip_count(z); i++) {
        m = ov_zip_at(z, i);
        if (m->name_len < sizeof tail - 1)
            continue;
        n = m->name_len - (sizeof tail - 1);
        if (memcmp(m->name + n, tail, sizeof tail - 1) != 0 ||
            memchr(m->name, '/', n) != NULL ||
            memchr(m->name, '\0', n) != NULL || n + 2 > NAME_BYTES)
            continue;
        memcpy(root, m->name, n);
        memcpy(root + n, "/", 2);
        return true;
    }
    return false;
}

/* Find the bytes of every storage: "root/folder/KEY". */
static int
find_storages(struct walk *k, const struct ov_zip *z, const char *root,
              const char *folder)
{
    const struct ov_pickle_storage *s;
    const struct ov_zip_member *m;
    char path[NAME_BYTES];
    uint64_t bytes;
    size_t i;

    for (i = 0; i < ov_pickle_storages(k->k); i++) {
        s = ov_pickle_storage(k->k, i);
        snprintf(path, sizeof path, "%s/%.*s", folder,
                 (int)(s->key_len < 200 ? s->key_len : 200), s->key);
        m = member(z, root, path, strlen(path));
        if (m == NULL)
            return ov_err_set(k->err, OV_EMODEL, "%s: storage %.100s: missing",
                              k->w->path, path);
        if (m->method != 0)
            return ov_err_set(k->err, OV_EMODEL,
                              "%s: storage %.100s: it is compressed",
                              k->w->path, path);
        if (!storage_bytes(s, &bytes) || m->n != bytes)
            return ov_err_set(k->err, OV_EMODEL,
                              "%s: storage %.100s: %zu bytes, where %llu are "
                              "needed",
                              k->w->path, path, m->n,
                              (unsigned long long)bytes);
        k->storages[i] = m->data;
    }
    return OV_OK;
}

/* Run one pickle of the archive and walk what it builds. */
static int
take_pickle(struct walk *k, const struct ov_zip *z, const char *root,
            const struct ov_zip_member *m, const char *folder)
{
    struct ov_pickle *pickle;
    size_t used;
    int rc;

    if (m->method != 0)
        return bad(k->w, "its pickle is compressed", k->err);
    if (ov_crc32(0, m->data, m->n) != m->crc32)
        return bad(k->w, "its pickle is damaged: another checksum", k->err);
    rc = ov_pickle_run(&pickle, m->data, m->n, &used, k->w->path, k->err);
    if (rc == OV_OK)
        rc = begin(k, pickle);
    if (rc == OV_OK)
        rc = find_storages(k, z, root, folder);
    if (rc == OV_OK)
        rc = visit(k, ov_pickle_root(pickle), 0);
    ov_pickle_free(pickle);
    return rc;
}

static int
take_archive(struct walk *k, const struct ov_zip *z)
{
    const struct ov_zip_member *m;
    char root[NAME_BYTES];
    int rc;

    if (!find_root(z, root))
        return bad(k->w, "a zip archive, but no PyTorch checkpoint", k->err);
    m = member(z, root, "byteorder", 9);
    if (m != NULL && (m->n != 6 || memcmp(m->data, "little", 6) != 0))
        return bad(k->w, "its numbers are big-endian", k->err);
    rc = take_pickle(k, z, root, member(z, root, "data.pkl", 8), "data");
    m = member(z, root, "constants.pkl", 13);
    if (rc < 0 || m == NULL)
        return rc;
    extend(k, "constants", 9);
    return take_pickle(k, z, root, m, "constants");
}

static int
take_zip(struct walk *k, const unsigned char *p, size_t n)
{
    struct ov_zip *z;
    int rc;

    rc = ov_zip_open(&z, p, n, k->w->path, k->err);
    if (rc == OV_OK)
        rc = take_archive(k, z);
    ov_zip_close(z);
    return rc;
}

/* the stream of before PyTorch 1.6 --------------------------------------- */

/* Its first pickle is 0x1950a86a20f9469cfc6c. */
static const unsigned char magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c,
                                      0xfc, 0x9c, 0x46, 0xf9, 0x20,
                                      0x6a, 0xa8, 0x50, 0x19, '.'};

struct stream {
    const unsigned char *p;
    size_t at, n;
};

static int
next_pickle(struct walk *k, struct stream *s, struct ov_pickle **pickle)
{
    size_t used = 0;
    int rc;

    rc = ov_pickle_run(pickle, s->p + s->at, s->n - s->at, &used, k->w->path,
                       k->err);
    s->at += used;
    return rc;
}

/* Is member name of a dict there, with the value true? */
static bool
is_true(const struct ov_pickle_value *v, const char *name)
{
    const struct ov_pickle_items *t = &v->u.items;
    size_t i, n = strlen(name);

    if (v->kind != OV_PICKLE_DICT)
        return false;
    for (i = 0; i + 1 < t->n; i += 2)
        if (t->v[i]->kind == OV_PICKLE_STRING && t->v[i]->u.s.n == n &&
            memcmp(t->v[i]->u.s.p, name, n) == 0)
            return t->v[i + 1]->kind == OV_PICKLE_BOOL && t->v[i + 1]->u.b;
    return false;
}

/* The two pickles before the main one: protocol 1001, little-endian. */
static int
take_preface(struct walk *k, struct stream *s)
{
    struct ov_pickle *version = NULL, *system = NULL;
    const struct ov_pickle_value *v;
    int rc;

    rc = next_pickle(k, s, &version);
    if (rc == OV_OK) {
        v = ov_pickle_root(version);
        if (v->kind != OV_PICKLE_INT || v->u.i != 1001)
            rc = bad(k->w, "not version 1001 of its format", k->err);
    }
    if (rc == OV_OK)
        rc = next_pickle(k, s, &system);
    if (rc == OV_OK && !is_true(ov_pickle_root(system), "little_endian"))
        rc = bad(k->w, "its numbers are not little-endian", k->err);
    ov_pickle_free(version);
    ov_pickle_free(system);
    return rc;
}

/* A storage in the stream: its count, then its elements. */
static int
take_storage(struct walk *k, struct stream *s, size_t i)
{
    const struct ov_pickle_storage *t = ov_pickle_storage(k->k, i);
    uint64_t count = 0, bytes = 0;
    int b;

    if (s->n - s->at < 8)
        return bad(k->w, "cut short before a storage", k->err);
    for (b = 7; b >= 0; b--)
        count = count << 8 | s->p[s->at + (size_t)b];
    s->at += 8;
    if (count != (uint64_t)t->count || !storage_bytes(t, &bytes))
        return bad(k->w, "a storage has another size than was said", k->err);
    if (bytes > s->n - s->at)
        return bad(k->w, "cut short in a storage", k->err);
    k->storages[i] = s->p + s->at;
    s->at += (size_t)bytes;
    return OV_OK;
}

/* The list of keys says in which order the storages follow. */
static int
take_storages(struct walk *k, struct stream *s,
              const struct ov_pickle_value *keys)
{
    const struct ov_pickle_items *t = &keys->u.items;
    size_t n = ov_pickle_storages(k->k), i, j = 0;
    int rc = OV_OK;

    if (keys->kind != OV_PICKLE_LIST)
        return bad(k->w, "its storages are not listed", k->err);
    for (i = 0; i < t->n && rc == OV_OK; i++) {
        if (t->v[i]->kind != OV_PICKLE_STRING)
            return bad(k->w, "a storage's key is no text", k->err);
        j = ov_pickle_storage_find(k->k, t->v[i]->u.s.p, t->v[i]->u.s.n);
        if (j == n || k->storages[j] != NULL)
            return bad(k->w, "it lists a storage that no tensor has", k->err);
        rc = take_storage(k, s, j);
    }
    if (rc == OV_OK && t->n != n)
        rc = bad(k->w, "a storage is missing", k->err);
    if (rc == OV_OK && s->at != s->n)
        rc = bad(k->w, "data after the last storage", k->err);
    return rc;
}

static int
take_stream(struct walk *k, const unsigned char *p, size_t n)
{
    struct ov_pickle *pickle = NULL, *keys = NULL;
    struct stream s = {p, sizeof magic, n};
    int rc;

    rc = take_preface(k, &s);
    if (rc == OV_OK)
        rc = next_pickle(k, &s, &pickle);
    if (rc == OV_OK)
        rc = next_pickle(k, &s, &keys);
    if (rc == OV_OK)
        rc = begin(k, pickle);
    if (rc == OV_OK)
        rc = take_storages(k, &s, ov_pickle_root(keys));
    if (rc == OV_OK)
        rc = visit(k, ov_pickle_root(pickle), 0);
    ov_pickle_free(pickle);
    ov_pickle_free(keys);
    return rc;
}

/* the whole -------------------------------------------------------------- */

bool
ov_torch_is(const unsigned char *p, size_t n)
{
    /* safetensors might begin so, but goes on with '{' */
    return (n >= 9 && memcmp(p, "PK\3\4", 4) == 0 && p[8] != '{') ||
           (n >= sizeof magic && memcmp(p, magic, sizeof magic) == 0);
}

static int
by_scalar(const void *pa, const void *pb)
{
    const struct ov_scalar *a = pa, *b = pb;

    return strcmp(a->name, b->name);
}

int
ov_torch_take(struct ov_weights *w, const unsigned char *p, size_t n,
              struct ov_err *err)
{
    struct walk k = {.w = w, .err = err};
    int rc;

    k.copies_limit = n > SIZE_MAX - COPIES_MAX ? SIZE_MAX : n + COPIES_MAX;
    rc = p[0] == 'P' ? take_zip(&k, p, n) : take_stream(&k, p, n);
    free(k.storages);
    if (w->n_scalars > 1)
        qsort(w->scalars, w->n_scalars, sizeof *w->scalars, by_scalar);
    return rc < 0 ? rc : ov_store_index(w, err);
}
