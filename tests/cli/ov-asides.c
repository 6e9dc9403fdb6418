/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stage generate remembers, cuts, sets aside and takes up again:
 * each time the answer must be the one that a fresh stage gives to the
 * conversation as it then is.
 * In: the directory of a model whose tokenizer knows conversations.  Out:
 * TAP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage/generate.h"
#include "tests/unit/tap.h"

enum { AUDIO = 2, CHAT = 4, WORDS_MAX = 512, STEPS = 24 };

static struct ov_err err;
static struct ov_generate_options options = {.top_p = 1, .max_steps = STEPS};
static const char *dir;

static void
must(int r)
{
    if (r >= 0)
        return;
    printf("Bail out! %s\n", err.text);
    exit(1);
}

static struct ov_generate *
fresh(int memory)
{
    struct ov_generate *g;

    options.memory = memory;
    must(ov_generate_open(&g, dir, &options, &err));
    return g;
}

/* A position: a token, or (seed not 0) something heard. */
static void
position(struct ov_generate *g, int32_t token, unsigned seed)
{
    uint32_t p[WORDS_MAX] = {0};
    int q = ov_generate_codebooks(g), n = ov_generate_words(g);

    memcpy(p, &token, sizeof token);
    memset(p + 1, 0xff, sizeof *p * (size_t)q);
    p[1 + q] = seed != 0;
    for (int i = 2 + q; seed != 0 && i < n; i++) {
        float x;

        seed = seed * 1664525u + 1013904223u;
        x = (float)(seed >> 8) / (1 << 23) - 1;
        memcpy(&p[i], &x, sizeof x);
    }
    must(ov_generate_push(g, p, 1, &err));
}

/* What is heard of a turn; its units from to to. */
static void
hear(struct ov_generate *g, unsigned turn, int from, int to)
{
    if (from == 0)
        position(g, AUDIO, 0);
    for (int i = from; i < to; i++)
        position(g, -1, 1000 * turn + (unsigned)i + 1);
}

static void
ask(struct ov_generate *g, unsigned turn, int units)
{
    ov_generate_begin(g);
    hear(g, turn, 0, units);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
}

/* Up to max steps: a hash of what they say. */
static uint64_t
answer(struct ov_generate *g, int max)
{
    struct ov_generate_step s;
    uint64_t h = 14695981039346656037u;
    int r = 1;

    while (max-- > 0 && (r = ov_generate_pull(g, &s, &err)) > 0) {
        h = (h ^ (uint64_t)(uint32_t)s.text) * 1099511628211u;
        for (int q = 0; s.has_codes && q < ov_generate_codebooks(g); q++)
            h = (h ^ (uint64_t)s.codes[q]) * 1099511628211u;
    }
    must(r);
    return h;
}

/* The turns from .. to, asked and answered: the last one's answer. */
static uint64_t
talk(struct ov_generate *g, unsigned from, unsigned to, int units)
{
    uint64_t h = 0;

    for (unsigned t = from; t <= to; t++) {
        ask(g, t, units);
        h = answer(g, STEPS);
    }
    return h;
}

static uint64_t
fresh_talk(int memory, unsigned from, unsigned to, int units)
{
    struct ov_generate *g = fresh(memory);
    uint64_t h = talk(g, from, to, units);

    ov_generate_close(g);
    return h;
}

/* The same, but all answers before the last one are cut off at once: they
 * do not depend on what was before. */
static uint64_t
fresh_brief(int memory, unsigned from, unsigned to, int units)
{
    struct ov_generate *g = fresh(memory);
    uint64_t h;

    for (unsigned t = from; t < to; t++) {
        ask(g, t, units);
        answer(g, 1);
        must(ov_generate_cut(g, 0, &err));
    }
    ask(g, to, units);
    h = answer(g, STEPS);
    ov_generate_close(g);
    return h;
}

static void
test_memory(void)
{
    uint64_t alone = fresh_talk(0, 6, 6, 5);

    ok(fresh_talk(0, 1, 6, 5) == alone, "without memory: each turn alone");
    ok(fresh_talk(4, 6, 6, 5) == alone, "nothing to remember yet");
    ok(fresh_talk(4, 5, 6, 5) != alone, "a turn before makes a difference");
    ok(fresh_brief(2, 1, 6, 5) == fresh_brief(2, 4, 6, 5) &&
           fresh_brief(2, 1, 6, 5) != fresh_brief(2, 5, 6, 5),
       "a memory of two: as if the last three turns were all");
    ok(fresh_brief(9, 1, 9, 100) == fresh_brief(9, 8, 9, 100),
       "long turns: what fills more than half of the context slides out");
    ok(fresh_brief(9, 1, 300, 5) == fresh_brief(9, 291, 300, 5),
       "300 turns: the last ten count");
    {
        struct ov_generate *g = fresh(4);

        talk(g, 1, 5, 5);
        ov_generate_forget(g);
        ok(talk(g, 6, 6, 5) == alone, "a new conversation");
        ov_generate_close(g);
    }
    ok(fresh_brief(1000, 7, 8, 150) == fresh_brief(1000, 8, 8, 150),
       "a turn that fills the context alone");
}

