/* 4-level paging: every level's rights and reserved bits, large pages, NX, SMEP, SMAP, PCID, INVPCID. */
#include "guest.h"
#include "long.h"

#define GP 13
#define PF 14

#define P  0x001
#define W  0x002
#define U  0x004
#define A  0x020
#define D  0x040
#define PS 0x080
#define G  0x100

#define E_P    1
#define E_W    2
#define E_U    4
#define E_RSVD 8
#define E_I    16

#define CR0_WP    0x00010000
#define CR4_PGE   0x80
#define CR4_PCIDE 0x20000
#define CR4_SMEP  0x100000
#define CR4_SMAP  0x200000
#define NXE       0x800

/* A tree of its own below entry 1 of the PML4: one page at VIRT. */
#define VIRT   0x8000000000
#define PML4E  TABLES + 8
#define PDPTE  0x28000
#define PDE    0x29000
#define PTE    0x2a000
#define PHYS   0x100000
#define OTHER  0x101000

#define FLUSH mov %cr3, %rax; mov %rax, %cr3
#define SET(entry, value) mov $(value), %rax; mov %rax, entry; FLUSH
#define PATH  movq $(PDPTE + P + W + U), PML4E; movq $(PDE + P + W + U), PDPTE;                    \
    movq $(PTE + P + W + U), PDE; movq $(PHYS + P + W + U), PTE; FLUSH
#define EXPECT_BITS(entry, mask, value) mov entry, %rax; and $(mask), %eax; cmp $(value), %eax; CHECK64(e)
#define EXPECT_CR2(value) mov %cr2, %rax; mov $(value), %rdx; cmp %rdx, %rax; CHECK64(e)
#define SET_CR(n, bits)   mov %cr##n, %rax; or $(bits), %rax; mov %rax, %cr##n
#define CLEAR_CR(n, bits) mov %cr##n, %rax; and $~(bits), %rax; mov %rax, %cr##n

    .data
gdt_more:
    GDT_END

    .code64
main64:
    mov $VIRT, %rbx
    mov $0x28000, %edi
    mov $0x3000 / 8, %ecx
    xor %eax, %eax
    rep stosq
    mov $KDATA, %eax
    mov %eax, %ss
    /* Missing at each level. */
    FAULTS64(PF, 0, mov (%rbx), %al)
    movq $(PDPTE + P + W + U), PML4E
    FAULTS64(PF, E_W, mov %al, (%rbx))
    movq $(PDE + P + W + U), PDPTE
    FAULTS64(PF, 0, mov (%rbx), %al)
    movq $(PTE + P + W + U), PDE
    FAULTS64(PF, 0, mov (%rbx), %al)
    EXPECT_CR2(VIRT)
    movq $(PHYS + P + W + U), PTE
    movq $0x12345678, PHYS
    cmpl $0x12345678, (%rbx) /* missing entries are not cached */
    CHECK64(e)
    EXPECT_BITS(PML4E, A | D, A)
    EXPECT_BITS(PDPTE, A | D, A)
    EXPECT_BITS(PDE, A | D, A)
    EXPECT_BITS(PTE, A | D, A)
    mov %al, (%rbx)
    EXPECT_BITS(PTE, A | D, A | D)
    EXPECT_BITS(PDE, A | D, A)

    /* Each level's word counts: U, W, and with NXE the execute disable bit. */
    mov $MSR_EFER, %ecx
    rdmsr
    or $NXE, %eax
    wrmsr
    SET_CR(0, CR0_WP)
    movb $0xc3, PHYS
    .irp entry, PML4E, PDPTE, PDE, PTE
    PATH
    RING3(RETURN, 0, ring3_read)
    RING3(RETURN, 0, ring3_write)
    andq $~U, \entry
    FLUSH
    RING3(PF, E_P | E_U, ring3_read)
    RING3(PF, E_P | E_U | E_W, ring3_write)
    movb $0xc3, (%rbx)
    PATH
    andq $~W, \entry
    FLUSH
    RING3(RETURN, 0, ring3_read)
    RING3(PF, E_P | E_U | E_W, ring3_write)
    FAULTS64(PF, E_P | E_W, mov %al, (%rbx))
    CLEAR_CR(0, CR0_WP)
    movb $0xc3, (%rbx)
    SET_CR(0, CR0_WP)
    PATH
    call *%rbx
    btsq $63, \entry
    FLUSH
    FAULTS64(PF, E_P | E_I, call *%rbx)
    RING3(PF, E_P | E_U | E_I, ring3_call)
    mov (%rbx), %al
    PATH
    .endr
    /* Reserved: the large page bit of a PML4 entry, address bits above what CPUID says. */
    orq $PS, PML4E
    FLUSH
    UNLESS_TCG(FAULTS64(PF, E_P | E_RSVD, mov (%rbx), %al))
    PATH
    .irp entry, PML4E, PDPTE, PDE, PTE
    btsq $51, \entry
    FLUSH
    UNLESS_TCG(FAULTS64(PF, E_P | E_RSVD, mov (%rbx), %al); RING3(PF, E_P | E_RSVD | E_U | E_W, ring3_write))
    PATH
    .endr

    /* 2 MiB, and 1 GiB where CPUID has it. */
    movq $0x0102030405060708, %rax
    mov %rax, 0x345678
    SET(PDE, 0x200000 | PS | P | W | U)
    mov 0x145678(%rbx), %rax
    mov $0x0102030405060708, %rdx
    cmp %rax, %rdx
    CHECK64(e)
    EXPECT_BITS(PDE, A | D, A)
    movb $8, 0x145678(%rbx)
    EXPECT_BITS(PDE, A | D, A | D)
    SET(PDE, 0x202000 | PS | P | W | U)
    UNLESS_TCG(FAULTS64(PF, E_P | E_RSVD, mov (%rbx), %al))
    mov $0x80000001, %eax
    cpuid
    mov $VIRT, %rbx
    test $0x4000000, %edx
    jz 1f
    SET(PDPTE, PS | P | W | U)
    mov 0x345678(%rbx), %rax
    mov $0x0102030405060708, %rdx
    cmp %rax, %rdx
    CHECK64(e)
    SET(PDPTE, 0x200000 | PS | P | W | U)
    UNLESS_TCG(FAULTS64(PF, E_P | E_RSVD, mov (%rbx), %al))
