/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of Whisper's tokenizers: cases.json beside case.json, one
 * member a vocabulary; the rank files beside it or where the tokenizers are
 * shared ($OV_WHISPER_TOKENIZERS, or whisper_tokenizer/ near the case).
 * In: a case.  Out: its lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "tokenizers.h"
#include "text/whisper_tokens.h"

enum { MANY = 1 << 16 };

static int32_t ids[MANY], want[MANY];

/* A list of integers into want; its length. */
static size_t
list(const struct ov_json *v)
{
    size_t n = ov_json_size(v), i;
    int64_t k;

    for (i = 0; i < n && i < MANY; i++)
        want[i] = ov_json_int(ov_json_at(v, i), &k) ? (int32_t)k : -1;
    return i;
}

static bool
same(int n, size_t m)
{
    return n >= 0 && (size_t)n == m && memcmp(ids, want, m * sizeof *ids) == 0;
}

static bool
decodes(const struct ov_whisper_tokens *t, size_t n, bool timestamps,
        const struct ov_json *text)
{
    struct ov_buf b = {0};
    const char *s;
    size_t len;
    bool good;

    s = meant(text, &len);
    good = s != NULL && ov_whisper_text(t, want, n, timestamps, &b) == 0 &&
           b.n == len && memcmp(b.p, s, len) == 0;
    ov_buf_free(&b);
    return good;
}

static void
plain(struct vcase *c, const char *name, const struct ov_whisper_tokens *t,
      const struct ov_json *all, bool marked)
{
    size_t i, n, bad = 0, back = 0;
    const struct ov_json *v, *text, *d;
    struct ov_err err;
    size_t len;
    const char *s;
    int k;

    for (i = 0; i < ov_json_size(all); i++) {
        v = ov_json_at(all, i);
        text = ov_json_get(v, "text");
        s = meant(text, &len);
        n = list(ov_json_get(v, "ids"));
        k = (marked ? ov_bpe_encode_marked : ov_bpe_encode)(t->bpe, s, len, ids,
                                                            MANY, &err);
        bad += !same(k, n);
        d = ov_json_get(v, "decode");
        back += d != NULL && !decodes(t, n, false, d);
        d = ov_json_get(v, "decode_with_timestamps");
        back += !decodes(t, n, true, d != NULL ? d : text);
    }
    vcase_ok(c, bad == 0, "%s: %zu strings to ids%s: %zu differ", name, i,
             marked ? ", marks known" : "", bad);
    vcase_ok(c, back == 0, "%s: %zu strings back: %zu differ", name, i, back);
}

static int
nibble(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static void
random_ids(struct vcase *c, const char *name, const struct ov_whisper_tokens *t,
           const struct ov_json *all)
{
    size_t i, k, n, len, bad = 0, raw = 0, at;
    const char *hex, *p;

    for (i = 0; i < ov_json_size(all); i++) {
        n = list(ov_json_path(ov_json_at(all, i), "ids"));
        hex = ov_json_string(ov_json_get(ov_json_at(all, i), "bytes_hex"));
        for (k = at = 0; k < n; k++) {
            p = ov_bpe_bytes(t->bpe, want[k], &len);
            for (; len > 0; len--, p++, at += 2)
                raw += hex[at] == '\0' ||
                       (unsigned char)*p !=
                           (nibble(hex[at]) << 4 | nibble(hex[at + 1]));
        }
        raw += hex[at] != '\0';
        bad += !decodes(t, n, true,
                        ov_json_get(ov_json_at(all, i), "text_replace"));
    }
    vcase_ok(c, raw == 0, "%s: bytes of %zu lists of ids: %zu differ", name, i,
             raw);
    vcase_ok(c, bad == 0, "%s: text of them, repaired: %zu differ", name, bad);
}

static void
words(struct vcase *c, const char *name, const struct ov_whisper_tokens *t,
      const struct ov_json *all)
{
    struct ov_whisper_words w = {0};
    const struct ov_json *v, *x;
    struct ov_err err;
    const char *s;
    size_t i, k, j, n, bad = 0;

    for (i = 0; i < ov_json_size(all); i++) {
        v = ov_json_at(all, i);
        n = list(ov_json_get(v, "ids"));
        if (ov_whisper_split(t, want, n,
                             ov_json_string(ov_json_get(v, "language")), &w,
                             &err) < 0 ||
            w.n != ov_json_size(ov_json_get(v, "words"))) {
            bad++;
            continue;
        }
        for (k = 0; k < w.n; k++) {
            s = ov_json_string(ov_json_at(ov_json_get(v, "words"), k));
            bad += strlen(s) != w.word[k].text_n ||
                   memcmp(s, w.text.p + w.word[k].text, w.word[k].text_n) != 0;
            n = list(ov_json_get(v, "ids"));
            memcpy(ids, want + w.word[k].first, w.word[k].count * sizeof *ids);
            x = ov_json_at(ov_json_get(v, "word_tokens"), k);
            j = list(x);
            bad += !same((int)w.word[k].count, j);
        }
    }
    ov_whisper_words_free(&w);
    vcase_ok(c, bad == 0, "%s: words of %zu texts: %zu differ", name, i, bad);
}

static void
specials(struct vcase *c, const char *name, const struct ov_whisper_tokens *t,
         const struct ov_json *all)
{
    const struct ov_json *v;
    const char *key;
    void *at = NULL;
    size_t n = 0, bad = 0;
    int64_t id;

    while (ov_json_next(all, &at, &key, &v)) {
        n++;
        bad += !ov_json_int(v, &id) || ov_bpe_special(t->bpe, key) != id;
    }
    vcase_ok(c, n > 0 && bad == 0, "%s: %zu special tokens: %zu differ", name,
             n, bad);
}

static void
vocabulary(struct vcase *c, const char *name, const struct ov_json *v)
{
    struct ov_whisper_tokens t;
    struct ov_err err;
    const struct ov_json *x;
    int64_t vocab = 0;
    char dir[4096];

    if (!ov_json_int(ov_json_get(v, "n_vocab"), &vocab)) {
        vcase_fail(c, "%s: no n_vocab", name);
        return;
    }
    if (!whisper_tokenizers(c, dir, sizeof dir) ||
        ov_whisper_tokens_open(&t, dir, (int)vocab, &err) < 0) {
        vcase_fail(c, "%s: %s", name, dir[0] ? err.text : "no rank files");
        return;
    }
    specials(c, name, &t, ov_json_get(v, "special_tokens"));
    if ((x = ov_json_get(v, "plain")) != NULL)
        plain(c, name, &t, x, false);
    if ((x = ov_json_get(v, "with_specials")) != NULL)
        plain(c, name, &t, x, true);
    if ((x = ov_json_get(v, "decode_random")) != NULL)
        random_ids(c, name, &t, x);
    if ((x = ov_json_get(v, "split_to_word_tokens")) != NULL)
        words(c, name, &t, x);
    if ((x = ov_json_get(v, "non_speech_tokens")) != NULL)
        vcase_ok(c, same(ov_whisper_non_speech(&t, ids, MANY, &err), list(x)),
                 "%s: what is not speech", name);
    ov_whisper_tokens_close(&t);
}

void
v_whisper_tokenizer(struct vcase *c)
{
    struct ov_json *all;
    struct ov_err err;
    const struct ov_json *v;
    const char *key;
    void *at = NULL;

    all = read_cases(c, &err);
    if (all == NULL) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    while (ov_json_next(all, &at, &key, &v))
        vocabulary(c, key, v);
    ov_json_free(all);
}
