/* SPDX-License-Identifier: BSD-2-Clause */
/* Archives of PyTorch with random weights.
 * In: names and shapes.  Out: a file that torch.load reads, too. */
#include "tests/long/archive.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"

enum { GAINS = 1 << 18 };

static struct ov_array all[ARCHIVE_MAX];
static size_t count;
static float *values;    /* what every tensor is a part of */
static uint16_t *halves; /* the same */
static float *gains;     /* near 1 */
static bool wide;

void
die(const char *what)
{
    perror(what);
    exit(1);
}

void
archive_fill(size_t most)
{
    size_t n = most + 64 * ARCHIVE_MAX, i;
    uint32_t s = 1;

    values = malloc(n * sizeof *values);
    halves = malloc(n / 2 * sizeof *halves);
    gains = malloc(GAINS * sizeof *gains);
    if (values == NULL || halves == NULL || gains == NULL)
        die("memory");
    for (i = 0; i < n; i++) {
        s = s * 1664525 + 1013904223;
        values[i] = (float)((double)(s >> 8) / 16777216.0 - 0.5) * 0.06f;
        if (i < n / 2)
            halves[i] = ov_f32_to_f16(values[i]);
        if (i < GAINS)
            gains[i] = 1 + values[i];
    }
}

void
archive_wide(void)
{
    wide = true;
}

void
add(enum ov_dtype dtype, int64_t a, int64_t b, int64_t c, const char *fmt, ...)
{
    struct ov_array *t = &all[count];
    char name[120];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    dtype = wide && dtype == OV_F16 ? OV_F32 : dtype;
    if (count == ARCHIVE_MAX)
        abort();
    *t = (struct ov_array){.name = strdup(name),
                           .dtype = dtype,
                           .rank = c > 0   ? 3
                                   : b > 0 ? 2
                                           : 1,
                           .shape = {a, b, c},
                           .count = a * (b > 0 ? b : 1) * (c > 0 ? c : 1)};
    if (dtype == OV_F32)
        t->data = values + 64 * count;
    else
        t->data = halves + 64 * count;
    count++;
}

void
last_is_gain(void)
{
    struct ov_array *t = &all[count - 1];

    if (t->dtype != OV_F32 || t->count + 64 * ARCHIVE_MAX > GAINS)
        abort();
    t->data = gains + 64 * (count - 1);
}

void
last_is_4d(int64_t a, int64_t b, int64_t c, int64_t d)
{
    struct ov_array *t = &all[count - 1];
    const int64_t shape[] = {a, b, c, d};

    if (a * b * c * d != t->count)
        abort();
    t->rank = 4;
    memcpy(t->shape, shape, sizeof shape);
}

struct text {
    char *p;
    size_t n;
};

static void
put(FILE *f, const void *p, size_t n)
{
    if (fwrite(p, 1, n, f) != n)
        die("write");
}

static void
put_le(FILE *f, uint64_t v, int n)
{
    for (; n > 0; n--, v >>= 8)
        putc((int)(v & 0xff), f);
}

void
pickle_string(FILE *f, const char *s)
{
    putc('X', f);
    put_le(f, strlen(s), 4);
    put(f, s, strlen(s));
}

void
pickle_int(FILE *f, int64_t n)
{
    putc('J', f);
    put_le(f, (uint64_t)n, 4);
}

static void
pickle_tensor(FILE *f, const struct ov_array *a, size_t key)
{
    int64_t step = a->count;
    char number[24];
    int d;

    pickle_string(f, a->name);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((", f);
    pickle_string(f, "storage");
    fprintf(f, "ctorch\n%sStorage\n", a->dtype == OV_F32 ? "Float" : "Half");
    snprintf(number, sizeof number, "%zu", key);
    pickle_string(f, number);
    pickle_string(f, "cpu");
    pickle_int(f, a->count);
    fputs("tQ", f);
    pickle_int(f, 0);
    putc('(', f);
    for (d = 0; d < a->rank; d++)
        pickle_int(f, a->shape[d]);
    fputs("t(", f);
    for (d = 0; d < a->rank; d++)
        pickle_int(f, step /= a->shape[d]);
    fputs("t\x89"
          "ccollections\nOrderedDict\n)RtR",
          f);
}

void
pickle_tensors(FILE *f)
{
    size_t i;

    fputs("}(", f);
    for (i = 0; i < count; i++)
        pickle_tensor(f, &all[i], i);
    putc('u', f);
}

/* A member, its data at a multiple of 64 as PyTorch puts it; its entry of the
 * directory to dir. */
static void
put_member(FILE *f, FILE *dir, const char *name, const void *p, size_t n)
{
    size_t len = strlen(name);
    long at = ftell(f);
    size_t pad = 64 - ((size_t)at + 30 + len + 4) % 64;
    uint32_t crc = ov_crc32(0, p, n);

    put(f, "PK\3\4\24\0\0\0\0\0\0\0\0\0", 14);
    put_le(f, crc, 4);
    put_le(f, n, 4);
    put_le(f, n, 4);
    put_le(f, len, 2);
    put_le(f, pad + 4, 2);
    put(f, name, len);
    put(f, "FB", 2);
    put_le(f, pad, 2);
    for (; pad > 0; pad--)
        putc('Z', f);
    put(f, p, n);
    put(dir, "PK\1\2\24\0\24\0\0\0\0\0\0\0\0\0", 16);
    put_le(dir, crc, 4);
    put_le(dir, n, 4);
    put_le(dir, n, 4);
    put_le(dir, len, 2);
    put_le(dir, 0, 8);
    put_le(dir, 0, 4);
    put_le(dir, (uint64_t)at, 4);
    put(dir, name, len);
}

/* All tensors that were added, and none is left. */
void
write_archive(const char *path, void (*pickle)(FILE *))
{
    struct text p = {0}, d = {0};
    FILE *f = fopen(path, "wb"), *text, *dir;
    char name[40];
    size_t i;
    long at;

    if (f == NULL)
        die(path);
    text = open_memstream(&p.p, &p.n);
    dir = open_memstream(&d.p, &d.n);
    if (text == NULL || dir == NULL)
        die("memory");
    fputs("\x80\x02", text);
    pickle(text);
    putc('.', text);
    fclose(text);
    put_member(f, dir, "a/data.pkl", p.p, p.n);
    for (i = 0; i < count; i++) {
        snprintf(name, sizeof name, "a/data/%zu", i);
        put_member(f, dir, name, all[i].data,
                   (size_t)all[i].count * ov_dtype_size(all[i].dtype));
    }
    put_member(f, dir, "a/version", "3\n", 2);
    fclose(dir);
    at = ftell(f);
    put(f, d.p, d.n);
    put(f, "PK\5\6\0\0\0\0", 8);
    put_le(f, count + 2, 2);
    put_le(f, count + 2, 2);
    put_le(f, d.n, 4);
    put_le(f, (uint64_t)at, 4);
    put_le(f, 0, 2);
    if (fclose(f) != 0)
        die(path);
    free(p.p);
    free(d.p);
    for (i = 0; i < count; i++)
        free(all[i].name);
    count = 0;
}
