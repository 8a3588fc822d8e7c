/* 32-bit and PAE paging: rights, error codes, A and D, large pages, reserved bits, NX, SMEP, SMAP. */
#include "guest.h"
#include "prot.h"

#define GP 13
#define PF 14

#define P   0x001
#define W   0x002
#define U   0x004
#define A   0x020
#define D   0x040
#define PS  0x080

/* Error codes. */
#define E_P    1
#define E_W    2
#define E_U    4
#define E_RSVD 8
#define E_I    16

#define CR0_WP   0x00010000
#define CR0_PG   0x80000000
#define CR4_PSE  0x10
#define CR4_PAE  0x20
#define CR4_SMEP 0x100000
#define CR4_SMAP 0x200000
#define EFER     0xc0000080
#define NXE      0x800

#define PD   0x20000 /* 32-bit paging */
#define PT0  0x21000 /* identity */
#define PT1  0x22000 /* of VIRT */
#define PDPT 0x24020 /* PAE */
#define PD0  0x25000
#define APT0 0x26000
#define APT1 0x28000

#define VIRT 0x400000
#define PHYS 0x100000
#define PAGE 0x1000
#define PTE  PT1
#define PDE  PD + 4
#define APTE APT1
#define APDE PD0 + 16

#define UNLESS_TCG(...) cmpb $0, on_tcg; jne 7f; __VA_ARGS__; 7:
#define FLUSH      mov %cr3, %eax; mov %eax, %cr3
#define MAP(flags) movl $(PHYS | (flags)), PTE; FLUSH
#define MAP_PDE(flags) movl $(PT1 | (flags)), PDE; FLUSH
#define EXPECT_CR2(value) mov %cr2, %eax; cmp $(value), %eax; CHECK32(e)
#define EXPECT_BITS(entry, mask, value) mov entry, %eax; and $(mask), %eax; cmp $(value), %eax; CHECK32(e)
#define SET_CR(n, bits)   mov %cr##n, %eax; or $(bits), %eax; mov %eax, %cr##n
#define CLEAR_CR(n, bits) mov %cr##n, %eax; and $~(bits), %eax; mov %eax, %cr##n

    .data
gdt_more:
    GDT_END

    .code32
main32:
    mov $PD, %edi
    mov $0x9000 / 4, %ecx
    xor %eax, %eax
    rep stosl
    movl $(PT0 | P | W | U), PD
    movl $(PT1 | P | W | U), PDE
    mov $(P | W | U), %eax
    mov $PT0, %edi
    mov $1024, %ecx
