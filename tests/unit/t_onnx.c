/* SPDX-License-Identifier: BSD-2-Clause */
/* model/onnx: which tensors are found, and what is refused.
 * In: nothing.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"
#include "tests/unit/onnx.h"
#include "tests/unit/tap.h"

static const float values[] = {1, 2, 3, 4, 5, 6};
static struct ov_err err;

/* Is there a tensor of that name with count values 1, 2, 3 ...? */
static bool
counts(const struct ov_weights *w, const char *name, int rank, int count)
{
    const struct ov_array *a = ov_weights_get(w, name);
    float y[6];
    int i;

    if (a == NULL || a->rank != rank || a->count != count ||
        ov_array_to_f32(a, y, &err) != OV_OK)
        return false;
    for (i = 0; i < count; i++)
        if (y[i] != (float)(i + 1))
            return false;
    return true;
}

static void
test_example(void)
{
    struct ov_weights *w = NULL;
    struct ov_buf b = {0};
    size_t n, bad = 0;
    char *p;

    onnx_example(&b);
    ok(ov_weights_parse(&w, b.p, b.n, "mem", &err) == OV_OK, "it is read");
    ok(counts(w, "w", 2, 6), "an initializer by its name");
    ok(counts(w, "yes.c", 2, 2), "a constant by its output, in a branch");
    ok(counts(w, "no.i", 2, 3), "an initializer of the other branch");
    ok(ov_weights_count(w) == 3 && ov_weights_get(w, "n") == NULL,
       "integers are left out");
    ov_weights_close(w);
    for (n = 8; n < b.n; n++) { /* exact memory, for the sanitizer */
        p = malloc(n);
        if (p == NULL)
            abort();
        memcpy(p, b.p, n);
        bad += ov_weights_parse(&w, p, n, "mem", &err) == OV_OK;
        ov_weights_close(w);
        free(p);
    }
    ok(bad == 0, "cut anywhere it is refused: %s", err.text);
    ov_buf_free(&b);
}

/* One tensor t in a graph, or what is in place of it; t becomes empty. */
static void
refused(const char *what, unsigned field, struct ov_buf *t, const char *fact)
{
    struct ov_buf graph = {0}, b = {0};
    struct ov_weights *w = NULL;

    onnx_message(&graph, field, t);
    onnx_model(&b, &graph);
    err.text[0] = '\0';
    ok(ov_weights_parse(&w, b.p, b.n, "mem", &err) == OV_EMODEL && w == NULL &&
           strstr(err.text, fact) != NULL,
       "refused: %s: %s", what, err.text);
    ov_weights_close(w);
    ov_buf_free(&b);
}

static void
nested(int depth)
{
    struct ov_buf graph = {0}, a = {0}, node = {0};

    while (depth-- > 0) {
        onnx_message(&a, 6, &graph);
        onnx_message(&node, 5, &a);
        onnx_message(&graph, 1, &node);
    }
    onnx_message(&a, 6, &graph);
    onnx_message(&node, 5, &a);
    refused("graphs in graphs", 1, &node, "deeper than 32");
}

static void
test_refused(void)
{
    struct ov_buf t = {0}, graph = {0}, b = {0};
    struct ov_weights *w = NULL;
    int i;

    onnx_tensor(&t, "w", 2, 2, values);
    onnx_int(&t, 1, 2);
    refused("a dimension more", 5, &t, "do not fit");
    onnx_tensor(&t, "w", 2, 2, values);
    onnx_bytes(&t, 4, values, 4);
    refused("two lists of values", 5, &t, "two lists");
    onnx_int(&t, 1, UINT64_MAX);
    onnx_int(&t, 2, 1);
    onnx_bytes(&t, 8, "w", 1);
    refused("a negative dimension", 5, &t, "negative");
    onnx_int(&t, 1, INT64_MAX);
    onnx_int(&t, 1, INT64_MAX);
    onnx_int(&t, 2, 1);
    onnx_bytes(&t, 8, "w", 1);
    refused("a huge tensor", 5, &t, "do not fit");
    onnx_tensor(&t, "w", 1, 1, values);
    onnx_bytes(&t, 13, "location", 8);
    refused("values elsewhere", 5, &t, "another file");
    onnx_tensor(&t, "", 1, 1, values);
    refused("no name", 5, &t, "without a name");
    onnx_tensor(&t, "w", 1, 1, values);
    onnx_int(&t, 9, 1);
    refused("values that are a number", 5, &t, "another encoding");
    for (i = 0; i < 9; i++)
        onnx_int(&t, 1, 1);
    refused("nine dimensions", 5, &t, "8 dimensions");
    onnx_number(&t, 1 << 3 | 3);
    refused("a group", 1, &t, "not used");
    onnx_number(&t, 1 << 3 | 2);
    onnx_number(&t, 100);
    refused("a field that is too long", 1, &t, "longer than");
    onnx_number(&t, 1 << 3);
    for (i = 0; i < 10; i++)
        ov_buf_put(&t, "\xff", 1);
    refused("a number that is too long", 1, &t, "64 bits");
    onnx_number(&t, 0);
    refused("field 0", 1, &t, "no field");
    nested(40);
    onnx_tensor(&t, "w", 1, 1, values);
    onnx_message(&graph, 5, &t);
    onnx_tensor(&t, "w", 1, 1, values);
    onnx_message(&graph, 5, &t);
    onnx_model(&b, &graph);
    ok(ov_weights_parse(&w, b.p, b.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "\"w\"") != NULL && strstr(err.text, "twice"),
       "refused: a name twice: %s", err.text);
    ov_buf_free(&b);
    onnx_int(&b, 1, 8);
    onnx_bytes(&b, 2, "test", 4);
    ok(ov_weights_parse(&w, b.p, b.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "0 graphs") != NULL,
       "refused: no graph: %s", err.text);
    ov_buf_free(&b);
}

/* Dimensions and values in the other ways that there are. */
static void
test_packed(void)
{
    struct ov_buf t = {0}, graph = {0}, b = {0};
    struct ov_weights *w = NULL;

    onnx_bytes(&t, 1, "\2\3", 2);
    onnx_int(&t, 2, 1);
    onnx_bytes(&t, 4, values, sizeof values);
    onnx_bytes(&t, 8, "w", 1);
    onnx_message(&graph, 5, &t);
    onnx_int(&t, 2, 1);
    onnx_bytes(&t, 9, values, sizeof *values);
    onnx_bytes(&t, 8, "one", 3);
    onnx_message(&graph, 5, &t);
    onnx_model(&b, &graph);
    ok(ov_weights_parse(&w, b.p, b.n, "mem", &err) == OV_OK &&
           counts(w, "w", 2, 6) && counts(w, "one", 0, 1),
       "packed dimensions, a list of floats; a scalar");
    ov_weights_close(w);
    ov_buf_free(&b);
}

int
main(void)
{
    test_example();
    test_refused();
    test_packed();
    return tap_done();
}
