/*
 * The differential test: random instructions run by the host's processor and by the soft engine
 * from the same state must leave the same state.
 *
 *   diff [--seed N] [--first N] [--count N] [--only MNEMONIC] [--verbose] [--seconds N]
 *        [--failures N] [--translate N]
 *   diff --sizes
 *
 * --translate 1 makes the engine translate each case at once; by default it interprets them all.
 * --sizes checks instead that no instruction reaches behind its operand in memory (sizes.c).
 * Status 0: all agree; 1: some differ; 77: this host can't run the test.
 * What is not compared: flags that the manual leaves undefined, RF, x87 instruction pointers, and
 * what tolerance.c lists.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "generate.h"
#include "guest.h"
#include "host.h"
#include "sizes.h"

#define MAX_FAILURES  10
#define COMPAT_ONE_IN 8 /* so many cases are 32-bit code */

struct options {
    uint64_t seed, first, count, seconds, failures;
    const char *only;
    unsigned translate_after; /* engine.h's */
    bool verbose, sizes;
};

struct test {
    struct options options;
    struct diff_host host;
    struct diff_guest guest;
    struct diff_templates wide, compat;
    bool has_compat;
    uint64_t cases, instructions, faults, failures, skipped;
    uint8_t pool[DIFF_POOL_BYTES];
    uint8_t data[DIFF_DATA_SIZE], host_data[DIFF_DATA_SIZE], guest_data[DIFF_DATA_SIZE];
};

static uint64_t flags_mask(const struct diff_case *c, const struct diff_state *s)
{
    uint64_t mask = X86_FLAGS_ARITH | X86_FLAG_DF | X86_FLAG_AC | X86_FLAG_ID | X86_FLAG_NT;
    unsigned n = s->vector == X86_BP ? c->count : diff_reached(c, s);

    /* A faulting instruction may have touched its own flags, or not yet. */
    if (s->vector != X86_BP && n < c->count)
        mask &= ~c->undefined_flags[n];
    return n ? mask & ~c->undefined_flags[n - 1] : mask;
}

static int plain_vector(int vector)
{
    return vector == X86_XM ? X86_MF : vector; /* one signal for both */
}

struct report {
    bool print;
    bool differs;
};

static void differ(struct report *r, const char *what, uint64_t before, uint64_t host,
                   uint64_t guest)
{
    if (host == guest)
        return;
    r->differs = true;
    if (r->print)
        printf("  %-8s before %016" PRIx64 "  host %016" PRIx64 "  guest %016" PRIx64 "\n", what,
               before, host, guest);
}

static void differ_bytes(struct report *r, const char *what, unsigned number, const uint8_t *before,
                         const uint8_t *host, const uint8_t *guest, unsigned len)
{
    char name[32];

    for (unsigned at = 0; at < len; at += 8) {
        uint64_t b = 0, h = 0, g = 0;

        memcpy(&b, before + at, MIN(8u, len - at));
        memcpy(&h, host + at, MIN(8u, len - at));
        memcpy(&g, guest + at, MIN(8u, len - at));
        snprintf(name, sizeof(name), "%s%u.%u", what, number, at / 8);
        differ(r, name, b, h, g);
    }
}

static void compare_vectors(struct report *r, const struct diff_case *c, const struct diff_state *h,
                            const struct diff_state *g)
{
    for (unsigned i = 0; i < 16; i++)
        differ_bytes(r, "ymm", i, c->before.ymm[i], h->ymm[i], g->ymm[i], 32);
    for (unsigned i = 0; i < 8; i++)
        differ_bytes(r, "st", i, c->before.st[i], h->st[i], g->st[i], 10);
    differ(r, "mxcsr", c->before.mxcsr, h->mxcsr, g->mxcsr);
    differ(r, "fcw", c->before.fcw, h->fcw, g->fcw);
    differ(r, "fsw", c->before.fsw, h->fsw, g->fsw);
    differ(r, "ftw", c->before.ftw, h->ftw, g->ftw);
}

