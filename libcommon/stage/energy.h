/* SPDX-License-Identifier: BSD-2-Clause */
/* Voice activity without a network: loudness over an adaptive noise floor.
 * In: frames of 10 ms.  Out: something like a probability of speech. */
#ifndef OV_STAGE_ENERGY_H
#define OV_STAGE_ENERGY_H

enum { OV_ENERGY_FRAME = 160, OV_ENERGY_PARTS = 12, OV_ENERGY_PART = 16 };

struct ov_energy {
    float x1, y1;                       /* of the high-pass filter */
    float level_db;                     /* smoothed */
    float lowest_db[OV_ENERGY_PARTS];   /* of the last 12 parts of 160 ms */
    int frames;                         /* of the present part */
    int part;
};

/* A frame's level is its mean square after a high-pass at 130 Hz, in dB of
 * full scale, smoothed (fast up, slower down).  The noise floor is the
 * lowest level of the last 1.9 s plus 1.5 dB, at least -65 dB; until a first
 * 1.9 s are over it is taken to have been -50 dB before them.  The answer is
 * 1 / (1 + exp(-(level - floor - 8 dB) / 2 dB)): one half at 8 dB over the
 * floor.  It cannot tell speech from other sounds. */
void ov_energy_reset(struct ov_energy *e);
float ov_energy_frame(struct ov_energy *e, const float x[OV_ENERGY_FRAME]);

#endif
