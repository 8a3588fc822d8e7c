/* The VGA's register files behind ports 3B0h to 3DFh; see vga.h. */
#include "dev/vga.h"

#include <stdlib.h>
#include <string.h>

#include "dev/vga_state.h"

/* Offsets from 3B0h. */
enum vga_port {
    PORT_MONO_CRTC_INDEX = 0x04,
    PORT_MONO_CRTC_DATA = 0x05,
    PORT_MONO_STATUS = 0x0a, /* write: feature control */
    PORT_ATTR_WRITE = 0x10,
    PORT_ATTR_READ = 0x11,
    PORT_MISC_WRITE = 0x12, /* read: input status 0 */
    PORT_ENABLE = 0x13,
    PORT_SEQ_INDEX = 0x14,
    PORT_SEQ_DATA = 0x15,
    PORT_DAC_MASK = 0x16,
    PORT_DAC_READ_INDEX = 0x17, /* read: state */
    PORT_DAC_WRITE_INDEX = 0x18,
    PORT_DAC_DATA = 0x19,
    PORT_FEATURE_READ = 0x1a,
    PORT_MISC_READ = 0x1c,
    PORT_GFX_INDEX = 0x1e,
    PORT_GFX_DATA = 0x1f,
    PORT_COLOR_CRTC_INDEX = 0x24,
    PORT_COLOR_CRTC_DATA = 0x25,
    PORT_COLOR_STATUS = 0x2a,
};

#define MONO_TO_COLOR (PORT_COLOR_CRTC_INDEX - PORT_MONO_CRTC_INDEX)

#define STATUS0_SENSE   0x10 /* a monitor is there */
#define STATUS1_BLANK   0x01
#define STATUS1_RETRACE 0x08
#define DAC_STATE_READ  0x03
#define DAC_BITS        0x3f
#define NOTHING         0xff /* what a port without a register gives */

/*
 * Mode 3's timing: 449 lines of 31778 ns, 400 of them visible. The retrace lasts until the frame's
 * end (the real one lasts 2 lines), so that a guest which polls slowly does not miss it.
 */
#define LINE_NS       31778
#define FRAME_LINES   449
#define VISIBLE_LINES 400
#define RETRACE_LINE  412
#define VISIBLE_NS    (LINE_NS * 4 / 5) /* of a line */

static const uint8_t seq_writable[SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gfx_writable[GFX_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                                0x7b, 0x0f, 0x0f, 0xff};

/* The registers of mode 3: IBM's parameter table for 80 by 25 in colour with 400 lines. */
static const uint8_t mode3_seq[SEQ_COUNT] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_gfx[GFX_COUNT] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff};
static const uint8_t mode3_crtc[CRTC_COUNT] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                               0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                               0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t mode3_attr[ATTR_COUNT] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
                                               0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
                                               0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
#define MODE3_MISC 0x67
#define BLANK_CELL 0x0720 /* a space, grey on black: plane 0 and 1 */
#define EGA_COLORS 64

static uint8_t status1(const struct vga *vga)
{
    uint64_t ns = clock_now_ns(vga->clock) % ((uint64_t)LINE_NS * FRAME_LINES);
    uint64_t line = ns / LINE_NS;

    if (line >= RETRACE_LINE)
        return STATUS1_BLANK | STATUS1_RETRACE;
    return line >= VISIBLE_LINES || ns % LINE_NS >= VISIBLE_NS ? STATUS1_BLANK : 0;
}

static void write_crtc(struct vga *vga, uint8_t value)
{
    unsigned index = vga->state.crtc_index;

    if (index >= CRTC_COUNT)
        return;
    if (index <= CRTC_PROTECTED && (vga->state.crtc[CRTC_RETRACE_END] & CRTC_PROTECT)) {
        if (index == CRTC_OVERFLOW)
            vga->state.crtc[index] =
                (vga->state.crtc[index] & ~CRTC_OVERFLOW_COMPARE) | (value & CRTC_OVERFLOW_COMPARE);
        return;
    }
    vga->state.crtc[index] = value;
}

