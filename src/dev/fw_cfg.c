/* fw_cfg: a small array of items, one cursor into the selected one, and the DMA descriptor. */
#include "dev/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"

#define MAX_ITEMS 128
#define KEY_NONE  0xffff
#define KEY_MASK  0xbfff /* bit 14 once asked for writing, which is not offered */

#define ID_PORTS 1
#define ID_DMA   2

#define REG_SELECTOR 0
#define REG_DATA     1
#define REG_DMA_HIGH 4
#define REG_DMA_LOW  8

/* Bits of the DMA descriptor's control word. */
#define DMA_ERROR  0x01
#define DMA_READ   0x02
#define DMA_SKIP   0x04
#define DMA_SELECT 0x08
#define DMA_WRITE  0x10

/* Reading past an item gives zeroes; no firmware wants more of them than this in one go. */
#define DMA_MAX_ZEROES (64 * KIB)

struct dma_descriptor { /* big-endian, in guest memory */
    uint32_t control;
    uint32_t length;
    uint64_t address;
};

_Static_assert(sizeof(struct dma_descriptor) == 16, "the guest's layout of the descriptor");

struct directory_entry { /* big-endian, in the item FW_CFG_FILE_DIR */
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[FW_CFG_MAX_FILE_NAME];
};

struct directory {
    uint32_t count;
    struct directory_entry entries[FW_CFG_MAX_FILES];
};

_Static_assert(sizeof(struct directory_entry) == 64, "the guest's layout of the directory");
_Static_assert(sizeof(struct directory) == 4 + 64 * FW_CFG_MAX_FILES, "no padding");

struct item {
    uint16_t key;
    size_t size_bytes;
    uint8_t *data;
};

struct fw_cfg_state {
    uint16_t selected;
    uint64_t cursor; /* the next byte of the selected item */
    uint32_t dma_high;
};

struct fw_cfg {
    struct device device;
    struct mem *mem;
    struct item items[MAX_ITEMS];
    size_t item_count;
    struct directory directory;
    size_t file_count;
    struct fw_cfg_state state;
};

static struct item *find_item(struct fw_cfg *fw, uint16_t key)
{
    for (size_t i = 0; i < fw->item_count; i++) {
        if (fw->items[i].key == key)
            return &fw->items[i];
    }
    return NULL;
}

/* Sets an item without a look at whose key it is. */
static int put_item(struct fw_cfg *fw, uint16_t key, const void *data, size_t size_bytes)
{
    struct item *item = find_item(fw, key);
    uint8_t *copy;

    if (size_bytes > UINT32_MAX)
        return -EFBIG;
    if (!item && fw->item_count == MAX_ITEMS)
        return -ENOSPC;
    copy = malloc(size_bytes ? size_bytes : 1);
    if (!copy)
        return -ENOMEM;
    if (size_bytes)
        memcpy(copy, data, size_bytes);
    if (!item)
        item = &fw->items[fw->item_count++];
    free(item->data);
    *item = (struct item){.key = key, .size_bytes = size_bytes, .data = copy};
    return 0;
}

static size_t directory_bytes(size_t file_count)
{
    return offsetof(struct directory, entries) + file_count * sizeof(struct directory_entry);
}

/* The items are the board's business: the same for each VM of the same options. */
static void reset(void *dev)
{
    fw_cfg_reset(dev);
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct fw_cfg_state, selected),
    DEVICE_FIELD(struct fw_cfg_state, cursor),
    DEVICE_FIELD(struct fw_cfg_state, dma_high),
};

static const struct device_class class = {
    .name = "firmware configuration",
    .version = 1,
    DEVICE_STATE(struct fw_cfg_state, fields),
    .reset = reset,
};

const struct device *fw_cfg_device(const struct fw_cfg *fw_cfg)
{
    return &fw_cfg->device;
}

struct fw_cfg *fw_cfg_create(struct mem *mem)
{
    struct fw_cfg *fw = calloc(1, sizeof(*fw));
    const uint32_t id = htole32(ID_PORTS | ID_DMA);

    if (!fw)
        return NULL;
    fw->device = (struct device){&class, fw, &fw->state};
    fw->mem = mem;
    if (put_item(fw, FW_CFG_SIGNATURE, "QEMU", 4) || put_item(fw, FW_CFG_ID, &id, sizeof(id)) ||
        put_item(fw, FW_CFG_FILE_DIR, &fw->directory, directory_bytes(0))) {
        fw_cfg_destroy(fw);
        return NULL;
    }
    fw_cfg_reset(fw);
    return fw;
}

void fw_cfg_destroy(struct fw_cfg *fw)
{
    if (!fw)
        return;
    for (size_t i = 0; i < fw->item_count; i++)
        free(fw->items[i].data);
    free(fw);
}

void fw_cfg_reset(struct fw_cfg *fw)
{
    fw->state.selected = KEY_NONE;
    fw->state.cursor = 0;
    fw->state.dma_high = 0;
}

int fw_cfg_set(struct fw_cfg *fw, uint16_t key, const void *data, size_t size_bytes)
{
    if (key == FW_CFG_SIGNATURE || key == FW_CFG_ID || key == FW_CFG_FILE_DIR ||
        (key & KEY_MASK) != key)
        return -EINVAL;
    if (key >= FW_CFG_FILE_FIRST && key < FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES)
        return -EINVAL;
    return put_item(fw, key, data, size_bytes);
}

