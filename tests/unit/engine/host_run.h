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

struct host_state {
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t host_rsp;
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

/* Executes the bytes; 0, or the signal that they raised (the state is undefined then). */
static int host_run(struct host_state *state, const uint8_t *bytes, size_t len)
{
    struct host_state *shared = (struct host_state *)(uintptr_t)HOST_STATE;
    const uint32_t flags = HOST_STATE + offsetof(struct host_state, rflags);
    const uint32_t host_rsp = HOST_STATE + offsetof(struct host_state, host_rsp);
    uint8_t *p = (uint8_t *)(uintptr_t)HOST_THUNK;
    int number;

    *shared = *state;
    memcpy(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push what is callee-saved */
    p = host_run_mov(p + 10, 4, host_rsp, false);
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
    p = host_run_stack(p, flags, false);
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
