/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a pipeline while it runs: every 50 ms that of each process
 * and of all at once, pages that they share in full (RSS) and in parts (PSS).
 * In: a command for the shell.  Out: lines "NAME peak-rss" in MB, "sum-rss"
 * and "sum-pss" to standard error; its exit status. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 64 };

static struct process {
    long pid, peak;
    char name[32];
} process[PROCESSES];
static int processes;
static long most_rss, most_pss;

/* kB after key in /proc/PID/file; -1. */
static long
look(long pid, const char *file, const char *key)
{
    char path[64], line[256];
    long kb = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/%s", pid, file);
    f = fopen(path, "r");
    while (f != NULL && kb < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtol(line + strlen(key), NULL, 10);
    if (f != NULL)
        fclose(f);
    return kb;
}

/* Its name, if it is of that process group. */
static int
is_ours(long pid, long group, char name[32])
{
    char path[64], line[512], *end;
    long of = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) != NULL &&
        (end = strrchr(line, ')')) != NULL) {
        *end = '\0';
        snprintf(name, 32, "%.31s", strchr(line, '(') + 1);
        if (sscanf(end + 2, "%*c %*d %ld", &of) != 1)
            of = 0;
    }
    fclose(f);
    return of == group;
}

static void
note(long pid, const char *name, long peak)
{
    int i;

    for (i = 0; i < processes && process[i].pid != pid; i++)
        ;
    if (i == PROCESSES)
        return;
    if (i == processes)
        process[processes++].pid = pid;
    snprintf(process[i].name, sizeof process[i].name, "%s", name);
    process[i].peak = peak > process[i].peak ? peak : process[i].peak;
}

static void
sample(long group)
{
    long pid, rss = 0, pss = 0, kb;
    struct dirent *e;
    DIR *d = opendir("/proc");
    char name[32];

    while (d != NULL && (e = readdir(d)) != NULL) {
        pid = strtol(e->d_name, NULL, 10);
        if (pid <= 0 || !is_ours(pid, group, name))
            continue;
        note(pid, name, look(pid, "status", "VmHWM:"));
        kb = look(pid, "smaps_rollup", "Rss:");
        rss += kb > 0 ? kb : 0;
        kb = look(pid, "smaps_rollup", "Pss:");
        pss += kb > 0 ? kb : 0;
    }
    if (d != NULL)
        closedir(d);
    most_rss = rss > most_rss ? rss : most_rss;
    most_pss = pss > most_pss ? pss : most_pss;
}

int
main(int argc, char **argv)
{
    const struct timespec pause = {0, 50 * 1000 * 1000};
    int status = 0, i;
    pid_t pid;

    if (argc != 2) {
        fprintf(stderr, "usage: ov-memory COMMAND\n");
        return 2;
    }
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", argv[1], (char *)NULL);
        _exit(127);
    }
    if (pid < 0) {
        perror("fork");
        return 1;
    }
    setpgid(pid, pid);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        sample(pid);
        nanosleep(&pause, NULL);
    }
    for (i = 0; i < processes; i++)
        if (strncmp(process[i].name, "ov-", 3) == 0)
            fprintf(stderr, "%s %.0f\n", process[i].name,
                    (double)process[i].peak * 1024 / 1e6);
    fprintf(stderr, "sum-rss %.0f\nsum-pss %.0f\n",
            (double)most_rss * 1024 / 1e6, (double)most_pss * 1024 / 1e6);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
