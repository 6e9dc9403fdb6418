/* SPDX-License-Identifier: BSD-2-Clause */
/* A sound device to play on, by libsox.
 * In: mono samples.  Out: they are heard. */
#ifndef OV_MEDIA_SOUNDDEVICE_H
#define OV_MEDIA_SOUNDDEVICE_H

#include <stddef.h>

#include "base/err.h"

struct ov_sounddevice;

/* Open the device that SoX would play on: $AUDIODRIVER (alsa, pulseaudio,
 * oss, ...; without it the first of these that opens) and $AUDIODEV (its
 * default), with buffers of 10 ms.  A driver may also be a type of file (s16,
 * au), and $AUDIODEV its path.  What has another rate or several channels is
 * given them.  OV_ERUN with libsox's reason. */
int ov_sounddevice_open(struct ov_sounddevice **d, int rate_hz,
                        struct ov_err *err);
void ov_sounddevice_close(struct ov_sounddevice *d);
/* x [n]; returns when the device has taken it. */
int ov_sounddevice_write(struct ov_sounddevice *d, const float *x, size_t n,
                         struct ov_err *err);
/* "alsa default": for -v. */
const char *ov_sounddevice_about(const struct ov_sounddevice *d);

#endif
