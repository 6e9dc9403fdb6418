/* SPDX-License-Identifier: BSD-2-Clause */
/* model/import: what is hostile in what it reads, its own record and the
 * index of shards; nothing is left of what it refuses.
 * In: files made here, damaged at random.  Out: TAP. */
#include "model/import.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 2048 };

static char top[] = "/tmp/t_import.XXXXXX";
static char path[600];
static struct ov_err err;

static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void
put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static void
put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void
weights(const char *file, const char *name, float x)
{
    struct ov_array t = {.name = (char *)(uintptr_t)name,
                         .dtype = OV_F32,
                         .rank = 1,
                         .shape = {1},
                         .data = &x};

    if (ov_weights_write(at(file), &t, 1, NULL, 0, 0, &err) != OV_OK)
        abort();
}

static int asked, stop_at = -1;
static enum ov_quantise as = OV_QUANTISE_NOT;

static bool
stop(void)
{
    return asked++ == stop_at;
}

static int
import(const char *from, const char *name, bool force)
{
    static struct ov_import r;
    char source[600], home[600];
    struct ov_import_options o = {
        .name = name, .to = home, .force = force, .as = as, .stop = stop};

    asked = 0;

    snprintf(source, sizeof source, "%s", at(from));
    snprintf(home, sizeof home, "%s", at("home"));
    err = (struct ov_err){0};
    return ov_model_import(&r, source, &o, &err);
}

