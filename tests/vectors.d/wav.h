/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound of cases: WAV of 16 bit, every channel as it is.
 * In: a file.  Out: samples / 32768, [n, channels]. */
#ifndef OV_TESTS_WAV_H
#define OV_TESTS_WAV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fmt chunk's channels and the data chunk's samples; *x is malloc'd. */
static inline bool
wav_chunk(FILE *f, float **x, size_t *n, int *channels)
{
    unsigned char p[64];
    size_t size, i;

    while (fread(p, 1, 8, f) == 8) {
        size = p[4] | p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24;
        if (memcmp(p, "data", 4) != 0) {
            if (size > sizeof p || fread(p, 1, size, f) != size)
                return false;
            if (size >= 16)
                *channels = p[2];
            continue;
        }
        *x = malloc(size * sizeof **x + 1);
        for (i = 0; i < size / 2 && fread(p, 1, 2, f) == 2; i++)
            (*x)[i] = (float)(int16_t)(p[0] | p[1] << 8) / 32768;
        *n = *channels > 0 ? i / (size_t)*channels : 0;
        return *channels > 0;
    }
    return false;
}

static inline bool
wav_read(const char *path, float **x, size_t *n, int *channels)
{
    FILE *f = fopen(path, "rb");
    unsigned char p[12];
    bool good;

    *channels = 0;
    *x = NULL;
    if (f == NULL)
        return false;
    good = fread(p, 1, 12, f) == 12 && memcmp(p + 8, "WAVE", 4) == 0 &&
           wav_chunk(f, x, n, channels);
    fclose(f);
    if (!good)
        free(*x);
    return good;
}

#endif
