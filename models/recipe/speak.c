/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Speaks many sentences from one process, as raw s16 16 kHz mono.
 * in:  stdin, one job a line: engine TAB voice TAB settings TAB text;
 *      engine is flite, espeak or wav (the text is then a file to read)
 * out: the sound of all jobs joined in the file -o names; stdout, one line
 *      a job: its number of samples.  Any job that fails ends the program.
 *
 * settings: comma-separated name=value of f0 (Hz, flite), stretch (flite),
 * p and s (espeak pitch and words a minute), pitch (cents, by libsox), tempo
 * (factor, by libsox), lead and tail (most ms of silence left at either end),
 * gap (the words are spoken one by one, as sentences of their own, with about
 * so many ms of silence between them; flite and espeak).
 */
#include <espeak-ng/speak_lib.h>
#include <flite/flite.h>
#include <sox.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RATE_HZ = 16000, WINDOW = 80 };

struct sound {
    int16_t *x;
    size_t n, room;
    int rate_hz;
};

struct settings {
    double f0, stretch, p, s, pitch, tempo, lead, tail, gap;
};

struct flite {
    const char *name;
    cst_voice *voice;
    float f0, stretch;          /* the voice's own */
};

cst_voice *register_cmu_us_slt(const char *);
cst_voice *register_cmu_us_awb(const char *);
cst_voice *register_cmu_us_rms(const char *);
cst_voice *register_cmu_us_kal16(const char *);

static struct flite flites[] = {
    { "slt", NULL, 0, 0 },
    { "awb", NULL, 0, 0 },
    { "rms", NULL, 0, 0 },
    { "kal16", NULL, 0, 0 },
};
static int espeak_rate_hz;

static void
die(const char *what, const char *which)
{
    fprintf(stderr, "speak: %s: %s\n", what, which);
    exit(1);
}

static void
append(struct sound *to, const int16_t *x, size_t n)
{
    if (to->n + n > to->room) {
        to->room = 2 * (to->n + n);
        to->x = realloc(to->x, to->room * sizeof *to->x);
        if (!to->x)
            die("memory", "none left");
    }
    memcpy(to->x + to->n, x, n * sizeof *x);
    to->n += n;
}

static void
parse_settings(struct settings *set, char *text)
{
    struct { const char *name; double *value; } known[] = {
        { "f0", &set->f0 }, { "stretch", &set->stretch }, { "p", &set->p },
        { "s", &set->s }, { "pitch", &set->pitch }, { "tempo", &set->tempo },
        { "lead", &set->lead }, { "tail", &set->tail },
        { "gap", &set->gap },
    };
    char *word, *value;
    size_t i;

    *set = (struct settings){ 0, 0, 50, 160, 0, 1, 80, 100, 0 };
    for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        value = strchr(word, '=');
        if (!value)
            continue;           /* a note for the reader, such as "plain" */
        *value++ = '\0';
        for (i = 0; i < sizeof known / sizeof *known; i++)
            if (strcmp(word, known[i].name) == 0)
                break;
        if (i == sizeof known / sizeof *known)
            die("unknown setting", word);
        *known[i].value = atof(value);
    }
}

static void
open_flite(void)
{
    cst_features *f;
    size_t i;

    flite_init();
    flites[0].voice = register_cmu_us_slt(NULL);
    flites[1].voice = register_cmu_us_awb(NULL);
    flites[2].voice = register_cmu_us_rms(NULL);
    flites[3].voice = register_cmu_us_kal16(NULL);
    for (i = 0; i < sizeof flites / sizeof *flites; i++) {
        f = flites[i].voice->features;
        flites[i].f0 = get_param_float(f, "int_f0_target_mean", 0);
        flites[i].stretch = get_param_float(f, "duration_stretch", 1);
    }
}

static void
speak_flite(struct sound *out, const char *name, const struct settings *set,
            const char *text)
{
    cst_features *f;
    cst_wave *wave;
    size_t i;

    for (i = 0; i < sizeof flites / sizeof *flites; i++)
        if (strcmp(name, flites[i].name) == 0)
            break;
    if (i == sizeof flites / sizeof *flites)
        die("no such flite voice", name);
    f = flites[i].voice->features;
    if (set->f0 > 0 || flites[i].f0 > 0)
        feat_set_float(f, "int_f0_target_mean",
                       set->f0 > 0 ? (float)set->f0 : flites[i].f0);
    else
        feat_remove(f, "int_f0_target_mean");
    feat_set_float(f, "duration_stretch",
                   flites[i].stretch *
                   (set->stretch > 0 ? (float)set->stretch : 1));
    wave = flite_text_to_wave(text, flites[i].voice);
    if (!wave)
        die("flite said nothing for", text);
    out->rate_hz = wave->sample_rate;
    append(out, wave->samples, (size_t)wave->num_samples);
    delete_wave(wave);
}

static int
espeak_take(short *wav, int n, espeak_EVENT *events)
{
    if (wav && n > 0)
        append(events->user_data, wav, (size_t)n);
    return 0;
}

