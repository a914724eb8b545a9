/* SPDX-License-Identifier: MIT */
/*
 * The exit port: a device of this board alone, by which a guest gives the process its exit status. One register at
 * offset 0: writing N, with any size of access, ends the machine with status N modulo 256, at once: no vcpu executes
 * another instruction for the outside world to see. Reads give 0. In the device tree it is "pawl,exit".
 */
#include <stdlib.h>

#include "board_fdt.h"
#include "machine.h"

struct exit_port {
	struct device dev;
	struct machine *m;
};

static uint32_t exit_port_read(struct device *dev, uint64_t off, unsigned len)
{
	return 0;
}

static void exit_port_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	if (!off)
		machine_end(((struct exit_port *)dev)->m, (int)(val & 0xff));
}

static void exit_port_free(struct device *dev)
{
	free(dev);
}

static const struct device_ops exit_port_ops = {
	.read = exit_port_read, .write = exit_port_write, .free = exit_port_free};

struct device *exit_port_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct exit_port *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->dev.ops = &exit_port_ops;
	e->m = m;
	return &e->dev;
}

void exit_port_fdt(void *fdt, const struct board_device *dev)
{
	fdt_plain_device(fdt, dev, "exit", "pawl,exit");
}
