/*
 * Which debug traps a program gets from its processor: a traced child executes a few bytes under
 * TF, or with a breakpoint of the debug registers, and a line tells each of its stops.
 * debug_traps.py runs this on the host and in a guest and compares. Status 77: ptrace or the debug
 * registers are refused.
 *
 * INT1 behind a load of SS is left out: a hypervisor that the host itself runs under may have it
 * wrong. tests/guests/cpu/pending.S has it, and what only a kernel can see.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TF        0x100
#define CAUSES    0xe00fL
#define STOPS     3
#define AREA      4096
#define STACK_AT  2048 /* in the data area; above it an IRET frame to TARGET */
#define TARGET    8    /* offset in the code where the frame leads */
#define SKIPPED   77
#define CODE_ROOM 16

/* DR7 with DR0 enabled. */
enum { OFF = 0, WRITE_1 = 0x10001, WRITE_2 = 0x50001, ACCESS_2 = 0x70001, ACCESS_8 = 0xb0001 };

#define CODE(bytes) bytes, sizeof(bytes) - 1

/* RAX is SS's selector, RCX 3, RDI and RSI point to a word with that selector, RSP to STACK_AT. */
static const struct trial {
    const char *name;
    const char *code;
    size_t bytes;
    int step; /* whether TF is set */
    unsigned long dr7;
    int watched; /* offset of the breakpoint in the data area */
} trials[] = {
    {"a watched load of SS, then NOP", CODE("\x8e\x17"), 0, ACCESS_2, 0},
    {"a watched load of SS, then another", CODE("\x8e\x17\x8e\x17"), 0, ACCESS_2, 0},
    {"a watched load of SS, then INT3", CODE("\x8e\x17\xcc"), 0, ACCESS_2, 0},
    {"a watched load of SS, then UD2", CODE("\x8e\x17\x0f\x0b"), 0, ACCESS_2, 0},
    {"a watched load of SS, then HLT", CODE("\x8e\x17\xf4"), 0, ACCESS_2, 0},
    {"a watched load of SS, then INT 1", CODE("\x8e\x17\xcd\x01"), 0, ACCESS_2, 0},
    {"a watched load of SS, stepped", CODE("\x8e\x17"), 1, ACCESS_2, 0},
    {"a load of SS, stepped", CODE("\x8e\xd0"), 1, OFF, 0},
    {"two loads of SS, stepped", CODE("\x8e\xd0\x8e\xd0"), 1, OFF, 0},
    {"a load of SS, stepped, then INT1", CODE("\x8e\xd0\xf1"), 1, OFF, 0},
    {"a load of SS, stepped, then INT3", CODE("\x8e\xd0\xcc"), 1, OFF, 0},
    {"a load of SS, stepped, then UD2", CODE("\x8e\xd0\x0f\x0b"), 1, OFF, 0},
    {"INT1, stepped", CODE("\xf1"), 1, OFF, 0},
    {"INT3, stepped", CODE("\xcc"), 1, OFF, 0},
    {"JMP, stepped", CODE("\xeb\x01\x90"), 1, OFF, 0},
    {"POPF that clears TF", CODE("\x6a\x02\x9d"), 1, OFF, 0},
    {"REP STOSB, stepped", CODE("\xf3\xaa"), 1, OFF, 0},
    {"REP STOSB over a watched byte", CODE("\xf3\xaa"), 0, WRITE_1, 1},
    {"MOV from a watched word", CODE("\x66\x8b\x07"), 0, ACCESS_2, 0},
    {"MOV from a watched word, stepped", CODE("\x66\x8b\x07"), 1, ACCESS_2, 0},
    {"MOV from a word watched for writes", CODE("\x66\x8b\x07"), 0, WRITE_2, 0},
    {"CMPXCHG that stores what was there", CODE("\x66\x0f\xb1\x0f"), 0, WRITE_2, 0},
    {"BT in a watched word", CODE("\x66\x0f\xba\x27\x00"), 0, ACCESS_2, 0},
    {"LEA of a watched word", CODE("\x48\x8d\x07"), 0, ACCESS_2, 0},
    {"PREFETCHT0 of a watched word", CODE("\x0f\x18\x0f"), 0, ACCESS_2, 0},
    {"DIV by a watched zero", CODE("\x66\xf7\x77\x20"), 0, ACCESS_2, 0x20},
    {"PUSH to a watched stack", CODE("\x51"), 0, ACCESS_8, STACK_AT - 8},
    {"CALL to a watched stack", CODE("\xe8\x00\x00\x00\x00"), 0, ACCESS_8, STACK_AT - 8},
    {"IRETQ from a watched stack", CODE("\x48\xcf"), 0, ACCESS_8, STACK_AT + 8},
    {"RETFQ from a watched stack", CODE("\x48\xcb"), 0, ACCESS_8, STACK_AT},
    {"ENTER that ends in a watched place", CODE("\xc8\x10\x00\x00"), 0, WRITE_1, STACK_AT - 24},
};

