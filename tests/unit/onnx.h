/* SPDX-License-Identifier: BSD-2-Clause */
/* ONNX files for tests, put together field by field.
 * In: fields.  Out: bytes. */
#ifndef OV_TEST_ONNX_H
#define OV_TEST_ONNX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static inline void
onnx_number(struct ov_buf *b, uint64_t v)
{
    unsigned char c;

    do {
        c = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        if (ov_buf_put(b, &c, 1) < 0)
            abort();
        v >>= 7;
    } while (v > 0);
}

static inline void
onnx_int(struct ov_buf *b, unsigned field, uint64_t v)
{
    onnx_number(b, field << 3);
    onnx_number(b, v);
}

static inline void
onnx_bytes(struct ov_buf *b, unsigned field, const void *p, size_t n)
{
    onnx_number(b, field << 3 | 2);
    onnx_number(b, n);
    if (ov_buf_put(b, p, n) < 0)
        abort();
}

/* Message m becomes a field of b, and is empty again. */
static inline void
onnx_message(struct ov_buf *b, unsigned field, struct ov_buf *m)
{
    onnx_bytes(b, field, m->n > 0 ? m->p : "", m->n);
    ov_buf_free(m);
    *m = (struct ov_buf){0};
}

/* TensorProto, float32 [rows, columns] of the values. */
static inline void
onnx_tensor(struct ov_buf *b, const char *name, uint64_t rows, uint64_t columns,
            const float *values)
{
    onnx_int(b, 1, rows);
    onnx_int(b, 1, columns);
    onnx_int(b, 2, 1);
    onnx_bytes(b, 8, name, strlen(name));
    onnx_bytes(b, 9, values, rows * columns * sizeof *values);
}

/* A Constant node with output name, whose value is the TensorProto t. */
static inline void
onnx_constant(struct ov_buf *node, const char *name, struct ov_buf *t)
{
    struct ov_buf a = {0};

    onnx_bytes(node, 2, name, strlen(name));
    onnx_bytes(node, 4, "Constant", 8);
    onnx_bytes(&a, 1, "value", 5);
    onnx_message(&a, 5, t);
    onnx_message(node, 5, &a);
}

/* ModelProto around the GraphProto g. */
static inline void
onnx_model(struct ov_buf *b, struct ov_buf *g)
{
    onnx_int(b, 1, 8);
    onnx_bytes(b, 2, "test", 4);
    onnx_message(b, 7, g);
}

/* An initializer "w", and If with a constant "yes.c" in one branch and an
 * initializer "no.i" in the other; values are 1, 2, 3 ... */
static inline void
onnx_example(struct ov_buf *b)
{
    static const float values[] = {1, 2, 3, 4, 5, 6};
    struct ov_buf graph = {0}, sub = {0}, node = {0}, t = {0}, a = {0};
    static const int64_t whole = 7;

    onnx_tensor(&t, "w", 2, 3, values);
    onnx_message(&graph, 5, &t);
    onnx_tensor(&t, "", 1, 2, values);
    onnx_constant(&node, "yes.c", &t);
    onnx_message(&sub, 1, &node);
    onnx_bytes(&a, 1, "then_branch", 11);
    onnx_message(&a, 6, &sub);
    onnx_bytes(&node, 1, "condition", 9);
    onnx_bytes(&node, 2, "result", 6);
    onnx_bytes(&node, 4, "If", 2);
    onnx_message(&node, 5, &a);
    onnx_tensor(&t, "no.i", 3, 1, values);
    onnx_message(&sub, 5, &t);
    onnx_bytes(&a, 1, "else_branch", 11);
    onnx_message(&a, 6, &sub);
    onnx_message(&node, 5, &a);
    onnx_message(&graph, 1, &node);
    onnx_int(&t, 2, 7); /* an integer is not taken */
    onnx_bytes(&t, 9, &whole, sizeof whole);
    onnx_constant(&node, "n", &t);
    onnx_message(&graph, 1, &node);
    onnx_model(b, &graph);
}

#endif
