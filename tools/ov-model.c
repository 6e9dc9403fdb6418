/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-model: which models are there, what is in them, are they whole.
 * In: names of models, files of weights.  Out: text, or JSON. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/check.h"
#include "model/config.h"
#include "model/find.h"
#include "model/safetensors.h"
#include "text/bpe.h"
#include "text/utf8.h"
#include "tools/tool.h"

static bool json;

static const struct tool_option options[] = {{"json", 'j', TOOL_FLAG, &json, 0,
                                              0, NULL, NULL,
                                              "print JSON (list and show)"},
                                             {.name = NULL}};

static const struct tool self = {
    "ov-model", "COMMAND [NAME|FILE]...",
    "What models there are and what is in them.  Commands:\n"
    "  path [NAME]       print the directory of a model\n"
    "  list              print name and directory of every model\n"
    "  show [NAME|FILE]  print the configuration and the tensors\n"
    "  check [NAME]...   read everything; exit 4 at the first damage\n"
    "  files [NAME]      print sizes and checksums for its config.json",
    TOOL_HAS_OUTPUT, options};

static FILE *out;
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

static void
do_list(int n, char **names)
{
    char **all, *dir;
    size_t i;

    (void)n;
    (void)names;
    check(ov_model_list(&all, &err));
    if (json)
        putc('[', out);
    for (i = 0; all[i] != NULL; i++) {
        check(ov_model_find(all[i], &dir, &err));
        if (json) {
            fprintf(out, "%s\n{\"name\":", i > 0 ? "," : "");
            put_json(all[i]);
            fputs(",\"path\":", out);
            put_json(dir);
            putc('}', out);
        } else {
            put_text(all[i]);
            putc('\t', out);
            put_text(dir);
            putc('\n', out);
        }
        free(dir);
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
    char *dir;

    if (!is_file(name)) {
        show_model(name);
        return;
    }
    if (strchr(name, '/') == NULL && ov_model_find(name, &dir, NULL) == OV_OK) {
        free(dir);
        show_model(name);
        return;
    }
    show_weights(name, name);
    if (json)
        putc('\n', out);
}

/* check, files ----------------------------------------------------------- */

/* The tokenizer of the model in dir, if it has one. */
static void
check_tokenizer(const char *dir)
{
    char *path = join(dir, "tokenizer.json");
    struct ov_bpe *b;

    if (access(path, F_OK) == 0) {
        check(ov_bpe_open(&b, path, &err));
        ov_bpe_close(b);
    }
    free(path);
}

static void
check_one(const char *name)
{
    struct ov_check sum;
    char *dir, id[96];

    check(ov_model_find(name, &dir, &err));
    check(ov_model_check(dir, &sum, &err));
    check_tokenizer(dir);
    check(ov_model_id(dir, id, &err));
    if (tool.verbose >= 0)
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

static const struct {
    const char *name;
    int max; /* operands */
    void (*run)(int n, char **names);
} commands[] = {
    {"path", 1, do_path},   {"list", 0, do_list},
    {"show", 1, do_show},   {"check", INT32_MAX, do_check},
    {"files", 1, do_files},
};

int
main(int argc, char **argv)
{
    int i = tool_start(&self, argc, argv);
    size_t k;

    if (i >= argc)
        tool_die(OV_EUSAGE, "no command (path, list, show, check, files)");
    for (k = 0; k < sizeof commands / sizeof commands[0]; k++)
        if (strcmp(argv[i], commands[k].name) == 0)
            break;
    if (k == sizeof commands / sizeof commands[0])
        tool_die(OV_EUSAGE, "no command '%s' (path, list, show, check, files)",
                 argv[i]);
    i++;
    if (argc - i > commands[k].max)
        tool_die(OV_EUSAGE, "%s: unexpected '%s'", commands[k].name,
                 argv[i + commands[k].max]);
    out = tool_output_file(false);
    commands[k].run(argc - i, argv + i);
    return tool_finish(0);
}
