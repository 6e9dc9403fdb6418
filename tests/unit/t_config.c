/* SPDX-License-Identifier: BSD-2-Clause */
/* model/config and base/json: numbers and strings by path.
 * In: nothing.  Out: TAP. */
#include "model/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/unit/tap.h"

static char path[] = "/tmp/t_config.XXXXXX";
static struct ov_err err;

static void
spill(const char *text)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void
test_values(void)
{
    struct ov_config *c = NULL;
    const char *s;
    double d;
    bool b;
    long k;

    spill("{\"name\": \"x\", \"a\": {\"n\": 12, \"e\": 1e-5, \"i\": 3.0,"
          " \"t\": true, \"l\": [4, {\"m\": 5}]}, \"z\": null}");
    ok(ov_config_open(&c, path, &err) == OV_OK, "open");
    ok(ov_config_string(c, "name", &s, &err) == OV_OK && strcmp(s, "x") == 0,
       "a string");
    ok(ov_config_int(c, "a.n", 1, 12, &k, &err) == OV_OK && k == 12,
       "an integer");
    ok(ov_config_double(c, "a.e", &d, &err) == OV_OK && d == 1e-5, "a number");
    ok(ov_config_double(c, "a.n", &d, &err) == OV_OK && d == 12,
       "an integer is a number");
    ok(ov_config_bool(c, "a.t", &b, &err) == OV_OK && b, "true");
    ok(ov_config_int(c, "a.l.0", 0, 9, &k, &err) == OV_OK && k == 4 &&
           ov_config_int(c, "a.l.1.m", 0, 9, &k, &err) == OV_OK && k == 5,
       "elements of a list");
    ok(ov_config_size(c, "a.l") == 2 && ov_config_size(c, "a") == 5 &&
           ov_config_size(c, "name") == 0,
       "sizes");
    ok(ov_config_has(c, "z") && ov_config_has(c, "a.l.1") &&
           !ov_config_has(c, "a.l.2") && !ov_config_has(c, "a.l.x") &&
           !ov_config_has(c, "") && !ov_config_has(c, "a.") &&
           !ov_config_has(c, "name.x"),
       "what is there and what not");
    k = -1;
    ok(ov_config_int(c, "a.n", 13, 20, &k, &err) == OV_EMODEL && k == -1,
       "out of range: %s", err.text);
    ok(ov_config_int(c, "a.i", 0, 9, &k, &err) == OV_EMODEL,
       "3.0 is no integer: %s", err.text);
    ok(ov_config_int(c, "a.q", 0, 9, &k, &err) == OV_EMODEL &&
           strstr(err.text, "missing") != NULL,
       "missing: %s", err.text);
    ok(ov_config_string(c, "a.n", &s, &err) == OV_EMODEL &&
           ov_config_double(c, "name", &d, &err) == OV_EMODEL &&
           ov_config_bool(c, "a.n", &b, &err) == OV_EMODEL,
       "other types: %s", err.text);
    ov_config_close(c);
}

static void
test_refusals(void)
{
    static const char *const t[] = {"",
                                    "[]",
                                    "3",
                                    "{\"a\":1,\"a\":2}",
                                    "{\"a\":1} x",
                                    "{\"a\":01}",
                                    "{\"a\":\"\xff\"}",
                                    "{'a':1}",
                                    "{\"a\":1e999}"};
    struct ov_config *c;
    char *deep;
    size_t i;

    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        spill(t[i]);
        ok(ov_config_open(&c, path, &err) == OV_EMODEL && c == NULL,
           "refused: %s", err.text);
    }
    deep = malloc(200001);
    if (deep == NULL)
        abort();
    memset(deep, '[', 200000);
    deep[200000] = '\0';
    spill(deep);
    ok(ov_config_open(&c, path, &err) == OV_EMODEL, "refused: 200000 deep");
    free(deep);
    ok(ov_config_open(&c, "/nowhere/config.json", &err) == OV_EMODEL,
       "no file: %s", err.text);
    ok(ov_config_open(&c, "/tmp", &err) < 0, "a directory: %s", err.text);
}

static void
test_quote(void)
{
    static const char all[] = "a\"\\\n\t\x01\x7f\xc3\xa9\xf0\x9f\x98\x80/";
    struct ov_json *root = NULL;
    char *s = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&s, &n);

    if (f == NULL)
        abort();
    ov_json_quote(f, all, sizeof all - 1);
    fclose(f);
    ok(ov_json_parse(&root, s, n, "mem", &err) == OV_OK &&
           strcmp(ov_json_string(root), all) == 0,
       "a string comes back");
    ov_json_free(root);
    free(s);
    f = open_memstream(&s, &n);
    if (f == NULL)
        abort();
    ov_json_quote(f, "a\xff\xc3", 3);
    fclose(f);
    ok(n == 9 && memcmp(s, "\"a\xef\xbf\xbd\xef\xbf\xbd\"", 9) == 0,
       "what is no UTF-8 is replaced");
    free(s);
}

int
main(void)
{
    int fd = mkstemp(path);

    if (fd < 0)
        return 99;
    close(fd);
    test_values();
    test_refusals();
    test_quote();
    unlink(path);
    return tap_done();
}
