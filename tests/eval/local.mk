# SPDX-License-Identifier: BSD-2-Clause
# make eval: measure the default model; EVALFLAGS=--quick for a part of it.
OV_CHECK_TOOLS += tests/eval/soundscore
tests_eval_soundscore_LDADD = -lm

EXTRA_DIST += tests/eval/README tests/eval/OvEval.pm tests/eval/lpcnet.c \
	tests/eval/answers tests/eval/calibrate tests/eval/chunks \
	tests/eval/codec tests/eval/human tests/eval/judge \
	tests/eval/latency tests/eval/lyra tests/eval/run \
	tests/eval/seetime.py tests/eval/spoken tests/eval/talk tests/eval/vad \
	tests/eval/quantised tests/eval/vision tests/eval/written

eval-local: eval-run
eval-run: all tests/eval/vadscore$(EXEEXT) tests/eval/soundscore$(EXEEXT)
	OV_BUILDDIR='$(abs_top_builddir)' CC='$(CC)' \
		$(srcdir)/tests/eval/run $(EVALFLAGS)
.PHONY: eval-run

# make eval-vision: does it see?
OV_CHECK_TOOLS += tests/eval/seetime
eval-vision: all tests/eval/seetime$(EXEEXT)
	OV_BUILDDIR='$(abs_top_builddir)' CC='$(CC)' \
		$(srcdir)/tests/eval/vision $(EVALFLAGS)
.PHONY: eval-vision

# make eval-quantised: does it say the same in fewer bits?
EXTRA_PROGRAMS += tests/eval/reround
eval-quantised: all tests/eval/reround$(EXEEXT)
	OV_BUILDDIR='$(abs_top_builddir)' OV_SRCDIR='$(abs_top_srcdir)' \
		$(srcdir)/tests/eval/quantised
.PHONY: eval-quantised
