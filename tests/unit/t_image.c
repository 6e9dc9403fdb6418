/* SPDX-License-Identifier: BSD-2-Clause */
/* Images of every kind, upright, and what is refused.
 * In: files made here.  Out: TAP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "media/resize.h"
#include "tests/unit/tap.h"

static int
parse(struct ov_image *im, const void *p, size_t n)
{
    struct ov_err err = {0};
    int rc = ov_image_parse(im, p, n, OV_IMAGE_AS_STORED, "x", &err);

    if (rc != OV_OK && (strncmp(err.text, "x: ", 3) != 0 || im->rgb != NULL))
        return 1; /* a failure must name the file and leave nothing */
    return rc;
}

/* text of a PNM and the bytes expected. */
static void
pnm(const char *what, const char *p, size_t n, int w, int h,
    const unsigned char *want)
{
    struct ov_image im;
    int rc = parse(&im, p, n);

    ok(rc == OV_OK && im.width == w && im.height == h &&
           memcmp(im.rgb, want, (size_t)(3 * w * h)) == 0,
       "%s", what);
    ov_image_free(&im);
}

static void
refused(const char *what, const void *p, size_t n)
{
    struct ov_image im;

    ok(parse(&im, p, n) == OV_ESTREAM, "refused: %s", what);
    ov_image_free(&im);
}

#define S(s) s, sizeof(s) - 1

static void
test_pnm(void)
{
    static const unsigned char rgb[] = {1, 2, 3, 255, 0, 128};
    static const unsigned char grey[] = {7, 7, 7, 9, 9, 9};
    static const unsigned char scaled[] = {0, 0, 0, 255, 255, 255};

    pnm("P6", S("P6 2 1 255\n\1\2\3\377\0\200"), 2, 1, rgb);
    pnm("P3 with a comment", S("P3\n# c\n2 1 255 1 2 3 255 0 128"), 2, 1, rgb);
    pnm("P5", S("P5\n1 2\n255\n\7\11"), 1, 2, grey);
    pnm("P2", S("P2 1 2 255 7 9\n"), 1, 2, grey);
    pnm("P5, 16 bit", S("P5 2 1 65535\n\0\0\377\377"), 2, 1, scaled);
    pnm("P2, maximum 3", S("P2 2 1 3 0 3"), 2, 1, scaled);
    refused("P6 cut off", S("P6 2 1 255\n\1\2\3\377\0"));
    refused("P3 above its maximum", S("P3 1 1 10 1 11 1"));
    refused("P5 too large", S("P5 100000 100000 255\n\1"));
    refused("P2 too large", S("P2 100000 100000 255\n1 "));
    refused("no pixels", S("P5 0 1 255\n"));
    refused("a maximum of 0", S("P5 1 1 0\n\1"));
    refused("a header cut off", S("P5 1"));
    refused("bitmaps", S("P4 8 1\n\1"));
    refused("nothing", "", 0);
    refused("something else", S("GIF89a"));
}