1:  PATH

    /* Across pages, and to the end of the lower half. */
    FAULTS64(PF, E_W, mov %rax, 0xffc(%rbx))
    EXPECT_CR2(VIRT + 0x1000)
    movl $0x11111111, PHYS + 0xffc
    FAULTS64(PF, E_W, movq $-1, 0xff9(%rbx))
    cmpl $0x11111111, PHYS + 0xffc
    CHECK64(e)
    mov $0x7ffffffffffd, %rdx
    UNLESS_TCG(FAULTS64(GP, 0, mov (%rdx), %eax)) /* its end is not canonical */

    /* INVLPG, global pages, a new CR3. */
    SET_CR(4, CR4_PGE)
    movl $0x01010101, PHYS
    movl $0x02020202, OTHER
    movq $(PHYS + P + W + U + G), PTE
    invlpg (%rbx)
    cmpl $0x01010101, (%rbx)
    CHECK64(e)
    movq $(OTHER + P + W + U + G), PTE
    invlpg (%rbx)
    cmpl $0x02020202, (%rbx)
    CHECK64(e)
    movq $(PHYS + P + W + U), PTE
    CLEAR_CR(4, CR4_PGE) /* flushes global pages too */
    cmpl $0x01010101, (%rbx)
    CHECK64(e)
    movq $(OTHER + P + W + U), PTE
    FLUSH
    cmpl $0x02020202, (%rbx)
    CHECK64(e)

    /* PCID and INVPCID. */
    mov $1, %eax
    cpuid
    mov $VIRT, %rbx
    test $0x20000, %ecx
    jz 1f
    mov $(TABLES | 0x18), %eax
    mov %rax, %cr3
    FAULTS64(GP, 0, SET_CR(4, CR4_PCIDE)) /* CR3 bits 0 to 11 must be clear */
    mov $TABLES, %eax
    mov %rax, %cr3
    SET_CR(4, CR4_PCIDE)
    mov $(TABLES | 5), %eax
    mov %rax, %cr3
    mov %cr3, %rdx
    cmp %rax, %rdx
    CHECK64(e)
    bts $63, %rax
    mov %rax, %cr3
    mov %cr3, %rdx
    cmp $(TABLES | 5), %rdx /* bit 63 is not kept */
    CHECK64(e)
    cmpl $0x02020202, (%rbx)
    CHECK64(e)
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    test $0x400, %ebx
    mov $VIRT, %rbx
    jz 2f
    movq $5, descriptor
    mov %rbx, descriptor + 8
    .irp type, 0, 1, 2, 3
    movq $(PHYS + P + W + U), PTE
    mov $\type, %eax
    invpcid descriptor, %rax
    cmpl $0x01010101, (%rbx)
    CHECK64(e)
    movq $(OTHER + P + W + U), PTE
    mov $\type, %eax
    invpcid descriptor, %rax
    cmpl $0x02020202, (%rbx)
    CHECK64(e)
    .endr
    FAULTS64(GP, 0, mov $4, %eax; invpcid descriptor, %rax)
    movq $0x1005, descriptor
    FAULTS64(GP, 0, xor %eax, %eax; invpcid descriptor, %rax)
2:  mov $TABLES, %eax
    mov %rax, %cr3
    CLEAR_CR(4, CR4_PCIDE)

    /* SMEP and SMAP: the first 2 MiB, where the kernel lives, become a supervisor page. */
1:  PATH
    movb $0xc3, (%rbx)
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    mov %ebx, %ebp
    mov $VIRT, %rbx
    andb $~U, TABLES + 0x2000
    FLUSH
    test $0x80, %ebp
    jz 1f
    call *%rbx
    SET_CR(4, CR4_SMEP)
    FAULTS64(PF, E_P | E_I, call *%rbx)
    CLEAR_CR(4, CR4_SMEP)
1:  test $0x100000, %ebp
    jz 1f
    SET_CR(4, CR4_SMAP)
    FAULTS64(PF, E_P, mov (%rbx), %al)
    FAULTS64(PF, E_P | E_W, mov %al, (%rbx))
    FAULTS64(PF, E_P, mov (%rbx), %ds)
    stac
    mov (%rbx), %al
    mov %al, (%rbx)
    clac
    /* A run of code that begins with AC set and clears it; often, so that it is translated. */
    mov $200, %ecx
2:  stac
    jmp 3f
3:  mov (%rbx), %al
    clac
    FAULTS64(PF, E_P, mov (%rbx), %al)
    dec %ecx
    jnz 2b
    CLEAR_CR(4, CR4_SMAP)
1:
    PASS64

ring3_read:
    mov $VIRT, %rbx
    mov (%rbx), %al
    int $RETURN
ring3_write:
    mov $VIRT, %rbx
    movb $0xc3, (%rbx)
    int $RETURN
ring3_call:
    mov $VIRT, %rbx
    call *%rbx

    .data
    .balign 16
descriptor:
    .quad 0, 0
    .text
