/* SPDX-License-Identifier: MIT */
/*
 * PrimeCell UART PL011: Arm DDI 0183 (r1p5), chapter 3 "Programmers Model". Line speed does not exist here: a
 * byte that is written has been sent, and bytes that arrive are followed by silence, so the receive timeout is
 * immediate. DMA requests go nowhere. Bytes are sent also while UARTEN or TXE is 0, and received by a guest that polls while UARTEN is
 * 0, because early consoles and kernel debuggers rely on firmware to have set them, and here there may have been none.
 */
#include "pl011.h"

#include <stdlib.h>
#include <string.h>

#include "board_fdt.h"
#include "console.h"

enum {
	UARTDR = 0x00,
	UARTRSR = 0x04, /* write: UARTECR */
	UARTFR = 0x18,
	UARTILPR = 0x20,
	UARTIBRD = 0x24,
	UARTFBRD = 0x28,
	UARTLCR_H = 0x2c,
	UARTCR = 0x30,
	UARTIFLS = 0x34,
	UARTIMSC = 0x38,
	UARTRIS = 0x3c,
	UARTMIS = 0x40,
	UARTICR = 0x44,
	UARTDMACR = 0x48,
	PRIMECELL_ID = 0xfe0,
};

enum { DR_OE = 1 << 11 };
enum { RSR_OE = 1 << 3 };
enum {
	FR_CTS = 1 << 0,
	FR_DSR = 1 << 1,
	FR_DCD = 1 << 2,
	FR_RXFE = 1 << 4,
	FR_RXFF = 1 << 6,
	FR_TXFE = 1 << 7,
	FR_RI = 1 << 8
};
enum { LCR_FEN = 1 << 4 };
enum {
	CR_UARTEN = 1 << 0,
	CR_LBE = 1 << 7,
	CR_TXE = 1 << 8,
	CR_RXE = 1 << 9,
	CR_DTR = 1 << 10,
	CR_RTS = 1 << 11,
	CR_OUT1 = 1 << 12,
	CR_OUT2 = 1 << 13,
};
/* Bits of RIS, MIS, IMSC and ICR */
enum {
	INT_RI = 1 << 0,
	INT_CTS = 1 << 1,
	INT_DCD = 1 << 2,
	INT_DSR = 1 << 3,
	INT_RX = 1 << 4,
	INT_TX = 1 << 5,
	INT_RT = 1 << 6,
	INT_OE = 1 << 10,
	INT_ALL = 0x7ff,
};

/* A driver that polls for input reads FR over and over; one that prints touches DR in between. */
enum { POLLS_THAT_LISTEN = 16 };

/* UARTPeriphID (part 011, Arm, r1p4) and UARTPCellID, a byte per word from 0xfe0 */
static const uint8_t primecell_id[8] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

static unsigned fifo_depth(const struct pl011 *u)
{
	return u->lcr_h & LCR_FEN ? PL011_FIFO : 1;
}

static unsigned rx_trigger(const struct pl011 *u)
{
	/* RXIFLSEL: 1/8, 1/4, 1/2, 3/4, 7/8; the other values are reserved */
	static const uint8_t level[8] = {2, 4, 8, 12, 14, 8, 8, 8};

	return u->lcr_h & LCR_FEN ? level[u->ifls >> 3 & 7] : 1;
}

/* Loopback connects the modem outputs to the inputs; else the other end of the line is always ready. */
static uint16_t modem_lines(const struct pl011 *u)
{
	if (!(u->cr & CR_LBE))
		return FR_CTS | FR_DSR | FR_DCD;
	return (u->cr & CR_RTS ? FR_CTS : 0) | (u->cr & CR_DTR ? FR_DSR : 0) | (u->cr & CR_OUT1 ? FR_DCD : 0) |
	       (u->cr & CR_OUT2 ? FR_RI : 0);
}

static void modem_changed(struct pl011 *u)
{
	uint16_t now = modem_lines(u), changed = now ^ u->modem;

	u->modem = now;
	u->ris |= (changed & FR_CTS ? INT_CTS : 0) | (changed & FR_DSR ? INT_DSR : 0) |
		  (changed & FR_DCD ? INT_DCD : 0) | (changed & FR_RI ? INT_RI : 0);
}

/* Somebody in the guest will see a byte that arrives: by interrupt, or by polling. Else it waits in the host. */
static bool listening(const struct pl011 *u)
{
	return u->cr & CR_RXE &&
	       ((u->cr & CR_UARTEN && u->imsc & (INT_RX | INT_RT)) || u->idle_polls >= POLLS_THAT_LISTEN);
}

static unsigned room(const struct pl011 *u)
{
	return listening(u) && u->rx_count < fifo_depth(u) ? fifo_depth(u) - u->rx_count : 0;
}

/* After every change: the timeout interrupt is there while bytes are; the output; and the host may send again. */
static void update(struct pl011 *u)
{
	if (u->rx_count)
		u->ris |= INT_RT;
	else
		u->ris &= ~INT_RT;
	device_irq(&u->dev, (u->ris & u->imsc) != 0);
	if (u->was_full && room(u)) {
		u->was_full = false;
		u->wanted(u->arg);
	}
}

static void rx_put(struct pl011 *u, uint8_t byte)
{
	if (u->rx_count >= fifo_depth(u)) {
		u->rsr |= RSR_OE;
		u->ris |= INT_OE;
		if (u->rx_count) /* the newest entry tells of what came after it */
			u->rx[(u->rx_head + u->rx_count - 1) % PL011_FIFO] |= DR_OE;
		return;
	}
	u->rx[(u->rx_head + u->rx_count++) % PL011_FIFO] = byte;
	if (u->rx_count >= rx_trigger(u))
		u->ris |= INT_RX;
}

