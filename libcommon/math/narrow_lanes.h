/* SPDX-License-Identifier: BSD-2-Clause */
/* The products of narrow.c for registers of LANES values; included there once
 * for each width there is, with
 *   L(name)  what names of this width end with
 *   TARGET   the attribute of functions that are not inlined
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * Every sum has sixteen lanes, whatever the width, and they are added up in
 * the same order: the result does not depend on the processor's registers. */

enum { L(PARTS) = 16 / LANES };

typedef float L(reals)
    __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t L(ints)
    __attribute__((vector_size(4 * LANES), aligned(1), may_alias));
typedef uint32_t L(words)
    __attribute__((vector_size(4 * LANES), aligned(1), may_alias));
typedef uint16_t L(halves)
    __attribute__((vector_size(2 * LANES), aligned(1), may_alias));
typedef int8_t L(bytes)
    __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef int16_t L(shorts)
    __attribute__((vector_size(2 * LANES), aligned(1), may_alias));

/* LANES values from i on, in their order. */
OV_INLINE void
L(in_order)(enum ov_form form, const void *p, size_t i, L(reals) * to)
{
    L(words) u;

    if (form == OV_FORM_REAL) {
        *to = *(const L(reals) *)((const float *)p + i);
    } else if (form == OV_FORM_I8) {
        L(shorts)
        n = __builtin_convertvector(*(const L(bytes) *)((const int8_t *)p + i),
                                    L(shorts));
        *to = __builtin_convertvector(__builtin_convertvector(n, L(ints)),
                                      L(reals));
    } else if (form == OV_FORM_BF16) {
        u = __builtin_convertvector(
            *(const L(halves) *)((const char *)p + 2 * i), L(words));
        *to = (L(reals))(u << 16);
    } else {
        u = __builtin_convertvector(
            *(const L(halves) *)((const char *)p + 2 * i), L(words));
        *to = (L(reals))((u & 0x7fff) << 13) * 0x1p112f;
        *to = (L(reals))((L(words)) * to | (u & 0x8000) << 16 |
                         ((L(words))((u & 0x7c00) == 0x7c00) & 0x7f800000));
    }
}

/* Part h of the sixteen values of row p that meet lanes of x at l + 16 * z.
 * Bytes are read as 16 words of 4, and so come out as every fourth of 64
 * values: cheaper on all processors than in their order.  Inputs are put in
 * the same order, once for all weights (mix). */
OV_INLINE void
L(part)(enum ov_form form, const void *p, int l, int z, int h, L(reals) * to)
{
    L(ints) n;

    if (form != OV_FORM_I8) {
        L(in_order)(form, p, (size_t)(l + 16 * z + LANES * h), to);
        return;
    }
    n = *(const L(ints) *)((const char *)p + l + 4 * LANES * h);
    n = (L(ints))((L(words))n << (24 - 8 * z)) >> 24;
    *to = __builtin_convertvector(n, L(reals));
}

/* R rows of x against C rows of w, both k apart, the first n of them in
 * lanes; y is ldy apart.  The order of the sums depends on neither R nor
 * C. */
