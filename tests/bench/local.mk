# SPDX-License-Identifier: BSD-2-Clause
# Measurements: never part of `make check`, since times are no test.
EXTRA_PROGRAMS += tests/bench/trainbench
EXTRA_DIST += tests/bench/train tests/bench/train_torch.py
bench-local: tests/bench/trainbench
	OV_BUILDDIR=. $(srcdir)/tests/bench/train
