/* SPDX-License-Identifier: BSD-2-Clause */
/* The models that Mini-Omni2 is made of, where people keep them.
 * In: the directory of lit_model.pth.  Out: paths. */
#include "stage/miniomni_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/find.h"

static const struct {
    const char *what;
    const char *in[4]; /* names in the directory */
    const char *model; /* a model of its own, or NULL */
} PARTS[] = {
    [OV_OMNI_WEIGHTS] = {"weights",
                         {"lit_model.pth", "lit_model.safetensors"},
                         NULL},
    [OV_OMNI_TOKENIZER] = {"tokenizer", {"tokenizer.json"}, NULL},
    [OV_OMNI_WHISPER] = {"Whisper",
                         {"small.pt", "small.safetensors", "whisper-small",
                          "whisper"},
                         "whisper-small"},
    [OV_OMNI_CLIP] = {"CLIP", {"ViT-B-32.pt"}, NULL},
    [OV_OMNI_SNAC] = {"SNAC", {"snac_24khz", "snac"}, "snac_24khz"},
};

int
ov_omni_part(char path[OV_OMNI_PATH], const char *dir, enum ov_omni_part part,
             struct ov_err *err)
{
    struct ov_err none;
    char *found;
    int i;

    for (i = 0; i < 4 && PARTS[part].in[i] != NULL; i++) {
        snprintf(path, OV_OMNI_PATH, "%s/%s", dir, PARTS[part].in[i]);
        if (access(path, R_OK) == 0)
            return OV_OK;
    }
    if (PARTS[part].model != NULL &&
        ov_model_find(PARTS[part].model, &found, &none) == OV_OK) {
        snprintf(path, OV_OMNI_PATH, "%s", found);
        free(found);
        return OV_OK;
    }
    if (PARTS[part].model != NULL)
        return ov_err_set(err, OV_EMODEL,
                          "%s: Mini-Omni2 without its %s: no %s there, and "
                          "no model %s",
                          dir, PARTS[part].what, PARTS[part].in[0],
                          PARTS[part].model);
    return ov_err_set(err, OV_EMODEL,
                      "%s: Mini-Omni2 without its %s: no %s there", dir,
                      PARTS[part].what, PARTS[part].in[0]);
}
