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
    ok(ov_silero_open(&s, path("jfk", "expected.safetensors"), &err)
       == OV_EMODEL, "another file: %s", err.text);
    return tap_done();
}
