/*
 * The table of `umbra run`'s options, under the headings of its help text, and the names that other
 * virtual machine monitors have for them.
 */
#include "cmd/run_options.h"

#include <stdio.h>

#include "cmd/command.h"

#define FIELD(name) offsetof(struct run_options, config.name)
#define HEADING(text)                                                                              \
    {                                                                                              \
        NULL, NULL, text, OPTION_HEADING, 0                                                        \
    }

/* clang-format off */
static const struct option_row rows[] = {
    HEADING("What to start"),
    {"kernel", "FILE", "Linux bzImage or multiboot kernel", OPTION_STRING, FIELD(kernel)},
    {"initrd", "FILE", "initial RAM disk for the kernel", OPTION_STRING, FIELD(initrd)},
    {"append", "TEXT", "command line for the kernel", OPTION_STRING, FIELD(append)},
    {"disk", "FILE", "raw image of the IDE disk; the guest writes to it", OPTION_STRING,
     FIELD(disk)},
    {"floppy", "FILE", "raw image that is a floppy, whatever its size", OPTION_STRING,
     FIELD(floppy)},
    {"cdrom", "FILE", "image in the IDE CD drive", OPTION_STRING, FIELD(cdrom)},
    {"bios", "FILE", "a BIOS in the place of Umbra's own", OPTION_STRING, FIELD(bios)},

    HEADING("The guest's PC"),
    {"memory", "SIZE", "guest memory: 512 or 512M (the default), 8G", OPTION_SIZE,
     FIELD(memory_bytes)},
    {"cpu", "MODEL", "x86-64-v1, x86-64-v2, x86-64-v3, or max (the default)", OPTION_STRING,
     FIELD(cpu_model)},

    HEADING("Engine (umbra help soft, umbra help kvm)"),
    {"engine", "auto|kvm|soft", "who runs the guest (auto); umbra engines tells more",
     OPTION_CHOICE, FIELD(engine)},
    {"irqchip", "host|user", "with kvm: whose interrupt controllers (host)", OPTION_CHOICE,
     FIELD(user_irqchip)},
    {"mmu", "auto|ept|shadow", "with soft: how memory is virtualized (auto: ept)", OPTION_CHOICE,
     FIELD(mmu)},
    {"shadow-pages", "N", "with --mmu shadow: at most N shadow pages (16384)", OPTION_NUMBER,
     FIELD(shadow_pages)},
    {"monitor-memory", "SIZE", "with soft: bound on memory beside the guest's (384M)",
     OPTION_SIZE, FIELD(monitor_memory_bytes)},
    {"tlb-entries", "N", "with soft: entries of a TLB table (4096)", OPTION_NUMBER,
     FIELD(tlb_entries)},
    {"translate", "on|off|N", "with soft: translate code (on); N: at its Nth run",
     OPTION_STRING, offsetof(struct run_options, translate)},

    HEADING("The host's memory behind the guest's"),
    {"memory-backend", "anon|memfd|hugetlb", "what guest memory is made of (anon)", OPTION_CHOICE,
     FIELD(memory_backend)},
    {"prealloc", NULL, "take all guest memory from the host at the start", OPTION_FLAG,
     FIELD(prealloc)},
    {"ksm", NULL, "let the host merge equal pages (KSM)", OPTION_FLAG, FIELD(ksm)},
    {"thp", NULL, "ask the host for transparent huge pages", OPTION_FLAG, FIELD(thp)},

    HEADING("How a run ends"),
    {"timeout", "SECONDS", "end with status 36 after so many seconds", OPTION_NUMBER,
     FIELD(timeout_s)},
    {"no-reboot", NULL, "end with status 32 when the guest resets", OPTION_FLAG, FIELD(no_reboot)},
    {"screen", NULL, "print the guest's text screen at the end", OPTION_FLAG, FIELD(screen)},

    HEADING("Looking into it"),
    {"monitor", "ADDRESS", "monitor console at unix:PATH or a TCP PORT", OPTION_STRING,
     FIELD(monitor)},
    {"gdb", "ADDRESS", "let gdb attach, at a TCP PORT or unix:PATH", OPTION_STRING,
     FIELD(gdb)},
    {"wait", NULL, "with --gdb: wait for gdb to start the guest", OPTION_FLAG, FIELD(wait)},
    {"trace", "GLOB", "print events whose names match (umbra help trace)", OPTION_LIST,
     offsetof(struct run_options, traces)},
    {"stats", "FILE.json", "time exits; counters at the end, or in a file",
     OPTION_OPTIONAL, offsetof(struct run_options, stats)},
    {"stats-interval", "SECONDS", "print a line of rates every so many seconds", OPTION_NUMBER,
     FIELD(stats_interval_s)},

    HEADING("Safety (docs/security.md)"),
    {"sandbox", "on|off", "give up system calls that no thread needs (on)", OPTION_CHOICE,
     FIELD(sandbox_off)},

    HEADING("Runs that repeat exactly"),
    {"clock", "host|instructions[=NS]",
     "what virtual time counts (host)", OPTION_STRING,
     offsetof(struct run_options, clock)},
    {"digest", "FILE", "write registers and a hash of memory (tools/lockstep)",
     OPTION_STRING, FIELD(digest)},
    {"digest-every", "N", "instructions between two digests (1000000)", OPTION_NUMBER,
     FIELD(digest_every)},
    {"digest-from", "N", "instructions before the first digest", OPTION_NUMBER, FIELD(digest_from)},
    {"digest-to", "N", "end the run after the last digest up to here", OPTION_NUMBER,
     FIELD(digest_to)},
    {"digest-memory", "FILE", "with --digest-to: write guest memory there at the end",
     OPTION_STRING, FIELD(digest_memory)},
};
/* clang-format on */

