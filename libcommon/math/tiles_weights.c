/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in the order of tiles.
 * In: weights as they are stored.  Out: tiles of bfloat16.
 *
 * A unit of 32 rows of weights is two tiles wide.  The copy that is kept has
 * the values as they are stored, a unit after the other, so that making
 * pieces of them is nothing but widening what lies side by side; without it
 * rows are cut as they lie and turned. */
#include "math/tiles_weights.h"

#include "math/amx.h"
#include "math/packed.h"
#include "math/slab.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/tiles_cut.h"

/* [units] [tiles] [2] [16 pairs] [16 rows] [2] values; cut: [units] [tiles]
 * [pieces] [2] [16 pairs] [16 rows] [2] of bfloat16. */
struct ov_tiled {
    enum ov_form form;
    bool cut;
    int taps;
    size_t bytes;
    char *at;
    struct ov_slab *slab; /* it lies in, or NULL */
};

enum {
    AHEAD = 512 /* bytes of a row that is cut as it lies */
};

int
ov_tiles_pieces(enum ov_form form)
{
    return form == OV_FORM_REAL ? 3 : form == OV_FORM_F16 ? 2 : 1;
}

static const char *
values(const struct ov_tensor *w)
{
    return w->form == OV_FORM_REAL ? (const char *)w->x : w->narrow;
}

/* --- the copy --- */

/* Where inputs col.. of a row of w are, and how many lie together: 2 at
 * least, if there are as many. */
static const char *
place_of(const struct ov_tensor *w, int row, int col)
{
    size_t groups = ((size_t)w->cols + OV_GROUP - 1) / OV_GROUP, at;

    if (w->form != OV_FORM_I8_PANELS)
        at = ((size_t)row * (size_t)w->cols + (size_t)col) *
             ov_form_size(w->form);
    else
        at = (size_t)(row / OV_PANEL) * groups * OV_GROUP_I8 +
             (size_t)(col / 4) * 64 + (size_t)(row % OV_PANEL) * 4 +
             (size_t)(col % 4);
    return values(w) + at;
}

/* Pairs of inputs of a row, of tile number k of its tap, to every 16th. */
static void
order_row(const struct ov_tiles_weights *v, int row, int tile, char *to)
{
    size_t size = ov_form_size(v->w->form);
    int tap = tile / v->per, c = tile % v->per * OV_TK, i;
    int end = v->run - c < OV_TK ? v->run - c : OV_TK, at = tap * v->run + c;

    for (i = 0; i < end; i += 2, to += 2 * OV_T * size)
        if (i + 1 < end && (v->w->form != OV_FORM_I8_PANELS || at % 2 == 0))
            memcpy(to, place_of(v->w, row, at + i), 2 * size);
        else {
            memcpy(to, place_of(v->w, row, at + i), size);
            if (i + 1 < end)
                memcpy(to + size, place_of(v->w, row, at + i + 1), size);
        }
}

/* Bytes of all tiles of weights, of so many each. */
static size_t
all_of(const struct ov_tiles_weights *v, size_t tile)
{
    size_t units = ((size_t)v->out + OV_UNIT - 1) / OV_UNIT;

    return units * (size_t)v->tiles * tile;
}

/* In a slab, or only to be cut into pieces. */
static struct ov_tiled *
make(const struct ov_tiles_weights *v, int taps, bool stays)
{
    struct ov_tiled *t = malloc(sizeof *t);
    size_t size = ov_form_size(v->w->form), tile = OV_T * OV_TK * size;
    int o, k;

    if (t == NULL)
        return NULL;
    *t = (struct ov_tiled){.form = v->w->form, .taps = taps};
    t->bytes = all_of(v, 2 * tile);
    t->at = stays ? ov_slab_take(t->bytes, &t->slab) : calloc(1, t->bytes);
    if (t->at == NULL) {
        free(t);
        return NULL;
    }
    for (o = 0; o < v->out; o++) {
        char *to = t->at + (size_t)(o / OV_UNIT) * (size_t)v->tiles * 2 * tile +
                   (size_t)(o / OV_T % 2) * tile +
                   (size_t)(o % OV_T) * 2 * size;

        for (k = 0; k < v->tiles; k++, to += 2 * tile)
            order_row(v, o, k, to);
    }
    return t;
}

static void
unmake(struct ov_tiled *t)
{
    if (t != NULL && t->slab != NULL)
        ov_slab_give(t->slab);
    else if (t != NULL)
        free(t->at);
    free(t);
}

void
ov_tiles_forget(struct ov_tiles_place *p)
{
    unmake(atomic_exchange(&p->tiled, NULL));
    ov_packed_forget(p);
}

