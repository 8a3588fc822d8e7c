/* The host side of the differential test, by ptrace. */
#include "host.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define XSTATE_MAX    16384
#define XSTATE_HEADER 512
#define XSTATE_AVX    576
#define TIME_LIMIT_S  2
#define CODE_AT       0 /* in the shared memory */
#define DATA_AT       DIFF_CODE_SIZE
#define INT3          0xcc

/* In the child: maps the pages where the case wants them and waits for the tracer. */
static _Noreturn void child_main(int fd)
{
    const int fixed = MAP_SHARED | MAP_FIXED_NOREPLACE;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    /*
     * The kernel would write to the thread's rseq area after that is unmapped. The C library
     * registers 32 bytes at least, and tells fewer.
     */
    if (__rseq_size)
        syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, MAX(__rseq_size, 32u),
                RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
    if (mmap((void *)(uintptr_t)DIFF_CODE, DIFF_CODE_SIZE, PROT_READ | PROT_EXEC, fixed, fd,
             CODE_AT) == MAP_FAILED ||
        mmap((void *)(uintptr_t)DIFF_DATA, DIFF_DATA_RW, PROT_READ | PROT_WRITE, fixed, fd,
             DATA_AT) == MAP_FAILED ||
        mmap((void *)(uintptr_t)(DIFF_DATA + DIFF_DATA_RW), DIFF_DATA_SIZE - DIFF_DATA_RW,
             PROT_READ, fixed, fd, DATA_AT + DIFF_DATA_RW) == MAP_FAILED)
        _exit(78);
    raise(SIGSTOP);
    _exit(79);
}

static volatile sig_atomic_t alarmed;

static void on_alarm(int number)
{
    alarmed = 1;
}

/* Waits for the child to stop; false when it ended or the time is up. */
static bool wait_stop(pid_t child, int *signal_number)
{
    int status;

    while (waitpid(child, &status, __WALL) != child)
        if (errno != EINTR || alarmed)
            return false;
    if (!WIFSTOPPED(status))
        return false;
    *signal_number = WSTOPSIG(status);
    return true;
}

/* Makes the child perform a system call: two bytes of code, then an INT3. */
static long child_syscall(struct diff_host *host, long number, uint64_t a, uint64_t b)
{
    struct user_regs_struct regs;
    int signal_number;

    memcpy(host->code, "\x0f\x05\xcc", 3);
    if (ptrace(PTRACE_GETREGS, host->child, NULL, &regs) != 0)
        return -errno;
    regs.rip = DIFF_CODE;
    regs.rax = (unsigned long long)number;
    regs.orig_rax = UINT64_MAX;
    regs.rdi = a;
    regs.rsi = b;
    if (ptrace(PTRACE_SETREGS, host->child, NULL, &regs) != 0 ||
        ptrace(PTRACE_CONT, host->child, NULL, NULL) != 0 ||
        !wait_stop(host->child, &signal_number) || signal_number != SIGTRAP ||
        ptrace(PTRACE_GETREGS, host->child, NULL, &regs) != 0)
        return -EIO;
    return (long)regs.rax;
}

/* Unmaps all that the child inherited, so that a stray access faults as it does in the guest. */
static int clear_address_space(struct diff_host *host)
{
    struct range {
        uint64_t from, to;
    } ranges[256];
    unsigned count = 0;
    char path[64], line[512];
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)host->child);
    maps = fopen(path, "r");
    if (!maps)
        return -errno;
    while (count < ARRAY_SIZE(ranges) && fgets(line, sizeof(line), maps)) {
        uint64_t from = strtoull(line, NULL, 16);
        uint64_t to = strtoull(strchr(line, '-') + 1, NULL, 16);

        if (from >> 47 || (from >= DIFF_CODE && to <= DIFF_CODE + DIFF_CODE_SIZE) ||
            (from >= DIFF_DATA && to <= DIFF_DATA + DIFF_DATA_SIZE))
            continue;
        ranges[count++] = (struct range){from, to};
    }
    fclose(maps);
    for (unsigned i = 0; i < count; i++)
        if (child_syscall(host, SYS_munmap, ranges[i].from, ranges[i].to - ranges[i].from) == -EIO)
            return -EIO; /* a kernel may refuse to part with the vDSO; no case looks there */
    return 0;
}

