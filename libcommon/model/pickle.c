/* SPDX-License-Identifier: BSD-2-Clause */
/* Python pickles, without Python: a machine that builds plain values and
 * descriptions of tensors, and can do nothing else.
 * In: the program of a pickle.  Out: a tree. */
#include "model/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "model/pickle_global.h"
#include "model/pickle_machine.h"

enum {
    VALUES_MAX = 1 << 19,
    ITEMS_MAX = 1 << 20, /* in all containers together */
    TENSORS_MAX = 1 << 16,
    MEMO_MAX = 1 << 20
};

/* Never written to: what can be changed is made by fresh. */
static struct ov_pickle_value v_none = {.kind = OV_PICKLE_NONE};
static struct ov_pickle_value v_other = {.kind = OV_PICKLE_OTHER};
static struct ov_pickle_value v_true = {.kind = OV_PICKLE_BOOL,
                                        .u = {.b = true}};
static struct ov_pickle_value v_false = {.kind = OV_PICKLE_BOOL};
static struct ov_pickle_value v_empty = {.kind = OV_PICKLE_TUPLE};

/* failing ---------------------------------------------------------------- */

/* Stop the machine; the first reason stays. */
void
ov_pickle_fail(struct ov_pickle_machine *m, const char *fact)
{
    if (m->rc < 0)
        return;
    m->rc = ov_err_set(m->err, OV_EMODEL, "%s: pickle: offset %zu: %s", m->file,
                       (size_t)(m->op - m->p), fact);
}

void
ov_pickle_fail_memory(struct ov_pickle_machine *m)
{
    if (m->rc == 0)
        m->rc = ov_err_set(m->err, OV_ERUN, "%s: out of memory", m->file);
}

/* Refuse a global by name; what is not printable is not printed. */
static void
fail_global(struct ov_pickle_machine *m, const char *module, size_t n,
            const char *name, size_t k)
{
    char s[128];
    size_t i, j = 0;

    for (i = 0; i < n && j < 60; i++)
        s[j++] = module[i];
    s[j++] = '.';
    for (i = 0; i < k && j < 120; i++)
        s[j++] = name[i];
    s[j] = '\0';
    for (i = 0; i < j; i++)
        if (s[i] < 0x20 || s[i] > 0x7e)
            s[i] = '?';
    if (m->rc == 0)
        m->rc = ov_err_set(m->err, OV_EMODEL,
                           "%s: pickle: offset %zu: refused: it names %s, "
                           "which is no part of a checkpoint's data",
                           m->file, (size_t)(m->op - m->p), s);
}

/* memory ----------------------------------------------------------------- */

/* A new value; never NULL: if it fails the machine stops, and the value is
 * one that is thrown away. */
value
ov_pickle_fresh(struct ov_pickle_machine *m, enum ov_pickle_kind kind)
{
    static _Thread_local struct ov_pickle_value waste;
    struct ov_pickle_block *b = m->k->blocks;
    value v;

    memset(&waste, 0, sizeof waste);
    if (m->rc < 0)
        return &waste;
    if (m->k->n_values >= VALUES_MAX) {
        ov_pickle_fail(m, "more than 524288 values");
        return &waste;
    }
    if (b == NULL || b->n == OV_PICKLE_BLOCK) {
        b = malloc(sizeof *b);
        if (b == NULL) {
            ov_pickle_fail_memory(m);
            return &waste;
        }
        b->n = 0;
        b->next = m->k->blocks;
        m->k->blocks = b;
    }
    m->k->n_values++;
    v = &b->v[b->n++];
    memset(v, 0, sizeof *v);
    v->kind = kind;
    return v;
}

