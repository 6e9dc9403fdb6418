/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in fewer bits: matrices of linear maps and embeddings.
 * In: a file of weights.  Out: a safetensors file. */
#include "model/quantise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/panels.h"
#include "model/sharded.h"

static const char SCALE[] = ".scale", SHAPE[] = ".shape";

/* Where an array that is written comes from. */
struct source {
    const struct ov_array *a;
    enum { COPY, BYTES, FACTORS, HALVES, PANELS, SIZES } how;
};

struct job {
    const struct ov_weights *w;
    enum ov_quantise as;
    struct ov_array *arrays; /* [n] */
    struct source *sources;  /* [n] */
    size_t n;
    const char *(*meta)[2]; /* [meta_n] */
    size_t meta_n;
    char **texts; /* [texts_n]: what meta points to and is not the file's */
    size_t texts_n;
    void *values; /* of the array that is written */
    float *row;
    bool (*stop)(void);
};

static int
no_memory(struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "out of memory");
}

/* which ------------------------------------------------------------------ */

static bool
ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

static bool
is_matrix(const struct ov_array *a)
{
    static const char *const not [] = {
        "wpe.weight", "embed_positions.weight", "positional_embedding.weight",
        ".gate.weight", /* which experts: a step there changes everything */
        "shared_expert_gate.weight"};
    size_t i;

    if (a->rank != 2 || a->shape[0] < OV_QUANTISE_SIDE ||
        a->shape[1] < OV_QUANTISE_SIDE || a->shape[0] > INT32_MAX ||
        a->shape[1] > INT32_MAX || !ends(a->name, "weight"))
        return false;
    if (a->dtype != OV_F32 && a->dtype != OV_F16 && a->dtype != OV_BF16 &&
        a->dtype != OV_F64)
        return false;
    for (i = 0; i < sizeof not / sizeof *not ; i++)
        if (ends(a->name, not [i]))
            return false;
    return true;
}

/* Is it [in, out], as GPT-2 keeps its linear maps? */
static bool
is_turned(const struct ov_array *a)
{
    return ends(a->name, "c_attn.weight") || ends(a->name, "c_fc.weight") ||
           ends(a->name, "c_proj.weight");
}

static enum ov_form
form_of(const struct job *j)
{
    return j->as == OV_QUANTISE_I4 ? OV_FORM_I4_PANELS : OV_FORM_I8_PANELS;
}

static int
add(struct job *j, const struct ov_array *a, int how, enum ov_dtype dtype,
    const char *tail, struct ov_err *err)
{
    struct ov_array *to = &j->arrays[j->n];
    size_t n = strlen(a->name) + strlen(tail) + 1;

    *to = *a;
    to->name = malloc(n);
    if (to->name == NULL)
        return no_memory(err);
    snprintf(to->name, n, "%s%s", a->name, tail);
    to->dtype = dtype;
    if (how != COPY)
        to->data = NULL;
    if (how == FACTORS || how == SIZES)
        to->rank = 1;
    if (how == SIZES)
        to->shape[0] = 2;
    if (how == PANELS) {
        to->shape[0] = (a->shape[0] + OV_PANEL - 1) / OV_PANEL;
        to->shape[1] = (int64_t)ov_panel_bytes(form_of(j), (int)a->shape[1]);
    }
    j->sources[j->n].a = a;
    j->sources[j->n++].how = how;
    return OV_OK;
}

/* The arrays that take the place of a. */
static int
add_bytes(struct job *j, const struct ov_array *a, struct ov_err *err)
{
    bool panels = j->as != OV_QUANTISE_I8 && !is_turned(a);
    int rc = panels ? add(j, a, PANELS, OV_U8, "", err)
                    : add(j, a, BYTES, OV_I8, "", err);

    if (rc == OV_OK && panels)
        rc = add(j, a, SIZES, OV_I32, SHAPE, err);
    if (rc == OV_OK && !(panels && j->as == OV_QUANTISE_I4))
        rc = add(j, a, FACTORS, OV_F32, SCALE, err);
    return rc;
}

