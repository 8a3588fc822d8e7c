/*
 * The tables by which Umbra's own BIOS describes the machine: ACPI at the end of low memory with
 * its pointer in the ROM; MP, $PIR and SMBIOS in the ROM. A foreign BIOS makes its own.
 */
#include <errno.h>
#include <string.h>

#include "fw/acpi.h"
#include "fw/mptable.h"
#include "fw/pir.h"
#include "fw/smbios.h"
#include "vm/vm_internal.h"
#include "x86/cpuid.h"

static const uint8_t apic_ids[] = {0};

/* Writes into both copies of the ROM. */
static void patch_rom(struct vm *vm, size_t offset, const void *data, size_t bytes)
{
    mem_rom_load(vm->mem, LAYOUT_BIOS_BASE + offset, data, bytes);
    mem_rom_load(vm->mem, LAYOUT_4G - LAYOUT_BIOS_SIZE + offset, data, bytes);
}

static int place_acpi(struct vm *vm)
{
    const struct acpi_config config = {.apic_ids = apic_ids,
                                       .cpu_count = ARRAY_SIZE(apic_ids),
                                       .ioapic_id = BOARD_IOAPIC_ID,
                                       .hpet = true};
    struct acpi_tables tables;
    int err;

    if (vm->layout.acpi_size_bytes == 0)
        return 0;
    err = acpi_build(&vm->layout, &config, &tables);
    if (err)
        return err;
    mem_rom_load(vm->mem, vm->layout.acpi_base, tables.blob, tables.len_bytes);
    patch_rom(vm, BOOT_ROM_RSDP_OFFSET, tables.rsdp, BOOT_ROM_RSDP_SIZE);
    acpi_fini(&tables);
    return 0;
}

/* What the guest's CPUID says of the processor, as texts and numbers. */
struct cpu_identity {
    uint32_t signature, features;
    char vendor[13];
    char name[49];
};

static void identify_cpu(const struct cpu_model *model, struct cpu_identity *cpu)
{
    const struct x86_cpuid_context context = {.vcpus = ARRAY_SIZE(apic_ids), .apic_enabled = true};
    struct x86_cpuid_result r = cpu_model_cpuid(model, &context, 0, 0);
    const uint32_t vendor[3] = {r.ebx, r.edx, r.ecx};

    memset(cpu, 0, sizeof(*cpu));
    memcpy(cpu->vendor, vendor, sizeof(vendor));
    for (unsigned i = 0; i < 3; i++) {
        r = cpu_model_cpuid(model, &context, 0x80000002 + i, 0);
        memcpy(cpu->name + 16 * i, &r, 16);
    }
    r = cpu_model_cpuid(model, &context, 1, 0);
    cpu->signature = r.eax;
    cpu->features = r.edx;
}

/* The tables of one kind follow those of another at the next multiple of 16. */
struct rom_tables {
    uint8_t bytes[BOOT_ROM_TABLES_SIZE];
    size_t used;
};

static gpa_t next_gpa(const struct rom_tables *t)
{
    return LAYOUT_BIOS_BASE + BOOT_ROM_TABLES_OFFSET + t->used;
}

/* Takes what a builder answered: a length, or an error that it hands on. */
static int took(struct rom_tables *t, int result)
{
    if (result < 0)
        return result;
    t->used = MIN(ALIGN_UP(t->used + (size_t)result, 16), sizeof(t->bytes));
    return 0;
}

static int place_rom_tables(struct vm *vm)
{
    struct rom_tables t = {.used = 0};
    struct cpu_identity cpu;
    int err;

    identify_cpu(&vm->model, &cpu);
    const struct mptable_config mp = {.apic_ids = apic_ids,
                                      .cpu_count = ARRAY_SIZE(apic_ids),
                                      .cpu_signature = cpu.signature,
                                      .cpu_features = cpu.features,
                                      .ioapic_id = BOARD_IOAPIC_ID};
    const struct smbios_config smbios = {.cpu_count = ARRAY_SIZE(apic_ids),
                                         .cpu_signature = cpu.signature,
                                         .cpu_features = cpu.features,
                                         .cpu_vendor = cpu.vendor,
                                         .cpu_name = cpu.name,
                                         .cpu_hz = vm->model.tsc_hz};

    err = took(&t, mptable_build(&mp, next_gpa(&t), t.bytes, sizeof(t.bytes)));
    if (!err)
        err = took(&t, pir_build(t.bytes + t.used, sizeof(t.bytes) - t.used));
    if (!err)
        err = took(&t, smbios_build(&vm->layout, &smbios, next_gpa(&t), t.bytes + t.used,
                                    sizeof(t.bytes) - t.used));
    if (!err)
        patch_rom(vm, BOOT_ROM_TABLES_OFFSET, t.bytes, t.used);
    return err;
}

int vm_firmware_place_tables(struct vm *vm)
{
    int err = place_acpi(vm);

    return err ? err : place_rom_tables(vm);
}