static bool compare(struct test *t, const struct diff_case *c, const struct diff_state *h,
                    const struct diff_state *g, bool print)
{
    struct report r = {.print = print};
    uint64_t flags = flags_mask(c, h);
    unsigned tolerance = diff_tolerance(c, h, g);

    if (tolerance & DIFF_TOLERATE_CASE)
        return true;
    if (!(tolerance & DIFF_TOLERATE_FAULT)) {
        differ(&r, "vector", 0, (uint64_t)plain_vector(h->vector),
               (uint64_t)plain_vector(g->vector));
        differ(&r, "cr2", 0, h->fault_address, g->fault_address);
    }
    differ(&r, "rip", c->before.rip, h->rip, g->rip);
    differ(&r, "rflags", c->before.rflags & flags, h->rflags & flags, g->rflags & flags);
    for (unsigned i = 0; i < (c->compat ? 8u : 16u); i++)
        differ(&r, x86_gpr_names[i], c->before.gpr[i], c->compat ? (uint32_t)h->gpr[i] : h->gpr[i],
               c->compat ? (uint32_t)g->gpr[i] : g->gpr[i]);
    if (!c->compat) {
        differ(&r, "fs base", c->before.fs_base, h->fs_base, g->fs_base);
        differ(&r, "gs base", c->before.gs_base, h->gs_base, g->gs_base);
    }
    if (!(tolerance & DIFF_TOLERATE_VECTORS))
        compare_vectors(&r, c, h, g);
    if (memcmp(t->host_data, t->guest_data, DIFF_DATA_SIZE) != 0)
        for (unsigned at = 0; at < DIFF_DATA_SIZE; at += 8)
            differ_bytes(&r, "mem", at, t->data + at, t->host_data + at, t->guest_data + at, 8);
    return !r.differs;
}

static void print_case(const struct test *t, const struct diff_case *c, uint64_t index)
{
    char text[128];
    unsigned at = 0;

    printf("case %" PRIu64 " of seed %" PRIu64 ": diff --seed %" PRIu64 " --first %" PRIu64
           " --count 1%s%s",
           index, t->options.seed, t->options.seed, index, t->options.only ? " --only " : "",
           t->options.only ? t->options.only : "");
    if (t->options.translate_after != ENGINE_TRANSLATE_NEVER)
        printf(" --translate %u", t->options.translate_after);
    printf("\n");
    for (unsigned i = 0; i < c->count; i++) {
        x86_disassemble(text, sizeof(text), c->compat ? X86_MODE_COMPAT32 : X86_MODE_LONG64,
                        c->code + at, c->lengths[i], c->start + at);
        printf("  %08" PRIx64 "  ", c->start + at);
        for (unsigned k = 0; k < c->lengths[i]; k++)
            printf("%02x", c->code[at + k]);
        printf("  %s\n", text);
        at += c->lengths[i];
    }
}

static void print_before(const struct diff_case *c)
{
    for (unsigned i = 0; i < 16; i++)
        printf("%s%2u:%016" PRIx64, i % 4 ? " " : "  ", i, c->before.gpr[i]);
    printf("\n  rflags %" PRIx64 " mxcsr %x fcw %x fsw %x ftw %x\n", c->before.rflags,
           c->before.mxcsr, c->before.fcw, c->before.fsw, c->before.ftw);
}

