/* The 16550A's registers and its interrupt logic; see uart.h. */
#include "dev/uart.h"

#include <stdlib.h>

#include "base/trace.h"

/* Offsets. With the divisor latch open, 0 and 1 are its two bytes. */
enum uart_port {
    PORT_DATA = 0,
    PORT_IER = 1,
    PORT_IIR_FCR = 2, /* read: IIR, write: FCR */
    PORT_LCR = 3,
    PORT_MCR = 4,
    PORT_LSR = 5,
    PORT_MSR = 6,
    PORT_SCRATCH = 7,
};

#define IER_RECEIVED 0x01
#define IER_THRE     0x02
#define IER_LINE     0x04
#define IER_MODEM    0x08
#define IER_WRITABLE 0x0f

/* IIR: bit 0 is clear when an interrupt is pending; the identifications in falling priority. */
#define IIR_NONE     0x01
#define IIR_LINE     0x06
#define IIR_RECEIVED 0x04
#define IIR_TIMEOUT  0x0c
#define IIR_THRE     0x02
#define IIR_MODEM    0x00
#define IIR_FIFO     0xc0

#define FCR_ENABLE        0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB 0x80

#define MCR_DTR      0x01
#define MCR_RTS      0x02
#define MCR_OUT1     0x04
#define MCR_OUT2     0x08
#define MCR_LOOP     0x10
#define MCR_WRITABLE 0x1f

#define LSR_READY   0x01
#define LSR_OVERRUN 0x02
#define LSR_BREAK   0x10
#define LSR_THRE    0x20
#define LSR_TEMT    0x40
#define LSR_IN_FIFO 0x80 /* an error stands somewhere in the FIFO */
#define LSR_ERRORS  (LSR_OVERRUN | LSR_BREAK)

#define MSR_DELTA_CTS 0x01
#define MSR_DELTA_DSR 0x02
#define MSR_TRAIL_RI  0x04
#define MSR_DELTA_DCD 0x08
#define MSR_CTS       0x10
#define MSR_DSR       0x20
#define MSR_RI        0x40
#define MSR_DCD       0x80
#define MSR_DELTAS    0x0f
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)

#define FIFO_SIZE 16

static const uint8_t trigger_levels[4] = {1, 4, 8, 14};

struct uart_state {
    bool irq_level;
    bool thre_pending; /* THRE became true and nobody was told yet */
    uint8_t fifo[FIFO_SIZE];
    uint16_t fifo_break; /* bit i: the i-th oldest byte is a break */
    uint16_t fifo_host;  /* bit i: it came by uart_receive, not by loopback */
    unsigned fifo_count;
    uint8_t errors; /* the LSR's error bits */
    uint8_t ier, fcr, lcr, mcr, msr, scratch;
    uint8_t divisor[2];
    uint8_t last;   /* what a read of an empty receiver gives */
    uint32_t polls; /* reads of the LSR that found nothing, since the guest sent or set up */
    bool polled;    /* enough of them: the guest reads by polling */
};

struct uart {
    struct device device;
    struct uart_backend backend;
    struct irq_line irq;
    struct uart_state state;
};

static bool fifo_enabled(const struct uart *uart)
{
    return uart->state.fcr & FCR_ENABLE;
}

static unsigned fifo_capacity(const struct uart *uart)
{
    return fifo_enabled(uart) ? FIFO_SIZE : 1;
}

