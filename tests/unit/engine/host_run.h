/*
 * Runs one instruction on the processor that runs this test, in this process, with given registers:
 * a thunk in memory below 2 GiB loads them, executes the bytes, and stores them. RSP may be
 * anything that the instruction itself can live with; signals use a stack of their own.
 */
#ifndef UMBRA_TESTS_HOST_RUN_H
#define UMBRA_TESTS_HOST_RUN_H

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define HOST_STATE 0x08000000u /* struct host_state, at an address that fits 31 bits */
#define HOST_THUNK 0x08001000u
#define HOST_BYTES 0x2000u
#define HOST_STACK (HOST_STATE + 0xf00) /* for flags in 32-bit code */

#define HOST_CS32 0x23 /* Linux' selectors for user code and data */
#define HOST_CS64 0x33
#define HOST_DS   0x2b

struct host_state {
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t host_rsp;
    uint32_t far_offset; /* a far pointer into 32-bit code */
    uint16_t far_selector;
};

static sigjmp_buf host_run_escape;

static void host_run_signal(int number)
{
    siglongjmp(host_run_escape, number);
}

/* False when the memory can't be had. */
static bool host_run_init(void)
{
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = host_run_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    void *at = mmap((void *)(uintptr_t)HOST_STATE, HOST_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (at != (void *)(uintptr_t)HOST_STATE)
        return false;
    sigaltstack(&alternate, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    return true;
}

/* MOV between a register and an absolute address of 32 bits. */
static uint8_t *host_run_mov(uint8_t *p, unsigned reg, uint32_t address, bool load)
{
    *p++ = (uint8_t)(0x48 | (reg >= 8 ? 4 : 0));
    *p++ = load ? 0x8b : 0x89;
    *p++ = (uint8_t)(0x04 | (reg & 7) << 3);
    *p++ = 0x25;
    memcpy(p, &address, 4);
    return p + 4;
}

/* PUSH (reg 6) or POP (reg 0) of an absolute address. */
static uint8_t *host_run_stack(uint8_t *p, uint32_t address, bool push)
{
    *p++ = push ? 0xff : 0x8f;
    *p++ = push ? 0x34 : 0x04;
    *p++ = 0x25;
    memcpy(p, &address, 4);
    return p + 4;
}

/* The registers around the bytes in 64-bit mode. */
static uint8_t *host_run_body64(uint8_t *p, const uint8_t *bytes, size_t len)
{
    const uint32_t flags = HOST_STATE + offsetof(struct host_state, rflags);
    const uint32_t host_rsp = HOST_STATE + offsetof(struct host_state, host_rsp);

    p = host_run_stack(p, flags, true);
    *p++ = 0x9d; /* popf */
    for (unsigned i = 0; i < 16; i++)
        p = host_run_mov(p, i, HOST_STATE + 8 * i, true);
    memcpy(p, bytes, len);
    p += len;
    for (unsigned i = 0; i < 16; i++)
        p = host_run_mov(p, i, HOST_STATE + 8 * i, false);
    p = host_run_mov(p, 4, host_rsp, true);
    *p++ = 0x9c; /* pushf */
    return host_run_stack(p, flags, false);
}

static uint8_t *host_run_put(uint8_t *p, const char *opcode, size_t len, uint32_t immediate)
{
    memcpy(p, opcode, len);
    memcpy(p + len, &immediate, 4);
    return p + len + 4;
}

/* The same in compatibility mode: a far jump there and one back. */
static uint8_t *host_run_body32(uint8_t *p, const uint8_t *bytes, size_t len,
                                struct host_state *shared)
{
    const uint32_t flags = HOST_STATE + offsetof(struct host_state, rflags);
    const uint32_t host_rsp = HOST_STATE + offsetof(struct host_state, host_rsp);

    p = host_run_put(p, "\xb8", 1, HOST_DS);
    memcpy(p, "\x8e\xd8\x8e\xc0", 4); /* mov ds, eax; mov es, eax */
    p = host_run_put(p + 4, "\xff\x2c\x25", 3,
                     HOST_STATE + offsetof(struct host_state, far_offset));
    shared->far_offset = (uint32_t)(uintptr_t)p;
    shared->far_selector = HOST_CS32;
    p = host_run_put(p, "\xbc", 1, HOST_STACK);
    p = host_run_put(p, "\xff\x35", 2, flags);
    *p++ = 0x9d;
    for (unsigned i = 0; i < 8; i++) {
        const char load[] = {(char)0x8b, (char)(0x05 | i << 3)};

        p = host_run_put(p, load, 2, HOST_STATE + 8 * i);
    }
    memcpy(p, bytes, len);
    p += len;
    for (unsigned i = 0; i < 8; i++) {
        const char store[] = {(char)0x89, (char)(0x05 | i << 3)};

        p = host_run_put(p, store, 2, HOST_STATE + 8 * i);
    }
    p = host_run_put(p, "\xbc", 1, HOST_STACK);
    *p++ = 0x9c;
    p = host_run_put(p, "\x8f\x05", 2, flags);
    p = host_run_put(p, "\xea", 1, (uint32_t)(uintptr_t)p + 7); /* jmp far to what follows */
    *p++ = HOST_CS64;
    *p++ = 0;
    return host_run_mov(p, 4, host_rsp, true);
}

/*
 * Executes the bytes in 64-bit or compatibility mode; 0, or the signal that they raised (the state
 * is undefined then).
 */
static int host_run(struct host_state *state, const uint8_t *bytes, size_t len, bool compat)
{
    struct host_state *shared = (struct host_state *)(uintptr_t)HOST_STATE;
    const uint32_t host_rsp = HOST_STATE + offsetof(struct host_state, host_rsp);
    uint8_t *p = (uint8_t *)(uintptr_t)HOST_THUNK;
    int number;

    *shared = *state;
    memcpy(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push what is callee-saved */
    p = host_run_mov(p + 10, 4, host_rsp, false);
    p = compat ? host_run_body32(p, bytes, len, shared) : host_run_body64(p, bytes, len);
    memcpy(p, "\xfc\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 12); /* cld, pop, ret */
    number = sigsetjmp(host_run_escape, 1);
    if (!number)
        ((void (*)(void))(uintptr_t)HOST_THUNK)();
    else
        __asm__ volatile("cld");
    *state = *shared;
    return number;
}

#endif
