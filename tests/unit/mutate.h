/* SPDX-License-Identifier: BSD-2-Clause */
/* Mutations for the readers' random tests when they run without libFuzzer.
 * In: a good input.  Out: a damaged one, the same for the same seed. */
#ifndef OV_MUTATE_H
#define OV_MUTATE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t mutate_state = 1;

/* 0..n-1 */
static inline size_t
mutate_random(size_t n)
{
    mutate_state = mutate_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(mutate_state >> 33) % n;
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
