/* SPDX-License-Identifier: BSD-2-Clause */
/* A model of random weights.
 * In: a config.json.  Out: a model directory. */
#include "train/init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/codec.h"
#include "net/vad.h"
#include "net/vision.h"
#include "net/voice.h"
#include "train/corpus.h"

static int
copy(const char *from, const char *to, struct ov_err *err)
{
    char *text;
    size_t n;
    FILE *f;
    int r = ov_slurp(from, &text, &n, err);

    if (r != OV_OK)
        return r;
    f = fopen(to, "wb");
    if (f == NULL || fwrite(text, 1, n, f) != n || fclose(f) != 0)
        r = ov_err_errno(err, "%s", to);
    free(text);
    return r;
}

/* All weights of ps as DIR/part.safetensors. */
static int
write_part(const struct ov_params *ps, const char *dir, const char *part,
           struct ov_err *err)
{
    struct ov_array *a = calloc((size_t)ps->n + 1, sizeof *a);
    char path[600];
    int i, r;

    if (a == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < ps->n; i++) {
        struct ov_param *p = ps->p[i];
        a[i] = (struct ov_array){ .name = p->name, .dtype = OV_F32,
                                  .rank = 2, .data = p->t.x };
        a[i].shape[0] = p->t.rows;
        a[i].shape[1] = p->t.cols;
        a[i].count = (int64_t)p->t.rows * p->t.cols;
    }
    snprintf(path, sizeof path, "%s/%s.safetensors", dir, part);
    r = ov_weights_write(path, a, (size_t)ps->n, NULL, 0, 0, err);
    free(a);
    return r;
}

static int
write_all(const struct ov_config *file, const char *dir, uint64_t seed,
          struct ov_err *err)
{
    static const struct {
        int part;
        const char *name;
    } parts[] = { { OV_VOICE_ENCODER, "encoder" },
                  { OV_VOICE_ADAPTER, "adapter" },
                  { OV_VOICE_LM, "lm" } };
    struct ov_codec_config cc;
    struct ov_vad_config vc;
    struct ov_voice_config lc;
    struct ov_codec codec;
    struct ov_vad_graph vad;
    struct ov_params ps;
    struct ov_vision_config sc;
    struct ov_vision eyes;
    size_t i;
    int r;

    if ((r = ov_codec_config(&cc, file, err)) != OV_OK ||
        (r = ov_vad_config(&vc, file, err)) != OV_OK ||
        (r = ov_voice_config(&lc, file, err)) != OV_OK ||
        (r = ov_vision_config(&sc, file, err)) != OV_OK)
        return r;
    ov_params_init(&ps, NULL, NULL, seed, false);
    ov_codec_bind(&codec, &ps, &cc, OV_CODEC_BOTH);
    ov_codec_unbind(&codec);
    r = write_part(&ps, dir, "codec", err);
    ov_params_free(&ps);
    if (r != OV_OK)
        return r;
    ov_params_init(&ps, NULL, NULL, seed, false);
    ov_vad_bind(&vad, &ps, &vc);
    r = write_part(&ps, dir, "vad", err);
    ov_params_free(&ps);
    for (i = 0; r == OV_OK && i < sizeof parts / sizeof *parts; i++) {
        struct ov_voice v;
        ov_params_init(&ps, NULL, NULL, seed, false);
        ov_voice_bind(&v, &ps, &lc, parts[i].part);
        if (sc.image > 0 && parts[i].part == OV_VOICE_ADAPTER)
            ov_vision_bind(&eyes, &ps, &sc, OV_VISION_ADAPTER);
        r = write_part(&ps, dir, parts[i].name, err);
        ov_params_free(&ps);
    }
    if (r == OV_OK && sc.image > 0) {
        ov_params_init(&ps, NULL, NULL, seed, false);
        ov_vision_bind(&eyes, &ps, &sc, OV_VISION_ENCODER);
        r = write_part(&ps, dir, "vision", err);
        ov_params_free(&ps);
    }
    return r;
}

int
ov_model_init(const char *config, const char *dir, uint64_t seed,
              struct ov_err *err)
{
    struct ov_config *file;
    const char *slash = strrchr(config, '/');
    char from[600], to[600];
    int r = ov_config_open(&file, config, err);

    if (r != OV_OK)
        return r;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        r = ov_err_errno(err, "%s", dir);
    if (r == OV_OK)
        r = write_all(file, dir, seed, err);
    ov_config_close(file);
    snprintf(from, sizeof from, "%.*s/tokenizer.json",
             slash != NULL ? (int)(slash - config) : 1,
             slash != NULL ? config : ".");
    snprintf(to, sizeof to, "%s/tokenizer.json", dir);
    if (r == OV_OK && access(from, R_OK) == 0)
        r = copy(from, to, err);
    snprintf(to, sizeof to, "%s/config.json", dir);
    return r == OV_OK ? copy(config, to, err) : r;
}