/* A new tensor; NULL if it fails. */
struct ov_pickle_tensor *
ov_pickle_fresh_tensor(struct ov_pickle_machine *m)
{
    struct ov_pickle_owned *t = NULL;

    if (m->k->n_tensors >= TENSORS_MAX)
        ov_pickle_fail(m, "more than 65536 tensors");
    else if (m->rc == 0 && (t = calloc(1, sizeof *t)) == NULL)
        ov_pickle_fail_memory(m);
    if (t == NULL)
        return NULL;
    m->k->n_tensors++;
    t->next = m->k->tensors;
    m->k->tensors = t;
    return &t->t;
}

void
ov_pickle_add(struct ov_pickle_machine *m, struct ov_pickle_items *to,
              const value *from, size_t n)
{
    size_t room = to->room;
    value *v;

    if (m->k->n_items + n > ITEMS_MAX)
        ov_pickle_fail(m, "more than 1048576 items");
    if (m->rc < 0 || n == 0)
        return;
    m->k->n_items += n;
    if (n > room - to->n) {
        while (n > room - to->n)
            room = room == 0 ? 4 : 2 * room;
        v = realloc(to->v, room * sizeof *v);
        if (v == NULL) {
            ov_pickle_fail_memory(m);
            return;
        }
        to->v = v;
        to->room = room;
    }
    memcpy(to->v + to->n, from, n * sizeof *from);
    to->n += n;
}

/* The items of a list, a dict and the like that opcodes may still change. */
static struct ov_pickle_items *
items_of(struct ov_pickle_machine *m, value v, bool pairs)
{
    bool good = pairs ? v->kind == OV_PICKLE_DICT || v->kind == OV_PICKLE_OBJECT
                      : v->kind == OV_PICKLE_LIST;

    if (good && m->rc == 0)
        return &v->u.items;
    ov_pickle_fail(m, pairs ? "a member for what is no dict"
                            : "an element for what is no list");
    return NULL;
}

value
ov_pickle_other(void)
{
    return &v_other;
}

/* the stack -------------------------------------------------------------- */

void
ov_pickle_push(struct ov_pickle_machine *m, value v)
{
    size_t room = m->stack_room == 0 ? 64 : 2 * m->stack_room;
    value *s;

    if (m->rc < 0)
        return;
    if (m->depth == m->stack_room) {
        s = m->depth < VALUES_MAX ? realloc(m->stack, room * sizeof *s) : NULL;
        if (s == NULL) {
            ov_pickle_fail_memory(m);
            return;
        }
        m->stack = s;
        m->stack_room = room;
    }
    m->stack[m->depth++] = v;
}

/* How deep it may be popped: to the last mark. */
static size_t
ground(const struct ov_pickle_machine *m)
{
    return m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
}

/* Never NULL. */
value
ov_pickle_pop(struct ov_pickle_machine *m)
{
    if (m->rc < 0 || m->depth == ground(m)) {
        ov_pickle_fail(m, "the stack is empty");
        return &v_none;
    }
    return m->stack[--m->depth];
}

static value
top(struct ov_pickle_machine *m)
{
    value v = ov_pickle_pop(m);

    ov_pickle_push(m, v);
    return v;
}

static void
push_mark(struct ov_pickle_machine *m)
{
    size_t room = m->marks_room == 0 ? 64 : 2 * m->marks_room;
    size_t *s;

    if (m->n_marks == m->marks_room) {
        s = room <= VALUES_MAX ? realloc(m->marks, room * sizeof *s) : NULL;
        if (s == NULL) {
            ov_pickle_fail_memory(m);
            return;
        }
        m->marks = s;
        m->marks_room = room;
    }
    m->marks[m->n_marks++] = m->depth;
}

/* Pop all above the last mark, and the mark: *v [the count]. */
static size_t
pop_mark(struct ov_pickle_machine *m, const value **v)
{
    size_t n;

    *v = m->stack;
    if (m->rc < 0)
        return 0;
    if (m->n_marks == 0) {
        ov_pickle_fail(m, "there is no mark");
        return 0;
    }
    n = m->depth - m->marks[--m->n_marks];
    m->depth -= n;
    *v = m->stack + m->depth;
    return n;
}

