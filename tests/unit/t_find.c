/* SPDX-License-Identifier: BSD-2-Clause */
/* model/find and model/check: where models are, who they are, if whole.
 * In: nothing.  Out: TAP. */
#include "model/find.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/check.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/t_find.XXXXXX";
static struct ov_err err;

/* A path below dir, in one of four buffers that take turns. */
__attribute__((format(printf, 1, 2))) static const char *
at(const char *fmt, ...)
{
    static char s[4][300];
    static int turn;
    va_list ap;
    int k;

    turn = (turn + 1) % 4;
    k = snprintf(s[turn], sizeof s[turn], "%s/", dir);
    va_start(ap, fmt);
    vsnprintf(s[turn] + k, sizeof s[turn] - (size_t)k, fmt, ap);
    va_end(ap);
    return s[turn];
}

static void
spill(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void
model(const char *where, const char *name, const char *config)
{
    mkdir(at("%s", where), 0777);
    mkdir(at("%s/%s", where, name), 0777);
    spill(at("%s/%s/config.json", where, name), config);
}

/* Is that where find finds it? */
static int
found(const char *name, const char *want)
{
    char *got;
    int rc = ov_model_find(name, &got, &err);
    int same = rc == OV_OK && strcmp(got, want) == 0;

    if (!same)
        diag("%s", rc < 0 ? err.text : got);
    free(got);
    return same;
}

static void
test_find(void)
{
    char *got, **names = NULL, env[700];
    size_t n;

    model("one", "default", "{}");
    model("two", "default", "{}");
    model("two", "b", "{}");
    model("two", "a", "{}");
    mkdir(at("two/empty"), 0777);
    mkdir(at("xdg"), 0777);
    mkdir(at("xdg/ov"), 0777);
    model("xdg/ov/models", "c", "{}");
    snprintf(env, sizeof env, ":%s:/nowhere:%s:", at("one"), at("two"));
    setenv("OV_MODEL_PATH", env, 1);
    setenv("XDG_DATA_HOME", at("xdg"), 1);
    setenv("XDG_DATA_DIRS", "/nowhere", 1);
    ok(found(NULL, at("one/default")), "the default, in the first that has it");
    ok(found("a", at("two/a")), "by name");
    ok(found("c", at("xdg/ov/models/c")), "in the user's data");
    ok(found(at("two/b"), at("two/b")), "by path");
    ok(ov_model_find("empty", &got, &err) == OV_EMODEL && got == NULL,
       "a directory without config.json is none: %s", err.text);
    ok(strstr(err.text, at("two")) != NULL, "it says where was looked");
    ok(ov_model_find("..", &got, &err) == OV_EMODEL, "no name: %s", err.text);
    ok(ov_model_find("", &got, &err) == OV_EMODEL, "no name: %s", err.text);
    ok(ov_model_find("/nowhere/x", &got, &err) == OV_EMODEL, "no path: %s",
       err.text);
    ok(ov_model_find(at("two/b/config.json"), &got, &err) == OV_EMODEL,
       "a file is no model: %s", err.text);
    ok(ov_model_list(&names, &err) == OV_OK, "list");
    for (n = 0; names != NULL && names[n] != NULL;)
        n++;
    ok(n >= 4 && strcmp(names[0], "default") == 0 &&
           strcmp(names[1], "a") == 0 && strcmp(names[2], "b") == 0 &&
           strcmp(names[3], "c") == 0,
       "each name once, by directory");
    ov_model_list_free(names);
    setenv("XDG_DATA_HOME", "", 1);
    setenv("HOME", at("home"), 1);
    ok(ov_model_find("c", &got, &err) == OV_EMODEL &&
           strstr(err.text, "/home/.local/share/ov/models") != NULL,
       "without XDG_DATA_HOME, below HOME");
}

static float values[8] = {1, 2, 3};
static char name[] = "w";

static void
weights(const char *path, int dim)
{
    struct ov_array a = {.name = name, .rank = 1, .shape = {dim}};

    a.data = values;
    if (ov_weights_write(path, &a, 1, NULL, 0, 0, &err) < 0)
        abort();
}

static void
test_id(void)
{
    char id[96] = "", other[96];

    model("one", "i", "{\"name\": \"tiny\", \"x\": 1}");
    weights(at("one/i/a.safetensors"), 3);
    ok(ov_model_id(at("one/i"), id, &err) == OV_OK &&
           strncmp(id, "tiny-", 5) == 0 && strlen(id) == 13,
       "an identity: %s", id);
    ok(ov_model_id(at("one/i/"), other, &err) == OV_OK &&
           strcmp(id, other) == 0,
       "the same again");
    spill(at("one/i/notes"), "x");
    ok(ov_model_id(at("one/i"), other, &err) == OV_OK && strcmp(id, other) == 0,
       "other files do not count");
    weights(at("one/i/a.safetensors"), 4);
    ok(ov_model_id(at("one/i"), other, &err) == OV_OK && strcmp(id, other) != 0,
       "other weights, another: %s", other);
    weights(at("one/i/a.safetensors"), 3);
    spill(at("one/i/config.json"), "{\"name\": \"tiny\", \"x\": 2}");
    ok(ov_model_id(at("one/i"), other, &err) == OV_OK && strcmp(id, other) != 0,
       "another config.json, another: %s", other);
    spill(at("one/i/config.json"), "{\"x\": 2}");
    ok(ov_model_id(at("one/i/"), other, &err) == OV_OK &&
           strncmp(other, "i-", 2) == 0,
       "no name: the directory's: %s", other);
    spill(at("one/i/config.json"), "{\"name\": \"a b/\\u001b\"}");
    ok(ov_model_id(at("one/i"), other, &err) == OV_OK &&
           strncmp(other, "a_b__-", 6) == 0,
       "odd characters are replaced: %s", other);
    ok(ov_model_id(at("two/empty"), other, &err) == OV_EMODEL,
       "none without config.json: %s", err.text);
}

/* One line that says what is wrong with one/k. */
static int
damaged(const char *fact)
{
    struct ov_check sum;
    int rc = ov_model_check(at("one/k"), &sum, &err);

    return rc == OV_EMODEL && strstr(err.text, fact) != NULL &&
           strchr(err.text, '\n') == NULL;
}

static void
test_check(void)
{
    static char first[] = "a.safetensors", second[] = "t.json";
    char *const names[] = {first, second};
    char *text = NULL, config[600];
    struct ov_check sum;
    size_t n = 0;
    FILE *f;

    model("one", "k", "{}");
    weights(at("one/k/a.safetensors"), 3);
    spill(at("one/k/t.json"), "{}");
    ok(ov_model_check(at("one/k"), &sum, &err) == OV_OK && sum.files == 0 &&
           sum.weights == 1 && sum.tensors == 1 && sum.values == 3,
       "whole, as far as can be said");
    f = open_memstream(&text, &n);
    if (f == NULL || ov_model_manifest(at("one/k"), names, 2, f, &err) < 0 ||
        fclose(f) != 0)
        abort();
    snprintf(config, sizeof config, "{%s}", text);
    free(text);
    spill(at("one/k/config.json"), config);
    ok(ov_model_check(at("one/k"), &sum, &err) == OV_OK && sum.files == 2,
       "whole by its checksums");
    spill(at("one/k/t.json"), "[]");
    ok(damaged("checksum"), "another content: %s", err.text);
    spill(at("one/k/t.json"), "[");
    ok(damaged("config.json says 2"), "another size: %s", err.text);
    unlink(at("one/k/t.json"));
    ok(damaged("No such file"), "missing: %s", err.text);
    spill(at("one/k/config.json"), "{\"files\":{\"../x\":{\"size\":1,"
                                   "\"crc32\":\"00000000\"}}}");
    ok(damaged("not a file's name"), "a path: %s", err.text);
    spill(at("one/k/config.json"), "{\"files\":{\"x\":{\"size\":1,"
                                   "\"crc32\":\"0000000g\"}}}");
    ok(damaged("size and crc32"), "no checksum: %s", err.text);
    spill(at("one/k/config.json"), "{\"files\":[]}");
    ok(damaged("not an object"), "a list: %s", err.text);
    spill(at("one/k/config.json"), "{");
    ok(damaged("config.json"), "no JSON: %s", err.text);
    spill(at("one/k/config.json"), "{}");
    values[1] = NAN;
    weights(at("one/k/a.safetensors"), 3);
    ok(damaged("value 1 is not finite"), "not finite: %s", err.text);
    values[1] = 2;
    spill(at("one/k/a.safetensors"), "123456789");
    ok(damaged("a.safetensors"), "no weights: %s", err.text);
}

int
main(void)
{
    char rm[300];

    if (mkdtemp(dir) == NULL)
        return 99;
    test_find();
    test_id();
    test_check();
    snprintf(rm, sizeof rm, "rm -rf %s", dir);
    if (system(rm) != 0)
        diag("%s is left", dir);
    return tap_done();
}
