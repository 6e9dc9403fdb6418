/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors as values: the library fills a struct ov_err and returns a negative
 * code; it never prints and never exits.
 * In: a code and a printf format.  Out: one line of text and the code. */
#ifndef OV_BASE_ERR_H
#define OV_BASE_ERR_H

/* The negated code is the tool's exit status, see ov(7). */
enum {
    OV_OK = 0,
    OV_ERUN = -1,    /* run-time: I/O, memory, a device */
    OV_EUSAGE = -2,  /* wrong options or arguments */
    OV_ESTREAM = -3, /* bad or truncated input stream */
    OV_EMODEL = -4   /* missing, damaged or unfitting model */
};

struct ov_err {
    int code;
    char text[512];
};

/* Fill *e (may be NULL) and return code.  Text is cut at 511 bytes. */
int ov_err_set(struct ov_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Like ov_err_set, with ": strerror(errno)" appended; code is OV_ERUN. */
int ov_err_errno(struct ov_err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "prefix: " before the text that is there; returns e's code. */
int ov_err_prefix(struct ov_err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The first old in the text becomes new, if there is one; returns e's code. */
int ov_err_replace(struct ov_err *e, const char *old, const char *new);

#endif