int fw_cfg_set_int(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned width)
{
    const uint64_t little = htole64(value);

    ASSERT(width == 2 || width == 4 || width == 8, "fw_cfg integers have 2, 4 or 8 bytes");
    return fw_cfg_set(fw, key, &little, width);
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t size_bytes)
{
    uint16_t key = (uint16_t)(FW_CFG_FILE_FIRST + fw->file_count);
    struct directory_entry *entry;
    int err;

    if (strlen(name) >= FW_CFG_MAX_FILE_NAME)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < fw->file_count; i++) {
        if (strcmp(fw->directory.entries[i].name, name) == 0)
            return -EEXIST;
    }
    if (fw->file_count == FW_CFG_MAX_FILES)
        return -ENOSPC;
    err = put_item(fw, key, data, size_bytes);
    if (err)
        return err;
    entry = &fw->directory.entries[fw->file_count];
    entry->size = htobe32((uint32_t)size_bytes);
    entry->key = htobe16(key);
    strcpy(entry->name, name);
    fw->directory.count = htobe32((uint32_t)fw->file_count + 1);
    err = put_item(fw, FW_CFG_FILE_DIR, &fw->directory, directory_bytes(fw->file_count + 1));
    if (err)
        return err; /* the file stays reachable by its key only, and the next one takes its place */
    fw->file_count++;
    return 0;
}

static void select_key(struct fw_cfg *fw, uint16_t key)
{
    trace(fw_cfg_select, key);
    fw->state.selected = key & KEY_MASK;
    fw->state.cursor = 0;
}

/* What is left of the selected item: where, and how many bytes. */
static size_t remaining(struct fw_cfg *fw, const uint8_t **data)
{
    struct item *item = find_item(fw, fw->state.selected);

    if (!item || fw->state.cursor >= item->size_bytes)
        return 0;
    *data = item->data + fw->state.cursor;
    return item->size_bytes - fw->state.cursor;
}

static uint8_t read_byte(struct fw_cfg *fw)
{
    const uint8_t *data;

    if (remaining(fw, &data) == 0)
        return 0;
    fw->state.cursor++;
    return *data;
}

/* Copies length bytes of the item, then zeroes, to guest memory. Whether all of it was RAM. */
static bool dma_read(struct fw_cfg *fw, gpa_t address, uint32_t length)
{
    static const uint8_t zeroes[4096];
    const uint8_t *data = NULL;
    size_t backed = MIN(remaining(fw, &data), length);
    uint32_t blank = length - (uint32_t)backed;
    bool ok = true;

    if (blank > DMA_MAX_ZEROES || address + length < address)
        return false;
    if (backed)
        ok = mem_write(fw->mem, address, data, backed);
    fw->state.cursor += backed;
    for (address += backed; ok && blank;) {
        uint32_t piece = MIN(blank, (uint32_t)sizeof(zeroes));

        ok = mem_write(fw->mem, address, zeroes, piece);
        address += piece;
        blank -= piece;
    }
    return ok;
}

static bool dma_execute(struct fw_cfg *fw, uint32_t control, uint32_t length, gpa_t address)
{
    const uint8_t *data;

    if (control & DMA_SELECT)
        select_key(fw, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        return dma_read(fw, address, length);
    if (control & DMA_WRITE)
        return false;
    if (control & DMA_SKIP)
        fw->state.cursor += MIN(remaining(fw, &data), length);
    return true;
}

static void dma_start(struct fw_cfg *fw, gpa_t descriptor_gpa)
{
    struct dma_descriptor descriptor;
    uint32_t result;
    bool ok;

    if (!mem_read(fw->mem, descriptor_gpa, &descriptor, sizeof(descriptor))) {
        trace(fw_cfg_dma, 0, 0, descriptor_gpa, 1);
        return;
    }
    ok = dma_execute(fw, be32toh(descriptor.control), be32toh(descriptor.length),
                     be64toh(descriptor.address));
    trace(fw_cfg_dma, be32toh(descriptor.control), be32toh(descriptor.length),
          be64toh(descriptor.address), !ok);
    result = htobe32(ok ? 0 : DMA_ERROR);
    mem_write(fw->mem, descriptor_gpa, &result, sizeof(result));
}

static uint64_t read_register(void *dev, uint64_t offset, unsigned width)
{
    static const char signature[8] = "QEMU CFG";
    uint64_t value = 0;

    if (offset == REG_DATA)
        return read_byte(dev);
    if (offset < REG_DMA_HIGH || offset + width > FW_CFG_PORTS)
        return UINT64_MAX;
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)(uint8_t)signature[offset - REG_DMA_HIGH + i] << (8 * i);
    return value;
}

static void write_register(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct fw_cfg *fw = dev;

    if (offset == REG_SELECTOR && width == 2) {
        select_key(fw, (uint16_t)value);
    } else if (offset == REG_DMA_HIGH && width == 4) {
        fw->state.dma_high = be32toh((uint32_t)value);
    } else if (offset == REG_DMA_LOW && width == 4) {
        gpa_t gpa = (gpa_t)fw->state.dma_high << 32 | be32toh((uint32_t)value);

        fw->state.dma_high = 0; /* firmware below 4 GiB writes the low half alone */
        dma_start(fw, gpa);
    }
}

const struct bus_ops fw_cfg_ops = {
    .read = read_register, .write = write_register, .widths = 1 | 2 | 4};