OV_INLINE void
L(tile)(enum ov_form form, const int R, const int C, int k, int n,
        const float *x, const void *w, const float *scale, const float *b,
        float *y, int ldy)
{
    const int step = form == OV_FORM_I8 ? 64 : 16, P = L(PARTS);
    size_t ahead = (size_t)C * (size_t)k * form_size(form);
    const char *row[4];
    L(reals) s[4][4][L(PARTS)], v[4][L(PARTS)], u;
    float lanes[16], at_end[4][16];
    int r, c, h, l, z;

#pragma GCC unroll 4
    for (c = 0; c < C; c++)
        row[c] = (const char *)w + (size_t)c * (size_t)k * form_size(form);
#pragma GCC unroll 4
    for (r = 0; r < R; r++)
#pragma GCC unroll 4
        for (c = 0; c < C; c++)
#pragma GCC unroll 4
            for (h = 0; h < P; h++)
                s[r][c][h] = (L(reals)){0};
    for (l = 0; l < n; l += step) {
        /* the next rows: streams this short are over before the processor
         * has seen that they are any */
        for (c = 0; c < C && form != OV_FORM_REAL; c++)
            __builtin_prefetch(row[c] + (size_t)l * form_size(form) + ahead);
        for (z = 0; z < step / 16; z++) {
#pragma GCC unroll 4
            for (c = 0; c < C; c++)
#pragma GCC unroll 4
                for (h = 0; h < P; h++)
                    L(part)(form, row[c], l, z, h, &v[c][h]);
#pragma GCC unroll 4
            for (r = 0; r < R; r++)
#pragma GCC unroll 4
                for (h = 0; h < P; h++) {
                    u = *(const L(reals) *)(x + (size_t)r * (size_t)k + l +
                                            16 * z + LANES * h);
#pragma GCC unroll 4
                    for (c = 0; c < C; c++)
                        s[r][c][h] += u * v[c][h];
                }
        }
    }
    /* the rest in lanes, too: a sum of its own might be contracted here and
     * not there */
    for (l = n; l < k; l += 16) {
        z = k - l < 16 ? k - l : 16;
        for (c = 0; c < C; c++)
            rest(form, row[c], l, z, at_end[c]);
        for (r = 0; r < R; r++) {
            rest(OV_FORM_REAL, x + (size_t)r * (size_t)k, l, z, lanes);
            for (c = 0; c < C; c++)
                for (h = 0; h < P; h++)
                    s[r][c][h] += *(const L(reals) *)(lanes + LANES * h) *
                                  *(const L(reals) *)(at_end[c] + LANES * h);
        }
    }
    for (r = 0; r < R; r++)
        for (c = 0; c < C; c++) {
            for (h = 0; h < P; h++)
                *(L(reals) *)(lanes + LANES * h) = s[r][c][h];
            y[(size_t)r * (size_t)ldy + c] =
                ov_fold_(lanes) * (scale != NULL ? scale[c] : 1) +
                (b != NULL ? b[c] : 0);
        }
}

/* Rows from..from+n-1, columns j..j+C-1 of y in tiles of R rows; w: those
 * rows of weights.  Returns the row after. */
OV_INLINE int
L(strip)(enum ov_form form, const struct part *p, const int R, const int C,
         int in_lanes, int j, int from, int n, const void *w)
{
    const float *scale =
        p->w != NULL && p->w->scale != NULL ? p->w->scale + j : NULL;
    const float *b = p->b != NULL ? p->b + j : NULL;
    int i, k = p->in;

    for (i = from; i + R <= from + n; i += R)
        L(tile)
        (form, R, C, k, in_lanes, p->x + (size_t)i * (size_t)k, w, scale, b,
         p->y + (size_t)i * (size_t)p->out + j, p->out);
    return i;
}

/* The same of four columns, in tiles that registers hold: sixteen sums of
 * 512 bits, or, in two parts each, six of 256 bits. */
OV_INLINE void
L(strips)(enum ov_form form, const struct part *p, int in_lanes, int j,
          int from, int n, const char *w)
{
    const size_t pair = 2 * (size_t)p->in * form_size(form);
    int i, c;

    if (LANES == 16) {
        i = L(strip)(form, p, 4, 4, in_lanes, j, from, n, w);
        L(strip)(form, p, 1, 4, in_lanes, j, i, from + n - i, w);
        return;
    }
    for (c = 0; c < 2 && n >= 3; c++)
        L(strip)
        (form, p, 3, 2, in_lanes, j + 2 * c, from, n, w + (size_t)c * pair);
    i = from + n / 3 * 3;
    L(strip)(form, p, 1, 4, in_lanes, j, i, from + n - i, w);
}

