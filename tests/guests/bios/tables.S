/*
 * The tables that a guest searches the ROM for: MP, $PIR, SMBIOS and the ACPI pointer, each at a
 * multiple of 16 and with a sum of 0. The monitor places them, so this guest is Umbra's only.
 */
#include "bios.h"

    .equ ISA_BRIDGE, 0x0008 /* bus 0, device 1, function 0 */

tests:
    pushw $0xf000
    popw %es
    call test_mp
    call test_pir
    call test_smbios
    call test_acpi
    pushw $0
    popw %es
    ret

/* Looks for the dword EAX from ES:0 on; DI is its offset, carry says that there is none. */
find:
    xorw %di, %di
1:  cmpl %eax, %es:(%di)
    je 2f
    addw $16, %di
    jnz 1b
    stc
    ret
2:  clc
    ret

/* Sums CX bytes at ES:DI; zero says that the sum is 0. */
sum:
    pushaw
    xorb %al, %al
1:  addb %es:(%di), %al
    incw %di
    loop 1b
    testb %al, %al
    popaw
    ret

test_mp:
    movl $0x5f504d5f, %eax /* "_MP_" */
    call find
    EXPECT nc, "MP: the floating pointer"
    movw $16, %cx
    call sum
    EXPECT z, "MP: its sum"
    movw %es:11(%di), %ax
    EXPECT_EQ $0, %ax, "MP: a table, virtual wire mode"
    movl %es:4(%di), %eax
    movl %eax, %edx
    andl $0xffff0000, %edx
    EXPECT_EQ $0xf0000, %edx, "MP: the table is in the ROM"
    movw %ax, %di
    movl %es:(%di), %eax
    EXPECT_EQ $0x504d4350, %eax, "MP: PCMP"
    movw %es:4(%di), %cx
    call sum
    EXPECT z, "MP: the table's sum"
    movl %es:36(%di), %eax
    EXPECT_EQ $0xfee00000, %eax, "MP: the local APIC"
    movb %es:44(%di), %al
    EXPECT_EQ $0, %al, "MP: a processor comes first"
    movb %es:47(%di), %al
    EXPECT_EQ $3, %al, "MP: which is enabled and starts"
    movl $1, %eax
    pushw %di
    cpuid
    popw %di
    movl %es:48(%di), %ecx
    EXPECT_EQ %eax, %ecx, "MP: and has the signature that CPUID tells"
    ret

/* Each link of device 1 is a register of the ISA bridge that holds an interrupt of the choice. */
test_pir:
    movl $0x52495024, %eax /* "$PIR" */
    call find
    EXPECT nc, "PIR: the table"
    movw %es:6(%di), %cx
    call sum
    EXPECT z, "PIR: its sum"
    movw %es:8(%di), %ax
    EXPECT_EQ $0x0800, %ax, "PIR: the router is device 1"
    movb %es:33(%di), %al
    EXPECT_EQ $0x08, %al, "PIR: the first slot is device 1"
    movw $4, %cx
    leaw 34(%di), %si
1:  pushw %cx
    pushw %di
    movw $0xb108, %ax
    movw $ISA_BRIDGE, %bx
    movzbw %es:(%si), %di
    int $0x1a
    movzbw %cl, %ax
    popw %di
    popw %cx
    btw %ax, %es:1(%si)
    EXPECT c, "PIR: a link is routed to one of its choices"
    addw $3, %si
    loop 1b
    ret

test_smbios:
    movl $0x5f4d535f, %eax /* "_SM_" */
    call find
    EXPECT nc, "SMBIOS: the entry point"
    movzbw %es:5(%di), %cx
    call sum
    EXPECT z, "SMBIOS: its sum"
    movl %es:16(%di), %eax
    EXPECT_EQ $0x494d445f, %eax, "SMBIOS: _DMI_"
    addw $16, %di
    movw $15, %cx
    call sum
    EXPECT z, "SMBIOS: the second sum"
    movl %es:8(%di), %eax
    subl $0xf0000, %eax
    movw %ax, %di
    shrl $16, %eax
    EXPECT z, "SMBIOS: the structures are in the ROM"
    movw %es:(%di), %ax
    EXPECT_EQ $0x1800, %ax, "SMBIOS: the BIOS comes first"
    ret

test_acpi:
    movl $0x20445352, %eax /* "RSD " */
    call find
    EXPECT nc, "ACPI: the pointer"
    movw $20, %cx
    call sum
    EXPECT z, "ACPI: its sum"
    movw $36, %cx
    call sum
    EXPECT z, "ACPI: the sum of all"
    ret
