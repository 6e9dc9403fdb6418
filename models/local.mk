# SPDX-License-Identifier: BSD-2-Clause
# The default model, and what made it.
OV_MODEL_FILES = models/default/config.json models/default/tokenizer.json \
	models/default/vad.safetensors.zst \
	models/default/encoder.safetensors.zst \
	models/default/adapter.safetensors.zst \
	models/default/lm.safetensors.zst \
	models/default/vision.safetensors.zst \
	models/default/codec.safetensors.zst \
	models/default/question.wav
ovmodeldir = $(pkgdatadir)/models/default
dist_ovmodel_DATA = $(OV_MODEL_FILES)
EXTRA_DIST += models/README models/recipe/check-corpus \
	models/recipe/experts \
	models/recipe/humans models/recipe/pictures models/recipe/questions \
	models/recipe/speak.c models/recipe/synthesise models/recipe/things \
	models/recipe/train
