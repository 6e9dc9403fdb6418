/* SPDX-License-Identifier: BSD-2-Clause */
/* Muon: momentum whose singular values are made alike.
 * In: a matrix, its gradient, its momentum.  Out: the matrix, a step on. */
#include "train/muon.h"

#include <math.h>
#include <string.h>

#include "math/gemm.h"

enum { LEAST = 32, ROUNDS = 5 };

bool
ov_muon_suits(const char *name, int rows, int cols)
{
    static const char *const ends[] = {"embed", "head", "place", "router"};
    size_t n = strlen(name), i, k;

    if (rows < LEAST || cols < LEAST || strncmp(name, "name.", 5) == 0)
        return false;
    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        k = strlen(ends[i]);
        if (n >= k && strcmp(name + n - k, ends[i]) == 0)
            return false;
    }
    return true;
}

/* The matrix twice, with no more rows than columns, and two squares. */
size_t
ov_muon_room(int rows, int cols)
{
    size_t r = (size_t)(rows < cols ? rows : cols);

    return 2 * (size_t)rows * (size_t)cols + 2 * r * r;
}

/* Newton and Schulz: x [r, c], r <= c, towards the orthogonal factor of its
 * polar decomposition; singular values end between 0.7 and 1.2. */
static ov_real *
orthogonal(ov_real *x, ov_real *y, ov_real *a, ov_real *b, int r, int c)
{
    const ov_real k[3] = {(ov_real)3.4445, (ov_real)-4.7750, (ov_real)2.0315};
    size_t n = (size_t)r * (size_t)c, i;
    ov_real *swap;
    double sum = 0;
    int round;

    for (i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (i = 0; i < n; i++)
        x[i] *= (ov_real)(1 / (sqrt(sum) + 1e-12));
    for (round = 0; round < ROUNDS; round++) {
        ov_gemm(false, true, r, r, c, 1, x, c, x, c, 0, a, r);
        memcpy(b, a, sizeof *b * (size_t)r * (size_t)r);
        ov_gemm(false, false, r, r, r, k[2], a, r, a, r, k[1], b, r);
        memcpy(y, x, sizeof *y * n);
        ov_gemm(false, false, r, c, r, 1, b, r, x, c, k[0], y, c);
        swap = x;
        x = y;
        y = swap;
    }
    return x;
}

void
ov_muon_step(ov_real *x, const ov_real *g, float *m, int rows, int cols,
             float scale, float beta, float rate, float shrink, ov_real *room)
{
    bool turn = rows > cols;
    int r = turn ? cols : rows, c = turn ? rows : cols, i, j;
    size_t n = (size_t)rows * (size_t)cols;
    ov_real *a = room + 2 * n, *o;
    float step = rate * 0.2f * sqrtf((float)c);

    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++) {
            size_t at = (size_t)i * (size_t)cols + (size_t)j;
            float d = scale * (float)g[at];
            m[at] = beta * m[at] + d;
            room[turn ? (size_t)j * (size_t)c + (size_t)i : at] =
                (ov_real)(beta * m[at] + d);
        }
    o = orthogonal(room, room + n, a, a + (size_t)r * (size_t)r, r, c);
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++) {
            size_t at = (size_t)i * (size_t)cols + (size_t)j;
            x[at] = shrink * x[at] -
                    step * o[turn ? (size_t)j * (size_t)c + (size_t)i : at];
        }
}
