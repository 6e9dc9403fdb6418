# SPDX-License-Identifier: BSD-2-Clause
# A tool is one line, bin_PROGRAMS += tools/ov-NAME, and one file,
# tools/ov-NAME.c; what tools share is linked into each.
libovtool_a_SOURCES += \
	tools/tool.c tools/tool.h \
	tools/output.c tools/output.h \
	tools/filter.c tools/filter.h \
	tools/model.c

bin_PROGRAMS += tools/ov-inspect
tools_ov_inspect_SOURCES = tools/ov-inspect.c \
	tools/assemble.c tools/assemble.h \
	tools/latency.c tools/latency.h tools/sheet.c tools/sheet.h
bin_PROGRAMS += tools/ov-encode
bin_PROGRAMS += tools/ov-fuse
bin_PROGRAMS += tools/ov-generate
tools_ov_generate_SOURCES = tools/ov-generate.c \
	tools/subtitles.c tools/subtitles.h
bin_PROGRAMS += tools/ov-vocode
bin_PROGRAMS += tools/ov-vad
bin_PROGRAMS += tools/ov-model
bin_PROGRAMS += tools/ov-train
