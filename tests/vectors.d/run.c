/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors: run every case below some directories.
 * In: directories with case.json somewhere below.  Out: a line per tensor,
 * TAP with a test per case, and a total; 1 if anything failed.
 *
 *     run [-f FAMILY] DIR ...
 *
 * A line: name, shape, greatest difference, the same relative to what is
 * expected (or to its rms where that is more), what is allowed, ok or FAIL. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define WEAK __attribute__((weak))
/* A family that is not linked in fails by name. */
extern vcase_run v_clip WEAK, v_conformer WEAK, v_encodec WEAK, v_gpt WEAK,
    v_hifigan WEAK, v_lfm2 WEAK, v_mimi WEAK, v_mini_omni2 WEAK,
    v_moshi_lm WEAK, v_qwen_tokenizer WEAK, v_silero WEAK, v_snac WEAK,
    v_torch_pickle WEAK, v_whisper WEAK, v_whisper_tokenizer WEAK, v_lyra WEAK;

static const struct family {
    const char *name;
    vcase_run *run;
} FAMILIES[] = {
    {"clip", v_clip},         {"conformer", v_conformer},
    {"encodec", v_encodec},   {"gpt2", v_gpt},
    {"gptj", v_gpt},          {"hifigan", v_hifigan},
    {"lfm2_audio", v_lfm2},   {"lyra", v_lyra},
    {"mimi", v_mimi},         {"mini_omni2", v_mini_omni2},
    {"moe", v_gpt},           {"moshi_lm", v_moshi_lm},
    {"qwen", v_gpt},          {"qwen_tokenizer", v_qwen_tokenizer},
    {"silero_vad", v_silero}, {"snac", v_snac},
    {"soundstream", v_lyra},  {"torch_pickle", v_torch_pickle},
    {"whisper", v_whisper},   {"whisper_tokenizer", v_whisper_tokenizer},
};

/* What a case's process tells. */
struct verdict {
    int checked, failed;
    char skipped[160];
};

static int cases, bad_cases, skipped_cases, tensors, bad_tensors;
static const char *only; /* -f */

static const struct family *
find_family(const char *name)
{
    size_t i;

    for (i = 0; name != NULL && i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        if (strcmp(FAMILIES[i].name, name) == 0)
            return &FAMILIES[i];
    return NULL;
}

/* Named in case.json, else the folder or the one above it. */
static const struct family *
family_of(const struct vcase *c)
{
    char copy[4096], *name;
    const struct family *f = NULL;
    int i;

    if (c->family != NULL)
        return find_family(c->family);
    snprintf(copy, sizeof copy, "%s", c->dir);
    for (i = 0; i < 2 && f == NULL && (name = strrchr(copy, '/')) != NULL;
         i++) {
        *name = '\0';
        f = find_family(name + 1);
    }
    return f;
}

static void
run_case(const char *dir, struct verdict *v)
{
    const struct family *f;
    struct ov_err err = {0};
    struct vcase c;

    *v = (struct verdict){.checked = 1, .failed = 1};
    if (vcase_open(&c, dir, &err) != 0) {
        printf("  %s FAIL\n", err.text);
        vcase_close_all(&c);
        return;
    }
    f = family_of(&c);
    if (f == NULL || f->run == NULL)
        vcase_fail(&c, "family %s: nobody knows how to run it:",
                   c.family != NULL ? c.family : "(none)");
    else
        f->run(&c);
    if (c.checked == 0 && c.skipped[0] == '\0')
        vcase_fail(&c, "nothing was compared:");
    *v = (struct verdict){.checked = c.checked, .failed = c.failed};
    memcpy(v->skipped, c.skipped, sizeof v->skipped);
    vcase_close_all(&c);
}

/* In a process of its own: what crashes fails alone. */
static void
start_case(const char *dir)
{
    struct verdict v = {.checked = 1, .failed = 1};
    int ends[2], status = 0;
    pid_t pid;

    printf("# %s\n", dir);
    fflush(stdout);
    if (pipe(ends) != 0 || (pid = fork()) < 0) {
        perror("run");
        exit(99);
    }
    if (pid == 0) {
        close(ends[0]);
        run_case(dir, &v);
        fflush(stdout);
        if (write(ends[1], &v, sizeof v) != sizeof v)
            exit(99);
        exit(0);
    }
    close(ends[1]);
    if (read(ends[0], &v, sizeof v) != sizeof v)
        printf("  the case ended early FAIL\n");
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (status != 0) {
        printf("  %s %d FAIL\n", WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        v.failed++;
    }
    cases++;
    bad_cases += v.failed > 0;
    tensors += v.checked;
    bad_tensors += v.failed;
    skipped_cases += v.skipped[0] != '\0';
    printf("%sok %d - %s: %d of %d%s%s\n", v.failed > 0 ? "not " : "", cases,
           dir, v.checked - v.failed, v.checked,
           v.skipped[0] != '\0' ? " # SKIP " : "", v.skipped);
    fflush(stdout);
}

static bool
wanted(const char *dir)
{
    struct ov_err err;
    struct vcase c;
    bool yes = true;

    if (only == NULL)
        return true;
    if (vcase_open(&c, dir, &err) == 0)
        yes = c.family != NULL && strcmp(c.family, only) == 0;
    if (c.expected != NULL)
        ov_weights_close(c.expected);
    c.expected = NULL;
    vcase_close_all(&c);
    return yes;
}

static void
walk(const char *dir, int depth)
{
    struct dirent **list;
    char path[4096];
    struct stat st;
    int i, n;

    snprintf(path, sizeof path, "%s/case.json", dir);
    if (access(path, F_OK) == 0 && wanted(dir))
        start_case(dir);
    n = depth < 16 ? scandir(dir, &list, NULL, alphasort) : 0;
    for (i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && stat(path, &st) == 0 &&
            S_ISDIR(st.st_mode))
            walk(path, depth + 1);
        free(list[i]);
    }
    if (n > 0)
        free(list);
}

int
main(int argc, char **argv)
{
    int i = 1;

    if (argc > 2 && strcmp(argv[1], "-f") == 0) {
        only = argv[2];
        i = 3;
    }
    if (i >= argc) {
        fprintf(stderr, "usage: run [-f FAMILY] DIR ...\n");
        return 2;
    }
    for (; i < argc; i++) {
        size_t n = strlen(argv[i]);
        while (n > 1 && argv[i][n - 1] == '/')
            argv[i][--n] = '\0';
        walk(argv[i], 0);
    }
    printf("1..%d\n", cases);
    printf("# %d cases, %d failed, %d skipped; %d comparisons, %d failed\n",
           cases, bad_cases, skipped_cases, tensors, bad_tensors);
    if (cases == 0)
        printf("not ok 1 - no case.json found\n");
    return bad_cases > 0 || cases == 0;
}
