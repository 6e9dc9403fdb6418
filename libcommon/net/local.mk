# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/net/block.c libcommon/net/block.h \
	libcommon/net/codec.c libcommon/net/codec.h \
	libcommon/net/params.c libcommon/net/params.h
