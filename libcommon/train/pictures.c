/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures to learn from: drawings laid on a ground, scenes of shapes.
 * In: a drawing, random numbers.  Out: 8-bit RGB, and what is where. */
#include "train/pictures.h"

#include <math.h>
#include <string.h>

#include "math/vec.h"

const char *const ov_shape_names[OV_SHAPES] = {"circle", "square", "triangle",
                                               "star",   "cross",  "heart"};
const char *const ov_colour_names[OV_COLOURS] = {
    "red", "orange", "yellow", "green", "blue", "purple", "brown", "black"};

enum { MOST_SIDE = 256 };

struct rgb {
    float v[3]; /* 0..1 */
};

static const struct rgb colours[OV_COLOURS] = {
    {{.86f, .10f, .12f}}, {{.96f, .52f, .06f}}, {{.97f, .86f, .12f}},
    {{.13f, .60f, .22f}}, {{.12f, .32f, .80f}}, {{.50f, .17f, .62f}},
    {{.45f, .28f, .14f}}, {{.07f, .07f, .08f}}};

static float
unit(struct ov_rng *r)
{
    return (float)ov_rng_unit(r);
}

static float
between(struct ov_rng *r, float lo, float hi)
{
    return lo + (hi - lo) * unit(r);
}

static uint8_t
byte(float v)
{
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    return (uint8_t)(v * 255 + 0.5f);
}

/* --- grounds --- */

static struct rgb
any_colour(struct ov_rng *r)
{
    struct rgb c;
    float light = between(r, 0.15f, 1), dull = unit(r);
    int i;

    for (i = 0; i < 3; i++)
        c.v[i] = light * (dull + (1 - dull) * unit(r));
    return c;
}

/* Light, and of no colour that a shape has. */
static struct rgb
pale_colour(struct ov_rng *r)
{
    struct rgb c;
    float light = between(r, 0.82f, 1);
    int i;

    for (i = 0; i < 3; i++)
        c.v[i] = light - between(r, 0, 0.08f);
    return c;
}

/* Two colours, one side to the other. */
static void
slope(struct ov_rng *r, struct rgb a, struct rgb b, uint8_t *rgb, int side)
{
    float t = between(r, 0, 6.2832f), dx = cosf(t), dy = sinf(t);
    int x, y, i;

    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++, rgb += 3) {
            float k = 0.5f + (((float)x / (float)side - 0.5f) * dx +
                              ((float)y / (float)side - 0.5f) * dy) *
                                 0.7f;
            for (i = 0; i < 3; i++)
                rgb[i] = byte(a.v[i] + k * (b.v[i] - a.v[i]));
        }
}

/* Clouds: a coarse grid of colours, smoothed. */
static void
clouds(struct ov_rng *r, uint8_t *rgb, int side)
{
    enum { MOST = 9 };
    struct rgb grid[MOST * MOST], base = any_colour(r);
    int n = 3 + (int)ov_rng_below(r, MOST - 3), x, y, i;
    float depth = between(r, 0.1f, 0.8f);

    for (i = 0; i < MOST * MOST; i++) {
        struct rgb c = any_colour(r);
        for (x = 0; x < 3; x++)
            grid[i].v[x] = base.v[x] + depth * (c.v[x] - base.v[x]);
    }
    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++, rgb += 3) {
            float fx = (float)(x * (n - 1)) / (float)side;
            float fy = (float)(y * (n - 1)) / (float)side;
            const struct rgb *g = grid + (int)fy * MOST + (int)fx;
            fx -= floorf(fx);
            fy -= floorf(fy);
            for (i = 0; i < 3; i++)
                rgb[i] = byte(
                    (1 - fy) * ((1 - fx) * g[0].v[i] + fx * g[1].v[i]) +
                    fy * ((1 - fx) * g[MOST].v[i] + fx * g[MOST + 1].v[i]));
        }
}

