# SPDX-License-Identifier: BSD-2-Clause
# Files of the default model: OV_MODEL_FILES += models/default/NAME
OV_MODEL_FILES =
ovmodeldir = $(pkgdatadir)/models/default
dist_ovmodel_DATA = $(OV_MODEL_FILES)