#define ONE_MACHINE "there is one kind of PC; leave it out"
#define TEXT_ONLY   "the terminal is the guest's serial line, and there are no graphics; leave it out"
#define NO_NETWORK  "the PC has no network; leave it out"
#define ONE_CPU     "the PC has one processor; leave it out"
#define ONE_DISK    "Umbra says --disk FILE, for one raw image"

/* Names of QEMU, kvmtool and others. One that differs only in its dashes needs no row. */
static const struct option_foreign foreign[] = {
    {"m", "Umbra says --memory SIZE"},
    {"mem", "Umbra says --memory SIZE"},
    {"ram", "Umbra says --memory SIZE"},
    {"smp", ONE_CPU},
    {"cpus", ONE_CPU},
    {"vcpus", ONE_CPU},
    {"hda", ONE_DISK},
    {"hdb", ONE_DISK},
    {"fda", "Umbra says --floppy FILE"},
    {"hdc", "Umbra says --cdrom FILE"},
    {"hdd", ONE_DISK},
    {"drive", ONE_DISK},
    {"blockdev", ONE_DISK},
    {"net", NO_NETWORK},
    {"network", NO_NETWORK},
    {"netdev", NO_NETWORK},
    {"nic", NO_NETWORK},
    {"nographic", TEXT_ONLY},
    {"display", TEXT_ONLY},
    {"curses", TEXT_ONLY},
    {"vga", TEXT_ONLY},
    {"vnc", TEXT_ONLY},
    {"serial", TEXT_ONLY},
    {"machine", ONE_MACHINE},
    {"M", ONE_MACHINE},
    {"device", "the PC's devices are always the same; leave it out"},
    {"boot", "a kernel comes first, then a CD that can boot, then the disk; leave it out"},
    {"enable-kvm", "Umbra says --engine kvm"},
    {"kvm", "Umbra says --engine kvm"},
    {"accel", "Umbra says --engine kvm or --engine soft"},
    {"qmp", "Umbra says --monitor unix:PATH"},
    {"s", "Umbra says --gdb 1234"},
    {"S", "Umbra says --wait, with --gdb PORT"},
    {"d", "Umbra says --trace GLOB"},
    {"icount", "Umbra says --clock instructions"},
    {"mem-prealloc", "Umbra says --prealloc"},
    {"mem-path", "Umbra says --memory-backend hugetlb"},
    {"pflash", "there is no UEFI; for a BIOS Umbra says --bios FILE"},
    {"params", "Umbra says --append TEXT"},
    {"version", "umbra version prints it"},
    {"V", "umbra version prints it"},
};

const struct option_table run_option_table = {
    .command = "umbra run",
    .rows = rows,
    .count = ARRAY_SIZE(rows),
    .file_offset = FIELD(file),
    .foreign = foreign,
    .foreign_count = ARRAY_SIZE(foreign),
};

void help_print_run(void)
{
    printf("umbra run [FILE] [OPTION...]\n\n"
           "FILE is a Linux bzImage, a multiboot kernel, a raw disk image, a bootable CD\n"
           "image or a flat real-mode binary; its content decides. Without it, a kernel or a\n"
           "drive a small guest inside Umbra runs.\n");
    options_print_help(&run_option_table);
    printf("\nOn a terminal Ctrl-a x quits, Ctrl-a c opens the monitor, Ctrl-a h helps.\n"
           "Exit status: 0 power-off, 2 bad usage or file, 4 own error, 32 reset,\n"
           "34 guest panic, 36 time-out, 38 triple fault; odd ones: the guest's port F4h.\n");
}