static void
speak_espeak(struct sound *out, const char *name, const struct settings *set,
             const char *text)
{
    if (!espeak_rate_hz) {
        espeak_rate_hz = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL,
                                           espeakINITIALIZE_DONT_EXIT);
        if (espeak_rate_hz <= 0)
            die("espeak", "does not start");
        espeak_SetSynthCallback(espeak_take);
    }
    if (espeak_SetVoiceByName(name) != EE_OK) {
        espeak_VOICE wanted = { .languages = name };
        if (espeak_SetVoiceByProperties(&wanted) != EE_OK)
            die("no such espeak voice", name);
    }
    espeak_SetParameter(espeakPITCH, (int)set->p, 0);
    espeak_SetParameter(espeakRATE, (int)set->s, 0);
    if (espeak_Synth(text, strlen(text) + 1, 0, POS_CHARACTER, 0,
                     espeakCHARS_UTF8 | espeakENDPAUSE, NULL, out) != EE_OK)
        die("espeak said nothing for", text);
    out->rate_hz = espeak_rate_hz;
}

/* The first effect of a chain reads a whole file or sound by itself. */
static void
read_wav(struct sound *out, const char *path)
{
    sox_format_t *in = sox_open_read(path, NULL, NULL, NULL);
    sox_sample_t part[4096];
    int16_t x[4096];
    size_t n, i;

    if (!in)
        die("cannot read", path);
    out->rate_hz = (int)in->signal.rate;
    while ((n = sox_read(in, part, 4096)) > 0) {
        for (i = 0; i < n; i++)
            x[i] = (int16_t)(part[i] >> 16);
        append(out, x, n);
    }
    sox_close(in);
}

/* Source and sink of the effects chain are sounds in memory. */
static struct sound *chain_in, *chain_out;
static size_t chain_at;

static int
source_drain(sox_effect_t *e, sox_sample_t *obuf, size_t *osamp)
{
    size_t i, n = chain_in->n - chain_at;

    (void)e;
    if (n > *osamp)
        n = *osamp;
    for (i = 0; i < n; i++)     /* 1 dB of room for filters to overshoot */
        obuf[i] = (sox_sample_t)(chain_in->x[chain_at + i] * 65536.0 * 0.89);
    chain_at += n;
    *osamp = n;
    return n ? SOX_SUCCESS : SOX_EOF;
}

static int
sink_flow(sox_effect_t *e, const sox_sample_t *ibuf, sox_sample_t *obuf,
          size_t *isamp, size_t *osamp)
{
    int16_t x[1024];
    size_t i, done, n;

    (void)e;
    (void)obuf;
    for (done = 0; done < *isamp; done += n) {
        n = *isamp - done < 1024 ? *isamp - done : 1024;
        for (i = 0; i < n; i++) {
            int64_t v = ((int64_t)ibuf[done + i] + 32768) >> 16;
            x[i] = (int16_t)(v > 32767 ? 32767 : v);
        }
        append(chain_out, x, n);
    }
    *osamp = 0;
    return SOX_SUCCESS;
}

static const sox_effect_handler_t *
source_handler(void)
{
    static sox_effect_handler_t h = { .name = "memory-in",
        .flags = SOX_EFF_MCHAN, .drain = source_drain };
    return &h;
}

static const sox_effect_handler_t *
sink_handler(void)
{
    static sox_effect_handler_t h = { .name = "memory-out",
        .flags = SOX_EFF_MCHAN, .flow = sink_flow };
    return &h;
}

static void
add_effect(sox_effects_chain_t *chain, const sox_effect_handler_t *handler,
           int argc, char **argv, sox_signalinfo_t *now,
           const sox_signalinfo_t *target)
{
    sox_effect_t *e = sox_create_effect(handler);

    if (!e || (handler->getopts && sox_effect_options(e, argc, argv)) ||
        sox_add_effect(chain, e, now, target) != SOX_SUCCESS)
        die("sox effect", handler->name);
    free(e);
}

static void
change(struct sound *s, const struct settings *set)
{
    sox_signalinfo_t now = { (double)s->rate_hz, 1, 16, 0, NULL };
    sox_signalinfo_t target = { RATE_HZ, 1, 16, 0, NULL };
    sox_encodinginfo_t encoding = { .encoding = SOX_ENCODING_SIGN2,
                                    .bits_per_sample = 16 };
    sox_effects_chain_t *chain;
    struct sound out = { NULL, 0, 0, RATE_HZ };
    char number[32], *argv[2];

    if (s->rate_hz == RATE_HZ && set->pitch == 0 && set->tempo == 1)
        return;
    chain_in = s;
    chain_out = &out;
    chain_at = 0;
    now.length = s->n;
    chain = sox_create_effects_chain(&encoding, &encoding);
    add_effect(chain, source_handler(), 0, NULL, &now, &now);
    argv[0] = number;
    if (set->pitch != 0) {
        snprintf(number, sizeof number, "%g", set->pitch);
        add_effect(chain, sox_find_effect("pitch"), 1, argv, &now, &target);
    }
    if (set->tempo != 1) {
        argv[0] = "-s";
        argv[1] = number;
        snprintf(number, sizeof number, "%g", set->tempo);
        add_effect(chain, sox_find_effect("tempo"), 2, argv, &now, &target);
    }
    if (now.rate != RATE_HZ)
        add_effect(chain, sox_find_effect("rate"), 0, NULL, &now, &target);
    add_effect(chain, sink_handler(), 0, NULL, &now, &target);
    sox_flow_effects(chain, NULL, NULL);
    sox_delete_effects_chain(chain);
    free(s->x);
    *s = out;
}

