# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/ov-vad.1
dist_man_MANS += man/ov-model.1
