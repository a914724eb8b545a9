/* SPDX-License-Identifier: MIT */
/* The GPIO block: device_ops for the guest, and its eight pins for the host. */
#ifndef PAWL_VMM_PL061_H
#define PAWL_VMM_PL061_H

#include "machine.h"

struct pl061 {
	struct device dev;

	/* under dev.lock; a bit for each pin */
	uint8_t in;   /* level that the board drives, of pins that are inputs */
	uint8_t data; /* what the guest drives, of pins that are outputs */
	uint8_t dir;  /* 1: output */
	uint8_t is, ibe, iev, ie, afsel;
	uint8_t edges; /* edge interrupts that are latched */
};

void pl061_init(struct pl061 *gpio);
/* Board side: drive an input pin. */
void pl061_drive(struct pl061 *gpio, unsigned pin, bool level);

#endif
