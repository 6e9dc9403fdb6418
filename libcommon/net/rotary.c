/* SPDX-License-Identifier: BSD-2-Clause */
/* Rotary positions as a config.json describes them.
 * In: rope_theta, rope_scaling or rope_parameters.  Out: frequencies. */
#include "net/rotary.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* A positive number, fallback if there is none. */
static double
number(const struct ov_json *v, const char *name, double fallback)
{
    double d;

    if (!ov_json_double(ov_json_get(v, name), &d) || !(d > 0) || !isfinite(d))
        return fallback;
    return d;
}

/* Long waves are stretched, short ones stay, between them it is blended. */
static void
scale_llama3(struct ov_rotary *r, const struct ov_json *v, double factor,
             double context)
{
    double low = number(v, "low_freq_factor", 1);
    double high = number(v, "high_freq_factor", 4);
    int i;

    for (i = 0; i < r->dims / 2; i++) {
        double f = r->freq[i], wave = 2 * PI / f;
        double smooth = (context / wave - low) / (high - low);
        if (wave > context / low)
            f /= factor;
        else if (wave >= context / high)
            f = (1 - smooth) * f / factor + smooth * f;
        r->freq[i] = (float)f;
    }
}

/* The pair that turns so many times within context. */
static double
pair_of(double turns, double context, int dims, double theta)
{
    return dims * log(context / (turns * 2 * PI)) / (2 * log(theta));
}

static double
yarn_gain(double factor, double k)
{
    return factor <= 1 ? 1 : 0.1 * k * log(factor) + 1;
}

static void
scale_yarn(struct ov_rotary *r, const struct ov_json *v, double factor,
           double context, double theta)
{
    double low = pair_of(number(v, "beta_fast", 32), context, r->dims, theta);
    double high = pair_of(number(v, "beta_slow", 1), context, r->dims, theta);
    double all = number(v, "mscale_all_dim", 0), one = number(v, "mscale", 0);
    bool whole = true;
    int i;

    ov_json_bool(ov_json_get(v, "truncate"), &whole);
    low = fmax(whole ? floor(low) : low, 0);
    high = fmin(whole ? ceil(high) : high, r->dims - 1);
    if (high == low)
        high += 0.001;
    for (i = 0; i < r->dims / 2; i++) {
        double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
        double f = r->freq[i];
        r->freq[i] = (float)(f / factor * ramp + f * (1 - ramp));
    }
    r->gain = (float)number(v, "attention_factor",
                            one > 0 && all > 0 ? yarn_gain(factor, one) /
                                                     yarn_gain(factor, all)
                                               : yarn_gain(factor, 1));
}

int
ov_rotary_read(struct ov_rotary *r, const struct ov_json *config, int dims,
               double theta, bool interleaved, const char *place,
               struct ov_err *err)
{
    const struct ov_json *v = ov_json_get(config, "rope_parameters");
    const char *type;
    double factor, context;
    int i;

    if (!ov_json_is_object(v))
        v = ov_json_get(config, "rope_scaling");
    theta = number(v, "rope_theta", number(config, "rope_theta", theta));
    type = ov_json_string(ov_json_get(v, "rope_type"));
    if (type == NULL)
        type = ov_json_string(ov_json_get(v, "type"));
    factor = number(v, "factor", 1);
    context = number(v, "original_max_position_embeddings",
                     number(config, "max_position_embeddings", 2048));
    if (dims < 2 || dims % 2 != 0 || dims > OV_ROTARY_DIMS || theta <= 1)
        return ov_err_set(err, OV_EMODEL,
                          "%s: rotary positions of %d values, theta %g", place,
                          dims, theta);
    ov_rotary_init(r, dims, theta, interleaved);
    if (type == NULL || strcmp(type, "default") == 0)
        return OV_OK;
    if (strcmp(type, "linear") == 0) {
        for (i = 0; i < dims / 2; i++)
            r->freq[i] /= (float)factor;
    } else if (strcmp(type, "llama3") == 0)
        scale_llama3(r, v, factor, context);
    else if (strcmp(type, "yarn") == 0)
        scale_yarn(r, v, factor, context, theta);
    else
        return ov_err_set(err, OV_EMODEL,
                          "%s: rotary positions of type %.40s are not "
                          "supported",
                          place, type);
    return OV_OK;
}
