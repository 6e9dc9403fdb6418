/* SPDX-License-Identifier: BSD-2-Clause */
/* Which files of a published checkpoint are needed: those that the networks
 * open, in the order in which they look for them.
 * In: a directory or file, and what it is.  Out: a list of files. */
#include "model/import_plan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/find.h"
#include "model/safetensors.h"
#include "model/sharded.h"

enum { INDEX_MAX = 64 << 20, ENGLISH_VOCAB = 51864 };

/* Where transformers keeps weights, as model/sharded.c looks for them. */
static const char *const SHARDED[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json", NULL};
/* Networks that were published in one file. */
static const char *const WHOLE[] = {"model.safetensors", "pytorch_model.bin",
                                    NULL};
/* The order of net/snac.c. */
static const char *const SNAC[] = {"pytorch_model.bin", "model.safetensors",
                                   NULL};

static bool
ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

static void
add_words(char *to, size_t size, const char *what)
{
    size_t n = strlen(to);

    snprintf(to + n, size - n, "%s%s", n > 0 ? ", " : "", what);
}

static void
miss(struct ov_import_plan *p, const char *what)
{
    add_words(p->missing, sizeof p->missing, what);
}

static void
fail(struct ov_import_plan *p, int rc)
{
    if (p->rc == OV_OK)
        p->rc = rc;
}

static bool
there(const struct ov_import_plan *p, const char *name)
{
    char path[OV_IMPORT_PATH];

    return snprintf(path, sizeof path, "%s/%s", p->dir, name) <
               (int)sizeof path &&
           access(path, F_OK) == 0;
}

/* "a" and "b" together, malloc'd. */
static char *
paste(const char *a, const char *between, const char *b)
{
    size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
    char *s = malloc(n);

    if (s != NULL)
        snprintf(s, n, "%s%s%s", a, between, b);
    return s;
}

/* The file of that name in p->dir is needed. */
static void
take(struct ov_import_plan *p, const char *name, enum ov_import_role role)
{
    struct ov_import_item *grown, it = {.role = role};
    struct stat st;

    if (p->rc < 0)
        return;
    if (p->n == OV_IMPORT_FILES) {
        fail(p, ov_err_set(p->err, OV_EMODEL, "%s: more than %d files", p->dir,
                           OV_IMPORT_FILES));
        return;
    }
    if (p->n == p->room) {
        grown = realloc(p->at, (p->room + 32) * sizeof *p->at);
        if (grown == NULL) {
            fail(p, ov_err_set(p->err, OV_ERUN, "out of memory"));
            return;
        }
        p->at = grown;
        p->room += 32;
    }
    it.from = paste(p->dir, "/", name);
    it.to = paste(p->prefix, "", name);
    p->at[p->n++] = it;
    if (it.from == NULL || it.to == NULL)
        fail(p, ov_err_set(p->err, OV_ERUN, "out of memory"));
    else if (stat(it.from, &st) < 0)
        fail(p,
             ov_err_set(p->err, OV_EMODEL, "%s: %s", it.from, strerror(errno)));
    else if (!S_ISREG(st.st_mode))
        fail(p,
             ov_err_set(p->err, OV_EMODEL, "%s: not a regular file", it.from));
}

static void
take_if(struct ov_import_plan *p, const char *name)
{
    if (there(p, name))
        take(p, name, OV_IMPORT_TEXT);
}

static void
want(struct ov_import_plan *p, const char *name)
{
    if (there(p, name))
        take(p, name, OV_IMPORT_TEXT);
    else
        miss(p, name);
}

/* The shards of an index, each once. */
static void
take_shards(struct ov_import_plan *p, const char *index)
{
    char *path = paste(p->dir, "/", index);
    const struct ov_json *map, *v;
    struct ov_json *json = NULL;
    const char *key, *name;
    void *at = NULL;
    size_t first = p->n, i;

    if (path == NULL)
        fail(p, ov_err_set(p->err, OV_ERUN, "out of memory"));
    else
        fail(p, ov_json_read(&json, path, INDEX_MAX, p->err));
    map = ov_json_get(json, "weight_map");
    while (p->rc == OV_OK && ov_json_next(map, &at, &key, &v)) {
        name = ov_json_string(v);
        if (name == NULL || *name == '\0' || *name == '.' ||
            strchr(name, '/') != NULL) {
            fail(p, ov_err_set(p->err, OV_EMODEL,
                               "%s: tensor \"%.100s\" is not in a file "
                               "beside it",
                               path, key));
            break;
        }
        for (i = first; i < p->n; i++)
            if (strcmp(p->at[i].to + strlen(p->prefix), name) == 0)
                break;
        if (i == p->n)
            take(p, name, OV_IMPORT_WEIGHTS);
    }
    ov_json_free(json);
    free(path);
}

/* The first of those names that is there: its name, or NULL. */
static const char *
take_first(struct ov_import_plan *p, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (!there(p, *names))
            continue;
        if (ends(*names, ".index.json")) {
            take(p, *names, OV_IMPORT_INDEX);
            take_shards(p, *names);
        } else {
            take(p, *names, OV_IMPORT_WEIGHTS);
        }
        return *names;
    }
    return NULL;
}

