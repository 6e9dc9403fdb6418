/* SPDX-License-Identifier: BSD-2-Clause */
/* Published networks whose configuration or weights lie: CLIP, FastConformer,
 * Mini-Omni2.  What is accepted must run.
 * In: golden vectors, changed at random.  Out: no crash, no hang; TAP. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/fastconformer_mel.h"
#include "model/yaml.h"
#include "net/clip.h"
#include "net/conformer.h"
#include "net/miniomni.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1 << 16, FRAMES = 40 };

static const char *const words[] = {"0",     "1",     "2",    "-1",   "65536",
                                    "7",     "1e9",   "null", "true", "false",
                                    "\"x\"", "[1,2]", "{}",   "3",    NULL};
static const char *vectors;

static const char *
in(const char *name)
{
    static char path[4][1024];
    static int at;

    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", vectors, name);
    return path[at];
}

/* The file as text with a 0 behind it; its bytes. */
static size_t
slurp(const char *path, char *to, size_t room)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    if (f == NULL)
        return 0;
    n = fread(to, 1, room - 1, f);
    fclose(f);
    to[n] = '\0';
    return n;
}

/* Another value for one of the numbers or words behind a colon. */
static size_t
lie(char *to, const char *from, size_t n)
{
    size_t at, end, k, w, tries = 0;
    const char *word;

    do {
        at = mutate_random(n);
        while (at < n && from[at] != ':')
            at++;
    } while (at + 1 >= n && tries++ < 100);
    at += at < n;
    for (end = at; end < n && strchr(",}\n]", from[end]) == NULL;)
        end++;
    for (w = 0; words[w] != NULL;)
        w++;
    word = words[mutate_random(w)];
    memcpy(to, from, at);
    to[at] = ' ';
    k = at + 1 + strlen(word);
    memcpy(to + at + 1, word, strlen(word));
    memcpy(to + k, from + end, n - end);
    return k + n - end;
}

/* FastConformer ------------------------------------------------------------ */

static int
run_conformer(const struct ov_json *config, const struct ov_weights *w)
{
    static float x[4096], mel[FRAMES * 4096];
    struct ov_fastconformer_mel *m;
    struct ov_conformer *net;
    struct ov_err err = {0};
    struct ov_graph *g;
    size_t valid, frames;
    int good = 0, features;

    if (ov_fastconformer_mel_new(&m, ov_json_get(config, "preprocessor"),
                                 &err) == OV_OK) {
        frames = ov_fastconformer_mel_frames(m, 1000, &valid);
        if (frames * (size_t)ov_fastconformer_mel_bands(m) <=
            sizeof mel / sizeof *mel)
            ov_fastconformer_mel_run(m, x, 1000, mel);
        ov_fastconformer_mel_free(m);
    }
    memset(mel, 0, sizeof mel);
    if (ov_conformer_open(&net, w, ov_json_get(config, "encoder"), "conformer.",
                          "audio_adapter.", &err) == OV_OK) {
        g = ov_graph_new_fast();
        features = ov_conformer_sizes(net)->features;
        if (features <= 4096)
            good =
                ov_conformer_run(g, net, mel, FRAMES, FRAMES - 3, NULL) != NULL;
        ov_graph_free(g);
        ov_conformer_close(net);
    }
    return good;
}

static void
lies_to_conformer(int times)
{
    static char text[ROOM], p[ROOM];
    size_t n = slurp(in("conformer/fastconformer/config.json"), text, ROOM / 2);
    struct ov_weights *w;
    struct ov_json *v;
    struct ov_err err = {0};
    int i, good = 0, opened = 0;

    if (n == 0 ||
        ov_weights_open(&w, in("conformer/fastconformer/model.safetensors"),
                        &err) != OV_OK) {
        skip("FastConformer", "no vectors");
        return;
    }
    for (i = 0; i < times; i++) {
        if (ov_json_parse(&v, p, lie(p, text, n), "x", &err) != OV_OK)
            continue;
        opened++;
        good += run_conformer(v, w);
        ov_json_free(v);
    }
    ov_weights_close(w);
    ok(good > 0 && good < opened, "FastConformer: %d lies, %d of them white",
       opened, good);
}

/* Its weights, their header changed. */
static void
damage_conformer(int times)
{
    static char text[ROOM];
    struct stat st;
    uint8_t *from, *p;
    struct ov_weights *w;
    struct ov_json *v;
    struct ov_err err = {0};
    size_t n = slurp(in("conformer/fastconformer/config.json"), text, ROOM);
    int i, fd, parsed = 0;
    uint64_t head;

    fd = open(in("conformer/fastconformer/model.safetensors"), O_RDONLY);
    if (n == 0 || fd < 0 || fstat(fd, &st) != 0) {
        skip("FastConformer's weights", "no vectors");
        return;
    }
    from = malloc((size_t)st.st_size);
    p = malloc((size_t)st.st_size);
    if (read(fd, from, (size_t)st.st_size) != st.st_size)
        abort();
    close(fd);
    memcpy(&head, from, 8);
    ov_json_parse(&v, text, n, "x", &err);
    for (i = 0; i < times; i++) {
        size_t at = 8 + mutate_random((size_t)head);

        memcpy(p, from, (size_t)st.st_size);
        /* a digit of a shape or an offset, or a letter of a name */
        p[at] = p[at] >= '0' && p[at] <= '9'
                    ? (uint8_t)('0' + mutate_random(10))
                    : p[at];
        if (p[at] == ',' && mutate_random(4) == 0)
            p[at] = ' ';
        if (ov_weights_parse(&w, p, (size_t)st.st_size, "x", &err) != OV_OK)
            continue;
        parsed++;
        run_conformer(v, w);
        ov_weights_close(w);
    }
    ov_json_free(v);
    free(from);
    free(p);
    ok(parsed > 0, "FastConformer: %d headers, %d parsed", times, parsed);
}

