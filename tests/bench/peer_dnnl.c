/* SPDX-License-Identifier: BSD-2-Clause */
/* oneDNN's inner product, where configure found the library (Debian:
 * libdnnl-dev), version 2.
 * In: weights, rows.  Out: rows. */
#include "tests/bench/peer.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <stdbool.h>
#include <stddef.h>

#ifdef HAVE_DNNL

#include <dnnl.h>
#include <stdlib.h>

struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t x, y, *w;
    int copies;
    bool narrow; /* x is kept as it was */
};

static void
need(dnnl_status_t s)
{
    if (s != dnnl_success)
        abort();
}

/* w, plain, in the order and type of md. */
static dnnl_memory_t
ordered(struct peer *p, const dnnl_memory_desc_t *plain,
        const dnnl_memory_desc_t *md, const float *w)
{
    dnnl_primitive_desc_t d;
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
    dnnl_exec_arg_t args[2];

    need(dnnl_memory_create(&from, plain, p->engine, (void *)(size_t)w));
    need(dnnl_memory_create(&to, md, p->engine, DNNL_MEMORY_ALLOCATE));
    need(dnnl_reorder_primitive_desc_create(&d, plain, p->engine, md, p->engine,
                                            NULL));
    need(dnnl_primitive_create(&reorder, d));
    args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, from};
    args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, to};
    need(dnnl_primitive_execute(reorder, p->stream, 2, args));
    need(dnnl_stream_wait(p->stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(d);
    dnnl_memory_destroy(from);
    return to;
}

void *
peer_dnnl_open(enum peer_type type, int m, int n, int k, int copies,
               const float *x, const float *w)
{
    static const dnnl_data_type_t of_x[] = {dnnl_f32, dnnl_bf16, dnnl_u8},
                                  of_w[] = {dnnl_f32, dnnl_bf16, dnnl_s8};
    struct peer *p = calloc(1, sizeof *p);
    dnnl_dims_t dx = {m, k}, dw = {n, k}, dy = {m, n};
    dnnl_memory_desc_t mx, nx, mw, my, any;
    dnnl_inner_product_desc_t d;
    dnnl_primitive_desc_t pd;
    int i;

    need(dnnl_engine_create(&p->engine, dnnl_cpu, 0));
    need(dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags));
    dnnl_memory_desc_init_by_tag(&mx, 2, dx, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&nx, 2, dx, of_x[type], dnnl_ab);
    dnnl_memory_desc_init_by_tag(&mw, 2, dw, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&my, 2, dy, dnnl_f32, dnnl_ab);
    dnnl_memory_desc_init_by_tag(&any, 2, dw, of_w[type], dnnl_format_tag_any);
    need(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &nx,
                                              &any, NULL, &my));
    if (dnnl_primitive_desc_create(&pd, &d, NULL, p->engine, NULL) !=
        dnnl_success) {
        free(p);
        return NULL;
    }
    need(dnnl_primitive_create(&p->product, pd));
    p->copies = copies;
    p->w = calloc((size_t)copies, sizeof *p->w);
    for (i = 0; i < copies; i++)
        p->w[i] = ordered(
            p, &mw, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
            w + (size_t)i * (size_t)n * (size_t)k);
    p->narrow = type != PEER_F32;
    if (p->narrow)
        p->x = ordered(p, &mx, &nx, x);
    else
        need(dnnl_memory_create(&p->x, &mx, p->engine, DNNL_MEMORY_NONE));
    need(dnnl_memory_create(&p->y, &my, p->engine, DNNL_MEMORY_NONE));
    dnnl_primitive_desc_destroy(pd);
    return p;
}

void
peer_dnnl_run(void *peer, int copy, const float *x, float *y)
{
    struct peer *p = peer;
    dnnl_exec_arg_t args[3] = {{DNNL_ARG_SRC, p->x},
                               {DNNL_ARG_WEIGHTS, p->w[copy]},
                               {DNNL_ARG_DST, p->y}};

    if (!p->narrow)
        dnnl_memory_set_data_handle(p->x, (void *)(size_t)x);
    dnnl_memory_set_data_handle(p->y, y);
    need(dnnl_primitive_execute(p->product, p->stream, 3, args));
    need(dnnl_stream_wait(p->stream));
}

void
peer_dnnl_close(void *peer)
{
    struct peer *p = peer;
    int i;

    for (i = 0; i < p->copies; i++)
        dnnl_memory_destroy(p->w[i]);
    dnnl_memory_destroy(p->x);
    dnnl_memory_destroy(p->y);
    dnnl_primitive_destroy(p->product);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
    free(p->w);
    free(p);
}

#else

void *
peer_dnnl_open(enum peer_type type, int m, int n, int k, int copies,
               const float *x, const float *w)
{
    (void)type, (void)m, (void)n, (void)k, (void)copies, (void)x, (void)w;
    return NULL;
}

void
peer_dnnl_run(void *peer, int copy, const float *x, float *y)
{
    (void)peer, (void)copy, (void)x, (void)y;
}

void
peer_dnnl_close(void *peer)
{
    (void)peer;
}

#endif
