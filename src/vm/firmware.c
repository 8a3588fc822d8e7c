/*
 * Firmware into the machine: the BIOS at the end of the first MiB and of the first 4 GiB, and what
 * it reads through fw_cfg. The tables that describe the machine are in firmware_tables.c.
 *
 * Umbra's own BIOS is ROM in both places. A foreign one (--bios) is ROM below 4 GiB, while its
 * copy below 1 MiB is RAM.
 * DEVIATION: the PAM registers of the host bridge are stored but do not switch that copy between
 * ROM and RAM, since a BIOS that shadows itself turns it into RAM before anything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "dev/fw_cfg.h"
#include "dev/rtc.h"
#include "dev/vga.h"
#include "fw/e820.h"
#include "fw/format.h"
#include "fw/image.h"
#include "fw/rom_image.h"
#include "vm/vm_internal.h"

#define BIOS_MAX_SIZE (4 * MIB)
#define BIOS_LOW_MAX  (128 * KIB) /* E0000-FFFFF */

static bool is_uefi(const uint8_t *data, size_t size, const char *path)
{
    const struct format *format;
    struct image image;

    image_from_bytes(&image, path, data, size);
    format = format_find(&image);
    if (!format || format->kind != FORMAT_FIRMWARE)
        return false;
    log_error("cannot use --bios %s: it is %s; %s", path, format->name, format->way);
    return true;
}

/* Reads the file of --bios. The length is a multiple of 64 KiB, as a flash part has it. */
static int read_bios_file(const char *path, uint8_t **data, size_t *size)
{
    struct stat st;
    ssize_t n;
    /* A pipe must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0) {
        log_error("cannot read --bios %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -EINVAL;
    }
    if (!S_ISREG(st.st_mode)) {
        log_error("cannot use --bios %s: it is %s; name a file", path,
                  S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
        close(fd);
        return -EINVAL;
    }
    if (st.st_size <= 0 || (uint64_t)st.st_size > BIOS_MAX_SIZE ||
        (uint64_t)st.st_size % (64 * KIB) != 0) {
        log_error("cannot use --bios %s: a BIOS image has a multiple of 64 KiB, at most 4 MiB",
                  path);
        close(fd);
        return -EINVAL;
    }
    *size = (size_t)st.st_size;
    *data = malloc(*size);
    n = *data ? read(fd, *data, *size) : -1;
    close(fd);
    if (n != (ssize_t)*size)
        log_error("cannot read --bios %s whole", path);
    else if (!is_uefi(*data, *size, path))
        return 0;
    free(*data);
    *data = NULL;
    return -EINVAL;
}

int vm_firmware_read(struct vm *vm)
{
    const uint8_t *own;

    if (vm->config->bios)
        return read_bios_file(vm->config->bios, &vm->bios, &vm->bios_bytes);
    own = rom_image_data(&vm->bios_bytes);
    vm->bios = malloc(vm->bios_bytes);
    if (!vm->bios)
        return -ENOMEM;
    memcpy(vm->bios, own, vm->bios_bytes);
    return 0;
}

static uint64_t bios_low_bytes(const struct vm *vm)
{
    return MIN(vm->bios_bytes, vm->config->bios ? BIOS_LOW_MAX : LAYOUT_BIOS_SIZE);
}

int vm_firmware_add_slots(struct vm *vm)
{
    enum mem_slot_kind low_kind = vm->config->bios ? MEM_SLOT_RAM : MEM_SLOT_ROM;
    int err = mem_add_slot(vm->mem, "bios", LAYOUT_BIOS_BASE, LAYOUT_BIOS_SIZE, low_kind);

    if (err)
        return err;
    return mem_add_slot(vm->mem, "bios alias", LAYOUT_4G - vm->bios_bytes, vm->bios_bytes,
                        MEM_SLOT_ROM);
}

static int set_file(struct vm *vm, const char *name, const void *data, size_t bytes)
{
    int err = fw_cfg_add_file(vm->board->fw_cfg, name, data, bytes);

    /* A reset offers the same files again. */
    return err == -EEXIST ? 0 : err;
}

/* The numeric keys and files that do not change over a reset. */
static int offer_configuration(struct vm *vm, const struct boot_info *boot)
{
    struct fw_cfg *fw = vm->board->fw_cfg;
    struct e820_entry map[LAYOUT_MAX_RANGES];
    size_t map_bytes = e820_build(&vm->layout, map);
    int err = fw_cfg_set_int(fw, FW_CFG_RAM_SIZE, vm->layout.low_end, 8);

    if (!err)
        err = fw_cfg_set_int(fw, FW_CFG_NB_CPUS, 1, 2);
    if (!err)
        err = fw_cfg_set_int(fw, FW_CFG_MAX_CPUS, 1, 2);
    if (!err)
        err = fw_cfg_set_int(fw, FW_CFG_BOOT_MENU, 0, 2);
    if (!err)
        err = set_file(vm, E820_FILE, map, map_bytes);
    if (!err)
        err = set_file(vm, BOOT_FILE, boot, sizeof(*boot));
    return err;
}

int vm_firmware_place(struct vm *vm)
{
    uint64_t low = bios_low_bytes(vm);
    struct boot_info boot = {0};
    int err;

    mem_rom_load(vm->mem, LAYOUT_4G - vm->bios_bytes, vm->bios, vm->bios_bytes);
    mem_rom_load(vm->mem, LAYOUT_HIGH_BASE - low, vm->bios + vm->bios_bytes - low, low);
    layout_fill_cmos(&vm->layout, rtc_cmos(vm->board->rtc));
    err = start_place(&vm->start, &vm->layout, vm->mem, &boot);
    if (err)
        return err;
    if (vm->config->bios)
        vga_set_text_mode(vm->board->vga); /* it would look for a video BIOS, and there is none */
    else
        err = vm_firmware_place_tables(vm);
    return err ? err : offer_configuration(vm, &boot);
}