static uint16_t rx_get(struct pl011 *u)
{
	uint16_t val;

	if (!u->rx_count)
		return 0;
	val = u->rx[u->rx_head];
	u->rx_head = (u->rx_head + 1) % PL011_FIFO;
	u->rx_count--;
	u->rsr = (u->rsr & RSR_OE) | (val >> 8 & 0x7);
	if (u->rx_count < rx_trigger(u))
		u->ris &= ~INT_RX;
	return val;
}

static uint16_t flags(const struct pl011 *u)
{
	return modem_lines(u) | FR_TXFE | (u->rx_count ? 0 : FR_RXFE) | (u->rx_count >= fifo_depth(u) ? FR_RXFF : 0);
}

static uint32_t read_reg(struct pl011 *u, uint64_t reg)
{
	u->idle_polls = reg == UARTFR ? u->idle_polls + (u->idle_polls < POLLS_THAT_LISTEN) : u->idle_polls;
	switch (reg) {
	case UARTDR: return rx_get(u);
	case UARTRSR: return u->rsr;
	case UARTFR: return flags(u);
	case UARTILPR: return u->ilpr;
	case UARTIBRD: return u->ibrd;
	case UARTFBRD: return u->fbrd;
	case UARTLCR_H: return u->lcr_h;
	case UARTCR: return u->cr;
	case UARTIFLS: return u->ifls;
	case UARTIMSC: return u->imsc;
	case UARTRIS: return u->ris;
	case UARTMIS: return u->ris & u->imsc;
	case UARTDMACR: return u->dmacr;
	}
	if (reg >= PRIMECELL_ID && reg < PRIMECELL_ID + 4 * sizeof(primecell_id))
		return primecell_id[(reg - PRIMECELL_ID) / 4];
	return 0;
}

static void write_reg(struct pl011 *u, uint64_t reg, uint32_t val)
{
	switch (reg) {
	case UARTDR:
		u->idle_polls = 0;
		if (u->cr & CR_LBE)
			rx_put(u, (uint8_t)val);
		else
			u->transmit(u->arg, (uint8_t)val);
		u->ris |= INT_TX; /* sent: the FIFO has fallen to its trigger level */
		break;
	case UARTRSR: u->rsr = 0; break;
	case UARTILPR: u->ilpr = val & 0xff; break;
	case UARTIBRD: u->ibrd = val & 0xffff; break;
	case UARTFBRD: u->fbrd = val & 0x3f; break;
	case UARTLCR_H:
		if ((u->lcr_h ^ val) & LCR_FEN) { /* the FIFO is emptied when it is switched on or off */
			u->rx_count = 0;
			u->ris &= ~INT_RX;
		}
		u->lcr_h = val & 0xff;
		break;
	case UARTCR:
		u->cr = val & 0xff87;
		u->idle_polls = 0;
		modem_changed(u);
		break;
	case UARTIFLS: u->ifls = val & 0x3f; break;
	case UARTIMSC: u->imsc = val & INT_ALL; break;
	case UARTICR: u->ris &= ~(val & INT_ALL); break;
	case UARTDMACR: u->dmacr = val & 0x7; break;
	}
}

static uint32_t pl011_read(struct device *dev, uint64_t off, unsigned len)
{
	struct pl011 *u = (struct pl011 *)dev;
	uint32_t val = read_reg(u, off & ~3ull);

	update(u);
	return val >> 8 * (off & 3);
}

/* The APB has no byte lanes: a narrow write at the register's first byte writes the register. */
static void pl011_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct pl011 *u = (struct pl011 *)dev;

	if (off & 3)
		return;
	write_reg(u, off, val);
	update(u);
}

static void pl011_free(struct device *dev)
{
	free(dev);
}

static void reset_registers(struct pl011 *u)
{
	u->rx_head = u->rx_count = 0;
	u->ilpr = u->ibrd = u->fbrd = u->lcr_h = u->imsc = u->ris = u->dmacr = u->rsr = 0;
	u->cr = CR_TXE | CR_RXE;
	u->ifls = 0x12;
	u->modem = modem_lines(u);
	u->idle_polls = 0;
}

static void pl011_reset(struct device *dev)
{
	struct pl011 *u = (struct pl011 *)dev;

	reset_registers(u);
	update(u);
}

static const struct device_ops pl011_ops = {
	.read = pl011_read, .write = pl011_write, .reset = pl011_reset, .free = pl011_free};

void pl011_init(struct pl011 *u)
{
	u->dev.ops = &pl011_ops;
	reset_registers(u);
}

unsigned pl011_room(struct pl011 *u)
{
	unsigned n;

	pthread_mutex_lock(&u->dev.lock);
	n = room(u);
	u->was_full = !n;
	pthread_mutex_unlock(&u->dev.lock);
	return n;
}

void pl011_receive(struct pl011 *u, const uint8_t *bytes, unsigned n)
{
	pthread_mutex_lock(&u->dev.lock);
	for (unsigned i = 0; i < n; i++)
		rx_put(u, bytes[i]);
	update(u);
	pthread_mutex_unlock(&u->dev.lock);
}

/* ---- on the board: the console's UART */

static void to_console(void *arg, uint8_t byte)
{
	console_put(arg, byte);
}

static void input_wanted(void *arg)
{
	console_input_wanted(arg);
}

struct device *pl011_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct pl011 *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->transmit = to_console;
	u->wanted = input_wanted;
	u->arg = m->console;
	pl011_init(u);
	console_set_uart(m->console, u);
	return &u->dev;
}

void pl011_fdt(void *fdt, const struct board_device *dev)
{
	static const char clock_names[] = "uartclk\0apb_pclk";

	fdt_amba_device(fdt, dev, "pl011", 2, clock_names, sizeof(clock_names));
}
