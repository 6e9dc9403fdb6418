/* SPDX-License-Identifier: BSD-2-Clause */
/* Image in: which kind a file is, PPM and PGM, turning upright.
 * In: bytes.  Out: 8-bit RGB. */
#include "media/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 256 << 20, PIXELS = 1 << 28 };

void
ov_image_free(struct ov_image *im)
{
    free(im->rgb);
    *im = (struct ov_image){0};
}

int
ov_image_room(struct ov_image *im, uint64_t width, uint64_t height, size_t n,
              const char *name, struct ov_err *err)
{
    uint64_t most = ((uint64_t)48 << 20) + (uint64_t)n * 32;

    if (width < 1 || height < 1)
        return ov_err_set(err, OV_ESTREAM, "%s: an image without pixels", name);
    if (width > PIXELS || height > PIXELS || width * height > PIXELS ||
        width * height * 3 > most)
        return ov_err_set(
            err, OV_ESTREAM, "%s: %llu x %llu pixels are too many", name,
            (unsigned long long)width, (unsigned long long)height);
    im->rgb = calloc(width * height, 3);
    if (im->rgb == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    im->width = (int)width;
    im->height = (int)height;
    return OV_OK;
}

/* EXIF ------------------------------------------------------------------- */

static uint32_t
number(const uint8_t *p, int bytes, bool big)
{
    uint32_t x = 0;
    int i;

    for (i = 0; i < bytes; i++)
        x |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return x;
}

int
ov_image_orientation(const uint8_t *p, size_t n)
{
    enum { ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
    uint32_t at, entries, v;
    bool big;

    if (n >= 6 && memcmp(p, "Exif\0\0", 6) == 0) {
        p += 6;
        n -= 6;
    }
    if (n < 8 || (memcmp(p, "II*\0", 4) != 0 && memcmp(p, "MM\0*", 4) != 0))
        return 1;
    big = p[0] == 'M';
    at = number(p + 4, 4, big);
    if (at > n - 2)
        return 1;
    entries = number(p + at, 2, big);
    for (at += 2; entries-- > 0 && n - at >= ENTRY; at += ENTRY)
        if (number(p + at, 2, big) == ORIENTATION &&
            number(p + at + 2, 2, big) == SHORT) {
            v = number(p + at + 8, 2, big);
            return v >= 1 && v <= 8 ? (int)v : 1;
        }
    return 1;
}

/* Turn im as orientation 2..8 wants it. */
static int
upright(struct ov_image *im, int orientation, const char *name,
        struct ov_err *err)
{
    int w = im->width, h = im->height, x, y;
    bool swap = orientation >= 5;
    bool left = orientation == 2 || orientation == 3 || orientation == 7 ||
                orientation == 8; /* columns of the file run backwards */
    bool up = orientation == 3 || orientation == 4 || orientation == 6 ||
              orientation == 7; /* so do its rows */
    int ow = swap ? h : w;
    uint8_t *to = malloc((size_t)w * (size_t)h * 3);

    if (to == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    for (y = 0; y < h; y++)
        for (x = 0; x < w; x++) {
            int fx = left ? w - 1 - x : x, fy = up ? h - 1 - y : y;
            size_t o = swap ? (size_t)fx * (size_t)ow + (size_t)fy
                            : (size_t)fy * (size_t)ow + (size_t)fx;

            memcpy(to + 3 * o,
                   im->rgb + 3 * ((size_t)y * (size_t)w + (size_t)x), 3);
        }
    free(im->rgb);
    im->rgb = to;
    im->width = ow;
    im->height = swap ? w : h;
    return OV_OK;
}

/* PPM and PGM (netpbm, ppm(5) and pgm(5)) --------------------------------- */

struct pnm {
    const uint8_t *p;
    size_t n, at;
    int channels, maximum;
    bool text;
};

/* The next number; white space and comments before it are skipped.  -1:
 * there is none below 2^30. */
static long
pnm_number(struct pnm *s)
{
    long v = 0;
    size_t from;

    for (; s->at < s->n; s->at++) {
        uint8_t c = s->p[s->at];

        if (c == '#')
            while (s->at + 1 < s->n && s->p[s->at + 1] != '\n')
                s->at++;
        else if (c != ' ' && (c < '\t' || c > '\r'))
            break;
    }
    for (from = s->at; s->at < s->n && s->p[s->at] >= '0' &&
                       s->p[s->at] <= '9' && v < 1 << 27;
         s->at++)
        v = 10 * v + (s->p[s->at] - '0');
    return s->at > from ? v : -1;
}

/* The next sample, scaled to 0..255; -1 at the end or above the maximum. */
static int
pnm_sample(struct pnm *s)
{
    long v;

    if (s->text) {
        v = pnm_number(s);
    } else if (s->maximum > 255) {
        if (s->n - s->at < 2)
            return -1;
        v = s->p[s->at] << 8 | s->p[s->at + 1];
        s->at += 2;
    } else {
        if (s->at == s->n)
            return -1;
        v = s->p[s->at++];
    }
    if (v < 0 || v > s->maximum)
        return -1;
    return s->maximum == 255 ? (int)v
                             : (int)((v * 255 + s->maximum / 2) / s->maximum);
}

static int
read_pnm(struct ov_image *im, const uint8_t *p, size_t n, const char *name,
         struct ov_err *err)
{
    struct pnm s = {p, n,
                    2, p[1] == '3' || p[1] == '6' ? 3 : 1,
                    0, p[1] == '2' || p[1] == '3'};
    long w = pnm_number(&s), h = pnm_number(&s), max = pnm_number(&s);
    size_t i, k, pixels;
    int c, v = 0;

    if (w < 0 || h < 0 || max < 1 || max > 65535 || s.at == n)
        return ov_err_set(err, OV_ESTREAM, "%s: damaged header", name);
    s.maximum = (int)max;
    s.at += s.text ? 0 : 1; /* one white space after the maximum */
    k = (size_t)s.channels * (max > 255 && !s.text ? 2 : 1);
    if (h > 0 && (size_t)w > (n - s.at) / k / (size_t)h)
        return ov_err_set(err, OV_ESTREAM, "%s: cut off", name);
    if (ov_image_room(im, (uint64_t)w, (uint64_t)h, n, name, err) != OV_OK)
        return err->code;
    pixels = (size_t)w * (size_t)h;
    for (i = 0; i < pixels; i++)
        for (c = 0; c < 3; c++) {
            if (c < s.channels && (v = pnm_sample(&s)) < 0)
                return ov_err_set(err, OV_ESTREAM, "%s: damaged or cut off",
                                  name);
            im->rgb[3 * i + (size_t)c] = (uint8_t)v;
        }
    return OV_OK;
}

/* all --------------------------------------------------------------------- */

int
ov_image_parse(struct ov_image *im, const void *bytes, size_t n,
               enum ov_image_ground ground, const char *name,
               struct ov_err *err)
{
    const uint8_t *p = bytes;
    int rc, turn = 1;
    struct ov_err e = {0};

    *im = (struct ov_image){0};
    if (n >= 3 && memcmp(p, "\xff\xd8\xff", 3) == 0)
        rc = ov_image_jpeg(im, &turn, p, n, name, &e);
    else if (n >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
        rc = ov_image_png(im, &turn, p, n, ground, name, &e);
    else if (n >= 3 && p[0] == 'P' && p[1] >= '2' && p[1] <= '6' && p[1] != '4')
        rc = read_pnm(im, p, n, name, &e);
    else
        rc = ov_err_set(&e, OV_ESTREAM, "%s: neither JPEG, PNG, PPM nor PGM",
                        name);
    if (rc == OV_OK && turn > 1)
        rc = upright(im, turn, name, &e);
    if (rc != OV_OK) {
        ov_image_free(im);
        return ov_err_set(err, rc, "%s", e.text);
    }
    return OV_OK;
}

/* The whole of f; n: how much. */
static uint8_t *
slurp(FILE *f, size_t *n)
{
    size_t cap = 1 << 16, k;
    uint8_t *p = malloc(cap), *q;

    for (*n = 0; p != NULL; *n += k) {
        if (*n == cap) {
            cap *= 2;
            q = cap > FILE_MAX_BYTES ? NULL : realloc(p, cap);
            if (q == NULL)
                free(p);
            if ((p = q) == NULL)
                return NULL;
        }
        k = fread(p + *n, 1, cap - *n, f);
        if (k == 0)
            break;
    }
    return p;
}

int
ov_image_read(struct ov_image *im, const char *path,
              enum ov_image_ground ground, struct ov_err *err)
{
    bool in = strcmp(path, "-") == 0;
    FILE *f = in ? stdin : fopen(path, "rb");
    uint8_t *p;
    size_t n;
    int rc;

    *im = (struct ov_image){0};
    if (f == NULL)
        return ov_err_errno(err, "%s", path);
    path = in ? "<stdin>" : path;
    p = slurp(f, &n);
    if (p == NULL)
        rc = ov_err_set(err, OV_ESTREAM, "%s: above 256 MiB", path);
    else if (ferror(f))
        rc = ov_err_errno(err, "%s", path);
    else
        rc = ov_image_parse(im, p, n, ground, path, err);
    if (!in)
        fclose(f);
    free(p);
    return rc;
}
