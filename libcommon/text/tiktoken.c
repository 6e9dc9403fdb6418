/* SPDX-License-Identifier: BSD-2-Clause */
/* Rank files of byte-pair encodings, as tiktoken has them.
 * In: lines "BASE64 RANK".  Out: a tokenizer. */
#include "text/tiktoken.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe_table.h"

enum { TOKEN_MAX = 1024 /* bytes */ };

struct reader {
    struct ov_bpe *b;
    const char *at, *end;
    size_t line;
    struct ov_err *err;
};

static int
bad(const struct reader *r, const char *what)
{
    return ov_err_set(r->err, OV_EMODEL, "%s: line %zu: %s", r->b->path,
                      r->line, what);
}

static int
digit64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base 64 of s [n] into out, which has room for 3 bytes for every 4: the
 * count, or -1.  "=" alone is nothing. */
static long
decode64(const char *s, size_t n, unsigned char *out)
{
    unsigned bits = 0;
    size_t i, pad = 0, len = 0;
    int held = 0, d;

    if (n == 1 && s[0] == '=')
        return 0;
    while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
        pad++;
    if (n % 4 != 0)
        return -1;
    for (i = 0; i < n - pad; i++) {
        d = digit64(s[i]);
        if (d < 0)
            return -1;
        bits = bits << 6 | (unsigned)d;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[len++] = (unsigned char)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return bits != 0 ? -1 : (long)len;
}

/* A rank up to the end of the line; -1: none. */
static int32_t
rank_of(const char *s, const char *end)
{
    int32_t v = 0;

    if (s == end || end - s > 7)
        return -1;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        v = v * 10 + (*s - '0');
    }
    return v < OV_BPE_ID_MAX ? v : -1;
}

static int
add_token(struct reader *r, int32_t rank, const unsigned char *bytes, size_t n)
{
    int rc = ov_bpe_table_size(r->b, rank + 1, r->err);

    if (rc < 0)
        return rc;
    if (r->b->tokens[rank].used)
        return bad(r, "this rank was there before");
    ov_bpe_table_token(r->b, rank, (const char *)bytes, n);
    return OV_OK;
}

static int
read_line(struct reader *r)
{
    const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *end = nl != NULL ? nl : r->end, *space;
    unsigned char bytes[TOKEN_MAX];
    int32_t rank;
    long n;

    r->line++;
    if (end > r->at && end[-1] == '\r')
        end--;
    space = memchr(r->at, ' ', (size_t)(end - r->at));
    if (end == r->at) {
        r->at = nl != NULL ? nl + 1 : r->end;
        return OV_OK;
    }
    if (space == NULL || (size_t)(space - r->at) > TOKEN_MAX)
        return bad(r, "is not a token and its rank");
    n = decode64(r->at, (size_t)(space - r->at), bytes);
    rank = rank_of(space + 1, end);
    if (n < 0)
        return bad(r, "the token is not base 64");
    if (rank < 0)
        return bad(r, "the rank is not in 0..2097151");
    r->at = nl != NULL ? nl + 1 : r->end;
    return add_token(r, rank, bytes, (size_t)n);
}

static int
index_tokens(struct reader *r)
{
    int32_t again;
    int rc = ov_bpe_table_names(r->b, &again, r->err);

    if (rc < 0 || again < 0)
        return rc;
    return ov_err_set(r->err, OV_EMODEL,
                      "%s: rank %ld: its bytes have another rank, too",
                      r->b->path, (long)again);
}

static int
read_all(struct reader *r)
{
    int rc, i;

    /* a token is shorter than its line */
    rc = ov_bpe_table_text(r->b, (size_t)(r->end - r->at), r->err);
    while (rc == OV_OK && r->at < r->end)
        rc = read_line(r);
    if (rc < 0)
        return rc;
    for (i = 0; i < 256; i++)
        if (r->b->bytes[i] < 0)
            return ov_err_set(r->err, OV_EMODEL, "%s: byte 0x%02x has no token",
                              r->b->path, (unsigned)i);
    r->b->whole = r->b->ranked = true;
    return index_tokens(r);
}

int
ov_tiktoken_parse(struct ov_bpe **out, const char *text, size_t n,
                  const char *name, struct ov_err *err)
{
    struct reader r = {ov_bpe_table_new(name), text, text + n, 0, err};
    int rc;

    *out = NULL;
    if (r.b == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", name);
    rc = read_all(&r);
    if (rc < 0)
        ov_bpe_close(r.b);
    else
        *out = r.b;
    return rc;
}

int
ov_tiktoken_open(struct ov_bpe **out, const char *path, struct ov_err *err)
{
    FILE *f = fopen(path, "rb");
    size_t n = 0, room = 1 << 20, got;
    char *p = NULL, *grown;
    int rc = OV_OK;

    *out = NULL;
    if (f == NULL) {
        ov_err_errno(err, "%s", path);
        return err != NULL ? err->code = OV_EMODEL : OV_EMODEL;
    }
    do {
        grown = realloc(p, room *= 2);
        if (grown == NULL || room > OV_BPE_FILE_MAX)
            rc = ov_err_set(err, OV_EMODEL, "%s: is too large", path);
        p = grown != NULL ? grown : p;
        got = rc == OV_OK ? fread(p + n, 1, room - n, f) : 0;
        n += got;
    } while (rc == OV_OK && n == room);
    if (rc == OV_OK && ferror(f))
        rc = ov_err_errno(err, "%s", path);
    fclose(f);
    if (rc == OV_OK)
        rc = ov_tiktoken_parse(out, p, n, path, err);
    free(p);
    return rc;
}
