# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/media/mel.c \
	libcommon/media/mel.h \
	libcommon/media/resample.c \
	libcommon/media/resample.h
libov_a_SOURCES += \
	libcommon/media/header.c \
	libcommon/media/header.h \
	libcommon/media/pcm.c \
	libcommon/media/pcm.h \
	libcommon/media/soundin.c \
	libcommon/media/soundin.h \
	libcommon/media/soundout.c \
	libcommon/media/soundout.h

OV_TESTS += tests/unit/t_mel tests/unit/t_resample tests/unit/t_soundin \
	tests/unit/t_soundout tests/unit/t_fuzz_header
libov_a_SOURCES += \
	libcommon/media/whisper_mel.c \
	libcommon/media/whisper_mel.h
OV_TESTS += tests/unit/t_whisper_mel
libov_a_SOURCES += \
	libcommon/media/image.c libcommon/media/image.h \
	libcommon/media/image_jpeg.c libcommon/media/image_png.c \
	libcommon/media/resize.c libcommon/media/resize.h
libov_a_SOURCES += \
	libcommon/media/fastconformer_mel.c \
	libcommon/media/fastconformer_mel.h
libov_a_SOURCES += \
	libcommon/media/hifigan_mel.c \
	libcommon/media/hifigan_mel.h
OV_TESTS += tests/unit/t_image tests/unit/t_fuzz_image
libov_a_SOURCES += \
	libcommon/media/soundplay.c libcommon/media/soundplay.h \
	libcommon/media/sounddevice.c libcommon/media/sounddevice.h \
	libcommon/media/soxstart.c libcommon/media/soxstart.h \
	libcommon/media/soundref.c libcommon/media/soundref.h \
	libcommon/media/soundecho.c libcommon/media/soundecho.h
OV_TESTS += tests/unit/t_soundplay tests/unit/t_soundecho
