/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of stream/keys and stream/channel.
 * In: nothing.  Out: TAP. */
#include "stream/keys.h"

#include <string.h>

#include "stream/channel.h"
#include "tests/unit/tap.h"

static void
test_valid(void)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},          {"a=b\n", true},       {"a=\n", true},
        {"a=b", false},      {"=b\n", false},       {"a\n", false},
        {"A=b\n", false},    {"a=b\na=c\n", false}, {"a=b\nab=c\n", true},
        {"a=b\tc\n", false}, {"\n", false},         {"x-1_y=\xc3\xbc\n", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ok(ov_keys_valid(cases[i].text, strlen(cases[i].text)) ==
               cases[i].valid,
           "case %zu", i);
}

static void
test_values(void)
{
    static const char t[] = "one=1\nname=x=y z\nbig=18446744073709551616\n";
    struct ov_buf b = {NULL, 0, 0};
    char s[8];
    uint64_t v = 0;

    ok(ov_keys_u64(t, strlen(t), "one", &v) && v == 1, "a number");
    ok(!ov_keys_u64(t, strlen(t), "big", &v), "too large a number");
    ok(!ov_keys_u64(t, strlen(t), "name", &v), "not a number");
    ok(ov_keys_copy(t, strlen(t), "name", s, sizeof s) &&
           strcmp(s, "x=y z") == 0,
       "a value");
    ok(ov_keys_copy(t, strlen(t), "big", s, sizeof s) && strlen(s) == 7,
       "a value cut to fit");
    ok(!ov_keys_copy(t, strlen(t), "on", s, sizeof s) && s[0] == '\0',
       "a key that is not there");
    ov_keys_set(&b, "a", "1");
    ov_keys_set(&b, "b", "2");
    ov_keys_set(&b, "a", "new\nline");
    ok(strcmp(b.p, "a=new?line\nb=2\n") == 0, "set: %s", b.p);
    ov_keys_set(&b, "b", "3");
    ok(strcmp(b.p, "a=new?line\nb=3\n") == 0, "the last one replaced");
    ov_buf_free(&b);
}

static void
test_channel(void)
{
    static const char t[] = "kind=tokens\ndtype=i32\nshape=2,3\n"
                            "rate=30000/1001\nhop=4\nmax=240\n"
                            "vocabulary=m/text\nentries=5\n";
    struct ov_channel c;
    struct ov_buf b = {NULL, 0, 0};

    ok(ov_channel_parse(&c, t, strlen(t)) == NULL, "a channel");
    ok(ov_channel_row(&c) == 24 && c.rate_den == 1001 && c.max == 240,
       "its numbers");
    ok(ov_channel_print(&c, &b) == 0 && strcmp(b.p, t) == 0, "and its text");
    ov_buf_free(&b);
}

int
main(void)
{
    test_valid();
    test_values();
    test_channel();
    return tap_done();
}
