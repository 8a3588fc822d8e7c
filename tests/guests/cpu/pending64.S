/*
 * Single steps over the fast system calls: TF counts behind SYSCALL and SYSRET as they leave it, SYSENTER
 * and SYSEXIT leave it alone. A watched load of SS in front of SYSCALL. See engine/soft/single.c.
 */
#include "guest.h"
#include "long.h"

#define DB 1
#define UD 6
#define BS 0x4000
#define TF 0x100
#define IF 0x200

#define MSR_STAR   0xc0000081
#define MSR_LSTAR  0xc0000082
#define MSR_SFMASK 0xc0000084

#define ACCESS2(n) (2 << (2 * (n)) | 0x7 << (16 + 4 * (n)))

#define LOAD(seg, selector) mov $(selector), %eax; mov %eax, %seg
#define CLEAR_DR6           xor %eax, %eax; mov %rax, %dr6
#define EXPECT_DR6(causes)                                                                         \
    mov %dr6, %rax; and $0xe00f, %eax; cmp $(causes), %eax; CHECK64(e); CLEAR_DR6
#define EXPECT_RIP(label) EXPECT64(frame_rip, label)

    .data
gdt_more:
    GDT_END

    .code64
main64:
    LOAD(ss, KDATA)
    CLEAR_DR6
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_SCE, %eax
    wrmsr
    WRITE_MSR(MSR_STAR, 0, (UCODE32 << 16) | KCODE)
    WRITE_MSR(MSR_LSTAR, on_syscall, 0)
    WRITE_MSR(MSR_SFMASK, IF, 0)

    /* FMASK leaves TF: the step is behind SYSCALL; R11 has TF. */
    RING3(DB, 0, ring3_step_syscall)
    EXPECT_RIP(on_syscall)
    EXPECT64(frame_cs, KCODE)
    EXPECT_DR6(BS)
    test $TF, %r11d
    CHECK64(nz)
    /* FMASK takes TF: none there, and the step comes right behind SYSRET. */
    WRITE_MSR(MSR_SFMASK, TF | IF, 0)
    RING3(DB, 0, ring3_step_syscall)
    EXPECT_RIP(behind_syscall)
    EXPECT64(frame_cs, UCODE)
    EXPECT_DR6(BS)
    /* SYSRET sets TF by itself. */
    FAULTS64(DB, 0, mov $ring3_target, %ecx; mov $(TF | 2), %r11d; sysretq)
    EXPECT_RIP(ring3_target)
    EXPECT_DR6(BS)
    LOAD(ss, KDATA)
    /* SYSRET clears it: no step behind it, as elsewhere the old TF does not count. */
    FAULTS64(RETURN, 0, mov $ring3_target, %ecx; mov $0x3002, %r11d; pushq $(TF | 2); popfq; sysretq)
    EXPECT_DR6(0)
    LOAD(ss, KDATA)

    cmpb $0, on_tcg
    jne passed
    WRITE_MSR(0x174, KCODE, 0)
    WRITE_MSR(0x175, 0x6800, 0)
    WRITE_MSR(0x176, on_sysenter, 0)
    RING3(DB, 0, ring3_step_sysenter)
    EXPECT_RIP(on_sysenter)
    EXPECT_DR6(BS)
    LOAD(ss, KDATA)
    FAULTS64(DB, 0, mov $ring3_target, %edx; mov $STACK3, %ecx; pushq $(TF | 2); popfq; rex.w sysexit)
    EXPECT_RIP(ring3_target)
    EXPECT64(frame_cs, KCODE + 32 + 3)
    EXPECT_DR6(BS)

    /* What waits from a load of SS comes at the first instruction of the kernel. */
    mov $data_selector, %eax
    mov %rax, %dr0
    mov $ACCESS2(0), %eax
    mov %rax, %dr7
    RING3(DB, 0, ring3_load_syscall)
    EXPECT_RIP(on_syscall)
    EXPECT64(frame_cs, KCODE)
    EXPECT_DR6(1)
    /* From level 3 INT1 takes it along. */
    RING3(DB, 0, ring3_load_int1)
    EXPECT_RIP(behind_int1)
    EXPECT64(frame_cs, UCODE)
    EXPECT_DR6(1)
    nop
    EXPECT_DR6(0)
passed:
    PASS64

on_syscall:
    sysretq

on_sysenter:
    UNREACHED64

ring3_step_syscall:
    pushq $(TF | 2)
    popfq
    syscall
behind_syscall:
    UNREACHED64
ring3_step_sysenter:
    pushq $(TF | 2)
    popfq
    sysenter
ring3_target:
    int $RETURN
ring3_load_syscall:
    mov data_selector, %ss
    syscall
    UNREACHED64
ring3_load_int1:
    mov data_selector, %ss
    .byte 0xf1
behind_int1:
    UNREACHED64

    .data
data_selector:
    .word UDATA
    .text
