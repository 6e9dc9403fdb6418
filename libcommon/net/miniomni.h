/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2: speech, images and text in; text and speech out, side by side
 * in eight streams of tokens.
 *
 * A position is eight tokens: seven of audio (one for each layer of SNAC's
 * three rates) and one of text.  What the decoder reads is the mean of their
 * embeddings; where sound or an image was, an adapter's row stands in place
 * of the seven.  What it says comes delayed: layer i by i + 1 positions.
 *
 * In: rows of a Whisper encoder, rows of CLIP, tokens of text.
 * Out: tokens, eight a position.
 * Source: Xie & Wu 2024; gpt-omni/mini-omni2, litgpt/model.py,
 * litgpt/generate/base.py, inference.py, inference_vision.py,
 * utils/snac_utils.py. */
#ifndef OV_NET_MINIOMNI_H
#define OV_NET_MINIOMNI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "math/graph.h"
#include "model/safetensors.h"

enum {
    OV_MINIOMNI_LAYERS = 7,                       /* of audio tokens */
    OV_MINIOMNI_STREAMS = OV_MINIOMNI_LAYERS + 1, /* the last is text */
    OV_MINIOMNI_SPECIAL = 64, /* ids at the end of each vocabulary */
    OV_MINIOMNI_DELAY = OV_MINIOMNI_LAYERS, /* positions before frame 0 ends */
    OV_MINIOMNI_SEQS = 2
};

/* What the checkpoint's model_config.yaml says, checked. */
struct ov_miniomni_config {
    int d, layers, heads, groups, hd, ff, context;
    int padded_vocab, text_vocab, audio_vocab; /* audio: of one layer */
    int rotary_dims;
    double rotary_base, rotary_condense, eps;
    bool layernorm, gated, parallel, shared_norm, scaled;
    bool bias, qkv_bias, head_bias, tied;
    int act;          /* enum ov_act of the MLP */
    int after_layers; /* of the audio branch; 0: it shares all */
    int after_vocab;  /* of its head */
    bool adapter_mlp; /* the audio adapter is one linear map */
    int whisper_dim, vision_dim;
};

/* Read it.  branch: have the separate audio branch ("post_adapter") where
 * the file says so; the reference's own programs never do.  OV_EMODEL:
 * place, member, fact. */
int ov_miniomni_config(struct ov_miniomni_config *c, const struct ov_json *yaml,
                       bool branch, const char *place, struct ov_err *err);

/* The same from the file model_config.yaml in dir, without the branch. */
int ov_miniomni_config_open(struct ov_miniomni_config *c, const char *dir,
                            struct ov_err *err);

/* --- tokens --- */

/* Special ids: of text, and of each layer of audio before ov_miniomni_shift. */
int32_t ov_miniomni_eot(const struct ov_miniomni_config *c);
int32_t ov_miniomni_pad_t(const struct ov_miniomni_config *c);
int32_t ov_miniomni_eoa(const struct ov_miniomni_config *c);
int32_t ov_miniomni_pad_a(const struct ov_miniomni_config *c);
/* Audio token id of a layer as the vocabulary has it. */
int32_t ov_miniomni_shift(const struct ov_miniomni_config *c, int32_t id,
                          int layer);

enum ov_miniomni_task {
    OV_OMNI_A1A2, /* hears, speaks */
    OV_OMNI_A1T2, /* hears, writes */
    OV_OMNI_A1T1, /* transcribes */
    OV_OMNI_T1A2, /* reads, speaks */
    OV_OMNI_T1T2, /* reads, writes */
    OV_OMNI_I1A2, /* sees an image, hears a question, speaks */
    OV_OMNI_I1T2  /* the same, writes */
};

/* A prompt: what goes where. */
struct ov_miniomni_prompt {
    enum ov_miniomni_task task;
    const int32_t *text; /* [n_text] for T1..., else none */
    int n_text;
    int audio; /* rows of sound for A1... and I1... */
    int image; /* rows of an image for I1... */
};

/* Positions of the prompt. */
int ov_miniomni_prompt_length(const struct ov_miniomni_prompt *p);
/* Its tokens, ids [8, length]: rows of audio layers (shifted), then text. */
void ov_miniomni_prompt_ids(const struct ov_miniomni_config *c,
                            const struct ov_miniomni_prompt *p, int32_t *ids);

/* The row of sound (or, *image set, of the image) that stands in place of the
 * audio tokens at position i; -1: none does. */
int ov_miniomni_feature(const struct ov_miniomni_prompt *p, int i, bool *image);

/* Frames of sound that steps positions hold: each needs a token of every
 * layer. */
int ov_miniomni_frames(int steps);
/* Frame f of said [steps, 8]: its seven codes. */
void ov_miniomni_frame(const int32_t *said, int f, int32_t *codes);
/* n frames [n, 7] as SNAC's three books: [n], [2n], [4n]. */
void ov_miniomni_books(const int32_t *frames, int n, int32_t *const *books);

/* --- the network --- */

struct ov_miniomni;

/* Which parts are bound. */
enum {
    OV_MINIOMNI_FRONT = 1, /* embeddings and adapters */
    OV_MINIOMNI_BACK = 2   /* embeddings, decoder, heads */
};

/* The weights in path (lit_model.pth, or the same in safetensors).
 * OV_EMODEL: damaged, a tensor missing or of another shape. */
