/* SPDX-License-Identifier: BSD-2-Clause */
/* What a training begins from.
 * In: weights or checkpoints.  Out: the values of parameters. */
#include "train/start.h"

#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

int
ov_start_param(struct ov_param *p, const struct ov_weights *w,
               struct ov_err *err)
{
    char name[sizeof p->name + 2];
    const struct ov_array *a;

    snprintf(name, sizeof name, "x:%s", p->name);
    a = ov_weights_get(w, name);
    if (a == NULL)
        return ov_param_load(p, w, err);
    if (a->count != (int64_t)p->t.rows * p->t.cols)
        return ov_err_set(err, OV_EMODEL, "tensor %s does not fit", name);
    return ov_array_to_f32(a, (float *)p->t.x, err);
}

static bool
ends_branch(const char *name)
{
    static const char *const ends[] = {".attn.o", ".ff.down",
                                       ".ff.down.weight"};
    size_t n = strlen(name), i, k;

    for (i = 0; i < sizeof ends / sizeof *ends; i++) {
        k = strlen(ends[i]);
        if (n > k && strcmp(name + n - k, ends[i]) == 0)
            return true;
    }
    return false;
}

/* Of what was not found. */
static void
begin_anew(struct ov_param *p, FILE *log)
{
    bool quiet = ends_branch(p->name);

    if (quiet)
        memset(p->t.x, 0, sizeof *p->t.x * (size_t)p->t.rows *
                              (size_t)p->t.cols);
    fprintf(log, "# %s starts %s\n", p->name, quiet ? "at zero" : "anew");
}

int
ov_start(struct ov_params *ps, const char *list, double pace, FILE *log,
         struct ov_err *err)
{
    bool *got = calloc((size_t)ps->n + 1, sizeof *got);
    const char *end;
    struct ov_weights *w;
    struct ov_err ignore;
    char path[600];
    int i, r = OV_OK;

    if (got == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (; r == OV_OK && *list != '\0'; list = *end == ',' ? end + 1 : end) {
        end = list + strcspn(list, ",");
        snprintf(path, sizeof path, "%.*s", (int)(end - list), list);
        r = ov_weights_open(&w, path, err);
        if (r != OV_OK)
            break;
        for (i = 0; i < ps->n; i++)
            got[i] |= ov_start_param(ps->p[i], w, &ignore) == OV_OK;
        ov_weights_close(w);
    }
    for (i = 0; r == OV_OK && i < ps->n; i++)
        if (got[i])
            ps->p[i]->pace *= (float)pace;
        else
            begin_anew(ps->p[i], log);
    free(got);
    return r;
}
