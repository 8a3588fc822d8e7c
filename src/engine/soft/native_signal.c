/*
 * Exceptions that the host raises in code made for the guest. Inside a stub the handler makes the
 * stub return the vector to its caller; a translation it leaves (dbt_take_fault). Anywhere else
 * such a signal is our own bug: last words, then abort.
 */
#include "engine/soft/native_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/assert.h"
#include "engine/dbt/dbt.h"

/* What the stub returns: never 0, which #DE would be without its mark. */
static uint64_t stub_result(uint64_t vector)
{
    return vector == X86_XM || vector == X86_MF ? vector : vector | NATIVE_UNEXPECTED;
}

/* Changes the context so that the stub returns at once; false: it lies in none. */
static bool leave_stub(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    const struct cpu *cpu = native_running;

    if (!cpu || !cpu->native || !execmem_contains(&cpu->native->code, (uintptr_t)regs[REG_RIP]))
        return false;
    regs[REG_RAX] = (greg_t)stub_result((uint64_t)regs[REG_TRAPNO]);
    regs[REG_RIP] = (greg_t)(uintptr_t)cpu->native->fault_exit;
    return true;
}

/* The last words' RIP is the block's then, and the other registers are older. */
static void say_translated(uintptr_t host_pc)
{
    gva_t block;
    struct cpu *cpu = dbt_where(host_pc, &block);

    if (!cpu)
        return;
    fprintf(stderr, "umbra: in the translation of the guest's block at %llx; registers are older\n",
            (unsigned long long)block);
    cpu->x.gpr[X86_RIP] = block;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    const greg_t *regs = uc->uc_mcontext.gregs;

    if (info->si_code > 0 && (leave_stub(uc) || dbt_take_fault(uc))) /* not sent by a process */
        return;
    signal(number, SIG_DFL); /* an error inside the last words ends the process */
    fprintf(stderr, "umbra: internal error: %s at host address %llx\n", strsignal(number),
            (unsigned long long)regs[REG_RIP]);
    say_translated((uintptr_t)regs[REG_RIP]);
    assert_say_last_words();
    abort(); /* whoever has to tidy up, as the terminal, listens for SIGABRT */
}

void native_install_signals(void)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
}
