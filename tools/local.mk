# SPDX-License-Identifier: BSD-2-Clause
# A tool is one line, bin_PROGRAMS += tools/ov-NAME, and one file,
# tools/ov-NAME.c; what tools share is linked into each.
libovtool_a_SOURCES += \
	tools/tool.c tools/tool.h \
	tools/output.c tools/output.h \
	tools/model.c
