/* SPDX-License-Identifier: MIT */
/*
 * The panic notifier: one byte by which Linux's pvpanic-mmio driver says that the kernel has panicked. Reading gives the
 * events that are understood, writing reports them. QEMU's document "PVPANIC DEVICE" and the kernel's binding
 * misc/pvpanic-mmio.txt.
 */
#include <stdlib.h>

#include "board_fdt.h"
#include "machine.h"

enum { PANICKED = 1, CRASH_LOADED = 2 /* a crash kernel takes over: no end */ };

struct pvpanic {
	struct device dev;
	struct machine *m;
};

static uint32_t pvpanic_read(struct device *dev, uint64_t off, unsigned len)
{
	return off ? 0 : PANICKED | CRASH_LOADED;
}

static void pvpanic_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct machine *m = ((struct pvpanic *)dev)->m;

	if (off)
		return;
	if (val & PANICKED)
		machine_panicked(m);
	else if (val & CRASH_LOADED)
		machine_message(m, "the guest's kernel has panicked, and its crash kernel takes over");
}

static void pvpanic_free(struct device *dev)
{
	free(dev);
}

static const struct device_ops pvpanic_ops = {.read = pvpanic_read, .write = pvpanic_write, .free = pvpanic_free};

struct device *pvpanic_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct pvpanic *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->dev.ops = &pvpanic_ops;
	p->m = m;
	return &p->dev;
}

void pvpanic_fdt(void *fdt, const struct board_device *dev)
{
	fdt_plain_device(fdt, dev, "pvpanic", "qemu,pvpanic-mmio");
}
