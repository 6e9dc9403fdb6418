/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations of published networks.
 * In: values.  Out: values. */
#include "math/gelu.h"

#include <assert.h>
#include <string.h>

#include "math/vec.h"

static const struct {
    const char *name;
    enum ov_act act;
} NAMES[] = {
    {"relu", OV_ACT_RELU},
    {"elu", OV_ACT_ELU},
    {"gelu", OV_ACT_GELU},
    {"gelu_python", OV_ACT_GELU},
    {"gelu_new", OV_ACT_GELU_TANH},
    {"gelu_fast", OV_ACT_GELU_TANH},
    {"gelu_pytorch_tanh", OV_ACT_GELU_TANH},
    {"quick_gelu", OV_ACT_GELU_QUICK},
    {"silu", OV_ACT_SILU},
    {"swish", OV_ACT_SILU},
    {"sigmoid", OV_ACT_SIGMOID},
    {"tanh", OV_ACT_TANH},
    {"linear", OV_ACT_NONE},
};

bool
ov_act_named(const char *name, enum ov_act *act)
{
    size_t i;

    for (i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(NAMES[i].name, name) == 0) {
            *act = NAMES[i].act;
            return true;
        }
    return false;
}

/* erf by Abramowitz & Stegun 7.1.26: absolute error below 1.5e-7. */
OV_INLINE float
erf_(float x)
{
    float a = ov_abs(x), t = 1 / (1 + 0.3275911f * a), p;

    p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    p = 1 - p * t * ov_exp(-a * a);
    return x < 0 ? -p : p;
}

/* Exact to the last bits near 0, where 1 - 2 / (1 + e) cancels. */
OV_INLINE float
tanh_(float x)
{
    float s = x * x, e = 1 - 2 / (1 + ov_exp(2 * x));
    float p = x * (1 + s * (-0.333333333f + s * 0.133333333f));

    return s < 1e-3f ? p : e;
}

OV_INLINE float
elu_(float x)
{
    float e = ov_exp(x < 0 ? x : 0) - 1;
    float p = x * (1 + x * (0.5f + x * 0.166666667f));

    e = x > -0.01f ? p : e;
    return x > 0 ? x : e;
}

OV_INLINE float
act_(enum ov_act act, float x)
{
    switch (act) {
    case OV_ACT_RELU:
        return x > 0 ? x : 0;
    case OV_ACT_ELU:
        return elu_(x);
    case OV_ACT_GELU:
        return 0.5f * x * (1 + erf_(0.707106781f * x));
    case OV_ACT_GELU_TANH:
        return 0.5f * x *
               (1 + tanh_(0.797884561f * (x + 0.044715f * x * x * x)));
    case OV_ACT_GELU_QUICK:
        return x * ov_sigmoid_(1.702f * x);
    case OV_ACT_SILU:
        return x * ov_sigmoid_(x);
    case OV_ACT_SIGMOID:
        return ov_sigmoid_(x);
    case OV_ACT_TANH:
        return tanh_(x);
    case OV_ACT_NONE:
        break;
    }
    return x;
}

/* One loop for each activation, so that each is vectorised. */
#define LOOP(ACT, VALUE)                                                       \
    case ACT:                                                                  \
        for (i = 0; i < n; i++)                                                \
            x[i] = act_(ACT, x[i]) VALUE;                                      \
        break

OV_HOT void
ov_act(enum ov_act act, float *restrict x, size_t n)
{
    size_t i;

    switch (act) {
        LOOP(OV_ACT_RELU, );
        LOOP(OV_ACT_ELU, );
        LOOP(OV_ACT_GELU, );
        LOOP(OV_ACT_GELU_TANH, );
        LOOP(OV_ACT_GELU_QUICK, );
        LOOP(OV_ACT_SILU, );
        LOOP(OV_ACT_SIGMOID, );
        LOOP(OV_ACT_TANH, );
    case OV_ACT_NONE:
        break;
    }
}

OV_HOT void
ov_act_gate(enum ov_act act, float *restrict x, const float *restrict b,
            size_t n)
{
    size_t i;

    switch (act) {
        LOOP(OV_ACT_RELU, *b[i]);
        LOOP(OV_ACT_ELU, *b[i]);
        LOOP(OV_ACT_GELU, *b[i]);
        LOOP(OV_ACT_GELU_TANH, *b[i]);
        LOOP(OV_ACT_GELU_QUICK, *b[i]);
        LOOP(OV_ACT_SILU, *b[i]);
        LOOP(OV_ACT_SIGMOID, *b[i]);
        LOOP(OV_ACT_TANH, *b[i]);
        LOOP(OV_ACT_NONE, *b[i]);
    }
}

struct ov_tensor *
ov_activate(struct ov_graph *g, struct ov_tensor *x, enum ov_act act)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    size_t n = (size_t)x->rows * (size_t)x->cols;

    assert(!ov_graph_records(g));
    memcpy(y->x, x->x, n * sizeof *y->x);
    ov_act(act, y->x, n);
    return y;
}

OV_HOT void
ov_softmax_rows(float *restrict x, int rows, int cols, int ld)
{
    int t, i;

    for (t = 0; t < rows && cols > 0; t++, x += ld) {
        float m = ov_max_(x, cols), s;

        if (m == -INFINITY) {
            memset(x, 0, (size_t)cols * sizeof *x);
            continue;
        }
        for (i = 0; i < cols; i++)
            x[i] = ov_exp_below(x[i] - m);
        s = 1 / ov_sum_(x, cols);
        for (i = 0; i < cols; i++)
            x[i] *= s;
    }
}

OV_HOT void
ov_log_softmax_rows(float *restrict x, int rows, int cols, int ld)
{
    int t, i;

    for (t = 0; t < rows && cols > 0; t++, x += ld) {
        float m = ov_max_(x, cols), s = 0;

        for (i = 0; i < cols; i++)
            s += ov_exp_below(x[i] - m);
        s = m + ov_log(s);
        for (i = 0; i < cols; i++)
            x[i] -= s;
    }
}