static int start_child(struct diff_host *host)
{
    uint8_t xstate[XSTATE_MAX];
    struct iovec iov = {xstate, sizeof(xstate)};
    int signal_number = 0;

    host->child = fork();
    if (host->child < 0)
        return -errno;
    if (host->child == 0)
        child_main(host->fd);
    if (!wait_stop(host->child, &signal_number) || signal_number != SIGSTOP)
        return -ENOTSUP;
    ptrace(PTRACE_SETOPTIONS, host->child, NULL, PTRACE_O_EXITKILL);
    if (clear_address_space(host) != 0)
        return -ENOTSUP;
    if (ptrace(PTRACE_GETREGSET, host->child, NT_X86_XSTATE, &iov) != 0)
        return -ENOTSUP;
    host->xstate_size = iov.iov_len;
    memset(host->code, INT3, DIFF_CODE_SIZE);
    host->last_len = 0;
    return 0;
}

static void end_child(struct diff_host *host)
{
    if (host->child <= 0)
        return;
    kill(host->child, SIGKILL);
    waitpid(host->child, NULL, __WALL);
    host->child = -1;
}

int diff_host_start(struct diff_host *host)
{
    struct sigaction action = {.sa_handler = on_alarm};
    size_t size = DATA_AT + DIFF_DATA_SIZE;
    cpu_set_t cpus;

    *host = (struct diff_host){.child = -1, .fd = memfd_create("diff", MFD_CLOEXEC)};
    sigaction(SIGALRM, &action, NULL);
    /* Tracer and child take turns: one core for both spares the wake-up of another. */
    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    if (host->fd < 0 || ftruncate(host->fd, (off_t)size) != 0)
        return -errno;
    host->code = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, host->fd, 0);
    if (host->code == MAP_FAILED)
        return -errno;
    host->data = host->code + DATA_AT;
    return start_child(host);
}

void diff_host_stop(struct diff_host *host)
{
    end_child(host);
    if (host->code)
        munmap(host->code, DATA_AT + DIFF_DATA_SIZE);
    if (host->fd >= 0)
        close(host->fd);
}

