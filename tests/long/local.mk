# SPDX-License-Identifier: BSD-2-Clause
# make check-long: what takes minutes and gigabytes.
EXTRA_PROGRAMS += tests/long/ov-true-size tests/long/ov-memory \
	tests/long/ov-nearness
EXTRA_DIST += tests/long/true-size
check-long-local: true-size
true-size: all tests/long/ov-true-size tests/long/ov-memory \
		tests/long/ov-nearness
	$(AM_TESTS_ENVIRONMENT) sh $(srcdir)/tests/long/true-size
.PHONY: true-size
