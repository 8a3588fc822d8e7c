/* Lines of registers, and the image of guest memory at the end. */
#include "vm/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mem/digest.h"
#include "vm/vm_internal.h"
#include "x86/insn.h"

struct digest {
    struct vm *vm;
    FILE *file;
    int memory_fd; /* or -1 */
    uint64_t next;
};

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member)          \
    }

/* What is written as one number, behind RIP, RFLAGS and the general registers. */
static const struct field {
    const char *name;
    size_t offset, bytes;
} fields[] = {
    FIELD("cr0", cr0),
    FIELD("cr2", cr2),
    FIELD("cr3", cr3),
    FIELD("cr4", cr4),
    FIELD("xcr0", xcr0),
    FIELD("dr0", dr[0]),
    FIELD("dr1", dr[1]),
    FIELD("dr2", dr[2]),
    FIELD("dr3", dr[3]),
    FIELD("dr6", dr[6]),
    FIELD("dr7", dr[7]),
    FIELD("pdpte0", pdpte[0]),
    FIELD("pdpte1", pdpte[1]),
    FIELD("pdpte2", pdpte[2]),
    FIELD("pdpte3", pdpte[3]),
    FIELD("efer", msr.efer),
    FIELD("star", msr.star),
    FIELD("lstar", msr.lstar),
    FIELD("cstar", msr.cstar),
    FIELD("sfmask", msr.sfmask),
    FIELD("kernel_gs_base", msr.kernel_gs_base),
    FIELD("tsc_aux", msr.tsc_aux),
    FIELD("tsc_offset", msr.tsc_offset),
    FIELD("sysenter_cs", msr.sysenter_cs),
    FIELD("sysenter_esp", msr.sysenter_esp),
    FIELD("sysenter_eip", msr.sysenter_eip),
    FIELD("pat", msr.pat),
    FIELD("misc_enable", msr.misc_enable),
    FIELD("debugctl", msr.debugctl),
    FIELD("mtrr_def_type", msr.mtrr_def_type),
    FIELD("fcw", fpu.fcw),
    FIELD("fsw", fpu.fsw),
    FIELD("ftw", fpu.ftw),
    FIELD("fop", fpu.fop),
    FIELD("fip", fpu.fip),
    FIELD("fdp", fpu.fdp),
    FIELD("mxcsr", fpu.mxcsr),
};

static void write_bytes(FILE *file, const char *name, const uint8_t *bytes, size_t count)
{
    fprintf(file, " %s=", name);
    for (size_t i = count; i-- > 0;)
        fprintf(file, "%02x", bytes[i]);
}

static void write_registers(FILE *file, const struct x86_state *state)
{
    fprintf(file, " rip=%" PRIx64 " rflags=%" PRIx64, state->gpr[X86_RIP], state->rflags);
    for (unsigned i = X86_RAX; i <= X86_R15; i++)
        fprintf(file, " %s=%" PRIx64, x86_gpr_names[i], state->gpr[i]);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t value = 0;

        memcpy(&value, (const char *)state + fields[i].offset, fields[i].bytes);
        fprintf(file, " %s=%" PRIx64, fields[i].name, value);
    }
    for (unsigned i = 0; i < X86_ALL_SEGS; i++) {
        const struct x86_segment *s = &state->seg[i];

        fprintf(file, " %s=%04x:%" PRIx64 ":%x:%x", x86_seg_names[i], s->selector, s->base,
                s->limit, s->attr);
    }
    fprintf(file, " gdtr=%" PRIx64 ":%x idtr=%" PRIx64 ":%x", state->gdtr.base, state->gdtr.limit,
            state->idtr.base, state->idtr.limit);
    for (unsigned i = 0; i < 8; i++) {
        const char name[] = {'s', 't', (char)('0' + i), 0};

        write_bytes(file, name, state->fpu.st[i], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        char name[8];

        snprintf(name, sizeof(name), "ymm%u", i);
        write_bytes(file, name, state->fpu.ymm[i], sizeof(state->fpu.ymm[i]));
    }
}

