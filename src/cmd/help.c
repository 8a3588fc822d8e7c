/* `umbra help` and `umbra version`: the words that people read first. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "base/types.h"
#include "cmd/command.h"

static void print_event(void *opaque, const char *name)
{
    printf("%s\n", name);
}

static void print_trace(void)
{
    trace_list(print_event, NULL);
}

static void print_soft(void)
{
    printf("The engine soft is an x86-64 processor in software. It runs everywhere, without\n"
           "root. Code that runs often is translated into host code; 16-bit code, and code\n"
           "that runs seldom, is interpreted. It walks page tables as hardware does, so you\n"
           "choose how memory is virtualized, and the monitor shows and counts it.\n"
           "\n"
           "  --engine soft            takes it; --mmu, --clock instructions, --gdb do too\n"
           "  --mmu ept                walks the guest's tables and an extended one (usual)\n"
           "  --mmu shadow             walks shadow tables made of the guest's\n"
           "  --shadow-pages N         with --mmu shadow: how many shadow pages there may be\n"
           "  --monitor-memory SIZE    bound on what Umbra takes beside the guest's memory\n"
           "  --translate on|off|N     whether code is translated, or from its Nth run on\n"
           "  --tlb-entries N          entries of a TLB table\n"
           "  --clock instructions     time counts instructions: each run is the same\n"
           "\n"
           "docs/memory.md tells what ept and shadow do and cost, docs/translator.md how\n"
           "code is translated.\n");
}

static void print_kvm(void)
{
    printf("The engine kvm lets the host's processor run the guest, by VT-x or AMD-V through\n"
           "/dev/kvm. The user must be allowed to open that (the group kvm on Debian). Where\n"
           "KVM only emulates, the engine soft is faster, and auto takes it; umbra engines\n"
           "measures both.\n"
           "\n"
           "  --engine kvm             takes it, however slow it is\n"
           "  --irqchip host|user      interrupt controllers: the kernel's (usual), Umbra's\n"
           "  --gdb ADDRESS            works with four breakpoints and watchpoints together\n"
           "\n"
           "The host decides how memory is virtualized. --mmu and --clock instructions\n"
           "belong to soft and are refused; --shadow-pages, --monitor-memory, --tlb-entries\n"
           "and --translate have no effect.\n"
           "docs/kvm.md tells more.\n");
}

void help_print_main(void)
{
    printf("Umbra runs PC guests on x86-64 Linux: on the host's KVM where that is fast, else\n"
           "on its own processor in software.\n"
           "\n"
           "  umbra run [FILE] [OPTION...]   start a guest; without FILE one inside Umbra\n"
           "  umbra engines                  what can run guests on this host, and how fast\n"
           "  umbra report A.json [B.json]   a page of what run --stats=A.json counted\n"
           "  umbra help run                 the options of run\n"
           "  umbra help report              the options of report\n"
           "  umbra help soft, help kvm      the engines, and the options of each\n"
           "  umbra help trace               the names that --trace takes\n"
           "  umbra version                  the version\n"
           "\n"
           "FILE is a Linux bzImage, a multiboot kernel, a raw disk image, a bootable CD\n"
           "image or a flat real-mode binary; its content decides. man umbra says it all.\n");
}

static const struct topic {
    const char *name;
    void (*print)(void);
} topics[] = {
    {"run", help_print_run}, {"report", help_print_report}, {"soft", print_soft},
    {"kvm", print_kvm},      {"trace", print_trace},
};

int command_help(int argc, char **argv)
{
    if (argc == 0) {
        help_print_main();
        return COMMAND_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        if (strcmp(argv[0], topics[i].name) == 0) {
            topics[i].print();
            return COMMAND_OK;
        }
    }
    log_error("no help on %s; there are: umbra help run, report, soft, kvm, trace", argv[0]);
    return COMMAND_USAGE;
}

int command_version(int argc, char **argv)
{
    printf("umbra " UMBRA_VERSION "\n");
    return COMMAND_OK;
}