/* The interrupt of the highest priority that is pending and enabled. */
static uint8_t uart_identify(const struct uart *uart)
{
    unsigned trigger = trigger_levels[uart->state.fcr >> FCR_TRIGGER_SHIFT];

    if ((uart->state.ier & IER_LINE) && uart->state.errors)
        return IIR_LINE;
    if ((uart->state.ier & IER_RECEIVED) && uart->state.fifo_count)
        return fifo_enabled(uart) && uart->state.fifo_count < trigger ? IIR_TIMEOUT : IIR_RECEIVED;
    if ((uart->state.ier & IER_THRE) && uart->state.thre_pending)
        return IIR_THRE;
    if ((uart->state.ier & IER_MODEM) && (uart->state.msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

/*
 * DEVIATION: on a PC, OUT2 gates the interrupt. Many small systems never set it and work on other
 * virtual machines, none is known that relies on the gate.
 */
static void uart_update(struct uart *uart)
{
    bool level = uart_identify(uart) != IIR_NONE;

    if (level == uart->state.irq_level)
        return;
    uart->state.irq_level = level;
    irq_set(&uart->irq, level);
}

/*
 * Empties the receiver; the host's end is offered what it had sent and nobody read.
 * DEVIATION: on a PC that is lost. A driver clears the FIFO as it starts, right after it enabled
 * the interrupt by which it asks for input.
 */
static void fifo_clear(struct uart *uart)
{
    uint8_t unread[FIFO_SIZE];
    size_t count = 0;

    for (unsigned i = 0; i < uart->state.fifo_count; i++) {
        if (uart->state.fifo_host & BIT(i))
            unread[count++] = uart->state.fifo[i];
    }
    uart->state.fifo_count = 0;
    uart->state.fifo_break = 0;
    uart->state.fifo_host = 0;
    if (count && uart->backend.unread)
        uart->backend.unread(uart->backend.opaque, unread, count);
}

/* The break of a byte shows in the LSR when that byte is the next to be read. */
static void fifo_expose(struct uart *uart)
{
    if (uart->state.fifo_count && (uart->state.fifo_break & 1))
        uart->state.errors |= LSR_BREAK;
}

static void fifo_push(struct uart *uart, uint8_t byte, bool is_break)
{
    if (uart->state.fifo_count == fifo_capacity(uart)) {
        uart->state.errors |= LSR_OVERRUN;
        if (!fifo_enabled(uart)) /* the one register is overwritten; a full FIFO keeps its bytes */
            uart->state.fifo[0] = byte;
        return;
    }
    uart->state.fifo_host &= (uint16_t)~BIT(uart->state.fifo_count);
    uart->state.fifo[uart->state.fifo_count] = byte;
    if (is_break)
        uart->state.fifo_break |= (uint16_t)BIT(uart->state.fifo_count);
    uart->state.fifo_count++;
    if (uart->state.fifo_count == 1)
        fifo_expose(uart);
}

static uint8_t fifo_pop(struct uart *uart)
{
    if (uart->state.fifo_count == 0)
        return uart->state.last;
    uart->state.last = uart->state.fifo[0];
    uart->state.fifo_count--;
    for (unsigned i = 0; i < uart->state.fifo_count; i++)
        uart->state.fifo[i] = uart->state.fifo[i + 1];
    uart->state.fifo_host >>= 1;
    uart->state.fifo_break >>= 1;
    uart->state.fifo_break &= ~1u | (uart->state.fifo_count != 0);
    fifo_expose(uart);
    return uart->state.last;
}

static uint8_t uart_lsr(const struct uart *uart)
{
    uint8_t lsr = LSR_THRE | LSR_TEMT | uart->state.errors;

    if (uart->state.fifo_count)
        lsr |= LSR_READY;
    if (fifo_enabled(uart) && uart->state.fifo_break)
        lsr |= LSR_IN_FIFO;
    return lsr;
}

/* In loopback the four outputs of the MCR are the four inputs of the MSR. */
static uint8_t uart_modem_inputs(const struct uart *uart)
{
    uint8_t inputs = 0;

    if (!(uart->state.mcr & MCR_LOOP))
        return MSR_CONNECTED;
    if (uart->state.mcr & MCR_RTS)
        inputs |= MSR_CTS;
    if (uart->state.mcr & MCR_DTR)
        inputs |= MSR_DSR;
    if (uart->state.mcr & MCR_OUT1)
        inputs |= MSR_RI;
    if (uart->state.mcr & MCR_OUT2)
        inputs |= MSR_DCD;
    return inputs;
}

/* Notes what changed on the modem inputs; of RI only the fall counts. */
static void uart_update_modem(struct uart *uart)
{
    uint8_t inputs = uart_modem_inputs(uart);
    uint8_t changed = inputs ^ (uart->state.msr & ~MSR_DELTAS);
    uint8_t deltas = (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;

    if ((changed & MSR_RI) && !(inputs & MSR_RI))
        deltas |= MSR_TRAIL_RI;
    uart->state.msr = inputs | (uart->state.msr & MSR_DELTAS) | deltas;
}

static void uart_transmit(struct uart *uart, uint8_t byte)
{
    if (uart->state.mcr & MCR_LOOP)
        fifo_push(uart, byte, false);
    else if (uart->backend.write)
        uart->backend.write(uart->backend.opaque, byte);
    uart->state.thre_pending = true; /* full and empty again within this write */
    uart->state.polls = 0;
}

/*
 * A guest that reads the LSR over and over and sends nothing waits for input: the transmitter is
 * always empty, so one read before each byte is all that sending takes.
 */
static void uart_note_poll(struct uart *uart)
{
    if (uart->state.fifo_count || (uart->state.mcr & MCR_LOOP) || uart->state.polled)
        return;
    uart->state.polled = ++uart->state.polls >= UART_READER_POLLS;
}

/* Software that sets the line up anew has still to show that it reads. */
static void uart_forget_polls(struct uart *uart)
{
    uart->state.polls = 0;
    uart->state.polled = false;
}

static void uart_write_fcr(struct uart *uart, uint8_t value)
{
    if ((value ^ uart->state.fcr) & FCR_ENABLE)
        fifo_clear(uart);
    /* The other bits are taken only together with the enable bit. */
    uart->state.fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | 3u << FCR_TRIGGER_SHIFT) : 0;
    if (value & FCR_CLEAR_RECEIVE)
        fifo_clear(uart);
}

static void uart_write_ier(struct uart *uart, uint8_t value)
{
    /* Enabling THRE while it is true raises the interrupt each time anew; drivers test for it. */
    if (value & ~uart->state.ier & IER_THRE)
        uart->state.thre_pending = true;
    uart->state.ier = value & IER_WRITABLE;
}

static uint8_t uart_read_iir(struct uart *uart)
{
    uint8_t id = uart_identify(uart);

    if (id == IIR_THRE) /* reading it as the source is what resets it */
        uart->state.thre_pending = false;
    return fifo_enabled(uart) ? id | IIR_FIFO : id;
}

static uint8_t uart_read_register(struct uart *uart, uint64_t port)
{
    uint8_t value;

    if ((uart->state.lcr & LCR_DLAB) && port <= PORT_IER)
        return uart->state.divisor[port];
    switch ((enum uart_port)port) {
    case PORT_DATA: return fifo_pop(uart);
    case PORT_IER: return uart->state.ier;
    case PORT_IIR_FCR: return uart_read_iir(uart);
    case PORT_LCR: return uart->state.lcr;
    case PORT_MCR: return uart->state.mcr;
    case PORT_LSR:
        value = uart_lsr(uart);
        uart->state.errors = 0;
        uart_note_poll(uart);
        return value;
    case PORT_MSR:
        value = uart->state.msr;
        uart->state.msr &= ~MSR_DELTAS;
        return value;
    case PORT_SCRATCH: return uart->state.scratch;
    }
    return 0xff;
}

static void uart_write_register(struct uart *uart, uint64_t port, uint8_t value)
{
    if ((uart->state.lcr & LCR_DLAB) && port <= PORT_IER) {
        uart->state.divisor[port] = value;
        return;
    }
    switch ((enum uart_port)port) {
    case PORT_DATA: uart_transmit(uart, value); break;
    case PORT_IER:
        uart_forget_polls(uart);
        uart_write_ier(uart, value);
        break;
    case PORT_IIR_FCR:
        uart_forget_polls(uart);
        uart_write_fcr(uart, value);
        break;
    case PORT_LCR: uart->state.lcr = value; break;
    case PORT_MCR:
        uart->state.mcr = value & MCR_WRITABLE;
        uart_update_modem(uart);
        break;
    case PORT_LSR: /* the factory's test bits */
    case PORT_MSR: break;
    case PORT_SCRATCH: uart->state.scratch = value; break;
    }
}

/* What of a UART decides whether the host's end may send. */
struct readiness {
    bool idle, read;
};

static struct readiness uart_readiness(const struct uart *uart)
{
    bool idle = uart->state.fifo_count == 0 && !(uart->state.mcr & MCR_LOOP);

    return (struct readiness){idle, uart_is_read(uart)};
}

/* Tells the host when input went to nothing, the loop opened, or a reader came, in an access. */
static void uart_offer_room(struct uart *uart, struct readiness before)
{
    struct readiness now = uart_readiness(uart);

    if (now.idle && (!before.idle || (now.read && !before.read)) && uart->backend.room)
        uart->backend.room(uart->backend.opaque);
}

static uint64_t uart_read(void *dev, uint64_t offset, unsigned width)
{
    struct uart *uart = dev;
    struct readiness before = uart_readiness(uart);
    uint8_t value = uart_read_register(uart, offset & 7);

    trace(uart_read, offset & 7, value);
    uart_update(uart);
    uart_offer_room(uart, before);
    return value;
}

static void uart_write(void *dev, uint64_t offset, unsigned width, uint64_t value)
{
    struct uart *uart = dev;
    struct readiness before = uart_readiness(uart);

    trace(uart_write, offset & 7, value);
    uart_write_register(uart, offset & 7, (uint8_t)value);
    uart_update(uart);
    uart_offer_room(uart, before);
}

const struct bus_ops uart_ops = {.read = uart_read, .write = uart_write};

/*
 * A driver that enables the receive interrupt reads. One that only tries out which bits the IER
 * has, as Linux does to recognise the chip, sets all four of them, with OUT2 off.
 */
bool uart_is_read(const struct uart *uart)
{
    bool trying = uart->state.ier == IER_WRITABLE && !(uart->state.mcr & MCR_OUT2);

    return uart->state.polled || ((uart->state.ier & IER_RECEIVED) && !trying);
}

bool uart_can_receive(const struct uart *uart)
{
    return !(uart->state.mcr & MCR_LOOP) && uart->state.fifo_count < fifo_capacity(uart);
}

void uart_receive(struct uart *uart, uint8_t byte)
{
    unsigned at = uart->state.fifo_count;

    if (uart->state.mcr & MCR_LOOP)
        return;
    fifo_push(uart, byte, false);
    if (uart->state.fifo_count > at)
        uart->state.fifo_host |= (uint16_t)BIT(at);
    uart_update(uart);
}

void uart_receive_break(struct uart *uart)
{
    if (uart->state.mcr & MCR_LOOP)
        return;
    fifo_push(uart, 0, true);
    uart_update(uart);
}

static void reset(void *dev)
{
    uart_reset(dev);
}

static bool sound(const void *opaque)
{
    const struct uart_state *state = opaque;

    return state->fifo_count <= (state->fcr & FCR_ENABLE ? FIFO_SIZE : 1u) &&
           !((state->fifo_break | state->fifo_host) >> state->fifo_count) &&
           !(state->ier & ~IER_WRITABLE) && !(state->mcr & ~MCR_WRITABLE) &&
           !(state->fcr & ~(FCR_ENABLE | 3u << FCR_TRIGGER_SHIFT));
}

static const struct device_field fields[] = {
    DEVICE_FIELD(struct uart_state, irq_level), DEVICE_FIELD(struct uart_state, thre_pending),
    DEVICE_ARRAY(struct uart_state, fifo),      DEVICE_FIELD(struct uart_state, fifo_break),
    DEVICE_FIELD(struct uart_state, fifo_host), DEVICE_FIELD(struct uart_state, polls),
    DEVICE_FIELD(struct uart_state, polled),    DEVICE_FIELD(struct uart_state, fifo_count),
    DEVICE_FIELD(struct uart_state, errors),    DEVICE_FIELD(struct uart_state, ier),
    DEVICE_FIELD(struct uart_state, fcr),       DEVICE_FIELD(struct uart_state, lcr),
    DEVICE_FIELD(struct uart_state, mcr),       DEVICE_FIELD(struct uart_state, msr),
    DEVICE_FIELD(struct uart_state, scratch),   DEVICE_ARRAY(struct uart_state, divisor),
    DEVICE_FIELD(struct uart_state, last),
};

static const struct device_class class = {
    .name = "16550A UART",
    .version = 1,
    DEVICE_STATE(struct uart_state, fields),
    .reset = reset,
    .sound = sound,
};

const struct device *uart_device(const struct uart *uart)
{
    return &uart->device;
}

struct uart *uart_create(const struct uart_backend *backend, const struct irq_line *irq)
{
    struct uart *uart = calloc(1, sizeof(*uart));

    if (!uart)
        return NULL;
    uart->device = (struct device){&class, uart, &uart->state};
    uart->backend = *backend;
    uart->irq = *irq;
    uart_reset(uart);
    return uart;
}

void uart_destroy(struct uart *uart)
{
    free(uart);
}

void uart_reset(struct uart *uart)
{
    struct readiness before = uart_readiness(uart);

    fifo_clear(uart);
    uart->state = (struct uart_state){
        .irq_level = uart->state.irq_level,
        .msr = MSR_CONNECTED,
        .divisor = {12}, /* 9600 baud; undefined on the chip */
    };
    uart_update(uart);
    uart_offer_room(uart, before);
}
