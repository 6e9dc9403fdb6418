/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-model: which models are there, what is in them, are they whole; taking
 * others among them, whole or in fewer bits.
 * In: names of models, files of weights.  Out: text, or JSON. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/check.h"
#include "model/config.h"
#include "model/find.h"
#include "model/import.h"
#include "model/kind.h"
#include "model/safetensors.h"
#include "text/bpe.h"
#include "text/tiktoken.h"
#include "text/utf8.h"
#include "tools/tool.h"

static bool json;
static struct ov_import_options import;
static int bits = -1; /* index in TYPES */

static const enum ov_quantise AS[] = {OV_QUANTISE_I8, OV_QUANTISE_BF16,
                                      OV_QUANTISE_W8A8, OV_QUANTISE_I4};
static const char *const TYPES[] = {"int8", "bf16", "w8a8", "int4", NULL};

static const struct tool_option options[] = {
    {"json", 'j', TOOL_FLAG, &json, 0, 0, NULL, NULL,
     "print JSON (list and show)"},
    {"name", 'n', TOOL_STRING, &import.name, 0, 0, NULL, "NAME",
     "import: what the model is called from now on"},
    {"link", 0, TOOL_FLAG, &import.link, 0, 0, NULL, NULL,
     "import, quantise: symbolic links, no copies"},
    {"to", 0, TOOL_STRING, &import.to, 0, 0, NULL, "DIR",
     "import: below DIR, not the user's models"},
    {"force", 0, TOOL_FLAG, &import.force, 0, 0, NULL, NULL,
     "import, quantise: replace what these made under that name"},
    {"type", 0, TOOL_CHOICE, &bits, 0, 0, TYPES, "TYPE",
     "quantise: int8, bf16, w8a8 or int4"},
    {.name = NULL}};

static const struct tool self = {
    "ov-model", "COMMAND [NAME|FILE]...",
    "What models there are and what is in them.  Commands:\n"
    "  path [NAME]       print the directory of a model\n"
    "  list              print name, directory and kind of every model\n"
    "  show [NAME|FILE]  print the configuration and the tensors\n"
    "  check [NAME]...   read everything; exit 4 at the first damage\n"
    "  files [NAME]      print sizes and checksums for its config.json\n"
    "  import PATH -n NAME  take a published checkpoint among the models\n"
    "  quantise NAME --type TYPE -o NAME|DIR  a model in fewer bits",
    TOOL_HAS_OUTPUT, options};

static FILE *out;
static const char *target; /* quantise: -o */
static struct ov_err err;

static void
check(int rc)
{
    if (rc < 0)
        tool_die_err(&err);
}

/* "dir/name"; dies without memory. */
static char *
join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *s = malloc(n);

    if (s == NULL)
        tool_die(OV_ERUN, "out of memory");
    snprintf(s, n, "%s/%s", dir, name);
    return s;
}

/* Text of a file, for a terminal: control characters become '?'. */
static void
put_text(const char *s)
{
    size_t n = strlen(s), i, len;
    uint32_t cp;

    for (i = 0; i < n; i += len) {
        len = ov_utf8_get(s + i, n - i, &cp);
        if (len == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            putc('?', out);
            len = len > 0 ? len : 1;
        } else {
            fwrite(s + i, 1, len, out);
        }
    }
}

static void
put_json(const char *s)
{
    ov_json_quote(out, s, strlen(s));
}

/* path, list ------------------------------------------------------------- */

static void
do_path(int n, char **names)
{
    char *dir;

    check(ov_model_find(n > 0 ? names[0] : NULL, &dir, &err));
    fprintf(out, "%s\n", dir);
    free(dir);
}

/* What an import has not finished is no model yet. */
static bool
is_unfinished(const char *name)
{
    size_t n = strlen(name);

    return (n > 5 && strcmp(name + n - 5, ".part") == 0) ||
           (n > 4 && strcmp(name + n - 4, ".old") == 0);
}

static void
list_one(const char *name, bool first)
{
    struct ov_model_kind kind;
    char *dir;

    check(ov_model_find(name, &dir, &err));
    check(ov_model_kind(&kind, dir, &err));
    if (json) {
        fprintf(out, "%s\n{\"name\":", first ? "" : ",");
        put_json(name);
        fputs(",\"path\":", out);
        put_json(dir);
        fputs(",\"kind\":", out);
        put_json(kind.name);
        putc('}', out);
    } else {
        put_text(name);
        putc('\t', out);
        put_text(dir);
        putc('\t', out);
        put_text(kind.name);
        putc('\n', out);
    }
    free(dir);
}

