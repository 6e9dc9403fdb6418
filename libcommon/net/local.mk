# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/net/block.c libcommon/net/block.h \
	libcommon/net/codec.c libcommon/net/codec.h \
	libcommon/net/codec_quantise.c \
	libcommon/net/params.c libcommon/net/params.h
libov_a_SOURCES += \
	libcommon/net/encoder.c \
	libcommon/net/load.c libcommon/net/load.h \
	libcommon/net/vad.c libcommon/net/vad.h \
	libcommon/net/voice.c libcommon/net/voice.h
libov_a_SOURCES += \
	libcommon/net/silero.c libcommon/net/silero.h \
	libcommon/net/silero_speech.c libcommon/net/silero_speech.h
OV_TESTS += tests/unit/t_silero
OV_TESTS += tests/unit/t_net tests/unit/t_params
OV_TESTS += tests/unit/t_fuzz_gpt
libov_a_SOURCES += libcommon/net/bind.c libcommon/net/bind.h
libov_a_SOURCES += \
	libcommon/net/bind_conv.c libcommon/net/bind_conv.h \
	libcommon/net/snac.c libcommon/net/snac.h
libov_a_SOURCES += \
	libcommon/net/gpt.c libcommon/net/gpt.h \
	libcommon/net/gpt_bind.c libcommon/net/gpt_config.c \
	libcommon/net/moe.c libcommon/net/moe.h \
	libcommon/net/rotary.c libcommon/net/rotary.h
libov_a_SOURCES += \
	libcommon/net/clip.c libcommon/net/clip.h \
	libcommon/net/torchlayer.c libcommon/net/torchlayer.h
libov_a_SOURCES += libcommon/net/conformer.c libcommon/net/conformer.h
libov_a_SOURCES += \
	libcommon/net/encodec.c libcommon/net/encodec.h \
	libcommon/net/rvq.c libcommon/net/rvq.h \
	libcommon/net/seanet.c libcommon/net/seanet.h
libov_a_SOURCES += \
	libcommon/net/whisper.c libcommon/net/whisper.h \
	libcommon/net/whisper_text.c
libov_a_SOURCES += \
	libcommon/net/whisper_align.c \
	libcommon/net/whisper_decode.c libcommon/net/whisper_decode.h
libov_a_SOURCES += \
	libcommon/net/lfm2.c libcommon/net/lfm2.h libcommon/net/lfm2_audio.c \
	libcommon/net/moshi.c libcommon/net/moshi.h \
	libcommon/net/moshi_bind.c libcommon/net/moshi_config.c
libov_a_SOURCES += libcommon/net/hifigan.c libcommon/net/hifigan.h
libov_a_SOURCES += libcommon/net/whisper_heads.c
libov_a_SOURCES += libcommon/net/mimi.c libcommon/net/mimi.h
libov_a_SOURCES += \
	libcommon/net/miniomni.c libcommon/net/miniomni.h \
	libcommon/net/miniomni_config.c libcommon/net/miniomni_prompt.c
libov_a_SOURCES += \
	libcommon/net/lyra.c libcommon/net/lyra.h \
	libcommon/net/tflite_run.c libcommon/net/tflite_run.h
OV_TESTS += tests/unit/t_torchlayer tests/unit/t_narrow_nets
OV_TESTS += tests/unit/t_whisper_past
OV_TESTS += tests/unit/t_fuzz_whisper
OV_TESTS += tests/unit/t_fuzz_omni
OV_TESTS += tests/unit/t_lyra
OV_TESTS += tests/unit/t_conformer
OV_TESTS += tests/unit/t_miniomni
libov_a_SOURCES += libcommon/net/vision.c libcommon/net/vision.h
OV_TESTS += tests/unit/t_vision
libov_a_SOURCES += libcommon/net/experts.c libcommon/net/experts.h
OV_TESTS += tests/unit/t_experts
