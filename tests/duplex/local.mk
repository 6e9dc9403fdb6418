# SPDX-License-Identifier: BSD-2-Clause
# Conversations scored from their two channels, and held with the pipeline:
# make eval-duplex, DUPLEXFLAGS=--quick for a part of it.
OV_CHECK_TOOLS += tests/duplex/duplexscore tests/duplex/soundcard
OV_SH_TESTS += tests/duplex/self.sh
EXTRA_DIST += tests/duplex/README tests/duplex/measure

eval-duplex: all tests/duplex/duplexscore$(EXEEXT) \
		tests/duplex/soundcard$(EXEEXT)
	OV_BUILDDIR='$(abs_top_builddir)' \
		$(srcdir)/tests/duplex/measure $(DUPLEXFLAGS)
.PHONY: eval-duplex
