/* SPDX-License-Identifier: BSD-2-Clause */
/* What this processor can do that products make use of.
 * In: nothing.  Out: a line of text; how many threads there shall be. */
#include "stage/processor.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "math/amx.h"
#include "math/gemm.h"
#include "math/narrow.h"
#include "math/packed.h"
#include "math/pool.h"

static const char *
features(void)
{
    static char text[160];

    text[0] = '\0';

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS(name) \
    if (__builtin_cpu_supports(name)) \
    strcat(strcat(text, text[0] != '\0' ? " " : ""), name)
    __builtin_cpu_init();
    HAS("sse4.2");
    HAS("avx2");
    HAS("fma");
    HAS("avx512f");
    HAS("avx512bw");
    HAS("avx512vl");
    HAS("avx512vnni");
    HAS("avx512bf16");
#undef HAS
    if ((ov_amx() & OV_AMX_BF16) != 0)
        strcat(text, " amx-bf16");
    if ((ov_amx() & OV_AMX_INT8) != 0)
        strcat(text, " amx-int8");
#endif
    return text[0] != '\0' ? text : "plain";
}

const char *
ov_processor(void)
{
    static const char *const unit[] = { "widened", "vdpbf16ps", "tiles" };
    static char text[320];

    snprintf(text, sizeof text,
             "%s; products: panels %s, bfloat16 %s, rows %d lanes, BLIS %s",
             features(), ov_packed_kernel(), unit[ov_bf16_unit()],
             ov_narrow_lanes(), ov_gemm_kernel());
    return text;
}

void
ov_processor_threads(int asked, enum ov_model_type type)
{
    long n = asked;

    if (asked <= 0)
        n = type == OV_MODEL_OV ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
    if (asked == OV_THREADS_BESIDE)
        n /= 2;
    ov_gemm_threads(n < 1 ? 1 : n > OV_POOL_MAX ? OV_POOL_MAX : (int)n);
}
