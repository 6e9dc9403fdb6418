# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/train/augment.c libcommon/train/augment.h \
	libcommon/train/codes.c \
	libcommon/train/corpus.c libcommon/train/corpus.h \
	libcommon/train/examples.c libcommon/train/examples.h \
	libcommon/train/export.c libcommon/train/export.h \
	libcommon/train/init.c libcommon/train/init.h \
	libcommon/train/look.c \
	libcommon/train/loss.c libcommon/train/loss.h \
	libcommon/train/rng.c \
	libcommon/train/spectral.c libcommon/train/spectral.h \
	libcommon/train/talk.c \
	libcommon/train/train_codec.c libcommon/train/train_codec.h \
	libcommon/train/train_vad.c libcommon/train/train_vad.h \
	libcommon/train/train_voice.c libcommon/train/train_voice.h \
	libcommon/train/hear.c libcommon/train/hear.h \
	libcommon/train/mean.c libcommon/train/mean.h \
	libcommon/train/muon.c libcommon/train/muon.h \
	libcommon/train/start.c libcommon/train/start.h \
	libcommon/train/trainer.c libcommon/train/trainer.h
OV_TESTS += tests/unit/t_start tests/unit/t_hear tests/unit/t_look tests/unit/t_talk tests/unit/t_trainer
libov_a_SOURCES += \
	libcommon/train/images.c libcommon/train/images.h \
	libcommon/train/pictures.c libcommon/train/pictures.h \
	libcommon/train/train_vision.c libcommon/train/train_vision.h
