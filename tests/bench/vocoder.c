/* SPDX-License-Identifier: BSD-2-Clause */
/* vocoder: the convolutions of published vocoders at their true sizes, with
 * random weights, one chunk of each.
 * In: [--rounds N].  Out: a table of milliseconds, least and median, by the
 * processor time of the thread.
 *
 * What is measured is the decoders' convolutions and activations, chunk by
 * chunk as in a stream but with zeros beside each; not their quantisers,
 * LSTM, attention. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "math/conv1d.h"
#include "math/gelu.h"
#include "math/packed.h"
#include "math/snake.h"

enum { ROUNDS_MAX = 1000 };

static struct ov_arenas arenas;
static float *noise; /* weights of all */
static const float *alpha;

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- layers --- */

enum { LAYERS = 400 };
enum kind { CONV, UP, SNAKE, LEAKY, ELU, KEEP, ADD };

struct layer {
    enum kind kind;
    struct ov_conv1d c;
};

struct net {
    const char *name;
    int in, rows; /* channels and rows of a chunk */
    struct layer layer[LAYERS];
    int n;
};

static void
put(struct net *n, enum kind kind, struct ov_conv1d sizes)
{
    struct layer *l = &n->layer[n->n++];

    l->kind = kind;
    if ((kind == CONV || kind == UP) &&
        ov_conv1d_init(&l->c, &sizes, noise, noise, NULL) != OV_OK)
        abort();
}

static struct ov_conv1d
conv(int in, int out, int k, int dil, int groups)
{
    return (struct ov_conv1d){.in = in,
                              .out = out,
                              .k = k,
                              .stride = 1,
                              .dil = dil,
                              .groups = groups};
}

static struct ov_conv1d
up(int in, int out, int k, int stride)
{
    return (struct ov_conv1d){.in = in,
                              .out = out,
                              .k = k,
                              .stride = stride,
                              .dil = 1,
                              .groups = 1,
                              .transposed = true};
}

static const struct ov_conv1d none;

/* hubertsiuzdak/snac_24khz: one frame of the coarsest book is 4 latents. */
static void
make_snac(struct net *n)
{
    static const int rates[] = {8, 8, 4, 2}, dils[] = {1, 3, 9};
    int i, j, d = 1024;

    *n = (struct net){.name = "SNAC 24 kHz, one frame", .in = 768, .rows = 4};
    put(n, CONV, conv(768, 768, 7, 1, 768));
    put(n, CONV, conv(768, d, 1, 1, 1));
    for (i = 0; i < 4; i++, d /= 2) {
        put(n, SNAKE, none);
        put(n, UP, up(d, d / 2, 2 * rates[i], rates[i]));
        for (j = 0; j < 3; j++) {
            put(n, KEEP, none);
            put(n, SNAKE, none);
            put(n, CONV, conv(d / 2, d / 2, 7, dils[j], d / 2));
            put(n, SNAKE, none);
            put(n, CONV, conv(d / 2, d / 2, 1, 1, 1));
            put(n, ADD, none);
        }
    }
    put(n, SNAKE, none);
    put(n, CONV, conv(d, 1, 7, 1, 1));
}

/* facebook/encodec_24khz: 8 frames. */
static void
make_encodec(struct net *n)
{
    static const int rates[] = {8, 5, 4, 2};
    int i, d = 512;

    *n = (struct net){.name = "EnCodec 24 kHz, 8 frames", .in = 128, .rows = 8};
    put(n, CONV, conv(128, d, 7, 1, 1));
    for (i = 0; i < 4; i++, d /= 2) {
        put(n, ELU, none);
        put(n, UP, up(d, d / 2, 2 * rates[i], rates[i]));
        put(n, KEEP, none);
        put(n, ELU, none);
        put(n, CONV, conv(d / 2, d / 4, 3, 1, 1));
        put(n, ELU, none);
        put(n, CONV, conv(d / 4, d / 2, 1, 1, 1));
        put(n, ADD, none);
    }
    put(n, ELU, none);
    put(n, CONV, conv(d, 1, 7, 1, 1));
}

