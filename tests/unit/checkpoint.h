/* SPDX-License-Identifier: BSD-2-Clause */
/* PyTorch checkpoints made by hand, for the tests of their readers.
 * In: pickle programs.  Out: files in memory. */
#ifndef OV_CHECKPOINT_H
#define OV_CHECKPOINT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"

struct bytes {
    uint8_t p[1 << 15];
    size_t n;
};

static inline void
put(struct bytes *b, const void *p, size_t n)
{
    if (n > sizeof b->p - b->n)
        abort();
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void
put_le(struct bytes *b, uint64_t v, int n)
{
    uint8_t c;

    for (; n > 0; n--, v >>= 8) {
        c = (uint8_t)v;
        put(b, &c, 1);
    }
}

/* A program in an assembler of its own: words with spaces between them.
 *   'text' a string   12 a number up to 255   @module name   a global
 *   anything else: that opcode
 * memo, marks and the rest as in Python. */
static inline void
put_program(struct bytes *b, const char *s)
{
    size_t n;

    for (; *s != '\0'; s += n) {
        n = strcspn(s, " ");
        if (*s == ' ') {
            n = 1;
        } else if (*s == '\'') {
            n = strcspn(s + 1, "'") + 2;
            put(b, "X", 1);
            put_le(b, n - 2, 4);
            put(b, s + 1, n - 2);
        } else if (*s == '@') {
            n = strcspn(s, "|");
            put(b, "c", 1);
            put(b, s + 1, n - 1);
            put(b, "\n", 1);
            s += n + 1;
            n = strcspn(s, " ");
            put(b, s, n);
            put(b, "\n", 1);
        } else if (*s >= '0' && *s <= '9') {
            put(b, "K", 1);
            put_le(b, strtoul(s, NULL, 10), 1);
        } else if (*s == 'x') { /* x8a: a byte */
            put_le(b, strtoul(s + 1, NULL, 16), 1);
        } else {
            put(b, s, n);
        }
    }
}

/* A tensor: storage key of count elements, offset, shape, strides. */
#define STORAGE(type, key, count)                                              \
    "( 'storage' @torch|" type " '" key "' 'cpu' " count " t Q "
#define TENSOR(type, key, count, offset, shape, stride)                        \
    "@torch._utils|_rebuild_tensor_v2 ( " STORAGE(type, key, count) offset     \
        " ( " shape " t ( " stride " t x89 @collections|OrderedDict ) R t R "

static inline void
put_member(struct bytes *b, struct bytes *directory, int *count,
           const char *name, const void *p, size_t n)
{
    uint32_t crc = ov_crc32(0, p, n);
    size_t at = b->n, len = strlen(name);

    put(b, "PK\3\4\24\0\0\0\0\0\0\0\0\0", 14);
    put_le(b, crc, 4);
    put_le(b, n, 4);
    put_le(b, n, 4);
    put_le(b, len, 2);
    put_le(b, 0, 2);
    put(b, name, len);
    put(b, p, n);
    put(directory, "PK\1\2\24\0\24\0\0\0\0\0\0\0\0\0", 16);
    put_le(directory, crc, 4);
    put_le(directory, n, 4);
    put_le(directory, n, 4);
    put_le(directory, len, 2);
    put_le(directory, 0, 8);
    put_le(directory, 0, 4);
    put_le(directory, at, 4);
    put(directory, name, len);
    ++*count;
}

static inline void
put_directory(struct bytes *b, const struct bytes *directory, int count)
{
    size_t at = b->n;

    put(b, directory->p, directory->n);
    put(b, "PK\5\6\0\0\0\0", 8);
    put_le(b, (uint64_t)count, 2);
    put_le(b, (uint64_t)count, 2);
    put_le(b, directory->n, 4);
    put_le(b, at, 4);
    put_le(b, 0, 2);
}

/* A zip archive: the program, and storage "0" of n bytes at data. */
static inline void
make_zip(struct bytes *b, const char *program, const void *data, size_t n)
{
    static struct bytes pickle, directory;
    int count = 0;

    b->n = pickle.n = directory.n = 0;
    put(&pickle, "\x80\x02", 2);
    put_program(&pickle, program);
    put(&pickle, ".", 1);
    put_member(b, &directory, &count, "a/data.pkl", pickle.p, pickle.n);
    put_member(b, &directory, &count, "a/data/0", data, n);
    put_member(b, &directory, &count, "a/version", "3\n", 2);
    put_directory(b, &directory, count);
}

/* The same as the stream of before 1.6, storage "0" of n elements of size
 * bytes. */
static inline void
make_stream(struct bytes *b, const char *program, const void *data, size_t n,
            size_t size)
{
    b->n = 0;
    put(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
    put(b, "\x80\x02M\xe9\x03.", 6);
    put(b, "\x80\x02", 2);
    put_program(b, "} 'little_endian' x88 s .");
    put(b, "\x80\x02", 2);
    put_program(b, program);
    put(b, ".\x80\x02", 3);
    put_program(b, "] ( '0' e .");
    put_le(b, n, 8);
    put(b, data, n * size);
}

#endif
