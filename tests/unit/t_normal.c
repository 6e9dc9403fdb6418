/* SPDX-License-Identifier: BSD-2-Clause */
/* Written text as words.
 * In: text.  Out: TAP. */
#include <string.h>

#include "tests/unit/tap.h"
#include "text/normal.h"

static void
is(const char *in, const char *want)
{
    struct ov_err err = { 0 };
    char *out = NULL;
    size_t n = 0;
    int r = ov_normalise(in, strlen(in), &out, &n, &err);

    if (want == NULL)
        ok(r == OV_EUSAGE, "%s is refused (%s)", in, err.text);
    else
        ok(r == OV_OK && strcmp(out, want) == 0 && n == strlen(want),
           "\"%s\" -> \"%s\"", in, out);
    free(out);
}

int
main(void)
{
    is("Repeat after me: seven green birds!",
       " repeat after me seven green birds");
    is("What is 7 + 5?", " what is seven plus five");
    is("I don't know.", " i don't know");
    is("'quoted' words'", " quoted words");
    is("12 - 3 = 9", " twelve minus three equals nine");
    is("well-known", " well known");
    is("1999", " one thousand nine hundred ninety nine");
    is("100000", " one hundred thousand");
    is("007", " zero zero seven");
    is("1234567", " one two three four five six seven");
    is("caf\xc3\xa9", " caf\xc3\xa9");
    is("\xc3", NULL);
    is("?!", NULL);
    is("", NULL);
    return tap_done();
}
