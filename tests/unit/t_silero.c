/* SPDX-License-Identifier: BSD-2-Clause */
/* net/silero against what the reference computes from the published weights.
 * In: the shared vectors (OV_SHARED, else ../shared).  Out: TAP. */
#include "net/silero.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/soundin.h"
#include "model/safetensors.h"
#include "net/silero_speech.h"
#include "tests/unit/onnx.h"
#include "tap.h"

enum { MAX_N = 1 << 20, CHUNK = OV_SILERO_CHUNK };

static const double TOLERANCE = 1e-4;
static char base[1024];
static float x[MAX_N];
static struct ov_err err;

static const char *
path(const char *name, const char *file)
{
    static char p[2][1200];
    static int turn;

    turn = !turn;
    snprintf(p[turn], sizeof p[turn], "%s/%s%s%s", base, name,
             *file != '\0' ? "/" : "", file);
    return p[turn];
}

static size_t
read_sound(const char *file)
{
    struct ov_soundin_options o = {.out_hz = 16000};
    struct ov_soundin *s;
    size_t sum = 0;
    long n;

    if (ov_soundin_open(&s, file, &o, &err) != 0)
        return 0;
    memset(x, 0, sizeof x);
    while ((n = ov_soundin_read(s, x + sum, MAX_N - sum, &err)) > 0)
        sum += (size_t)n;
    ov_soundin_close(s);
    return sum;
}

