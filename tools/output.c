/* SPDX-License-Identifier: BSD-2-Clause */
/* The output side of the door: where it goes, what is left when it fails.
 * In: -o, failures and signals.  Out: a whole file, or none. */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "stream/keys.h"
#include "stream/link.h"
#include "stream/writer.h"
#include "tools/tool.h"

static struct {
    int fd;
    char *part;       /* what is written; NULL: not a .part file */
    const char *name; /* for messages */
    FILE *file;
    struct ov_writer *w;
    bool open, expect; /* expect: a stream */
} out = {.fd = STDOUT_FILENO, .name = "<stdout>"};

/* For the signal handlers. */
static volatile sig_atomic_t part_exists;
static void (*volatile last)(void);
static char status[2][256];
static volatile sig_atomic_t status_now;

static void
on_end(int sig)
{
    if (last != NULL)
        last();
    if (part_exists)
        unlink(out.part);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void
on_usr1(int sig)
{
    int saved = errno;
    const char *s = status[status_now];

    (void)sig;
    if (write(STDERR_FILENO, s, strlen(s)) < 0)
        errno = saved;
    errno = saved;
}

static void
handle(int sig, void (*f)(int), int flags)
{
    struct sigaction a;

    memset(&a, 0, sizeof a);
    a.sa_handler = f;
    a.sa_flags = flags;
    sigemptyset(&a.sa_mask);
    sigaction(sig, &a, NULL);
}

void
output_signals(void)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU};
    struct sigaction old;

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            handle(ends[i], on_end, 0);
    handle(SIGPIPE, on_end, 0);
    handle(SIGXFSZ, SIG_IGN, 0); /* write says EFBIG then */
    output_status("ov", "nothing read yet");
    handle(SIGUSR1, on_usr1, SA_RESTART);
}

void
output_status(const char *name, const char *line)
{
    int other = !status_now;

    snprintf(status[other], sizeof status[other], "%s: %s\n", name, line);
    status_now = other;
}

void
tool_last(void (*f)(void))
{
    last = f;
}

void
output_last(void)
{
    void (*f)(void) = last;

    last = NULL;
    if (f == NULL)
        return;
    if (out.file != NULL)
        fflush(out.file);
    f();
}

void
output_abandon(void)
{
    if (part_exists)
        unlink(out.part);
    part_exists = 0;
}

const char *
tool_output_name(void)
{
    return out.name;
}