/* openai's, or what quantising made of it. */
static bool
is_pt(const char *s)
{
    return ends(s, ".pt") || ends(s, ".safetensors");
}

static bool
is_th(const char *s)
{
    return ends(s, ".th");
}

static bool
is_mimi(const char *s)
{
    return strncmp(s, "tokenizer-", 10) == 0 && ends(s, ".safetensors");
}

static bool
is_generator(const char *s)
{
    return strncmp(s, "generator", 9) == 0 || strncmp(s, "g_", 2) == 0;
}

/* The last name in p->dir that is so, to best; how many there are. */
static int
last_of(const struct ov_import_plan *p, bool (*is)(const char *),
        char best[256])
{
    DIR *d = opendir(p->dir);
    struct dirent *e;
    int n = 0;

    best[0] = '\0';
    while (d != NULL && (e = readdir(d)) != NULL)
        if (is(e->d_name) && strlen(e->d_name) < 256) {
            n++;
            if (strcmp(e->d_name, best) > 0)
                snprintf(best, 256, "%s", e->d_name);
        }
    if (d != NULL)
        closedir(d);
    return n;
}

/* The only one: false if there is none. */
static bool
take_only(struct ov_import_plan *p, bool (*is)(const char *), const char *what)
{
    char name[256];
    int n = last_of(p, is, name);

    if (n > 1)
        fail(p,
             ov_err_set(p->err, OV_EMODEL,
                        "%s: more than one %s: say which file", p->dir, what));
    else if (n == 1)
        take(p, name, OV_IMPORT_WEIGHTS);
    return n > 0;
}

/* kinds ------------------------------------------------------------------ */

/* Does the last file that was taken, a Whisper, know English only? */
static bool
is_english(const struct ov_import_plan *p)
{
    static const char *const names[] = {
        "model_state_dict.decoder.token_embedding.weight",
        "model.decoder.embed_tokens.weight", "decoder.embed_tokens.weight"};
    const struct ov_array *a = NULL;
    struct ov_weights *w;
    struct ov_err none;
    bool english;
    size_t i;

    if (p->n == 0 || p->rc < 0 ||
        ov_weights_open(&w, p->at[p->n - 1].from, &none) != OV_OK)
        return false;
    for (i = 0; i < sizeof names / sizeof *names && a == NULL; i++)
        a = ov_weights_get(w, names[i]);
    english = a != NULL && a->rank == 2 && a->shape[0] <= ENGLISH_VOCAB;
    ov_weights_close(w);
    return english;
}

/* file NULL: that of the directory.  With its tokenizer, unless another
 * model brings one. */