/* Index and data share one port; a flip-flop tells them apart. */
static void write_attr(struct vga *vga, uint8_t value)
{
    unsigned index = vga->state.attr_index & ATTR_INDEX;

    if (!vga->state.attr_data)
        vga->state.attr_index = value & (ATTR_INDEX | ATTR_SCREEN_ON);
    else if (index < ATTR_COUNT &&
             (index >= ATTR_MODE || !(vga->state.attr_index & ATTR_SCREEN_ON)))
        vga->state.attr[index] = value; /* the palette is writable only while the screen is off */
    vga->state.attr_data = !vga->state.attr_data;
}

/* Steps through red, green, blue and on to the next index. */
static void dac_step(struct vga *vga, uint8_t *index)
{
    if (++vga->state.dac_component == 3) {
        vga->state.dac_component = 0;
        (*index)++;
    }
}

static void write_dac(struct vga *vga, uint8_t value)
{
    vga->state.dac[vga->state.dac_write][vga->state.dac_component] = value & DAC_BITS;
    dac_step(vga, &vga->state.dac_write);
}

static uint8_t read_dac(struct vga *vga)
{
    uint8_t value = vga->state.dac[vga->state.dac_read][vga->state.dac_component];

    dac_step(vga, &vga->state.dac_read);
    return value;
}

static void set_dac_index(struct vga *vga, uint8_t index, bool reading)
{
    *(reading ? &vga->state.dac_read : &vga->state.dac_write) = index;
    vga->state.dac_component = 0;
    vga->state.dac_reading = reading;
}

/* Registers at 3Bxh and 3Dxh answer at one of the two only: gives the 3Dxh name, or no port. */
static uint64_t decode_port(const struct vga *vga, uint64_t offset)
{
    bool color = vga->state.misc & MISC_COLOR;

    if (offset >= PORT_ATTR_WRITE && offset <= PORT_GFX_DATA)
        return offset;
    if (offset < PORT_ATTR_WRITE)
        return color ? VGA_PORT_COUNT : offset + MONO_TO_COLOR;
    return color ? offset : VGA_PORT_COUNT;
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned width)
{
    struct vga *vga = dev;
    unsigned attr = vga->state.attr_index & ATTR_INDEX;

    switch (decode_port(vga, offset)) {
    case PORT_ATTR_WRITE: return vga->state.attr_index;
    case PORT_ATTR_READ: return attr < ATTR_COUNT ? vga->state.attr[attr] : 0;
    case PORT_MISC_WRITE: return STATUS0_SENSE;
    case PORT_ENABLE: return vga->state.enable;
    case PORT_SEQ_INDEX: return vga->state.seq_index;
    case PORT_SEQ_DATA:
        return vga->state.seq_index < SEQ_COUNT ? vga->state.seq[vga->state.seq_index] : 0;
    case PORT_DAC_MASK: return vga->state.dac_mask;
    case PORT_DAC_READ_INDEX: return vga->state.dac_reading ? DAC_STATE_READ : 0;
    case PORT_DAC_WRITE_INDEX: return vga->state.dac_write;
    case PORT_DAC_DATA: return read_dac(vga);
    case PORT_FEATURE_READ: return vga->state.feature;
    case PORT_MISC_READ: return vga->state.misc;
    case PORT_GFX_INDEX: return vga->state.gfx_index;
    case PORT_GFX_DATA:
        return vga->state.gfx_index < GFX_COUNT ? vga->state.gfx[vga->state.gfx_index] : 0;
    case PORT_COLOR_CRTC_INDEX: return vga->state.crtc_index;
    case PORT_COLOR_CRTC_DATA:
        return vga->state.crtc_index < CRTC_COUNT ? vga->state.crtc[vga->state.crtc_index] : 0;
    case PORT_COLOR_STATUS: vga->state.attr_data = false; return status1(vga);
    default: return NOTHING;
    }
}

