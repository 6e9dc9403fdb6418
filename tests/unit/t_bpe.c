/* SPDX-License-Identifier: BSD-2-Clause */
/* text/bpe: training, reading, encoding, and what is refused.
 * In: nothing.  Out: TAP. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/t_bpe.XXXXXX";
static char path[256];
static struct ov_err err;

static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* The whole of a file, NUL-terminated; malloc'd. */
static char *
slurp(const char *name, size_t *n)
{
    FILE *f = fopen(at(name), "rb");
    char *p = malloc((1 << 20) + 1);

    if (f == NULL || p == NULL)
        abort();
    *n = fread(p, 1, 1 << 20, f);
    p[*n] = '\0';
    fclose(f);
    return p;
}

static const char *const specials[] = {"<|pad|>", "<|end|>", "caf\xc3\xa9"};
enum { S = 3 };

static int
train(const char *const *lines, size_t n, int size, const char *name)
{
    return ov_bpe_train(lines, n, size, specials, S, S, at(name), &err);
}

/* training --------------------------------------------------------------- */

/* "ab" is there three times, "bc" twice: known merges in known order. */
static void
test_merges(void)
{
    static const char *const lines[] = {"ab abc", "ab bc"};
    struct ov_json *root = NULL;
    struct ov_bpe *b = NULL;
    int32_t ids[16];
    size_t n = 0;

    ok(train(lines, 2, 256 + S + 2, "m.json") == OV_OK, "train");
    ok(ov_json_read(&root, at("m.json"), 1 << 20, &err) == OV_OK,
       "the file is JSON");
    ok(strcmp(ov_json_string(ov_json_path(root, "model.merges.0.0")), "a") ==
               0 &&
           strcmp(ov_json_string(ov_json_path(root, "model.merges.0.1")),
                  "b") == 0,
       "the most frequent pair first");
    ok(strcmp(ov_json_string(ov_json_path(root, "model.merges.1.0")),
              "\xc4\xa0") == 0,
       "then, of pairs as frequent, the first in the order of bytes");
    ok(ov_json_size(ov_json_path(root, "model.vocab")) == 256 + S + 2,
       "specials and bytes are in the vocabulary");
    ov_json_free(root);
    ok(ov_bpe_open(&b, at("m.json"), &err) == OV_OK &&
           ov_bpe_size(b) == 256 + S + 2,
       "open it");
    ok(ov_bpe_special(b, "<|end|>") == 1 && ov_bpe_special(b, specials[2]) == 2,
       "specials come first");
    ok(ov_bpe_special(b, "ab") == -1, "no other token is special");
    ok(ov_bpe_encode(b, "abc", 3, ids, 16, &err) == 2 && ids[0] == 256 + S &&
           ids[1] == S + 'c',
       "abc: ab, c");
    ok(ov_bpe_encode(b, "abc", 3, ids, 1, &err) == OV_EUSAGE, "no room: %s",
       err.text);
    ok(ov_bpe_encode(b, "", 0, ids, 0, &err) == 0, "no text, no tokens");
    ok(ov_bpe_encode(b, "<|end|>", 7, ids, 16, &err) > 1,
       "the name of a special is ordinary text");
    ok(memcmp(ov_bpe_bytes(b, 256 + S, &n), "ab", 2) == 0 && n == 2,
       "bytes of a token");
    ov_bpe_bytes(b, 1, &n);
    ok(n == 0, "a special has none");
    ov_bpe_bytes(b, -1, &n);
    ok(n == 0, "id -1 has none");
    ov_bpe_bytes(b, ov_bpe_size(b), &n);
    ok(n == 0, "nor has an id past the end");
    ov_bpe_close(b);
}

static void
test_train_limits(void)
{
    static const char *const lines[] = {"aa", ""};
    static const char *const clash[] = {"<|end|>", "a"};
    static const char *const twice[] = {"<|end|>", "<|end|>"};
    static const char *const word[] = {"aa"};
    struct ov_bpe *b = NULL;

    ok(train(lines, 2, 255, "x") == OV_EUSAGE, "too small: %s", err.text);
    ok(ov_bpe_train(lines, 2, 300, clash, 2, 2, at("x"), &err) == OV_EUSAGE,
       "a special that is a byte: %s", err.text);
    ok(ov_bpe_train(lines, 2, 300, twice, 2, 2, at("x"), &err) == OV_EUSAGE,
       "a special twice: %s", err.text);
    ok(access(at("x"), F_OK) != 0 && access(at("x.part"), F_OK) != 0,
       "nothing is left of them");
    ok(train(lines, 2, 300, "no/x") == OV_ERUN, "no directory: %s", err.text);
    ok(train(lines, 2, 300, "f.json") == OV_OK &&
           ov_bpe_open(&b, at("f.json"), &err) == OV_OK &&
           ov_bpe_size(b) == 256 + S + 1,
       "a text with one pair gives one merge");
    ov_bpe_close(b);
    ok(ov_bpe_train(lines, 2, 300, word, 1, 1, at("w.json"), &err) == OV_OK &&
           ov_bpe_open(&b, at("w.json"), &err) == OV_OK &&
           ov_bpe_size(b) == 257,
       "what is the name of a special is not merged: %s", err.text);
    ov_bpe_close(b);
    ok(train(NULL, 0, 300, "e.json") == OV_OK &&
           ov_bpe_open(&b, at("e.json"), &err) == OV_OK,
       "no text at all");
    ov_bpe_close(b);
}