/* CLIP --------------------------------------------------------------------- */

static int
run_clip(const char *weights, const char *config)
{
    const struct ov_clip_sizes *s;
    struct ov_err err = {0};
    struct ov_clip *c;
    struct ov_graph *g;
    int32_t ids[3] = {0, 1, 0};
    float *x;
    int good;

    if (ov_clip_open(&c, weights, config, &err) != OV_OK) {
        if (err.code == OV_OK || err.text[0] == '\0')
            abort();
        return 0;
    }
    s = ov_clip_sizes(c);
    x = calloc(3 * (size_t)s->image * (size_t)s->image, sizeof *x);
    g = ov_graph_new_fast();
    good = ov_clip_image(g, c, x, NULL)->rows == s->tokens;
    if (s->context > 0 && s->context < 3)
        good = good && ov_clip_text(g, c, ids, 3, NULL) == NULL;
    else if (s->context > 0)
        ov_clip_text(g, c, ids, 3, NULL);
    ids[0] = s->vocab;
    good = good && ov_clip_text(g, c, ids, 1, NULL) == NULL;
    ov_graph_free(g);
    ov_clip_close(c);
    free(x);
    return good;
}

static void
lies_to_clip(int times)
{
    static char text[ROOM], p[ROOM];
    size_t n = slurp(in("clip/hf/config.json"), text, ROOM / 2), k;
    char path[64];
    int i, good = 0;
    FILE *f;

    if (n == 0) {
        skip("CLIP", "no vectors");
        return;
    }
    snprintf(path, sizeof path, "/tmp/t_fuzz_omni.%ld", (long)getpid());
    for (i = 0; i < times; i++) {
        k = lie(p, text, n);
        f = fopen(path, "wb");
        fwrite(p, 1, k, f);
        fclose(f);
        good += run_clip(in("clip/hf/model.safetensors"), path);
    }
    unlink(path);
    ok(good > 0 && good < times, "CLIP: %d lies, %d of them white", times,
       good);
    ok(run_clip(in("clip/hf/model.safetensors"), NULL) == 0,
       "the one layout is not the other");
}

/* Mini-Omni2 --------------------------------------------------------------- */

static int
run_omni(const struct ov_miniomni_config *c, const char *weights)
{
    struct ov_miniomni_prompt p = {.task = OV_OMNI_T1A2};
    struct ov_miniomni_options o;
    struct ov_miniomni_talk talk = {0};
    struct ov_miniomni_state *s;
    struct ov_miniomni *m;
    struct ov_err err = {0};
    int32_t text[2] = {1, 2}, ids[OV_MINIOMNI_STREAMS];
    float *x;
    int n, good = 0;

    if (ov_miniomni_open(&m, weights, c, OV_MINIOMNI_FRONT | OV_MINIOMNI_BACK,
                         &err) != OV_OK)
        return 0;
    p.text = text;
    p.n_text = 2;
    n = ov_miniomni_prompt_length(&p);
    x = calloc((size_t)n * (size_t)c->d, sizeof *x);
    s = ov_miniomni_state_new(m);
    ov_miniomni_defaults(&o, c);
    o.limit = n + 3;
    if (ov_miniomni_embed(m, &p, NULL, NULL, x, &err) == OV_OK &&
        ov_miniomni_begin(&talk, s, OV_OMNI_BOTH, &o, x, n, NULL, &err) ==
            OV_OK)
        while (ov_miniomni_next(&talk, ids, &err) == 1)
            good = 1;
    ov_miniomni_finish(&talk);
    ov_miniomni_state_free(s);
    ov_miniomni_close(m);
    free(x);
    return good;
}

static void
lies_to_omni(int times)
{
    static char text[ROOM], p[ROOM];
    size_t n = slurp(in("mini_omni2/post_adapter_mlp/model_config.yaml"), text,
                     ROOM / 2);
    struct ov_miniomni_config c;
    struct ov_json *v;
    struct ov_err err = {0};
    int i, good = 0, read = 0;

    if (n == 0) {
        skip("Mini-Omni2", "no vectors");
        return;
    }
    for (i = 0; i < times; i++) {
        if (ov_yaml_parse(&v, p, lie(p, text, n), "x", &err) != OV_OK)
            continue;
        if (ov_miniomni_config(&c, v, i % 2 == 0, "x", &err) == OV_OK) {
            read++;
            good += run_omni(&c, in("mini_omni2/post_adapter_mlp/"
                                    "lit_model.pth"));
        }
        ov_json_free(v);
    }
    ok(good > 0 && good < read, "Mini-Omni2: %d lies read, %d of them white",
       read, good);
}

int
main(void)
{
    const char *src = getenv("OV_SRCDIR");
    const char *shared = getenv("OV_SHARED");
    int times = mutate_times(600);
    static char dir[1024];

    snprintf(dir, sizeof dir, "%s%s/vectors",
             shared != NULL ? shared
             : src != NULL  ? src
                            : ".",
             shared != NULL ? "" : "/../shared");
    vectors = dir;
    if (access(dir, R_OK) != 0)
        skip_all("no golden vectors");
    lies_to_conformer(times);
    damage_conformer(times / 4);
    lies_to_clip(times);
    lies_to_omni(times / 4);
    return tap_done();
}
