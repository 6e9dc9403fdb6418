/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper: an encoder of log-mel spectrograms and a decoder of text.
 *
 * Source: Radford et al. 2022; openai/whisper, whisper/model.py; the layout
 * of huggingface/transformers, models/whisper/modeling_whisper.py.
 *
 * In: a checkpoint, mel frames, tokens.  Out: embeddings, logits. */
#ifndef OV_NET_WHISPER_H
#define OV_NET_WHISPER_H

#include <stdbool.h>
#include <stdint.h>

#include "math/gelu.h"
#include "math/graph.h"
#include "net/bind.h"

enum {
    OV_WHISPER_LAYERS = 64, /* at most, of each side */
    OV_WHISPER_BEAMS = 64,
    OV_WHISPER_HEADS = 1024 /* that alignments may use */
};

struct ov_whisper_dims {
    int mels, audio_ctx, audio_state, audio_heads, audio_layers, audio_ff;
    int vocab, text_ctx, text_state, text_heads, text_layers, text_ff;
};

struct ov_whisper_attn {
    struct ov_tensor *q, *qb, *k, *v, *vb, *o, *ob; /* keys have no bias */
};

struct ov_whisper_block {
    struct ov_tensor *a_nw, *a_nb;
    struct ov_whisper_attn self;
    struct ov_tensor *c_nw, *c_nb; /* decoder */
    struct ov_whisper_attn cross;  /* decoder */
    struct ov_tensor *f_nw, *f_nb, *up, *ub, *down, *db;
};

struct ov_whisper {
    struct ov_whisper_dims d;
    enum ov_act act;
    struct ov_tensor *conv1, *conv1_b, *conv2, *conv2_b, *pos_a, *post_w,
        *post_b;
    struct ov_tensor *token, *pos_t, *norm_w, *norm_b;
    struct ov_tensor *head; /* token, unless the file has another */
    struct ov_whisper_block enc[OV_WHISPER_LAYERS], dec[OV_WHISPER_LAYERS];
    /* Heads whose attention follows the sound: layer, head. */
    int heads, head_at[OV_WHISPER_HEADS][2];

    /* Tests look at values on their way: called with the name of a tap and
     * its values [rows, cols]; NULL: nobody looks. */
    void (*tap)(void *ctx, const char *name, const float *x, int rows,
                int cols);
    void *tap_ctx;

    struct ov_weights *weights;
    struct ov_bind bind;
};

enum { OV_WHISPER_ENCODER = 1, OV_WHISPER_DECODER = 2 };

/* Open a checkpoint: the .pt of openai/whisper (or the same in safetensors,
 * its dimensions in the metadata), or transformers' files
 * (config.json with model.safetensors or pytorch_model.bin beside it).  path
 * is the file, or a directory that holds one such.  parts: what is bound.
 * On processors with a tile unit or AVX-512 the first encoding makes a copy of
 * the encoder's matrices, of as many bytes (of w8a8 only for tiles), and those
 * of bfloat16 or w8a8 have their inputs rounded (math/tiles.h, math/packed.h).
 * OV_EMODEL: no such file, not Whisper, or a tensor that does not fit. */
int ov_whisper_open(struct ov_whisper **w, const char *path, int parts,
                    struct ov_err *err);
void ov_whisper_close(struct ov_whisper *w);

/* Set w->heads and head_at to what is published for a checkpoint of these
 * sizes in a file of that name; none if it is not known. */
void ov_whisper_heads(struct ov_whisper *w, const char *file);

/* Mel frames of one window: 2 * audio_ctx. */
int ov_whisper_window(const struct ov_whisper *w);
/* What --audio-context says: how many frames of silence are heard behind the
 * sound, of "auto" a second's, or of so many milliseconds, 0 to 30000; of
 * "full" as many as there are, which is -1.  false: it is none of these. */
bool ov_whisper_silence(const char *s, int *silence);
/* Frames of a window that is cut off so many frames behind so many of sound:
 * even, and at most the whole window, which it is if silence is negative.  It
 * was not trained on such, but what it leaves out is silence. */
int ov_whisper_short_window(const struct ov_whisper *w, size_t sound,
                            int silence);

/* Encode mel [frames, mels], frames even and at most the window, into out
 * [frames / 2, audio_state].  g is fast, or rows are computed alone; it is
 * reset again and again. */
void ov_whisper_encode(const struct ov_whisper *w, struct ov_graph *g,
                       const float *mel, int frames, float *out);

/* The beginning of a sound that goes on: what its rows were when they were
 * heard, keys and values of each layer, 8 bytes * audio_layers * audio_state a
 * row. */
struct ov_whisper_past;
struct ov_whisper_past *
ov_whisper_past_new(const struct ov_whisper *w); /* NULL: no memory */
void ov_whisper_past_free(struct ov_whisper_past *p);
/* As ov_whisper_encode, but the first rows are the past's and stay as they
 * are: the others, which see them and each other -> out [count, audio_state].
 * The count, or OV_ERUN: no memory. */
int ov_whisper_encode_on(struct ov_whisper_past *p, struct ov_graph *g,
                         const float *mel, int frames, float *out);
/* Of the rows that were heard so far the first so many are past. */
void ov_whisper_past_keep(struct ov_whisper_past *p, int rows);

/* --- decoder --- */

/* What was heard and said so far, in up to so many beams.  Position p of beam
 * b is row from[b][p] * text_ctx + p of the keys and values: beams share
 * what they have in common. */
struct ov_whisper_state {
    const struct ov_whisper *w;
    struct ov_graph *one, *many; /* row by row; products for many rows */
    int beams;                   /* room */
    int len;                     /* positions read */
    int heard;                   /* rows of the encoder, 0: none yet */
    float *k[OV_WHISPER_LAYERS], *v[OV_WHISPER_LAYERS];
    float *ck[OV_WHISPER_LAYERS], *cv[OV_WHISPER_LAYERS];
    unsigned char *from, *spare; /* [beams, text_ctx] */
    float *hidden;               /* [max(text_ctx, beams), text_state] */
    float *scratch;              /* of attention: [text_ctx] */
    /* Not NULL: where the products of the alignment heads with what was
     * heard go, before their softmax [heads, n, heard], n as in read. */
    float *align;
};

/* OV_EUSAGE: beams not in 1..OV_WHISPER_BEAMS; OV_ERUN: no memory. */
int ov_whisper_state_open(struct ov_whisper_state *s,
                          const struct ov_whisper *w, int beams,
                          struct ov_err *err);
void ov_whisper_state_close(struct ov_whisper_state *s);
/* Hear enc [rows, audio_state] (rows at most audio_ctx), forget what was
 * said. */
void ov_whisper_listen(struct ov_whisper_state *s, const float *enc, int rows);
/* Forget what was said. */
void ov_whisper_forget(struct ov_whisper_state *s);
/* Read n tokens as the next positions of all beams; their hidden rows
 * [n, text_state] until the next call.  len + n is at most text_ctx, tokens
 * are in 0..vocab-1: the caller's duty. */
const float *ov_whisper_read(struct ov_whisper_state *s, const int32_t *tokens,
                             int n);
/* Read token[b] as the next position of beam b < n; hidden rows
 * [n, text_state]. */
const float *ov_whisper_step(struct ov_whisper_state *s, const int32_t *token,
                             int n);
/* From now on beam b goes on from what was beam source[b], b < n. */
void ov_whisper_reorder(struct ov_whisper_state *s, const int *source, int n);
/* Hidden rows [n, text_state] -> logits [n, vocab]. */
void ov_whisper_logits(struct ov_whisper_state *s, const float *hidden, int n,
                       float *logits);

#endif
