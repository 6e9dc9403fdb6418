/* SPDX-License-Identifier: BSD-2-Clause */
/* The default codec's residual vector quantiser: of all codes of a frame the
 * best that a search with several paths finds.
 * In: latents.  Out: codes, and what they stand for. */
#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/vec.h"
#include "net/codec.h"

enum { PATHS = 16 }; /* kept after each stage */

/* Paths of frames through the stages so far, `paths` of each frame. */
struct beam {
    ov_real *left;  /* [frames * paths, dim] not yet said */
    ov_real *cost;  /* [frames * paths] its square, less the frame's */
    int32_t *codes; /* [frames * paths, stages] */
};

struct step {
    ov_real cost;
    int from, entry;
};

static struct beam
beam_new(const struct ov_codec *n, struct ov_graph *g, int frames)
{
    size_t rows = (size_t)frames * PATHS;
    size_t codes = rows * (size_t)n->c.stages;

    return (struct beam){
        ov_graph_alloc(g, sizeof(ov_real) * rows * (size_t)n->c.dim),
        ov_graph_alloc(g, sizeof(ov_real) * rows),
        ov_graph_alloc(g, sizeof(int32_t) * codes)};
}

/* A step into a list of n, the best first, at most `most`; of equals the
 * first.  Returns how many there are now. */
static int
enter(struct step *best, int n, int most, struct step s)
{
    int j;

    if (n == most && !(s.cost < best[n - 1].cost))
        return n;
    n += n < most;
    for (j = n - 1; j > 0 && s.cost < best[j - 1].cost; j--)
        best[j] = best[j - 1];
    best[j] = s;
    return n;
}

/* The best ways on from a frame's paths, whose products with the entries are
 * dots [paths, card]; half: half the entries' squares. */
OV_HOT static int
ways_on(const ov_real *restrict cost, int paths, const ov_real *restrict dots,
        const ov_real *restrict half, int card, ov_real *restrict v,
        struct step *best, int most)
{
    int n = 0, i, k;

    for (i = 0; i < paths; i++, dots += card) {
        for (k = 0; k < card; k++)
            v[k] = cost[i] + 2 * (half[k] - dots[k]);
        for (k = 0; k < card; k++)
            if (n < most || v[k] < best[n - 1].cost)
                n = enter(best, n, most, (struct step){v[k], i, k});
    }
    return n;
}

/* Row `to` of a beam is row `from` of another and one entry of stage i more. */
static void
go(const struct ov_codec *n, int i, const struct beam *old, size_t from,
   struct step s, struct beam *new, size_t to)
{
    size_t d = (size_t)n->c.dim, stages = (size_t)n->c.stages, j;
    const ov_real *e = n->book[i]->x + (size_t)s.entry * d;

    for (j = 0; j < d; j++)
        new->left[to * d + j] = old->left[from * d + j] - e[j];
    new->cost[to] = s.cost;
    memcpy(new->codes + to * stages, old->codes + from * stages,
           sizeof(int32_t) * (size_t)i);
    new->codes[to * stages + (size_t)i] = s.entry;
}

void
ov_codec_quantise(const struct ov_codec *n, struct ov_graph *g,
                  const ov_real *z, int frames, int32_t *codes, ov_real *q)
{
    int d = n->c.dim, card = n->c.card, stages = n->c.stages;
    int paths = 1, next = 1, i, f, k;
    struct beam old = beam_new(n, g, frames), new = beam_new(n, g, frames), b;
    ov_real *dots = ov_graph_alloc(
        g, sizeof *dots * (size_t)frames * PATHS * (size_t)card);
    ov_real *half = ov_graph_alloc(g, 2 * sizeof *half * (size_t)card);
    struct step way[PATHS];

    memcpy(old.left, z, sizeof *z * (size_t)frames * (size_t)d);
    memset(old.cost, 0, sizeof *old.cost * (size_t)frames);
    for (i = 0; i < stages; i++, paths = next) {
        const ov_real *book = n->book[i]->x;
        for (k = 0; k < card; k++)
            half[k] =
                ov_dot_(book + (size_t)k * d, book + (size_t)k * d, d) / 2;
        if (ov_graph_fast(g))
            ov_gemm(false, true, frames * paths, card, d, 1, old.left, d, book,
                    d, 0, dots, card);
        else
            ov_matvec(frames * paths, card, d, old.left, book, NULL, dots);
        for (f = 0; f < frames; f++) {
            size_t from = (size_t)f * (size_t)paths;
            next = ways_on(old.cost + from, paths, dots + from * (size_t)card,
                           half, card, half + card, way,
                           i < stages - 1 ? PATHS : 1);
            for (k = 0; k < next; k++)
                go(n, i, &old, from + (size_t)way[k].from, way[k], &new,
                   (size_t)f * (size_t)next + (size_t)k);
        }
        b = old, old = new, new = b;
    }
    memcpy(codes, old.codes,
           sizeof *codes * (size_t)frames * (size_t)stages);
    ov_codec_lookup(n, codes, frames, q);
}
