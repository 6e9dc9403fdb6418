/* SPDX-License-Identifier: BSD-2-Clause */
/* The tensors of ONNX files.
 * In: the bytes of a file.  Out: struct ov_weights, filled.
 * Source: onnx/onnx, onnx/onnx.proto; Protocol Buffers, "Encoding". */
#include "model/onnx.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/store.h"

enum { NESTED_MAX = 32, ARRAYS_MAX = 1 << 20, NAME_BYTES = 1024 };

/* How a field is encoded. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* A message: its bytes that are not read yet. */
struct message {
    const unsigned char *at, *end;
};

struct field {
    unsigned number, wire;
    uint64_t value;         /* VARINT */
    struct message payload; /* BYTES; the 4 or 8 bytes of FIXED... */
};

struct reader {
    struct ov_weights *w;
    const unsigned char *begin;
    size_t room; /* of w->arrays */
    int depth;
    struct ov_err *err;
};

static int
bad(const struct reader *r, const unsigned char *at, const char *what)
{
    return ov_err_set(r->err, OV_EMODEL, "%s: ONNX: offset %zu: %s", r->w->path,
                      (size_t)(at - r->begin), what);
}

/* the encoding ----------------------------------------------------------- */

static int
varint(const struct reader *r, struct message *m, uint64_t *v)
{
    const unsigned char *from = m->at;
    int shift;

    *v = 0;
    for (shift = 0; shift < 70; shift += 7) {
        if (m->at == m->end)
            return bad(r, from, "cut short within a number");
        if (shift == 63 && *m->at > 1)
            break;
        *v |= (uint64_t)(*m->at & 0x7f) << shift;
        if ((*m->at++ & 0x80) == 0)
            return OV_OK;
    }
    return bad(r, from, "a number of more than 64 bits");
}

/* The next field of m.  1: *f is filled; 0: m is at its end; or an error. */
static int
next(const struct reader *r, struct message *m, struct field *f)
{
    const unsigned char *from = m->at;
    uint64_t key, n = 0;

    if (m->at == m->end)
        return 0;
    if (varint(r, m, &key) < 0)
        return OV_EMODEL;
    if (key >> 3 == 0 || key >> 32 != 0)
        return bad(r, from, "this is no field");
    f->number = (unsigned)(key >> 3);
    f->wire = key & 7;
    switch (f->wire) {
    case VARINT:
        return varint(r, m, &f->value) < 0 ? OV_EMODEL : 1;
    case FIXED64:
    case FIXED32:
        n = f->wire == FIXED64 ? 8 : 4;
        break;
    case BYTES:
        if (varint(r, m, &n) < 0)
            return OV_EMODEL;
        break;
    default:
        return bad(r, from, "a field of an encoding that is not used");
    }
    if (n > (uint64_t)(m->end - m->at))
        return bad(r, from, "a field that is longer than what it is in");
    f->payload = (struct message){m->at, m->at + n};
    m->at += n;
    return 1;
}

/* Is it field number?  One of that number in another encoding is an error,
 * which next makes of it. */
static bool
is(const struct field *f, unsigned number, unsigned wire)
{
    return f->number == number && f->wire == wire;
}

static size_t
length(const struct message *m)
{
    return (size_t)(m->end - m->at);
}

static bool
says(const struct message *m, const char *s)
{
    return length(m) == strlen(s) && memcmp(m->at, s, length(m)) == 0;
}

/* tensors ---------------------------------------------------------------- */

/* TensorProto */
struct tensor {
    const unsigned char *from;
    struct ov_array a;
    uint64_t type;
    struct message name, raw;
    bool has_raw, outside;
};

static int
add_dimension(const struct reader *r, struct tensor *t, uint64_t d)
{
    if (t->a.rank == OV_ARRAY_RANK)
        return bad(r, t->from, "a tensor of more than 8 dimensions");
    if (d > INT64_MAX)
        return bad(r, t->from, "a tensor with a negative dimension");
    t->a.shape[t->a.rank++] = (int64_t)d;
    return OV_OK;
}