int ov_miniomni_open(struct ov_miniomni **m, const char *path,
                     const struct ov_miniomni_config *c, int parts,
                     struct ov_err *err);
void ov_miniomni_close(struct ov_miniomni *m);
const struct ov_miniomni_config *ov_miniomni_sizes(const struct ov_miniomni *m);

/* The rows that the decoder reads for a prompt, x [length, d].  audio
 * [p->audio, whisper_dim] and image [p->image, vision_dim] as encoded, NULL
 * where there is none. */
int ov_miniomni_embed(const struct ov_miniomni *m,
                      const struct ov_miniomni_prompt *p, const float *audio,
                      const float *image, float *x, struct ov_err *err);
/* The adapters: rows of sound [n, whisper_dim], or of an image
 * [n, vision_dim], -> y [n, d].  g is a fast graph, and is reset. */
void ov_miniomni_adapt(const struct ov_miniomni *m, struct ov_graph *g,
                       bool image, const float *x, int n, float *y);
/* The row of one position: eight ids, of audio before the shift; feature [d]
 * stands in place of the audio ids unless it is NULL -> x [d].  OV_ESTREAM:
 * an id out of range. */
int ov_miniomni_embed_step(const struct ov_miniomni *m, const int32_t *ids,
                           const float *feature, float *x, struct ov_err *err);

/* One or two sequences on their way. */
struct ov_miniomni_state;

/* What a layer read or wrote, for tests: "in", "out" of each block, "norm"
 * after the last; x [rows, d] of the positions pos, pos + 1, ... of seq. */
typedef void ov_miniomni_tap(void *arg, const char *what, int layer, int seq,
                             int pos, int rows, const float *x);

struct ov_miniomni_state *
ov_miniomni_state_new(const struct ov_miniomni *m); /* NULL: no memory */
void ov_miniomni_state_free(struct ov_miniomni_state *s);
void ov_miniomni_state_tap(struct ov_miniomni_state *s, ov_miniomni_tap *tap,
                           void *arg);
/* Forget everything; there is one sequence then. */
void ov_miniomni_state_clear(struct ov_miniomni_state *s);
/* The same, but for the first n positions of the first sequence, which has as
 * many. */
void ov_miniomni_state_keep(struct ov_miniomni_state *s, int n);
/* There are two from now on, the second a copy of the first. */
int ov_miniomni_state_fork(struct ov_miniomni_state *s, struct ov_err *err);
/* Read x [n, d] as the next positions of the only sequence, or with two
 * sequences x [2, d] as the next position of each (n is 1). */
int ov_miniomni_read(struct ov_miniomni_state *s, const float *x, int n,
                     struct ov_err *err);
/* Logits of the last position of a sequence: [text_vocab]; [7, audio_vocab].
 * They live until the next call for this state. */
const float *ov_miniomni_text(struct ov_miniomni_state *s, int seq);
const float *ov_miniomni_audio(struct ov_miniomni_state *s, int seq);

/* --- answering --- */

/* What an answer consists of. */
enum ov_miniomni_answer {
    OV_OMNI_TEXT,  /* text alone */
    OV_OMNI_BOTH,  /* both from one sequence */
    OV_OMNI_PAIRED /* speech from the first, text from the second */
};

struct ov_miniomni_options {
    int32_t eot, eoa;   /* what ends text, and speech */
    int limit;          /* positions, with the prompt; at most the context */
    double temperature; /* 0: the largest */
    int top_k;          /* 0: all; 1: the largest */
    double top_p;
    uint64_t seed;
};

/* As the reference: greedy, 2048 positions or the context. */
void ov_miniomni_defaults(struct ov_miniomni_options *o,
                          const struct ov_miniomni_config *c);

struct ov_miniomni_talk {
    struct ov_miniomni_state *s;
    struct ov_miniomni_options o;
    enum ov_miniomni_answer kind;
    bool text_over, over;
    int at, steps; /* positions read; said */
    int32_t said[OV_MINIOMNI_STREAMS];
    float *x; /* [2, d] */
};

/* Forget what s has read, and read a prompt x [n, d]; other [d] is the last
 * row of the second sequence where the answer is paired (all others are
 * alike), else NULL.  OV_ESTREAM: longer than the limit or the context. */
int ov_miniomni_begin(struct ov_miniomni_talk *t, struct ov_miniomni_state *s,
                      enum ov_miniomni_answer kind,
                      const struct ov_miniomni_options *o, const float *x,
                      int n, const float *other, struct ov_err *err);
/* The same, where x [n, d] are the last positions of a prompt whose first ones
 * s, one sequence, has read. */
int ov_miniomni_begin_at(struct ov_miniomni_talk *t,
                         struct ov_miniomni_state *s,
                         enum ov_miniomni_answer kind,
                         const struct ov_miniomni_options *o, const float *x,
                         int n, const float *other, struct ov_err *err);
/* The next position: its ids (of TEXT only the last one counts).  1, 0 at
 * the end, or an error.  The position that ends speech is not given, nor
 * is, of text alone, the token that ends it unless it is the first. */
int ov_miniomni_next(struct ov_miniomni_talk *t,
                     int32_t ids[OV_MINIOMNI_STREAMS], struct ov_err *err);
void ov_miniomni_finish(struct ov_miniomni_talk *t);

#endif
