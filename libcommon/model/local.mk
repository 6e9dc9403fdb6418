# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/model/check.c libcommon/model/check.h \
	libcommon/model/config.c libcommon/model/config.h \
	libcommon/model/convert.c \
	libcommon/model/find.c libcommon/model/find.h \
	libcommon/model/import.c libcommon/model/import.h \
	libcommon/model/import_plan.c libcommon/model/import_plan.h \
	libcommon/model/kind.c libcommon/model/kind.h \
	libcommon/model/pack.c libcommon/model/pack.h \
	libcommon/model/panels.c libcommon/model/panels.h \
	libcommon/model/pickle.c libcommon/model/pickle.h \
	libcommon/model/pickle_call.c libcommon/model/pickle_machine.h \
	libcommon/model/pickle_global.c libcommon/model/pickle_global.h \
	libcommon/model/quantise.c libcommon/model/quantise.h \
	libcommon/model/safetensors.c libcommon/model/safetensors.h \
	libcommon/model/sharded.c libcommon/model/sharded.h \
	libcommon/model/store.h \
	libcommon/model/torch.c \
	libcommon/model/onnx.c libcommon/model/onnx.h \
	libcommon/model/write.c \
	libcommon/model/zip.c libcommon/model/zip.h

noinst_HEADERS += tests/unit/checkpoint.h tests/unit/mutate.h \
	tests/unit/onnx.h tests/unit/tokens.h
OV_TESTS += tests/unit/t_import tests/unit/t_quantise
OV_TESTS += tests/unit/t_config tests/unit/t_find \
	tests/unit/t_safetensors tests/unit/t_fuzz_safetensors \
	tests/unit/t_torch tests/unit/t_fuzz_torch tests/unit/t_onnx tests/unit/t_fuzz_onnx tests/unit/t_sharded tests/unit/t_kind

OV_SH_TESTS += tests/cli/t_ov_model.sh
libov_a_SOURCES += libcommon/model/yaml.c libcommon/model/yaml.h
libov_a_SOURCES += libcommon/model/tflite.c libcommon/model/tflite.h
OV_TESTS += tests/unit/t_yaml tests/unit/t_fuzz_yaml
OV_TESTS += tests/unit/t_fuzz_tflite
