/* SPDX-License-Identifier: BSD-2-Clause */
/* The models that Mini-Omni2 is made of, where people keep them.
 * In: the directory of lit_model.pth.  Out: paths.
 *
 * Beside lit_model.pth and model_config.yaml lie (gpt-omni/mini-omni2 on
 * Hugging Face) tokenizer.json, small.pt (Whisper) and ViT-B-32.pt (CLIP);
 * SNAC is a directory there, snac_24khz, or a model of that name. */
#ifndef OV_STAGE_MINIOMNI_PARTS_H
#define OV_STAGE_MINIOMNI_PARTS_H

#include "base/err.h"

enum { OV_OMNI_PATH = 1024 };

enum ov_omni_part {
    OV_OMNI_WEIGHTS,
    OV_OMNI_TOKENIZER,
    OV_OMNI_WHISPER,
    OV_OMNI_CLIP,
    OV_OMNI_SNAC
};

/* What the rows that ov-encode gives hold: one value that says which, then
 * the row of that encoder, then zeros. */
enum { OV_OMNI_ROW_SOUND, OV_OMNI_ROW_IMAGE };

/* The file or directory of a part.  OV_EMODEL: names what is missing and
 * where it was looked for. */
int ov_omni_part(char path[OV_OMNI_PATH], const char *dir,
                 enum ov_omni_part part, struct ov_err *err);

#endif
