/* SPDX-License-Identifier: BSD-2-Clause */
/* libsox, started once for all who use it, and silent.
 * In: nothing.  Out: whether it runs, and what it complained about last. */
#ifndef OV_MEDIA_SOXSTART_H
#define OV_MEDIA_SOXSTART_H

#include <stdbool.h>

bool ov_sox_start(void);
/* Its last complaint, "" if there was none. */
const char *ov_sox_complaint(void);

#endif