/* against the definition ------------------------------------------------- */

static uint64_t state = 7;

static size_t
rnd(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

/* Rank by rank, every occurrence from left to right: slow and plain.  words
 * only, so that a text is one piece. */
static int
naive(const struct ov_json *root, const char *text, char got[64][64])
{
    const struct ov_json *merges = ov_json_path(root, "model.merges"), *m;
    const char *x, *y;
    int n = (int)strlen(text), i, j;
    size_t r;

    for (i = 0; i < n; i++)
        snprintf(got[i], 64, "%c", text[i]);
    for (r = 0; r < ov_json_size(merges); r++) {
        m = ov_json_at(merges, r);
        x = ov_json_string(ov_json_at(m, 0));
        y = ov_json_string(ov_json_at(m, 1));
        for (i = 0; i + 1 < n; i++) {
            if (strcmp(got[i], x) != 0 || strcmp(got[i + 1], y) != 0)
                continue;
            strcat(got[i], got[i + 1]);
            for (j = i + 1; j + 1 < n; j++)
                memcpy(got[j], got[j + 1], 64);
            n--;
        }
    }
    return n;
}

static void
test_naive(void)
{
    static char got[64][64];
    char text[4000] = "", word[48], *lines[1] = {text};
    struct ov_json *root = NULL;
    struct ov_bpe *b = NULL;
    int32_t ids[64];
    int i, k, n, bad = 0;
    size_t len, j;
    const char *p;

    for (i = 0; i < 3000; i++)
        text[i] = " abcdaabe"[rnd(9)];
    if (train((const char *const *)lines, 1, 256 + S + 90, "n.json") < 0 ||
        ov_json_read(&root, at("n.json"), 1 << 20, &err) < 0 ||
        ov_bpe_open(&b, at("n.json"), &err) < 0)
        abort();
    for (i = 0; i < 2000; i++) {
        len = 1 + rnd(40);
        for (j = 0; j < len; j++)
            word[j] = "abcdaab"[rnd(7)];
        word[len] = '\0';
        n = naive(root, word, got);
        k = ov_bpe_encode(b, word, len, ids, 64, &err);
        bad += k != n;
        for (k = 0; k < n; k++) {
            p = ov_bpe_bytes(b, ids[k], &len);
            bad += len != strlen(got[k]) || memcmp(p, got[k], len) != 0;
        }
    }
    ok(bad == 0, "2000 random words as by the plain definition");
    ov_json_free(root);
    ov_bpe_close(b);
}

static void
test_round_trip(void)
{
    static const char *const lines[] = {"what is two plus two",
                                        "the answer is four, isn't it?"};
    struct ov_bpe *b = NULL;
    static char text[5000];
    static int32_t ids[5000];
    size_t n, i, len, k;
    int c, bad = 0, round;
    const char *p;

    if (train(lines, 2, 320, "r.json") < 0 ||
        ov_bpe_open(&b, at("r.json"), &err) < 0)
        abort();
    for (round = 0; round < 200; round++) {
        n = rnd(round < 100 ? 64 : 5000);
        for (i = 0; i < n; i++)
            text[i] = round % 2 ? (char)rnd(256) : "tow \n'\xc3\xa9"[rnd(8)];
        c = ov_bpe_encode(b, text, n, ids, 5000, &err);
        for (k = 0, i = 0; c >= 0 && i < (size_t)c; i++) {
            p = ov_bpe_bytes(b, ids[i], &len);
            bad += k + len > n || memcmp(text + k, p, len) != 0;
            k += len;
        }
        bad += c < 0 || k != n;
    }
    ok(bad == 0, "any bytes come back");
    memset(text, 't', sizeof text);
    ok(ov_bpe_encode(b, text, sizeof text, ids, 5000, &err) > 0,
       "a word of 5000 letters");
    ov_bpe_close(b);
}

static void
test_deterministic(void)
{
    static const char *const lines[] = {"zip zap zop", "abba baba", "zap"};
    static const char *const other[] = {"zap", "abba baba", "zip zap zop"};
    size_t n, m;
    char *p, *q;

    if (train(lines, 3, 280, "d1") < 0 || train(other, 3, 280, "d2") < 0)
        abort();
    p = slurp("d1", &n);
    q = slurp("d2", &m);
    ok(n == m && memcmp(p, q, n) == 0,
       "the order of the lines does not matter");
    free(p);
    free(q);
}

/* reading ---------------------------------------------------------------- */

/* A tokenizer.json with all bytes, "aa", and what is to be tested. */
static char *
file(const char *top, const char *model, const char *vocab, const char *merges)
{
    size_t n, i;
    char *s, *t = NULL;
    FILE *f;

    if (train(NULL, 0, 256 + S, "bytes") < 0)
        abort();
    s = slurp("bytes", &n);
    f = open_memstream(&t, &n);
    if (f == NULL)
        abort();
    fprintf(f, "{%s \"model\": {%s \"vocab\": {%s", top, model, vocab);
    i = (size_t)(strstr(s, "\"vocab\": {") - s) + 10;
    while (s[i] != '}' || s[i - 1] == '"')
        putc(s[i++], f);
    fprintf(f, "}, \"merges\": [%s]}}", merges);
    fclose(f);
    free(s);
    return t;
}

#define TOP                                                                    \
    "\"added_tokens\":[{\"id\":0,\"content\":\"<|pad|>\"},{\"id\":1,"          \
    "\"content\":\"<|end|>\"},{\"id\":2,\"content\":\"caf\xc3\xa9\"}],"
#define LEVEL                                                                  \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
#define BPE "\"type\":\"BPE\","
#define AA "\"aa\":259,"

static void
test_reading(void)
{
    static const struct {
        const char *what, *top, *model, *vocab, *merges, *fact;
    } t[] = {
        {"pairs", TOP LEVEL, BPE, AA, "[\"a\",\"a\"]", NULL},
        {"strings", TOP LEVEL, BPE, AA, "\"a a\"", NULL},
        {"options that are off", TOP LEVEL "\"normalizer\":null,",
         BPE "\"dropout\":null,\"byte_fallback\":false,"
             "\"end_of_word_suffix\":\"\",",
         AA, "", NULL},
        {"another type", TOP LEVEL, "\"type\":\"Unigram\",", AA, "", "Unigram"},
        {"no pre_tokenizer", TOP, BPE, AA, "", "missing"},
        {"add_prefix_space",
         TOP "\"pre_tokenizer\":{\"type\":\"ByteLevel\","
             "\"add_prefix_space\":true},",
         BPE, AA, "", "add_prefix_space"},
        {"use_regex",
         TOP "\"pre_tokenizer\":{\"type\":\"ByteLevel\","
             "\"use_regex\":false},",
         BPE, AA, "", "use_regex"},
        {"a normalizer", TOP LEVEL "\"normalizer\":{\"type\":\"NFKC\"},", BPE,
         AA, "", "normalizer"},
        {"byte_fallback", TOP LEVEL, BPE "\"byte_fallback\":true,", AA, "",
         "byte_fallback"},
        {"dropout", TOP LEVEL, BPE "\"dropout\":0.1,", AA, "", "dropout"},
        {"an id twice", TOP LEVEL, BPE, "\"aa\":100,", "", "another token"},
        {"an added token's id", TOP LEVEL, BPE, "\"aa\":1,", "",
         "an added token has"},
        {"a negative id", TOP LEVEL, BPE, "\"aa\":-1,", "", "not in 0.."},
        {"a huge id", TOP LEVEL, BPE, "\"aa\":2097152,", "", "not in 0.."},
        {"a foreign character", TOP LEVEL, BPE, "\"a a\":259,", "",
         "byte-level"},
        {"an unknown part", TOP LEVEL, BPE, AA, "\"a bb\"", "vocabulary"},
        {"an unknown result", TOP LEVEL, BPE, AA, "\"a b\"", "vocabulary"},
        {"a merge twice", TOP LEVEL, BPE, AA, "\"a a\",\"a a\"", "the same"},
        {"three parts", TOP LEVEL, BPE, AA, "\"a a a\"", "two tokens"},
        {"one part", TOP LEVEL, BPE, AA, "[\"aa\"]", "two tokens"},
        {"an empty part", TOP LEVEL, BPE, AA, "\" aa\"", "vocabulary"},
        {"a special in a merge", TOP LEVEL, BPE, AA, "\"<|pad|> a\"",
         "vocabulary"},
        {"a number in merges", TOP LEVEL, BPE, AA, "1", "two tokens"},
        {"an added token twice",
         "\"added_tokens\":[{\"id\":0,\"content\":\"x\"},{\"id\":1,"
         "\"content\":\"x\"}]," LEVEL,
         BPE, AA, "", "twice"},
        {"a token twice", TOP LEVEL, BPE, "\"aa\":259,\"aa\":260,", "",
         "\"aa\": is there twice"},
        {"an added token in the vocabulary twice", TOP LEVEL, BPE,
         "\"<|end|>\":1,", "", "is there twice"},
        {"merges twice", TOP LEVEL, BPE "\"merges\":{},", AA, "",
         "a second time"},
        {"an added token with no id",
         "\"added_tokens\":[{\"content\":\"x\"}]," LEVEL, BPE, AA, "",
         "added token"},
    };
    struct ov_bpe *b;
    int32_t ids[4];
    size_t i;
    char *s;
    int rc;

    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        s = file(t[i].top, t[i].model, t[i].vocab, t[i].merges);
        err.text[0] = '\0';
        rc = ov_bpe_parse(&b, s, strlen(s), "mem", &err);
        if (t[i].fact == NULL)
            ok(rc == OV_OK && ov_bpe_encode(b, "aa", 2, ids, 4, &err) ==
                                  (t[i].merges[0] == '\0' ? 2 : 1),
               "read: %s %s", t[i].what, err.text);
        else
            ok(rc == OV_EMODEL && b == NULL &&
                   strstr(err.text, t[i].fact) != NULL,
               "refused: %s: %s", t[i].what, err.text);
        ov_bpe_close(b);
        free(s);
    }
    s = file(TOP LEVEL, BPE, "", "");
    for (i = strlen(s); i-- > 0;)
        if (ov_bpe_parse(&b, s, i, "mem", &err) != OV_EMODEL)
            break;
    ok(i == (size_t)-1, "cut anywhere it is refused");
    free(s);
    ok(ov_bpe_open(&b, at("none"), &err) == OV_EMODEL, "no file: %s", err.text);
    ok(ov_bpe_parse(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", 35,
                    "mem", &err) == OV_EMODEL,
       "no bytes: %s", err.text);
}

