/*
 * The VGA's memory window. An element of the store holds the four planes of one address, so that
 * the write logic works on all planes at once:
 *
 *   byte from the processor -> rotate -> set/reset -> function with the latch -> bit mask -> planes
 *
 * The addressing: chain 4 spreads neighbours over four planes, odd/even (text: the character in
 * plane 0, its attribute in plane 1) over two, and else an address means all planes.
 */
#include "dev/vga.h"
#include "dev/vga_state.h"

#define OUTSIDE UINT64_MAX

/* Which part of A0000h to BFFFFh answers, by GFX_MISC's two bits. */
static const struct {
    uint32_t base, size;
} windows[4] = {{0x00000, 0x20000}, {0x00000, 0x10000}, {0x10000, 0x08000}, {0x18000, 0x08000}};

/* Each bit of a plane mask as a byte of ones. */
static uint32_t expand(unsigned planes)
{
    uint32_t spread = (planes & 1) | (planes & 2) << 7 | (planes & 4) << 14 | (planes & 8) << 21;

    return spread * 0xff;
}

static uint32_t repeat(uint8_t byte)
{
    return byte * 0x01010101u;
}

/* The address within the part of the window that answers. */
static uint64_t window_address(const struct vga *vga, uint64_t offset)
{
    unsigned map = vga->state.gfx[GFX_MISC] >> GFX_MISC_MAP_SHIFT & GFX_MISC_MAP_MASK;

    if (!(vga->state.misc & MISC_RAM_ENABLE) || offset - windows[map].base >= windows[map].size)
        return OUTSIDE;
    return offset - windows[map].base;
}

static uint8_t rotate(const struct vga *vga, uint8_t byte)
{
    unsigned count = vga->state.gfx[GFX_ROTATE] & GFX_ROTATE_COUNT;

    return (uint8_t)(byte >> count | byte << (8 - count));
}

static uint32_t combine(const struct vga *vga, uint32_t data)
{
    switch (vga->state.gfx[GFX_ROTATE] >> GFX_ROTATE_FUNCTION & 3) {
    case 1: return data & vga->state.latch;
    case 2: return data | vga->state.latch;
    case 3: return data ^ vga->state.latch;
    default: return data;
    }
}

/* What one byte from the processor puts into the four planes, before the map mask. */
static uint32_t write_data(const struct vga *vga, uint8_t byte)
{
    const uint8_t *gfx = vga->state.gfx;
    uint32_t set_reset = expand(gfx[GFX_SET_RESET]);
    uint32_t enable = expand(gfx[GFX_ENABLE_SET_RESET]);
    uint32_t mask = repeat(gfx[GFX_BIT_MASK]);
    uint32_t data = 0;

    switch (gfx[GFX_MODE] & GFX_MODE_WRITE) {
    case 0: data = (repeat(rotate(vga, byte)) & ~enable) | (set_reset & enable); break;
    case 1: return vga->state.latch;
    case 2: data = expand(byte & 15); break;
    case 3:
        data = set_reset;
        mask &= repeat(rotate(vga, byte));
        break;
    }
    return (combine(vga, data) & mask) | (vga->state.latch & ~mask);
}

static void write_byte(struct vga *vga, uint64_t offset, uint8_t byte)
{
    uint64_t address = window_address(vga, offset);
    unsigned planes = vga->state.seq[SEQ_MAP_MASK];
    uint32_t mask, *cell;

    if (address == OUTSIDE)
        return;
    if (vga->state.seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        planes &= 1u << (address & 3);
        address &= ~(uint64_t)3;
    } else if (!(vga->state.seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_SEQUENTIAL)) {
        planes &= address & 1 ? 0xau : 0x5u;
        address &= ~(uint64_t)1;
    }
    mask = expand(planes);
    cell = &vga->state.memory[address % VGA_PLANE_SIZE];
    *cell = (*cell & ~mask) | (write_data(vga, byte) & mask);
}

/* Read mode 1: a bit is set where the cared-for planes equal the colour looked for. */
static uint8_t compare_colors(const struct vga *vga, uint32_t cell)
{
    uint32_t differ = (cell ^ expand(vga->state.gfx[GFX_COLOR_COMPARE])) &
                      expand(vga->state.gfx[GFX_COLOR_DONT_CARE]);

    return (uint8_t) ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

/* The byte that a read gives; *cell becomes the four planes that it goes through the latch with. */
static uint8_t look_at_byte(const struct vga *vga, uint64_t offset, uint32_t *cell)
{
    uint64_t address = window_address(vga, offset);
    unsigned plane = vga->state.gfx[GFX_READ_MAP];

    if (address == OUTSIDE)
        return 0xff;
    if (vga->state.seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        plane = address & 3;
        address &= ~(uint64_t)3;
    } else if (vga->state.gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) {
        plane = (plane & 2) | (address & 1);
        address &= ~(uint64_t)1;
    }
    *cell = vga->state.memory[address % VGA_PLANE_SIZE];
    if (vga->state.gfx[GFX_MODE] & GFX_MODE_READ)
        return compare_colors(vga, *cell);
    return (uint8_t)(*cell >> 8 * plane);
}

static uint64_t look_at(const struct vga *vga, uint64_t offset, unsigned width, uint32_t *cell)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)look_at_byte(vga, offset + i, cell) << 8 * i;
    return value;
}

static uint64_t memory_read(void *dev, uint64_t offset, unsigned width)
{
    struct vga *vga = dev;

    return look_at(vga, offset, width, &vga->state.latch);
}

static uint64_t memory_peek(const void *dev, uint64_t offset, unsigned width)
{
    uint32_t cell;

    return look_at(dev, offset, width, &cell);
}

static void memory_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        write_byte(dev, offset + i, (uint8_t)(value >> 8 * i));
}

const struct bus_ops vga_memory_ops = {
    .read = memory_read, .write = memory_write, .widths = 1 | 2 | 4 | 8, .peek = memory_peek};