static void
ground(struct ov_rng *r, uint8_t *rgb, int side)
{
    struct rgb a = any_colour(r), b = any_colour(r);
    double kind = ov_rng_unit(r);

    if (kind < 0.45)
        memset(rgb, 255, (size_t)side * (size_t)side * 3);
    else if (kind < 0.65)
        slope(r, a, a, rgb, side);
    else if (kind < 0.8)
        slope(r, a, b, rgb, side);
    else
        clouds(r, rgb, side);
}

static void
noise(struct ov_rng *r, float depth, uint8_t *rgb, size_t n)
{
    size_t i;

    for (i = 0; i < n; i += 4) {
        uint64_t bits = ov_rng_next(r);
        size_t k;
        /* four sums of two bytes each: a triangle around 0 */
        for (k = 0; k < 4 && i + k < n; k++, bits >>= 16) {
            int v = (int)(bits & 255) - (int)(bits >> 8 & 255);
            float x = (float)rgb[i + k] + depth * (float)v / 104.0f;
            rgb[i + k] = (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
        }
    }
}

static void
blur(uint8_t *rgb, int side)
{
    static const int w[3] = {1, 2, 1};
    uint8_t row[2][MOST_SIDE * 3];
    int x, y, i, k, line = side * 3;

    for (y = 0; y < side; y++) { /* along rows */
        uint8_t *p = rgb + (size_t)y * (size_t)line;
        memcpy(row[0], p, (size_t)line);
        for (x = 1; x + 1 < side; x++)
            for (i = 0; i < 3; i++) {
                int s = 2;
                for (k = 0; k < 3; k++)
                    s += w[k] * row[0][3 * (x + k - 1) + i];
                p[3 * x + i] = (uint8_t)(s / 4);
            }
    }
    memcpy(row[0], rgb, (size_t)line);
    for (y = 1; y + 1 < side; y++) { /* and down */
        uint8_t *p = rgb + (size_t)y * (size_t)line;
        memcpy(row[1], p, (size_t)line);
        for (x = 0; x < line; x++)
            p[x] = (uint8_t)((row[0][x] + 2 * p[x] + p[x + line] + 2) / 4);
        memcpy(row[0], row[1], (size_t)line);
    }
}

/* --- things --- */

enum { WAVES = 2 };

/* Where each pixel comes from in the drawing, and how its colours change. */
struct laid {
    float cx, cy;            /* centre on the picture */
    float xx, xy, yx, yy;    /* picture to drawing, pixels */
    float mix[3][3], add[3]; /* of colours */
    float outline;           /* its width, pixels; 0: none */
    struct wave {
        float x, y, phase; /* radians a pixel of the picture */
        float u, v;        /* how far it moves, pixels of the drawing */
    } wave[WAVES];
    bool bent; /* waves are in use */
};

static void
place(struct ov_rng *r, enum ov_picture_look look, int side, struct laid *l)
{
    bool plain = look == OV_LOOK_PLAIN;
    float s = plain ? 0.9f : between(r, 0.55f, 1.05f);
    float t = plain ? 0 : between(r, -0.35f, 0.35f);
    float k = (float)OV_ART_SIDE / ((float)side * s);
    float wide = plain ? 1 : between(r, 0.85f, 1.18f);
    float room = plain ? 0 : fabsf(1.02f - s) / 2;
    float flip = look == OV_LOOK_LEARN && ov_rng_below(r, 2) ? -1.0f : 1.0f;

    l->cx = (float)side * (0.5f + between(r, -room, room));
    l->cy = (float)side * (0.5f + between(r, -room, room));
    l->xx = flip * k * cosf(t) * wide;
    l->xy = flip * k * sinf(t) * wide;
    l->yx = -k * sinf(t) / wide;
    l->yy = k * cosf(t) / wide;
}

/* Slow waves, as if another hand had drawn it. */
static void
bend(struct ov_rng *r, enum ov_picture_look look, int side, struct laid *l)
{
    int i;

    l->bent = look == OV_LOOK_LEARN && ov_rng_below(r, 3) > 0;
    for (i = 0; l->bent && i < WAVES; i++) {
        float t = between(r, 0, 6.2832f), to = between(r, 0, 6.2832f);
        float length = (float)side * between(r, 0.5f, 1.5f);
        float far = between(r, 0, 0.06f) * length * (float)OV_ART_SIDE /
                    (float)side;
        l->wave[i] = (struct wave){6.2832f / length * cosf(t),
                                   6.2832f / length * sinf(t),
                                   between(r, 0, 6.2832f), far * cosf(to),
                                   far * sinf(to)};
    }
}

/* What the waves add at a pixel. */
static void
bent(const struct laid *l, int x, int y, float *u, float *v)
{
    int i;

    *u = *v = 0;
    for (i = 0; l->bent && i < WAVES; i++) {
        const struct wave *w = &l->wave[i];
        float s = sinf(w->x * (float)x + w->y * (float)y + w->phase);
        *u += w->u * s;
        *v += w->v * s;
    }
}

/* Saturation, brightness, contrast, a tint; a turn of the hue (a rotation
 * about grey) now and then.  Every other drawing keeps its colours: they say
 * much about what it is. */
static void
recolour(struct ov_rng *r, enum ov_picture_look look, struct laid *l)
{
    bool learn = look == OV_LOOK_LEARN && ov_rng_below(r, 2) == 0;
    float sat = learn ? between(r, 0.4f, 1.5f) : 1;
    float gain = learn ? between(r, 0.7f, 1.25f) : 1;
    float turn = learn && ov_rng_below(r, 4) == 0 ? between(r, -0.5f, 0.5f) : 0;
    float c = cosf(turn), s = sinf(turn) * 0.57735f, q = (1 - c) / 3;
    int i, j;

    if (learn && ov_rng_below(r, 12) == 0)
        sat = 0;
    for (i = 0; i < 3; i++) {
        float tint = learn ? between(r, 0.85f, 1.15f) : 1;
        for (j = 0; j < 3; j++) {
            float hue = i == j ? c + q : (j + 1) % 3 == i ? q + s : q - s;
            l->mix[i][j] = gain * tint * (sat * hue + (1 - sat) / 3);
        }
        l->add[i] = learn ? between(r, -0.12f, 0.12f) : 0;
    }
    l->outline = look == OV_LOOK_LEARN && ov_rng_below(r, 5) == 0
                     ? between(r, 0.6f, 1.6f)
                     : 0;
}

/* Colours times alpha, and alpha, at a point between the drawing's pixels. */
static void
sample(const uint8_t *rgba, float u, float v, float *to)
{
    int x = (int)floorf(u), y = (int)floorf(v), i, k;
    float fx = u - (float)x, fy = v - (float)y;

    for (i = 0; i < 4; i++)
        to[i] = 0;
    for (k = 0; k < 4; k++) {
        int px = x + k % 2, py = y + k / 2;
        float w = (k % 2 ? fx : 1 - fx) * (k / 2 ? fy : 1 - fy), a;
        const uint8_t *p;
        if (px < 0 || py < 0 || px >= OV_ART_SIDE || py >= OV_ART_SIDE)
            continue;
        p = rgba + 4 * (py * OV_ART_SIDE + px);
        a = w * (float)p[3] / 255;
        for (i = 0; i < 3; i++)
            to[i] += a * (float)p[i] / 255;
        to[3] += a;
    }
}

/* The drawing as it lies on the picture: canvas [side, side, 4], colours
 * times alpha. */
static void
lay(const uint8_t *rgba, const struct laid *l, float *canvas, int side)
{
    const float half = (float)OV_ART_SIDE / 2 - 0.5f;
    int x, y, k, i, j;

    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++, canvas += 4) {
            float sum[4] = {0}, c[4], u, v;
            bent(l, x, y, &u, &v);
            for (k = 0; k < 4; k++) {
                float dx = (float)x + (k % 2 ? 0.75f : 0.25f) - l->cx;
                float dy = (float)y + (k / 2 ? 0.75f : 0.25f) - l->cy;
                sample(rgba, half + l->xx * dx + l->xy * dy + u,
                       half + l->yx * dx + l->yy * dy + v, c);
                for (i = 0; i < 4; i++)
                    sum[i] += c[i] / 4;
            }
            for (i = 0; i < 3; i++) {
                float tone = l->add[i] * sum[3];
                for (j = 0; j < 3; j++)
                    tone += l->mix[i][j] * sum[j];
                canvas[i] = tone < 0 ? 0 : tone > sum[3] ? sum[3] : tone;
            }
            canvas[3] = sum[3];
        }
}

