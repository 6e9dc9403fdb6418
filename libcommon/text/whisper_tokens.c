/* SPDX-License-Identifier: BSD-2-Clause */
/* The tokens of Whisper: text, languages, tasks, timestamps.
 * In: text, ids.  Out: ids, text, words. */
#include "text/whisper_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "text/tiktoken.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* languages -------------------------------------------------------------- */

/* In the order of their tokens. */
static const char *const languages[OV_WHISPER_LANGUAGES][2] = {
    {"en", "english"},     {"zh", "chinese"},    {"de", "german"},
    {"es", "spanish"},     {"ru", "russian"},    {"ko", "korean"},
    {"fr", "french"},      {"ja", "japanese"},   {"pt", "portuguese"},
    {"tr", "turkish"},     {"pl", "polish"},     {"ca", "catalan"},
    {"nl", "dutch"},       {"ar", "arabic"},     {"sv", "swedish"},
    {"it", "italian"},     {"id", "indonesian"}, {"hi", "hindi"},
    {"fi", "finnish"},     {"vi", "vietnamese"}, {"he", "hebrew"},
    {"uk", "ukrainian"},   {"el", "greek"},      {"ms", "malay"},
    {"cs", "czech"},       {"ro", "romanian"},   {"da", "danish"},
    {"hu", "hungarian"},   {"ta", "tamil"},      {"no", "norwegian"},
    {"th", "thai"},        {"ur", "urdu"},       {"hr", "croatian"},
    {"bg", "bulgarian"},   {"lt", "lithuanian"}, {"la", "latin"},
    {"mi", "maori"},       {"ml", "malayalam"},  {"cy", "welsh"},
    {"sk", "slovak"},      {"te", "telugu"},     {"fa", "persian"},
    {"lv", "latvian"},     {"bn", "bengali"},    {"sr", "serbian"},
    {"az", "azerbaijani"}, {"sl", "slovenian"},  {"kn", "kannada"},
    {"et", "estonian"},    {"mk", "macedonian"}, {"br", "breton"},
    {"eu", "basque"},      {"is", "icelandic"},  {"hy", "armenian"},
    {"ne", "nepali"},      {"mn", "mongolian"},  {"bs", "bosnian"},
    {"kk", "kazakh"},      {"sq", "albanian"},   {"sw", "swahili"},
    {"gl", "galician"},    {"mr", "marathi"},    {"pa", "punjabi"},
    {"si", "sinhala"},     {"km", "khmer"},      {"sn", "shona"},
    {"yo", "yoruba"},      {"so", "somali"},     {"af", "afrikaans"},
    {"oc", "occitan"},     {"ka", "georgian"},   {"be", "belarusian"},
    {"tg", "tajik"},       {"sd", "sindhi"},     {"gu", "gujarati"},
    {"am", "amharic"},     {"yi", "yiddish"},    {"lo", "lao"},
    {"uz", "uzbek"},       {"fo", "faroese"},    {"ht", "haitian creole"},
    {"ps", "pashto"},      {"tk", "turkmen"},    {"nn", "nynorsk"},
    {"mt", "maltese"},     {"sa", "sanskrit"},   {"lb", "luxembourgish"},
    {"my", "myanmar"},     {"bo", "tibetan"},    {"tl", "tagalog"},
    {"mg", "malagasy"},    {"as", "assamese"},   {"tt", "tatar"},
    {"haw", "hawaiian"},   {"ln", "lingala"},    {"ha", "hausa"},
    {"ba", "bashkir"},     {"jw", "javanese"},   {"su", "sundanese"},
    {"yue", "cantonese"}};

/* Other names of some. */
static const char *const also[][2] = {
    {"burmese", "my"},   {"valencian", "ca"},     {"flemish", "nl"},
    {"haitian", "ht"},   {"letzeburgesch", "lb"}, {"pushto", "ps"},
    {"panjabi", "pa"},   {"moldavian", "ro"},     {"moldovan", "ro"},
    {"sinhalese", "si"}, {"castilian", "es"},     {"mandarin", "zh"}};

