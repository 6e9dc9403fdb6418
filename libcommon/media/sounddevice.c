/* SPDX-License-Identifier: BSD-2-Clause */
/* A sound device to play on, by libsox.
 * In: mono samples.  Out: they are heard. */
#include "media/sounddevice.h"

#include <sox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/resample.h"
#include "media/soundout.h"
#include "media/soxstart.h"

enum { BLOCK = 1024, CHANNELS_MAX = 32 };

struct ov_sounddevice {
    sox_format_t *ft;
    struct ov_resample *rate; /* NULL: the device has ours */
    sox_sample_t *frames;     /* [BLOCK, channels] */
    char about[160];
};

/* What to say after a failure, ": why" or nothing. */
static const char *
why(void)
{
    static char text[200];
    const char *c = ov_sox_complaint();

    snprintf(text, sizeof text, "%s%s", *c ? ": " : "", c);
    return text;
}

/* NULL where the driver is not there or its device does not open. */
static sox_format_t *
open_driver(const char *driver, int rate_hz)
{
    const sox_signalinfo_t signal = {
        .rate = rate_hz, .channels = 1, .precision = 16};
    const sox_encodinginfo_t encoding = {.encoding = SOX_ENCODING_SIGN2,
                                         .bits_per_sample = 16};
    const char *device = getenv("AUDIODEV");

    if (sox_find_format(driver, sox_false) == NULL)
        return NULL;
    return sox_open_write(device != NULL ? device : "default", &signal,
                          &encoding, driver, NULL, NULL);
}

static sox_format_t *
open_any(const char **driver, int rate_hz)
{
    static const char *const known[] = {"alsa",  "pulseaudio", "coreaudio",
                                        "sndio", "oss",        NULL};
    sox_format_t *ft = NULL;

    *driver = getenv("AUDIODRIVER");
    if (*driver != NULL)
        return open_driver(*driver, rate_hz);
    for (int i = 0; ft == NULL && known[i] != NULL; i++) {
        *driver = known[i];
        ft = open_driver(known[i], rate_hz);
    }
    return ft;
}

/* The device may not have one channel of our rate. */
static int
adapt(struct ov_sounddevice *d, int rate_hz, struct ov_err *err)
{
    unsigned channels = d->ft->signal.channels;
    int own_hz = (int)d->ft->signal.rate;

    if (channels < 1 || channels > CHANNELS_MAX)
        return ov_err_set(err, OV_ERUN, "%s: %u channels", d->about, channels);
    d->frames = malloc(sizeof *d->frames * BLOCK * channels);
    if (d->frames == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", d->about);
    return own_hz == rate_hz ? 0
                             : ov_resample_open(&d->rate, rate_hz, own_hz, err);
}

int
ov_sounddevice_open(struct ov_sounddevice **out, int rate_hz,
                    struct ov_err *err)
{
    struct ov_sounddevice *d = calloc(1, sizeof *d);
    const char *driver;
    int r = 0;

    *out = NULL;
    if (d == NULL)
        return ov_err_set(err, OV_ERUN, "sound device: no memory");
    if (!ov_sox_start())
        r = ov_err_set(err, OV_ERUN, "sound device: libsox does not start");
    if (r == 0) {
        sox_get_globals()->bufsiz = (size_t)rate_hz / 100 * 2;
        /* pulseaudio would hold 2 s */
        setenv("PULSE_LATENCY_MSEC", "20", 0);
        d->ft = open_any(&driver, rate_hz);
        if (d->ft == NULL)
            r = ov_err_set(err, OV_ERUN, "sound device: %s%s",
                           getenv("AUDIODRIVER") ? driver : "none opens",
                           *why() ? why() : ": no such driver");
    }
    if (r == 0) {
        snprintf(d->about, sizeof d->about, "%s %s", driver,
                 d->ft->filename ? d->ft->filename : "");
        r = adapt(d, rate_hz, err);
    }
    if (r != 0) {
        ov_sounddevice_close(d);
        return r;
    }
    *out = d;
    return 0;
}

void
ov_sounddevice_close(struct ov_sounddevice *d)
{
    if (d == NULL)
        return;
    if (d->ft != NULL)
        sox_close(d->ft);
    ov_resample_close(d->rate);
    free(d->frames);
    free(d);
}

const char *
ov_sounddevice_about(const struct ov_sounddevice *d)
{
    return d->about;
}

/* x [n], n <= BLOCK, at the device's rate. */
static int
put(struct ov_sounddevice *d, const float *x, size_t n, struct ov_err *err)
{
    unsigned channels = d->ft->signal.channels;

    for (size_t i = 0; i < n * channels; i++)
        d->frames[i] =
            SOX_SIGNED_16BIT_TO_SAMPLE(ov_soundout_s16(x[i / channels]), );
    if (sox_write(d->ft, d->frames, n * channels) != n * channels)
        return ov_err_set(err, OV_ERUN, "sound device: %s: write error%s",
                          d->about, why());
    return 0;
}

int
ov_sounddevice_write(struct ov_sounddevice *d, const float *x, size_t n,
                     struct ov_err *err)
{
    float y[BLOCK];
    int r = d->rate ? ov_resample_push(d->rate, x, n, err) : 0;
    size_t part;

    if (d->rate) {
        while (r == 0 && (part = ov_resample_pull(d->rate, y, BLOCK)) > 0)
            r = put(d, y, part, err);
        return r;
    }
    for (; r == 0 && n > 0; x += part, n -= part) {
        part = n < BLOCK ? n : BLOCK;
        r = put(d, x, part, err);
    }
    return r;
}