static void
do_list(int n, char **names)
{
    bool first = true;
    char **all;
    size_t i;

    (void)n;
    (void)names;
    check(ov_model_list(&all, &err));
    if (json)
        putc('[', out);
    for (i = 0; all[i] != NULL; i++) {
        if (is_unfinished(all[i]))
            continue;
        list_one(all[i], first);
        first = false;
    }
    if (json)
        fputs("\n]\n", out);
    ov_model_list_free(all);
}

/* show ------------------------------------------------------------------- */

struct totals {
    uint64_t values, bytes;
};

static struct totals
total(const struct ov_weights *w)
{
    struct totals t = {0, 0};
    const struct ov_array *a;
    size_t i;

    for (i = 0; i < ov_weights_count(w); i++) {
        a = ov_weights_at(w, i);
        t.values += (uint64_t)a->count;
        t.bytes += (uint64_t)a->count * ov_dtype_size(a->dtype);
    }
    return t;
}

static void
put_shape(const struct ov_array *a, const char *comma)
{
    int d;

    putc('[', out);
    for (d = 0; d < a->rank; d++)
        fprintf(out, "%s%lld", d > 0 ? comma : "", (long long)a->shape[d]);
    putc(']', out);
}

static void
show_tensor(const struct ov_array *a)
{
    unsigned long long bytes =
        (unsigned long long)a->count * ov_dtype_size(a->dtype);

    if (json) {
        fputs("{\"name\":", out);
        put_json(a->name);
        fprintf(out, ",\"dtype\":\"%s\",\"shape\":", ov_dtype_name(a->dtype));
        put_shape(a, ",");
        fprintf(out, ",\"bytes\":%llu}", bytes);
        return;
    }
    fprintf(out, "  %12llu  %-4s  ", bytes, ov_dtype_name(a->dtype));
    put_text(a->name);
    putc(' ', out);
    put_shape(a, ", ");
    putc('\n', out);
}

static void
show_metadata(const struct ov_weights *w)
{
    const struct ov_json *meta = ov_weights_metadata(w), *v;
    const char *key;
    void *at = NULL;

    if (json && meta != NULL) {
        fputs("\"metadata\":", out);
        ov_json_print(out, meta);
        putc(',', out);
    }
    while (!json && ov_json_next(meta, &at, &key, &v)) {
        fputs("  ", out);
        put_text(key);
        fputs(" = ", out);
        put_text(ov_json_string(v));
        putc('\n', out);
    }
}

/* What a PyTorch checkpoint holds beside tensors: with -v, or as JSON. */
static void
show_scalars(const struct ov_weights *w)
{
    const char *name, *text;
    double f = 0;
    int64_t k;
    size_t i;

    if (ov_weights_scalar(w, 0) == NULL || (!json && tool.verbose < 1))
        return;
    fputs(json ? "\"scalars\":{" : "", out);
    for (i = 0; (name = ov_weights_scalar(w, i)) != NULL; i++) {
        fputs(json ? (i > 0 ? "," : "") : "  ", out);
        (json ? put_json : put_text)(name);
        fputs(json ? ":" : " = ", out);
        text = ov_weights_text(w, name);
        if (text != NULL)
            (json ? put_json : put_text)(text);
        else if (ov_weights_int(w, name, &k))
            fprintf(out, "%lld", (long long)k);
        else if (ov_weights_double(w, name, &f) && isfinite(f))
            fprintf(out, "%.17g", f);
        else
            fputs("null", out);
        fputs(json ? "" : "\n", out);
    }
    fputs(json ? "}," : "", out);
}

/* One file of weights; name: what it is called. */
static void
show_weights(const char *path, const char *name)
{
    struct ov_weights *w;
    struct totals t;
    struct stat st;
    size_t i, n;

    check(ov_weights_open(&w, path, &err));
    if (stat(path, &st) < 0)
        tool_die(OV_EMODEL, "%s: %s", path, strerror(errno));
    t = total(w);
    n = ov_weights_count(w);
    if (json) {
        fputs("{\"name\":", out);
        put_json(name);
        fprintf(out, ",\"size\":%lld,\"values\":%llu,\"bytes\":%llu,",
                (long long)st.st_size, (unsigned long long)t.values,
                (unsigned long long)t.bytes);
        show_metadata(w);
        show_scalars(w);
        fputs("\"tensors\":[", out);
    } else {
        put_text(name);
        fprintf(out, ": %lld bytes\n", (long long)st.st_size);
        show_metadata(w);
        show_scalars(w);
    }
    for (i = 0; i < n; i++) {
        if (json)
            fputs(i > 0 ? ",\n" : "\n", out);
        show_tensor(ov_weights_at(w, i));
    }
    if (json)
        fputs("\n]}", out);
    else
        fprintf(out, "  %12llu  in %zu tensors, %llu values\n",
                (unsigned long long)t.bytes, n, (unsigned long long)t.values);
    ov_weights_close(w);
}

