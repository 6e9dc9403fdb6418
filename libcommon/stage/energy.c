/* SPDX-License-Identifier: BSD-2-Clause */
/* Voice activity without a network: loudness over an adaptive noise floor.
 * In: frames of 10 ms.  Out: something like a probability of speech. */
#include "stage/energy.h"

#include <math.h>
#include <string.h>

static const float QUIET_DB = -50, LOWEST_FLOOR_DB = -65, BIAS_DB = 1.5f;
static const float MIDDLE_DB = 8, SLOPE_DB = 2;
static const float UP = 0.7f, DOWN = 0.5f, FILTER = 0.95f;

void
ov_energy_reset(struct ov_energy *e)
{
    memset(e, 0, sizeof *e);
    e->level_db = QUIET_DB;
    for (int i = 0; i < OV_ENERGY_PARTS; i++)
        e->lowest_db[i] = QUIET_DB;
}

/* Mean square of the high-passed frame in dB. */
static float
frame_db(struct ov_energy *e, const float *x)
{
    float sum = 0;

    for (int i = 0; i < OV_ENERGY_FRAME; i++) {
        e->y1 = x[i] - e->x1 + FILTER * e->y1;
        e->x1 = x[i];
        sum += e->y1 * e->y1;
    }
    return 10 * log10f(sum / OV_ENERGY_FRAME + 1e-10f);
}

static float
floor_db(const struct ov_energy *e)
{
    float low = e->lowest_db[0];

    for (int i = 1; i < OV_ENERGY_PARTS; i++)
        low = fminf(low, e->lowest_db[i]);
    return fmaxf(low + BIAS_DB, LOWEST_FLOOR_DB);
}

float
ov_energy_frame(struct ov_energy *e, const float x[OV_ENERGY_FRAME])
{
    float db = frame_db(e, x);
    float *lowest;

    e->level_db += (db > e->level_db ? UP : DOWN) * (db - e->level_db);
    if (e->frames == OV_ENERGY_PART) {
        e->frames = 0;
        e->part = (e->part + 1) % OV_ENERGY_PARTS;
    }
    lowest = &e->lowest_db[e->part];
    if (e->frames++ == 0 || e->level_db < *lowest)
        *lowest = e->level_db;
    return 1 / (1 + expf(-(e->level_db - floor_db(e) - MIDDLE_DB)
                         / SLOPE_DB));
}
