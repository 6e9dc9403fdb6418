# SPDX-License-Identifier: BSD-2-Clause
# Each completion file is named like its command.
bashcompdir = $(datadir)/bash-completion/completions
dist_bashcomp_DATA =
dist_bashcomp_DATA += completions/ov-vad
dist_bashcomp_DATA += completions/ov-model