/* The members below v as lines "a.b = value"; lists on one line. */
static void
show_config(const struct ov_json *v, const char *prefix)
{
    const struct ov_json *member;
    const char *key;
    void *at = NULL;
    char *name;

    while (ov_json_next(v, &at, &key, &member)) {
        if (*prefix == '\0' && strcmp(key, "files") == 0)
            continue;
        name = malloc(strlen(prefix) + strlen(key) + 2);
        if (name == NULL)
            tool_die(OV_ERUN, "out of memory");
        sprintf(name, "%s%s", prefix, key);
        if (ov_json_is_object(member)) {
            strcat(name, ".");
            show_config(member, name);
        } else {
            fputs("  ", out);
            put_text(name);
            fputs(" = ", out);
            if (ov_json_string(member) != NULL)
                put_text(ov_json_string(member));
            else
                ov_json_print(out, member);
            putc('\n', out);
        }
        free(name);
    }
}

static void
show_model(const char *name)
{
    char *dir, *path, **files, id[96];
    struct ov_config *c = NULL;
    size_t i;

    check(ov_model_find(name, &dir, &err));
    check(ov_model_id(dir, id, &err));
    path = join(dir, "config.json");
    if (access(path, F_OK) == 0)
        check(ov_config_open(&c, path, &err));
    free(path);
    if (json) {
        fprintf(out, "{\"id\":\"%s\",\"path\":", id);
        put_json(dir);
        fputs(",\n\"config\":", out);
        if (c != NULL)
            ov_json_print(out, ov_config_json(c));
        else
            fputs("null", out);
        fputs(",\n\"weights\":[", out);
    } else {
        fprintf(out, "%s: %s\n", id, dir);
        if (c != NULL)
            show_config(ov_config_json(c), "");
    }
    check(ov_model_files(dir, &files, &err));
    for (i = 0; files[i] != NULL; i++) {
        if (json)
            fputs(i > 0 ? ",\n" : "\n", out);
        path = join(dir, files[i]);
        show_weights(path, files[i]);
        free(path);
    }
    if (json)
        fputs("]}\n", out);
    ov_model_list_free(files);
    ov_config_close(c);
    free(dir);
}

