# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/stream/ahead.c libcommon/stream/ahead.h \
	libcommon/stream/channel.c libcommon/stream/channel.h \
	libcommon/stream/frame.c libcommon/stream/frame.h \
	libcommon/stream/keys.c libcommon/stream/keys.h \
	libcommon/stream/link.c libcommon/stream/link.h \
	libcommon/stream/reader.c libcommon/stream/reader.h \
	libcommon/stream/turns.c libcommon/stream/turns.h \
	libcommon/stream/writer.c libcommon/stream/writer.h \
	libcommon/stream/zip.c libcommon/stream/zip.h
