/* SPDX-License-Identifier: BSD-2-Clause */
/* LPCNet at 1.73 kbit/s, as Debian's libcodec2 carries it, for comparison.
 * In: stdin, samples s16le 16 kHz.  Out: stdout, the same after coding. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <codec2/lpcnet_freedv.h>

int
main(void)
{
    LPCNetFreeDV *l = lpcnet_freedv_create(LPCNET_DIRECT_SPLIT);
    size_t n, k;
    short *x;
    char *bits;

    if (l == NULL)
        return 1;
    n = (size_t)lpcnet_samples_per_frame(l);
    x = calloc(n, sizeof *x);
    bits = calloc((size_t)lpcnet_bits_per_frame(l), 1);
    if (x == NULL || bits == NULL)
        return 1;
    while ((k = fread(x, sizeof *x, n, stdin)) > 0) {
        memset(x + k, 0, (n - k) * sizeof *x);
        lpcnet_enc(l, x, bits);
        lpcnet_dec(l, bits, x);
        if (fwrite(x, sizeof *x, n, stdout) != n)
            return 1;
    }
    lpcnet_freedv_destroy(l);
    free(x);
    free(bits);
    return fflush(stdout) != 0 || ferror(stdin);
}
