/*
 * Any bytes as a guest's accesses to the PCI bus, the chipset, IDE, fw_cfg and the BIOS's disk
 * port: nothing crashes, hangs or reaches past guest memory. Eight bytes are one access: where,
 * offset, width and direction, how long the host's disks take, and the value (little-endian).
 * fuzz: runs=20000
 */
#include <stdlib.h>
#include <string.h>

#include "dev/biosdisk.h"
#include "dev/fw_cfg.h"
#include "dev/i440fx.h"
#include "dev/ide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_BYTES (1 * MIB)
#define DISK_BYTES   (128 * KIB)
#define MAX_ACCESSES 4096

struct machine {
    struct mem *mem;
    struct bus *bus;
    struct pci_host *pci;
    struct i440fx *chipset;
    struct ide *ide;
    struct fw_cfg *fw_cfg;
    struct biosdisk *biosdisk;
    struct block *disk, *cd;
    struct block_queue *disk_queue, *cd_queue; /* without threads */
    uint8_t disk_data[DISK_BYTES], cd_data[DISK_BYTES];
};

/* An access of the input. */
struct access {
    uint8_t where, offset, how, work;
    uint8_t value[4];
};

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void place(struct machine *m)
{
    const struct {
        uint64_t port, count;
        const struct bus_ops *ops;
        void *dev;
    } rows[] = {
        {PCI_CONFIG_PORT, PCI_CONFIG_PORTS, &pci_host_ops, m->pci},
        {IDE_COMMAND_PORT_0, IDE_COMMAND_PORTS, &ide_command_ops, ide_get_channel(m->ide, 0)},
        {IDE_COMMAND_PORT_1, IDE_COMMAND_PORTS, &ide_command_ops, ide_get_channel(m->ide, 1)},
        {IDE_CONTROL_PORT_0, IDE_CONTROL_PORTS, &ide_control_ops, ide_get_channel(m->ide, 0)},
        {IDE_CONTROL_PORT_1, IDE_CONTROL_PORTS, &ide_control_ops, ide_get_channel(m->ide, 1)},
        {FW_CFG_PORT, FW_CFG_PORTS, &fw_cfg_ops, m->fw_cfg},
        {BIOSDISK_PORT, BIOSDISK_PORTS, &biosdisk_ops, m->biosdisk},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        must(bus_add(m->bus, BUS_PORT, rows[i].port, rows[i].count, rows[i].ops, rows[i].dev) == 0);
}

static void make(struct machine *m)
{
    struct pci_wiring wiring = {0};
    struct i440fx_options chipset = {.pm_base = 0x600};
    struct ide_config ide = {0};

    m->mem = mem_create(NULL);
    must(mem_add_slot(m->mem, "low", 0, MEMORY_BYTES, MEM_SLOT_RAM) == 0);
    must(block_open_memory(&m->disk, m->disk_data, sizeof(m->disk_data)) == 0);
    must(block_open_memory(&m->cd, m->cd_data, sizeof(m->cd_data)) == 0);
    must(block_queue_create(&m->disk_queue, m->disk, NULL) == 0);
    must(block_queue_create(&m->cd_queue, m->cd, NULL) == 0);
    m->bus = bus_create();
    m->pci = pci_host_create(m->bus, &wiring);
    m->chipset = i440fx_create(m->pci, &chipset);
    ide = (struct ide_config){
        .mem = m->mem, .pci = m->pci, .disk = m->disk_queue, .cdrom = m->cd_queue};
    m->ide = ide_create(&ide);
    m->fw_cfg = fw_cfg_create(m->mem);
    m->biosdisk = biosdisk_create(m->mem);
    must(fw_cfg_add_file(m->fw_cfg, "file", "contents", 8) == 0);
    must(biosdisk_attach(m->biosdisk, 0, false, m->disk_queue) == 0);
    must(biosdisk_attach(m->biosdisk, 0, true, m->cd_queue) == 0);
    place(m);
    /* Bus mastering from the start, so that short inputs reach the PRD walk. */
    pci_config_write(m->pci, PCI_DEVFN(1, 1), 0x20, 4, 0xc000);
    pci_config_write(m->pci, PCI_DEVFN(1, 1), PCI_COMMAND, 2, 5);
}

static void unmake(struct machine *m)
{
    must(block_queue_stop(m->disk_queue, 0));
    must(block_queue_stop(m->cd_queue, 0));
    biosdisk_destroy(m->biosdisk);
    fw_cfg_destroy(m->fw_cfg);
    ide_destroy(m->ide);
    i440fx_destroy(m->chipset);
    pci_host_destroy(m->pci);
    bus_destroy(m->bus);
    block_close(m->disk);
    block_close(m->cd);
    mem_destroy(m->mem);
}

/* What the host's disks get done behind an access: nothing, one step of a transfer, or all. */
static void work(struct block_queue *queue, unsigned how)
{
    if (how & 1)
        block_queue_deliver(queue);
    while ((how & 2) && block_queue_ready(queue))
        block_queue_deliver(queue);
}

static void perform(struct machine *m, const struct access *access)
{
    static const uint16_t ports[] = {0xcf8, 0x1f0, 0x1f4, 0x170,  0x174,  0x3f6,
                                     0x376, 0x510, 0x518, 0x5550, 0xc000, 0xc008};
    unsigned what = access->where % (ARRAY_SIZE(ports) + 2);
    unsigned width = 1u << (access->how & 3);
    uint32_t value;

    memcpy(&value, access->value, sizeof(value));
    if (what == ARRAY_SIZE(ports)) { /* the guest writes its memory: tables, requests */
        mem_write(m->mem, (gpa_t)access->offset * 8, access->value, 4);
    } else if (what == ARRAY_SIZE(ports) + 1) {
        mem_write(m->mem, (gpa_t)access->offset * 8 + 4, access->value, 4);
    } else {
        uint64_t port = ports[what] + access->offset % 8;

        width = MIN(width, 4);
        if (access->how & 0x80)
            bus_read(m->bus, BUS_PORT, port, width);
        else
            bus_write(m->bus, BUS_PORT, port, width, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine *m = calloc(1, sizeof(*m));
    size_t count = MIN(size / sizeof(struct access), (size_t)MAX_ACCESSES);

    must(m != NULL);
    make(m);
    for (size_t i = 0; i < count; i++) {
        struct access access;

        memcpy(&access, data + i * sizeof(access), sizeof(access));
        perform(m, &access);
        work(m->disk_queue, access.work);
        work(m->cd_queue, access.work >> 2);
        if (access.work == 0xf0)
            ide_reset(m->ide);
        if (access.work == 0xf0)
            biosdisk_reset(m->biosdisk);
    }
    unmake(m);
    free(m);
    return 0;
}