static void
test_cut(void)
{
    struct ov_generate *g = fresh(4), *few = fresh(4), *none = fresh(4);
    uint64_t h, whole;

    ask(g, 1, 5);
    answer(g, STEPS);
    must(ov_generate_cut(g, 7, &err)); /* 3 steps ahead of the sound */
    h = talk(g, 2, 2, 5);
    ask(few, 1, 5);
    answer(few, 10);
    must(ov_generate_cut(few, 100, &err));
    ok(talk(few, 2, 2, 5) == h, "an answer is cut where it was heard to");
    whole = fresh_talk(4, 1, 2, 5);
    ok(whole != h, "which is not as if it was heard to its end");
    ask(none, 1, 5);
    answer(none, 10); /* neither ended nor cut */
    ok(talk(none, 2, 2, 5) == fresh_talk(4, 2, 2, 5),
       "what was neither ended nor cut has not happened");
    ov_generate_close(g);
    ov_generate_close(few);
    ov_generate_close(none);
}

static void
test_again(void)
{
    struct ov_generate *g = fresh(4);

    talk(g, 1, 1, 5);
    ask(g, 2, 8);
    answer(g, 6);
    ov_generate_again(g);
    hear(g, 2, 0, 12);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    {
        struct ov_generate *f = fresh(4);

        talk(f, 1, 1, 5);
        ask(f, 2, 12);
        ok(answer(f, STEPS) == answer(g, STEPS),
           "a turn that is said again and goes on");
        ov_generate_close(f);
    }
    ov_generate_again(g);
    hear(g, 2, 0, 12);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    {
        struct ov_generate *f = fresh(4);

        talk(f, 1, 1, 5);
        ask(f, 2, 12);
        ok(answer(f, STEPS) == answer(g, STEPS), "the very same turn again");
        ov_generate_again(g);
        hear(g, 3, 0, 4);
        position(g, CHAT, 0);
        must(ov_generate_flush(g, &err));
        ov_generate_close(f);
        f = fresh(4);
        talk(f, 1, 1, 5);
        ask(f, 3, 4);
        ok(answer(f, STEPS) == answer(g, STEPS), "another one in its place");
        ov_generate_close(f);
    }
    ov_generate_close(g);
}

/* A question that went on after it was thought to be over. */
static void
test_join(void)
{
    struct ov_generate *g = fresh(4), *f = fresh(4);

    talk(g, 1, 1, 5);
    talk(f, 1, 1, 5);
    ok(!ov_generate_may_join(g), "nothing joins an answer");
    ask(g, 2, 5);
    ok(ov_generate_may_join(g), "a question may be gone on with");
    ov_generate_join(g);
    position(g, AUDIO, 0);
    hear(g, 2, 5, 9);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    answer(g, 3);
    ov_generate_again(g);
    position(g, AUDIO, 0);
    hear(g, 2, 5, 12);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    ask(f, 2, 12);
    ok(answer(f, STEPS) == answer(g, STEPS),
       "joined, and said again: as if it was one question");
    ok(talk(g, 3, 3, 5) == talk(f, 3, 3, 5), "and remembered as one");
    ask(g, 4, 100); /* of 256 */
    ok(!ov_generate_may_join(g), "a long question is not joined");
    ov_generate_join(g);
    hear(g, 5, 0, 5);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    ask(f, 5, 5);
    ok(answer(f, STEPS) == answer(g, STEPS), "but gives way to the next");
    ov_generate_close(g);
    ov_generate_close(f);
}

static void
test_aside(int memory)
{
    struct ov_generate *g = fresh(memory), *f = fresh(memory);
    uint64_t first, rest;

    talk(g, 1, 1, 5);
    talk(f, 1, 1, 5);
    ask(g, 2, 5);
    ask(f, 2, 5);
    first = answer(f, 9);
    rest = answer(f, STEPS);
    ok(answer(g, 9) == first, "memory %d: an answer begins", memory);
    must(ov_generate_aside(g, 3, &err));
    ov_generate_begin(g);
    hear(g, 3, 0, 6);
    must(ov_generate_back(g, &err));
    ok(answer(g, STEPS) == rest, "and goes on when something else was heard");
    ok(talk(g, 4, 4, 5) == talk(f, 4, 4, 5), "which leaves no trace");
    ask(g, 5, 5);
    answer(g, 9);
    must(ov_generate_aside(g, 3, &err));
    ov_generate_begin(g);
    hear(g, 6, 0, 5);
    position(g, CHAT, 0);
    must(ov_generate_flush(g, &err));
    ask(f, 5, 5);
    answer(f, 9);
    must(ov_generate_cut(f, 3, &err));
    ask(f, 6, 5);
    ok(answer(g, STEPS) == answer(f, STEPS),
       "if it does not: as if it had been cut");
    ov_generate_close(g);
    ov_generate_close(f);
}

int
main(int argc, char **argv)
{
    struct ov_generate *g;

    if (argc != 2)
        return 2;
    dir = argv[1];
    g = fresh(0);
    ok(ov_generate_tells(g) && ov_generate_words(g) <= WORDS_MAX,
       "the model knows conversations");
    ov_generate_close(g);
    test_memory();
    test_cut();
    test_again();
    test_join();
    test_aside(4);
    test_aside(0);
    return tap_done();
}
