/* Any bytes as a multiboot kernel: refused, or placed in RAM from 1 MiB up. */
#include "fuzz_loader.h"

#include "fw/multiboot.h"

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

            FUZZ_CHECK(s->base >= LAYOUT_HIGH_BASE && s->file_bytes <= s->memory_bytes);
            FUZZ_CHECK(s->base + s->memory_bytes <= plan.module_base);
        }
        FUZZ_CHECK(plan.module_base + sizeof(module_bytes) <= guest.layout.acpi_base);
        FUZZ_CHECK(multiboot_place(&files, &plan, &guest.layout, guest.mem, &boot) == 0);
    }
    fuzz_guest_fini(&guest);
    return 0;
}