static void port_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct vga *vga = dev;
    uint8_t byte = (uint8_t)value;

    switch (decode_port(vga, offset)) {
    case PORT_ATTR_WRITE: write_attr(vga, byte); break;
    case PORT_MISC_WRITE: vga->state.misc = byte; break;
    case PORT_ENABLE: vga->state.enable = byte & 1; break;
    case PORT_SEQ_INDEX: vga->state.seq_index = byte & 7; break;
    case PORT_SEQ_DATA:
        if (vga->state.seq_index < SEQ_COUNT)
            vga->state.seq[vga->state.seq_index] = byte & seq_writable[vga->state.seq_index];
        break;
    case PORT_DAC_MASK: vga->state.dac_mask = byte; break;
    case PORT_DAC_READ_INDEX: set_dac_index(vga, byte, true); break;
    case PORT_DAC_WRITE_INDEX: set_dac_index(vga, byte, false); break;
    case PORT_DAC_DATA: write_dac(vga, byte); break;
    case PORT_GFX_INDEX: vga->state.gfx_index = byte & 15; break;
    case PORT_GFX_DATA:
        if (vga->state.gfx_index < GFX_COUNT)
            vga->state.gfx[vga->state.gfx_index] = byte & gfx_writable[vga->state.gfx_index];
        break;
    case PORT_COLOR_CRTC_INDEX: vga->state.crtc_index = byte & 0x3f; break;
    case PORT_COLOR_CRTC_DATA: write_crtc(vga, byte); break;
    case PORT_COLOR_STATUS: vga->state.feature = byte; break;
    default: break;
    }
}

const struct bus_ops vga_port_ops = {.read = port_read, .write = port_write};

static void reset(void *dev)
{
    vga_reset(dev);
}

static bool sound(const void *opaque)
{
    const struct vga_state *state = opaque;

    return state->dac_component < 3;
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct vga_state, misc),
    DEVICE_FIELD(struct vga_state, feature),
    DEVICE_FIELD(struct vga_state, enable),
    DEVICE_FIELD(struct vga_state, seq_index),
    DEVICE_ARRAY(struct vga_state, seq),
    DEVICE_FIELD(struct vga_state, gfx_index),
    DEVICE_ARRAY(struct vga_state, gfx),
    DEVICE_FIELD(struct vga_state, crtc_index),
    DEVICE_ARRAY(struct vga_state, crtc),
    DEVICE_FIELD(struct vga_state, attr_index),
    DEVICE_ARRAY(struct vga_state, attr),
    DEVICE_FIELD(struct vga_state, attr_data),
    DEVICE_FIELD(struct vga_state, dac_mask),
    DEVICE_FIELD(struct vga_state, dac_write),
    DEVICE_FIELD(struct vga_state, dac_read),
    DEVICE_FIELD(struct vga_state, dac_component),
    DEVICE_FIELD(struct vga_state, dac_reading),
    DEVICE_ROW("dac", struct vga_state, dac[0][0], 1, sizeof(((struct vga_state *)NULL)->dac)),
    DEVICE_FIELD(struct vga_state, latch),
    DEVICE_ARRAY(struct vga_state, memory),
};

static const struct device_class class = {
    .name = "VGA",
    .version = 1,
    DEVICE_STATE(struct vga_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *vga_device(const struct vga *vga)
{
    return &vga->device;
}

struct vga *vga_create(struct clock *clock)
{
    struct vga *vga = calloc(1, sizeof(*vga));

    if (!vga)
        return NULL;
    vga->device = (struct device){&class, vga, &vga->state};
    vga->clock = clock;
    vga_reset(vga);
    return vga;
}

void vga_destroy(struct vga *vga)
{
    free(vga);
}

void vga_reset(struct vga *vga)
{
    memset(&vga->state, 0, offsetof(struct vga_state, memory));
}

void vga_set_text_mode(struct vga *vga)
{
    vga_reset(vga);
    vga->state.misc = MODE3_MISC;
    vga->state.enable = 1;
    memcpy(vga->state.seq, mode3_seq, sizeof(vga->state.seq));
    memcpy(vga->state.gfx, mode3_gfx, sizeof(vga->state.gfx));
    memcpy(vga->state.crtc, mode3_crtc, sizeof(vga->state.crtc));
    memcpy(vga->state.attr, mode3_attr, sizeof(vga->state.attr));
    vga->state.attr_index = ATTR_SCREEN_ON;
    vga->state.dac_mask = 0xff;
    for (unsigned i = 0; i < EGA_COLORS; i++) { /* two bits a colour: rgbRGB */
        for (unsigned c = 0; c < 3; c++)
            vga->state.dac[i][c] = (uint8_t)((i >> (2 - c) & 1) * 0x2a + (i >> (5 - c) & 1) * 0x15);
    }
    for (unsigned i = 0; i < VGA_PLANE_SIZE; i++)
        vga->state.memory[i] = BLANK_CELL;
}
