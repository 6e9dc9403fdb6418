math_sources = \
	libcommon/math/tensor.h \
	libcommon/math/vec.h \
	libcommon/math/graph.c libcommon/math/graph.h \
	libcommon/math/gemm.c libcommon/math/gemm.h \
	libcommon/math/ops.h \
	libcommon/math/linear.c \
	libcommon/math/norm.c \
	libcommon/math/act.c \
	libcommon/math/conv.c \
	libcommon/math/attention.c \
	libcommon/math/embed.c \
	libcommon/math/sample.c libcommon/math/sample.h \
	libcommon/math/signal.c

libov_a_SOURCES += $(math_sources)
