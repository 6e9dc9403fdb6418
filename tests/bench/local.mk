# SPDX-License-Identifier: BSD-2-Clause
# Measurements: never part of `make check`, since times are no test.
EXTRA_PROGRAMS += tests/bench/trainbench tests/bench/kernels \
	tests/bench/vocoder tests/bench/encoder tests/bench/decoder
tests_bench_kernels_SOURCES = tests/bench/kernels.c tests/bench/peer_dnnl.c \
	tests/bench/peer.h
tests_bench_kernels_LDADD = $(LDADD) $(DNNL_LIBS) -ldl
EXTRA_DIST += tests/bench/train tests/bench/train_torch.py \
	tests/bench/products tests/bench/whisper tests/bench/README \
	tests/bench/encoders tests/bench/encoder_torch.py
bench-local: bench-products bench-vocoders bench-encoders bench-train
bench-encoders: tests/bench/encoder tests/long/ov-true-size
	OV_BUILDDIR=. $(srcdir)/tests/bench/encoders
bench-vocoders: tests/bench/vocoder
	OMP_NUM_THREADS=1 tests/bench/vocoder
bench-products: tests/bench/kernels
	OV_BUILDDIR=. $(srcdir)/tests/bench/products
bench-train: tests/bench/trainbench
	OV_BUILDDIR=. $(srcdir)/tests/bench/train
bench-whisper: all tests/long/ov-true-size tests/long/ov-memory
	OV_BUILDDIR=. OV_SRCDIR='$(abs_top_srcdir)' $(srcdir)/tests/bench/whisper
.PHONY: bench-whisper bench-products bench-vocoders bench-encoders bench-train

# whole networks beside their peers, and the five processes
EXTRA_PROGRAMS += tests/bench/network tests/bench/weights tests/bench/peak
tests_bench_weights_SOURCES = tests/bench/weights.c tests/long/archive.c
EXTRA_DIST += tests/bench/networks tests/bench/network_ort.js \
	tests/bench/network_torch.py tests/bench/omni tests/bench/plot
bench-local: bench-networks
bench-networks: tests/bench/network tests/bench/weights tests/bench/peak \
		tests/long/ov-true-size
	OV_BUILDDIR=. $(srcdir)/tests/bench/networks --json networks.json
	$(srcdir)/tests/bench/plot networks.json >networks.svg
bench-omni: all tests/long/ov-true-size
	OV_BUILDDIR=. $(srcdir)/tests/bench/omni --json omni.json
.PHONY: bench-networks bench-omni
