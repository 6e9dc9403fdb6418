math_sources = \
	libcommon/math/tensor.h \
	libcommon/math/vec.h \
	libcommon/math/graph.c libcommon/math/graph.h \
	libcommon/math/gemm.c libcommon/math/gemm.h \
	libcommon/math/amx.c libcommon/math/amx.h \
	libcommon/math/mixed.c libcommon/math/mixed.h \
	libcommon/math/pool.c libcommon/math/pool.h \
	libcommon/math/ops.h \
	libcommon/math/linear.c \
	libcommon/math/norm.c \
	libcommon/math/act.c libcommon/math/around.c \
	libcommon/math/conv.c \
	libcommon/math/attention.c \
	libcommon/math/embed.c \
	libcommon/math/route.c libcommon/math/route.h \
	libcommon/math/sample.c libcommon/math/sample.h \
	libcommon/math/fft.c libcommon/math/fft.h \
	libcommon/math/signal.c

libov_a_SOURCES += $(math_sources)
# inference alone, in single precision
libov_a_SOURCES += \
	libcommon/math/conv1d.c libcommon/math/conv1d.h \
	libcommon/math/lstm.c libcommon/math/lstm.h \
	libcommon/math/snake.c libcommon/math/snake.h \
	libcommon/math/attend.c libcommon/math/attend.h \
	libcommon/math/attend_tiles.c libcommon/math/attend_tiles.h \
	libcommon/math/dense.c libcommon/math/dense.h \
	libcommon/math/narrow.c libcommon/math/narrow.h \
	libcommon/math/narrow_lanes.inc \
	libcommon/math/gelu.c libcommon/math/gelu.h

# the same room in double precision, for gradients against differences
check_LIBRARIES += libovd.a
libovd_a_SOURCES = $(math_sources) libcommon/train/loss.c \
	libcommon/train/loss.h
libovd_a_CPPFLAGS = $(AM_CPPFLAGS) -DOV_DOUBLE

OV_TESTS += tests/unit/t_grad tests/unit/t_sample tests/unit/t_mixed \
	tests/unit/t_attend
tests_unit_t_grad_CPPFLAGS = $(AM_CPPFLAGS) -DOV_DOUBLE
tests_unit_t_grad_LDADD = libovd.a $(OV_LIBS)
libov_a_SOURCES += libcommon/math/flow.c libcommon/math/flow.h
OV_TESTS += tests/unit/t_narrow
OV_TESTS += tests/unit/t_conv1d
libov_a_SOURCES += \
	libcommon/math/packed.c libcommon/math/packed.h \
	libcommon/math/slab.c libcommon/math/slab.h \
	libcommon/math/packed_kernel.h libcommon/math/packed_tile.h \
	libcommon/math/packed_integers.c libcommon/math/packed_pairs.c \
	libcommon/math/packed_round.c \
	libcommon/math/packed_widen.c \
	libcommon/math/packed_plain.c libcommon/math/packed_avx2.c \
	libcommon/math/packed_avx512.c libcommon/math/packed_amx.c \
	libcommon/math/tiles.c libcommon/math/tiles.h \
	libcommon/math/tiles_weights.c libcommon/math/tiles_weights.h \
	libcommon/math/tiles_cut.h libcommon/math/tiles_multiply.h \
	libcommon/math/tiles_vectors.c libcommon/math/tiles_vectors.h
OV_TESTS += tests/unit/t_packed tests/unit/t_pool tests/unit/t_vec \
	tests/unit/t_tiles tests/unit/t_dense
