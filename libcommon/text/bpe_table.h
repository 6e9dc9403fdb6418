/* SPDX-License-Identifier: BSD-2-Clause */
/* A byte-pair tokenizer as it lies in memory: for the readers of this room.
 * In: vocabularies and merges as files have them.  Out: struct ov_bpe. */
#ifndef OV_TEXT_BPE_TABLE_H
#define OV_TEXT_BPE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    OV_BPE_FILE_MAX = 64 << 20,
    OV_BPE_ID_MAX = 1 << 21, /* eight times the largest vocabulary there is */
    OV_BPE_NAME_MAX = 255
};

struct ov_bpe_token {
    const char *bytes; /* in ov_bpe.text; NULL: none */
    uint32_t n;        /* how many; special: its place in ov_bpe.added */
    bool used, special;
    bool named; /* special, and the vocabulary has it, too */
};

/* Merging the pair (a, b), packed by pair_of, gives id; the lowest rank goes
 * first. */
struct ov_bpe_merge {
    uint64_t pair; /* 0: free; the first of the pair counts from 1 */
    int32_t rank, id;
};

/* A place in an index. */
struct ov_bpe_place {
    uint32_t hash;
    int32_t entry; /* 0: free; counts from 1 */
};

/* A hash of tokens by their bytes, or of added ones by their names. */
struct ov_bpe_index {
    struct ov_bpe_place *places; /* [mask + 1]; NULL: not asked for */
    size_t mask;
};

/* A token that stands in the text under its name. */
struct ov_bpe_added {
    char *name;
    size_t n; /* 1..OV_BPE_NAME_MAX */
    int32_t id;
};

struct ov_bpe {
    char *path;
    char *text; /* the bytes of all tokens: text_n of text_room */
    size_t text_n, text_room;
    struct ov_bpe_token *tokens; /* [size], of room */
    int size, room;
    size_t longest; /* bytes of a token */
    struct ov_bpe_merge *merges; /* [mask + 1] */
    size_t mask;
    struct ov_bpe_added *added; /* [n_added] */
    size_t n_added;
    struct ov_bpe_index added_index;
    bool begins[256]; /* an added token begins with this byte, */
    bool length[OV_BPE_NAME_MAX + 1]; /* one has this length */
    int32_t bytes[256];               /* the token of each single byte */

    /* How text is prepared. */
    bool nfc;   /* canonical composition first */
    int digits; /* 0: pieces as GPT-2; else as Qwen2, so many digits */
    bool whole;  /* a piece that is a token is not put together */
    bool ranked; /* no merges: two whose bytes together are a token are
                    merged to that, the lowest id first */
    struct ov_bpe_index names;
};

/* An empty table, nothing but its name; NULL: no memory. */
struct ov_bpe *ov_bpe_table_new(const char *path);
/* Room for ids 0..size-1 (it only grows); OV_ERUN without memory. */
int ov_bpe_table_size(struct ov_bpe *b, int size, struct ov_err *err);
/* Room for n bytes of all tokens together: once. */
int ov_bpe_table_text(struct ov_bpe *b, size_t n, struct ov_err *err);
/* Give id, which is below size and not in use, these bytes [n]; there must be
 * room.  A NULL for bytes: they are at text + text_n already. */
void ov_bpe_table_token(struct ov_bpe *b, int32_t id, const char *bytes,
                        size_t n);
/* Room for n merges, which must be empty so far. */
int ov_bpe_table_merges(struct ov_bpe *b, size_t n, struct ov_err *err);
/* Add one; at most as many as there is room for.  The merge that is there
 * already stays: then it is returned, else NULL. */
const struct ov_bpe_merge *ov_bpe_table_put(struct ov_bpe *b, int32_t x,
                                            int32_t y, int32_t rank,
                                            int32_t id);
/* Give the added token name [n] the id, which is below size.  OV_EMODEL: the
 * id or the name is taken, the name empty or too long. */
int ov_bpe_table_add(struct ov_bpe *b, const char *name, size_t n, int32_t id,
                     struct ov_err *err);
/* The id of the added token of that name [n], or -1. */
int32_t ov_bpe_table_added(const struct ov_bpe *b, const char *name, size_t n);
/* Hash the tokens by their bytes, for ov_bpe_table_find; of two with the same
 * the first counts.  *again: one of the others, or -1. */
int ov_bpe_table_names(struct ov_bpe *b, int32_t *again, struct ov_err *err);
void ov_bpe_table_forget_names(struct ov_bpe *b);
/* The token of these bytes, -1: none. */
int32_t ov_bpe_table_find(const struct ov_bpe *b, const char *s, size_t n);
/* What tokens x and y, whose bytes stand one behind the other at s, merge to,
 * and the rank of that; -1: they do not. */
int32_t ov_bpe_table_join(const struct ov_bpe *b, const char *s, int32_t x,
                          int32_t y, int32_t *rank);

#endif
