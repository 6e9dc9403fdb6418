/* SPDX-License-Identifier: BSD-2-Clause */
/* Sample formats of uncompressed sound.
 * In: bytes of a named format.  Out: float samples. */
#ifndef OV_MEDIA_PCM_H
#define OV_MEDIA_PCM_H

#include <stddef.h>

enum ov_pcm {
    OV_PCM_S16, OV_PCM_S16BE, OV_PCM_S24, OV_PCM_S24BE, OV_PCM_S32,
    OV_PCM_S32BE, OV_PCM_F32, OV_PCM_F32BE, OV_PCM_F64, OV_PCM_F64BE,
    OV_PCM_U8, OV_PCM_S8, OV_PCM_MULAW, OV_PCM_ALAW,
    OV_PCM_COUNT
};

/* The names in the order of the enumeration, then NULL. */
extern const char *const ov_pcm_names[OV_PCM_COUNT + 1];

/* Bytes of one sample. */
size_t ov_pcm_bytes(enum ov_pcm f);
/* n samples at p -> y [n], full scale -1..1; floats as they are. */
void ov_pcm_decode(enum ov_pcm f, const unsigned char *p, size_t n, float *y);

#endif