const char *
ov_whisper_language_code(int i)
{
    return i >= 0 && i < OV_WHISPER_LANGUAGES ? languages[i][0] : NULL;
}

const char *
ov_whisper_language_name(int i)
{
    return i >= 0 && i < OV_WHISPER_LANGUAGES ? languages[i][1] : NULL;
}

int
ov_whisper_language(const char *name)
{
    size_t k;
    int i;

    for (k = 0; k < sizeof also / sizeof also[0]; k++)
        if (strcasecmp(also[k][0], name) == 0)
            name = also[k][1];
    for (i = 0; i < OV_WHISPER_LANGUAGES; i++)
        if (strcasecmp(languages[i][0], name) == 0 ||
            strcasecmp(languages[i][1], name) == 0)
            return i;
    return -1;
}

/* ids -------------------------------------------------------------------- */

enum {
    ENGLISH = 50256,      /* tokens of text in gpt2.tiktoken */
    MULTILINGUAL = 50257, /* in multilingual.tiktoken */
    /* end, start, six others, timestamps */
    OTHERS = 8 + OV_WHISPER_TIMESTAMPS,
    FEWEST = 99 /* languages that every published model has */
};

int
ov_whisper_ids_init(struct ov_whisper_ids *ids, int vocab, struct ov_err *err)
{
    int32_t text, at;

    memset(ids, 0, sizeof *ids);
    ids->vocab = vocab;
    ids->multilingual = vocab >= MULTILINGUAL + OTHERS + FEWEST;
    text = ids->multilingual ? MULTILINGUAL : ENGLISH;
    ids->languages = vocab - text - OTHERS;
    if (ids->languages < FEWEST || ids->languages > OV_WHISPER_LANGUAGES)
        return ov_err_set(err, OV_EMODEL,
                          "a vocabulary of %d is none of Whisper's (51864, "
                          "51865 or 51866)",
                          vocab);
    at = text;
    ids->eot = at++;
    ids->sot = at++;
    ids->first_language = at;
    at += ids->languages;
    ids->translate = at++;
    ids->transcribe = at++;
    ids->sot_lm = at++;
    ids->sot_prev = at++;
    ids->no_speech = at++;
    ids->no_timestamps = at++;
    ids->timestamps = at;
    return OV_OK;
}

static int
add_specials(struct ov_whisper_tokens *t, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &t->ids;
    const struct {
        const char *name;
        int32_t id;
    } fixed[] = {{"<|endoftext|>", d->eot},
                 {"<|startoftranscript|>", d->sot},
                 {"<|translate|>", d->translate},
                 {"<|transcribe|>", d->transcribe},
                 {"<|startoflm|>", d->sot_lm},
                 {"<|startofprev|>", d->sot_prev},
                 {"<|nospeech|>", d->no_speech},
                 {"<|notimestamps|>", d->no_timestamps}};
    char name[32];
    size_t k;
    int i, r = OV_OK;

    for (k = 0; r == OV_OK && k < sizeof fixed / sizeof fixed[0]; k++)
        if (ov_bpe_name(t->bpe, fixed[k].id) == NULL)
            r = ov_bpe_add(t->bpe, fixed[k].name, fixed[k].id, err);
    for (i = 0; r == OV_OK && i < d->languages; i++) {
        snprintf(name, sizeof name, "<|%s|>", languages[i][0]);
        if (ov_bpe_name(t->bpe, d->first_language + i) == NULL)
            r = ov_bpe_add(t->bpe, name, d->first_language + i, err);
    }
    for (i = 0; r == OV_OK && i < OV_WHISPER_TIMESTAMPS; i++) {
        snprintf(name, sizeof name, "<|%d.%02d|>", i / 50, i % 50 * 2);
        if (ov_bpe_name(t->bpe, d->timestamps + i) == NULL)
            r = ov_bpe_add(t->bpe, name, d->timestamps + i, err);
    }
    return r;
}