/* The arrays to write; *n: matrices. */
static int
plan(struct job *j, size_t *n, struct ov_err *err)
{
    size_t count = ov_weights_count(j->w), i;
    /* BF16 stays what it is, but from now on the file says that it rounds */
    bool said = ov_weights_meta(j->w, OV_QUANTISE_KEY) != NULL;
    const struct ov_array *a;
    int rc = OV_OK;

    *n = 0;
    j->arrays = calloc(3 * count + 1, sizeof *j->arrays);
    j->sources = calloc(3 * count + 1, sizeof *j->sources);
    if (j->arrays == NULL || j->sources == NULL)
        return no_memory(err);
    for (i = 0; i < count && rc == OV_OK; i++) {
        a = ov_weights_at(j->w, i);
        if (!is_matrix(a) ||
            (j->as == OV_QUANTISE_BF16 && a->dtype == OV_BF16)) {
            *n += is_matrix(a) && !said;
            rc = add(j, a, COPY, a->dtype, "", err);
            continue;
        }
        ++*n;
        if (j->as == OV_QUANTISE_BF16) {
            rc = add(j, a, HALVES, OV_BF16, "", err);
            continue;
        }
        rc = add_bytes(j, a, err);
    }
    return rc;
}

/* metadata --------------------------------------------------------------- */

/* The text of a number or text beside the tensors, malloc'd. */
static char *
text_of(const struct ov_weights *w, const char *name)
{
    const char *text = ov_weights_text(w, name);
    char number[40];
    int64_t i;
    double f = 0;

    if (text != NULL)
        return strdup(text);
    if (ov_weights_int(w, name, &i))
        snprintf(number, sizeof number, "%lld", (long long)i);
    else if (ov_weights_double(w, name, &f))
        snprintf(number, sizeof number, "%.17g", f);
    else
        number[0] = '\0';
    return strdup(number);
}

static int
plan_metadata(struct job *j, struct ov_err *err)
{
    const struct ov_json *meta = ov_weights_metadata(j->w), *v;
    size_t scalars = 0, room;
    const char *key;
    void *at = NULL;

    while (ov_weights_scalar(j->w, scalars) != NULL)
        scalars++;
    room = scalars + ov_json_size(meta) + 2;
    j->meta = calloc(room, sizeof *j->meta);
    j->texts = calloc(room, sizeof *j->texts);
    if (j->meta == NULL || j->texts == NULL)
        return no_memory(err);
    while (ov_json_next(meta, &at, &key, &v)) {
        if (strcmp(key, OV_QUANTISE_KEY) == 0)
            continue;
        j->meta[j->meta_n][0] = key;
        j->meta[j->meta_n++][1] = ov_json_string(v);
    }
    if (j->as == OV_QUANTISE_BF16) {
        j->meta[j->meta_n][0] = OV_QUANTISE_KEY;
        j->meta[j->meta_n++][1] = "bf16";
    }
    for (; j->texts_n < scalars; j->texts_n++) {
        key = ov_weights_scalar(j->w, j->texts_n);
        j->texts[j->texts_n] = text_of(j->w, key);
        if (j->texts[j->texts_n] == NULL)
            return no_memory(err);
        j->meta[j->meta_n][0] = key;
        j->meta[j->meta_n++][1] = j->texts[j->texts_n];
    }
    return OV_OK;
}

/* values ----------------------------------------------------------------- */

/* Row i of a as float32 into row [cols]; *most: its largest absolute
 * value. */
static int
read_row(const struct ov_array *a, size_t i, float *row, float *most,
         struct ov_err *err)
{
    size_t cols = (size_t)a->shape[1], k;
    struct ov_array one = *a;
    int rc;

