/* SPDX-License-Identifier: BSD-2-Clause */
/* base/json and base/json_pull: what is read, what is refused and where.
 * In: nothing.  Out: TAP. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static struct ov_err err;

/* text, read and printed again; malloc'd */
static char *
again(const char *text, size_t n)
{
    struct ov_json *v;
    char *s = NULL;
    size_t len;
    FILE *f;

    err.text[0] = '\0';
    if (ov_json_parse(&v, text, n, "mem", &err) != OV_OK)
        return NULL;
    f = open_memstream(&s, &len);
    if (f == NULL)
        abort();
    ov_json_print(f, v);
    fclose(f);
    ov_json_free(v);
    return s;
}

static void
test_values(void)
{
    static const char *const t[][2] = {
        {" null ", "null"},
        {"true", "true"},
        {"[false]", "[false]"},
        {"-0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"123456789012345678", "123456789012345678"},
        {"-999999999999999999", "-999999999999999999"},
        {"1.50", "1.5"},
        {"1e2", "100.0"},
        {"1E+20", "1e20"},
        {"1e-06", "1e-6"},
        {"-0.0", "-0.0"},
        {"1e-400", "0.0"},
        {"\"\"", "\"\""},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\""},
        {"\"\\u00e9\\u20AC\\ud83d\\ude00\\u0041\"",
         "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
         "A\""},
        {"\"\x7f\"", "\"\\u007f\""},
        {"\t{ } \r\n", "{}"},
        {"[ ]", "[]"},
        {"{\"b\" : [1 , 2.0,\"x\"] ,\"a\":{\"\":null}}",
         "{\"b\":[1,2.0,\"x\"],\"a\":{\"\":null}}"},
    };
    size_t i;
    char *s;

    for (i = 0; i < sizeof t / sizeof *t; i++) {
        s = again(t[i][0], strlen(t[i][0]));
        ok(s != NULL && strcmp(s, t[i][1]) == 0, "%s: %s", t[i][1],
           s != NULL ? s : err.text);
        free(s);
    }
}

static void
test_refused(void)
{
    static const struct {
        const char *text, *where, *fact;
    } t[] = {
        {"", "line 1, column 1", "ends where a value"},
        {"  ", "line 1, column 3", "ends where a value"},
        {"nul", "line 1, column 1", "no value"},
        {"\xef\xbb\xbf{}", "line 1, column 1", "byte 0xef"},
        {"{} x", "line 1, column 4", "'x' where the end of the text"},
        {"[1,\n 2,\n  ]", "line 3, column 3", "']' where a value"},
        {"[1 2]", "line 1, column 4", "',' or ']'"},
        {"[1}", "line 1, column 3", "',' or ']'"},
        {"{\"a\" 1}", "line 1, column 6", "':'"},
        {"{\"a\":1,}", "line 1, column 8", "'}' where a key"},
        {"{\"a\":1]", "line 1, column 7", "',' or '}'"},
        {"{1:2}", "line 1, column 2", "a key or '}'"},
        {"[1", "line 1, column 3", "ends where"},
        {"01", "line 1, column 1", "no number"},
        {"-", "line 1, column 1", "no number"},
        {"1.", "line 1, column 1", "no number"},
        {"1e", "line 1, column 1", "no number"},
        {".5", "line 1, column 1", "'.' where a value"},
        {"+1", "line 1, column 1", "'+' where a value"},
        {"NaN", "line 1, column 1", "'N' where a value"},
        {"1e999", "line 1, column 1", "too large"},
        {"9223372036854775808", "line 1, column 1", "beyond 64 bits"},
        {"-9223372036854775809", "line 1, column 1", "beyond 64 bits"},
        {"\"a", "line 1, column 3", "ends within a string"},
        {"\"\\", "line 1, column 2", "does not know"},
        {"\"a\nb\"", "line 1, column 3", "control character"},
        {"\"\\x\"", "line 1, column 2", "does not know"},
        {"\"\xc3\xa9\\u12g4\"", "line 1, column 3", "four digits"},
        {"\"\\u0000\"", "line 1, column 2", "\\u0000"},
        {"\"\\ud800\"", "line 1, column 2", "half a pair"},
        {"\"\\ude00\"", "line 1, column 2", "half a pair"},
        {"\"\\ud800\\u0041\"", "line 1, column 2", "half a pair"},
        {"\"\xff\"", "line 1, column 2", "not UTF-8"},
        {"\"\xc0\x80\"", "line 1, column 2", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "line 1, column 2", "not UTF-8"},
        {"\"\\n\xe2\x82\"", "line 1, column 4", "not UTF-8"},
        {"{\"a\":1,\n\"b\":2,\"a\":3}", "line 2", "\"a\" a second time"},
    };
    size_t i;
    char *s;

    for (i = 0; i < sizeof t / sizeof *t; i++) {
        s = again(t[i].text, strlen(t[i].text));
        ok(s == NULL && err.code == OV_EMODEL &&
               strstr(err.text, t[i].where) != NULL &&
               strstr(err.text, t[i].fact) != NULL,
           "%s", err.text);
        free(s);
    }
    s = again("\"a\0b\"", 5);
    ok(s == NULL && strstr(err.text, "control character") != NULL, "NUL: %s",
       err.text);
}

