# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/ov-vad.1
dist_man_MANS += man/ov-model.1
dist_man_MANS += man/ov.7 man/ov-stream.5 man/ov-inspect.1
dist_man_MANS += man/ov-encode.1 man/ov-fuse.1
dist_man_MANS += man/ov-generate.1 man/ov-vocode.1
dist_man_MANS += man/ov-train.1
dist_man_MANS += man/ov-models.7