static void run_case(struct test *t, uint64_t index)
{
    bool compat = t->has_compat && index % COMPAT_ONE_IN == COMPAT_ONE_IN - 1;
    const struct diff_templates *templates = compat ? &t->compat : &t->wide;
    struct diff_state host, guest;
    struct diff_case c;
    bool same;
    int err;

    diff_generate(&c, templates, &t->guest.model, t->pool, t->options.seed, index, t->data);
    if (c.count == 0)
        return;
    err = diff_host_run(&t->host, &c, &host, t->host_data);
    if (err) {
        t->skipped++;
        printf("the host did not end this case (%s)\n", strerror(-err));
        print_case(t, &c, index);
        return;
    }
    err = diff_guest_run(&t->guest, &c, &guest, t->guest_data);
    same = !err && compare(t, &c, &host, &guest, false);
    t->cases++;
    t->instructions += c.count;
    t->faults += host.vector != X86_BP;
    if (same && !t->options.verbose)
        return;
    print_case(t, &c, index);
    if (same)
        return;
    t->failures++;
    print_before(&c);
    if (err)
        printf(err == -EFAULT ? "  the host faulted in code made for the guest\n"
                              : "  the engine stopped otherwise than by the case's end\n");
    else
        compare(t, &c, &host, &guest, true);
}

static int start(struct test *t)
{
    int err;

    setvbuf(stdout, NULL, _IOLBF, 0);
    err = diff_host_start(&t->host);
    if (err) {
        printf("this host lets a process not be traced as the test needs it: %s\n", strerror(-err));
        return 77;
    }
    err = diff_guest_start(&t->guest, t->options.translate_after);
    if (!err)
        err = diff_templates_init(&t->wide, &t->guest.model, false, t->options.only);
    t->has_compat = diff_host_has_compat(&t->host) &&
                    diff_templates_init(&t->compat, &t->guest.model, true, t->options.only) == 0;
    if (err) {
        printf("can't start: %s\n", strerror(-err));
        return 1;
    }
    diff_pool_init(t->pool, t->options.seed);
    printf("seed %" PRIu64 ": %zu forms of %zu mnemonics, 32-bit code: %s\n", t->options.seed,
           t->wide.count, t->wide.mnemonics, t->has_compat ? "yes" : "no");
    return 0;
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){
        .seed = 1, .count = 10000, .failures = 10, .translate_after = ENGINE_TRANSLATE_NEVER};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--verbose") == 0 || strcmp(argv[i], "--sizes") == 0) {
            *(argv[i][2] == 'v' ? &o->verbose : &o->sizes) = true;
            continue;
        }
        if (!value)
            return false;
        if (strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--first") == 0)
            o->first = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--count") == 0)
            o->count = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0)
            o->seconds = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--failures") == 0)
            o->failures = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--translate") == 0)
            o->translate_after = (unsigned)strtoul(value, NULL, 0);
        else if (strcmp(argv[i], "--only") == 0)
            o->only = value;
        else
            return false;
        i++;
    }
    return true;
}

static int run_all(struct test *t)
{
    time_t end = time(NULL) + (time_t)t->options.seconds;
    uint64_t last = t->options.first + t->options.count;

    for (uint64_t i = t->options.first; i < last && t->failures < t->options.failures; i++) {
        run_case(t, i);
        if (t->options.seconds && i % 1024 == 0 && time(NULL) >= end)
            break;
    }
    printf("%" PRIu64 " cases, %" PRIu64 " instructions, %" PRIu64 " ended by a fault, %" PRIu64
           " without an end on the host, %" PRIu64 " differ\n",
           t->cases, t->instructions, t->faults, t->skipped, t->failures);
    return t->failures ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct test *t = calloc(1, sizeof(*t));
    int status;

    if (!t || !parse(argc, argv, &t->options)) {
        fprintf(stderr, "usage: diff [--seed N] [--first N] [--count N] [--only MNEMONIC] "
                        "[--verbose] [--seconds N] [--failures N] [--sizes]\n");
        return 2;
    }
    status = start(t);
    if (status == 0)
        status = t->options.sizes ? diff_check_sizes(&t->host, &t->wide) != 0 : run_all(t);
    diff_guest_stop(&t->guest);
    diff_host_stop(&t->host);
    diff_templates_fini(&t->wide);
    diff_templates_fini(&t->compat);
    free(t);
    return status;
}