1:  stosl
    add $PAGE, %eax
    loop 1b
    mov $PD, %eax
    mov %eax, %cr3
    SET_CR(0, CR0_PG)

    /* Not there: who did what. */
    FAULTS32(PF, 0, mov VIRT + 5, %al)
    EXPECT_CR2(VIRT + 5)
    FAULTS32(PF, E_W, mov %al, VIRT + 6)
    EXPECT_CR2(VIRT + 6)
    UNLESS_TCG(FAULTS32(PF, E_W, incb VIRT + 7))
    RING3(PF, E_U, ring3_read)
    RING3(PF, E_U | E_W, ring3_write)
    RING3(PF, E_U, VIRT)
    EXPECT_CR2(VIRT)
    FAULTS32(PF, 0, mov VIRT + 0x400000, %al) /* no page table either */
    EXPECT_CR2(VIRT + 0x400000)

    /* Accessed and dirty. */
    MAP(P | W | U)
    mov VIRT, %al
    EXPECT_BITS(PTE, A | D, A)
    mov %al, VIRT
    EXPECT_BITS(PTE, A | D, A | D)
    MAP(P | W | U)
    lock incb VIRT
    EXPECT_BITS(PTE, A | D, A | D)
    EXPECT_BITS(PDE, A | D, A) /* D is for the page, A for what led to it too */
    /* A fault for its rights leaves them alone. */
    MAP(P)
    RING3(PF, E_P | E_U, ring3_read)
    EXPECT_BITS(PTE, D, 0)

    /* Supervisor pages. */
    MAP(P | W)
    RING3(PF, E_P | E_U, ring3_read)
    RING3(PF, E_P | E_U | E_W, ring3_write)
    RING3(PF, E_P | E_U, VIRT)
    mov %al, VIRT
    /* Read-only pages, without and with WP. */
    MAP(P | U)
    RING3(RETURN, 0, ring3_read)
    RING3(PF, E_P | E_U | E_W, ring3_write)
    CLEAR_CR(0, CR0_WP)
    mov %al, VIRT
    EXPECT_BITS(PTE, A | D, A | D)
    MAP(P | U)
    SET_CR(0, CR0_WP)
    FAULTS32(PF, E_P | E_W, mov %al, VIRT)
    EXPECT_BITS(PTE, D, 0)
    FAULTS32(PF, E_P | E_W, xchg %al, VIRT)
    CLEAR_CR(0, CR0_WP)
    mov %al, VIRT
    /* The directory's word counts as much. */
    MAP(P | W | U)
    MAP_PDE(P | U)
    RING3(RETURN, 0, ring3_read)
    RING3(PF, E_P | E_U | E_W, ring3_write)
    SET_CR(0, CR0_WP)
    FAULTS32(PF, E_P | E_W, mov %al, VIRT)
    MAP_PDE(P | W)
    RING3(PF, E_P | E_U, ring3_read)
    MAP_PDE(0)
    FAULTS32(PF, 0, mov VIRT, %al)
    MAP_PDE(P | W | U)
    CLEAR_CR(0, CR0_WP)

    /* Across two pages, the second missing: nothing is written, CR2 names the second. */
    movl $0x11111111, PHYS + PAGE - 4
    FAULTS32(PF, E_W, movl $0x22222222, VIRT + PAGE - 2)
    EXPECT_CR2(VIRT + PAGE)
    EXPECT32(PHYS + PAGE - 4, 0x11111111)
    FAULTS32(PF, 0, mov VIRT + PAGE - 1, %ax)
    EXPECT_CR2(VIRT + PAGE)
    UNLESS_TCG(FAULTS32(PF, E_W, lock addl $1, VIRT + PAGE - 3))
    UNLESS_TCG(EXPECT_CR2(VIRT + PAGE))
    EXPECT32(PHYS + PAGE - 4, 0x11111111)
    RING3(PF, E_W | E_U, ring3_push)
    EXPECT_CR2(VIRT + PAGE)
    EXPECT32(frame_esp, VIRT + PAGE + 2)
    /* Code across them: MOV EAX, imm32 that begins on the last byte. */
    movb $0xb8, PHYS + PAGE - 1
    FAULTS32(PF, 0, mov $(VIRT + PAGE - 1), %eax; jmp *%eax)
    EXPECT_CR2(VIRT + PAGE)
    EXPECT32(frame_eip, VIRT + PAGE - 1)
    /* Both there, but not neighbours in memory. */
    movl $(0x110000 | P | W | U), PTE + 4
    movl $0x44332211, VIRT + PAGE - 2
    EXPECT32(PHYS + PAGE - 4, 0x22111111)
    movzwl 0x110000, %eax
    cmp $0x4433, %eax
    CHECK32(e)
    movb $0xb8, PHYS + PAGE - 1
    movl $0x600dcafe, 0x110000
    movb $0xc3, 0x110004
    mov $(VIRT + PAGE - 1), %eax
    call *%eax
    cmp $0x600dcafe, %eax
    CHECK32(e)

    /* INVLPG and a new CR3 make a changed entry count. */
    movb $1, PHYS
    movb $2, 0x111000
    mov VIRT, %al
    movl $(0x111000 | P | W | U), PTE
    invlpg VIRT + 0x123
    cmpb $2, VIRT
    CHECK32(e)
    MAP(P | W | U)
    cmpb $1, VIRT
    CHECK32(e)

    /* 4 MiB pages: PS means something with CR4.PSE only. */
    movl $(PS | P | W | U), PDE
    movl $0, 0
    FLUSH
    CLEAR_CR(4, CR4_PSE)
    movl $0x5a5a5a5a, 0x123000
    SET_CR(4, CR4_PSE)
    EXPECT32(VIRT + 0x123000, 0x5a5a5a5a)
    EXPECT_BITS(PDE, A | D, A)
    movb $1, VIRT + 0x123000
    EXPECT_BITS(PDE, A | D, A | D)
    movl $(0x200000 | PS | P | W | U), PDE /* bit 21 is reserved */
    FLUSH
    UNLESS_TCG(FAULTS32(PF, E_P | E_RSVD, mov VIRT, %al))
    UNLESS_TCG(FAULTS32(PF, E_P | E_RSVD | E_W, mov %al, VIRT))
    UNLESS_TCG(RING3(PF, E_P | E_RSVD | E_U, ring3_read))
    movl $(PS | P | W), PDE
    FLUSH
    RING3(PF, E_P | E_U, ring3_read)

    /* PAE: four directory pointers, read when CR3 is loaded. */
    CLEAR_CR(0, CR0_PG)
    CLEAR_CR(4, CR4_PSE)
    SET_CR(4, CR4_PAE)
    movl $(PD0 | P), PDPT
    movl $(APT0 | P | W | U), PD0
    movl $(APT0 + PAGE | P | W | U), PD0 + 8
    movl $(APT1 | P | W | U), APDE
    mov $(P | W | U), %eax
    mov $APT0, %edi
    mov $1024, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $8, %edi
    add $PAGE, %eax
    loop 1b
    mov $PDPT, %eax
    mov %eax, %cr3
    SET_CR(0, CR0_PG)
    movl $(PHYS | P | W | U), APTE
    FLUSH
    movl $0x01020304, PHYS + 8
    EXPECT32(VIRT + 8, 0x01020304)
    EXPECT_BITS(APTE, A | D, A)
    movb $1, VIRT
    EXPECT_BITS(APTE, A | D, A | D)
    FAULTS32(PF, 0, mov 0x40000000, %al) /* the second pointer is not present */
    EXPECT_CR2(0x40000000)
    movl $(PD0 | P), PDPT + 8
    UNLESS_TCG(FAULTS32(PF, 0, mov 0x40000000, %al)) /* written, not loaded */
    FLUSH
    mov 0x40000000 + PHYS, %al
    movl $(PD0 | P | W), PDPT + 8 /* W is reserved there */
    UNLESS_TCG(FAULTS32(GP, 0, mov $PDPT, %eax; mov %eax, %cr3))
    movl $0, PDPT + 8
    FLUSH
    movl $0x40000000, APTE + 4 /* an address that is too wide */
    invlpg VIRT
    UNLESS_TCG(FAULTS32(PF, E_P | E_RSVD, mov VIRT, %al))
    movl $0, APTE + 4
    movl $(PS | P | W | U), APDE
    FLUSH
    EXPECT32(VIRT + PHYS + 8, 0x01020304)
    EXPECT_BITS(APDE, D, 0)
    movl $(0x2000 | PS | P | W | U), APDE
    FLUSH
    UNLESS_TCG(FAULTS32(PF, E_P | E_RSVD, mov VIRT, %al))
    movl $(APT1 | P | W | U), APDE
    FLUSH

    /* NX, reserved until EFER.NXE is set. */
    movb $0xc3, VIRT
    movl $0x80000000, APTE + 4
    invlpg VIRT
    UNLESS_TCG(FAULTS32(PF, E_P | E_RSVD, mov VIRT, %al))
    mov $EFER, %ecx
    rdmsr
    or $NXE, %eax
    wrmsr
    FLUSH
    mov VIRT, %al
    mov $VIRT, %eax
    FAULTS32(PF, E_P | E_I, call *%eax)
    EXPECT_CR2(VIRT)
    RING3(PF, E_P | E_U | E_I, VIRT)
    movl $0, APTE + 4
    invlpg VIRT
    mov $VIRT, %eax
    call *%eax
    movl $0x80000000, APDE + 4
    FLUSH
    mov VIRT, %al
    mov $VIRT, %eax
    FAULTS32(PF, E_P | E_I, call *%eax)
    movl $0, APDE + 4
    FLUSH
    movl $0, APTE
    invlpg VIRT
    mov $VIRT, %eax
    FAULTS32(PF, E_I, call *%eax) /* with NXE even a missing page says that it was a fetch */
    movl $(PHYS | P | W | U), APTE

    /* SMEP and SMAP, where CPUID has them. The kernel's own pages become supervisor ones. */
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    mov %ebx, features
    mov $APT0, %edi
    mov $1024, %ecx
1:  andl $~U, (%edi)
    add $8, %edi
    loop 1b
    FLUSH
    testl $0x80, features
    jz 1f
    mov $VIRT, %eax
    call *%eax
    SET_CR(4, CR4_SMEP)
    mov $VIRT, %eax
    FAULTS32(PF, E_P | E_I, call *%eax)
    mov VIRT, %al
    CLEAR_CR(4, CR4_SMEP)
1:  testl $0x100000, features
    jz 1f
    SET_CR(4, CR4_SMAP)
    FAULTS32(PF, E_P, mov VIRT, %al)
    FAULTS32(PF, E_P | E_W, mov %al, VIRT)
    stac
    mov VIRT, %al
    mov %al, VIRT
    clac
    FAULTS32(PF, E_P, mov VIRT, %al)
    CLEAR_CR(4, CR4_SMAP)
1:
    PASS32

ring3_read:
    mov $UDATA, %eax
    mov %eax, %ds
    mov VIRT, %al
    int $RETURN
ring3_write:
    mov $UDATA, %eax
    mov %eax, %ds
    mov %al, VIRT
    int $RETURN
ring3_push:
    mov $(VIRT + PAGE + 2), %esp
    push %eax

    .data
features:
    .long 0
    .text