static bool
is_file(const char *name)
{
    struct stat st;

    return name != NULL && stat(name, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* A name without '/' may be that of a file here, unless it is a model's. */
static void
do_show(int n, char **names)
{
    const char *name = n > 0 ? names[0] : NULL;
    bool model = !is_file(name);
    char *dir;

    if (!model && strchr(name, '/') == NULL &&
        ov_model_find(name, &dir, NULL) == OV_OK) {
        model = !is_file(dir);
        free(dir);
    }
    if (model) {
        show_model(name);
        return;
    }
    show_weights(name, name);
    if (json)
        putc('\n', out);
}

/* check, files ----------------------------------------------------------- */

/* The tokenizer of the model in dir, if it has one. */
static int
look_at_tokenizer(const char *dir, struct ov_err *e)
{
    static const char *const names[] = {
        "tokenizer.json", "multilingual.tiktoken", "gpt2.tiktoken"};
    struct ov_bpe *b;
    size_t i;
    int rc = OV_OK;

    for (i = 0; i < sizeof names / sizeof *names && rc == OV_OK; i++) {
        char *path = join(dir, names[i]);

        if (access(path, F_OK) == 0) {
            rc = i == 0 ? ov_bpe_open(&b, path, e)
                        : ov_tiktoken_open(&b, path, e);
            if (rc == OV_OK)
                ov_bpe_close(b);
        }
        free(path);
    }
    return rc;
}

static void
check_one(const char *name)
{
    struct ov_check sum;
    char *dir, id[96];
    size_t sums;

    check(ov_model_find(name, &dir, &err));
    check(ov_import_check(dir, &sums, &err));
    /* the same bytes were read through when they were imported */
    if (sums == 0)
        check(ov_model_check(dir, &sum, &err));
    check(look_at_tokenizer(dir, &err));
    check(ov_model_id(dir, id, &err));
    if (tool.verbose >= 0 && sums > 0)
        fprintf(out, "%s: whole: %zu checksums\n", id, sums);
    else if (tool.verbose >= 0)
        fprintf(out,
                "%s: whole: %zu checksums, %zu weight files, %zu tensors, "
                "%llu values\n",
                id, sum.files, sum.weights, sum.tensors,
                (unsigned long long)sum.values);
    free(dir);
}

static void
do_check(int n, char **names)
{
    int i;

    if (n == 0)
        check_one(NULL);
    for (i = 0; i < n; i++)
        check_one(names[i]);
}

/* Weight files, then the tokenizer. */
static void
do_files(int n, char **names)
{
    static char tokenizer[] = "tokenizer.json";
    char *dir, *path, **files, **all;
    size_t k = 0;

    check(ov_model_find(n > 0 ? names[0] : NULL, &dir, &err));
    check(ov_model_files(dir, &files, &err));
    while (files[k] != NULL)
        k++;
    all = calloc(k + 1, sizeof *all);
    if (all == NULL)
        tool_die(OV_ERUN, "out of memory");
    memcpy(all, files, k * sizeof *all);
    path = join(dir, tokenizer);
    if (access(path, F_OK) == 0)
        all[k++] = tokenizer;
    check(ov_model_manifest(dir, all, k, out, &err));
    free(path);
    free(all);
    ov_model_list_free(files);
    free(dir);
}

/* import ----------------------------------------------------------------- */

/* What can be done with a kind; each %s is the name. */
static const char *
commands_of(enum ov_model_type type)
{
    if (ov_model_type_is_gpt(type))
        return "ov-encode -m %s --text TEXT | ov-fuse -m %s | "
               "ov-generate -m %s --text";
    switch (type) {
    case OV_MODEL_WHISPER:
    case OV_MODEL_WHISPER_HF:
        return "ov-vad SOUND | ov-encode -m %s | ov-fuse -m %s | "
               "ov-generate -m %s --format srt";
    case OV_MODEL_SNAC:
    case OV_MODEL_ENCODEC:
    case OV_MODEL_ENCODEC_HF:
    case OV_MODEL_MIMI:
    case OV_MODEL_LYRA:
        return "ov-encode --codec -m %s SOUND | ov-vocode -m %s -o OUT.wav";
    case OV_MODEL_HIFIGAN:
        return "ov-encode --mel -m %s SOUND | ov-vocode -m %s -o OUT.wav";
    case OV_MODEL_SILERO:
        return "ov-vad -m %s SOUND";
    default:
        return "ov-vad SOUND | ov-encode -m %s | ov-fuse -m %s | "
               "ov-generate -m %s | ov-vocode -m %s -o OUT.wav";
    }
}

static void
put_commands(enum ov_model_type type, const char *name)
{
    const char *s = commands_of(type), *at;

    fputs("  ", out);
    while ((at = strstr(s, "%s")) != NULL) {
        fwrite(s, 1, (size_t)(at - s), out);
        put_text(name);
        s = at + 2;
    }
    fprintf(out, "%s\n", s);
}

/* A model of that name elsewhere that is found first. */
static void
warn_of_another(const char *name, const char *path)
{
    struct stat a, b;
    char *dir;

    if (ov_model_find(name, &dir, NULL) != OV_OK) {
        tool_warn("%s is not where models are looked for: -m %s", path, path);
        return;
    }
    if (stat(dir, &a) == 0 && stat(path, &b) == 0 &&
        (a.st_dev != b.st_dev || a.st_ino != b.st_ino))
        tool_warn("-m %s finds %s before %s", name, dir, path);
    free(dir);
}

static volatile sig_atomic_t ended; /* the signal that did */

static void
on_signal(int sig)
{
    ended = sig;
}

static bool
is_ended(void)
{
    return ended != 0;
}

/* Import; a signal that ends it leaves nothing behind, a second one does not
 * wait for that. */
static void
take(struct ov_import *got, const char *from)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGTERM};
    struct sigaction a = {.sa_handler = on_signal,
                          .sa_flags = (int)SA_RESETHAND},
                     old;
    size_t i;
    int rc;

    sigemptyset(&a.sa_mask);
    for (i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(ends[i], &a, NULL);
    import.stop = is_ended;
    rc = ov_model_import(got, from, &import, &err);
    if (rc < 0 && ended)
        raise(ended);
    check(rc);
}

static void
do_import(int n, char **names)
{
    struct ov_import got;

    if (n == 0)
        tool_die(OV_EUSAGE, "import: no PATH");
    if (import.name == NULL)
        tool_die(OV_EUSAGE, "import: no name (-n NAME)");
    import.look = look_at_tokenizer;
    take(&got, names[0]);
    warn_of_another(import.name, got.path);
    if (got.note[0] != '\0')
        tool_warn("%s: %s", import.name, got.note);
    if (tool.verbose < 0)
        return;
    put_text(import.name);
    fputs(": ", out);
    put_text(got.kind.name);
    fputs(" (", out);
    put_text(got.kind.why);
    fprintf(out, "), %zu %s, %llu bytes, %s ", got.files,
            got.files == 1 ? "file" : "files", (unsigned long long)got.bytes,
            import.link ? "linked in" : "copied to");
    put_text(got.path);
    putc('\n', out);
    put_commands(got.kind.type, import.name);
}

/* quantise ----------------------------------------------------------------- */

/* What -o says: a name, or the path of a directory that will be. */
static void
place(const char *s)
{
    static char dir[OV_IMPORT_PATH];
    size_t n = strlen(s);
    const char *slash;

    if (n >= sizeof dir)
        tool_die(OV_EUSAGE, "quantise: %.200s: too long a path", s);
    memcpy(dir, s, n + 1);
    while (n > 1 && dir[n - 1] == '/')
        dir[--n] = '\0';
    slash = strrchr(dir, '/');
    import.name = slash != NULL ? slash + 1 : dir;
    if (slash == NULL)
        return;
    import.to = slash == dir ? "/" : dir;
    dir[slash - dir] = '\0';
}

static void
do_quantise(int n, char **names)
{
    struct ov_import got;
    char *from;
    bool named;

    if (n == 0)
        tool_die(OV_EUSAGE, "quantise: no model");
    if (bits < 0)
        tool_die(OV_EUSAGE,
                 "quantise: no type (--type int8, bf16, w8a8 or int4)");
    if (target == NULL)
        tool_die(OV_EUSAGE, "quantise: no name for the result (-o NAME)");
    place(target);
    named = import.to == NULL;
    import.look = look_at_tokenizer;
    import.as = AS[bits];
    if (is_file(names[0])) {
        from = join(".", names[0]);
        memmove(from, names[0], strlen(names[0]) + 1);
    } else {
        check(ov_model_find(names[0], &from, &err));
    }
    take(&got, from);
    free(from);
    if (named)
        warn_of_another(import.name, got.path);
    if (got.note[0] != '\0')
        tool_warn("%s: %s", got.path, got.note);
    if (tool.verbose < 0)
        return;
    put_text(import.name);
    fputs(": ", out);
    put_text(got.kind.name);
    fprintf(out, ", %zu matrices of type %s, %llu bytes in ", got.matrices,
            TYPES[bits], (unsigned long long)got.bytes);
    put_text(got.path);
    putc('\n', out);
    put_commands(got.kind.type, named ? import.name : got.path);
}

static const struct {
    const char *name;
    int max; /* operands */
    void (*run)(int n, char **names);
} commands[] = {
    {"path", 1, do_path},         {"list", 0, do_list},
    {"show", 1, do_show},         {"check", INT32_MAX, do_check},
    {"files", 1, do_files},       {"import", 1, do_import},
    {"quantise", 1, do_quantise},
};

/* Options that the command has no use for. */
static void
check_options(const char *command, void (*run)(int, char **))
{
    bool imports = run == do_import, quantises = run == do_quantise;

    if (!imports && (import.name != NULL || import.to != NULL))
        tool_die(OV_EUSAGE, "%s: --name and --to are import's", command);
    if (!imports && !quantises && (import.link || import.force))
        tool_die(OV_EUSAGE, "%s: --link and --force are import's", command);
    if (!quantises && bits >= 0)
        tool_die(OV_EUSAGE, "%s: --type is quantise's", command);
}

int
main(int argc, char **argv)
{
    int i = tool_start(&self, argc, argv);
    size_t k;

    if (i >= argc)
        tool_die(OV_EUSAGE,
                 "no command (path, list, show, check, files, import, "
                 "quantise)");
    for (k = 0; k < sizeof commands / sizeof commands[0]; k++)
        if (strcmp(argv[i], commands[k].name) == 0)
            break;
    if (k == sizeof commands / sizeof commands[0])
        tool_die(OV_EUSAGE,
                 "no command '%s' (path, list, show, check, files, import, "
                 "quantise)",
                 argv[i]);
    i++;
    if (argc - i > commands[k].max)
        tool_die(OV_EUSAGE, "%s: unexpected '%s'", commands[k].name,
                 argv[i + commands[k].max]);
    check_options(commands[k].name, commands[k].run);
    if (commands[k].run == do_quantise) { /* -o is where the model goes */
        target = tool.output;
        tool.output = NULL;
    }
    out = tool_output_file(false);
    commands[k].run(argc - i, argv + i);
    return tool_finish(0);
}
