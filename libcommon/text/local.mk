# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/text/alphabet.c libcommon/text/alphabet.h \
	libcommon/text/bpe.c libcommon/text/bpe.h \
	libcommon/text/bpe_train.c \
	libcommon/text/split.c libcommon/text/split.h \
	libcommon/text/unicode.c libcommon/text/unicode.h \
	libcommon/text/utf8.c libcommon/text/utf8.h

OV_TESTS += tests/unit/t_bpe tests/unit/t_fuzz_bpe tests/unit/t_utf8
libov_a_SOURCES += libcommon/text/normal.c libcommon/text/normal.h
OV_TESTS += tests/unit/t_normal
libov_a_SOURCES += \
	libcommon/text/clip_bpe.c libcommon/text/clip_bpe.h \
	libcommon/text/html.c libcommon/text/html.h \
	libcommon/text/html_names.c
libov_a_SOURCES += \
	libcommon/text/bpe_table.c libcommon/text/bpe_table.h \
	libcommon/text/tiktoken.c libcommon/text/tiktoken.h \
	libcommon/text/whisper_tokens.c libcommon/text/whisper_tokens.h
OV_TESTS += tests/unit/t_fuzz_tiktoken tests/unit/t_split
OV_TESTS += tests/unit/t_clip_bpe tests/unit/t_fuzz_clip_bpe