static void
test_png(void)
{
    static const unsigned char rgba[] = {10, 20, 30, 0, 40, 50, 60, 255};
    static const png_uint_16 deep[] = {0, 65535};
    /* 2 pictures, for ever, and its checksum */
    static const unsigned char actl[] = "\0\0\0\10acTL\0\0\0\2\0\0\0\0"
                                        "\xf3\x8d\x93\x70";
    static const unsigned char white[] = {255, 255, 255, 40, 50, 60};
    static const unsigned char want[] = {10, 20, 30, 40, 50, 60};
    static const unsigned char two[] = {5, 200};
    static const unsigned char want2[] = {5, 5, 5, 200, 200, 200};
    png_image im = {.version = PNG_IMAGE_VERSION, .width = 2, .height = 1};
    unsigned char file[4096];
    png_alloc_size_t n = sizeof file;
    struct ov_image out;
    int i, bad = 0;

    im.format = PNG_FORMAT_RGBA;
    ok(png_image_write_to_memory(&im, file, &n, 0, rgba, 0, NULL) &&
           parse(&out, file, n) == OV_OK && out.width == 2 &&
           memcmp(out.rgb, want, 6) == 0,
       "PNG: the colours behind what is transparent");
    ov_image_free(&out);
    ok(ov_image_parse(&out, file, n, OV_IMAGE_ON_WHITE, "x", NULL) == OV_OK &&
           memcmp(out.rgb, white, 6) == 0,
       "PNG: white behind what is transparent");
    ov_image_free(&out);
    for (i = 0; i < (int)n; i++) {
        bad += parse(&out, file, (size_t)i) == OV_OK;
        ov_image_free(&out);
    }
    ok(bad == 0, "PNG: cut off anywhere");
    n = sizeof file;
    im.format = PNG_FORMAT_GRAY;
    ok(png_image_write_to_memory(&im, file, &n, 0, two, 0, NULL) &&
           parse(&out, file, n) == OV_OK && memcmp(out.rgb, want2, 6) == 0,
       "PNG: grey");
    ov_image_free(&out);
    ok(ov_image_parse(&out, file, n, OV_IMAGE_ON_WHITE, "x", NULL) == OV_OK &&
           memcmp(out.rgb, want2, 6) == 0,
       "PNG: grey, on white");
    ov_image_free(&out);
    n = sizeof file;
    im.format = PNG_FORMAT_LINEAR_Y;
    ok(png_image_write_to_memory(&im, file, &n, 0, deep, 0, NULL) &&
           file[24] == 16 && parse(&out, file, n) == OV_OK &&
           out.rgb[0] == 0 && out.rgb[5] == 255,
       "PNG: grey of 16 bits");
    ov_image_free(&out);
    /* as of an animation: what it does not know, it passes over */
    memmove(file + 33 + sizeof actl - 1, file + 33, n - 33);
    memcpy(file + 33, actl, sizeof actl - 1);
    n += sizeof actl - 1;
    ok(parse(&out, file, n) == OV_OK && out.width == 2 && out.rgb[5] == 255,
       "PNG: animated, the first picture");
    ov_image_free(&out);
    file[18] = file[22] = 0x7f; /* width and height */
    refused("PNG of 2 x 10^9 pixels", file, n);
}

enum { W = 32, H = 16, BLOCK = 16 };

/* A JPEG of two squares, the left one black, with an orientation. */
static unsigned char *
jpeg(unsigned long *n, int orientation, int components)
{
    static const unsigned char exif[] =
        "Exif\0\0MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\0\0\0\0\0\0\0";
    unsigned char marker[sizeof exif], row[W * 4], *p = NULL;
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    JSAMPROW rows[1] = {row};
    int x;

    memcpy(marker, exif, sizeof exif);
    marker[25] = (unsigned char)orientation;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &p, n);
    c.image_width = W;
    c.image_height = H;
    c.input_components = components;
    c.in_color_space = components == 1   ? JCS_GRAYSCALE
                       : components == 4 ? JCS_CMYK
                                         : JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 100, TRUE);
    jpeg_start_compress(&c, TRUE);
    if (orientation > 0)
        jpeg_write_marker(&c, JPEG_APP0 + 1, marker, sizeof exif - 1);
    for (x = 0; x < W * components; x++)
        row[x] = x / components < BLOCK ? 0 : 255;
    while (c.next_scanline < c.image_height)
        jpeg_write_scanlines(&c, rows, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return p;
}

static void
test_jpeg(void)
{
    /* where black is: left, right, right, left, top, top, bottom, bottom */
    static const int black[9][2] = {{0, 0}, {0, 0}, {31, 0}, {31, 0}, {0, 0},
                                    {0, 0}, {0, 0}, {0, 31}, {0, 31}};
    unsigned long n;
    struct ov_image im;
    int i, x, y, bad;

    for (i = 0; i <= 8; i++) {
        unsigned char *p = jpeg(&n, i, i == 2 ? 1 : 3);
        bool good = parse(&im, p, n) == OV_OK && im.width == (i < 5 ? W : H) &&
                    im.height == (i < 5 ? H : W);

        x = black[i][0];
        y = black[i][1];
        good = good && im.rgb[3 * (y * im.width + x)] < 16 &&
               im.rgb[3 * ((im.height - 1 - y) * im.width + im.width - 1 - x)] >
                   239;
        ok(good, "JPEG, orientation %d", i);
        ov_image_free(&im);
        free(p);
    }
    {
        unsigned char *p = jpeg(&n, 0, 3);

        for (bad = 0, i = 0; i < (int)n - 2; i++) {
            bad += parse(&im, p, (size_t)i) == OV_OK;
            ov_image_free(&im);
        }
        ok(bad == 0, "JPEG: cut off anywhere");
        free(p);
        p = jpeg(&n, 0, 4); /* stored inverted: 0 is black, 255 none */
        ok(parse(&im, p, n) == OV_OK && im.width == W && im.rgb[0] < 16 &&
               im.rgb[3 * (W - 1)] > 239,
           "JPEG, CMYK");
        ov_image_free(&im);
        free(p);
    }
}

