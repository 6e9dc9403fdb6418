/* SPDX-License-Identifier: BSD-2-Clause */
/* Moshi's language model: what it expects of given codes, and what it says
 * to a user's codes.
 * In: config.json, weights, codes, stream_input.  Out: logits, codes. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "net/moshi.h"

/* Stream k of the sequence that the network reads: initial tokens, then
 * what was said delay[k] steps ago. */
static int32_t
token(const struct ov_moshi_config *c, const int32_t *codes, int n, int k,
      int step)
{
    int t = step - 1 - c->delay[k];

    return t < 0 ? (k == 0 ? c->text_card : c->card) : codes[k * n + t];
}

/* Logits of stream k at step belong to the code of step - delay. */
static void
teacher(struct vcase *c, const struct ov_moshi *net)
{
    const struct ov_moshi_config *m = &net->c;
    size_t all, count, card = (size_t)m->card, out = (size_t)m->text_out;
    const int32_t *codes = vcase_ints(c, "codes", &all);
    int n = (int)(all / ((size_t)m->streams + 1)), t, k;
    struct ov_moshi_state *s = ov_moshi_state_new(net);
    float *logits, *text, *z = calloc(card + out, sizeof *z);
    int32_t *mask, *text_mask, in[OV_MOSHI_STREAMS + 1];
    struct ov_err err = {0};
    int rc = OV_OK;

    if (codes == NULL)
        return;
    count = (size_t)m->own * (size_t)n;
    logits = calloc(count * card, sizeof *logits);
    text = calloc((size_t)n * out, sizeof *text);
    mask = calloc(count, sizeof *mask);
    text_mask = calloc((size_t)n, sizeof *text_mask);
    for (t = 0; t < n && rc == OV_OK; t++) {
        int to = t - m->delay[0];
        for (k = 0; k <= m->streams; k++)
            in[k] = token(m, codes, n, k, t);
        rc = ov_moshi_read(s, in, z, &err);
        if (to >= 0) {
            memcpy(text + (size_t)to * out, z, out * sizeof *z);
            text_mask[to] = codes[to] != OV_MOSHI_ZERO;
        }
        for (k = 0; k < m->own && rc == OV_OK; k++) {
            rc = ov_moshi_depth(s, k, token(m, codes, n, k, t + 1), z, &err);
            to = t - m->delay[k + 1];
            if (to < 0)
                continue;
            memcpy(logits + ((size_t)k * (size_t)n + (size_t)to) * card, z,
                   card * sizeof *z);
            mask[k * n + to] = codes[(k + 1) * n + to] != OV_MOSHI_ZERO;
        }
    }
    if (rc != OV_OK)
        vcase_fail(c, "%s", err.text);
    vcase_close(c, "logits", logits, count * card);
    vcase_equal(c, "mask", mask, count);
    vcase_close(c, "text_logits", text, (size_t)n * out);
    vcase_equal(c, "text_mask", text_mask, (size_t)n);
    ov_moshi_state_free(s);
    free(logits);
    free(text);
    free(mask);
    free(text_mask);
    free(z);
}

/* Is step t of stream_outputs what was said? */
static bool
said(const struct ov_json *want, int said_any, const int32_t *out, int n)
{
    int64_t v;
    int k;

    if (!said_any)
        return ov_json_is_null(want);
    if (ov_json_size(want) != (size_t)n)
        return false;
    for (k = 0; k < n; k++)
        if (!ov_json_int(ov_json_at(want, (size_t)k), &v) || v != out[k])
            return false;
    return true;
}

static void
talk(struct vcase *c, const struct ov_moshi *net)
{
    const struct ov_moshi_config *m = &net->c;
    size_t all, out = (size_t)m->text_out;
    const int32_t *heard = vcase_ints(c, "stream_input", &all);
    int users = m->streams - m->own, n, t, k, rc = 0, wrong = 0;
    struct ov_moshi_talk *s = ov_moshi_talk_new(net, NULL, NULL);
    int32_t in[OV_MOSHI_STREAMS], got[OV_MOSHI_STREAMS + 1];
    struct ov_err err = {0};
    struct ov_json *json = NULL;
    const struct ov_json *want;
    float *text;

    if (heard == NULL || users == 0)
        return;
    if (ov_json_read(&json, vcase_path(c, "stream_outputs.json"), 1 << 26,
                     &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    want = ov_json_get(json, "stream_outputs");
    n = (int)all / users;
    text = calloc((size_t)n * out, sizeof *text);
    for (t = 0; t < n && rc >= 0; t++) {
        for (k = 0; k < users; k++)
            in[k] = heard[k * n + t];
        rc = ov_moshi_talk_step(s, in, got, text + (size_t)t * out, &err);
        wrong += !said(ov_json_at(want, (size_t)t), rc, got, m->own + 1);
    }
    if (rc < 0)
        vcase_fail(c, "%s", err.text);
    vcase_ok(c, wrong == 0 && ov_json_size(want) == (size_t)n,
             "stream_outputs: %d steps, %d differ:", n, wrong);
    vcase_close(c, "stream_text_logits", text, (size_t)n * out);
    ov_moshi_talk_free(s);
    ov_json_free(json);
    free(text);
}

void
v_moshi_lm(struct vcase *c)
{
    struct ov_moshi *net;
    struct ov_err err = {0};

    if (ov_moshi_open(&net, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    teacher(c, net);
    talk(c, net);
    ov_moshi_close(net);
}
