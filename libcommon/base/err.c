/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors as values.
 * In: codes and formats.  Out: struct ov_err. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line, whatever names and bytes of files went into it. */
static void
printable(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            *s = '?';
}

int
ov_err_set(struct ov_err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (e == NULL)
        return code;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    printable(e->text);
    return code;
}

int
ov_err_errno(struct ov_err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    size_t n;

    if (e == NULL)
        return OV_ERUN;
    e->code = OV_ERUN;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(saved));
    printable(e->text);
    return OV_ERUN;
}

int
ov_err_prefix(struct ov_err *e, const char *fmt, ...)
{
    char head[sizeof e->text], tail[sizeof e->text];
    va_list ap;

    if (e == NULL)
        return OV_ERUN;
    memcpy(tail, e->text, sizeof tail);
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    snprintf(e->text, sizeof e->text, "%.*s: %.*s", 200, head, 308, tail);
    printable(e->text);
    return e->code;
}

int
ov_err_replace(struct ov_err *e, const char *old, const char *new)
{
    char tail[sizeof e->text], *at;
    size_t before;

    if (e == NULL)
        return OV_ERUN;
    at = strstr(e->text, old);
    if (at == NULL)
        return e->code;
    before = (size_t)(at - e->text);
    memcpy(tail, at + strlen(old), strlen(at + strlen(old)) + 1);
    snprintf(at, sizeof e->text - before, "%s%s", new, tail);
    printable(at);
    return e->code;
}
