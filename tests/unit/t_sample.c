/* SPDX-License-Identifier: BSD-2-Clause */
/* Sampling: greedy, temperature, top-k, top-p, seeds.
 * In: logits.  Out: TAP. */
#include <string.h>

#include "math/sample.h"
#include "tests/unit/tap.h"

static const ov_real logits[5] = { 0, 2, 1, 2, -3 };

static int
draw(const struct ov_sampling *s, uint64_t seed, uint64_t count)
{
    ov_real x[5];

    memcpy(x, logits, sizeof x);
    return ov_sample(s, x, 5, seed, count);
}

/* How often each index comes in 20000 draws. */
static void
tally(const struct ov_sampling *s, int *n)
{
    int i;

    memset(n, 0, sizeof *n * 5);
    for (i = 0; i < 20000; i++)
        n[draw(s, 1, (uint64_t)i)]++;
}

int
main(void)
{
    struct ov_sampling s = { 0, 0, 1 };
    int n[5], i, same = 0;

    ok(draw(&s, 1, 1) == 1, "greedy: the first of equals");
    s.temperature = 1;
    tally(&s, n);
    /* e^0, e^2, e^1, e^2, e^-3 of 18.546 */
    ok(n[0] > 900 && n[0] < 1260 && n[1] > 7600 && n[1] < 8330 &&
           n[2] > 2700 && n[2] < 3170 && n[4] < 110,
       "temperature 1: shares %d %d %d %d %d", n[0], n[1], n[2], n[3], n[4]);
    s.temperature = 0.1;
    tally(&s, n);
    ok(n[1] + n[3] > 19990, "temperature 0.1: nearly always the largest");
    s = (struct ov_sampling){ 1, 2, 1 };
    tally(&s, n);
    ok(n[0] + n[2] + n[4] == 0 && n[1] > 9000 && n[3] > 9000, "top-k 2");
    s = (struct ov_sampling){ 1, 0, 0.9 };
    tally(&s, n);
    ok(n[0] + n[4] == 0 && n[2] > 2000, "top-p 0.9: three are enough");
    s = (struct ov_sampling){ 1, 0, 1 };
    for (i = 0; i < 100; i++)
        same += draw(&s, 5, (uint64_t)i) == draw(&s, 5, (uint64_t)i);
    ok(same == 100, "the same seed and count: the same draw");
    for (i = same = 0; i < 100; i++)
        same += draw(&s, 5, (uint64_t)i) == draw(&s, 6, (uint64_t)i);
    ok(same < 70, "another seed: other draws");
    return tap_done();
}
