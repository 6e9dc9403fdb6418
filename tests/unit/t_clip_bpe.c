/* SPDX-License-Identifier: BSD-2-Clause */
/* CLIP's tokenizer on a small vocabulary; references of HTML; gzip.
 * In: texts.  Out: TAP. */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/gunzip.h"
#include "tests/unit/tap.h"
#include "text/clip_bpe.h"
#include "text/html.h"

/* Ids: 0..255 bytes, 256..511 bytes that end a word, then these. */
static const char merges[] = "#version: 0.2\n"
                             "c a\n"      /* 512 */
                             "ca t</w>\n" /* 513 */
                             "t h\n"      /* 514 */
                             "th e</w>\n" /* 515 */
                             "a a\n"      /* 516 */
                             "aa aa\n";   /* 517 */

enum { START = 518, END = 519 };

/* The id of a printable byte, and of one that ends a word. */
static int
id(char c)
{
    return c - '!';
}

static int
last(char c)
{
    return 256 + c - '!';
}

static void
is(const struct ov_clip_bpe *b, const char *text, const int *want, int n)
{
    int32_t ids[64];
    struct ov_err err = {0};
    int k = ov_clip_bpe_encode(b, text, strlen(text), ids, 64, &err), i;

    for (i = 0; i < k && i < n && ids[i] == want[i]; i++)
        continue;
    ok(k == n && i == n, "\"%s\"", text);
    for (i = 0; k != n && i < k; i++)
        diag("%d", ids[i]);
}

#define IS(text, ...)                                                          \
    do {                                                                       \
        int want_[] = {__VA_ARGS__};                                           \
        is(b, text, want_, (int)(sizeof want_ / sizeof want_[0]));             \
    } while (0)

static void
test_tokens(const struct ov_clip_bpe *b)
{
    struct ov_buf s = {0};
    struct ov_err err;
    int32_t ids[6], seven[] = {515, 513, START, 9999, -1};

    ok(ov_clip_bpe_size(b) == END + 1 && ov_clip_bpe_start(b) == START &&
           ov_clip_bpe_end(b) == END,
       "the vocabulary");
    IS("the cat", 515, 513);
    IS("  THE\t\n Cat ", 515, 513);
    IS("cab", 512, last('b'));
    IS("aaaaaa", 517, id('a'), last('a'));
    IS("it's", id('i'), last('t'), id('\''), last('s'));
    IS("12", last('1'), last('2'));
    IS("a&amp;amp;b", last('a'), last('&'), last('b'));
    IS("<|startoftext|>a<|endoftext|>", START, last('a'), END);
    IS("\xc3\x84", 127, 256 + 97); /* lower case: 0xc3 0xa4 */
    ok(ov_clip_bpe_context(b, "the cat", 7, ids, 6, &err) == 0 &&
           ids[0] == START && ids[1] == 515 && ids[2] == 513 && ids[3] == END &&
           ids[4] == 0 && ids[5] == 0,
       "a context that is not full");
    ok(ov_clip_bpe_context(b, "1 2 3 4 5", 9, ids, 6, &err) == 1 &&
           ids[4] == last('4') && ids[5] == END,
       "a context that is too short");
    ok(ov_clip_bpe_decode(b, seven, 5, &s) == 0 &&
           strcmp(s.p, "the cat <|startoftext|>") == 0,
       "decoded");
    ov_buf_free(&s);
    ok(ov_clip_bpe_encode(b, "\xff", 1, ids, 6, &err) == OV_EUSAGE &&
           ov_clip_bpe_encode(b, "1 2 3 4 5 6 7", 13, ids, 6, &err) ==
               OV_EUSAGE,
       "refused: bytes that are no UTF-8, too many tokens");
}

/* A long word must not take long. */
static void
test_long(const struct ov_clip_bpe *b)
{
    size_t n = 200000, i;
    char *text = malloc(n);
    int32_t *ids = malloc(n * sizeof *ids);
    struct ov_err err;
    int k;

    for (i = 0; i < n; i++)
        text[i] = i % 5 == 0 ? 'c' : 'a';
    k = ov_clip_bpe_encode(b, text, n, ids, n, &err);
    ok(k > 0, "a word of %zu letters, %d tokens", n, k);
    free(text);
    free(ids);
}

static void
test_refused(void)
{
    static const char *const bad[] = {"",
                                      "#v\nx yz</w>\n",
                                      "#v\nab\n",
                                      "#v\na b c\n",
                                      "#v\na</w> b\n",
                                      "#v\n\xc4\xa9\xe4 b\n"};
    struct ov_clip_bpe *b;
    struct ov_err err;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ok(ov_clip_bpe_parse(&b, bad[i], strlen(bad[i]), "x", &err) ==
                   OV_EMODEL &&
               b == NULL,
           "refused: merges %zu", i);
}

static size_t
pack(unsigned char *to, size_t room, const char *text)
{
    z_stream z = {0};

    deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (unsigned)strlen(text);
    z.next_out = to;
    z.avail_out = (unsigned)room;
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void
test_gzip(void)
{
    unsigned char p[1024];
    size_t n = pack(p, sizeof p, merges), i;
    struct ov_clip_bpe *b;
    struct ov_buf out = {0};
    struct ov_err err;
    int bad = 0;

    ok(ov_clip_bpe_parse(&b, p, n, "x", &err) == OV_OK &&
           ov_clip_bpe_size(b) == END + 1,
       "merges in gzip");
    ov_clip_bpe_close(b);
    for (i = 3; i < n; i++) {
        bad += ov_gunzip(&out, p, i, 1 << 20, "x", &err) != OV_EMODEL;
        ov_buf_free(&out);
        out = (struct ov_buf){0};
    }
    ok(bad == 0, "gzip cut off anywhere");
    ok(ov_gunzip(&out, p, n, 10, "x", &err) == OV_EMODEL, "more than allowed");
    ov_buf_free(&out);
}

static void
html(const char *text, const char *want)
{
    struct ov_buf s = {0};

    ok(ov_html_unescape(&s, text, strlen(text)) == 0 && strcmp(s.p, want) == 0,
       "%s", text);
    ov_buf_free(&s);
}

static void
test_html(void)
{
    int i, bad = 0;

    /* as Python's html.unescape */
    html("a &amp b &ampx; &AMP; &notit; &notin; &lt",
         "a & b &x; & \xc2\xacit; \xe2\x88\x89 <");
    html("&#233;&#xe9;&#XE9 &#x80; &#13; &#1; &#0; &#xd800; &#x110000;",
         "\xc3\xa9\xc3\xa9\xc3\xa9 \xe2\x82\xac \r  \xef\xbf\xbd "
         "\xef\xbf\xbd \xef\xbf\xbd");
    html("& &; &#; &#x; &g; x&", "& &; &#; &#x; &g; x&");
    html("&#99999999999999999999;", "\xef\xbf\xbd");
    for (i = 1; i < ov_html_names_count; i++)
        bad += strcmp(ov_html_names[i - 1], ov_html_names[i]) >= 0;
    ok(bad == 0 && ov_html_names_count == 2231, "the names are in order");
}

int
main(void)
{
    struct ov_clip_bpe *b;
    struct ov_err err;

    ok(ov_clip_bpe_parse(&b, merges, sizeof merges - 1, "x", &err) == OV_OK,
       "merges");
    test_tokens(b);
    test_long(b);
    ov_clip_bpe_close(b);
    test_refused();
    test_gzip();
    test_html();
    return tap_done();
}