/* A few rows, straight through the weights. */
OV_INLINE void
L(few_rows)(enum ov_form form, const struct part *p, const int R)
{
    const char *w = p->w->narrow;
    size_t row = (size_t)p->in * form_size(form);
    const int C = LANES == 16 || R == 1 ? 4 : 2;
    int j, n = body(form, p->in);

    for (j = p->from; j + C <= p->to; j += C)
        L(strip)(form, p, R, C, n, j, 0, R, w + (size_t)j * row);
    for (; j < p->to; j++)
        L(strip)(form, p, R, 1, n, j, 0, R, w + (size_t)j * row);
}

/* n values in the order of sums, bytes mixed. */
OV_INLINE void
L(widen)(enum ov_form form, bool mixed, const void *p, size_t at, size_t n,
         float *y)
{
    size_t i = 0;
    L(reals) v;
    int z, h;

    for (; mixed && i + 64 <= n; i += 64)
        for (z = 0; z < 4; z++)
            for (h = 0; h < L(PARTS); h++) {
                L(part)(form, (const char *)p + at + i, 0, z, h, &v);
                *(L(reals) *)(y + i + 16 * z + LANES * h) = v;
            }
    for (; !mixed && i + LANES <= n; i += LANES) {
        L(in_order)(form, p, at + i, &v);
        *(L(reals) *)(y + i) = v;
    }
    for (; i < n; i++)
        y[i] = one(form, p, at + i);
}

/* Four rows of weights are widened once for all rows that stay near. */
OV_INLINE void
L(many_rows)(enum ov_form form, const struct part *p)
{
    int near = NEAR / p->in / 12 * 12, i, n, j, c;
    int in_lanes = body(form, p->in);
    size_t in = (size_t)p->in;

    near = near < 12 ? 12 : near;
    for (i = 0; i < p->m; i += n) {
        n = p->m - i < near ? p->m - i : near;
        for (j = p->from; j + 4 <= p->to; j += 4) {
            for (c = 0; c < 4; c++)
                L(widen)
                (form, form == OV_FORM_I8, p->w->narrow, (size_t)(j + c) * in,
                 in, p->room + (size_t)c * in);
            L(strips)
            (OV_FORM_REAL, p, in_lanes, j, i, n, (const char *)p->room);
        }
        for (; j < p->to; j++) {
            L(widen)
            (form, form == OV_FORM_I8, p->w->narrow, (size_t)j * in, in,
             p->room);
            L(strip)(OV_FORM_REAL, p, 1, 1, in_lanes, j, i, n, p->room);
        }
    }
}

OV_INLINE void
L(straight)(enum ov_form form, const struct part *p)
{
    if (p->m == 1)
        L(few_rows)(form, p, 1);
    else if (p->m == 2)
        L(few_rows)(form, p, 2);
    else if (p->m == 3)
        L(few_rows)(form, p, 3);
    else
        L(many_rows)(form, p);
}

/* Weights as they are. */
TARGET static void
L(straight_real)(const struct part *p)
{
    const float *w = p->real;
    int near = NEAR / p->in / 12 * 12, i, j, n, in_lanes = p->in - p->in % 16;
    size_t in = (size_t)p->in;

    near = near < 12 ? 12 : near;
    for (i = 0; i < p->m; i += n) {
        n = p->m - i < near ? p->m - i : near;
        for (j = p->from; j + 4 <= p->to; j += 4)
            L(strips)
            (OV_FORM_REAL, p, in_lanes, j, i, n,
             (const char *)(w + (size_t)j * in));
        for (; j < p->to; j++)
            L(strip)
            (OV_FORM_REAL, p, 1, 1, in_lanes, j, i, n, w + (size_t)j * in);
    }
}

TARGET static void
L(straight_bf16)(const struct part *p)
{
    L(straight)(OV_FORM_BF16, p);
}

TARGET static void
L(straight_f16)(const struct part *p)
{
    L(straight)(OV_FORM_F16, p);
}

TARGET static void
L(straight_i8)(const struct part *p)
{
    L(straight)(OV_FORM_I8, p);
}

