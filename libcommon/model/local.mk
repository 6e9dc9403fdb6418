# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/model/check.c libcommon/model/check.h \
	libcommon/model/config.c libcommon/model/config.h \
	libcommon/model/convert.c \
	libcommon/model/find.c libcommon/model/find.h \
	libcommon/model/pack.c libcommon/model/pack.h \
	libcommon/model/safetensors.c libcommon/model/safetensors.h \
	libcommon/model/write.c

noinst_HEADERS += tests/unit/mutate.h
OV_TESTS += tests/unit/t_config tests/unit/t_find \
	tests/unit/t_safetensors tests/unit/t_fuzz_safetensors

OV_SH_TESTS += tests/cli/t_ov_model.sh