size_t
ov_tiles_bytes(const struct ov_tiles_place *p)
{
    const struct ov_tiled *t = atomic_load(&p->tiled);

    return t != NULL ? t->bytes : 0;
}

/* --- pieces --- */

/* A tile of values in order as pieces, two tiles apart. */
OV_AVX_INLINE void
widen(const enum ov_form form, const char *p, char *to)
{
    const int pieces = form == OV_FORM_REAL ? 3 : form == OV_FORM_F16 ? 2 : 1;
    __m512 lo, hi;
    int i;

    for (i = 0; i < OV_T; i++, to += 64) {
        if (form == OV_FORM_REAL) {
            lo = _mm512_loadu_ps(p);
            hi = _mm512_loadu_ps(p + 64);
            p += 128;
        } else if (form == OV_FORM_F16) {
            lo = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
            hi = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p + 1));
            p += 64;
        } else {
            lo = _mm512_cvtepi32_ps(
                _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
            hi = _mm512_cvtepi32_ps(
                _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p + 1)));
            p += 32;
        }
        ov_cut_(pieces, lo, hi, to, 2 * OV_TILE);
    }
}

OV_AVX static const char *
from_copy(const struct ov_tiles_weights *v, int unit, int from, int n,
          char *room)
{
    enum ov_form form = v->tiled->form;
    size_t tile = OV_T * OV_TK * ov_form_size(form);
    size_t pieces = (size_t)ov_tiles_pieces(form);
    const char *p = v->tiled->at +
                    ((size_t)unit * (size_t)v->tiles + (size_t)from) * 2 * tile;
    int i;

    if (form == OV_FORM_BF16)
        return p;
    for (i = 0; i < 2 * n; i++, p += tile) {
        char *to =
            room + ((size_t)(i / 2) * pieces * 2 + (size_t)(i % 2)) * OV_TILE;

        if (form == OV_FORM_REAL)
            widen(OV_FORM_REAL, p, to);
        else if (form == OV_FORM_F16)
            widen(OV_FORM_F16, p, to);
        else
            widen(OV_FORM_I8, p, to);
    }
    return room;
}

/* n inputs (32, or fewer) of a row of weights, as they lie. */
OV_AVX_INLINE void
cut_row(const enum ov_form form, const char *p, int n, char *to)
{
    const __mmask16 a = ov_first_(n), b = ov_first_(n - 16);
    __m512 lo, hi;

    if (form == OV_FORM_BF16) {
        _mm512_store_si512(
            to, _mm512_maskz_loadu_epi16((__mmask32)a | (__mmask32)b << 16, p));
        return;
    }
    if (form == OV_FORM_I8) {
        lo = _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(a, p)));
        hi = _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(b, p + 16)));
        ov_cut_(1, lo, hi, to, 0);
    } else if (form == OV_FORM_F16) {
        lo = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(a, p));
        hi = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(b, p + 32));
        ov_cut_(2, lo, hi, to, 2 * OV_TILE);
    } else {
        lo = _mm512_maskz_loadu_ps(a, p);
        hi = _mm512_maskz_loadu_ps(b, p + 64);
        ov_cut_(3, lo, hi, to, 2 * OV_TILE);
    }
}

/* Two tiles side by side, from the rows of weights. */
OV_AVX static void
cut_tiles(const struct ov_tiles_weights *v, int unit, int tile, char *to)
{
    enum ov_form form = v->w->form;
    int c = tile % v->per * OV_TK, r, p, o, left;
    size_t at = (size_t)(tile / v->per * v->run + c);

    for (r = 0; r < OV_UNIT; r++) {
        char *line = to + r / OV_T * OV_TILE + r % OV_T * 64;
        const char *from = values(v->w);

        o = unit * OV_UNIT + r;
        left = o < v->out ? v->run - c : 0;
        if (left > 0)
            from += ((size_t)o * (size_t)v->w->cols + at) * ov_form_size(form);
        /* more rows side by side than a processor sees by itself */
        __builtin_prefetch(from + AHEAD);
        if (form == OV_FORM_BF16)
            cut_row(OV_FORM_BF16, from, left, line);
        else if (form == OV_FORM_I8)
            cut_row(OV_FORM_I8, from, left, line);
        else if (form == OV_FORM_F16)
            cut_row(OV_FORM_F16, from, left, line);
        else
            cut_row(OV_FORM_REAL, from, left, line);
    }
    for (p = 0; p < 2 * ov_tiles_pieces(form); p++)
        ov_amx_turn(to + p * OV_TILE);
}

/* --- all of it --- */

/* The copy as pieces instead, in a slab; it stays as it is if there is no
 * memory. */
