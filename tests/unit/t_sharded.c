/* SPDX-License-Identifier: BSD-2-Clause */
/* model/sharded: weights in one file or many, and damaged indices.
 * In: nothing.  Out: TAP. */
#include "model/sharded.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 4096 };

static char dir[] = "/tmp/t_sharded.XXXXXX";
static char path[256];
static struct ov_err err;

static const char INDEX[] = "{\"metadata\":{\"total_size\":40},\"weight_map\":{"
                            "\"a.weight\":\"model-00001-of-00002.safetensors\","
                            "\"b.weight\":\"model-00002-of-00002.safetensors\","
                            "\"b.bias\":\"model-00002-of-00002.safetensors\"}}";
static const char NAME[] = "model.safetensors.index.json";

static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void
put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* A file with one or two tensors of small numbers. */
static void
shard(const char *file, const char *one, const char *two)
{
    static const float x[] = {1, 2, 3, 4, 5, 6};
    char a[32], b[32];
    struct ov_array t[2] = {
        {.name = a, .dtype = OV_F32, .rank = 2, .shape = {2, 3}, .data = x},
        {.name = b, .dtype = OV_F32, .rank = 1, .shape = {2}, .data = x}};

    snprintf(a, sizeof a, "%s", one);
    snprintf(b, sizeof b, "%s", two != NULL ? two : "");
    if (ov_weights_write(at(file), t, two != NULL ? 2 : 1, NULL, 0, 0, &err) <
        0)
        abort();
}

static void
good(void)
{
    struct ov_weights *w = NULL;
    const struct ov_array *a;

    ok(ov_weights_open_model(&w, dir, &err) == OV_EMODEL, "empty: %s",
       err.text);
    shard("model-00001-of-00002.safetensors", "a.weight", NULL);
    shard("model-00002-of-00002.safetensors", "b.weight", "b.bias");
    put(NAME, INDEX, sizeof INDEX - 1);
    ok(ov_weights_open_model(&w, dir, &err) == OV_OK, "directory of shards");
    ok(ov_weights_count(w) == 3, "all tensors");
    a = ov_weights_get(w, "b.bias");
    ok(a != NULL && a->count == 2 && ((const float *)a->data)[1] == 2,
       "of the second file");
    ok(ov_weights_get(w, "a.bias") == NULL, "what is not there");
    ov_weights_close(w);
    ok(ov_weights_open_model(&w, at(NAME), &err) == OV_OK, "the index itself");
    ov_weights_close(w);
    ok(ov_weights_open_model(&w, at("model-00001-of-00002.safetensors"),
                             &err) == OV_OK &&
           ov_weights_count(w) == 1,
       "a file alone");
    ov_weights_close(w);
    shard("model.safetensors", "whole", NULL);
    ok(ov_weights_open_model(&w, dir, &err) == OV_OK &&
           ov_weights_get(w, "whole") != NULL,
       "one file goes before shards");
    ov_weights_close(w);
    unlink(at("model.safetensors"));
}

static void
refused(const char *index)
{
    struct ov_weights *w = NULL;

    put(NAME, index, strlen(index));
    ok(ov_weights_open_model(&w, dir, &err) == OV_EMODEL && w == NULL, "%s",
       err.text);
}

static void
bad(void)
{
    refused("[]");
    refused("{\"weight_map\":{}}");
    refused("{\"weight_map\":{\"a.weight\":1}}");
    refused("{\"weight_map\":{\"a.weight\":\"../a\"}}");
    refused("{\"weight_map\":{\"a.weight\":\"/etc/passwd\"}}");
    refused("{\"weight_map\":{\"a.weight\":\"\"}}");
    refused("{\"weight_map\":{\"a.weight\":\"..\"}}");
    refused("{\"weight_map\":{\"a.weight\":\"no-such-file\"}}");
    refused("{\"weight_map\":{\"a.weight\":\"model.safetensors.index.json\"}}");
    refused("{\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\"}}");
}

/* Whatever the index says: an error or weights that can be asked. */
static void
fuzz(int times)
{
    static const char *const words[] = {
        "{}", "[]", "null", "\"\"", "..", "weight_map", "/", "b.bias", NULL};
    static uint8_t p[ROOM];
    struct ov_weights *w;
    int i, opened = 0;
    size_t n, k;

    for (i = 0; i < times; i++) {
        memcpy(p, INDEX, sizeof INDEX - 1);
        n = mutate(p, sizeof INDEX - 1, ROOM, words);
        put(NAME, p, n);
        if (ov_weights_open_model(&w, dir, &err) != OV_OK) {
            if (w != NULL || err.text[0] == '\0')
                abort();
            continue;
        }
        for (k = 0; k < ov_weights_count(w); k++)
            if (ov_weights_get(w, ov_weights_at(w, k)->name) == NULL)
                abort();
        ov_weights_close(w);
        opened++;
    }
    ok(opened < times, "%d mutations, %d of them still good", times, opened);
}

int
main(void)
{
    if (mkdtemp(dir) == NULL)
        return 99;
    good();
    bad();
    fuzz(mutate_times(2000));
    unlink(at(NAME));
    unlink(at("model-00001-of-00002.safetensors"));
    unlink(at("model-00002-of-00002.safetensors"));
    rmdir(dir);
    return tap_done();
}