/* Its dimensions, alone or several packed into one field. */
static int
dimensions(const struct reader *r, struct tensor *t, struct field *f)
{
    uint64_t d;
    int rc = OV_OK;

    if (f->wire == VARINT)
        return add_dimension(r, t, f->value);
    while (rc == OV_OK && length(&f->payload) > 0) {
        rc = varint(r, &f->payload, &d);
        if (rc == OV_OK)
            rc = add_dimension(r, t, d);
    }
    return rc;
}

static int
tensor_field(const struct reader *r, struct tensor *t, struct field *f)
{
    enum { DIMS = 1, TYPE, FLOATS = 4, NAME = 8, RAW, DOUBLES, OUTSIDE = 13 };

    if (f->number == DIMS && (f->wire == VARINT || f->wire == BYTES))
        return dimensions(r, t, f);
    if (is(f, TYPE, VARINT)) {
        t->type = f->value;
    } else if (is(f, NAME, BYTES)) {
        t->name = f->payload;
    } else if (is(f, FLOATS, BYTES) || is(f, RAW, BYTES) ||
               is(f, DOUBLES, BYTES)) { /* all are the bytes of the values */
        if (t->has_raw)
            return bad(r, t->from, "a tensor with two lists of values");
        t->raw = f->payload;
        t->has_raw = true;
    } else if (f->number == OUTSIDE) {
        t->outside = true;
    } else if (f->number == DIMS || f->number == TYPE || f->number == FLOATS ||
               (f->number >= NAME && f->number <= DOUBLES)) {
        return bad(r, t->from, "a tensor's field in another encoding");
    }
    return OV_OK;
}

/* False: not of floating point. */
static bool
dtype_of(uint64_t type, enum ov_dtype *out)
{
    enum { FLOAT = 1, FLOAT16 = 10, DOUBLE = 11, BFLOAT16 = 16 };

    switch (type) {
    case FLOAT:
        *out = OV_F32;
        return true;
    case FLOAT16:
        *out = OV_F16;
        return true;
    case DOUBLE:
        *out = OV_F64;
        return true;
    case BFLOAT16:
        *out = OV_BF16;
        return true;
    default:
        return false;
    }
}

/* Hang it into w under that name. */
static int
keep(struct reader *r, const struct tensor *t, const struct message *name)
{
    struct ov_weights *w = r->w;
    size_t room = r->room == 0 ? 64 : 2 * r->room;
    struct ov_array *p;

    if (length(name) == 0 || length(name) > NAME_BYTES ||
        memchr(name->at, '\0', length(name)) != NULL)
        return bad(r, t->from, "a tensor without a name, or with a long one");
    if (w->count == ARRAYS_MAX)
        return bad(r, t->from, "more than 1048576 tensors");
    if (w->count == r->room) {
        p = realloc(w->arrays, room * sizeof *p);
        if (p == NULL)
            return ov_err_set(r->err, OV_ERUN, "%s: out of memory", w->path);
        w->arrays = p;
        r->room = room;
    }
    p = &w->arrays[w->count];
    *p = t->a;
    p->name = strndup((const char *)name->at, length(name));
    if (p->name == NULL)
        return ov_err_set(r->err, OV_ERUN, "%s: out of memory", w->path);
    w->count++;
    return OV_OK;
}

/* A tensor, whose name is its own where name is NULL. */
static int
read_tensor(struct reader *r, struct message m, const struct message *name)
{
    struct tensor t = {.from = m.at};
    struct field f;
    uint64_t bytes;
    int rc = OV_OK, more;

    while ((more = next(r, &m, &f)) > 0)
        if ((rc = tensor_field(r, &t, &f)) < 0)
            return rc;
    if (more < 0)
        return more;
    if (!dtype_of(t.type, &t.a.dtype))
        return OV_OK;
    if (t.outside)
        return bad(r, t.from, "its values are in another file");
    if (!ov_array_measure(&t.a, &bytes) || bytes != length(&t.raw))
        return bad(r, t.from, "a tensor's values do not fit its dimensions");
    t.a.data = t.raw.at;
    return keep(r, &t, name != NULL ? name : &t.name);
}

