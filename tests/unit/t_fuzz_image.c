/* SPDX-License-Identifier: BSD-2-Clause */
/* The readers of images under random input.  Built with -fsanitize=fuzzer
 * and -DOV_LIBFUZZER it is a libFuzzer target; alone it runs a bounded
 * number of mutations of good files.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/resize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_image im, small;
    struct ov_err err = {0};
    enum ov_image_ground ground =
        n % 2 == 0 ? OV_IMAGE_AS_STORED : OV_IMAGE_ON_WHITE;
    int rc = ov_image_parse(&im, data, n, ground, "fuzz", &err);

    ov_image_orientation(data, n);
    if (rc != OV_OK) {
        if (im.rgb != NULL || rc != err.code)
            abort();
        return 0;
    }
    if (im.width < 1 || im.height < 1)
        abort();
    if (im.width < 4096 && im.height < 4096 &&
        ov_image_square(&small, &im, 8, &err) == OV_OK)
        ov_image_free(&small);
    ov_image_free(&im);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 8192, SIDE = 24 };

static const char *const words[] = {
    "\xff\xd8", "\xff\xc0", "\xff\xc2",     "\xff\xda", "IDAT", "PLTE",
    "IHDR",     "tRNS",     "\x7f\xff\xff", "65535",    "Exif", NULL};

static size_t
good_png(uint8_t *p, const uint8_t *rgb)
{
    png_image im = {.version = PNG_IMAGE_VERSION,
                    .width = SIDE,
                    .height = SIDE,
                    .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = ROOM;

    return png_image_write_to_memory(&im, p, &n, 0, rgb, 0, NULL) ? n : 0;
}

static size_t
good_jpeg(uint8_t *to, uint8_t *rgb, int progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned char *p = NULL;
    unsigned long n = 0;
    JSAMPROW rows[1];

    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &p, &n);
    c.image_width = c.image_height = SIDE;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        rows[0] = rgb + 3 * SIDE * c.next_scanline;
        jpeg_write_scanlines(&c, rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    n = n < ROOM ? n : 0;
    memcpy(to, p, n);
    free(p);
    return n;
}

int
main(void)
{
    static uint8_t file[5][ROOM], p[ROOM], rgb[SIDE * SIDE * 3];
    int times = mutate_times(20000), i;
    size_t n[5], k;

    for (k = 0; k < sizeof rgb; k++)
        rgb[k] = (uint8_t)(k * k * 7);
    n[0] = good_png(file[0], rgb);
    n[1] = good_jpeg(file[1], rgb, 0);
    n[2] = good_jpeg(file[2], rgb, 1);
    n[3] = (size_t)snprintf((char *)file[3], ROOM,
                            "P3 2 2 255 1 2 3 4 5 6 "
                            "7 8 9 10 11 12");
    n[4] = (size_t)snprintf((char *)file[4], ROOM, "P6 2 2 255\nabcdefghijkl");
    ok(n[0] > 0 && n[1] > 0 && n[2] > 0, "good files");
    for (i = 0; i < times; i++) {
        memcpy(p, file[i % 5], n[i % 5]);
        k = mutate(p, n[i % 5], ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, k);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif
