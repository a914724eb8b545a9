/* SPDX-License-Identifier: MIT */
/* The UART, seen from its two sides: device_ops for the guest, and a byte stream for the host. */
#ifndef PAWL_VMM_PL011_H
#define PAWL_VMM_PL011_H

#include "machine.h"

enum { PL011_FIFO = 16 };

struct pl011 {
	struct device dev;
	void (*transmit)(void *arg, uint8_t byte); /* with dev.lock held; may wait for the host's output */
	void (*wanted)(void *arg); /* with dev.lock held: pl011_room() has become non-zero after it was 0 */
	void *arg;

	/* under dev.lock */
	uint16_t rx[PL011_FIFO]; /* data and error bits 8..11 as DR reads them */
	unsigned rx_head, rx_count;
	uint16_t ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, ris, dmacr, rsr;
	uint16_t modem;	     /* FR's CTS, DSR, DCD, RI as last seen, for their interrupts */
	unsigned idle_polls; /* reads of FR since anything else was touched */
	bool was_full;	     /* pl011_room() said 0 */
};

/* A UART at reset. transmit and wanted may be called from then on. */
void pl011_init(struct pl011 *uart);
/* Host side: how many bytes the UART takes now; 0 also while nobody in the guest listens. */
unsigned pl011_room(struct pl011 *uart);
/* Host side: bytes arrive; n is at most pl011_room() of just now, what is beyond the FIFO overruns as on a wire. */
void pl011_receive(struct pl011 *uart, const uint8_t *bytes, unsigned n);

#endif