/* How dark the pen's line around the drawing is at x, y: where alpha is
 * near, but not here. */
static float
pen(const float *canvas, int side, int x, int y, float width)
{
    int reach = (int)ceilf(width), dx, dy;
    float most = 0;

    for (dy = -reach; dy <= reach; dy++)
        for (dx = -reach; dx <= reach; dx++) {
            int px = x + dx, py = y + dy;
            float k = width + 0.5f - sqrtf((float)(dx * dx + dy * dy)), a;
            if (k <= 0 || px < 0 || py < 0 || px >= side || py >= side)
                continue;
            a = canvas[4 * (py * side + px) + 3] * (k < 1 ? k : 1);
            most = a > most ? a : most;
        }
    return most;
}

static void
merge(const float *canvas, const struct laid *l, uint8_t *rgb, int side)
{
    int x, y, i;

    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++) {
            const float *c = canvas + 4 * (y * side + x);
            uint8_t *p = rgb + 3 * (y * side + x);
            float dark =
                l->outline > 0 ? pen(canvas, side, x, y, l->outline) : 0;
            for (i = 0; i < 3; i++) {
                float v = (float)p[i] / 255 * (1 - dark) + 0.05f * dark;
                p[i] = byte(v * (1 - c[3]) + c[i]);
            }
        }
}

