/* SPDX-License-Identifier: BSD-2-Clause */
/* How far a coded sound is from its original, in numbers.
 * In: lines of ORIGINAL TAB CODED, WAV files, 16 bit, mono, 16 kHz.
 * Out: TSV, a line a pair and one named "mean" of all:
 *      name, mel, f0, voiced, harm, harm0, jump, lag
 *
 *     soundscore [-l MS] < pairs
 *
 * mel     mean difference of ln-mel, 80 bands of 0 to 8 kHz, 1024 points
 * f0      % of the original's voiced frames with a gross pitch error: the
 *         best lag of 120 to 300 Hz is off by over 5 % or its peak under 0.3
 * voiced  number of such frames
 * harm    periodicity of voiced frames at 2 to 4 kHz, coded
 * harm0   the same of the original
 * jump    largest step between two samples over that of the original
 * lag     ms that the coded sound comes late; the shift, at most MS (20)
 *         either way, with the least mel */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 16000,
    N = 1024, BINS = N / 2 + 1, HOP = 256, BANDS = 80,
    LAG_MIN = RATE / 300, LAG_MAX = RATE / 120, WINDOW = 480,
    SHORT = 340, FIR = 129
};

static const double PI = 3.14159265358979323846;
static const double VOICED_PEAK = 0.6, VOICED_DB = -30, PEAK_LEAST = 0.3;

struct sound {
    double *x;
    long n;
};

struct score {
    double mel, harm, harm0, jump, lag;
    long gross, voiced;
};

static double window[N], bank[BANDS][BINS], fir[FIR];
static double cosine[N], sine[N];

static void
die(const char *what, const char *which)
{
    fprintf(stderr, "soundscore: %s: %s\n", which, what);
    exit(1);
}

static uint32_t
u32(const unsigned char *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The whole file; n bytes, at most 1 GiB. */
static unsigned char *
slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    size_t room = 1 << 16, k;
    unsigned char *p = malloc(room);

    if (f == NULL || p == NULL)
        die("cannot be opened", path);
    *n = 0;
    while ((k = fread(p + *n, 1, room - *n, f)) > 0) {
        *n += k;
        if (*n == room && (room *= 2) <= (size_t)1 << 30)
            p = realloc(p, room);
        if (p == NULL || room > (size_t)1 << 30)
            die("too large", path);
    }
    if (ferror(f))
        die("read error", path);
    fclose(f);
    return p;
}

static struct sound
load(const char *path)
{
    size_t n, at = 12, size = 0;
    unsigned char *p = slurp(path, &n);
    struct sound s = {NULL, 0};

    if (n < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0)
        die("not WAV", path);
    for (; at + 8 <= n; at += 8 + size + size % 2) {
        size = u32(p + at + 4);
        if (memcmp(p + at, "fmt ", 4) == 0 && at + 24 <= n
            && (p[at + 10] != 1 || u32(p + at + 12) != RATE
                || p[at + 22] != 16))
            die("not 16 bit, mono, 16 kHz", path);
        if (memcmp(p + at, "data", 4) == 0)
            break;
    }
    if (at + 8 > n)
        die("no sound", path);
    if (size > n - at - 8)
        size = n - at - 8;
    s.n = (long)(size / 2);
    s.x = calloc((size_t)s.n + 1, sizeof *s.x);
    if (s.x == NULL)
        die("no memory", path);
    for (long i = 0; i < s.n; i++) {
        unsigned char *q = p + at + 8 + 2 * i;

        s.x[i] = (int16_t)(q[0] | q[1] << 8) / 32768.0;
    }
    free(p);
    return s;
}

static double
sample(const struct sound *s, long i)
{
    return i < 0 || i >= s->n ? 0 : s->x[i];
}

/* ------------------------------------------------------------------ mel */

static double
to_mel(double hz)
{
    return 2595 * log10(1 + hz / 700);
}

static double
from_mel(double mel)
{
    return 700 * (pow(10, mel / 2595) - 1);
}

