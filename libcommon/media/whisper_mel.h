/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram of Whisper.
 * In: 16 kHz mono samples.  Out: frames of 80 or 128 bands.
 * Source: openai/whisper, whisper/audio.py; the bands are those of
 * librosa.filters.mel (Slaney's Auditory Toolbox, area normalised). */
#ifndef OV_MEDIA_WHISPER_MEL_H
#define OV_MEDIA_WHISPER_MEL_H

#include <stddef.h>

enum {
    OV_WHISPER_MEL_WIN = 400, /* samples of a frame, and of the DFT */
    OV_WHISPER_MEL_HOP = 160,
    OV_WHISPER_MEL_BINS = OV_WHISPER_MEL_WIN / 2 + 1,
    OV_WHISPER_MEL_MAX = 512 /* bands */
};

struct ov_whisper_mel;

/* bands in 1..OV_WHISPER_MEL_MAX.  NULL: no memory. */
struct ov_whisper_mel *ov_whisper_mel_new(int bands);
void ov_whisper_mel_free(struct ov_whisper_mel *m);
/* The filters, [bands, OV_WHISPER_MEL_BINS]. */
const float *ov_whisper_mel_filters(const struct ov_whisper_mel *m);

/* One frame: x [400] samples, of which number 200 is the frame's middle ->
 * y [bands], log10 of the band energies, 1e-10 at least; not levelled. */
void ov_whisper_mel_frame(const struct ov_whisper_mel *m, const float *x,
                          float *y);
/* y [n] as written by ov_whisper_mel_frame, all frames of one clip: raise
 * what is more than 8 below the maximum to there, then (y + 4) / 4. */
void ov_whisper_mel_level(float *y, size_t n);
/* The same with a maximum that the caller knows. */
void ov_whisper_mel_level_to(float *y, size_t n, float max);

/* Frames first..end-1 of a clip x [n] -> y [end - first, bands], as
 * ov_whisper_mel_frame; end is at most n / 160.  The clip's ends are mirrored.
 * A frame whose 200 samples behind the middle are there is the same whatever
 * follows them. */
void ov_whisper_mel_frames(const struct ov_whisper_mel *m, const float *x,
                           size_t n, size_t first, size_t end, float *y);

/* A whole clip: x [n] -> y [n / 160, bands], levelled.  The ends are
 * mirrored, frame j is around sample 160 j.  n = 0 gives nothing; less than
 * 201 samples are mirrored as if zeros followed. */
void ov_whisper_mel_signal(const struct ov_whisper_mel *m, const float *x,
                           size_t n, float *y);

#endif
