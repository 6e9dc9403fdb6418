/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of weights under random input.  Built with -fsanitize=fuzzer
 * and -DOV_LIBFUZZER it is a libFuzzer target; alone it runs a bounded
 * number of mutations of good files, plain and packed.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/check.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All that can be asked of what was accepted. */
static void
use(struct ov_weights *w)
{
    const struct ov_array *a;
    struct ov_err err;
    float *y;
    size_t i;

    for (i = 0; i < ov_weights_count(w); i++) {
        a = ov_weights_at(w, i);
        if (ov_weights_get(w, a->name) != a)
            abort();
        y = malloc((size_t)a->count * sizeof *y + 1);
        if (y != NULL)
            ov_array_to_f32(a, y, &err);
        free(y);
    }
    ov_weights_check(w, "fuzz", &err);
    ov_weights_meta(w, "format");
}

static char path[64];

static void
remove_path(void)
{
    unlink(path);
}

/* The packed way needs a file: in memory, by a name on the disk. */
static void
open_packed(struct ov_weights **w, const uint8_t *data, size_t n)
{
    static int fd = -1;
    struct ov_err err;
    char link[64];

    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)getpid(), fd);
        snprintf(path, sizeof path, "/tmp/t_fuzz.%ld.zst", (long)getpid());
        if (fd < 0 || symlink(link, path) < 0 || atexit(remove_path) != 0)
            abort();
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    if (ov_weights_open(w, path, &err) < 0)
        *w = NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_weights *w = NULL;
    struct ov_err err;

    if (n > 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0)
        open_packed(&w, data, n);
    else if (ov_weights_parse(&w, data, n, "fuzz", &err) < 0)
        return 0;
    if (w != NULL)
        use(w);
    ov_weights_close(w);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1 << 14 };

static const char *const words[] = {"\"F32\"", "\"BF16\"", "[0,", "[]",
                                    "{}",      "99999999", "-1",  "1e9",
                                    "[1,",     "__meta",   "]}",  NULL};

/* A good file, into p; its length. */
static size_t
good(uint8_t *p, int level)
{
    static const char *const meta[][2] = {{"format", "ov"}};
    static char a[] = "a.weight", b[] = "b", c[] = "c";
    static const float x[24];
    const struct ov_array t[] = {
        {.name = a, .dtype = OV_F32, .rank = 2, .shape = {2, 3}, .data = x},
        {.name = b, .dtype = OV_BF16, .rank = 1, .shape = {5}, .data = x},
        {.name = c, .dtype = OV_BOOL, .rank = 0, .data = x}};
    char name[64];
    struct ov_err err;
    size_t n;
    FILE *f;

    snprintf(name, sizeof name, "/tmp/t_fuzz.%ld", (long)getpid());
    if (ov_weights_write(name, t, 3, meta, 1, level, &err) < 0)
        abort();
    f = fopen(name, "rb");
    if (f == NULL)
        abort();
    n = fread(p, 1, ROOM, f);
    fclose(f);
    unlink(name);
    return n;
}

static void
run(int level, int times)
{
    static uint8_t from[ROOM], p[ROOM];
    size_t n = good(from, level), m;
    int i;

    for (i = 0; i < times; i++) {
        memcpy(p, from, n);
        m = mutate(p, n, ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, m);
    }
    ok(1, "%d mutations at level %d", times, level);
}

int
main(void)
{
    int times = mutate_times(20000);

    run(0, times);
    run(3, times / 20);
    return tap_done();
}
#endif
