# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/stage/vad.h libcommon/stage/encode.h libcommon/stage/fuse.h \
	libcommon/stage/generate.h libcommon/stage/vocode.h