static void
test_exif(void)
{
    static const unsigned char little[] =
        "II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0";
    unsigned char p[sizeof little];
    size_t i;
    int odd = 0;

    ok(ov_image_orientation(little, sizeof little - 1) == 6,
       "EXIF without a head, little-endian");
    for (i = 0; i < sizeof little - 1; i++) {
        int v = ov_image_orientation(little, i);
        odd += v != 1 && v != 6;
    }
    memcpy(p, little, sizeof p);
    memset(p + 4, 0xff, 4);
    ok(odd == 0 && ov_image_orientation(p, sizeof p - 1) == 1,
       "EXIF: cut off, or a place outside");
}

/* resizing ----------------------------------------------------------------- */

static double
cubic(double x)
{
    x = x < 0 ? -x : x;
    return x < 1   ? 1.5 * x * x * x - 2.5 * x * x + 1
           : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2
                   : 0;
}

/* One row of n grey values to m, in double precision. */
static void
plain(const unsigned char *x, int n, double *y, int m)
{
    double scale = (double)n / m, wide = scale > 1 ? scale : 1;
    int i, j;

    for (i = 0; i < m; i++) {
        double sum = 0, all = 0, c = (i + 0.5) * scale - 0.5;

        for (j = 0; j < n; j++) {
            double w = cubic((j - c) / wide);

            sum += w * x[3 * j];
            all += w;
        }
        y[i] = sum / all;
        y[i] = y[i] < 0 ? 0 : y[i] > 255 ? 255 : y[i];
    }
}

static void
test_resize(void)
{
    static const int sizes[] = {1, 7, 40, 53, 224};
    unsigned char rgb[40 * 3];
    struct ov_image in = {40, 1, rgb}, tall = {1, 40, rgb}, out, turned;
    struct ov_err err;
    double want[224], d, most = 0;
    size_t i;
    int k, rc, same = 1;

    for (i = 0; i < sizeof rgb; i++)
        rgb[i] = (unsigned char)((i / 3) * (i / 3) * 37 % 256);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        rc = ov_image_resize(&out, &in, sizes[i], 1, &err);
        plain(rgb, 40, want, sizes[i]);
        for (k = 0; rc == OV_OK && k < sizes[i]; k++) {
            d = out.rgb[3 * k] - want[k];
            d = d < 0 ? -d : d;
            most = d > most ? d : most;
        }
        ov_image_free(&out);
        /* the same along the other way */
        ov_image_resize(&out, &in, sizes[i], 1, &err);
        ov_image_resize(&turned, &tall, 1, sizes[i], &err);
        same = same && memcmp(out.rgb, turned.rgb, (size_t)sizes[i] * 3) == 0;
        ov_image_free(&out);
        ov_image_free(&turned);
    }
    ok(most <= 0.51, "bicubic: %.3f levels from the definition", most);
    ok(same, "rows and columns alike");
    ok(ov_image_resize(&out, &in, 0, 1, &err) == OV_EUSAGE, "no width");
}

static void
test_square(void)
{
    unsigned char *rgb = calloc(287 * 224, 3);
    struct ov_image in = {287, 224, rgb}, out;
    struct ov_err err;
    float y[3];
    int x;

    for (x = 0; x < 287 * 224; x++)
        rgb[3 * x] = (unsigned char)(x % 287);
    /* 31.5 columns go on the left: rounded to even */
    ok(ov_image_square(&out, &in, 224, &err) == OV_OK && out.width == 224 &&
           out.height == 224 && out.rgb[0] == 32,
       "the middle, half to even");
    ov_image_free(&out);
    in.height = 1;
    in.width = 65000;
    ok(ov_image_square(&out, &in, 224, &err) == OV_ESTREAM, "too narrow");
    rgb[0] = rgb[1] = rgb[2] = 255;
    in = (struct ov_image){1, 1, rgb};
    ov_image_planes(&in, y);
    ok(y[0] > 1.9303f && y[0] < 1.9304f && y[2] > 2.1458f && y[2] < 2.1459f,
       "white, normalised");
    free(rgb);
}

int
main(void)
{
    test_pnm();
    test_png();
    test_jpeg();
    test_exif();
    test_resize();
    test_square();
    return tap_done();
}
