/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-negate: the smallest tool over tools/filter.h, to test the door with.
 * In: a stream with i16 sound.  Out: the same, each sample negated. */
#include <stdint.h>
#include <unistd.h>

#include "tools/filter.h"
#include "tools/tool.h"

static int slow_ms;
static bool fail;

static const struct tool_option options[] = {
    {"slow", 0, TOOL_INT, &slow_ms, 0, 10000, NULL, "MS", "sleep per frame"},
    {"fail", 0, TOOL_FLAG, &fail, 0, 0, NULL, NULL, "fail at once"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {"ov-negate", "[FILE]", "audio -> audio",
                                 TOOL_HAS_OUTPUT | TOOL_HAS_PROGRESS |
                                     TOOL_HAS_SALVAGE | TOOL_HAS_STREAM,
                                 options};

static int channel;

static bool
wants(void *ctx, const struct ov_channel *c)
{
    (void)ctx;
    return c->kind == OV_KIND_AUDIO && c->dtype == OV_DTYPE_I16;
}

static int
open_channel(void *ctx, struct filter *f, const struct ov_channel *c,
             struct ov_err *err)
{
    (void)ctx;
    channel = filter_declare(f, c, err);
    return channel < 0 ? channel : 0;
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    (void)ctx;
    for (int ms = 0; ms < slow_ms && !filter_stale(f); ms++)
        usleep(1000);
    for (uint32_t i = 0; i < d->length; i += 2) {
        int v = -(int16_t)(d->payload[i] | d->payload[i + 1] << 8);

        d->payload[i] = (unsigned char)v;
        d->payload[i + 1] = (unsigned char)(v >> 8);
    }
    return filter_data(f, channel, d->pts, d->flags, d->payload, d->length,
                       err);
}

static const struct filter_stage stage = {.name = "negate",
                                          .food = "sound",
                                          .wants = wants,
                                          .open = open_channel,
                                          .data = data};

int
main(int argc, char **argv)
{
    int first = tool_start(&door, argc, argv);

    tool_expect_stream();
    if (fail)
        tool_die(OV_EMODEL, "no model, says --fail");
    return tool_finish(filter_run(&stage, NULL, argv[first]));
}
