/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pickle may call: what makes tensors, dicts, sets and objects.
 * In: a function on the list and its arguments.  Out: a value.
 * Source: pytorch/pytorch, torch/_utils.py and torch/serialization.py. */
#include <stdlib.h>
#include <string.h>

#include "model/pickle_global.h"
#include "model/pickle_machine.h"

enum { KEY_MAX = 200 };

/* storages --------------------------------------------------------------- */

static size_t
storage_slot(const struct ov_pickle *k, const char *key, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    const struct ov_pickle_storage *s;
    size_t i;

    for (i = 0; i < n; i++)
        h = (h ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    for (i = (size_t)(h ^ h >> 31) & k->index_mask; k->index[i] != 0;
         i = (i + 1) & k->index_mask) {
        s = &k->storages[k->index[i] - 1];
        if (s->key_len == n && memcmp(s->key, key, n) == 0)
            break;
    }
    return i;
}

static bool
storages_grow(struct ov_pickle *k)
{
    size_t room = k->storages_room == 0 ? 64 : 2 * k->storages_room, i;
    struct ov_pickle_storage *s;

    if (k->n_storages < k->storages_room)
        return true;
    s = realloc(k->storages, room * sizeof *s);
    if (s == NULL)
        return false;
    k->storages = s;
    k->storages_room = room;
    free(k->index);
    k->index = calloc(2 * room, sizeof *k->index);
    if (k->index == NULL)
        return false;
    k->index_mask = 2 * room - 1;
    for (i = 0; i < k->n_storages; i++)
        k->index[storage_slot(k, s[i].key, s[i].key_len)] = (uint32_t)i + 1;
    return true;
}

size_t
ov_pickle_storage_find(const struct ov_pickle *k, const char *key, size_t n)
{
    size_t at;

    if (k->index == NULL || n > KEY_MAX)
        return k->n_storages;
    at = storage_slot(k, key, n);
    return k->index[at] != 0 ? k->index[at] - 1 : k->n_storages;
}

/* The number of storage s: that of its key, or a new one. */
static size_t
storage_number(struct ov_pickle_machine *m, const struct ov_pickle_storage *s)
{
    struct ov_pickle *k = m->k;
    const struct ov_pickle_storage *t;
    size_t at;

    if (!storages_grow(k)) {
        ov_pickle_fail_memory(m);
        return 0;
    }
    at = storage_slot(k, s->key, s->key_len);
    if (k->index[at] != 0) {
        t = &k->storages[k->index[at] - 1];
        if (t->dtype != s->dtype || t->untyped != s->untyped ||
            t->count != s->count)
            ov_pickle_fail(m, "one storage is described in two ways");
        return k->index[at] - 1;
    }
    k->storages[k->n_storages++] = *s;
    k->index[at] = (uint32_t)k->n_storages;
    return k->n_storages - 1;
}

static bool
text_is(value v, const char *s)
{
    return v->kind == OV_PICKLE_STRING && v->u.s.n == strlen(s) &&
           memcmp(v->u.s.p, s, v->u.s.n) == 0;
}

/* A view that old files have: (key, offset, count), or None. */
static bool
take_view(value v, value s)
{
    const struct ov_pickle_items *t = &v->u.items;
    int64_t from, n;

    if (v->kind == OV_PICKLE_NONE)
        return true;
    if (v->kind != OV_PICKLE_TUPLE || t->n != 3 ||
        t->v[1]->kind != OV_PICKLE_INT || t->v[2]->kind != OV_PICKLE_INT)
        return false;
    from = t->v[1]->u.i;
    n = t->v[2]->u.i;
    if (from < 0 || n < 0 || from > s->u.storage.count ||
        n > s->u.storage.count - from)
        return false;
    s->u.storage.offset = from;
    s->u.storage.count = n;
    return true;
}

/* BINPERSID: ("storage", class, key, where, count[, view]). */
void
ov_pickle_persistent(struct ov_pickle_machine *m)
{
    value id = ov_pickle_pop(m);
    const struct ov_pickle_items *t = &id->u.items;
    const struct ov_pickle_global *g;
    struct ov_pickle_storage s;
    value v;

    if (id->kind != OV_PICKLE_TUPLE || t->n < 5 || t->n > 6 ||
        !text_is(t->v[0], "storage") || t->v[1]->kind != OV_PICKLE_GLOBAL ||
        t->v[2]->kind != OV_PICKLE_STRING || t->v[4]->kind != OV_PICKLE_INT ||
        t->v[4]->u.i < 0 || t->v[2]->u.s.n > KEY_MAX) {
        ov_pickle_fail(m, "a persistent id that is no storage");
        return;
    }
    g = ov_pickle_global_at(t->v[1]->u.global);
    if (g->call != OV_CALL_STORAGE && g->call != OV_CALL_UNTYPED) {
        ov_pickle_fail(m, "a persistent id that is no storage");
        return;
    }
    s = (struct ov_pickle_storage){t->v[2]->u.s.p, t->v[2]->u.s.n, g->dtype,
                                   g->call == OV_CALL_UNTYPED, t->v[4]->u.i};
    v = ov_pickle_fresh(m, OV_PICKLE_STORAGE);
    v->u.storage.index = storage_number(m, &s);
    v->u.storage.count = s.count;
    if (t->n == 6 && !take_view(t->v[5], v))
        ov_pickle_fail(m, "a view that is not in its storage");
    ov_pickle_push(m, v);
}

/* calls ------------------------------------------------------------------ */

/* A tuple of at most OV_ARRAY_RANK numbers, none negative. */
static bool
numbers(value v, int64_t *out, int *n)
{
    const struct ov_pickle_items *t = &v->u.items;
    size_t i;

    if ((v->kind != OV_PICKLE_TUPLE && v->kind != OV_PICKLE_LIST) ||
        t->n > OV_ARRAY_RANK)
        return false;
    for (i = 0; i < t->n; i++) {
        if (t->v[i]->kind != OV_PICKLE_INT || t->v[i]->u.i < 0)
            return false;
        out[i] = t->v[i]->u.i;
    }
    *n = (int)t->n;
    return true;
}

/* Is the last element of t inside of its storage of count elements? */
static bool
inside(const struct ov_pickle_tensor *t, int64_t count)
{
    int64_t last = t->offset, step;
    int i;

    for (i = 0; i < t->rank; i++)
        if (t->shape[i] == 0)
            return true;
    for (i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    return last < count;
}

/* storage, offset, shape, stride, ...: _rebuild_tensor and its kin. */
static void
call_tensor(struct ov_pickle_machine *m, const struct ov_pickle_items *a,
            bool v3)
{
    const struct ov_pickle_storage *s;
    struct ov_pickle_tensor *t;
    value v;
    int64_t count;
    int strides;

    if (a->n < (v3 ? 7u : 4u) || a->v[0]->kind != OV_PICKLE_STORAGE ||
        a->v[1]->kind != OV_PICKLE_INT || a->v[1]->u.i < 0) {
        ov_pickle_fail(m, "a tensor without storage and offset");
        return;
    }
    v = ov_pickle_fresh(m, OV_PICKLE_TENSOR);
    v->u.tensor = t = ov_pickle_fresh_tensor(m);
    if (t == NULL)
        return;
    t->storage = a->v[0]->u.storage.index;
    s = &m->k->storages[t->storage];
    t->dtype = s->dtype;
    count = a->v[0]->u.storage.count;
    if (v3 && a->v[6]->kind == OV_PICKLE_GLOBAL &&
        ov_pickle_global_at(a->v[6]->u.global)->call == OV_CALL_DTYPE)
        t->dtype = ov_pickle_global_at(a->v[6]->u.global)->dtype;
    else if (v3 || s->untyped)
        ov_pickle_fail(m, "a tensor of unknown dtype");
    if (s->untyped)
        count /= (int64_t)ov_dtype_size(t->dtype);
    else if (t->dtype != s->dtype)
        ov_pickle_fail(m, "a tensor of another dtype than its storage");
    t->offset = a->v[1]->u.i;
    if (!numbers(a->v[2], t->shape, &t->rank) ||
        !numbers(a->v[3], t->stride, &strides) || strides != t->rank)
        ov_pickle_fail(m, "a tensor whose shape or strides cannot be");
    else if (!inside(t, count))
        ov_pickle_fail(m, "a tensor that is outside of its storage");
    else if (__builtin_add_overflow(t->offset, a->v[0]->u.storage.offset,
                                    &t->offset))
        ov_pickle_fail(m, "a tensor whose offset cannot be");
    ov_pickle_push(m, v);
}

/* OrderedDict() or OrderedDict([(key, value), ...]) */
static void
call_dict(struct ov_pickle_machine *m, const struct ov_pickle_items *a)
{
    value d = ov_pickle_fresh(m, OV_PICKLE_DICT);
    const struct ov_pickle_items *t;
    size_t i;

    if (m->rc == 0 && a->n > 0) {
        if (a->n != 1 || a->v[0]->kind != OV_PICKLE_LIST) {
            ov_pickle_fail(m, "a dict made from what is no list");
            return;
        }
        t = &a->v[0]->u.items;
        for (i = 0; i < t->n && m->rc == 0; i++) {
            if ((t->v[i]->kind != OV_PICKLE_TUPLE &&
                 t->v[i]->kind != OV_PICKLE_LIST) ||
                t->v[i]->u.items.n != 2)
                ov_pickle_fail(m, "a dict made from what are no pairs");
            else
                ov_pickle_add(m, &d->u.items, t->v[i]->u.items.v, 2);
        }
    }
    ov_pickle_push(m, d);
}

static void
call_list(struct ov_pickle_machine *m, const struct ov_pickle_items *a)
{
    value l = ov_pickle_fresh(m, OV_PICKLE_LIST);

    if (a->n > 1 || (a->n == 1 && a->v[0]->kind != OV_PICKLE_LIST &&
                     a->v[0]->kind != OV_PICKLE_TUPLE))
        ov_pickle_fail(m, "a set made from what is no list");
    else if (a->n == 1)
        ov_pickle_add(m, &l->u.items, a->v[0]->u.items.v, a->v[0]->u.items.n);
    ov_pickle_push(m, l);
}

static void call(struct ov_pickle_machine *m, value f, value args);

/* f, type, args, state: only what it builds is of interest.  No recursion:
 * f must be one of those that build tensors. */
static void
call_typed(struct ov_pickle_machine *m, const struct ov_pickle_items *a)
{
    enum ov_pickle_call c;

    if (a->n != 4 || a->v[0]->kind != OV_PICKLE_GLOBAL) {
        ov_pickle_fail(m, "a call of what is no function");
        return;
    }
    c = ov_pickle_global_at(a->v[0]->u.global)->call;
    if (c != OV_CALL_TENSOR && c != OV_CALL_TENSOR_V3 && c != OV_CALL_FIRST)
        ov_pickle_fail(m, "a call of what builds no tensor");
    else
        call(m, a->v[0], a->v[2]);
}

/* What f(args) gives, onto the stack. */
static void
call(struct ov_pickle_machine *m, value f, value args)
{
    const struct ov_pickle_items *a = &args->u.items;

    if (f->kind != OV_PICKLE_GLOBAL || args->kind != OV_PICKLE_TUPLE) {
        ov_pickle_fail(m, "a call of what is no function");
        return;
    }
    switch (ov_pickle_global_at(f->u.global)->call) {
    case OV_CALL_DICT:
        call_dict(m, a);
        break;
    case OV_CALL_LIST:
        call_list(m, a);
        break;
    case OV_CALL_BYTES:
    case OV_CALL_OTHER:
        ov_pickle_push(m, ov_pickle_other());
        break;
    case OV_CALL_OBJECT:
        ov_pickle_push(m, ov_pickle_fresh(m, OV_PICKLE_OBJECT));
        break;
    case OV_CALL_TENSOR:
        call_tensor(m, a, false);
        break;
    case OV_CALL_TENSOR_V3:
        call_tensor(m, a, true);
        break;
    case OV_CALL_FIRST:
        if (a->n > 0 && a->v[0]->kind == OV_PICKLE_TENSOR)
            ov_pickle_push(m, a->v[0]);
        else
            ov_pickle_fail(m, "a parameter that is no tensor");
        break;
    case OV_CALL_TYPED:
        call_typed(m, a);
        break;
    default:
        ov_pickle_fail(m, "a call of what is no function");
    }
}

void
ov_pickle_reduce(struct ov_pickle_machine *m)
{
    value args = ov_pickle_pop(m), f = ov_pickle_pop(m);

    call(m, f, args);
}

/* NEWOBJ: an object with no attributes yet.  What it is made from is not
 * looked at. */
void
ov_pickle_new_object(struct ov_pickle_machine *m, int n)
{
    enum ov_pickle_call c = OV_CALL_OTHER;
    value f;

    while (n-- > 0)
        ov_pickle_pop(m);
    f = ov_pickle_pop(m);
    if (f->kind == OV_PICKLE_GLOBAL)
        c = ov_pickle_global_at(f->u.global)->call;
    if (c == OV_CALL_DICT)
        ov_pickle_push(m, ov_pickle_fresh(m, OV_PICKLE_DICT));
    else if (c == OV_CALL_OBJECT)
        ov_pickle_push(m, ov_pickle_fresh(m, OV_PICKLE_OBJECT));
    else
        ov_pickle_fail(m, "an object of what is no class");
}

/* BUILD: attributes.  Those of dicts and tensors are of no interest. */
void
ov_pickle_build(struct ov_pickle_machine *m)
{
    value state = ov_pickle_pop(m), v = ov_pickle_pop(m);

    ov_pickle_push(m, v);
    if (state->kind == OV_PICKLE_TUPLE && state->u.items.n == 2)
        state = state->u.items.v[0];
    if (m->rc < 0 || v->kind != OV_PICKLE_OBJECT)
        return;
    if (state->kind == OV_PICKLE_DICT)
        ov_pickle_add(m, &v->u.items, state->u.items.v, state->u.items.n);
    else if (state->kind != OV_PICKLE_NONE)
        ov_pickle_fail(m, "attributes that are no dict");
}
