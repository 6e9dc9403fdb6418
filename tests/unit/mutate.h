/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutations for the readers' random tests when they run without libFuzzer.
 * In: a good input; $OV_FUZZ, how many, and $OV_FUZZ_SEED.  Out: a damaged
 * one, the same for the same seed. */
#ifndef OV_MUTATE_H
#define OV_MUTATE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mutate_state = 1;

/* 0..n-1 */
static inline size_t
mutate_random(size_t n)
{
    mutate_state = mutate_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(mutate_state >> 33) % n;
}

/* How many mutations to run: $OV_FUZZ, or as usual.  $OV_FUZZ_SEED begins
 * elsewhere, so that many can be run in pieces; far apart whatever it is
 * (splitmix64). */
static inline int
mutate_times(int usual)
{
    const char *n = getenv("OV_FUZZ"), *seed = getenv("OV_FUZZ_SEED");
    uint64_t x;

    if (seed != NULL) {
        x = strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15u;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        mutate_state = x ^ x >> 31;
    }
    return n != NULL ? atoi(n) : usual;
}

/* p [n] to a target, in memory of exactly n bytes, so that a sanitizer sees
 * the first byte too far. */
static inline void
mutate_run(int (*target)(const uint8_t *data, size_t n), const uint8_t *p,
           size_t n)
{
    uint8_t *q = malloc(n > 0 ? n : 1);

    if (q == NULL)
        abort();
    memcpy(q, p, n);
    target(q, n);
    free(q);
}

/* One mutation of p [n], n > 0; p has room for room bytes.  words (ends with
 * NULL): text that the format knows. */
static inline size_t
mutate_once(uint8_t *p, size_t n, size_t room, const char *const *words)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '9'};
    size_t i = mutate_random(n), k = mutate_random(16) + 1, w;

    switch (mutate_random(6)) {
    case 0:
        p[i] ^= (uint8_t)(1 << mutate_random(8));
        return n;
    case 1:
        p[i] = odd[mutate_random(sizeof odd)];
        return n;
    case 2: /* cut k bytes out */
        k = k > n - i ? n - i : k;
        memmove(p + i, p + i + k, n - i - k);
        return n - k;
    case 3: /* a run of bytes twice */
        k = k > n - i ? n - i : k;
        if (n + k > room)
            return n;
        memmove(p + i + k, p + i, n - i);
        return n + k;
    case 4: /* over it, a word */
        for (w = 0; words[w] != NULL;)
            w++;
        w = mutate_random(w);
        k = strlen(words[w]);
        if (i + k <= n)
            memcpy(p + i, words[w], k);
        return n;
    default: /* cut the end off */
        return mutate_random(8) == 0 ? i : n;
    }
}

/* A few of them. */
static inline size_t
mutate(uint8_t *p, size_t n, size_t room, const char *const *words)
{
    size_t times = mutate_random(4) + 1;

    while (times-- > 0 && n > 0)
        n = mutate_once(p, n, room, words);
    return n;
}

#endif
