/* Any bytes as a bzImage: refused, or placed where nothing else is. */
#include "fuzz_loader.h"

#include "fw/linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t initrd_bytes[5000] = {1};
    struct boot_info boot = {0};
    struct fuzz_guest guest;
    struct linux_plan plan;
    struct fw_error error = {.text = ""};
    struct image kernel, initrd;
    struct linux_files files = {&kernel, &initrd, "console=ttyS0"};
    int result;

    fuzz_guest_init(&guest);
    image_from_bytes(&kernel, "kernel", data, size);
    image_from_bytes(&initrd, "initrd", initrd_bytes, sizeof(initrd_bytes));
    result = linux_plan(&files, &guest.layout, &plan, &error);
    fuzz_check_text(&error, result);
    if (result == 0) {
        FUZZ_CHECK(plan.setup_bytes + plan.kernel_bytes == size);
        FUZZ_CHECK(plan.kernel_end <= plan.initrd_base);
        FUZZ_CHECK(plan.initrd_base + sizeof(initrd_bytes) <= guest.layout.acpi_base);
        FUZZ_CHECK(linux_place(&files, &plan, guest.mem, &boot) == 0);
    }
    fuzz_guest_fini(&guest);
    return 0;
}