static void put_xstate(uint8_t *xstate, const struct diff_state *s)
{
    uint64_t components = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;

    memcpy(xstate, &s->fcw, 2);
    memcpy(xstate + 2, &s->fsw, 2);
    xstate[4] = s->ftw;
    memcpy(xstate + 24, &s->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(xstate + 32 + 16 * i, s->st[i], 10);
    for (unsigned i = 0; i < 16; i++) {
        memcpy(xstate + 160 + 16 * i, s->ymm[i], 16);
        memcpy(xstate + XSTATE_AVX + 16 * i, s->ymm[i] + 16, 16);
    }
    memcpy(xstate + XSTATE_HEADER, &components, 8);
}

static void get_xstate(const uint8_t *xstate, struct diff_state *s)
{
    memcpy(&s->fcw, xstate, 2);
    memcpy(&s->fsw, xstate + 2, 2);
    s->ftw = xstate[4];
    memcpy(&s->mxcsr, xstate + 24, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(s->st[i], xstate + 32 + 16 * i, 10);
    for (unsigned i = 0; i < 16; i++) {
        memcpy(s->ymm[i], xstate + 160 + 16 * i, 16);
        memcpy(s->ymm[i] + 16, xstate + XSTATE_AVX + 16 * i, 16);
    }
}

/* In the order of enum x86_gpr. */
static void gpr_pointers(struct user_regs_struct *r, unsigned long long *p[16])
{
    unsigned long long *order[16] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
                                     &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
                                     &r->r12, &r->r13, &r->r14, &r->r15};

    memcpy(p, order, sizeof(order));
}

static int put_registers(struct diff_host *host, const struct diff_case *c)
{
    const struct diff_state *s = &c->before;
    struct user_regs_struct regs;
    unsigned long long *gpr[16];
    uint8_t xstate[XSTATE_MAX] = {0};
    struct iovec iov = {xstate, host->xstate_size};

    memset(&regs, 0, sizeof(regs));
    gpr_pointers(&regs, gpr);
    for (unsigned i = 0; i < 16; i++)
        *gpr[i] = s->gpr[i];
    regs.rip = s->rip;
    regs.eflags = s->rflags;
    regs.cs = c->compat ? DIFF_CS32 : DIFF_CS64;
    regs.ss = DIFF_SS;
    if (c->compat)
        regs.ds = regs.es = DIFF_SS;
    regs.fs_base = s->fs_base;
    regs.gs_base = s->gs_base;
    regs.orig_rax = UINT64_MAX;
    put_xstate(xstate, s);
    if (ptrace(PTRACE_SETREGS, host->child, NULL, &regs) != 0 ||
        ptrace(PTRACE_SETREGSET, host->child, NT_X86_XSTATE, &iov) != 0)
        return -errno;
    return 0;
}

/* The exception behind a signal (arch/x86/kernel/traps.c decides the other way round). */
static int vector_of(const siginfo_t *info)
{
    switch (info->si_signo) {
    case SIGTRAP: return info->si_code == SI_KERNEL ? X86_BP : X86_DB;
    case SIGILL: return X86_UD;
    case SIGBUS: return info->si_code == BUS_ADRALN ? X86_AC : X86_SS_FAULT;
    case SIGSEGV: return info->si_code == SI_KERNEL ? X86_GP : X86_PF;
    case SIGFPE: return info->si_code == FPE_INTDIV ? X86_DE : X86_MF;
    default: return -1;
    }
}

static int get_registers(struct diff_host *host, struct diff_state *s)
{
    struct user_regs_struct regs;
    unsigned long long *gpr[16];
    uint8_t xstate[XSTATE_MAX];
    struct iovec iov = {xstate, host->xstate_size};
    siginfo_t info;

    if (ptrace(PTRACE_GETSIGINFO, host->child, NULL, &info) != 0 ||
        ptrace(PTRACE_GETREGS, host->child, NULL, &regs) != 0 ||
        ptrace(PTRACE_GETREGSET, host->child, NT_X86_XSTATE, &iov) != 0)
        return -errno;
    *s = (struct diff_state){.rip = regs.rip, .rflags = regs.eflags};
    gpr_pointers(&regs, gpr);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = *gpr[i];
    s->fs_base = regs.fs_base;
    s->gs_base = regs.gs_base;
    get_xstate(xstate, s);
    s->vector = vector_of(&info);
    if (s->vector == X86_PF)
        s->fault_address = (uint64_t)(uintptr_t)info.si_addr;
    return 0;
}

static void put_code(struct diff_host *host, const struct diff_case *c)
{
    memset(host->code + (host->last_start - DIFF_CODE), INT3, host->last_len);
    memcpy(host->code + (c->start - DIFF_CODE), c->code, c->len);
    host->last_start = c->start;
    host->last_len = c->len;
}

int diff_host_run(struct diff_host *host, const struct diff_case *c, struct diff_state *after,
                  uint8_t *data)
{
    int signal_number, err;

    if (host->last_len == 0)
        host->last_start = DIFF_CODE;
    put_code(host, c);
    memcpy(host->data, c->data, DIFF_DATA_SIZE);
    err = put_registers(host, c);
    if (!err) {
        alarmed = 0;
        alarm(TIME_LIMIT_S);
        if (ptrace(PTRACE_CONT, host->child, NULL, NULL) != 0 ||
            !wait_stop(host->child, &signal_number))
            err = -ETIME;
        alarm(0);
    }
    if (!err)
        err = get_registers(host, after);
    if (err) {
        end_child(host);
        if (start_child(host) != 0)
            return -EIO;
        return err;
    }
    memcpy(data, host->data, DIFF_DATA_SIZE);
    return 0;
}

bool diff_host_has_compat(struct diff_host *host)
{
    static const uint8_t data[DIFF_DATA_SIZE];
    static uint8_t data_after[DIFF_DATA_SIZE];
    struct diff_state after;
    struct diff_case c = {
        .compat = true,
        .start = DIFF_CODE,
        .code = {0x40}, /* INC EAX; in 64-bit mode a lone REX */
        .len = 1,
        .data = data,
        .before = {.rip = DIFF_CODE, .rflags = 2, .fcw = 0x37f, .mxcsr = 0x1f80},
    };

    return diff_host_run(host, &c, &after, data_after) == 0 && after.vector == X86_BP &&
           after.gpr[X86_RAX] == 1;
}