int
ov_whisper_tokens_open(struct ov_whisper_tokens *t, const char *dir, int vocab,
                       struct ov_err *err)
{
    const char *ranks;
    char path[4096];
    int32_t eot;
    int r;

    memset(t, 0, sizeof *t);
    r = ov_whisper_ids_init(&t->ids, vocab, err);
    if (r < 0)
        return r;
    ranks = t->ids.multilingual ? "multilingual.tiktoken" : "gpt2.tiktoken";
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    if (access(path, R_OK) == 0)
        r = ov_bpe_open(&t->bpe, path, err);
    else {
        snprintf(path, sizeof path, "%s/%s", dir, ranks);
        if (access(path, R_OK) != 0)
            return ov_err_set(err, OV_EMODEL,
                              "%s: no tokenizer.json and no %s (of the "
                              "publisher's whisper/assets)",
                              dir, ranks);
        r = ov_tiktoken_open(&t->bpe, path, err);
    }
    if (r < 0)
        return r;
    eot = ov_bpe_special(t->bpe, "<|endoftext|>");
    if ((eot >= 0 && eot != t->ids.eot) || ov_bpe_size(t->bpe) > vocab ||
        (eot < 0 && ov_bpe_size(t->bpe) != t->ids.eot))
        r = ov_err_set(err, OV_EMODEL,
                       "%s: is not for a vocabulary of %d tokens", path, vocab);
    if (r == OV_OK)
        r = add_specials(t, err);
    if (r < 0)
        ov_whisper_tokens_close(t);
    return r;
}

void
ov_whisper_tokens_close(struct ov_whisper_tokens *t)
{
    if (t->bpe != NULL)
        ov_bpe_close(t->bpe);
    memset(t, 0, sizeof *t);
}

/* text ------------------------------------------------------------------- */

/* Bytes of s [n] that one U+FFFD stands for: the longest begin of a code
 * point, else one (Unicode 15, section 3.9, "Substitution of Maximal
 * Subparts"). */
static size_t
damaged(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    unsigned lo = 0x80, hi = 0xbf;
    size_t want, i;

    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 1;
    want = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : lo;
    hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : hi;
    for (i = 1; i < want && i < n && p[i] >= lo && p[i] <= hi; i++) {
        lo = 0x80;
        hi = 0xbf;
    }
    return i;
}

/* The n bytes at from of b, which are its last, repaired in place. */
static int
repair(struct ov_buf *b, size_t from)
{
    struct ov_buf raw = {0};
    uint32_t cp;
    size_t i, len;
    int r = 0;

    if (b->n == from || ov_utf8_valid(b->p + from, b->n - from, NULL))
        return 0;
    r = ov_buf_put(&raw, b->p + from, b->n - from);
    b->n = from;
    for (i = 0; r == 0 && i < raw.n; i += len) {
        len = ov_utf8_get(raw.p + i, raw.n - i, &cp);
        if (len > 0) {
            r = ov_buf_put(b, raw.p + i, len);
            continue;
        }
        len = damaged(raw.p + i, raw.n - i);
        r = ov_buf_put(b, "\xef\xbf\xbd", 3);
    }
    ov_buf_free(&raw);
    return r;
}

int
ov_whisper_text(const struct ov_whisper_tokens *t, const int32_t *ids, size_t n,
                bool timestamps, struct ov_buf *b)
{
    size_t from = b->n, i, len;
    const char *p;
    int r = ov_buf_reserve(b, 1);

    for (i = 0; r == 0 && i < n; i++) {
        if (!timestamps && ids[i] >= t->ids.timestamps)
            continue;
        p = ov_bpe_name(t->bpe, ids[i]);
        if (p != NULL)
            len = strlen(p);
        else
            p = ov_bpe_bytes(t->bpe, ids[i], &len);
        r = len > 0 ? ov_buf_put(b, p, len) : 0;
    }
    b->p[b->n] = '\0';
    return r == 0 ? repair(b, from) : r;
}

