/* SPDX-License-Identifier: BSD-2-Clause */
/* The common door of all tools.
 * In: argv.  Out: a started tool; one line on stderr when it must stop. */
#include "tools/tool.h"

struct tool_common tool;
