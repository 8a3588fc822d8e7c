/*
 * A small guest for fuzzing the processor: the real board, a stepped clock, a world of tables and
 * handlers in its memory, a mode to start in, and code made of dice.
 *
 *   guest-physical        what
 *   0 ............... 3FF interrupt vector table      4000 .... 7FFF  TSSs, protected-mode handlers
 *   600 ............ 15FF real-mode handlers          10000 .. 13FFF  the code
 *   2000, 2800, 3000      GDT, LDT, IDT               20000 .. 2FFFF  random data
 *   40000 ......... 4FFFF page tables                 30000 .. 3FFFF  stacks
 */
#ifndef UMBRA_TESTS_FUZZ_GUEST_H
#define UMBRA_TESTS_FUZZ_GUEST_H

#include "base/clock.h"
#include "engine/engine.h"
#include "guest/dice.h"
#include "mem/layout.h"
#include "vm/board.h"
#include "x86/cpuid.h"
#include "x86/insn.h"

#define GUEST_MEMORY        (2 * MIB)
#define GUEST_REAL_HANDLERS 0x0600u /* 16 bytes each, as the others */
#define GUEST_GDT           0x2000u
#define GUEST_GDT_ENTRIES   40
#define GUEST_LDT           0x2800u
#define GUEST_LDT_ENTRIES   16
#define GUEST_IDT           0x3000u
#define GUEST_TSS           0x4000u /* the current one, with an I/O map */
#define GUEST_TSS_BYTES     0x2068u
#define GUEST_TSS_OTHER     0x6800u /* further ones, 200h apart: 32-bit, 16-bit, 16-bit */
#define GUEST_HANDLERS      0x7000u
#define GUEST_CODE          0x10000u
#define GUEST_CODE_BYTES    0x4000u
#define GUEST_DATA          0x20000u
#define GUEST_DATA_BYTES    0x10000u
#define GUEST_STACKS        0x30000u
#define GUEST_TABLES        0x40000u
#define GUEST_TABLES_BYTES  0x10000u
#define GUEST_COPIES        0x50000u /* of the code */
#define GUEST_COPIES_END    0x90000u
#define GUEST_DISK_BYTES    (64 * KIB)

/* Selectors of the GDT, the same in all modes. */
enum guest_selector {
    SEL_CODE32 = 0x08,
    SEL_DATA32 = 0x10,
    SEL_CODE16 = 0x18,
    SEL_DATA16 = 0x20,
    SEL_CODE64 = 0x28,
    SEL_USER_CODE32 = 0x33,
    SEL_USER_DATA = 0x3b,
    SEL_USER_CODE64 = 0x43,
    SEL_TSS = 0x48,
    SEL_LDT = 0x58,
    SEL_TSS_OTHER = 0x68,
    SEL_TSS16 = 0x78,
    SEL_TSS16_OTHER = 0x80,
    SEL_TASK_GATE = 0x88,
    SEL_CALL_GATE = 0x98,
    SEL_CALL_GATE16 = 0xa8,
    SEL_CONFORMING = 0xb8,
    SEL_DOWN32 = 0xc0,
    SEL_DOWN16 = 0xc8,
    SEL_EXECUTE_ONLY = 0xd0,
    SEL_READ_ONLY = 0xd8,
    SEL_ABSENT = 0xe0,
    SEL_CODE_1 = 0xe8,
    SEL_DATA_1 = 0xf0,
    SEL_USER_CODE16 = 0xfb,
    SEL_CALL_GATE_DOWN = 0x100,
};

/* Where a case starts. */
enum guest_mode {
    GUEST_REAL,
    GUEST_REAL_BIG, /* limits of 4 GiB */
    GUEST_PROT16,
    GUEST_PROT32,
    GUEST_PROT32_USER,
    GUEST_VM86,
    GUEST_PAGED32,
    GUEST_PAGED32_USER,
    GUEST_PAE,
    GUEST_PAE_USER,
    GUEST_LONG,
    GUEST_LONG_USER,
    GUEST_COMPAT32,
    GUEST_COMPAT16,
    GUEST_COMPAT_USER,
    GUEST_MODES
};

extern const char *const guest_mode_names[GUEST_MODES];

struct guest {
    enum guest_mode mode;
    struct dice *dice;
    struct layout layout;
    struct mem *mem;
    struct mmu *mmu;
    struct clock_stepped clock;
    struct cpu_model model;
    struct board *board;
    struct block *disk, *cdrom;
    struct block_queue *disk_queue, *cdrom_queue; /* without threads */
    struct engine_host host;
    struct engine_vcpu *vcpu;
    bool reset_requested, ended, kicked;
    unsigned calls; /* of the host functions */
    uint8_t disk_bytes[GUEST_DISK_BYTES], cdrom_bytes[GUEST_DISK_BYTES];
};

/* A finding: the program ends with a stack trace. */
#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond))                                                                               \
            guest_finding(#cond, __FILE__, __LINE__);                                              \
    } while (0)

no_return void guest_finding(const char *condition, const char *file, int line);

/* --- machine.c --- */

/* Makes memory and board; the vCPU stays NULL. */
void guest_create_board(struct guest *guest);

/* Makes all of it. */
void guest_create(struct guest *guest);
void guest_destroy(struct guest *guest);

/* Runs the vCPU for so many blocks, through halts and resets, checking its state at each stop. */
void guest_run(struct guest *guest, uint64_t blocks);

/* The host's disks do what was asked of them, or take their time. */
void guest_work_disks(struct guest *guest);

/* --- signals.c --- */

/* To be called before and after the engine installs its handlers of fatal signals. */
void guest_signals_before(void);
void guest_signals_after(void);

/* --- world.c --- */

/* Fills the guest's memory with tables and handlers and sets the state in which the mode starts. */
void guest_world_make(struct guest *guest);

/* How the code at GUEST_CODE is decoded at first. */
enum x86_mode guest_decode_mode(enum guest_mode mode);
bool guest_mode_long(enum guest_mode mode);
unsigned guest_mode_cpl(enum guest_mode mode);

/* --- tables.c --- */

/* Writes the GDT, LDT, IDT and TSSs for a mode. */
void guest_tables_make(struct guest *guest);

/* Writes page tables of the mode's format; returns CR3. */
uint64_t guest_pages_make(struct guest *guest, uint64_t pdpte[4]);

/* --- code.c --- */

/* Values that tend to lie at an edge of something. */
uint64_t guest_interesting(struct dice *dice);
uint64_t guest_interesting_address(struct dice *dice);
uint16_t guest_interesting_selector(struct dice *dice);

/* Makes code for a mode: instructions that decode, and sequences that do something together. */
void guest_code_make(struct dice *dice, enum x86_mode mode, uint8_t *code, size_t bytes);

/* --- check.c --- */

/* Ends the program if the vCPU's state is one that no processor can be in. */
void guest_check_state(struct guest *guest, enum engine_stop why);

/* --- case.c --- */

/* One case from beginning to end. */
void guest_case(enum guest_mode mode, struct dice *dice);

#endif
