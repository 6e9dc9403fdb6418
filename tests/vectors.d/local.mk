# SPDX-License-Identifier: BSD-2-Clause
# tests/vectors: published networks against their references.  A family is a
# file v_FAMILY.c, a line here, and a line in run.c's table.
OV_CHECK_TOOLS += tests/vectors.d/run
tests_vectors_d_run_SOURCES = tests/vectors.d/run.c tests/vectors.d/case.c \
	tests/vectors.d/case.h
OV_SH_TESTS += tests/vectors
tests_vectors_d_run_SOURCES += tests/vectors.d/wav.h tests/vectors.d/v_snac.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_gpt.c \
	tests/vectors.d/v_silero.c tests/vectors.d/v_torch_pickle.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_clip.c
tests_vectors_d_run_SOURCES += tests/vectors.d/tokenizers.h \
	tests/vectors.d/v_qwen_tokenizer.c \
	tests/vectors.d/v_whisper_tokenizer.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_conformer.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_encodec.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_lfm2.c \
	tests/vectors.d/v_moshi_lm.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_hifigan.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_whisper.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_mimi.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_mini_omni2.c
tests_vectors_d_run_SOURCES += tests/vectors.d/v_lyra.c