static unsigned char *code, *data;
static uint16_t selector;

static void set_up(const struct trial *trial)
{
    unsigned long frame[5] = {(unsigned long)code + TARGET, 0, 0x202,
                              (unsigned long)data + STACK_AT, selector};
    uint16_t cs;

    __asm__("mov %%cs, %0" : "=r"(cs));
    frame[1] = cs;
    memset(data, 0, AREA);
    memcpy(data, &selector, sizeof(selector));
    memcpy(data + STACK_AT, frame, sizeof(frame));
    memset(code, 0x90, CODE_ROOM);
    memcpy(code, trial->code, trial->bytes);
    memcpy(code + CODE_ROOM, "\x0f\x0b", 2);
}

static void skip(const char *what)
{
    perror(what);
    exit(SKIPPED);
}

static void poke_debug(pid_t pid, unsigned number, unsigned long value)
{
    size_t at = offsetof(struct user, u_debugreg) + number * sizeof(long);

    if (ptrace(PTRACE_POKEUSER, pid, at, value) != 0)
        skip("PTRACE_POKEUSER of a debug register");
}

static void start(pid_t pid, const struct trial *trial)
{
    struct user_regs_struct regs;

    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) != 0)
        skip("PTRACE_GETREGS");
    regs.rip = (unsigned long)code;
    regs.rdi = regs.rsi = (unsigned long)data;
    regs.rsp = (unsigned long)data + STACK_AT;
    regs.rax = selector;
    regs.rcx = 3;
    regs.rdx = 0;
    regs.eflags = 0x202 | (trial->step ? TF : 0);
    regs.orig_rax = -1UL;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    if (!trial->dr7)
        return;
    poke_debug(pid, 0, (unsigned long)data + trial->watched);
    poke_debug(pid, 7, trial->dr7);
}

/* Tells a stop; false: the last one of a trial. */
static int tell(pid_t pid, int status)
{
    const size_t dr6_at = offsetof(struct user, u_debugreg) + 6 * sizeof(long);
    struct user_regs_struct regs;
    long dr6;

    if (!WIFSTOPPED(status)) {
        printf(" ended with %#x;", (unsigned)status);
        return 0;
    }
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    dr6 = ptrace(PTRACE_PEEKUSER, pid, dr6_at, 0) & CAUSES;
    printf(" signal %d at +%lld, RCX %lld, DR6 %#lx;", WSTOPSIG(status),
           (long long)(regs.rip - (unsigned long)code), (long long)regs.rcx, dr6);
    poke_debug(pid, 6, 0);
    return WSTOPSIG(status) == SIGTRAP;
}

static void run(const struct trial *trial)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
            _exit(SKIPPED);
        raise(SIGSTOP);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        skip("a traced child");
    start(pid, trial);
    printf("%s:", trial->name);
    for (int i = 0; i < STOPS; i++) {
        ptrace(PTRACE_CONT, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!tell(pid, status))
            break;
    }
    putchar('\n');
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static void *area(int protection)
{
    void *at = mmap(NULL, AREA, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        skip("mmap");
    return at;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    code = area(PROT_READ | PROT_WRITE | PROT_EXEC);
    data = area(PROT_READ | PROT_WRITE);
    __asm__("mov %%ss, %0" : "=r"(selector));
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        set_up(&trials[i]);
        run(&trials[i]);
    }
    return 0;
}
