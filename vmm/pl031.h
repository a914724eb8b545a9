/* SPDX-License-Identifier: MIT */
/* The real-time clock: device_ops for the guest; the host side gives it the time and a timer. */
#ifndef PAWL_VMM_PL031_H
#define PAWL_VMM_PL031_H

#include "machine.h"

struct pl031 {
	struct device dev;
	uint32_t (*now)(void *arg); /* host's seconds since 1970 */
	/* With dev.lock held: call pl031_alarm() at the start of the second that many seconds from now; replaces the
	 * last. */
	void (*set_timer)(void *arg, uint64_t seconds);
	void *arg;

	/* under dev.lock */
	uint32_t offset; /* of the guest's count to now(); modulo 2^32 as the count itself */
	uint32_t match, load;
	uint8_t imsc, ris;
};

void pl031_init(struct pl031 *rtc);
/* Host side: the timer has come, or the host's clock was set. */
void pl031_alarm(struct pl031 *rtc);

#endif
