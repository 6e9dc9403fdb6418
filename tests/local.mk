# SPDX-License-Identifier: BSD-2-Clause
# The harness: every test prints TAP, automake's parallel driver counts it.
noinst_HEADERS += tests/unit/tap.h tests/unit/memstream.h

TESTS = $(OV_TESTS) $(OV_SH_TESTS)
TEST_EXTENSIONS = .sh
OV_TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) \
	$(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(OV_TAP_DRIVER)
SH_LOG_DRIVER = $(OV_TAP_DRIVER)
AM_TESTS_ENVIRONMENT = \
	OV_SRCDIR='$(abs_top_srcdir)'; OV_BUILDDIR='$(abs_top_builddir)'; \
	OV_MODEL_PATH='$(abs_top_srcdir)/models'; OV_CC='$(CC)'; \
	OV_CFLAGS='$(OV_CFLAGS)'; \
	export OV_SRCDIR OV_BUILDDIR OV_MODEL_PATH OV_CC OV_CFLAGS;

EXTRA_DIST += $(OV_SH_TESTS) tests/cli/common.sh

# Parts of these need a machine that keeps pace: only with OV_LONG set.
OV_SH_LONG = tests/duplex/self.sh tests/cli/examples.sh

# Longer tests, measurements: rooms add prerequisites
#     check-long-local: ...   bench-local: ...   eval-local: ...
check-long: check
	OV_LONG=1 $(MAKE) $(AM_MAKEFLAGS) check-TESTS \
		TESTS='$(OV_TESTS_LONG) $(OV_SH_LONG)'
	$(MAKE) $(AM_MAKEFLAGS) check-long-local
check-long-local:
bench: all bench-local
bench-local:
eval: all eval-local
eval-local:
.PHONY: check-long check-long-local bench bench-local eval eval-local
OV_TESTS += tests/unit/t_err
OV_TESTS += tests/unit/t_keys
OV_TESTS += tests/unit/t_stream
OV_TESTS += tests/unit/t_ahead
OV_TESTS += tests/unit/t_fuzz_stream
OV_CHECK_TOOLS += tests/eval/vadscore
OV_SH_TESTS += tests/cli/vad.sh tests/cli/silero.sh

# the tools from outside: tests/cli/run.sh runs NAME.case, see there
OV_CHECK_TOOLS += tests/cli/ov-negate
OV_SH_TESTS += tests/cli/run.sh
# the filters together, with random weights
OV_SH_TESTS += tests/cli/pipeline.sh tests/cli/live.sh tests/cli/talk.sh \
	tests/cli/robust.sh
OV_CHECK_TOOLS += tests/cli/ov-asides
# and with the default model
OV_SH_TESTS += tests/cli/default.sh
# its sound in time
OV_SH_TESTS += tests/cli/player.sh
# a conversation, in a terminal and in a browser
OV_SH_TESTS += tests/cli/examples.sh
# published decoders of text through the same filters
OV_SH_TESTS += tests/cli/gpt.sh
# published recognisers
OV_SH_TESTS += tests/cli/whisper.sh
dist-hook: dist-cases
dist-cases:
	cd $(srcdir)/tests/cli && cp -p *.case *.exit *.stdout *.stderr *.txt \
		"$(abs_top_builddir)/$(distdir)/tests/cli"
.PHONY: dist-cases

OV_SH_TESTS += tests/lint/layers.sh tests/lint/style.sh
OV_CHECK_TOOLS += tests/cli/ov-omni-rows
OV_SH_TESTS += tests/cli/miniomni.sh
OV_SH_TESTS += tests/cli/codecs.sh
# published checkpoints among the models, and examples/transcribe
OV_SH_TESTS += tests/cli/import.sh tests/cli/quantise.sh
OV_SH_TESTS += tests/cli/vision.sh