    one.count = (int64_t)cols;
    one.data = (const char *)a->data + i * cols * ov_dtype_size(a->dtype);
    rc = ov_array_to_f32(&one, row, err);
    for (k = 0, *most = 0; k < cols && rc == OV_OK; k++) {
        if (!isfinite(row[k]))
            return ov_err_set(err, OV_EMODEL,
                              "tensor \"%.100s\": value %zu is not finite",
                              a->name, i * cols + k);
        *most = fmaxf(*most, fabsf(row[k]));
    }
    return rc;
}

/* Row i of what s becomes, to p. */
static void
put_row(const struct source *s, const float *row, float most, size_t i, void *p)
{
    size_t cols = (size_t)s->a->shape[1], k;
    float step = most / 127;

    if (step < 1e-37f) /* what it is divided by must not overflow */
        step = 1;
    if (s->how == FACTORS) {
        ((float *)p)[i] = step;
        return;
    }
    if (s->how == BYTES) {
        int8_t *q = (int8_t *)p + i * cols;
        for (k = 0; k < cols; k++)
            q[k] = (int8_t)lrintf(row[k] / step);
    } else {
        uint16_t *h = (uint16_t *)p + i * cols;
        for (k = 0; k < cols; k++)
            h[k] = ov_f32_to_bf16(row[k]);
    }
}

/* The values of a, which is one of j->arrays. */
static int
make(void *arg, const struct ov_array *a, const void **data, struct ov_err *err)
{
    struct job *j = arg;
    const struct source *s = &j->sources[a - j->arrays];
    size_t rows = (size_t)s->a->shape[0], cols = (size_t)s->a->shape[1], i;
    struct ov_array sizes = *a;
    uint64_t bytes;
    float most, step;
    int rc = OV_OK;

    if (j->stop != NULL && j->stop())
        return ov_err_set(err, OV_ERUN, "%s", "stopped");
    free(j->values);
    free(j->row);
    ov_array_measure(&sizes, &bytes);
    j->values = calloc((size_t)bytes, 1);
    j->row = malloc(cols * sizeof *j->row);
    if (j->values == NULL || j->row == NULL)
        return no_memory(err);
    *data = j->values;
    if (s->how == SIZES) {
        ((int32_t *)j->values)[0] = (int32_t)rows;
        ((int32_t *)j->values)[1] = (int32_t)cols;
        return OV_OK;
    }
    for (i = 0; i < rows && rc == OV_OK; i++) {
        rc = read_row(s->a, i, j->row, &most, err);
        if (rc == OV_OK && s->how == PANELS)
            ov_panels_put(form_of(j), (int)i, (int)cols, j->row, j->values,
                          &step);
        else if (rc == OV_OK)
            put_row(s, j->row, most, i, j->values);
    }
    return rc;
}

static void
clear(struct job *j)
{
    size_t i;

    for (i = 0; i < j->n; i++)
        free(j->arrays[i].name);
    for (i = 0; i < j->texts_n; i++)
        free(j->texts[i]);
    free(j->arrays);
    free(j->sources);
    free(j->meta);
    free(j->texts);
    free(j->values);
    free(j->row);
}

int
ov_weights_quantise(const char *from, const char *to, enum ov_quantise as,
                    bool (*stop)(void), size_t *n, struct ov_err *err)
{
    struct job j = {.as = as, .stop = stop};
    struct ov_weights *w;
    int rc = ov_weights_open_model(&w, from, err);

    *n = 0;
    if (rc < 0)
        return rc;
    j.w = w;
    rc = plan(&j, n, err);
    if (rc == OV_OK)
        rc = plan_metadata(&j, err);
    if (rc == OV_OK)
        rc = ov_weights_write_made(to, j.arrays, j.n,
                                   (const char *const(*)[2])j.meta, j.meta_n,
                                   make, &j, err);
    if (rc == OV_EMODEL && err != NULL && strncmp(err->text, "tensor", 6) == 0)
        ov_err_prefix(err, "%s", from);
    clear(&j);
    ov_weights_close(w);
    return rc;
}
