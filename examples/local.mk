# SPDX-License-Identifier: BSD-2-Clause
# The example of ov-stream(5): compiled and run by the tests, not installed
# as a program.
OV_CHECK_TOOLS += examples/ov-half
examples_ov_half_LDADD =
dist_doc_DATA += examples/ov-half.c
EXTRA_DIST += examples/scene.png examples/transcribe examples/talk \
	examples/web/serve \
	examples/web/session examples/web/sockets/talk \
	examples/web/sockets/text examples/web/page/index.html