const char *
ov_whisper_strip(const char *s, size_t n, size_t *len)
{
    const char *from = s, *end = s, *p = s;
    uint32_t cp;
    size_t k;
    bool begun = false;

    for (; p < s + n; p += k) {
        k = ov_utf8_get(p, n - (size_t)(p - s), &cp);
        if (k == 0) {
            k = 1;
            cp = 0xfffd;
        }
        if (ov_unicode_class(cp) == OV_SPACE || (cp >= 0x1c && cp <= 0x1f))
            continue;
        if (!begun)
            from = p;
        begun = true;
        end = p + k;
    }
    *len = begun ? (size_t)(end - from) : 0;
    return from;
}

/* what is not speech ----------------------------------------------------- */

static int
by_id(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;

    return (a > b) - (a < b);
}

/* The first token of text, if it is the only one or any is asked for. */
static int
first_of(const struct ov_whisper_tokens *t, const char *before,
         const char *text, bool any, int32_t *ids, size_t *n, size_t max,
         struct ov_err *err)
{
    int32_t got[32];
    char all[32];
    int k;

    snprintf(all, sizeof all, "%s%s", before, text);
    k = ov_bpe_encode(t->bpe, all, strlen(all), got, 32, err);
    if (k < 0)
        return k;
    if (k == 0 || (k > 1 && !any))
        return OV_OK;
    if (*n == max)
        return ov_err_set(err, OV_ERUN, "too many tokens are not speech");
    ids[(*n)++] = got[0];
    return OV_OK;
}

int
ov_whisper_non_speech(const struct ov_whisper_tokens *t, int32_t *ids,
                      size_t max, struct ov_err *err)
{
    static const char *const signs[] = {"\"",
                                        "#",
                                        "(",
                                        ")",
                                        "*",
                                        "+",
                                        "/",
                                        ":",
                                        ";",
                                        "<",
                                        "=",
                                        ">",
                                        "@",
                                        "[",
                                        "\\",
                                        "]",
                                        "^",
                                        "_",
                                        "`",
                                        "{",
                                        "|",
                                        "}",
                                        "~",
                                        "\xe3\x80\x8c",
                                        "\xe3\x80\x8d",
                                        "\xe3\x80\x8e",
                                        "\xe3\x80\x8f",
                                        "<<",
                                        ">>",
                                        "<<<",
                                        ">>>",
                                        "--",
                                        "---",
                                        "-(",
                                        "-[",
                                        "('",
                                        "(\"",
                                        "((",
                                        "))",
                                        "(((",
                                        ")))",
                                        "[[",
                                        "]]",
                                        "{{",
                                        "}}",
                                        "\xe2\x99\xaa\xe2\x99\xaa",
                                        "\xe2\x99\xaa\xe2\x99\xaa\xe2\x99\xaa"};
    static const char *const music[] = {
        "\xe2\x99\xa9", "\xe2\x99\xaa", "\xe2\x99\xab", "\xe2\x99\xac",
        "\xe2\x99\xad", "\xe2\x99\xae", "\xe2\x99\xaf"};
    size_t n = 0, i, k;
    int r;

    r = first_of(t, " ", "-", true, ids, &n, max, err);
    if (r == OV_OK)
        r = first_of(t, " ", "'", true, ids, &n, max, err);
    for (i = 0; r == OV_OK && i < 2 * (sizeof signs / sizeof *signs); i++)
        r = first_of(t, i % 2 ? " " : "", signs[i / 2], false, ids, &n, max,
                     err);
    for (i = 0; r == OV_OK && i < 2 * (sizeof music / sizeof *music); i++)
        r = first_of(t, i % 2 ? " " : "", music[i / 2], true, ids, &n, max,
                     err);
    if (r < 0)
        return r;
    qsort(ids, n, sizeof *ids, by_id);
    for (i = k = 0; i < n; i++)
        if (k == 0 || ids[i] != ids[k - 1])
            ids[k++] = ids[i];
    return (int)k;
}