static void
make_tables(void)
{
    for (int b = 0; b < BANDS; b++) {
        double step = to_mel(RATE / 2.0) / (BANDS + 1), sum = 0;
        double lo = from_mel(b * step), mid = from_mel((b + 1) * step);
        double hi = from_mel((b + 2) * step);

        for (int k = 0; k < BINS; k++) {
            double hz = k * (RATE / 2.0) / (BINS - 1);
            double up = (hz - lo) / (mid - lo), down = (hi - hz) / (hi - mid);

            bank[b][k] = fmax(0, fmin(up, down));
            sum += bank[b][k];
        }
        for (int k = 0; k < BINS; k++)
            bank[b][k] /= fmax(sum, 1e-3);
    }
    for (int i = 0; i < N; i++) {
        window[i] = 0.5 - 0.5 * cos(2 * PI * i / N);
        cosine[i] = cos(2 * PI * i / N);
        sine[i] = -sin(2 * PI * i / N);
    }
    for (int i = 0; i < FIR; i++) {
        double t = i - FIR / 2, w = 0.54 - 0.46 * cos(2 * PI * i / (FIR - 1));

        fir[i] = w * (t == 0 ? 0.25
            : (sin(PI * t / 2) - sin(PI * t / 4)) / (PI * t));
    }
}

/* Fast Fourier transform in place, radix 2: re, im [N]. */
static void
fft(double *re, double *im)
{
    for (int i = 1, j = 0; i < N; i++) {
        int bit = N >> 1;
        double t;

        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            t = re[i], re[i] = re[j], re[j] = t;
            t = im[i], im[i] = im[j], im[j] = t;
        }
    }
    for (int len = 2; len <= N; len *= 2)
        for (int i = 0; i < N; i += len)
            for (int k = 0; k < len / 2; k++) {
                int a = i + k, b = a + len / 2, w = k * (N / len);
                double c = re[b] * cosine[w] - im[b] * sine[w];
                double d = re[b] * sine[w] + im[b] * cosine[w];

                re[b] = re[a] - c, im[b] = im[a] - d;
                re[a] += c, im[a] += d;
            }
}

/* ln-mel of the frame centred at sample `at`: y [BANDS]. */
static void
log_mel(const struct sound *s, long at, double *y)
{
    double re[N], im[N] = {0};

    for (int i = 0; i < N; i++)
        re[i] = window[i] * sample(s, at - N / 2 + i);
    fft(re, im);
    for (int k = 0; k < BINS; k++)
        re[k] = sqrt(re[k] * re[k] + im[k] * im[k] + 1e-8) / (N / 4);
    for (int b = 0; b < BANDS; b++) {
        y[b] = 1e-4;
        for (int k = 0; k < BINS; k++)
            y[b] += bank[b][k] * re[k];
        y[b] = log(y[b]);
    }
}

static double *
all_mel(const struct sound *s, long frames, long shift)
{
    double *y = malloc(sizeof *y * (size_t)frames * BANDS);

    if (y == NULL)
        die("no memory", "mel");
    for (long t = 0; t < frames; t++)
        log_mel(s, t * HOP + shift, y + t * BANDS);
    return y;
}

static double
mel_distance(const double *ref, const struct sound *s, long frames,
             long shift)
{
    double *y = all_mel(s, frames, shift), sum = 0;

    for (long i = 0; i < frames * BANDS; i++)
        sum += fabs(y[i] - ref[i]);
    free(y);
    return sum / (double)(frames * BANDS);
}

/* The shift within most samples that has the least distance, which becomes
 * *mel. */
static long
best_shift(const struct sound *a, const struct sound *b, long most,
           double *mel)
{
    long frames = a->n / HOP + 1, best = 0;
    double *ref = all_mel(a, frames, 0);

    *mel = mel_distance(ref, b, frames, 0);
    for (long step = 32; step >= 8; step /= 4) {
        long from = step == 32 ? -most : best - 24;
        long to = step == 32 ? most : best + 24;

        for (long at = from; at <= to; at += step) {
            double d;

            if (at == 0 || labs(at) > most)
                continue;
            d = mel_distance(ref, b, frames, at);
            if (d < *mel)
                *mel = d, best = at;
        }
    }
    free(ref);
    return best;
}

/* ---------------------------------------------------------------- pitch */

/* Normalised correlation of the window at `at` with itself lag later. */
static double
periodicity(const struct sound *s, long at, int lag)
{
    double ab = 0, aa = 1e-12, bb = 1e-12;

    for (int i = 0; i < WINDOW; i++) {
        double a = sample(s, at + i), b = sample(s, at + i + lag);

        ab += a * b, aa += a * a, bb += b * b;
    }
    return ab / sqrt(aa * bb);
}

/* The part of the energy of a Hann window of SHORT samples, in the middle of
 * the window at `at`, that returns after lag: the autocorrelation, not
 * corrected for the shorter overlap. */
