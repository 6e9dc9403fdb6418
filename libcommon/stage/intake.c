/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound on its way into a network: at the network's rate, in a queue.
 * In: samples at whatever rate.  Out: samples that wait. */
#include "stage/intake.h"

#include <stdlib.h>

void
ov_intake_init(struct ov_intake *i, int rate_hz)
{
    *i = (struct ov_intake){.in_hz = rate_hz, .rate_hz = rate_hz};
}

void
ov_intake_free(struct ov_intake *i)
{
    ov_resample_close(i->resample);
    ov_fifo_free(&i->ready);
}

int
ov_intake_rate(struct ov_intake *i, const char *value, struct ov_err *err)
{
    int hz = atoi(value);

    if (hz < OV_RATE_MIN_HZ || hz > OV_RATE_MAX_HZ)
        return ov_err_set(err, OV_EUSAGE, "no rate: %s", value);
    i->in_hz = hz;
    return OV_OK;
}

void
ov_intake_begin(struct ov_intake *i)
{
    ov_fifo_clear(&i->ready);
    ov_resample_close(i->resample);
    i->resample = NULL;
    i->failed.code = OV_OK;
    if (i->in_hz != i->rate_hz)
        ov_resample_open(&i->resample, i->in_hz, i->rate_hz, &i->failed);
}

static int
failed(const struct ov_intake *i, struct ov_err *err)
{
    return i->failed.code == OV_OK
               ? OV_OK
               : ov_err_set(err, i->failed.code, "%s", i->failed.text);
}

static int
drain(struct ov_intake *i, struct ov_err *err)
{
    float x[1024];
    size_t n;
    int r = OV_OK;

    while (r == OV_OK && (n = ov_resample_pull(i->resample, x, 1024)) > 0)
        r = ov_fifo_put(&i->ready, x, n, err);
    return r;
}

int
ov_intake_push(struct ov_intake *i, const float *x, size_t n,
               struct ov_err *err)
{
    int r = failed(i, err);

    if (r != OV_OK)
        return r;
    if (i->resample == NULL)
        return ov_fifo_put(&i->ready, x, n, err);
    r = ov_resample_push(i->resample, x, n, err);
    return r == OV_OK ? drain(i, err) : r;
}

int
ov_intake_flush(struct ov_intake *i, struct ov_err *err)
{
    int r = failed(i, err);

    if (r != OV_OK || i->resample == NULL)
        return r;
    r = ov_resample_flush(i->resample, err);
    return r == OV_OK ? drain(i, err) : r;
}
