/* SPDX-License-Identifier: BSD-2-Clause */
/* text/utf8, text/unicode, text/alphabet, text/split: characters.
 * In: nothing.  Out: TAP. */
#include "text/utf8.h"

#include <string.h>

#include "tests/unit/tap.h"
#include "text/alphabet.h"
#include "text/split.h"
#include "text/unicode.h"

static void
test_round_trip(void)
{
    uint32_t cp, back;
    int bad = 0;
    char s[4];
    size_t n;

    for (cp = 0; cp < 0x110100; cp++) {
        n = ov_utf8_put(s, cp);
        if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
            bad += n != 0;
        else
            bad += ov_utf8_get(s, n, &back) != n || back != cp ||
                   (n > 1 && ov_utf8_get(s, n - 1, &back) != 0) ||
                   ov_utf8_whole(s, n) != n || ov_utf8_whole(s, n - 1) != 0;
    }
    ok(bad == 0, "every code point there and back, none when cut");
}

/* All sequences of 3 bytes against the definition by what put makes. */
static void
test_invalid(void)
{
    static const char *const t[] = {"\x80",
                                    "\xbf",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xe0\x80\x80",
                                    "\xe0\x9f\xbf",
                                    "\xed\xa0\x80",
                                    "\xed\xbf\xbf",
                                    "\xf0\x80\x80\x80",
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xff",
                                    "\xc3(",
                                    "\xe2\x82(",
                                    "\xf0\x9f\x98("};
    uint32_t cp, back;
    int bad = 0, i;
    char s[4], u[4];
    size_t n;

    for (i = 0; i < (int)(sizeof t / sizeof t[0]); i++)
        bad += ov_utf8_get(t[i], strlen(t[i]), &cp) != 0;
    ok(bad == 0, "what is no UTF-8");
    for (bad = 0, i = 0; i < 1 << 24; i += 7) {
        s[0] = (char)(i >> 16);
        s[1] = (char)(i >> 8);
        s[2] = (char)i;
        n = ov_utf8_get(s, 3, &back);
        bad += n > 0 && (ov_utf8_put(u, back) != n || memcmp(s, u, n) != 0);
    }
    ok(bad == 0, "nothing has two forms");
    ok(ov_utf8_get("", 0, &cp) == 0, "nothing is nothing");
}

static void
test_valid(void)
{
    size_t at = 0;

    ok(ov_utf8_valid("gr\xc3\xbc\xc3\x9f", 6, NULL), "valid text");
    ok(!ov_utf8_valid("ab\xc3", 3, &at) && at == 2, "where it ends");
    ok(ov_utf8_whole("ab\xe2\x82", 4) == 2, "two bytes of three wait");
    ok(ov_utf8_whole("ab\xe2\x82\xac", 5) == 5, "three do not");
    ok(ov_utf8_whole("ab\x80\x80\x80\x80", 6) == 6,
       "what can never be complete does not wait");
    ok(ov_utf8_whole("", 0) == 0, "nothing to show");
}

static void
test_classes(void)
{
    static const struct {
        uint32_t cp;
        enum ov_class c;
    } t[] = {{'a', OV_LETTER},    {'Z', OV_LETTER},   {'7', OV_NUMBER},
             {' ', OV_SPACE},     {'\n', OV_SPACE},   {'-', OV_OTHER},
             {0xe9, OV_LETTER},   {0xbd, OV_NUMBER},  {0xa0, OV_SPACE},
             {0x4e2d, OV_LETTER}, {0x661, OV_NUMBER}, {0x3000, OV_SPACE},
             {0x2003, OV_SPACE},  {0x301, OV_OTHER},  {0x1f600, OV_OTHER},
             {0x1c, OV_OTHER},    {0x378, OV_OTHER},  {0x2167, OV_NUMBER},
             {0x2b0, OV_LETTER},  {0x200b, OV_OTHER}, {0x10ffff, OV_OTHER}};
    size_t i, bad = 0;

    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        if (ov_unicode_class(t[i].cp) != t[i].c) {
            diag("U+%04X is %d", (unsigned)t[i].cp, ov_unicode_class(t[i].cp));
            bad++;
        }
    }
    ok(bad == 0, "classes");
}

static void
test_alphabet(void)
{
    int b, bad = 0;
    uint32_t cp;
    char s[8];
    size_t n;

    for (b = 0; b < 256; b++) {
        cp = ov_alphabet_char((unsigned char)b);
        bad += ov_alphabet_byte(cp) != b || cp >= 0x144;
        n = ov_utf8_put(s, cp);
        bad += ov_alphabet_decode(s, n, s + 4) != 1 || (unsigned char)s[4] != b;
    }
    ok(bad == 0, "a character per byte");
    ok(ov_alphabet_char(' ') == 0x120 && ov_alphabet_char('\n') == 0x10a &&
           ov_alphabet_char(0x7f) == 0x121 && ov_alphabet_char(0xad) == 0x143,
       "the known ones of GPT-2");
    for (bad = 0, cp = 0; cp < 0x1000; cp++)
        bad += ov_alphabet_byte(cp) >= 0;
    ok(bad == 256, "no others");
    ok(ov_alphabet_decode(" ", 1, s) == -1, "a space is none of them");
}

/* The pieces of text, joined by '|'. */
static int
splits(const char *text, const char *want)
{
    char got[256];
    size_t n = strlen(text), at, len, k = 0;

    for (at = 0; at < n; at += len) {
        len = ov_split_gpt2(text + at, n - at);
        if (len == 0 || len > n - at)
            return 0;
        memcpy(got + k, text + at, len);
        k += len;
        got[k++] = '|';
    }
    got[k] = '\0';
    if (strcmp(got, want) != 0)
        diag("got %s", got);
    return strcmp(got, want) == 0;
}

static void
test_split(void)
{
    ok(splits("hello world", "hello| world|"), "words");
    ok(splits("it's we'll I'D 'tis", "it|'s| we|'ll| I|'|D| '|tis|"),
       "contractions");
    ok(splits("a  b   ", "a| | b|   |"), "spaces before a word, at the end");
    ok(splits("a\n\nb\t c", "a|\n|\n|b|\t| c|"), "other white space");
    ok(splits("x12 34!? ...y", "x|12| 34|!?| ...|y|"), "digits, others");
    ok(splits("\xc3\xa9t\xc3\xa9 \xe4\xb8\xad\xd9\xa1",
              "\xc3\xa9t\xc3\xa9| \xe4\xb8\xad|\xd9\xa1|"),
       "letters and digits of Unicode");
    ok(splits("a\xff\xfe b\xc3", "a|\xff\xfe| b|\xc3|"), "not UTF-8");
    ok(splits(" ", " |") && splits("  ", "  |") && splits("'", "'|") &&
           splits("'l", "'|l|") && splits(" '", " '|") && splits("", ""),
       "short texts");
}

int
main(void)
{
    test_round_trip();
    test_invalid();
    test_valid();
    test_classes();
    test_alphabet();
    test_split();
    return tap_done();
}