/* Another drawing to learn from of the same thing as art number i; i if there
 * is none. */
static int
another(const struct ov_images *im, struct ov_rng *r, int i)
{
    const struct ov_art *a = &im->art[i];
    int n = (int)ov_rng_below(r, im->arts), k, at;

    for (k = 0; k < im->arts; k++) {
        at = (n + k) % im->arts;
        if (at != i && im->art[at].thing == a->thing &&
            im->art[at].train == a->train)
            return at;
    }
    return i;
}

/* Half of the canvas becomes half of another's: a thing is what it is, whoever
 * drew it. */
static void
graft(struct ov_rng *r, float *canvas, const float *other, int side)
{
    int cut = (int)((float)side * between(r, 0.35f, 0.65f)), x, y;
    bool down = ov_rng_below(r, 2) == 0;

    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++)
            if ((down ? y : x) < cut)
                memcpy(canvas + 4 * (y * side + x), other + 4 * (y * side + x),
                       4 * sizeof *canvas);
}

/* A rectangle of one colour hides a part. */
static void
hide(struct ov_rng *r, uint8_t *rgb, int side)
{
    int w = (int)((float)side * between(r, 0.1f, 0.4f));
    int h = (int)((float)side * between(r, 0.1f, 0.4f));
    int left = (int)ov_rng_below(r, side - w), x, y, i;
    int top = (int)ov_rng_below(r, side - h);
    struct rgb c = any_colour(r);

    for (y = top; y < top + h; y++)
        for (x = left; x < left + w; x++)
            for (i = 0; i < 3; i++)
                rgb[3 * (y * side + x) + i] = byte(c.v[i]);
}

void
ov_picture_thing(const struct ov_images *im, struct ov_rng *r, int i,
                 enum ov_picture_look look, struct ov_picture *p)
{
    enum { VALUES = MOST_SIDE * MOST_SIDE * 4 };
    static _Thread_local float canvas[VALUES], other[VALUES];
    bool learn = look == OV_LOOK_LEARN;
    size_t bytes = (size_t)p->side * (size_t)p->side * 3;
    struct laid l;

