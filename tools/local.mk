# SPDX-License-Identifier: BSD-2-Clause
# A tool is one line, bin_PROGRAMS += tools/ov-NAME, and one file,
# tools/ov-NAME.c; tool.c is linked into each.
libovtool_a_SOURCES += tools/tool.c tools/tool.h