/* jik876/hifi-gan: 8 frames.  V1 has pairs of convolutions in a block. */
static void
make_hifigan(struct net *n, int version)
{
    static const int rates[2][4] = {{8, 8, 2, 2}, {8, 8, 4, 0}};
    static const int kernels[2][3] = {{3, 7, 11}, {3, 5, 7}};
    static const int dils[2][3][3] = {{{1, 3, 5}, {1, 3, 5}, {1, 3, 5}},
                                      {{1, 2, 0}, {2, 6, 0}, {3, 12, 0}}};
    int v = version == 3, d = v ? 256 : 512, i, j, k;

    *n = (struct net){.name =
                          v ? "HiFi-GAN V3, 8 frames" : "HiFi-GAN V1, 8 frames",
                      .in = 80,
                      .rows = 8};
    put(n, CONV, conv(80, d, 7, 1, 1));
    for (i = 0; i < 4 && rates[v][i] > 0; i++, d /= 2) {
        put(n, LEAKY, none);
        put(n, UP, up(d, d / 2, 2 * rates[v][i], rates[v][i]));
        for (j = 0; j < 3; j++)
            for (k = 0; k < 3 && dils[v][j][k] > 0; k++) {
                put(n, KEEP, none);
                put(n, LEAKY, none);
                put(n, CONV,
                    conv(d / 2, d / 2, kernels[v][j], dils[v][j][k], 1));
                if (!v) {
                    put(n, LEAKY, none);
                    put(n, CONV, conv(d / 2, d / 2, kernels[v][j], 1, 1));
                }
                put(n, ADD, none);
            }
    }
    put(n, LEAKY, none);
    put(n, CONV, conv(d, 1, 7, 1, 1));
}

static double
run(const struct net *n)
{
    struct ov_tensor *x, *kept = NULL;
    struct ov_graph *keep = ov_graph_new(false);
    double t = seconds();
    int i;

    x = ov_tensor_const(ov_arenas_next(&arenas), noise, n->rows, n->in);
    for (i = 0; i < n->n; i++) {
        const struct layer *l = &n->layer[i];
        struct ov_graph *g = ov_arenas_next(&arenas);
        int total = (l->c.k - 1) * l->c.dil;

        switch (l->kind) {
        case CONV:
            x = ov_conv1d(g, &l->c, x, total - total / 2, total / 2,
                          OV_PAD_ZERO);
            break;
        case UP:
            x = ov_conv1d_up(g, &l->c, x, l->c.stride / 2,
                             l->c.k - l->c.stride - l->c.stride / 2);
            break;
        case SNAKE:
            x = ov_snake(g, x, alpha);
            break;
        case LEAKY:
            x = ov_leaky_relu(g, x, 0.1f);
            break;
        case ELU:
            x = ov_activate(g, x, OV_ACT_ELU);
            break;
        case KEEP:
            ov_graph_reset(keep);
            kept = ov_tensor_new(keep, x->rows, x->cols);
            memcpy(kept->x, x->x,
                   (size_t)x->rows * (size_t)x->cols * sizeof *x->x);
            break;
        case ADD:
            ov_accumulate(x, kept, 1);
            break;
        }
    }
    t = seconds() - t;
    ov_graph_free(keep);
    return t * 1e3;
}

static int
order(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return d < 0 ? -1 : d > 0;
}

int
main(int argc, char **argv)
{
    enum { NETS = 4, WEIGHTS = 1 << 23 };
    static double t[NETS][ROUNDS_MAX];
    static struct net nets[NETS];
    static float one[1024];
    int rounds = argc > 2 ? atoi(argv[2]) : 15, i, r;

    if (rounds < 1 || rounds > ROUNDS_MAX ||
        (argc > 1 && strcmp(argv[1], "--rounds") != 0) ||
        ov_arenas_open(&arenas, NULL) != OV_OK)
        return 2;
    noise = malloc(WEIGHTS * sizeof *noise);
    if (noise == NULL)
        return 1;
    for (i = 0; i < WEIGHTS; i++)
        noise[i] = (float)(i * 2654435761u >> 8) * 0x1p-28f - 0x1p-5f;
    for (i = 0; i < 1024; i++)
        one[i] = 1;
    alpha = one;
    make_snac(&nets[0]);
    make_encodec(&nets[1]);
    make_hifigan(&nets[2], 1);
    make_hifigan(&nets[3], 3);
    for (r = -1; r < rounds; r++)
        for (i = 0; i < NETS; i++)
            t[i][r < 0 ? 0 : r] = run(&nets[i]);
    printf("Kernels %s, one thread.\n\n| | least ms | median ms |\n"
           "|---|---|---|\n",
           ov_packed_kernel());
    for (i = 0; i < NETS; i++) {
        qsort(t[i], (size_t)rounds, sizeof **t, order);
        printf("| %s | %.2f | %.2f |\n", nets[i].name, t[i][0],
               t[i][rounds / 2]);
    }
    return 0;
}
