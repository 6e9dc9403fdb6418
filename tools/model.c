/* SPDX-License-Identifier: BSD-2-Clause */
/* The model that -m names.
 * In: the name or path.  Out: its directory and identity. */
#include "model/find.h"

#include <stddef.h>

#include "tools/tool.h"

const char *
tool_model_dir(void)
{
    static char *dir;
    struct ov_err err;

    if (dir == NULL && ov_model_find(tool.model, &dir, &err) != 0)
        tool_die_err(&err);
    return dir;
}

const char *
tool_model_id(void)
{
    static char id[96];
    struct ov_err err;

    if (id[0] == '\0' && ov_model_id(tool_model_dir(), id, &err) != 0)
        tool_die_err(&err);
    return id;
}