static double
harmonicity(const struct sound *s, long at, int lag)
{
    double x[SHORT], ab = 0, aa = 1e-12;

    at += (WINDOW + lag - SHORT) / 2;
    for (int i = 0; i < SHORT; i++) {
        x[i] = sample(s, at + i) * (0.5 - 0.5 * cos(2 * PI * i / SHORT));
        aa += x[i] * x[i];
    }
    for (int i = 0; i + lag < SHORT; i++)
        ab += x[i] * x[i + lag];
    return ab / aa;
}

static int
best_lag(const struct sound *s, long at, double *peak)
{
    int best = LAG_MIN;

    *peak = -1;
    for (int lag = LAG_MIN; lag <= LAG_MAX; lag++) {
        double r = periodicity(s, at, lag);

        if (r > *peak)
            *peak = r, best = lag;
    }
    return best;
}

static double
energy(const struct sound *s, long at)
{
    double e = 0;

    for (int i = 0; i < WINDOW; i++)
        e += sample(s, at + i) * sample(s, at + i);
    return e / WINDOW;
}

static struct sound
band_pass(const struct sound *s)
{
    struct sound y = {calloc((size_t)s->n + 1, sizeof *y.x), s->n};

    if (y.x == NULL)
        die("no memory", "band-pass");
    for (long i = 0; i < s->n; i++)
        for (int k = 0; k < FIR; k++)
            y.x[i] += fir[k] * sample(s, i + k - FIR / 2);
    return y;
}

static double
largest_jump(const struct sound *s)
{
    double most = 0;

    for (long i = 1; i < s->n; i++)
        most = fmax(most, fabs(s->x[i] - s->x[i - 1]));
    return most;
}

static struct score
compare(const struct sound *a, const struct sound *b, long most)
{
    struct score r = {0};
    struct sound high_a = band_pass(a), high_b = band_pass(b);
    long shift = best_shift(a, b, most, &r.mel);
    double loudest = 0;

    for (long at = 0; at + WINDOW + LAG_MAX <= a->n; at += RATE / 100)
        loudest = fmax(loudest, energy(a, at));
    for (long at = 0; at + WINDOW + LAG_MAX <= a->n; at += RATE / 100) {
        double peak, own;
        int lag, lag_b;

        if (energy(a, at) < loudest * pow(10, VOICED_DB / 10))
            continue;
        lag = best_lag(a, at, &peak);
        if (peak < VOICED_PEAK)
            continue;
        lag_b = best_lag(b, at + shift, &own);
        r.voiced++;
        r.gross += own < PEAK_LEAST || fabs((double)lag / lag_b - 1) > 0.05;
        r.harm0 += harmonicity(&high_a, at, lag);
        r.harm += harmonicity(&high_b, at + shift, lag);
    }
    r.jump = largest_jump(b) / fmax(largest_jump(a), 1e-6);
    r.lag = shift * 1000.0 / RATE;
    free(high_a.x);
    free(high_b.x);
    return r;
}

static void
print(const char *name, const struct score *r, double n)
{
    double v = r->voiced > 0 ? r->voiced : 1;

    printf("%s\t%.4f\t%.2f\t%ld\t%.3f\t%.3f\t%.2f\t%.2f\n", name, r->mel / n,
           100 * r->gross / v, r->voiced, r->harm / v, r->harm0 / v,
           r->jump / n, r->lag / n);
}

int
main(int argc, char **argv)
{
    struct score all = {0};
    char line[8192];
    long most = 20 * RATE / 1000;
    double n = 0;

    if (argc == 3 && strcmp(argv[1], "-l") == 0)
        most = atol(argv[2]) * RATE / 1000;
    else if (argc != 1) {
        fprintf(stderr, "usage: soundscore [-l MS] < pairs\n");
        return 2;
    }
    make_tables();
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *tab = strchr(line, '\t');
        struct sound a, b;
        struct score r;

        line[strcspn(line, "\n")] = '\0';
        if (tab == NULL)
            die("not ORIGINAL TAB CODED", line);
        *tab = '\0';
        a = load(line);
        b = load(tab + 1);
        r = compare(&a, &b, most);
        print(tab + 1, &r, 1);
        free(a.x);
        free(b.x);
        all.mel += r.mel, all.jump += r.jump, all.lag += r.lag, n++;
        all.gross += r.gross, all.voiced += r.voiced;
        all.harm += r.harm, all.harm0 += r.harm0;
    }
    if (n > 0)
        print("mean", &all, n);
    return fflush(stdout) != 0 || ferror(stdout);
}
