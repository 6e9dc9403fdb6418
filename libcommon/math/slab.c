/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory in large pages, for weights that are kept in an order of ours.
 * In: sizes.  Out: pieces of slabs. */
#define _GNU_SOURCE
#include "math/slab.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, SLAB = 32 << 20, LINE = 64 };

struct ov_slab {
    size_t size, used; /* from a large page on */
    int users;
    char *at, *from; /* from: of all, bytes */
    size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ov_slab *open_slab; /* that has room yet, or NULL */

static struct ov_slab *
new_slab(size_t need)
{
    struct ov_slab *s = calloc(1, sizeof *s);
    uintptr_t at;

    if (s == NULL || need > SIZE_MAX / 2) {
        free(s);
        return NULL;
    }
    s->size = need > SLAB ? need : SLAB;
    s->bytes = s->size + HUGE_PAGE;
    s->from = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->from == MAP_FAILED) {
        free(s);
        return NULL;
    }
    at = ((uintptr_t)s->from + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    s->at = (char *)at;
#ifdef MADV_HUGEPAGE
    madvise(s->at, s->size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return s;
}

void *
ov_slab_take(size_t bytes, struct ov_slab **slab)
{
    struct ov_slab *s;
    char *p = NULL;

    bytes = (bytes + LINE - 1) / LINE * LINE;
    pthread_mutex_lock(&lock);
    s = open_slab;
    if (s == NULL || s->size - s->used < bytes)
        s = new_slab(bytes);
    if (s != NULL) {
        p = s->at + s->used;
        s->used += bytes;
        s->users++;
        open_slab = s;
    }
    pthread_mutex_unlock(&lock);
    *slab = s;
    return p;
}

void
ov_slab_give(struct ov_slab *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--s->users == 0) {
        if (s == open_slab)
            open_slab = NULL;
        munmap(s->from, s->bytes);
        free(s);
    }
    pthread_mutex_unlock(&lock);
}