/* The bytes of the next instruction in the order of their addresses, as many as can be read. */
static void write_code(FILE *file, struct vm *vm, const struct x86_state *state)
{
    bool long64 = (state->msr.efer & X86_EFER_LMA) && (state->seg[X86_CS].attr & X86_SEG_L);
    gva_t at = (long64 ? 0 : state->seg[X86_CS].base) + state->gpr[X86_RIP];

    fputs(" code=", file);
    for (unsigned i = 0; i < X86_INSN_MAX_BYTES; i++) {
        uint8_t byte;

        if (!vm->engine->vcpu_read_gva(vm->vcpu, at + i, &byte, 1))
            break;
        fprintf(file, "%02x", byte);
    }
}

/* False when the file took none of it. */
static bool write_line(struct digest *digest)
{
    struct vm *vm = digest->vm;
    const struct engine_counters *counters = vm->engine->vcpu_counters(vm->vcpu);
    struct x86_state state;

    vm->engine->vcpu_get_state(vm->vcpu, &state);
    fprintf(digest->file,
            "count=%" PRIu64 " ns=%" PRIu64 " interrupts=%" PRIu64 " exceptions=%" PRIu64
            " memory=%016" PRIx64,
            counters->instructions, clock_now_ns(vm->time), counters->interrupts_injected,
            counters->faults_injected, mem_digest(vm->mem));
    write_registers(digest->file, &state);
    write_code(digest->file, vm, &state);
    fputc('\n', digest->file);
    return fflush(digest->file) == 0;
}

static void end(struct vm *vm, int status)
{
    lock_acquire(&vm->lock);
    vm_end_locked(vm, status);
    lock_release(&vm->lock);
}

static void fail(struct digest *digest, const char *path, int err)
{
    struct vm *vm = digest->vm;

    log_error("cannot write to %s: %s", path, strerror(err));
    digest->next = UINT64_MAX;
    lock_acquire(&vm->lock);
    vm_end_locked(vm, VM_EXIT_ERROR);
    vm->status =
        VM_EXIT_ERROR; /* also of a guest that has ended well: what was asked for is missing */
    lock_release(&vm->lock);
}

void digest_look(struct digest *digest)
{
    const struct vm_config *config;
    uint64_t now;

    if (!digest)
        return;
    config = digest->vm->config;
    now = digest->vm->engine->vcpu_counters(digest->vm->vcpu)->instructions;
    if (now < digest->next)
        return;
    if (!write_line(digest)) {
        fail(digest, config->digest, errno);
        return;
    }
    digest->next = now + MIN(config->digest_every, UINT64_MAX - now);
    if (!config->digest_to || digest->next <= config->digest_to)
        return;
    digest->next = UINT64_MAX;
    if (digest->memory_fd >= 0) {
        int err = mem_save(digest->vm->mem, digest->memory_fd);

        if (err) {
            fail(digest, config->digest_memory, -err);
            return;
        }
    }
    end(digest->vm, VM_EXIT_POWEROFF);
}

void digest_end(struct digest *digest)
{
    if (!digest || digest->next == UINT64_MAX)
        return;
    /* Not where the host's time ended it: that is at no instruction in particular. */
    if (digest->vm->status == VM_EXIT_TIMEOUT)
        return;
    if (!write_line(digest))
        fail(digest, digest->vm->config->digest, errno);
}

uint64_t digest_next(const struct digest *digest)
{
    return digest ? digest->next : UINT64_MAX;
}

static int open_failed(const char *path)
{
    int err = errno;

    log_error("cannot write to %s: %s", path, strerror(err));
    return -err;
}

int digest_create(struct digest **out, struct vm *vm)
{
    const struct vm_config *config = vm->config;
    struct digest *digest;

    *out = NULL;
    if (!config->digest)
        return 0;
    digest = malloc(sizeof(*digest));
    if (!digest)
        return -ENOMEM;
    *digest = (struct digest){.vm = vm, .memory_fd = -1, .next = config->digest_from};
    *out = digest;
    digest->file = fopen(config->digest, "we");
    if (!digest->file)
        return open_failed(config->digest);
    if (!config->digest_memory)
        return 0;
    digest->memory_fd = open(config->digest_memory, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return digest->memory_fd < 0 ? open_failed(config->digest_memory) : 0;
}

void digest_destroy(struct digest *digest)
{
    if (!digest)
        return;
    if (digest->file)
        fclose(digest->file);
    if (digest->memory_fd >= 0)
        close(digest->memory_fd);
    free(digest);
}