/* arguments of opcodes --------------------------------------------------- */

/* n bytes of the program, NULL if it is cut short. */
static const unsigned char *
take(struct ov_pickle_machine *m, uint64_t n)
{
    const unsigned char *p = m->at;

    if (m->rc == 0 && n <= (uint64_t)(m->end - m->at)) {
        m->at += n;
        return p;
    }
    ov_pickle_fail(m, "cut short");
    return NULL;
}

/* A little-endian number of n <= 8 bytes. */
static uint64_t
take_number(struct ov_pickle_machine *m, int n)
{
    const unsigned char *p = take(m, (uint64_t)n);
    uint64_t v = 0;

    while (p != NULL && n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static void
push_int(struct ov_pickle_machine *m, int64_t i)
{
    value v = ov_pickle_fresh(m, OV_PICKLE_INT);

    v->u.i = i;
    ov_pickle_push(m, v);
}

/* Two's complement of n bytes: INT if it fits. */
static void
push_long(struct ov_pickle_machine *m, uint64_t n)
{
    const unsigned char *p = take(m, n);
    value v;
    uint64_t u = 0;
    int i;

    if (p == NULL)
        return;
    if (n > 8) {
        v = ov_pickle_fresh(m, OV_PICKLE_BIG);
        v->u.s.p = (const char *)p;
        v->u.s.n = (size_t)n;
        ov_pickle_push(m, v);
        return;
    }
    if (n > 0 && (p[n - 1] & 0x80) != 0)
        u = UINT64_MAX;
    for (i = (int)n - 1; i >= 0; i--)
        u = u << 8 | p[i];
    push_int(m, (int64_t)u);
}

static void
push_string(struct ov_pickle_machine *m, enum ov_pickle_kind kind, uint64_t n)
{
    const unsigned char *p = take(m, n);
    value v;

    if (p == NULL)
        return;
    v = ov_pickle_fresh(m, kind);
    v->u.s.p = (const char *)p;
    v->u.s.n = (size_t)n;
    ov_pickle_push(m, v);
}

static void
push_float(struct ov_pickle_machine *m)
{
    value v = ov_pickle_fresh(m, OV_PICKLE_FLOAT);
    const unsigned char *p = take(m, 8);
    uint64_t u = 0;
    int i;

    for (i = 0; p != NULL && i < 8; i++)
        u = u << 8 | p[i];
    memcpy(&v->u.f, &u, sizeof u);
    ov_pickle_push(m, v);
}

/* A line of the program, without its end. */
static const char *
take_line(struct ov_pickle_machine *m, size_t *n)
{
    const unsigned char *p = m->at, *nl;

    nl = m->rc == 0 ? memchr(p, '\n', (size_t)(m->end - p)) : NULL;
    if (nl == NULL) {
        ov_pickle_fail(m, "cut short");
        *n = 0;
        return "";
    }
    *n = (size_t)(nl - p);
    m->at = nl + 1;
    return (const char *)p;
}

/* memo ------------------------------------------------------------------- */

static void
put(struct ov_pickle_machine *m, uint64_t i)
{
    size_t room = m->memo_room;
    value v = top(m), *memo;

    if (m->rc < 0)
        return;
    if (i >= MEMO_MAX) {
        ov_pickle_fail(m, "a memo number is too large");
        return;
    }
    if (i >= room) {
        while (i >= room)
            room = room == 0 ? 256 : 2 * room;
        memo = realloc(m->memo, room * sizeof *memo);
        if (memo == NULL) {
            ov_pickle_fail_memory(m);
            return;
        }
        memset(memo + m->memo_room, 0, (room - m->memo_room) * sizeof *memo);
        m->memo = memo;
        m->memo_room = room;
    }
    if (m->memo[i] == NULL)
        m->memo_next++;
    m->memo[i] = v;
}

static void
get(struct ov_pickle_machine *m, uint64_t i)
{
    if (m->rc < 0)
        return;
    if (i >= m->memo_room || m->memo[i] == NULL)
        ov_pickle_fail(m, "the memo has no such value");
    else
        ov_pickle_push(m, m->memo[i]);
}

/* containers ------------------------------------------------------------- */

/* The n values at v as a new container on the stack. */
static void
collect(struct ov_pickle_machine *m, enum ov_pickle_kind kind, const value *v,
        size_t n)
{
    value c;

    if (kind == OV_PICKLE_TUPLE && n == 0) {
        ov_pickle_push(m, &v_empty);
        return;
    }
    if (kind == OV_PICKLE_DICT && n % 2 != 0)
        ov_pickle_fail(m, "a key without a value");
    c = ov_pickle_fresh(m, kind);
    ov_pickle_add(m, &c->u.items, v, n);
    ov_pickle_push(m, c);
}

static void
collect_marked(struct ov_pickle_machine *m, enum ov_pickle_kind kind)
{
    const value *v;
    size_t n = pop_mark(m, &v);

    collect(m, kind, v, n);
}

/* The last n of the stack as a tuple. */
static void
collect_last(struct ov_pickle_machine *m, size_t n)
{
    value v[3];
    size_t i;

    for (i = n; i-- > 0;)
        v[i] = ov_pickle_pop(m);
    collect(m, OV_PICKLE_TUPLE, v, n);
}

/* Add n values to the list or dict below them. */
static void
extend(struct ov_pickle_machine *m, const value *v, size_t n, bool pairs)
{
    struct ov_pickle_items *to = items_of(m, top(m), pairs);

    if (pairs && n % 2 != 0)
        ov_pickle_fail(m, "a key without a value");
    if (to != NULL)
        ov_pickle_add(m, to, v, n);
}

static void
extend_marked(struct ov_pickle_machine *m, bool pairs)
{
    const value *v;
    size_t n = pop_mark(m, &v);

    extend(m, v, n, pairs);
}

static void
extend_last(struct ov_pickle_machine *m, size_t n, bool pairs)
{
    value v[2];
    size_t i;

    for (i = n; i-- > 0;)
        v[i] = ov_pickle_pop(m);
    extend(m, v, n, pairs);
}

/* globals ---------------------------------------------------------------- */

static void
push_global(struct ov_pickle_machine *m, const char *module, size_t n,
            const char *name, size_t k)
{
    value v;
    int g;

    if (m->rc < 0)
        return;
    g = ov_pickle_global_find(module, n, name, k);
    if (g < 0) {
        fail_global(m, module, n, name, k);
        return;
    }
    v = ov_pickle_fresh(m, OV_PICKLE_GLOBAL);
    v->u.global = g;
    ov_pickle_push(m, v);
}

static void
global_lines(struct ov_pickle_machine *m)
{
    size_t n, k;
    const char *module = take_line(m, &n), *name = take_line(m, &k);

    push_global(m, module, n, name, k);
}

static void
global_stack(struct ov_pickle_machine *m)
{
    value name = ov_pickle_pop(m), module = ov_pickle_pop(m);

    if (name->kind != OV_PICKLE_STRING || module->kind != OV_PICKLE_STRING)
        ov_pickle_fail(m, "a global whose name is no text");
    else
        push_global(m, module->u.s.p, module->u.s.n, name->u.s.p, name->u.s.n);
}

/* opcodes ---------------------------------------------------------------- */

static void
unknown(struct ov_pickle_machine *m)
{
    if (m->rc == 0)
        m->rc = ov_err_set(m->err, OV_EMODEL,
                           "%s: pickle: offset %zu: refused: opcode 0x%02x is "
                           "none that a checkpoint needs",
                           m->file, (size_t)(m->op - m->p), *m->op);
}

/* Opcodes that push one value. */
static bool
step_value(struct ov_pickle_machine *m, int op)
{
    switch (op) {
    case 'N': /* NONE */
        ov_pickle_push(m, &v_none);
        return true;
    case 0x88: /* NEWTRUE */
        ov_pickle_push(m, &v_true);
        return true;
    case 0x89: /* NEWFALSE */
        ov_pickle_push(m, &v_false);
        return true;
    case 'J': /* BININT */
        push_int(m, (int32_t)take_number(m, 4));
        return true;
    case 'K': /* BININT1 */
        push_int(m, (int64_t)take_number(m, 1));
        return true;
    case 'M': /* BININT2 */
        push_int(m, (int64_t)take_number(m, 2));
        return true;
    case 0x8a: /* LONG1 */
        push_long(m, take_number(m, 1));
        return true;
    case 0x8b: /* LONG4 */
        push_long(m, take_number(m, 4));
        return true;
    case 'G': /* BINFLOAT */
        push_float(m);
        return true;
    case 'X': /* BINUNICODE */
        push_string(m, OV_PICKLE_STRING, take_number(m, 4));
        return true;
    case 'U':  /* SHORT_BINSTRING, of Python 2 */
    case 0x8c: /* SHORT_BINUNICODE */
        push_string(m, OV_PICKLE_STRING, take_number(m, 1));
        return true;
    case 'T': /* BINSTRING, of Python 2 */
        push_string(m, OV_PICKLE_STRING, take_number(m, 4));
        return true;
    case 0x8d: /* BINUNICODE8 */
        push_string(m, OV_PICKLE_STRING, take_number(m, 8));
        return true;
    case 'B': /* BINBYTES */
        push_string(m, OV_PICKLE_BYTES, take_number(m, 4));
        return true;
    case 'C': /* SHORT_BINBYTES */
        push_string(m, OV_PICKLE_BYTES, take_number(m, 1));
        return true;
    case 0x8e: /* BINBYTES8 */
    case 0x96: /* BYTEARRAY8 */
        push_string(m, OV_PICKLE_BYTES, take_number(m, 8));
        return true;
    default:
        return false;
    }
}

/* Opcodes that make and fill containers. */
static bool
step_container(struct ov_pickle_machine *m, int op)
{
    switch (op) {
    case ')': /* EMPTY_TUPLE */
        ov_pickle_push(m, &v_empty);
        return true;
    case 0x85: /* TUPLE1, TUPLE2, TUPLE3 */
    case 0x86:
    case 0x87:
        collect_last(m, (size_t)op - 0x84);
        return true;
    case 't': /* TUPLE */
        collect_marked(m, OV_PICKLE_TUPLE);
        return true;
    case ']':  /* EMPTY_LIST */
    case 0x8f: /* EMPTY_SET */
        collect(m, OV_PICKLE_LIST, NULL, 0);
        return true;
    case 'l':  /* LIST */
    case 0x91: /* FROZENSET */
        collect_marked(m, OV_PICKLE_LIST);
        return true;
    case 'a': /* APPEND */
        extend_last(m, 1, false);
        return true;
    case 'e':  /* APPENDS */
    case 0x90: /* ADDITEMS */
        extend_marked(m, false);
        return true;
    case '}': /* EMPTY_DICT */
        collect(m, OV_PICKLE_DICT, NULL, 0);
        return true;
    case 'd': /* DICT */
        collect_marked(m, OV_PICKLE_DICT);
        return true;
    case 's': /* SETITEM */
        extend_last(m, 2, true);
        return true;
    case 'u': /* SETITEMS */
        extend_marked(m, true);
        return true;
    default:
        return false;
    }
}

/* The rest: stack, memo, globals, calls. */
static void
step_other(struct ov_pickle_machine *m, int op)
{
    const value *v;

    switch (op) {
    case 0x80: /* PROTO */
        if (take_number(m, 1) > 5)
            ov_pickle_fail(m, "a protocol above 5");
        break;
    case 0x95: /* FRAME: only a hint */
        take_number(m, 8);
        break;
    case '.': /* STOP */
        m->k->root = ov_pickle_pop(m);
        m->done = true;
        break;
    case '(': /* MARK */
        push_mark(m);
        break;
    case '0': /* POP */
        ov_pickle_pop(m);
        break;
    case '1': /* POP_MARK */
        pop_mark(m, &v);
        break;
    case '2': /* DUP */
        ov_pickle_push(m, top(m));
        break;
    case 'q': /* BINPUT */
        put(m, take_number(m, 1));
        break;
    case 'r': /* LONG_BINPUT */
        put(m, take_number(m, 4));
        break;
    case 0x94: /* MEMOIZE */
        put(m, m->memo_next);
        break;
    case 'h': /* BINGET */
        get(m, take_number(m, 1));
        break;
    case 'j': /* LONG_BINGET */
        get(m, take_number(m, 4));
        break;
    case 'c': /* GLOBAL */
        global_lines(m);
        break;
    case 0x93: /* STACK_GLOBAL */
        global_stack(m);
        break;
    case 'Q': /* BINPERSID */
        ov_pickle_persistent(m);
        break;
    case 'R': /* REDUCE */
        ov_pickle_reduce(m);
        break;
    case 0x81: /* NEWOBJ */
        ov_pickle_new_object(m, 1);
        break;
    case 0x92: /* NEWOBJ_EX */
        ov_pickle_new_object(m, 2);
        break;
    case 'b': /* BUILD */
        ov_pickle_build(m);
        break;
    default:
        unknown(m);
    }
}

static void
run(struct ov_pickle_machine *m)
{
    int op;

    while (m->rc == 0 && !m->done) {
        m->op = m->at;
        if (m->at == m->end) {
            ov_pickle_fail(m, "cut short");
            return;
        }
        op = *m->at++;
        if (!step_value(m, op) && !step_container(m, op))
            step_other(m, op);
    }
}

int
ov_pickle_run(struct ov_pickle **out, const unsigned char *p, size_t n,
              size_t *used, const char *file, struct ov_err *err)
{
    struct ov_pickle_machine m = {
        .p = p, .at = p, .end = p + n, .op = p, .file = file, .err = err};

    *out = NULL;
    m.k = calloc(1, sizeof *m.k);
    if (m.k == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", file);
    run(&m);
    free(m.stack);
    free(m.marks);
    free(m.memo);
    if (m.rc < 0) {
        ov_pickle_free(m.k);
        return m.rc;
    }
    *used = (size_t)(m.at - p);
    *out = m.k;
    return OV_OK;
}

static bool
has_items(const struct ov_pickle_value *v)
{
    return v->kind == OV_PICKLE_TUPLE || v->kind == OV_PICKLE_LIST ||
           v->kind == OV_PICKLE_DICT || v->kind == OV_PICKLE_OBJECT;
}

void
ov_pickle_free(struct ov_pickle *k)
{
    struct ov_pickle_block *b;
    struct ov_pickle_owned *t;
    size_t i;

    if (k == NULL)
        return;
    while ((b = k->blocks) != NULL) {
        k->blocks = b->next;
        for (i = 0; i < b->n; i++)
            if (has_items(&b->v[i]))
                free(b->v[i].u.items.v);
        free(b);
    }
    while ((t = k->tensors) != NULL) {
        k->tensors = t->next;
        free(t);
    }
    free(k->storages);
    free(k->index);
    free(k);
}

const struct ov_pickle_value *
ov_pickle_root(const struct ov_pickle *k)
{
    return k->root;
}

size_t
ov_pickle_storages(const struct ov_pickle *k)
{
    return k->n_storages;
}

const struct ov_pickle_storage *
ov_pickle_storage(const struct ov_pickle *k, size_t i)
{
    return i < k->n_storages ? &k->storages[i] : NULL;
}