/* Every beginning of a good text is refused; the memory is exact, so that
 * the sanitizer sees the first byte too far. */
static void
test_cut(void)
{
    static const char good[] =
        "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\ud83d\\ude00\xc3\xa9\"],"
        "\"b\":{\"c\":false}}";
    size_t n, bad = 0;
    char *p, *s;

    for (n = 0; n < sizeof good - 1; n++) {
        p = malloc(n + 1);
        if (p == NULL)
            abort();
        memcpy(p + 1, good, n);
        s = again(p + 1, n);
        bad += s != NULL || err.code != OV_EMODEL;
        free(s);
        free(p);
    }
    s = again(good, n);
    ok(bad == 0 && s != NULL, "cut anywhere it is refused, whole it is not");
    free(s);
}

static void
test_depth(void)
{
    char deep[2 * OV_JSON_DEPTH + 4], *s;
    size_t n = OV_JSON_DEPTH;

    memset(deep, '[', n);
    memset(deep + n, ']', n);
    s = again(deep, 2 * n);
    ok(s != NULL && strlen(s) == 2 * n, "%zu levels: %s", n, err.text);
    free(s);
    memset(deep, '[', n + 1);
    memset(deep + n + 1, ']', n + 1);
    s = again(deep, 2 * n + 2);
    ok(s == NULL && strstr(err.text, "deeper") != NULL, "one more: %s",
       err.text);
}

/* Objects of many members are found by another way than those of few. */
static void
test_members(void)
{
    char text[8192], key[16];
    const struct ov_json *m;
    const char *k;
    struct ov_json *v;
    void *at = NULL;
    int64_t x;
    size_t n = 0;
    int i, size, bad = 0;

    for (size = 0; size < 40; size++) {
        n = (size_t)snprintf(text, sizeof text, "{");
        for (i = 0; i < size; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\"k%d\":%d",
                                  i > 0 ? "," : "", i * 7919 % 100, i);
        n += (size_t)snprintf(text + n, sizeof text - n, "}");
        if (ov_json_parse(&v, text, n, "mem", &err) != OV_OK)
            abort();
        bad += ov_json_size(v) != (size_t)size || ov_json_get(v, "k") != NULL;
        bad += ov_json_get(v, "z") != NULL || ov_json_get(v, "") != NULL;
        for (i = 0, at = NULL; ov_json_next(v, &at, &k, &m); i++) {
            snprintf(key, sizeof key, "k%d", i * 7919 % 100);
            bad += strcmp(k, key) != 0 || ov_json_get(v, key) != m ||
                   !ov_json_int(m, &x) || x != i;
        }
        bad += i != size;
        ov_json_free(v);
        if (size == 0)
            continue;
        n = (size_t)snprintf(text + n - 1, sizeof text - n, ",\"k0\":0}") + n -
            1;
        bad += ov_json_parse(&v, text, n, "mem", &err) != OV_EMODEL ||
               strstr(err.text, "\"k0\" a second time") == NULL;
    }
    ok(bad == 0, "objects of 0 to 39 members");
}

