/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking a published checkpoint among the models that have names.
 * In: a directory or file as it was downloaded.  Out: a model's directory
 * with what of it is needed. */
#ifndef OV_MODEL_IMPORT_H
#define OV_MODEL_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/kind.h"
#include "model/quantise.h"

enum { OV_IMPORT_PATH = 4096, OV_IMPORT_FILES = 1100 };

struct ov_import_options {
    const char *name; /* letters, digits, '.', '_', '-', '+' */
    const char *to;   /* the directory of models; NULL: ov_import_home */
    bool link;        /* symbolic links, not copies */
    bool force;       /* replace what an import made */
    /* weights of linear maps in fewer bits, in any case not links */
    enum ov_quantise as;
    /* NULL, or a last look at the files, in dir; what it returns below 0
     * ends the import. */
    int (*look)(const char *dir, struct ov_err *err);
    bool (*stop)(void); /* NULL, or true: give up (OV_ERUN) */
};

struct ov_import {
    struct ov_model_kind kind;
    char path[OV_IMPORT_PATH]; /* where it is now */
    size_t files;
    size_t matrices; /* that were quantised */
    uint64_t bytes;
    char note[300]; /* what was not there and is missed by some uses, or "" */
};

/* Where models of the user are: ov/models below $XDG_DATA_HOME, or
 * ~/.local/share; if neither can be written, the first directory of
 * $OV_MODEL_PATH that can.  It is made if it is not there.  OV_ERUN: none. */
int ov_import_home(char path[OV_IMPORT_PATH], struct ov_err *err);

/* Recognise from, a directory or a file, and copy or link the files that the
 * networks read into TO/NAME.part; read them there: that every tensor is
 * inside its file and finite (of TensorFlow Lite: that the graphs are well
 * formed).  Then rename it to TO/NAME.  A file import.json tells where they
 * are from, their sizes and checksums.  Nothing is left behind
 * by a failure.
 *
 * With o->as, weights of linear maps are written as ov_weights_quantise does
 * (safetensors files, "model.safetensors" in place of shards), and it is an
 * error if no matrix is left to quantise.
 *
 * OV_EMODEL: from is not recognised, or as something that no command runs, or
 * parts are missing (which: in the message), or damaged.  OV_EUSAGE: the name
 * is none, or taken (with force: by something that no import made).
 * OV_ERUN: cannot write. */
int ov_model_import(struct ov_import *r, const char *from,
                    const struct ov_import_options *o, struct ov_err *err);

/* Compare the files of dir with the sizes and checksums of its import.json:
 * *n of them.  *n = 0: dir was not imported.  OV_EMODEL: the first that
 * differs, or import.json is damaged. */
int ov_import_check(const char *dir, size_t *n, struct ov_err *err);

#endif
