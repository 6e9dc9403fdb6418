/* SPDX-License-Identifier: BSD-2-Clause */
/* PyTorch's containers: what is read, and what must not be.
 * In: the files that case.json lists.  Out: every tensor bit for bit, and
 * refusals. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "case.h"

static bool
begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool
same(const struct ov_array *x, const struct ov_array *y)
{
    return x->dtype == y->dtype && x->rank == y->rank &&
           memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape) ==
               0 &&
           memcmp(x->data, y->data,
                  (size_t)x->count * ov_dtype_size(x->dtype)) == 0;
}

/* Every tensor of file, its name's beginning changed from one to another,
 * must be in want; and every one of want with that beginning in file. */
static void
compare(struct vcase *c, const char *file, const struct ov_weights *want,
        const char *from, const char *to)
{
    const struct ov_array *a;
    struct ov_err err = {0};
    struct ov_weights *w;
    char name[1200];
    size_t i, bad = 0, n = 0;

    if (ov_weights_open(&w, vcase_path(c, file), &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    for (i = 0; i < ov_weights_count(w); i++, n++) {
        a = ov_weights_at(w, i);
        snprintf(name, sizeof name, "%s%s", to,
                 begins(a->name, from) ? a->name + strlen(from) : "?");
        bad += ov_weights_get(want, name) == NULL ||
               !same(a, ov_weights_get(want, name));
    }
    for (i = 0; *from != '\0' && i < ov_weights_count(want); i++) {
        a = ov_weights_at(want, i);
        if (!begins(a->name, to))
            continue;
        snprintf(name, sizeof name, "%s%s", from, a->name + strlen(to));
        bad += ov_weights_get(w, name) == NULL;
    }
    vcase_ok(c, bad == 0 && n > 0, "%-28s %zu tensors, %zu wrong or missing",
             file, n, bad);
    ov_weights_close(w);
}

/* Refused with a reason, or read without what must not be executed. */
static void
refuse(struct vcase *c, const char *file, bool may_skip)
{
    struct ov_err err = {0};
    struct ov_weights *w = NULL;
    int rc = ov_weights_open(&w, vcase_path(c, file), &err);

    vcase_ok(c, rc == OV_OK ? may_skip : rc == OV_EMODEL && *err.text != '\0',
             "%-28s %s", file,
             rc == OV_OK ? "was read" : strrchr(err.text, '/') + 1);
    ov_weights_close(w);
}

void
v_torch_pickle(struct vcase *c)
{
    const struct ov_json *files = ov_json_get(c->json, "files"), *v;
    struct ov_weights *script = NULL;
    struct ov_err err = {0};
    const char *file;
    void *at = NULL;

    while (ov_json_next(files, &at, &file, &v)) {
        if (begins(file, "must_refuse") || begins(file, "truncated"))
            refuse(c, file, begins(file, "must_refuse"));
        else if (begins(file, "nested"))
            compare(c, file, c->expected, "nested.state.model.", "nested.");
        else if (begins(file, "bare_tensor"))
            compare(c, file, c->expected, "tensor", "bare_tensor");
        else if (!begins(file, "scripted"))
            compare(c, file, c->expected, "", "");
        else if (ov_weights_open(&script,
                                 vcase_path(c, "scripted_expected.safetensors"),
                                 &err) != OV_OK)
            vcase_fail(c, "%s", err.text);
        else
            compare(c, file, script, "", "");
    }
    ov_weights_close(script);
}
