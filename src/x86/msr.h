/*
 * The numbers of the model-specific registers that Umbra knows, by their names in SDM 4
 * "Architectural MSRs". Guest code reads it as well: macros only.
 */
#ifndef UMBRA_X86_MSR_H
#define UMBRA_X86_MSR_H

#define IA32_P5_MC_ADDR         0x000
#define IA32_P5_MC_TYPE         0x001
#define IA32_TIME_STAMP_COUNTER 0x010
#define IA32_PLATFORM_ID        0x017
#define IA32_APIC_BASE          0x01b
#define MSR_EBL_CR_POWERON      0x02a
#define IA32_BIOS_UPDT_TRIG     0x079
#define IA32_BIOS_SIGN_ID       0x08b
#define IA32_MTRRCAP            0x0fe
#define IA32_SYSENTER_CS        0x174
#define IA32_SYSENTER_ESP       0x175
#define IA32_SYSENTER_EIP       0x176
#define IA32_MCG_CAP            0x179
#define IA32_MCG_STATUS         0x17a
#define IA32_MISC_ENABLE        0x1a0
#define IA32_DEBUGCTL           0x1d9
#define IA32_MTRR_PHYSBASE0     0x200 /* masks and further pairs follow */
#define IA32_MTRR_FIX64K_00000  0x250
#define IA32_MTRR_FIX16K_80000  0x258
#define IA32_MTRR_FIX16K_A0000  0x259
#define IA32_MTRR_FIX4K_C0000   0x268 /* eight of them, 32 KiB each */
#define IA32_PAT                0x277
#define IA32_MTRR_DEF_TYPE      0x2ff
#define IA32_TSC_DEADLINE       0x6e0
#define IA32_X2APIC_FIRST       0x800 /* the local APIC's registers, and reserved up to the last */
#define IA32_X2APIC_LAST        0x8ff
#define IA32_EFER               0xc0000080u
#define IA32_STAR               0xc0000081u
#define IA32_LSTAR              0xc0000082u
#define IA32_CSTAR              0xc0000083u
#define IA32_FMASK              0xc0000084u
#define IA32_FS_BASE            0xc0000100u
#define IA32_GS_BASE            0xc0000101u
#define IA32_KERNEL_GS_BASE     0xc0000102u
#define IA32_TSC_AUX            0xc0000103u

#endif