/* added later ------------------------------------------------------------ */

static void
test_adding(void)
{
    enum { MANY = 1500, BASE = 1000 };
    char *s = file(TOP LEVEL, BPE, "", "");
    struct ov_bpe *b = NULL;
    char name[16];
    int32_t ids[4], i, good = 0;

    ok(ov_bpe_parse(&b, s, strlen(s), "mem", &err) == OV_OK, "read it");
    for (i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "<|%d|>", (int)(i * 7 % MANY));
        good += ov_bpe_add(b, name, BASE + i, &err) == OV_OK;
    }
    ok(good == MANY && ov_bpe_size(b) == BASE + MANY, "add %d", MANY);
    for (i = good = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "<|%d|>", (int)(i * 7 % MANY));
        good += ov_bpe_special(b, name) == BASE + i &&
                strcmp(ov_bpe_name(b, BASE + i), name) == 0;
    }
    ok(good == MANY, "each has its name");
    ok(ov_bpe_name(b, BASE - 1) == NULL && ov_bpe_name(b, 'a') == NULL &&
           ov_bpe_special(b, "<|1500|>") == -1,
       "no other has one");
    ok(ov_bpe_encode_marked(b, "<|7|>a", 6, ids, 4, &err) == 2 &&
           ids[0] == BASE + 1,
       "it stands for itself in text");
    ok(ov_bpe_add(b, "<|7|>", BASE + 1, &err) == OV_OK, "again, the same");
    ok(ov_bpe_add(b, "<|7|>", 5000, &err) == OV_EMODEL &&
           ov_bpe_add(b, "<|new|>", BASE, &err) == OV_EMODEL,
       "refused: %s", err.text);
    ov_bpe_close(b);
    free(s);
}

int
main(void)
{
    char rm[300];

    if (mkdtemp(dir) == NULL)
        return 99;
    test_merges();
    test_train_limits();
    test_naive();
    test_round_trip();
    test_deterministic();
    test_reading();
    test_adding();
    snprintf(rm, sizeof rm, "rm -rf %s", dir);
    if (system(rm) != 0)
        diag("%s is left", dir);
    return tap_done();
}
