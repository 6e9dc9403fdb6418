libov_a_SOURCES += \
	libcommon/media/mel.c \
	libcommon/media/mel.h
