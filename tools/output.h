/* SPDX-License-Identifier: BSD-2-Clause */
/* The output side of the door, for tool.c alone.
 * In: failures and signals.  Out: no half-written file, an ERROR frame. */
#ifndef OV_TOOLS_OUTPUT_H
#define OV_TOOLS_OUTPUT_H

/* Signals that end the tool remove the .part file and are raised again;
 * SIGUSR1 prints the status line; SIGPIPE ends it silently. */
void output_signals(void);
/* What SIGUSR1 prints. */
void output_status(const char *name, const char *line);
/* Send ERROR "name: text" if the output is or will be a stream. */
void output_error(const char *name, const char *text);
/* What tool_last wants, once. */
void output_last(void);
/* Remove the .part file. */
void output_abandon(void);

#endif
