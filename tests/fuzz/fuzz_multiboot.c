/* Any bytes as a multiboot kernel: refused, or placed in RAM where the BIOS keeps nothing. */
#include "fuzz_loader.h"

#include "fw/multiboot.h"

static bool misses(const struct multiboot_segment *s, gpa_t base, gpa_t end)
{
    return s->base >= end || s->base + s->memory_bytes <= base;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t module_bytes[5000] = {1};
    struct boot_info boot = {0};
    struct fuzz_guest guest;
    struct multiboot_plan plan;
    struct fw_error error = {.text = ""};
    struct image kernel, module;
    struct multiboot_files files = {&kernel, &module, "a b"};
    int result;

    fuzz_guest_init(&guest);
    image_from_bytes(&kernel, "kernel", data, size);
    image_from_bytes(&module, "module", module_bytes, sizeof(module_bytes));
    result = multiboot_plan(&files, &guest.layout, &plan, &error);
    fuzz_check_text(&error, result);
    if (result == 0) {
        for (size_t i = 0; i < plan.segment_count; i++) {
            const struct multiboot_segment *s = &plan.segments[i];

            FUZZ_CHECK(s->file_bytes <= s->memory_bytes);
            FUZZ_CHECK(misses(s, 0, 0x500));
            FUZZ_CHECK(misses(s, LAYOUT_EBDA_BASE, LAYOUT_UPPER_BASE));
            FUZZ_CHECK(misses(s, LAYOUT_BIOS_BASE, LAYOUT_HIGH_BASE));
            FUZZ_CHECK(misses(s, plan.module_base, plan.module_base + sizeof(module_bytes)));
            FUZZ_CHECK(misses(s, plan.info_base, plan.info_base + MULTIBOOT_INFO_BYTES));
        }
        FUZZ_CHECK(plan.module_base + sizeof(module_bytes) <= guest.layout.acpi_base);
        FUZZ_CHECK(multiboot_place(&files, &plan, &guest.layout, guest.mem, &boot) == 0);
    }
    fuzz_guest_fini(&guest);
    return 0;
}