/* weights [in, out] -------------------------------------------------------- */

/* R rows of x [in], in apart, times V registers of w [in, SPAN], plus b. */
OV_INLINE void
L(span)(const int R, const int V, int in, const float *x, const float *w,
        const float *b, float *y, int ldy)
{
    L(reals) s[4][4];
    int r, c, i;

#pragma GCC unroll 4
    for (r = 0; r < R; r++)
#pragma GCC unroll 4
        for (c = 0; c < V; c++)
            s[r][c] =
                b != NULL ? *(const L(reals) *)(b + LANES * c) : (L(reals)){0};
    for (i = 0; i < in; i++, w += SPAN)
#pragma GCC unroll 4
        for (r = 0; r < R; r++)
#pragma GCC unroll 4
            for (c = 0; c < V; c++)
                s[r][c] += x[(size_t)r * (size_t)in + i] *
                           *(const L(reals) *)(w + LANES * c);
#pragma GCC unroll 4
    for (r = 0; r < R; r++)
#pragma GCC unroll 4
        for (c = 0; c < V; c++)
            *(L(reals) *)(y + (size_t)r * (size_t)ldy + LANES * c) = s[r][c];
}

/* Columns from..to-1 of a row, in the order in which w lies. */
OV_INLINE void
L(sweep)(enum ov_form form, const struct part *p, const float *x, int from,
         float *y)
{
    const char *w = p->w->narrow;
    int i, j, n = p->to - from;
    L(reals) v;

    for (j = 0; j < n; j++)
        y[from + j] = p->b != NULL ? p->b[from + j] : 0;
    for (i = 0; i < p->in; i++) {
        size_t at = (size_t)i * (size_t)p->out + (size_t)from;

        for (j = 0; j + LANES <= n; j += LANES) {
            L(in_order)(form, w, at + (size_t)j, &v);
            *(L(reals) *)(y + from + j) += x[i] * v;
        }
        for (; j < n; j++)
            y[from + j] += x[i] * one(form, w, at + (size_t)j);
    }
}

OV_INLINE void
L(turned)(enum ov_form form, const struct part *p)
{
    const int V = LANES == 16 ? 4 : 2; /* registers of columns, with 4 rows */
    int i, j = p->from, r, c;
    size_t in = (size_t)p->in, out = (size_t)p->out;

    for (; p->m > DIRECT && j + SPAN <= p->to; j += SPAN) {
        for (i = 0; i < p->in; i++)
            L(widen)
            (form, false, p->w->narrow, (size_t)i * out + (size_t)j, SPAN,
             p->room + (size_t)i * SPAN);
        for (r = 0; r + 4 <= p->m; r += 4) {
            const float *x = p->x + (size_t)r * in;
            float *y = p->y + (size_t)r * out + j;

            for (c = 0; c < SPAN; c += V * LANES)
                L(span)
                (4, V, p->in, x, p->room + c,
                 p->b != NULL ? p->b + j + c : NULL, y + c, p->out);
        }
        for (; r < p->m; r++)
            for (c = 0; c < SPAN; c += 4 * LANES)
                L(span)
                (1, 4, p->in, p->x + (size_t)r * in, p->room + c,
                 p->b != NULL ? p->b + j + c : NULL,
                 p->y + (size_t)r * out + j + c, p->out);
    }
    for (r = 0; j < p->to && r < p->m; r++)
        L(sweep)(form, p, p->x + (size_t)r * in, j, p->y + (size_t)r * out);
}

TARGET static void
L(turned_bf16)(const struct part *p)
{
    L(turned)(OV_FORM_BF16, p);
}

TARGET static void
L(turned_f16)(const struct part *p)
{
    L(turned)(OV_FORM_F16, p);
}

TARGET static void
L(turned_i8)(const struct part *p)
{
    L(turned)(OV_FORM_I8, p);
}

#undef LANES
#undef L
#undef TARGET
