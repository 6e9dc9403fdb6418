# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/stage/vad.h libcommon/stage/encode.h libcommon/stage/fuse.h \
	libcommon/stage/generate.h libcommon/stage/vocode.h
libov_a_SOURCES += \
	libcommon/stage/energy.c libcommon/stage/energy.h \
	libcommon/stage/vad.c
OV_TESTS += tests/unit/t_vad
libov_a_SOURCES += \
	libcommon/stage/encode.c libcommon/stage/fuse.c \
	libcommon/stage/generate.c libcommon/stage/vocode.c
libov_a_SOURCES += libcommon/stage/sight.c libcommon/stage/sight.h
# STAGE.c chooses by the model's kind; each kind is a file STAGE_KIND.c
libov_a_SOURCES += \
	libcommon/stage/encode_ops.h libcommon/stage/encode_ov.c \
	libcommon/stage/fuse_ops.h libcommon/stage/fuse_ov.c \
	libcommon/stage/generate_ops.h libcommon/stage/generate_ov.c \
	libcommon/stage/vocode_ops.h libcommon/stage/vocode_ov.c
libov_a_SOURCES += \
	libcommon/stage/transcribe.c libcommon/stage/transcribe.h \
	libcommon/stage/transcribe_words.c libcommon/stage/transcribe_words.h
libov_a_SOURCES += \
	libcommon/stage/encode_whisper.c libcommon/stage/fuse_whisper.c \
	libcommon/stage/generate_whisper.c
libov_a_SOURCES += \
	libcommon/stage/encode_gpt.c libcommon/stage/fuse_gpt.c \
	libcommon/stage/generate_gpt.c
libov_a_SOURCES += \
	libcommon/stage/miniomni_parts.c libcommon/stage/miniomni_parts.h \
	libcommon/stage/encode_miniomni.c libcommon/stage/fuse_miniomni.c \
	libcommon/stage/generate_miniomni.c libcommon/stage/vocode_miniomni.c
# published codecs and vocoders
libov_a_SOURCES += \
	libcommon/stage/fifo.c libcommon/stage/fifo.h \
	libcommon/stage/processor.c libcommon/stage/processor.h \
	libcommon/stage/intake.c libcommon/stage/intake.h \
	libcommon/stage/sound_codec.c libcommon/stage/sound_codec.h \
	libcommon/stage/encode_codec.c libcommon/stage/vocode_codec.c \
	libcommon/stage/encode_hifigan.c libcommon/stage/vocode_hifigan.c
OV_TESTS += tests/unit/t_transcribe
noinst_HEADERS += tests/unit/whisper_model.h
OV_TESTS += tests/unit/t_fuzz_codecs
