/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound on its way into a network: at the network's rate, in a queue.
 * In: samples at whatever rate.  Out: samples that wait. */
#ifndef OV_STAGE_INTAKE_H
#define OV_STAGE_INTAKE_H

#include "media/resample.h"
#include "stage/fifo.h"

struct ov_intake {
    int in_hz, rate_hz; /* what comes, what is wanted */
    struct ov_fifo ready;
    struct ov_resample *resample; /* of this turn; NULL: none */
    struct ov_err failed;         /* what begin could not say */
};

/* Sound of rate_hz that needs no change. */
void ov_intake_init(struct ov_intake *i, int rate_hz);
void ov_intake_free(struct ov_intake *i);
/* The rate of what comes, as text; OV_EUSAGE: none. */
int ov_intake_rate(struct ov_intake *i, const char *value, struct ov_err *err);
/* A turn begins: nothing waits.  An error comes with the first push. */
void ov_intake_begin(struct ov_intake *i);
int ov_intake_push(struct ov_intake *i, const float *x, size_t n,
                   struct ov_err *err);
/* No more comes in this turn. */
int ov_intake_flush(struct ov_intake *i, struct ov_err *err);

#endif
