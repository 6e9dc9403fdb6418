/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2: how prompts are laid out, and how codes are woven.
 * In: a task, tokens.  Out: eight streams of tokens; and the reverse. */
#include "net/miniomni.h"

/* Special ids, counted from the end of the proper vocabulary. */
enum { EOT, PAD_T, INPUT_T, ANSWER_T, ASR };
enum { EOA, PAD_A, INPUT_A, ANSWER_A, SPLIT, IMAGE, EOIMAGE };

static int32_t
text_id(const struct ov_miniomni_config *c, int which)
{
    return c->text_vocab - OV_MINIOMNI_SPECIAL + which;
}

static int32_t
audio_id(const struct ov_miniomni_config *c, int which)
{
    return c->audio_vocab - OV_MINIOMNI_SPECIAL + which;
}

int32_t
ov_miniomni_eot(const struct ov_miniomni_config *c)
{
    return text_id(c, EOT);
}

int32_t
ov_miniomni_pad_t(const struct ov_miniomni_config *c)
{
    return text_id(c, PAD_T);
}

int32_t
ov_miniomni_eoa(const struct ov_miniomni_config *c)
{
    return audio_id(c, EOA);
}

int32_t
ov_miniomni_pad_a(const struct ov_miniomni_config *c)
{
    return audio_id(c, PAD_A);
}

int32_t
ov_miniomni_shift(const struct ov_miniomni_config *c, int32_t id, int layer)
{
    return id + c->text_vocab + layer * c->audio_vocab;
}

int
ov_miniomni_prompt_length(const struct ov_miniomni_prompt *p)
{
    switch (p->task) {
    case OV_OMNI_T1A2:
    case OV_OMNI_T1T2:
        return p->n_text + 3;
    case OV_OMNI_I1A2:
    case OV_OMNI_I1T2:
        return p->image + p->audio + 5;
    default:
        return p->audio + 3;
    }
}

/* Position i of the audio layers, before the shift. */
static int
audio_at(const struct ov_miniomni_prompt *p, int i, int n)
{
    bool speaks = p->task == OV_OMNI_A1A2 || p->task == OV_OMNI_T1A2 ||
                  p->task == OV_OMNI_I1A2;

    if (i == n - 1)
        return speaks ? ANSWER_A : PAD_A;
    switch (p->task) {
    case OV_OMNI_T1A2:
    case OV_OMNI_T1T2:
        return PAD_A;
    case OV_OMNI_I1A2:
    case OV_OMNI_I1T2:
        if (i == 0)
            return IMAGE;
        if (i == p->image + 1)
            return EOIMAGE;
        if (i == p->image + 2)
            return INPUT_A;
        break;
    default:
        if (i == 0)
            return INPUT_A;
    }
    return i == n - 2 ? EOA : PAD_A;
}

/* Position i of the text. */
static int32_t
text_at(const struct ov_miniomni_config *c, const struct ov_miniomni_prompt *p,
        int i, int n)
{
    if (i == n - 1)
        return text_id(c, p->task == OV_OMNI_A1T1 ? ASR : ANSWER_T);
    if (p->task == OV_OMNI_I1A2 || p->task == OV_OMNI_I1T2)
        return text_id(c, PAD_T);
    if (i == 0)
        return text_id(c, INPUT_T);
    if (i == n - 2)
        return text_id(c, EOT);
    if (p->task == OV_OMNI_T1A2 || p->task == OV_OMNI_T1T2)
        return p->text[i - 1];
    return text_id(c, PAD_T);
}

void
ov_miniomni_prompt_ids(const struct ov_miniomni_config *c,
                       const struct ov_miniomni_prompt *p, int32_t *ids)
{
    int n = ov_miniomni_prompt_length(p), i, j;

    for (i = 0; i < n; i++) {
        for (j = 0; j < OV_MINIOMNI_LAYERS; j++)
            ids[j * n + i] =
                ov_miniomni_shift(c, audio_id(c, audio_at(p, i, n)), j);
        ids[OV_MINIOMNI_LAYERS * n + i] = text_at(c, p, i, n);
    }
}

int
ov_miniomni_feature(const struct ov_miniomni_prompt *p, int i, bool *image)
{
    bool sees = p->task == OV_OMNI_I1A2 || p->task == OV_OMNI_I1T2;
    /* with an image the sound begins one place early, over the token that
     * announces it, as the model was trained */
    int from = sees ? p->image + 2 : 1;

    *image = false;
    if (p->task == OV_OMNI_T1A2 || p->task == OV_OMNI_T1T2)
        return -1;
    if (i >= from && i < from + p->audio)
        return i - from;
    *image = sees && i >= 1 && i < 1 + p->image;
    return *image ? i - 1 : -1;
}

int
ov_miniomni_frames(int steps)
{
    return steps > OV_MINIOMNI_DELAY ? steps - OV_MINIOMNI_DELAY : 0;
}

void
ov_miniomni_frame(const int32_t *said, int f, int32_t *codes)
{
    int j;

    for (j = 0; j < OV_MINIOMNI_LAYERS; j++)
        codes[j] = said[(f + 1 + j) * OV_MINIOMNI_STREAMS + j];
}

void
ov_miniomni_books(const int32_t *frames, int n, int32_t *const *books)
{
    int i;

    for (i = 0; i < n; i++, frames += OV_MINIOMNI_LAYERS) {
        books[0][i] = frames[0];
        books[1][2 * i] = frames[1];
        books[1][2 * i + 1] = frames[4];
        books[2][4 * i] = frames[2];
        books[2][4 * i + 1] = frames[3];
        books[2][4 * i + 2] = frames[5];
        books[2][4 * i + 3] = frames[6];
    }
}
