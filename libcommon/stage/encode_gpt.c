/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode for published decoders of text: the tokenizer alone.
 * In: UTF-8 text.  Out: token ids. */
#include "stage/encode_ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "text/bpe.h"

struct encode {
    struct ov_bpe *bpe;
};

static bool
encode_takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    return mode == OV_ENCODE_TEXT && ov_model_type_is_gpt(k->type);
}

static int
encode_open(void **out, const char *dir, const struct ov_model_kind *k,
            enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    char path[4096];
    int r;

    (void)k;
    (void)mode;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    r = ov_bpe_open(&e->bpe, path, err);
    if (r != OV_OK) {
        free(e);
        return r;
    }
    *out = e;
    return OV_OK;
}

static void
encode_close(void *self)
{
    struct encode *e = self;

    ov_bpe_close(e->bpe);
    free(e);
}

static int
encode_width(const void *self)
{
    (void)self;
    return 1;
}

static int
encode_card(const void *self)
{
    const struct encode *e = self;

    return ov_bpe_size(e->bpe);
}

static void
encode_begin(void *self)
{
    (void)self;
}

/* Added tokens in the text are themselves, as the references have it. */
static int
encode_text(void *self, const char *text, size_t n, int32_t *ids, size_t max,
            struct ov_err *err)
{
    struct encode *e = self;

    return ov_bpe_encode_marked(e->bpe, text, n, ids, max, err);
}

const struct ov_encode_ops ov_encode_gpt = {
    .takes = encode_takes,
    .open = encode_open,
    .close = encode_close,
    .width = encode_width,
    .card = encode_card,
    .begin = encode_begin,
    .text = encode_text,
};