/* words ------------------------------------------------------------------ */

static const char replacement[] = "\xef\xbf\xbd";

void
ov_whisper_words_free(struct ov_whisper_words *w)
{
    free(w->word);
    ov_buf_free(&w->text);
    memset(w, 0, sizeof *w);
}

static struct ov_whisper_word *
new_word(struct ov_whisper_words *w)
{
    size_t room = 2 * w->room + 64;
    struct ov_whisper_word *p = w->word;

    if (w->n == w->room) {
        p = realloc(p, room * sizeof *p);
        if (p == NULL)
            return NULL;
        w->word = p;
        w->room = room;
    }
    return &p[w->n++];
}

/* Is what is at the place of the first U+FFFD in s the same in full, which
 * is the text of all tokens and of which at bytes are done? */
static bool
really_damaged(const char *s, const struct ov_buf *full, size_t at)
{
    const char *p = strstr(s, replacement);
    size_t where = at + (size_t)(p - s);

    return where + 3 <= full->n && memcmp(full->p + where, replacement, 3) == 0;
}

/* Cut at every run of tokens that is whole characters. */
static int
split_characters(const struct ov_whisper_tokens *t, const int32_t *ids,
                 size_t n, struct ov_whisper_words *w)
{
    struct ov_buf full = {0};
    size_t i, first = 0, from = 0;
    struct ov_whisper_word *word;
    int r = ov_whisper_text(t, ids, n, true, &full);

    for (i = 0; r == 0 && i < n; i++) {
        from = w->text.n;
        r = ov_whisper_text(t, ids + first, i + 1 - first, true, &w->text);
        if (r != 0)
            break;
        /* both texts are the same up to here, byte for byte */
        if (strstr(w->text.p + from, replacement) != NULL &&
            !really_damaged(w->text.p + from, &full, from)) {
            w->text.n = from;
            w->text.p[from] = '\0';
            continue;
        }
        word = new_word(w);
        if (word == NULL)
            r = -1;
        else
            *word = (struct ov_whisper_word){from, w->text.n - from, first,
                                             i + 1 - first};
        first = i + 1;
    }
    ov_buf_free(&full);
    return r;
}

/* Nothing, or signs of ASCII that stand side by side in its order. */
static bool
is_sign(const char *s, size_t n)
{
    static const char all[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    char text[40];
    size_t len;

    s = ov_whisper_strip(s, n, &len);
    if (len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    return strlen(text) == len && strstr(all, text) != NULL;
}

/* Join what is neither special, nor begins with a space, nor is a sign, to
 * what stands before it. */
static void
join(const struct ov_whisper_tokens *t, const int32_t *ids,
     struct ov_whisper_words *w)
{
    size_t i, n = 0;

    for (i = 0; i < w->n; i++) {
        const struct ov_whisper_word *x = &w->word[i];
        const char *s = w->text.p + x->text;

        if (n == 0 || ids[x->first] >= t->ids.eot || *s == ' ' ||
            is_sign(s, x->text_n)) {
            w->word[n++] = *x;
        } else {
            w->word[n - 1].text_n += x->text_n;
            w->word[n - 1].count += x->count;
        }
    }
    w->n = n;
}

int
ov_whisper_split(const struct ov_whisper_tokens *t, const int32_t *ids,
                 size_t n, const char *language, struct ov_whisper_words *w,
                 struct ov_err *err)
{
    static const char *const dense[] = {"zh", "ja", "th", "lo", "my", "yue"};
    bool spaces = true;
    size_t i;

    w->n = w->text.n = 0;
    for (i = 0; language != NULL && i < sizeof dense / sizeof *dense; i++)
        spaces = spaces && strcmp(dense[i], language) != 0;
    if (split_characters(t, ids, n, w) != 0)
        return ov_err_set(err, OV_ERUN, "words: out of memory");
    if (spaces)
        join(t, ids, w);
    return OV_OK;
}
