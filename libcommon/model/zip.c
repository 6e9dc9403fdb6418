/* SPDX-License-Identifier: BSD-2-Clause */
/* ZIP archives whose members are stored, not compressed.
 * In: a file in memory.  Out: where each member's bytes are. */
#include "model/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MAX = 65535
};

struct ov_zip {
    struct ov_zip_member *members;
    size_t count;
};

/* The archive while its directory is read. */
struct archive {
    const unsigned char *p;
    uint64_t n;
    const char *file;
};

static unsigned
le16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t
le32(const unsigned char *p)
{
    return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static uint64_t
le64(const unsigned char *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static int
bad(const struct archive *a, const char *fact, struct ov_err *err)
{
    return ov_err_set(err, OV_EMODEL, "%s: zip archive: %s", a->file, fact);
}

/* Are there n bytes at offset at, and are they before limit? */
static bool
inside(uint64_t at, uint64_t n, uint64_t limit)
{
    return at <= limit && n <= limit - at;
}

/* The end record is the last thing but a comment: its offset, or n. */
static uint64_t
find_end(const struct archive *a)
{
    uint64_t back, at;

    for (back = END_BYTES; back <= a->n && back <= END_BYTES + COMMENT_MAX;
         back++) {
        at = a->n - back;
        if (memcmp(a->p + at, "PK\5\6", 4) == 0 &&
            le16(a->p + at + 20) == back - END_BYTES)
            return at;
    }
    return a->n;
}

/* Where the directory is: offset, bytes, entries. */
struct directory {
    uint64_t at, n, count;
};

static int
read_end64(const struct archive *a, uint64_t end, struct directory *d,
           struct ov_err *err)
{
    const unsigned char *p;
    uint64_t at;

    if (end < LOCATOR_BYTES ||
        memcmp(a->p + end - LOCATOR_BYTES, "PK\6\7", 4) != 0)
        return bad(a, "no ZIP64 locator", err);
    at = le64(a->p + end - LOCATOR_BYTES + 8);
    if (!inside(at, END64_BYTES, end - LOCATOR_BYTES) ||
        memcmp(a->p + at, "PK\6\6", 4) != 0)
        return bad(a, "no ZIP64 end record", err);
    p = a->p + at;
    if (le32(p + 16) != 0 || le32(p + 20) != 0 || le64(p + 24) != le64(p + 32))
        return bad(a, "in several parts", err);
    *d = (struct directory){le64(p + 48), le64(p + 40), le64(p + 32)};
    return OV_OK;
}

static int
find_directory(const struct archive *a, struct directory *d, struct ov_err *err)
{
    uint64_t end = find_end(a);
    const unsigned char *p = a->p + end;
    int rc = OV_OK;

    if (end == a->n)
        return bad(a, "no end record: the file is cut short or damaged", err);
    if (le16(p + 4) == 0xffff || le16(p + 8) == 0xffff ||
        le16(p + 10) == 0xffff || le32(p + 12) == 0xffffffff ||
        le32(p + 16) == 0xffffffff)
        rc = read_end64(a, end, d, err);
    else if (le16(p + 4) != 0 || le16(p + 6) != 0 ||
             le16(p + 8) != le16(p + 10))
        return bad(a, "in several parts", err);
    else
        *d = (struct directory){le32(p + 16), le32(p + 12), le16(p + 10)};
    if (rc == OV_OK && !inside(d->at, d->n, end))
        return bad(a, "its directory is outside of the file", err);
    if (rc == OV_OK && d->count > d->n / ENTRY_BYTES)
        return bad(a, "its directory is too short", err);
    return rc;
}

/* The 8-byte numbers of the ZIP64 field stand for those of size, packed and
 * at that are all ones, in this order. */
static bool
read_extra64(const unsigned char *p, size_t n, uint64_t *size, uint64_t *packed,
             uint64_t *at)
{
    uint64_t *const v[] = {size, packed, at};
    size_t i, id, len;

    if (*size != 0xffffffff && *packed != 0xffffffff && *at != 0xffffffff)
        return true;
    for (; n >= 4; p += 4 + len, n -= 4 + len) {
        id = le16(p);
        len = le16(p + 2);
        if (len > n - 4)
            return false;
        if (id != 1)
            continue;
        p += 4;
        for (i = 0; i < 3; i++) {
            if (*v[i] != 0xffffffff)
                continue;
            if (len < 8)
                return false;
            *v[i] = le64(p);
            p += 8;
            len -= 8;
        }
        return true;
    }
    return false;
}

/* One entry of the directory at p, of which n bytes are left.  *used: how
 * many it takes.  data_end: where members must have ended. */
static int
read_entry(const struct archive *a, const unsigned char *p, uint64_t n,
           uint64_t data_end, struct ov_zip_member *m, size_t *used,
           struct ov_err *err)
{
    uint64_t size, packed, at;
    size_t name, extra, local;

    if (n < ENTRY_BYTES || memcmp(p, "PK\1\2", 4) != 0)
        return bad(a, "its directory is damaged", err);
    name = le16(p + 28);
    extra = le16(p + 30);
    *used = ENTRY_BYTES + name + extra + le16(p + 32);
    if (*used > n)
        return bad(a, "its directory is damaged", err);
    packed = le32(p + 20);
    size = le32(p + 24);
    at = le32(p + 42);
    if (!read_extra64(p + ENTRY_BYTES + name, extra, &size, &packed, &at))
        return bad(a, "a ZIP64 field is damaged", err);
    if ((le16(p + 8) & 1) != 0)
        return bad(a, "a member is encrypted", err);
    if (!inside(at, LOCAL_BYTES, data_end) ||
        memcmp(a->p + at, "PK\3\4", 4) != 0)
        return bad(a, "a member is not where the directory says", err);
    local = LOCAL_BYTES + (size_t)le16(a->p + at + 26) + le16(a->p + at + 28);
    if (!inside(at, local, data_end) || !inside(at + local, packed, data_end))
        return bad(a, "a member is outside of the file", err);
    m->method = (int)le16(p + 10);
    if (m->method == 0 && size != packed)
        return bad(a, "a stored member has two sizes", err);
    m->name = (const char *)p + ENTRY_BYTES;
    m->name_len = name;
    m->crc32 = le32(p + 16);
    m->data = a->p + at + local;
    m->n = (size_t)packed;
    return OV_OK;
}

static int
compare(const char *x, size_t m, const char *y, size_t n)
{
    int c = memcmp(x, y, m < n ? m : n);

    return c != 0 ? c : m < n ? -1 : m > n;
}

static int
by_name(const void *pa, const void *pb)
{
    const struct ov_zip_member *a = pa, *b = pb;

    return compare(a->name, a->name_len, b->name, b->name_len);
}

static int
read_directory(struct ov_zip *z, const struct archive *a,
               const struct directory *d, struct ov_err *err)
{
    uint64_t at = d->at, left = d->n;
    size_t used = 0, i;
    int rc;

    for (i = 0; i < d->count; i++, at += used, left -= used) {
        rc = read_entry(a, a->p + at, left, d->at, &z->members[i], &used, err);
        if (rc < 0)
            return rc;
    }
    z->count = (size_t)d->count;
    if (z->count > 0)
        qsort(z->members, z->count, sizeof *z->members, by_name);
    for (i = 1; i < z->count; i++)
        if (by_name(&z->members[i - 1], &z->members[i]) == 0)
            return bad(a, "a name is there twice", err);
    return OV_OK;
}

int
ov_zip_open(struct ov_zip **out, const unsigned char *p, size_t n,
            const char *file, struct ov_err *err)
{
    struct archive a = {p, n, file};
    struct directory d = {0, 0, 0};
    struct ov_zip *z;
    int rc;

    *out = NULL;
    rc = find_directory(&a, &d, err);
    if (rc < 0)
        return rc;
    z = calloc(1, sizeof *z);
    if (z != NULL)
        z->members = calloc((size_t)d.count + 1, sizeof *z->members);
    if (z == NULL || z->members == NULL)
        rc = ov_err_set(err, OV_ERUN, "%s: out of memory", file);
    else
        rc = read_directory(z, &a, &d, err);
    if (rc < 0)
        ov_zip_close(z);
    else
        *out = z;
    return rc;
}

void
ov_zip_close(struct ov_zip *z)
{
    if (z == NULL)
        return;
    free(z->members);
    free(z);
}

size_t
ov_zip_count(const struct ov_zip *z)
{
    return z->count;
}

const struct ov_zip_member *
ov_zip_at(const struct ov_zip *z, size_t i)
{
    return i < z->count ? &z->members[i] : NULL;
}

const struct ov_zip_member *
ov_zip_get(const struct ov_zip *z, const char *name)
{
    size_t lo = 0, hi = z->count, mid, n = strlen(name);
    const struct ov_zip_member *m;
    int c;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        m = &z->members[mid];
        c = compare(name, n, m->name, m->name_len);
        if (c == 0)
            return m;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
