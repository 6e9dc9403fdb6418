/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolutions of a published network, taken from its file.
 * In: names and sizes.  Out: convolutions ready to run, weight norm folded
 * in. */
#ifndef OV_NET_BIND_CONV_H
#define OV_NET_BIND_CONV_H

#include "math/conv1d.h"
#include "net/bind.h"

/* The convolution NAME of the sizes given: NAME.weight, or
 * NAME.weight_g and NAME.weight_v, or
 * NAME.parametrizations.weight.original0 and original1; with bias NAME.bias.
 * False, b->err and *c empty if something is missing or does not fit. */
bool ov_bind_conv(struct ov_bind *b, struct ov_conv1d *c,
                  struct ov_conv1d sizes, bool bias, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The three dimensions of its weight, however it is stored. */
bool ov_bind_conv_shape(struct ov_bind *b, int shape[3], const char *name);

#endif
