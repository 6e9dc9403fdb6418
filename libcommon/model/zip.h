/* SPDX-License-Identifier: BSD-2-Clause */
/* ZIP archives whose members are stored, not compressed.
 * In: a file in memory.  Out: where each member's bytes are.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16 and 4.5.3. */
#ifndef OV_MODEL_ZIP_H
#define OV_MODEL_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_zip_member {
    const char *name; /* not NUL-terminated, in the archive */
    size_t name_len;
    const unsigned char *data;
    size_t n;
    uint32_t crc32;
    int method; /* 0: data holds the bytes; else the member is compressed */
};

struct ov_zip;

/* Read the directory of the archive p [n], which stays the caller's and must
 * outlive z.  ZIP64 is understood; encryption, several disks and a name
 * twice are refused.  OV_EMODEL with file and fact. */
int ov_zip_open(struct ov_zip **z, const unsigned char *p, size_t n,
                const char *file, struct ov_err *err);
void ov_zip_close(struct ov_zip *z);
/* Members, in the order of their names. */
size_t ov_zip_count(const struct ov_zip *z);
const struct ov_zip_member *ov_zip_at(const struct ov_zip *z, size_t i);
/* NULL if there is none of that name. */
const struct ov_zip_member *ov_zip_get(const struct ov_zip *z,
                                       const char *name);

#endif