/* Devices, pipes and the like are written in place. */
static bool
in_place(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* Of the .part file only if that is what is in the way. */
static void
cannot_open(const char *path)
{
    int saved = errno;
    struct stat st;

    tool_die(OV_ERUN, "%s: %s", lstat(out.part, &st) == 0 ? out.part : path,
             strerror(saved));
}

static void
open_file(const char *path)
{
    struct ov_buf part = {NULL, 0, 0};
    bool direct = in_place(path);

    if (ov_buf_printf(&part, "%s%s", path, direct ? "" : ".part") != 0)
        tool_die(OV_ERUN, "no memory");
    out.name = path;
    out.part = part.p;
    out.fd = open(part.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out.fd < 0)
        cannot_open(path);
    part_exists = !direct;
}

int
tool_output_open(bool binary)
{
    if (out.open)
        return out.fd;
    if (tool.output != NULL && strcmp(tool.output, "-") != 0)
        open_file(tool.output);
    else if (binary && isatty(STDOUT_FILENO))
        tool_die(OV_EUSAGE, "<stdout>: a terminal, and the output is binary: "
                            "use -o FILE or a pipe (ov-inspect shows it)");
    out.open = true;
    return out.fd;
}

FILE *
tool_output_file(bool binary)
{
    int fd = tool_output_open(binary);

    if (out.file == NULL)
        out.file = fd == STDOUT_FILENO ? stdout : fdopen(fd, "wb");
    if (out.file == NULL)
        tool_die(OV_ERUN, "%s: %s", out.name, strerror(errno));
    return out.file;
}

void
tool_expect_stream(void)
{
    out.expect = true;
}

struct ov_writer *
tool_output_stream(void)
{
    struct ov_err err;
    int fd = tool_output_open(true);

    if (out.w != NULL)
        return out.w;
    if (ov_writer_open(&out.w, fd, out.name, &err) != 0)
        tool_die_err(&err);
    ov_writer_compress(out.w, tool.zstd);
    if (tool.latency == 1)
        ov_link_shrink(fd);
    return out.w;
}

/* via: the way so far, then this tool. */
static int
set_via(struct ov_buf *head, const char *id)
{
    char before[2048], via[2304];

    ov_keys_copy(head->p ? head->p : "", head->n, "via", before, sizeof before);
    snprintf(via, sizeof via, "%s%s%s%s%s%s", before, before[0] ? ", " : "",
             tool_producer(), id ? " (" : "", id ? id : "", id ? ")" : "");
    return ov_keys_set(head, "via", via);
}

int
tool_output_head(struct ov_writer *w, const char *upstream, size_t n,
                 const char *id, const char *via_id, struct ov_err *err)
{
    struct ov_buf head = {NULL, 0, 0};
    char name[96], seed[24];
    int r = ov_buf_put(&head, upstream, n);

    r |= ov_keys_set(&head, "producer", tool_producer());
    r |= set_via(&head, id ? id : via_id);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)tool.seed);
    if (tool.seed != 0 || ov_keys_find(head.p, head.n, "seed", &n) == NULL)
        r |= ov_keys_set(&head, "seed", seed);
    if (id != NULL) {
        const char *dash = strrchr(id, '-');

        snprintf(name, sizeof name, "%.*s",
                 dash ? (int)(dash - id) : (int)strlen(id), id);
        r |= ov_keys_set(&head, "model", name);
        r |= ov_keys_set(&head, "model-id", id);
    }
    if (r != 0)
        r = ov_err_set(err, OV_ERUN, "no memory for HEAD");
    else
        r = ov_writer_text(w, OV_HEAD, 0, 0, 0, head.p, err);
    ov_buf_free(&head);
    return r;
}

/* A failure goes down the pipe as ERROR; into a .part file it need not. */
void
output_error(const char *name, const char *text)
{
    static bool once;
    char line[1200];
    struct ov_err err;

    if (once || part_exists || (out.w == NULL && !out.expect) ||
        (out.w == NULL && (tool.output != NULL || isatty(out.fd))))
        return;
    once = true;
    if (out.w == NULL && ov_writer_open(&out.w, out.fd, out.name, &err) != 0)
        return;
    if (!ov_writer_in_stream(out.w) &&
        tool_output_head(out.w, NULL, 0, NULL, NULL, &err) != 0)
        return;
    snprintf(line, sizeof line, "%s: %s", name, text);
    ov_writer_text(out.w, OV_ERROR, 0, 0, 0, line, &err);
}

int
tool_finish(int status_code)
{
    bool bad = false;

    if (status_code != 0)
        output_last();
    if (out.open || out.fd == STDOUT_FILENO) {
        if (out.file != NULL || out.fd == STDOUT_FILENO)
            bad = fflush(out.file ? out.file : stdout) != 0 ||
                  (out.file && ferror(out.file));
        if (!bad && close(out.fd) != 0 && errno != EBADF)
            bad = true;
    }
    if (bad)
        tool_die(OV_ERUN, "%s: write error: %s", out.name, strerror(errno));
    if (part_exists && (status_code == 0 || tool.salvage)) {
        if (rename(out.part, out.name) != 0)
            tool_die(OV_ERUN, "%s: %s", out.name, strerror(errno));
        part_exists = 0;
    }
    output_abandon();
    if (tool.progress && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    ov_writer_close(out.w);
    out.w = NULL;
    return status_code;
}