static void
whisper(struct ov_import_plan *p, const char *file, bool tokenizer)
{
    const char *ranks;
    bool hf = false;

    if (file != NULL)
        take(p, file, OV_IMPORT_WEIGHTS);
    else if (take_first(p, WHOLE) != NULL)
        hf = true;
    else if (!take_only(p, is_pt, "*.pt"))
        miss(p, "model.safetensors, pytorch_model.bin or *.pt");
    ranks = is_english(p) ? "gpt2.tiktoken" : "multilingual.tiktoken";
    if (hf) {
        want(p, "config.json");
        take_if(p, "generation_config.json");
    }
    if (!tokenizer || there(p, "tokenizer.json")) {
        take_if(p, "tokenizer.json");
    } else if (there(p, ranks)) {
        take(p, ranks, OV_IMPORT_TEXT);
    } else {
        miss(p, "tokenizer.json or");
        snprintf(p->missing + strlen(p->missing),
                 sizeof p->missing - strlen(p->missing),
                 " %s (of its publisher's whisper/assets)", ranks);
    }
}

static void
gpt(struct ov_import_plan *p)
{
    want(p, "config.json");
    if (take_first(p, SHARDED) == NULL)
        miss(p, "model.safetensors or pytorch_model.bin, or an index");
    want(p, "tokenizer.json");
}

static void
snac(struct ov_import_plan *p)
{
    want(p, "config.json");
    if (take_first(p, SNAC) == NULL)
        miss(p, "pytorch_model.bin or model.safetensors");
}

static void
encodec(struct ov_import_plan *p, const char *file)
{
    if (file != NULL)
        take(p, file, OV_IMPORT_WEIGHTS);
    else if (take_first(p, WHOLE) == NULL && !take_only(p, is_th, "*.th"))
        miss(p, "*.th, model.safetensors or pytorch_model.bin");
    take_if(p, "config.json");
}

static void
mimi(struct ov_import_plan *p, const char *file)
{
    if (file != NULL) {
        take(p, file, OV_IMPORT_WEIGHTS);
    } else if (!take_only(p, is_mimi, "tokenizer-*.safetensors")) {
        if (there(p, "model.safetensors"))
            take(p, "model.safetensors", OV_IMPORT_WEIGHTS);
        else
            miss(p, "tokenizer-*.safetensors");
    }
    take_if(p, "config.json");
}

static void
hifigan(struct ov_import_plan *p)
{
    char name[256];

    want(p, "config.json");
    if (last_of(p, is_generator, name) > 0)
        take(p, name, OV_IMPORT_WEIGHTS);
    else
        miss(p, "generator* or g_*");
}