/* graphs ----------------------------------------------------------------- */

static int read_graph(struct reader *r, struct message m);

/* An attribute of a node with that first output: a tensor if the node is a
 * constant, graphs in any case. */
static int
read_attribute(struct reader *r, struct message m, bool constant,
               const struct message *output)
{
    enum { TENSOR = 5, GRAPH = 6, GRAPHS = 11 };
    struct field f;
    int rc = OV_OK, more;

    while ((more = next(r, &m, &f)) > 0 && rc == OV_OK) {
        if (constant && is(&f, TENSOR, BYTES))
            rc = read_tensor(r, f.payload, output);
        else if (is(&f, GRAPH, BYTES) || is(&f, GRAPHS, BYTES))
            rc = read_graph(r, f.payload);
    }
    return rc < 0 ? rc : more;
}

static int
read_node(struct reader *r, struct message m)
{
    enum { OUTPUT = 2, TYPE = 4, ATTRIBUTE = 5 };
    struct message all = m, output = {m.at, m.at};
    struct field f;
    bool constant = false;
    int rc = OV_OK, more;

    while ((more = next(r, &m, &f)) > 0) {
        if (is(&f, OUTPUT, BYTES) && length(&output) == 0)
            output = f.payload;
        else if (is(&f, TYPE, BYTES))
            constant = says(&f.payload, "Constant");
    }
    if (more < 0)
        return more;
    while (rc == OV_OK && next(r, &all, &f) > 0)
        if (is(&f, ATTRIBUTE, BYTES))
            rc = read_attribute(r, f.payload, constant, &output);
    return rc;
}

static int
read_graph(struct reader *r, struct message m)
{
    enum { NODE = 1, INITIALIZER = 5 };
    struct field f;
    int rc = OV_OK, more = 0;

    if (r->depth == NESTED_MAX)
        return bad(r, m.at, "graphs nested deeper than 32");
    r->depth++;
    while (rc == OV_OK && (more = next(r, &m, &f)) > 0) {
        if (is(&f, NODE, BYTES))
            rc = read_node(r, f.payload);
        else if (is(&f, INITIALIZER, BYTES))
            rc = read_tensor(r, f.payload, NULL);
    }
    r->depth--;
    return rc < 0 ? rc : more;
}

bool
ov_onnx_is(const unsigned char *p, size_t n)
{
    enum { VERSION = 0x08, VERSION_MAX = 64 };
    /* names of a program, of its version, of a domain; the model's version;
     * a text, the graph, the sets of operators */
    static const unsigned char then[] = {0x12, 0x1a, 0x22, 0x28,
                                         0x32, 0x3a, 0x42};

    /* a safetensors file that begins so has a header of 4 GB at least */
    return n >= 8 && p[0] == VERSION && p[1] > 0 && p[1] < VERSION_MAX &&
           memchr(then, p[2], sizeof then) != NULL &&
           (p[4] | p[5] | p[6] | p[7]) != 0;
}

int
ov_onnx_take(struct ov_weights *w, const unsigned char *p, size_t n,
             struct ov_err *err)
{
    enum { GRAPH = 7 };
    struct reader r = {.w = w, .begin = p, .err = err};
    struct message m = {p, p + n};
    struct field f;
    int rc = OV_OK, more = 0, graphs = 0;

    while (rc == OV_OK && (more = next(&r, &m, &f)) > 0)
        if (is(&f, GRAPH, BYTES)) {
            rc = read_graph(&r, f.payload);
            graphs++;
        }
    if (rc < 0 || more < 0)
        return rc < 0 ? rc : more;
    if (graphs != 1)
        return ov_err_set(err, OV_EMODEL, "%s: ONNX: %d graphs, not one",
                          w->path, graphs);
    return ov_store_index(w, err);
}