/* Largest difference of y [n] to tensor set.what; -1: there is none. */
static double
differ(const struct ov_weights *want, const char *set, const char *what,
       const float *y, size_t n)
{
    char name[100];
    const struct ov_array *a;
    static float ref[4096];
    double far = 0;

    snprintf(name, sizeof name, "%s.%s", set, what);
    a = ov_weights_get(want, name);
    if (a == NULL || (size_t)a->count != n || n > 4096
        || ov_array_to_f32(a, ref, &err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        far = fmax(far, fabs(y[i] - ref[i]));
    return far;
}

static void
check_taps(const struct ov_silero *s, const struct ov_weights *want,
           const char *set, size_t chunk)
{
    struct ov_silero_taps t;
    char name[4][40];
    double far[4];

    snprintf(name[0], 40, "chunk%zu.magnitude", chunk);
    snprintf(name[1], 40, "chunk%zu.encoder_out", chunk);
    snprintf(name[2], 40, "chunk%zu.h", chunk);
    snprintf(name[3], 40, "chunk%zu.c", chunk);
    ov_silero_look(s, &t);
    far[0] = differ(want, set, name[0], t.magnitude, 4 * OV_SILERO_BINS);
    far[1] = differ(want, set, name[1], t.encoded, OV_SILERO_WIDTH);
    far[2] = differ(want, set, name[2], t.h, OV_SILERO_WIDTH);
    far[3] = differ(want, set, name[3], t.c, OV_SILERO_WIDTH);
    for (int i = 0; i < 4; i++)
        if (far[i] >= 0)
            ok(far[i] <= TOLERANCE, "%s.%s: %.1e off", set, name[i], far[i]);
}

static void
test_case(const char *name, const char *set, const char *weights)
{
    static float probs[MAX_N / CHUNK];
    struct ov_weights *want;
    struct ov_silero *s;
    size_t n = read_sound(path(name, "audio.wav")), chunks = 0;
    double far;

    if (!ok(n > 0, "%s: sound", name)
        || !ok(ov_weights_open(&want, path(name, "expected.safetensors"),
                               &err) == 0, "%s: expected", name))
        return;
    if (ok(ov_silero_open(&s, path(weights, ""), &err) == 0, "%s", weights)) {
        for (size_t i = 0; i < n; i += CHUNK, chunks++) {
            probs[chunks] = ov_silero_chunk(s, x + i);
            check_taps(s, want, set, chunks);
        }
        far = differ(want, set, "probs", probs, chunks);
        ok(far >= 0 && far <= TOLERANCE, "%s %s.probs: %zu, %.1e off", name,
           set, chunks, far);
        ov_silero_reset(s);
        ok(ov_silero_chunk(s, x) == probs[0], "reset");
    }
    ov_silero_close(s);
    ov_weights_close(want);
}

/* Spans of chunks, '#' speech and '.' silence, are those in want [n, 2]. */
static void
test_spans(const char *what, const struct ov_silero_rule *r, const char *text,
           const int64_t (*want)[2], size_t n)
{
    float p[100];
    struct ov_silero_span *s;
    size_t i, count, wrong = 0, chunks = strlen(text);

    for (i = 0; i < chunks; i++)
        p[i] = text[i] == '#' ? 0.9f : 0.1f;
    if (ov_silero_spans(r, p, chunks, (int64_t)chunks * CHUNK, &s, &count,
                        &err) != 0)
        return;
    for (i = 0; i < count && i < n; i++)
        wrong += s[i].start != want[i][0] || s[i].end != want[i][1];
    ok(count == n && wrong == 0, "%s: %zu spans of %zu, %zu wrong", what,
       count, n, wrong);
    free(s);
}

/* What is longer than a limit is split as get_speech_timestamps does. */
static void
test_limits(void)
{
    static const char plain[] = "##############################"
                                "##############################";
    static const char gap[] = "##########.....###############"
                              "##############################";
    static const char gaps[] = "#####.....#####....###########"
                               "##########";
    static const int64_t hard[][2] = {{0, 15104}, {15104, 30688}};
    static const int64_t soft[][2] = {{0, 5600}, {7200, 22784},
                                      {22784, 30720}};
    static const int64_t longest[][2] = {{0, 2560}, {5120, 20480}};
    static const int64_t last[][2] = {{0, 7680}, {9728, 20480}};
    struct ov_silero_rule r;

    ov_silero_rule(&r);
    r.max_speech_s = 1;
    test_spans("no silence to split at", &r, plain, hard, 2);
    r.min_silence_ms = 1000;
    test_spans("split in silence", &r, gap, soft, 3);
    r.pad_ms = 0;
    test_spans("in the longest", &r, gaps, longest, 2);
    r.longest = false;
    test_spans("in the last", &r, gaps, last, 2);
}

/* As silero_vad.onnx has them: both networks in the branches of an If, their
 * weights constants with the same names behind another prefix.  That for
 * 8 kHz is made up. */
static void
add_constant(struct ov_buf *graph, const char *prefix, const char *name,
             const struct ov_array *a)
{
    struct ov_buf t = {0}, node = {0};
    char full[200];

    for (int i = 0; i < a->rank; i++)
        onnx_int(&t, 1, (uint64_t)a->shape[i]);
    onnx_int(&t, 2, 1);
    onnx_bytes(&t, 9, a->data, (size_t)a->count * 4);
    snprintf(full, sizeof full, "%s%s", prefix, name);
    onnx_constant(&node, full, &t);
    onnx_message(graph, 1, &node);
}

static const char *const both[][2] = {
    {"stft_conv.weight", "stft.forward_basis_buffer"},
    {"conv1.weight", "encoder.0.reparam_conv.weight"},
    {"conv1.bias", "encoder.0.reparam_conv.bias"},
    {"conv2.weight", "encoder.1.reparam_conv.weight"},
    {"conv2.bias", "encoder.1.reparam_conv.bias"},
    {"conv3.weight", "encoder.2.reparam_conv.weight"},
    {"conv3.bias", "encoder.2.reparam_conv.bias"},
    {"conv4.weight", "encoder.3.reparam_conv.weight"},
    {"conv4.bias", "encoder.3.reparam_conv.bias"},
    {"lstm_cell.weight_ih", "decoder.rnn.weight_ih"},
    {"lstm_cell.weight_hh", "decoder.rnn.weight_hh"},
    {"lstm_cell.bias_ih", "decoder.rnn.bias_ih"},
    {"lstm_cell.bias_hh", "decoder.rnn.bias_hh"},
    {"final_conv.weight", "decoder.decoder.2.weight"},
    {"final_conv.bias", "decoder.decoder.2.bias"},
};

/* Write them to file; without the network for 16 kHz if it is not whole. */
static void
write_onnx(const struct ov_weights *w, bool whole, const char *file)
{
    static const float zeros[130 * 128];
    struct ov_array eight = {.rank = 3, .shape = {130, 1, 128},
                             .count = 130 * 128, .data = zeros};
    struct ov_buf graph = {0}, sub = {0}, a = {0}, node = {0}, model = {0};
    size_t i;
    FILE *f;

    for (i = 0; i < sizeof both / sizeof *both; i++) {
        add_constant(&sub, "if_else_", both[i][1],
                     i == 0 ? &eight : ov_weights_get(w, both[i][0]));
    }
    onnx_message(&a, 6, &sub);
    onnx_message(&node, 5, &a);
    for (i = 0; whole && i < sizeof both / sizeof *both; i++)
        add_constant(&sub, "if_then_", both[i][1],
                     ov_weights_get(w, both[i][0]));
    onnx_message(&a, 6, &sub);
    onnx_message(&node, 5, &a);
    onnx_message(&graph, 1, &node);
    onnx_model(&model, &graph);
    f = fopen(file, "wb");
    if (f == NULL || fwrite(model.p, 1, model.n, f) != model.n || fclose(f))
        abort();
    ov_buf_free(&model);
}

static void
test_onnx(void)
{
    const char *from = path("silero_vad_16k_current.safetensors", "");
    char file[] = "/tmp/t_silero.XXXXXX";
    struct ov_silero *s, *t = NULL;
    struct ov_weights *w;
    int fd = mkstemp(file), far = 0;

    if (fd < 0 || ov_weights_open(&w, from, &err) != 0
        || ov_silero_open(&s, from, &err) != 0)
        abort();
    close(fd);
    write_onnx(w, true, file);
    if (ok(ov_silero_open(&t, file, &err) == 0, "the same as ONNX")) {
        for (int i = 0; i < 20; i++)
            far += ov_silero_chunk(s, x + i * CHUNK)
                   != ov_silero_chunk(t, x + i * CHUNK);
        ok(far == 0, "hears the same");
    }
    ov_silero_close(t);
    write_onnx(w, false, file);
    ok(ov_silero_open(&t, file, &err) == OV_EMODEL
       && strstr(err.text, "16 kHz") != NULL, "8 kHz alone: %s", err.text);
    ov_silero_close(s);
    ov_weights_close(w);
    unlink(file);
}

int
main(void)
{
    const char *shared = getenv("OV_SHARED"), *top = getenv("OV_SRCDIR");
    struct ov_silero *s;

    if (shared != NULL)
        snprintf(base, sizeof base, "%s/vectors/silero_vad", shared);
    else
        snprintf(base, sizeof base, "%s/../shared/vectors/silero_vad",
                 top != NULL ? top : ".");
    ok(ov_silero_open(&s, "/no/such/file", &err) < 0 && s == NULL, "%s",
       err.text);
    test_limits();
    if (access(base, R_OK) != 0) {
        skip("published weights", "no shared vectors");
        return tap_done();
    }
    test_case("jfk", "jit", "silero_vad_16k_current.safetensors");
    test_case("jfk", "safetensors", "silero_vad_16k.safetensors");
    test_case("test_0_12s", "jit", "silero_vad_16k_current.safetensors");
    test_case("test_0_12s", "safetensors", "silero_vad_16k.safetensors");
    test_onnx();
    ok(ov_silero_open(&s, path("jfk", "expected.safetensors"), &err)
       == OV_EMODEL, "another file: %s", err.text);
    return tap_done();
}