    p->thing = im->art[i].thing;
    p->n = 0;
    p->relation = OV_NO_RELATION;
    place(r, look, p->side, &l);
    recolour(r, look, &l);
    bend(r, look, p->side, &l);
    if (look == OV_LOOK_PLAIN)
        memset(p->rgb, 255, bytes);
    else
        ground(r, p->rgb, p->side);
    lay(im->art[i].rgba, &l, canvas, p->side);
    if (learn && ov_rng_below(r, 3) == 0) {
        lay(im->art[another(im, r, i)].rgba, &l, other, p->side);
        graft(r, canvas, other, p->side);
    }
    merge(canvas, &l, p->rgb, p->side);
    if (learn && ov_rng_below(r, 4) == 0)
        blur(p->rgb, p->side);
    if (learn && ov_rng_below(r, 4) == 0)
        hide(r, p->rgb, p->side);
    if (look != OV_LOOK_PLAIN && ov_rng_below(r, 2) == 0)
        noise(r, between(r, 0, 14), p->rgb, bytes);
}

/* --- scenes --- */

/* Whether a point is in a shape; x, y from its centre in parts of half its
 * size. */
static bool
inside(int shape, float x, float y)
{
    float a, d;

    switch (shape) {
    case 0: /* circle */
        return x * x + y * y <= 1;
    case 1: /* square */
        return fabsf(x) <= 0.88f && fabsf(y) <= 0.88f;
    case 2: /* triangle */
        return y <= 0.85f && fabsf(x) <= (y + 1) * 0.54f;
    case 3: /* star: five points */
        a = atan2f(x, -y) / 6.2832f * 5;
        a = fabsf(a - floorf(a + 0.5f)) * 6.2832f / 5;
        d = sqrtf(x * x + y * y);
        /* the edge from a point at 1 to a notch at 0.42 */
        return d * (cosf(a) +
                    sinf(a) * (1 - 0.42f * 0.80902f) / (0.42f * 0.58779f)) <=
               1;
    case 4: /* cross */
        return (fabsf(x) <= 0.34f && fabsf(y) <= 1) ||
               (fabsf(y) <= 0.34f && fabsf(x) <= 1);
    default: /* heart: Taubin's curve, upside down */
        x *= 1.25f;
        y = 0.1f - y * 1.25f;
        d = x * x + y * y - 1;
        return d * d * d - x * x * y * y * y <= 0;
    }
}

static void
draw_shape(const struct ov_drawn *d, uint8_t *rgb, int side)
{
    float s = (float)side, cx = d->x * s, cy = d->y * s, r = d->r * s;
    int x, y, k, i;

    for (y = 0; y < side; y++)
        for (x = 0; x < side; x++) {
            uint8_t *p = rgb + 3 * (y * side + x);
            float in = 0;
            if (fabsf((float)x + 0.5f - cx) > r + 1 ||
                fabsf((float)y + 0.5f - cy) > r + 1)
                continue;
            for (k = 0; k < 9; k++)
                in += inside(d->shape,
                             ((float)x + ((float)(k % 3) + 0.5f) / 3 - cx) / r,
                             ((float)y + ((float)(k / 3) + 0.5f) / 3 - cy) / r);
            in /= 9;
            for (i = 0; i < 3; i++)
                p[i] = byte((1 - in) * (float)p[i] / 255 +
                            in * colours[d->colour].v[i]);
        }
}

/* A fifth of all numbers, always the same. */
static bool
is_held(uint64_t a, uint64_t b)
{
    struct ov_rng r = ov_rng_at(97, a, b, 3);

    return ov_rng_below(&r, 5) == 0;
}

static uint64_t
which(const struct ov_drawn *d)
{
    return (uint64_t)(d->shape * OV_COLOURS + d->colour);
}

static void
any_shape(struct ov_rng *r, struct ov_drawn *d)
{
    d->shape = (int)ov_rng_below(r, OV_SHAPES);
    d->colour = (int)ov_rng_below(r, OV_COLOURS);
}

