/* SPDX-License-Identifier: BSD-2-Clause */
/* text/split and text/unicode: pieces by Qwen2's pattern, composition.
 * In: nothing.  Out: TAP. */
#include "text/split.h"

#include <string.h>

#include "tests/unit/tap.h"
#include "text/unicode.h"

/* The pieces with '|' between them. */
static void
pieces(const char *text, int digits, const char *want)
{
    char got[256];
    size_t n = strlen(text), at, len, k = 0;

    for (at = 0; at < n; at += len) {
        len = ov_split_qwen2(text + at, n - at, digits);
        if (at > 0)
            got[k++] = '|';
        memcpy(got + k, text + at, len);
        k += len;
    }
    got[k] = '\0';
    ok(strcmp(got, want) == 0, "%s", want);
}

static void
composed(const char *what, const char *s, size_t n, const char *want,
         size_t want_n)
{
    struct ov_err err;
    char *out = NULL;
    size_t len = 0;

    ok(ov_unicode_nfc(s, n, &out, &len, &err) == OV_OK && len == want_n &&
           memcmp(out, want, len) == 0,
       "%s", what);
    free(out);
}

int
main(void)
{
    pieces("it's IT'S we'Ll don't", 1, "it|'s| IT|'S| we|'Ll| don|'t");
    pieces("'\xc5\xbf!", 1, "'\xc5\xbf|!");
    pieces("a 1234", 1, "a| |1|2|3|4");
    pieces("a 1234", 3, "a| |123|4");
    pieces("x=(y)", 1, "x|=(|y|)");
    pieces("a\n\n  b", 1, "a|\n\n| | b");
    pieces("a \r\n \nb ", 1, "a| \r\n \n|b| ");
    pieces("what?!\n\nNo", 1, "what|?!\n\n|No");
    pieces("\tword  two", 1, "\tword| | two");
    pieces("\xff\xfe", 1, "\xff\xfe");
    composed("e and acute", "e\xcc\x81x", 4, "\xc3\xa9x", 3);
    composed("nothing", "", 0, "", 0);
    composed("what is not UTF-8 stays",
             "e\xcc\x81\xff"
             "a\0b",
             7,
             "\xc3\xa9\xff"
             "a\0b",
             6);
    return tap_done();
}
