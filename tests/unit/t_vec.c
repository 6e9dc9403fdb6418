/* SPDX-License-Identifier: BSD-2-Clause */
/* math/vec: elementary functions against libm, the largest of values.
 * In: nothing.  Out: TAP. */
#include "math/vec.h"

#include "tests/unit/tap.h"

/* The largest relative error of f over from..to. */
static double
error(float (*f)(float), double (*exact)(double), double from, double to)
{
    double most = 0;
    int i;

    for (i = 0; i <= 100000; i++) {
        float x = (float)(from + (to - from) * i / 100000);
        double e = exact(x), d = fabs(f(x) - e) / fabs(e);

        most = d > most ? d : most;
    }
    return most;
}

static float
any_exp(float x)
{
    return ov_exp(x);
}

static float
low_exp(float x)
{
    return ov_exp_below(x);
}

static void
test_exp(void)
{
    double e = error(any_exp, exp, -87, 88);

    ok(e < 2e-7, "exp: %g", e);
    e = error(low_exp, exp, -87, 0);
    ok(e < 2e-7, "exp of what is not above 0: %g", e);
    ok(ov_exp(1000) == ov_exp(88) && ov_exp(-1000) == ov_exp(-87) &&
           ov_exp_below(-INFINITY) == ov_exp(-87),
       "saturated");
    ok(ov_exp_below(0) == 1 && isnan(ov_exp(NAN)) && isnan(ov_exp_below(NAN)),
       "1 of 0, NaN of NaN");
}

static void
test_max(void)
{
    float a[50], most;
    int n, i, at, bad = 0;

    for (n = 1; n <= 50; n++)
        for (at = 0; at < n; at++) {
            for (i = 0; i < n; i++)
                a[i] = i == at ? -1 : -2 - (float)i;
            bad += ov_max_(a, n) != -1;
            a[at] = NAN;
            most = ov_max_(a, n);
            bad += most != (n == 1 ? -INFINITY : at == 0 ? -3 : -2);
        }
    ok(bad == 0, "the largest at any place, without NaN");
    ok(ov_max_(a, 0) == -INFINITY, "of none");
}

int
main(void)
{
    test_exp();
    test_max();
    return tap_done();
}
