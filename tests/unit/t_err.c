/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of base/err.
 * In: nothing.  Out: TAP. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/tap.h"

int
main(void)
{
    char name[600] = "";
    struct ov_err e;

    ok(ov_err_set(&e, OV_EMODEL, "no %s", "model") == OV_EMODEL, "code");
    ok(strcmp(e.text, "no model") == 0, "text");
    ok(ov_err_prefix(&e, "x%d", 1) == OV_EMODEL, "prefix keeps the code");
    ok(strcmp(e.text, "x1: no model") == 0, "prefix");
    errno = ENOSPC;
    ok(ov_err_errno(&e, "out") == OV_ERUN && strstr(e.text, "out: No space"),
       "errno");
    ok(ov_err_set(NULL, -3, "x") == -3, "no place for the text");
    ov_err_set(&e, OV_ERUN, "%s: no", "a\nb\033[2J\177");
    ok(strcmp(e.text, "a?b?[2J?: no") == 0, "control bytes of names: %s",
       e.text);
    ov_err_set(&e, OV_EMODEL, "/x/a.part/b: no");
    ok(ov_err_replace(&e, "/x/a.part", "/home/y") == OV_EMODEL &&
           strcmp(e.text, "/home/y/b: no") == 0,
       "one name for another");
    ok(ov_err_replace(&e, "/z", "") == OV_EMODEL &&
           strcmp(e.text, "/home/y/b: no") == 0,
       "that is not there");
    memset(name, 'n', sizeof name - 1);
    ov_err_replace(&e, "y", name);
    ok(strlen(e.text) == sizeof e.text - 1, "cut at the end");
    return tap_done();
}
