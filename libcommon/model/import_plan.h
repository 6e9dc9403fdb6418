/* SPDX-License-Identifier: BSD-2-Clause */
/* Which files of a published checkpoint are needed.
 * In: a directory or file, and what it is.  Out: a list of files. */
#ifndef OV_MODEL_IMPORT_PLAN_H
#define OV_MODEL_IMPORT_PLAN_H

#include "model/import.h"

enum ov_import_role {
    OV_IMPORT_TEXT,    /* configuration, tokenizer */
    OV_IMPORT_WEIGHTS, /* model/safetensors.h reads it */
    OV_IMPORT_MASKED,  /* the same, but infinity is a value (of a mask) */
    OV_IMPORT_INDEX,   /* of shards */
    OV_IMPORT_TFLITE,
    OV_IMPORT_QUANTISED /* WEIGHTS that are to have fewer bits */
};

struct ov_import_item {
    char *from; /* where it is */
    char *to;   /* its name in the model: "config.json", "snac/config.json" */
    enum ov_import_role role;
};

struct ov_import_plan {
    struct ov_import_item *at; /* [n] */
    size_t n, room;
    char missing[256]; /* parts that must be there */
    char note[300];    /* parts that some uses miss */

    /* while it is made */
    char dir[OV_IMPORT_PATH]; /* where to look */
    const char *prefix;       /* of names in the model: "" or "snac/" */
    int rc;                   /* the first error stays */
    struct ov_err *err;
};

/* The files of from, which is a k.  OV_EMODEL: not a kind that a command
 * runs, or ambiguous, or no regular file; what is just not there is in
 * missing.  p is to be freed in any case. */
int ov_import_plan(struct ov_import_plan *p, const char *from,
                   const struct ov_model_kind *k, struct ov_err *err);
/* Of a plan for a k, the weights of its networks of linear maps become
 * QUANTISED: one safetensors file in place of each, or of all shards.
 * OV_EMODEL: there are none in a k. */
int ov_import_plan_quantise(struct ov_import_plan *p,
                            const struct ov_model_kind *k, struct ov_err *err);
void ov_import_plan_free(struct ov_import_plan *p);

#endif