/* The loudest sample of a 5 ms window. */
static int
loudness(const struct sound *s, size_t at)
{
    size_t end = at + WINDOW < s->n ? at + WINDOW : s->n;
    int v, best = 0;

    for (; at < end; at++) {
        v = abs(s->x[at]);
        if (v > best)
            best = v;
    }
    return best;
}

/* Finds [first, last) so that at most lead and tail ms of silence remain. */
static void
trim(const struct sound *s, const struct settings *set, size_t *first,
     size_t *last)
{
    size_t at, lead = (size_t)(set->lead * RATE_HZ / 1000);
    size_t tail = (size_t)(set->tail * RATE_HZ / 1000), end = 0, begin = s->n;
    int peak = 0, gate;

    for (at = 0; at < s->n; at += WINDOW)
        if (loudness(s, at) > peak)
            peak = loudness(s, at);
    gate = peak / 100 > 40 ? peak / 100 : 40;
    for (at = 0; at < s->n; at += WINDOW) {
        if (loudness(s, at) < gate)
            continue;
        if (begin == s->n)
            begin = at;
        end = at + WINDOW;
    }
    *first = begin > lead ? begin - lead : 0;
    *last = end + tail < s->n ? end + tail : s->n;
}

static void
speak(struct sound *s, const char *engine, const char *voice,
      const struct settings *set, const char *text)
{
    if (strcmp(engine, "flite") == 0)
        speak_flite(s, voice, set, text);
    else if (strcmp(engine, "espeak") == 0)
        speak_espeak(s, voice, set, text);
    else if (strcmp(engine, "wav") == 0)
        read_wav(s, text);
    else
        die("no such engine", engine);
    if (s->n == 0)
        die("no sound for", text);
    change(s, set);
}

/* Each word as if it were all there is to say; the pauses go from 0.4 to 1.6
 * of the gap, by the words. */
static void
speak_words(struct sound *s, const char *engine, const char *voice,
            const struct settings *set, char *text)
{
    struct settings close = *set;
    uint32_t dice = 2166136261u;
    char *word, *c, *rest;
    size_t first, last, i;
    int16_t zero = 0;

    close.lead = 15;
    close.tail = 40;
    for (word = strtok_r(text, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        struct sound w = { NULL, 0, 0, 0 };
        for (c = word; *c; c++)
            dice = (dice ^ (unsigned char)*c) * 16777619u;
        if (s->n > 0)
            for (i = (size_t)(set->gap * (0.4 + 1.2 * (dice >> 8) / 16777216) *
                              RATE_HZ / 1000); i > 0; i--)
                append(s, &zero, 1);
        speak(&w, engine, voice, set, word);
        trim(&w, &close, &first, &last);
        append(s, w.x + first, last - first);
        free(w.x);
    }
    s->rate_hz = RATE_HZ;
}

static size_t
job(char *line, FILE *audio)
{
    struct sound s = { NULL, 0, 0, 0 };
    struct settings set;
    char *engine = line, *voice, *settings, *text;
    size_t first, last;

    line[strcspn(line, "\n")] = '\0';
    if (!(voice = strchr(engine, '\t')) || !(settings = strchr(voice + 1, '\t'))
        || !(text = strchr(settings + 1, '\t')))
        die("not a job", line);
    *voice++ = *settings++ = *text++ = '\0';
    parse_settings(&set, settings);
    if (set.gap > 0)
        speak_words(&s, engine, voice, &set, text);
    else
        speak(&s, engine, voice, &set, text);
    trim(&s, &set, &first, &last);
    if (last <= first + RATE_HZ / 20)
        die("nearly no sound for", text);
    if (fwrite(s.x + first, sizeof *s.x, last - first, audio) != last - first)
        die("cannot write", "sound");
    free(s.x);
    return last - first;
}

int
main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    FILE *audio;

    if (argc != 3 || strcmp(argv[1], "-o") != 0)
        die("usage", "speak -o sound.s16 < jobs > lengths");
    if (!(audio = fopen(argv[2], "wb")))
        die("cannot write", argv[2]);
    if (sox_init() != SOX_SUCCESS)
        die("libsox", "does not start");
    sox_globals.verbosity = 1;
    open_flite();
    while (getline(&line, &room, stdin) > 0)
        printf("%zu\n", job(line, audio));
    free(line);
    if (fclose(audio) != 0)
        die("cannot write", argv[2]);
    return fclose(stdout) == 0 ? 0 : 1;
}
