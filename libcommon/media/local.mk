# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/media/mel.c \
	libcommon/media/mel.h \
	libcommon/media/resample.c \
	libcommon/media/resample.h