/* What is drawn, but not where. */
static void
choose(struct ov_rng *r, bool held_out, struct ov_picture *p)
{
    bool held;
    int i;

    do {
        any_shape(r, &p->at[0]);
        if (ov_rng_below(r, 2) == 0) {
            p->relation = OV_NO_RELATION;
            p->n = 1 + (int)ov_rng_below(r, OV_PICTURE_MOST);
            for (i = 1; i < p->n; i++)
                p->at[i] = p->at[0];
            held = is_held(which(&p->at[0]), (uint64_t)p->n);
            continue;
        }
        p->n = 2;
        p->relation = ov_rng_below(r, 2) ? OV_LEFT_OF : OV_ABOVE;
        do
            any_shape(r, &p->at[1]);
        while (p->at[1].shape == p->at[0].shape ||
               p->at[1].colour == p->at[0].colour);
        held = is_held(1000 + which(&p->at[0]), which(&p->at[1]));
    } while (held != held_out);
}

static bool
apart(const struct ov_picture *p, int n)
{
    const struct ov_drawn *a = &p->at[n];
    int i;

    for (i = 0; i < n; i++)
        if (hypotf(a->x - p->at[i].x, a->y - p->at[i].y) <
            1.25f * (a->r + p->at[i].r))
            return false;
    return true;
}

/* Places that do not touch; false: no room, all to be drawn anew. */
static bool
scatter(struct ov_rng *r, struct ov_picture *p)
{
    float most = p->n <= 2 ? 0.2f : p->n == 3 ? 0.17f : 0.14f;
    float size = between(r, 0.10f, most);
    int i, tries;

    for (i = 0; i < p->n; i++) {
        struct ov_drawn *d = &p->at[i];
        for (tries = 0; tries < 50; tries++) {
            d->r = size * between(r, 0.85f, 1.1f);
            d->x = between(r, d->r, 1 - d->r);
            d->y = between(r, d->r, 1 - d->r);
            if (apart(p, i))
                break;
        }
        if (tries == 50)
            return false;
    }
    return true;
}

/* The first left of or above the second, by more than they lie aslant. */
static bool
related(const struct ov_picture *p)
{
    float dx = p->at[1].x - p->at[0].x, dy = p->at[1].y - p->at[0].y;

    if (p->relation == OV_LEFT_OF)
        return dx > 1.3f * fabsf(dy);
    if (p->relation == OV_ABOVE)
        return dy > 1.3f * fabsf(dx);
    return true;
}

void
ov_picture_scene(struct ov_rng *r, bool held_out, struct ov_picture *p)
{
    size_t bytes = (size_t)p->side * (size_t)p->side * 3;
    int i;

    p->thing = -1;
    choose(r, held_out, p);
    while (!scatter(r, p) || !related(p))
        continue;
    slope(r, pale_colour(r), pale_colour(r), p->rgb, p->side);
    for (i = 0; i < p->n; i++)
        draw_shape(&p->at[i], p->rgb, p->side);
    if (ov_rng_below(r, 2) == 0)
        noise(r, between(r, 0, 14), p->rgb, bytes);
}

void
ov_picture_labels(const struct ov_picture *p, int across, int32_t *shape,
                  int32_t *colour)
{
    enum { FINE = 4 };
    int c, k, i;

    for (c = 0; c < across * across; c++) {
        int most = 0, by = 0;
        for (i = 0; i < p->n; i++) {
            const struct ov_drawn *d = &p->at[i];
            int in = 0;
            for (k = 0; k < FINE * FINE; k++) {
                float x =
                    (float)(c % across) + ((float)(k % FINE) + .5f) / FINE;
                float y =
                    (float)(c / across) + ((float)(k / FINE) + .5f) / FINE;
                in += inside(d->shape, (x / (float)across - d->x) / d->r,
                             (y / (float)across - d->y) / d->r);
            }
            if (in > most) {
                most = in;
                by = i;
            }
        }
        shape[c] = colour[c] = most == 0 ? 0 : -1;
        if (2 * most >= FINE * FINE) {
            shape[c] = p->at[by].shape + 1;
            colour[c] = p->at[by].colour + 1;
        }
    }
}
