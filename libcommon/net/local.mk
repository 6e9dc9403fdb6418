# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/net/block.c libcommon/net/block.h \
	libcommon/net/codec.c libcommon/net/codec.h \
	libcommon/net/params.c libcommon/net/params.h
libov_a_SOURCES += \
	libcommon/net/encoder.c \
	libcommon/net/load.c libcommon/net/load.h \
	libcommon/net/vad.c libcommon/net/vad.h \
	libcommon/net/voice.c libcommon/net/voice.h
libov_a_SOURCES += \
	libcommon/net/silero.c libcommon/net/silero.h
OV_TESTS += tests/unit/t_silero
OV_TESTS += tests/unit/t_net
libov_a_SOURCES += libcommon/net/bind.c libcommon/net/bind.h
