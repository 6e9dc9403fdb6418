/* SPDX-License-Identifier: BSD-2-Clause */
/* The graph: an arena of tensors and a list of ways back.
 * In: calls of the operations.  Out: memory, and gradients. */
#define _GNU_SOURCE
#include "math/graph.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK = 32 << 20 };

struct block {
    struct block *next;
    size_t size, used;
    unsigned char *mem;
};

struct node {
    struct node *prev;
    ov_backward *f;
    void *args;
};

struct ov_graph {
    bool record, fast, mixed, failed;
    struct block *first, *cur;
    struct node *last;
    size_t bytes;
};

struct ov_graph *
ov_graph_new(bool record)
{
    struct ov_graph *g = calloc(1, sizeof *g);

    if (g != NULL)
        g->record = g->fast = record;
    return g;
}

struct ov_graph *
ov_graph_new_fast(void)
{
    struct ov_graph *g = ov_graph_new(false);

    if (g != NULL)
        g->fast = true;
    return g;
}

bool
ov_graph_fast(const struct ov_graph *g)
{
    return g->fast;
}

void
ov_graph_mix(struct ov_graph *g, bool mixed)
{
    g->mixed = mixed;
}

bool
ov_graph_mixed(const struct ov_graph *g)
{
    return g->mixed;
}

void
ov_graph_free(struct ov_graph *g)
{
    struct block *b, *next;

    if (g == NULL)
        return;
    for (b = g->first; b != NULL; b = next) {
        next = b->next;
        munmap(b->mem, b->size);
        free(b);
    }
    free(g);
}

void
ov_graph_reset(struct ov_graph *g)
{
    struct block *b;

    for (b = g->first; b != NULL; b = b->next)
        b->used = 0;
    g->cur = g->first;
    g->last = NULL;
    g->failed = false;
}

bool
ov_graph_records(const struct ov_graph *g)
{
    return g->record;
}

bool
ov_graph_failed(const struct ov_graph *g)
{
    return g->failed;
}

size_t
ov_graph_bytes(const struct ov_graph *g)
{
    return g->bytes;
}

/* A block of at least need bytes behind the current one, in huge pages
 * where the system has them: first touches of small pages are slow. */
static struct block *
add_block(struct ov_graph *g, size_t need)
{
    struct block *b = malloc(sizeof *b);
    size_t unit = g->record ? (size_t)BLOCK : (size_t)BLOCK / 16;
    size_t size = (need + unit - 1) / unit * unit;

    if (b == NULL)
        return NULL;
    b->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->mem == MAP_FAILED) {
        free(b);
        return NULL;
    }
    madvise(b->mem, size, MADV_HUGEPAGE);
    b->size = size;
    b->used = 0;
    b->next = NULL;
    if (g->cur != NULL) {
        b->next = g->cur->next;
        g->cur->next = b;
    } else
        g->first = b;
    g->bytes += size;
    return b;
}

void *
ov_graph_alloc(struct ov_graph *g, size_t bytes)
{
    struct block *b = g->cur;
    void *p;

    bytes = (bytes + 63) & ~(size_t)63;
    while (b != NULL && b->size - b->used < bytes) {
        if (b->next == NULL || b->next->size < bytes) {
            b = NULL;
            break;
        }
        b = b->next;
    }
    if (b == NULL)
        b = add_block(g, bytes);
    if (b == NULL) {
        g->failed = true;
        abort(); /* an arena without memory: nothing sane can follow */
    }
    g->cur = b;
    p = b->mem + b->used;
    b->used += bytes;
    return p;
}

struct ov_tensor *
ov_tensor_new(struct ov_graph *g, int rows, int cols)
{
    struct ov_tensor *t = ov_graph_alloc(g, sizeof *t);
    size_t n = (size_t)rows * (size_t)cols * sizeof(ov_real);

    *t = (struct ov_tensor){.rows = rows, .cols = cols};
    t->x = ov_graph_alloc(g, n);
    if (g->record) {
        t->g = ov_graph_alloc(g, n);
        memset(t->g, 0, n);
    }
    return t;
}

struct ov_tensor *
ov_tensor_const(struct ov_graph *g, const ov_real *x, int rows, int cols)
{
    struct ov_tensor *t = ov_graph_alloc(g, sizeof *t);

    *t = (struct ov_tensor){
        .x = (ov_real *)(uintptr_t)x, .rows = rows, .cols = cols};
    return t;
}

void
ov_graph_record(struct ov_graph *g, ov_backward *f, void *args)
{
    struct node *n;

    if (!g->record)
        return;
    n = ov_graph_alloc(g, sizeof *n);
    n->prev = g->last;
    n->f = f;
    n->args = args;
    g->last = n;
}

void
ov_graph_backward(struct ov_graph *g, struct ov_tensor *loss, ov_real scale)
{
    struct node *n;

    loss->g[0] = scale;
    for (n = g->last; n != NULL; n = n->prev)
        n->f(g, n->args);
}