static void
lyra(struct ov_import_plan *p)
{
    static const char *const names[] = {"soundstream_encoder.tflite",
                                        "quantizer.tflite", "lyragan.tflite"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (there(p, names[i]))
            take(p, names[i], OV_IMPORT_TFLITE);
        else
            miss(p, names[i]);
}

/* The project's own: all of it. */
static void
ours(struct ov_import_plan *p)
{
    char **files;
    size_t i;

    want(p, "config.json");
    if (p->rc < 0 || (p->rc = ov_model_files(p->dir, &files, p->err)) < 0)
        return;
    for (i = 0; files[i] != NULL; i++)
        take(p, files[i], OV_IMPORT_WEIGHTS);
    if (i == 0)
        miss(p, "*.safetensors");
    ov_model_list_free(files);
    take_if(p, "tokenizer.json");
}

/* mini-omni2 ------------------------------------------------------------- */

static bool
has_model(const char *name)
{
    struct ov_err none;
    char *dir;

    if (ov_model_find(name, &dir, &none) != OV_OK)
        return false;
    free(dir);
    return true;
}

/* The directory of that name in p->dir, if it is there, as another model. */
static bool
inside(struct ov_import_plan *p, const char *name, const char *prefix,
       void (*plan)(struct ov_import_plan *))
{
    char path[OV_IMPORT_PATH], before[OV_IMPORT_PATH];

    if (!there(p, name))
        return false;
    if (snprintf(path, sizeof path, "%s/%s", p->dir, name) >= (int)sizeof path)
        return false;
    memcpy(before, p->dir, sizeof before);
    memcpy(p->dir, path, sizeof path);
    p->prefix = prefix;
    plan(p);
    p->prefix = "";
    memcpy(p->dir, before, sizeof before);
    return true;
}

static void
whisper_inside(struct ov_import_plan *p)
{
    whisper(p, NULL, false);
}

static void
mini_omni(struct ov_import_plan *p)
{
    if (there(p, "lit_model.pth"))
        take(p, "lit_model.pth", OV_IMPORT_WEIGHTS);
    else if (there(p, "lit_model.safetensors"))
        take(p, "lit_model.safetensors", OV_IMPORT_WEIGHTS);
    else
        miss(p, "lit_model.pth");
    want(p, "model_config.yaml");
    want(p, "tokenizer.json");
    if (there(p, "small.pt"))
        take(p, "small.pt", OV_IMPORT_WEIGHTS);
    else if (there(p, "small.safetensors"))
        take(p, "small.safetensors", OV_IMPORT_WEIGHTS);
    else if (!inside(p, "whisper-small", "whisper-small/", whisper_inside) &&
             !inside(p, "whisper", "whisper/", whisper_inside) &&
             !has_model("whisper-small"))
        miss(p, "small.pt (its Whisper)");
    if (there(p, "ViT-B-32.pt"))
        take(p, "ViT-B-32.pt", OV_IMPORT_MASKED);
    else
        add_words(p->note, sizeof p->note,
                  "without ViT-B-32.pt it sees no pictures");
    if (!inside(p, "snac_24khz", "snac_24khz/", snac) &&
        !inside(p, "snac", "snac/", snac) && !has_model("snac_24khz"))
        add_words(p->note, sizeof p->note,
                  "it is silent until there is a model snac_24khz");
}

/* all of them ------------------------------------------------------------ */

/* Split from into p->dir and the file in it; NULL: it is a directory. */
static const char *
split(struct ov_import_plan *p, const char *from)
{
    struct stat st;
    char *slash;
    size_t n = strlen(from);

    if (n >= sizeof p->dir) {
        fail(p, ov_err_set(p->err, OV_EMODEL, "%.200s: too long a path", from));
        return NULL;
    }
    memcpy(p->dir, from, n + 1);
    while (n > 1 && p->dir[n - 1] == '/')
        p->dir[--n] = '\0';
    if (stat(from, &st) == 0 && S_ISDIR(st.st_mode))
        return NULL;
    slash = strrchr(p->dir, '/');
    if (slash == NULL)
        memcpy(p->dir, ".", 2);
    else if (slash == p->dir)
        p->dir[1] = '\0';
    else
        *slash = '\0';
    slash = strrchr(from, '/');
    return slash != NULL ? slash + 1 : from;
}

/* What is recognised, and no command runs. */
static int
refuse(const struct ov_model_kind *k, const char *from, struct ov_err *err)
{
    const char *what;

    switch (k->type) {
    case OV_MODEL_CLIP:
    case OV_MODEL_CLIP_HF:
        what = "a command that runs it alone (of Mini-Omni2 it is a part, "
               "ViT-B-32.pt)";
        break;
    case OV_MODEL_LFM2_AUDIO:
    case OV_MODEL_MOSHI:
        what = "the stages of a conversation with it (its networks are "
               "implemented and tested)";
        break;
    default:
        return ov_model_refuse(k, from, "a model that can be imported", err);
    }
    return ov_err_set(err, OV_EMODEL, "%s: recognised %s (%s); missing: %s",
                      from, k->name, k->why, what);
}

/* A kind that has one file, or may have. */
static bool
may_be_a_file(enum ov_model_type t)
{
    return t == OV_MODEL_WHISPER || t == OV_MODEL_ENCODEC ||
           t == OV_MODEL_MIMI || t == OV_MODEL_SILERO;
}

static void
plan(struct ov_import_plan *p, const struct ov_model_kind *k, const char *file)
{
    if (ov_model_type_is_gpt(k->type))
        gpt(p);
    else if (k->type == OV_MODEL_WHISPER || k->type == OV_MODEL_WHISPER_HF)
        whisper(p, file, true);
    else if (k->type == OV_MODEL_SILERO)
        take(p, file != NULL ? file : k->file, OV_IMPORT_WEIGHTS);
    else if (k->type == OV_MODEL_ENCODEC || k->type == OV_MODEL_ENCODEC_HF)
        encodec(p, file);
    else if (k->type == OV_MODEL_MIMI)
        mimi(p, file);
    else if (k->type == OV_MODEL_SNAC)
        snac(p);
    else if (k->type == OV_MODEL_HIFIGAN)
        hifigan(p);
    else if (k->type == OV_MODEL_LYRA)
        lyra(p);
    else if (k->type == OV_MODEL_MINI_OMNI2)
        mini_omni(p);
    else if (k->type == OV_MODEL_OV)
        ours(p);
    else
        fail(p, refuse(k, p->dir, p->err));
}

int
ov_import_plan(struct ov_import_plan *p, const char *from,
               const struct ov_model_kind *k, struct ov_err *err)
{
    const char *file;

    *p = (struct ov_import_plan){.prefix = "", .err = err};
    switch (k->type) {
    case OV_MODEL_UNKNOWN:
    case OV_MODEL_FOREIGN:
    case OV_MODEL_CLIP:
    case OV_MODEL_CLIP_HF:
    case OV_MODEL_LFM2_AUDIO:
    case OV_MODEL_MOSHI:
        return refuse(k, from, err);
    default:
        break;
    }
    file = split(p, from);
    if (p->rc == OV_OK && file != NULL && !may_be_a_file(k->type))
        return ov_err_set(err, OV_EMODEL,
                          "%s: recognised %s (%s); missing: the files beside "
                          "it (give the directory)",
                          from, k->name, k->why);
    if (p->rc == OV_OK)
        plan(p, k, file);
    return p->rc;
}

/* quantising ------------------------------------------------------------- */

/* May the bits of it be fewer?  Codecs are small and convolve. */
static bool
is_linear(const struct ov_import_item *it)
{
    return it->role == OV_IMPORT_WEIGHTS && strncmp(it->to, "snac", 4) != 0;
}

/* The name of what is made of it: safetensors, whatever it was. */
static char *
new_name(const char *to)
{
    const char *slash = strrchr(to, '/'),
               *file = slash != NULL ? slash + 1 : to;
    const char *dot = strrchr(file, '.');
    char *prefix = strndup(to, (size_t)(file - to)), *stem, *name;

    if (strncmp(file, "pytorch_model.", 14) == 0 ||
        strncmp(file, "model.safetensors", 17) == 0)
        stem = strdup("model");
    else
        stem = strndup(file, dot != NULL ? (size_t)(dot - file) : strlen(file));
    name = prefix != NULL && stem != NULL ? malloc(strlen(to) + 16) : NULL;
    if (name != NULL)
        sprintf(name, "%s%s.safetensors", prefix, stem);
    free(prefix);
    free(stem);
    return name;
}

static bool
is_quantisable(enum ov_model_type t)
{
    return ov_model_type_is_gpt(t) || t == OV_MODEL_WHISPER ||
           t == OV_MODEL_WHISPER_HF || t == OV_MODEL_MINI_OMNI2;
}

int
ov_import_plan_quantise(struct ov_import_plan *p, const struct ov_model_kind *k,
                        struct ov_err *err)
{
    bool index = false;
    size_t i, n = 0;

    if (!is_quantisable(k->type))
        return ov_err_set(err, OV_EMODEL,
                          "%s: recognised %s (%s), which is not a model that "
                          "can be quantised",
                          p->dir, k->name, k->why);
    for (i = 0; i < p->n; i++)
        index = index || p->at[i].role == OV_IMPORT_INDEX;
    for (i = 0; i < p->n; i++) {
        struct ov_import_item it = p->at[i];

        if (index && it.role == OV_IMPORT_WEIGHTS) { /* a shard */
            free(it.from);
            free(it.to);
            continue;
        }
        if (it.role == OV_IMPORT_INDEX || is_linear(&it)) {
            char *name = new_name(it.to);

            free(it.to);
            it.to = name;
            it.role = OV_IMPORT_QUANTISED;
        }
        p->at[n++] = it;
        if (it.to == NULL)
            fail(p, ov_err_set(err, OV_ERUN, "out of memory"));
    }
    p->n = n;
    return p->rc;
}

void
ov_import_plan_free(struct ov_import_plan *p)
{
    size_t i;

    for (i = 0; i < p->n; i++) {
        free(p->at[i].from);
        free(p->at[i].to);
    }
    free(p->at);
    *p = (struct ov_import_plan){.prefix = ""};
}
