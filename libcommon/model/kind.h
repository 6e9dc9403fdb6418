/* SPDX-License-Identifier: BSD-2-Clause */
/* What a model is, from the files its publisher ships.
 * In: a directory or a file.  Out: a kind, the reasons, what is missing. */
#ifndef OV_MODEL_KIND_H
#define OV_MODEL_KIND_H

#include <stdbool.h>

#include "base/err.h"

enum ov_model_type {
    OV_MODEL_UNKNOWN,
    OV_MODEL_OV,      /* this project's own */
    OV_MODEL_WHISPER, /* openai's .pt */
    OV_MODEL_WHISPER_HF,
    OV_MODEL_GPT2,
    OV_MODEL_GPTJ,
    OV_MODEL_LLAMA,
    OV_MODEL_MISTRAL,
    OV_MODEL_QWEN2,
    OV_MODEL_QWEN3,
    OV_MODEL_MIXTRAL,
    OV_MODEL_QWEN2_MOE,
    OV_MODEL_QWEN3_MOE,
    OV_MODEL_SNAC,
    OV_MODEL_ENCODEC, /* the publisher's .th */
    OV_MODEL_ENCODEC_HF,
    OV_MODEL_HIFIGAN,
    OV_MODEL_MIMI,
    OV_MODEL_LYRA,
    OV_MODEL_SILERO,
    OV_MODEL_MINI_OMNI2,
    OV_MODEL_CLIP, /* openai's .pt */
    OV_MODEL_CLIP_HF,
    OV_MODEL_LFM2_AUDIO,
    OV_MODEL_MOSHI,
    OV_MODEL_FOREIGN /* recognised, and nothing here runs it */
};

struct ov_model_kind {
    enum ov_model_type type;
    char name[48];     /* "GPT-2"; of FOREIGN what it was recognised as */
    char why[160];     /* "config.json: model_type gpt2" */
    char missing[200]; /* parts that are not there, in words; "" if none */
    bool broken;       /* its config.json is none */
    char file[256];    /* name of the file in the directory that decided, or
                        * of the weights; "" if path is the file itself */
};

/* Look at path: a directory by its config.json, then by the files in it; a
 * file by its first bytes and the names of its tensors.  What cannot be
 * recognised is OV_MODEL_UNKNOWN with the reason in why, and no error.
 * Pipes and devices are not opened.  OV_EMODEL: path cannot be read, or is
 * one of these. */
int ov_model_kind(struct ov_model_kind *k, const char *path,
                  struct ov_err *err);
/* "GPT-2"; never NULL. */
const char *ov_model_type_name(enum ov_model_type id);
/* This project's own, or one whose config.json is damaged, which is then read,
 * and refused, as such: where it is damaged is said so. */
bool ov_model_kind_is_own(const struct ov_model_kind *k);
/* A decoder of text that net/gpt.h runs. */
bool ov_model_type_is_gpt(enum ov_model_type id);
/* The error for a model that cannot be used as what ("a language model"):
 * path, what was recognised and why, and the part that is missing.  Returns
 * OV_EMODEL. */
int ov_model_refuse(const struct ov_model_kind *k, const char *path,
                    const char *what, struct ov_err *err);

#endif
