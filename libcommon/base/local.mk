# SPDX-License-Identifier: BSD-2-Clause
libov_a_SOURCES += \
	libcommon/base/err.c libcommon/base/err.h

libov_a_SOURCES += \
	libcommon/base/crc32.c libcommon/base/crc32.h \
	libcommon/base/json.c libcommon/base/json.h \
	libcommon/base/json_pull.c libcommon/base/json_pull.h

libov_a_SOURCES += \
	libcommon/base/buf.c libcommon/base/buf.h \
	libcommon/base/clock.c libcommon/base/clock.h
libov_a_SOURCES += \
	libcommon/base/large.c libcommon/base/large.h \
	libcommon/base/warm.c libcommon/base/warm.h
libov_a_SOURCES += libcommon/base/gunzip.c libcommon/base/gunzip.h
OV_TESTS += tests/unit/t_json tests/unit/t_fuzz_json tests/unit/t_warm
