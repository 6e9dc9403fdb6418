/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers as functions of where in the run they are drawn.
 * In: seed, step, shard.  Out: numbers. */
#include "train/trainer.h"

#include <math.h>

static uint64_t
mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

struct ov_rng
ov_rng_at(uint64_t seed, uint64_t step, uint64_t shard, uint64_t what)
{
    struct ov_rng r = { mix(seed + 0x9E3779B97F4A7C15ull) };

    r.s = mix(r.s ^ (step + 0xD1B54A32D192ED03ull));
    r.s = mix(r.s ^ (shard * 0x8CB92BA72F3D8DD7ull + what + 1));
    return r;
}

uint64_t
ov_rng_next(struct ov_rng *r)
{
    return mix(r->s += 0x9E3779B97F4A7C15ull);
}

double
ov_rng_unit(struct ov_rng *r)
{
    return (double)(ov_rng_next(r) >> 11) / 9007199254740992.0;
}

double
ov_rng_normal(struct ov_rng *r)
{
    double u = ov_rng_unit(r), v = ov_rng_unit(r);

    return sqrt(-2 * log(1 - u)) * cos(2 * M_PI * v);
}

long
ov_rng_below(struct ov_rng *r, long n)
{
    return (long)(ov_rng_next(r) % (uint64_t)n);
}

/* A four-round Feistel network over the next even number of bits, walked
 * until it lands inside 0..n-1. */
long
ov_rng_permute(uint64_t seed, long round, long n, long i)
{
    uint64_t x = (uint64_t)i, half = 1, key = mix(seed) ^ mix((uint64_t)round);
    int k;

    while ((1ull << (2 * half)) < (uint64_t)n)
        half++;
    do {
        uint64_t l = x >> half, r = x & ((1ull << half) - 1), t;
        for (k = 0; k < 4; k++) {
            t = l ^ (mix(r + key + (uint64_t)k * 0x9E3779B97F4A7C15ull) &
                     ((1ull << half) - 1));
            l = r;
            r = t;
        }
        x = l << half | r;
    } while (x >= (uint64_t)n);
    return (long)x;
}
