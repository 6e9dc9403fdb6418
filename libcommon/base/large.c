/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in files, in large pages.
 * In: memory that a file was mapped to.  Out: the same bytes, moved. */
#define _GNU_SOURCE
#include "base/large.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 512 };

/* The first number behind a word in a file of the system, or -1. */
static double
number(const char *path, const char *word)
{
    char line[LINE];
    double v = -1;
    FILE *f = fopen(path, "re");

    while (f != NULL && v < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, word, strlen(word)) == 0 &&
            sscanf(line + strlen(word), "%lf", &v) != 1)
            v = -1;
    if (f != NULL)
        fclose(f);
    return v;
}

/* What the control group leaves, in bytes; without a limit very much. */
static double
group_room(void)
{
    char line[LINE], path[LINE + 64];
    FILE *f = fopen("/proc/self/cgroup", "re");
    double most = -1, used = -1;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max",
                     line + 3);
            most = number(path, "");
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current",
                     line + 3);
            used = number(path, "");
        }
    if (f != NULL)
        fclose(f);
    return most >= 0 && used >= 0 ? most - used : 1e18;
}

static bool
has_large_pages(void)
{
    char line[LINE] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    bool some = f != NULL && fgets(line, sizeof line, f) != NULL &&
                strstr(line, "[never]") == NULL;

    if (f != NULL)
        fclose(f);
    return some;
}

size_t
ov_large_room(void)
{
    double room = 1024 * number("/proc/meminfo", "MemAvailable:");
    double group = group_room();

    if (group < room)
        room = group;
    return has_large_pages() && room > 0 ? (size_t)(room / 2) : 0;
}

#if defined(MREMAP_FIXED) && defined(MADV_HUGEPAGE)
static void
give_back(char *from, const char *to)
{
    if (to > from)
        munmap(from, (size_t)(to - from));
}

bool
ov_large_move(const void *p)
{
    size_t bytes = 2 * (size_t)OV_LARGE_PAGE;
    char *from = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
         *at, *end = from + bytes;
    bool moved;

    if (from == MAP_FAILED)
        return false;
    at = from +
         (OV_LARGE_PAGE - (uintptr_t)from % OV_LARGE_PAGE) % OV_LARGE_PAGE;
    give_back(from, at);
    give_back(at + OV_LARGE_PAGE, end);
    madvise(at, OV_LARGE_PAGE, MADV_HUGEPAGE);
    memcpy(at, p, OV_LARGE_PAGE);
    moved =
        mprotect(at, OV_LARGE_PAGE, PROT_READ) == 0 &&
        mremap(at, OV_LARGE_PAGE, OV_LARGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
               (void *)(uintptr_t)p) != MAP_FAILED;
    if (!moved) /* else others may have mapped something there */
        give_back(at, at + OV_LARGE_PAGE);
    return moved;
}
#else
bool
ov_large_move(const void *p)
{
    (void)p;
    return false;
}
#endif