/* Names in a directory, . and .. not counted; -1: there is none. */
static int
count(const char *dir)
{
    struct dirent *e;
    int n = 0;
    DIR *d = opendir(at(dir));

    if (d == NULL)
        return -1;
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static const char INDEX[] =
    "{\"weight_map\": {\"wte.weight\": \"a.safetensors\",\n"
    "  \"wpe.weight\": \"b.safetensors\", \"x\": \"a.safetensors\"}}\n";

static void
make_source(void)
{
    struct ov_array t[2];
    float x[2] = {1, 2};
    static char n0[] = "wte.weight", n1[] = "x";

    mkdir(at("home"), 0700);
    mkdir(at("gpt"), 0700);
    put_text("gpt/config.json", "{\"model_type\": \"gpt2\"}");
    put_text("gpt/tokenizer.json", "{}");
    put_text("gpt/model.safetensors.index.json", INDEX);
    t[0] = (struct ov_array){
        .name = n0, .dtype = OV_F32, .rank = 1, .shape = {1}, .data = x};
    t[1] = t[0];
    t[1].name = n1;
    if (ov_weights_write(at("gpt/a.safetensors"), t, 2, NULL, 0, 0, &err) !=
        OV_OK)
        abort();
    weights("gpt/b.safetensors", "wpe.weight", 3);
}

static void
plain(void)
{
    size_t n;

    ok(import("gpt", "g", false) == OV_OK && count("home/g") == 6,
       "an index, its two shards, each once");
    ok(ov_import_check(at("home/g"), &n, &err) == OV_OK && n == 5, "checked");
    ok(import("gpt", "g", false) == OV_EUSAGE && count("home") == 1,
       "not twice");
    ok(import("gpt", "g", true) == OV_OK && count("home") == 1, "but by force");
    weights("gpt/b.safetensors", "wpe.weight", INFINITY);
    ok(import("gpt", "h", false) == OV_EMODEL &&
           strstr(err.text, "not finite") != NULL &&
           strstr(err.text, at("gpt/b.safetensors: ")) != NULL &&
           count("home") == 1,
       "a value that is infinite: nothing is left");
    ok(import("gpt", "g", true) == OV_EMODEL &&
           ov_import_check(at("home/g"), &n, &err) == OV_OK && n == 5,
       "and what was there is there");
    weights("gpt/b.safetensors", "wpe.weight", 3);
    unlink(at("gpt/a.safetensors"));
    mkdir(at("gpt/a.safetensors"), 0700);
    ok(import("gpt", "h", false) == OV_EMODEL &&
           strstr(err.text, "not a regular file") != NULL && count("home") == 1,
       "a directory for a shard");
    rmdir(at("gpt/a.safetensors"));
    make_source();
}

/* Given up anywhere, nothing is left. */
static void
given_up(enum ov_quantise how)
{
    int rc;

    as = how;
    for (stop_at = 0; (rc = import("gpt", "s", false)) == OV_ERUN; stop_at++)
        if (count("home") != 1 || strcmp(err.text, "stopped") != 0)
            break;
    ok(rc == (how == OV_QUANTISE_NOT ? OV_OK : OV_EMODEL) && stop_at > 2 &&
           asked == stop_at,
       "given up %d times: nothing is left; %s", stop_at, err.text);
    stop_at = -1;
    as = OV_QUANTISE_NOT;
}

static void
named(const char *shard, const char *fact)
{
    char text[300];

    snprintf(text, sizeof text, "{\"weight_map\": {\"x\": \"%s\"}}", shard);
    put_text("gpt/model.safetensors.index.json", text);
    ok(import("gpt", "h", false) == OV_EMODEL &&
           strstr(err.text, fact) != NULL && count("home") == 1,
       "a shard called %s", shard);
}

static const char *const words[] = {"\"",
                                    "{",
                                    "}",
                                    "../",
                                    "/etc/passwd",
                                    "config.json",
                                    ".",
                                    "import.json",
                                    "size",
                                    "-1",
                                    "null",
                                    "crc32",
                                    "[]",
                                    ":",
                                    "a.safetensors",
                                    "99999999999999999999",
                                    NULL};

/* An index at random: it is taken whole, or refused and nothing is left. */
static void
random_index(int times)
{
    uint8_t p[ROOM];
    size_t n;
    int i, taken = 0, rc;

    for (i = 0; i < times; i++) {
        memcpy(p, INDEX, sizeof INDEX - 1);
        n = mutate(p, sizeof INDEX - 1, ROOM, words);
        put("gpt/model.safetensors.index.json", p, n);
        rc = import("gpt", "r", true);
        taken += rc == OV_OK;
        if ((rc != OV_OK && rc != OV_EMODEL && rc != OV_ERUN) ||
            rc != err.code || count("home") > 2 ||
            access(at("home/r.part"), F_OK) == 0)
            break;
    }
    ok(i == times && taken > 0 && taken < times,
       "%d indices at random, %d taken", i, taken);
}

/* The record at random: right, or refused. */
static void
random_record(int times)
{
    uint8_t good[ROOM], p[ROOM];
    size_t n, m, files;
    FILE *f = fopen(at("home/g/import.json"), "rb");
    int i, whole = 0, rc;

    if (f == NULL)
        abort();
    n = fread(good, 1, ROOM, f);
    fclose(f);
    for (i = 0; i < times; i++) {
        memcpy(p, good, n);
        m = mutate(p, n, ROOM, words);
        put("home/g/import.json", p, m);
        err = (struct ov_err){0};
        rc = ov_import_check(at("home/g"), &files, &err);
        whole += rc == OV_OK;
        if ((rc != OV_OK && rc != OV_EMODEL) || rc != err.code)
            break;
    }
    ok(i == times && whole > 0 && whole < times,
       "%d records at random, %d hold", i, whole);
    put("home/g/import.json", good, n);
}

static void
outside(const char *name)
{
    char text[400];
    size_t n;

    snprintf(text, sizeof text,
             "{\"files\": {\"%s\": {\"size\": 0, \"crc32\": \"00000000\"}}}",
             name);
    put_text("home/g/import.json", text);
    ok(ov_import_check(at("home/g"), &n, &err) == OV_EMODEL &&
           strstr(err.text, "is not a file's name") != NULL,
       "a record that leads to %s", name);
}

int
main(void)
{
    int times = mutate_times(2000);
    char command[700];

    if (mkdtemp(top) == NULL)
        abort();
    make_source();
    plain();
    given_up(OV_QUANTISE_I8);
    given_up(OV_QUANTISE_NOT);
    snprintf(command, sizeof command, "rm -rf %s", at("home/s"));
    if (system(command) != 0)
        abort();
    named("../x.safetensors", "not in a file beside it");
    named("/etc/passwd", "not in a file beside it");
    named(".hidden", "not in a file beside it");
    named("none.safetensors", "No such file");
    put_text("gpt/model.safetensors.index.json", INDEX);
    random_record(times);
    random_index(times / 10);
    outside("../config.json");
    outside("/etc/passwd");
    outside("a/../b");
    snprintf(command, sizeof command, "rm -rf %s", top);
    if (system(command) != 0)
        abort();
    return tap_done();
}