static void
test_path(void)
{
    static const char text[] = "{\"a\":{\"b\":[10,{\"c\":\"x\"}]}}";
    struct ov_json *v = NULL;
    int64_t x = 0;
    double d = 0;
    bool b = true;

    if (ov_json_parse(&v, text, sizeof text - 1, "mem", &err) != OV_OK)
        abort();
    ok(ov_json_int(ov_json_path(v, "a.b.0"), &x) && x == 10 &&
           ov_json_double(ov_json_path(v, "a.b.0"), &d) && d == 10,
       "a number by its path");
    ok(strcmp(ov_json_string(ov_json_path(v, "a.b.1.c")), "x") == 0,
       "a string by its path");
    ok(ov_json_path(v, "a.b.2") == NULL && ov_json_path(v, "a.x.0") == NULL &&
           ov_json_path(v, "a..b") == NULL &&
           ov_json_path(v, "a.b.0.c") == NULL,
       "what is not there");
    ok(!ov_json_int(v, &x) && !ov_json_bool(v, &b) && !ov_json_double(v, &d) &&
           ov_json_string(v) == NULL && ov_json_at(v, 0) == NULL &&
           ov_json_size(NULL) == 0 && !ov_json_is_null(NULL),
       "nothing is what it is not");
    ov_json_free(v);
    ov_json_free(NULL);
}

/* taps ------------------------------------------------------------------- */

struct sum {
    int64_t sum;
    int calls;
};

static int
add(void *arg, struct ov_json_pull *p, int e, struct ov_err *error)
{
    struct sum *s = arg;
    int depth = p->depth - (e == OV_JSON_ARRAY || e == OV_JSON_OBJECT);

    s->calls++;
    s->sum += e == OV_JSON_INT ? p->integer : 0;
    while (p->depth > depth) {
        e = ov_json_pull_next(p, error);
        if (e < 0)
            return e;
        s->sum += e == OV_JSON_INT ? p->integer : 0;
    }
    return OV_OK;
}

static void
test_taps(void)
{
    static const struct ov_json_tap taps[] = {{"m.v", add}, {"n", add}};
    static const char text[] =
        "{\"v\":100,\"x\":{\"m\":{\"v\":200}},\"m\":{\"u\":1,\"v\":{\"a\":1,"
        "\"b\":[2,3]},\"w\":{\"v\":7}},\"l\":[{\"n\":400}],\"n\":10}";
    struct sum s = {0, 0};
    struct ov_json *v = NULL;
    int64_t x = 0;

    ok(ov_json_parse_tapped(&v, text, sizeof text - 1, "mem", taps, 2, &s,
                            &err) == OV_OK &&
           s.calls == 2 && s.sum == 16,
       "two members of six are handed over: %lld", (long long)s.sum);
    ok(ov_json_is_null(ov_json_path(v, "m.v")) &&
           ov_json_is_null(ov_json_get(v, "n")),
       "they are null in the tree");
    ok(ov_json_int(ov_json_path(v, "x.m.v"), &x) && x == 200 &&
           ov_json_int(ov_json_path(v, "l.0.n"), &x) && x == 400 &&
           ov_json_int(ov_json_path(v, "m.w.v"), &x) && x == 7,
       "the others are there");
    ov_json_free(v);
    ok(ov_json_parse_tapped(&v, "{\"n\":[1,{\"n\":]}", 15, "mem", taps, 2, &s,
                            &err) == OV_EMODEL &&
           v == NULL && strstr(err.text, "column 14") != NULL,
       "damage in them: %s", err.text);
}

static void
test_skip(void)
{
    static const char text[] = "[[1,[2,{\"a\":[]}]],{\"b\":{}},3,\"x\"]";
    struct ov_json_pull p;
    int e = 0, n = 0;

    ov_json_pull_open(&p, text, sizeof text - 1, "mem");
    ok(ov_json_pull_next(&p, &err) == OV_JSON_ARRAY, "an array begins");
    while ((e = ov_json_pull_next(&p, &err)) >= 0 && e != OV_JSON_CLOSE) {
        if (ov_json_pull_skip(&p, e, &err) != OV_OK)
            break;
        n++;
    }
    ok(n == 4 && e == OV_JSON_CLOSE, "four elements are skipped whole");
    ok(ov_json_pull_next(&p, &err) == OV_JSON_END &&
           ov_json_pull_next(&p, &err) == OV_JSON_END,
       "the end, and it stays");
    ov_json_pull_close(&p);
}

int
main(void)
{
    test_values();
    test_refused();
    test_cut();
    test_depth();
    test_members();
    test_path();
    test_taps();
    test_skip();
    return tap_done();
}
