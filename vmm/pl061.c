/* SPDX-License-Identifier: MIT */
/*
 * The GPIO block: "PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual" (DDI 0190), chapter 3. On the
 * board pin 3 is the power button. Alternate function control is a register without function.
 */
#include "pl061.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <libfdt.h>

#include "board_fdt.h"
#include "loop.h"

enum {
	GPIODATA_END = 0x400, /* below: the data register, address bits 9..2 are a mask */
	GPIODIR = 0x400,
	GPIOIS = 0x404,
	GPIOIBE = 0x408,
	GPIOIEV = 0x40c,
	GPIOIE = 0x410,
	GPIORIS = 0x414,
	GPIOMIS = 0x418,
	GPIOIC = 0x41c,
	GPIOAFSEL = 0x420,
	PRIMECELL_ID = 0xfe0,
};
enum { POWER_PIN = 3, KEY_POWER = 116 /* linux/input-event-codes.h */, PRESS_NS = 100000000 };

/* GPIOPeriphID (part 061, Arm) and GPIOPCellID, a byte per word from 0xfe0 */
static const uint8_t primecell_id[8] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

static uint8_t pins(const struct pl061 *g)
{
	return (uint8_t)((g->data & g->dir) | (g->in & ~g->dir));
}

static uint8_t raw_status(const struct pl061 *g)
{
	uint8_t level = (uint8_t)(g->is & ~(pins(g) ^ g->iev));

	return (uint8_t)(level | (g->edges & ~g->is));
}

static void update(struct pl061 *g)
{
	device_irq(&g->dev, raw_status(g) & g->ie);
}

/* Pins were `before`: latch the edges. */
static void latch(struct pl061 *g, uint8_t before)
{
	uint8_t now = pins(g), changed = before ^ now;

	g->edges |= (uint8_t)(changed & ~g->is & (g->ibe | ~(now ^ g->iev)));
}

static uint32_t read_reg(struct pl061 *g, uint64_t reg)
{
	if (reg < GPIODATA_END)
		return pins(g) & (uint8_t)(reg >> 2);
	switch (reg) {
	case GPIODIR: return g->dir;
	case GPIOIS: return g->is;
	case GPIOIBE: return g->ibe;
	case GPIOIEV: return g->iev;
	case GPIOIE: return g->ie;
	case GPIORIS: return raw_status(g);
	case GPIOMIS: return raw_status(g) & g->ie;
	case GPIOAFSEL: return g->afsel;
	}
	if (reg >= PRIMECELL_ID && reg < PRIMECELL_ID + 4 * sizeof(primecell_id))
		return primecell_id[(reg - PRIMECELL_ID) / 4];
	return 0;
}

static void write_reg(struct pl061 *g, uint64_t reg, uint8_t val)
{
	uint8_t before = pins(g), mask = (uint8_t)(reg >> 2);

	if (reg < GPIODATA_END) {
		g->data = (uint8_t)((g->data & ~mask) | (val & mask));
		latch(g, before);
		return;
	}
	switch (reg) {
	case GPIODIR:
		g->dir = val;
		latch(g, before);
		break;
	case GPIOIS: g->is = val; break;
	case GPIOIBE: g->ibe = val; break;
	case GPIOIEV: g->iev = val; break;
	case GPIOIE: g->ie = val; break;
	case GPIOIC: g->edges &= (uint8_t)~val; break;
	case GPIOAFSEL: g->afsel = val; break;
	}
}

static uint32_t pl061_read(struct device *dev, uint64_t off, unsigned len)
{
	return read_reg((struct pl061 *)dev, off & ~3ull) >> 8 * (off & 3);
}

/* The APB has no byte lanes: a narrow write at the register's first byte writes the register. */
static void pl061_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct pl061 *g = (struct pl061 *)dev;

	if (off & 3)
		return;
	write_reg(g, off, (uint8_t)val);
	update(g);
}

/* What the board drives is the board's. */
static void pl061_reset(struct device *dev)
{
	struct pl061 *g = (struct pl061 *)dev;

	g->data = g->dir = g->is = g->ibe = g->iev = g->ie = g->afsel = g->edges = 0;
	update(g);
}

static void pl061_free(struct device *dev)
{
	free(dev);
}

static const struct device_ops pl061_ops = {
	.read = pl061_read, .write = pl061_write, .reset = pl061_reset, .free = pl061_free};

void pl061_init(struct pl061 *g)
{
	g->dev.ops = &pl061_ops;
}

void pl061_drive(struct pl061 *g, unsigned pin, bool level)
{
	uint8_t before;

	pthread_mutex_lock(&g->dev.lock);
	before = pins(g);
	g->in = (uint8_t)((g->in & ~(1u << pin)) | (unsigned)level << pin);
	latch(g, before);
	update(g);
	pthread_mutex_unlock(&g->dev.lock);
}

/* ---- on the board: a button that is let go by a timer in the event loop */

struct board_gpio {
	struct pl061 gpio;
	int timer;
	struct loop *loop;
};

static void let_go(void *arg)
{
	struct board_gpio *b = arg;
	uint64_t n;

	if (read(b->timer, &n, sizeof(n)) == sizeof(n))
		pl061_drive(&b->gpio, POWER_PIN, false);
}

static void press(void *arg)
{
	struct board_gpio *b = arg;
	struct itimerspec at = {.it_value = {0, PRESS_NS}};

	pl061_drive(&b->gpio, POWER_PIN, true);
	timerfd_settime(b->timer, 0, &at, NULL);
}

static void board_gpio_free(struct device *dev)
{
	struct board_gpio *b = (struct board_gpio *)dev;

	loop_remove(b->loop, b->timer);
	close(b->timer);
	free(b);
}

static const struct device_ops board_gpio_ops = {
	.read = pl061_read, .write = pl061_write, .reset = pl061_reset, .free = board_gpio_free};

struct device *pl061_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct board_gpio *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	b->loop = m->loop;
	if (b->timer < 0 || !loop_add(m->loop, b->timer, let_go, b)) {
		if (b->timer >= 0)
			close(b->timer);
		free(b);
		return NULL;
	}
	pl061_init(&b->gpio);
	b->gpio.dev.ops = &board_gpio_ops;
	m->power_button.press = press;
	m->power_button.arg = b;
	return &b->gpio.dev;
}

void pl061_fdt(void *fdt, const struct board_device *dev)
{
	static const char clock_names[] = "apb_pclk";
	fdt32_t gpios[3] = {cpu_to_fdt32(FDT_PHANDLE_GPIO), cpu_to_fdt32(POWER_PIN), 0 /* active high */};

	fdt_amba_begin(fdt, dev, "pl061", 1, clock_names, sizeof(clock_names));
	fdt_property(fdt, "gpio-controller", NULL, 0);
	fdt_property_u32(fdt, "#gpio-cells", 2);
	fdt_property_u32(fdt, "phandle", FDT_PHANDLE_GPIO);
	fdt_end_node(fdt);

	fdt_begin_node(fdt, "gpio-keys");
	fdt_property_string(fdt, "compatible", "gpio-keys");
	fdt_begin_node(fdt, "poweroff");
	fdt_property_string(fdt, "label", "power button");
	fdt_property_u32(fdt, "linux,code", KEY_POWER);
	fdt_property(fdt, "gpios", gpios, sizeof(gpios));
	fdt_end_node(fdt);
	fdt_end_node(fdt);
}
