# SPDX-License-Identifier: BSD-2-Clause
# make check-long: what takes minutes and gigabytes.
EXTRA_PROGRAMS += tests/long/ov-true-size tests/long/ov-memory \
	tests/long/ov-nearness
tests_long_ov_true_size_SOURCES = tests/long/ov-true-size.c tests/long/archive.c \
	tests/long/archive.h
EXTRA_DIST += tests/long/true-size tests/long/recipe
check-long-local: true-size recipe
recipe: all
	$(AM_TESTS_ENVIRONMENT) sh $(srcdir)/tests/long/recipe
true-size: all tests/long/ov-true-size tests/long/ov-memory \
		tests/long/ov-nearness
	$(AM_TESTS_ENVIRONMENT) sh $(srcdir)/tests/long/true-size
.PHONY: true-size recipe
