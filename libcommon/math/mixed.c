/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix products in mixed precision: factors are rounded to bfloat16 while
 * they are packed, and multiplied by the tile unit (AMX) or by vdpbf16ps.
 * In: row-major float matrices.  Out: their product.
 *
 * Both kernels read the same panels.  A tile is 1 KiB: of A, 16 rows of 32
 * consecutive k; of B, 16 pairs of k, each of 16 columns.  Whichever way the
 * source lies, one of the two forms is packed straight and the other is its
 * transpose as 16 x 16 words of 32 bits. */
#include "math/mixed.h"

#include "math/amx.h"
#include "math/gemm.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(OV_DOUBLE)

#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* rows and columns of a tile, k of a tile, elements of a tile; rows and k
 * of a block that stays in the second cache */
enum { T = 16, TK = 32, TILE = T * TK, MC = 768, KC = 512 };

#define AVX                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define AMX                                                                    \
    __attribute__((target(                                                     \
        "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void
make_key(void)
{
    pthread_key_create(&key, free);
}

const char *
ov_mixed_kernel(void)
{
    static const char *const names[] = {NULL, "avx512-bf16", "amx"};

    return names[ov_bf16_unit()];
}

/* --- packing --- */

/* Lines that run along k: rows of x, n of them, k values each. */
AVX static void
pack_lines(const float *x, int ld, int n, int k, uint16_t *tile)
{
    __mmask16 lo = (__mmask16)(k >= 16 ? 0xffff : (1 << k) - 1);
    __mmask16 hi = (__mmask16)(k >= 32  ? 0xffff
                               : k > 16 ? (1 << (k - 16)) - 1
                                        : 0);
    int i;

    for (i = 0; i < n; i++, x += ld)
        _mm512_storeu_si512(
            tile + i * TK,
            (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(hi, x + 16),
                                         _mm512_maskz_loadu_ps(lo, x)));
    for (; i < T; i++)
        _mm512_storeu_si512(tile + i * TK, _mm512_setzero_si512());
}

/* Lines that run across k: k lines of x, n values each. */
AVX static void
pack_across(const float *x, int ld, int n, int k, uint16_t *tile)
{
    static const uint16_t weave[32] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i order = _mm512_loadu_si512(weave);
    __mmask16 in = (__mmask16)(n >= 16 ? 0xffff : (1 << n) - 1);
    int i;

    for (i = 0; i < T; i++, x += 2 * (size_t)ld) {
        __mmask16 lo = 2 * i < k ? in : 0, hi = 2 * i + 1 < k ? in : 0;
        const float *next = hi != 0 ? x + ld : x;
        __m512i v = (__m512i)_mm512_cvtne2ps_pbh(
            _mm512_maskz_loadu_ps(hi, next), _mm512_maskz_loadu_ps(lo, x));
        _mm512_storeu_si512(tile + i * TK, _mm512_permutexvar_epi16(order, v));
        if (hi == 0)
            for (i++; i < T; i++)
                _mm512_storeu_si512(tile + i * TK, _mm512_setzero_si512());
    }
}

/* n lines from x, k long, into panels of 16 lines, each of k/32 tiles.
 * along: a line's values lie side by side; pairs: the form of B. */
AVX static void
pack(const float *x, int ld, bool along, bool pairs, int n, int k,
     uint16_t *out)
{
    int i, j;

    for (i = 0; i < n; i += T)
        for (j = 0; j < k; j += TK, out += TILE) {
            if (along)
                pack_lines(x + (size_t)i * ld + j, ld, n - i < T ? n - i : T,
                           k - j < TK ? k - j : TK, out);
            else
                pack_across(x + (size_t)j * ld + i, ld, n - i, k - j, out);
            if (along == pairs)
                ov_amx_turn(out);
        }
}

/* --- kernels: 32 x 32 of C from two panels of each --- */

/* a, b: two panels, a1 and b1 the second ones; sum [32,32]. */
AMX static void
tiles_amx(const uint16_t *a, const uint16_t *a1, const uint16_t *b,
          const uint16_t *b1, int tiles, float *sum)
{
    int i;

    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (i = 0; i < tiles; i++) {
        _tile_loadd(4, a + (size_t)i * TILE, 64);
        _tile_loadd(6, b + (size_t)i * TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b1 + (size_t)i * TILE, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a1 + (size_t)i * TILE, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sum, 128);
    _tile_stored(1, sum + 16, 128);
    _tile_stored(2, sum + 16 * 32, 128);
    _tile_stored(3, sum + 16 * 32 + 16, 128);
}

#define ROW(r)                                                                 \
    {                                                                          \
        int32_t w;                                                             \
        __m512bh v;                                                            \
        memcpy(&w, at + ((r)*TK + 2 * p), sizeof w);                           \
        v = (__m512bh)_mm512_set1_epi32(w);                                    \
        s[r] = _mm512_dpbf16_ps(s[r], v, v0);                                  \
        s[r + 8] = _mm512_dpbf16_ps(s[r + 8], v, v1);                          \
    }

/* Eight rows of a by both panels of b. */
AVX static void
eight_avx(const uint16_t *a, const uint16_t *b, const uint16_t *b1, int tiles,
          float *sum)
{
    __m512 s[16];
    int i, p, r;

#pragma GCC unroll 16
    for (r = 0; r < 16; r++)
        s[r] = _mm512_setzero_ps();
    for (i = 0; i < tiles; i++) {
        const uint16_t *at = a + (size_t)i * TILE;
        for (p = 0; p < T; p++) {
            __m512bh v0 =
                (__m512bh)_mm512_loadu_si512(b + (size_t)i * TILE + p * TK);
            __m512bh v1 =
                (__m512bh)_mm512_loadu_si512(b1 + (size_t)i * TILE + p * TK);
            ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7)
        }
    }
#pragma GCC unroll 8
    for (r = 0; r < 8; r++) {
        _mm512_storeu_ps(sum + r * 32, s[r]);
        _mm512_storeu_ps(sum + r * 32 + 16, s[r + 8]);
    }
}

static void
tiles_avx(const uint16_t *a, const uint16_t *a1, const uint16_t *b,
          const uint16_t *b1, int tiles, float *sum)
{
    eight_avx(a, b, b1, tiles, sum);
    eight_avx(a + 8 * TK, b, b1, tiles, sum + 8 * 32);
    eight_avx(a1, b, b1, tiles, sum + 16 * 32);
    eight_avx(a1 + 8 * TK, b, b1, tiles, sum + 24 * 32);
}

/* C [m,n] = beta C + alpha sum, m and n up to 32. */
AVX static void
put(const float *sum, int m, int n, float alpha, float beta, float *c, int ldc)
{
    __mmask16 lo = (__mmask16)(n >= 16 ? 0xffff : (1 << n) - 1);
    __mmask16 hi = (__mmask16)(n >= 32  ? 0xffff
                               : n > 16 ? (1 << (n - 16)) - 1
                                        : 0);
    __m512 va = _mm512_set1_ps(alpha), vb = _mm512_set1_ps(beta);
    int i;

    for (i = 0; i < m; i++, sum += 32, c += ldc) {
        __m512 s0 = _mm512_mul_ps(va, _mm512_loadu_ps(sum));
        __m512 s1 = _mm512_mul_ps(va, _mm512_loadu_ps(sum + 16));
        if (beta != 0) { /* else C may hold anything */
            s0 = _mm512_fmadd_ps(vb, _mm512_maskz_loadu_ps(lo, c), s0);
            s1 = _mm512_fmadd_ps(vb, _mm512_maskz_loadu_ps(hi, c + 16), s1);
        }
        _mm512_mask_storeu_ps(c, lo, s0);
        _mm512_mask_storeu_ps(c + 16, hi, s1);
    }
}

/* --- blocks --- */

struct scratch {
    size_t size;
    uint16_t tiles[] __attribute__((aligned(64)));
};

/* Room for n elements, kept by the thread.  NULL: no memory. */
static uint16_t *
room(size_t n)
{
    struct scratch *s;

    pthread_once(&once, make_key);
    s = pthread_getspecific(key);
    if (s == NULL || s->size < n) {
        free(s);
        s = aligned_alloc(64, (sizeof *s + 2 * n + 63) / 64 * 64);
        if (s != NULL)
            s->size = n;
        pthread_setspecific(key, s);
    }
    return s != NULL ? s->tiles : NULL;
}

static int
round_to(int n, int unit)
{
    return (n + unit - 1) / unit * unit;
}

static void
block(const uint16_t *pa, const uint16_t *pb, int m, int n, int k, float alpha,
      float beta, float *c, int ldc)
{
    float sum[32 * 32] __attribute__((aligned(64)));
    int tiles = round_to(k, TK) / TK, i, j;
    size_t panel = (size_t)tiles * TILE;
    bool amx = ov_bf16_unit() == OV_UNIT_TILES;

    for (j = 0; j < n; j += 32) {
        const uint16_t *b = pb + panel * (size_t)(j / T);
        for (i = 0; i < m; i += 32) {
            const uint16_t *a = pa + panel * (size_t)(i / T);
            (amx ? tiles_amx : tiles_avx)(a, a + panel, b, b + panel, tiles,
                                          sum);
            put(sum, m - i < 32 ? m - i : 32, n - j < 32 ? n - j : 32, alpha,
                beta, c + (size_t)i * ldc + j, ldc);
        }
    }
}

void
ov_gemm_mixed(bool at, bool bt, int m, int n, int k, ov_real alpha,
              const ov_real *a, int lda, const ov_real *b, int ldb,
              ov_real beta, ov_real *c, int ldc)
{
    int i, l;
    size_t size_a = (size_t)MC * KC, size_b = (size_t)round_to(n, 32) * KC;
    uint16_t *pa = NULL, *pb;

    if (ov_mixed_kernel() != NULL && m >= 16 && n >= 16 && k >= 16 &&
        (double)m * n * k >= 32768)
        pa = room(size_a + size_b);
    if (pa == NULL) {
        ov_gemm(at, bt, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    pb = pa + size_a;
    if (ov_bf16_unit() == OV_UNIT_TILES)
        ov_amx_begin(64);
    for (l = 0; l < k; l += KC) {
        int kc = k - l < KC ? k - l : KC;
        size_t panel = (size_t)round_to(kc, TK) * T;
        pack(bt ? b + l : b + (size_t)l * ldb, ldb, bt, true, n, kc, pb);
        if (round_to(n, T) % 32 != 0)
            memset(pb + panel * (size_t)(round_to(n, T) / T), 0, 2 * panel);
        for (i = 0; i < m; i += MC) {
            int mc = m - i < MC ? m - i : MC;
            const float *from =
                at ? a + (size_t)l * lda + i : a + (size_t)i * lda + l;
            pack(from, lda, !at, false, mc, kc, pa);
            if (round_to(mc, T) % 32 != 0)
                memset(pa + panel * (size_t)(round_to(mc, T) / T), 0,
                       2 * panel);
            block(pa, pb, mc, n, kc, alpha, l == 0 ? beta : 1,
                  c + (size_t)i * ldc, ldc);
        }
    }
    if (ov_bf16_unit() == OV_UNIT_TILES)
        ov_amx_end();
}

#else

const char *
ov_mixed_kernel(void)
{
    return 0;
}

void
ov_gemm_mixed(bool at, bool bt, int m, int n, int k, ov_real alpha,
              const ov_real *a, int lda, const ov_real *b, int ldb,
              ov_real beta, ov_real *c, int ldc)
{
    ov_gemm(at, bt, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

#endif

void
ov_product(const struct ov_graph *g, bool at, bool bt, int m, int n, int k,
           ov_real alpha, const ov_real *a, int lda, const ov_real *b, int ldb,
           ov_real beta, ov_real *c, int ldc)
{
    (ov_graph_mixed(g) ? ov_gemm_mixed : ov_gemm)(at, bt, m, n, k, alpha, a,
                                                  lda, b, ldb, beta, c, ldc);
}
