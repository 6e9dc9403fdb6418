/* SPDX-License-Identifier: BSD-2-Clause */
/* libsox, started once for all who use it, and silent.
 * In: nothing.  Out: whether it runs, and what it complained about last. */
#include "media/soxstart.h"

#include <pthread.h>
#include <sox.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int status;
static char complaint[160];

/* It would print. */
__attribute__((format(printf, 3, 0))) static void
keep(unsigned level, const char *file, const char *fmt, va_list ap)
{
    (void)file;
    if (level == 1)
        vsnprintf(complaint, sizeof complaint, fmt, ap);
}

static void
start(void)
{
    sox_get_globals()->output_message_handler = keep;
    status = sox_init();
}

bool
ov_sox_start(void)
{
    pthread_once(&once, start);
    return status == SOX_SUCCESS;
}

const char *
ov_sox_complaint(void)
{
    return complaint;
}