static void
cut_copy(const struct ov_tiles_weights *v, struct ov_tiled *t)
{
    size_t each = 2 * (size_t)ov_tiles_pieces(t->form) * OV_TILE;
    size_t bytes = all_of(v, each);
    struct ov_tiles_weights from = *v;
    struct ov_slab *slab;
    char *to = ov_slab_take(bytes, &slab), *p = to;
    int units = (v->out + OV_UNIT - 1) / OV_UNIT, i, k;

    if (to == NULL)
        return;
    from.tiled = t;
    for (i = 0; i < units; i++)
        for (k = 0; k < v->tiles; k++, p += each)
            from_copy(&from, i, k, 1, p);
    free(t->at);
    t->at = to;
    t->slab = slab;
    t->bytes = bytes;
    t->cut = true;
}

static void
set_sizes(struct ov_tiles_weights *v, const struct ov_tensor *w, int taps)
{
    *v = (struct ov_tiles_weights){.w = w, .out = w->rows};
    v->run = w->cols / taps;
    v->per = (v->run + OV_TK - 1) / OV_TK;
    v->tiles = taps * v->per;
}

/* What is in p, made if there is nothing. */
static struct ov_tiled *
in_place(struct ov_tiles_place *p, const struct ov_tiles_weights *v, int taps)
{
    struct ov_tiled *t = atomic_load(&p->tiled), *none = NULL;
    bool cut = p->cut && v->w->form != OV_FORM_BF16;

    if (t != NULL || (t = make(v, taps, !cut)) == NULL)
        return t;
    if (cut)
        cut_copy(v, t);
    /* who comes second throws his own away */
    if (!atomic_compare_exchange_strong(&p->tiled, &none, t)) {
        unmake(t);
        t = none;
    }
    return t;
}

bool
ov_tiles_keep(struct ov_tiles_place *p, const struct ov_tensor *w, int taps)
{
    struct ov_tiles_weights v;

    set_sizes(&v, w, taps);
    return (ov_bf16_unit() == OV_UNIT_TILES ||
            (ov_bf16_unit() == OV_UNIT_VECTORS &&
             ov_tiles_pieces(w->form) == 1)) &&
           in_place(p, &v, taps) != NULL;
}

bool
ov_tiles_weights(struct ov_tiles_weights *v, const struct ov_tensor *w,
                 int taps)
{
    set_sizes(v, w, taps);
    if (w->place == NULL)
        return w->form != OV_FORM_I8_PANELS;
    v->tiled = in_place(w->place, v, taps);
    return v->tiled != NULL && v->tiled->taps == taps;
}

const char *
ov_tiles_block(const struct ov_tiles_weights *v, int unit, int from, int n,
               char *room)
{
    size_t each = 2 * (size_t)ov_tiles_pieces(v->w->form) * OV_TILE;
    int i;

    if (v->tiled != NULL && v->tiled->cut)
        return v->tiled->at +
               ((size_t)unit * (size_t)v->tiles + (size_t)from) * each;
    if (v->tiled != NULL)
        return from_copy(v, unit, from, n, room);
    for (i = 0; i < n; i++)
        cut_tiles(v, unit, from + i, room + (size_t)i * each);
    return room;
}

const char *
ov_tiles_source(const struct ov_tiles_weights *v, int unit, int from, int n,
                size_t *row, size_t *bytes)
{
    size_t size = ov_form_size(v->w->form), tile;

    *row = *bytes = 0;
    if (n <= 0 || from + n > v->tiles || unit * OV_UNIT >= v->out)
        return NULL;
    if (v->tiled == NULL) {
        *row = (size_t)v->w->cols * size;
        *bytes = (size_t)n * OV_TK * size;
        return values(v->w) + (size_t)unit * OV_UNIT * *row +
               (size_t)(from / v->per * v->run + from % v->per * OV_TK) * size;
    }
    tile = 2 * OV_T * OV_TK * ov_form_size(v->tiled->form);
    if (v->tiled->cut)
        tile = 2 * (size_t)ov_tiles_pieces(v->tiled->form) * OV_TILE;
    *bytes = (size_t)n * tile;
    return v->tiled->at +
           ((size_t)unit * (size_t)v->tiles + (size_t)from) * tile;
}

#else

bool
ov_tiles_keep(struct ov_tiles_place *p, const struct ov_tensor *w, int taps)
{
    (void)p, (void)w, (void)taps;
    return false;
}

void
ov_tiles_forget(struct ov_tiles_place *p)
{
    ov_packed_forget(p);
}

size_t
ov_tiles_bytes(const struct ov_tiles_place *p)
{
    (void)p;
    return 0;
}

#endif
