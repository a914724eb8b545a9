/* SPDX-License-Identifier: MIT */
/*
 * PrimeCell real-time clock PL031: Arm DDI 0224 (r1p3), chapter 3 "Programmers Model". Counts the host's wall clock
 * plus what the guest has set. It is running from the start, as firmware would have left it, and cannot be stopped.
 */
#include "pl031.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "board_fdt.h"
#include "loop.h"

enum {
	RTCDR = 0x00,
	RTCMR = 0x04,
	RTCLR = 0x08,
	RTCCR = 0x0c,
	RTCIMSC = 0x10,
	RTCRIS = 0x14,
	RTCMIS = 0x18,
	RTCICR = 0x1c,
	PRIMECELL_ID = 0xfe0,
};

/* RTCPeriphID (part 031, Arm) and RTCPCellID, a byte per word from 0xfe0 */
static const uint8_t primecell_id[8] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

static uint32_t count(struct pl031 *r)
{
	return r->now(r->arg) + r->offset;
}

/* The comparison is for equality, as in the device: a match value that lies in the past comes after 2^32 seconds. */
static void compare(struct pl031 *r)
{
	uint32_t left = r->match - count(r);

	if (!left)
		r->ris = 1;
	device_irq(&r->dev, r->ris & r->imsc);
	r->set_timer(r->arg, left ? left : UINT64_C(1) << 32);
}

static uint32_t read_reg(struct pl031 *r, uint64_t reg)
{
	switch (reg) {
	case RTCDR: return count(r);
	case RTCMR: return r->match;
	case RTCLR: return r->load;
	case RTCCR: return 1;
	case RTCIMSC: return r->imsc;
	case RTCRIS: return r->ris;
	case RTCMIS: return r->ris & r->imsc;
	}
	if (reg >= PRIMECELL_ID && reg < PRIMECELL_ID + 4 * sizeof(primecell_id))
		return primecell_id[(reg - PRIMECELL_ID) / 4];
	return 0;
}

static void write_reg(struct pl031 *r, uint64_t reg, uint32_t val)
{
	switch (reg) {
	case RTCMR:
		r->match = val;
		compare(r);
		break;
	case RTCLR:
		r->load = val;
		r->offset = val - r->now(r->arg);
		compare(r);
		break;
	case RTCIMSC: r->imsc = val & 1; break;
	case RTCICR: r->ris &= ~(val & 1); break;
	}
	device_irq(&r->dev, r->ris & r->imsc);
}

static uint32_t pl031_read(struct device *dev, uint64_t off, unsigned len)
{
	return read_reg((struct pl031 *)dev, off & ~3ull) >> 8 * (off & 3);
}

/* The APB has no byte lanes: a narrow write at the register's first byte writes the register. */
static void pl031_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	if (!(off & 3))
		write_reg((struct pl031 *)dev, off, val);
}

static void pl031_free(struct device *dev)
{
	free(dev);
}

/* The count goes on: the clock is not behind the board's reset. */
static void pl031_reset(struct device *dev)
{
	struct pl031 *r = (struct pl031 *)dev;

	r->match = r->load = 0;
	r->imsc = r->ris = 0;
	device_irq(dev, false);
}

static const struct device_ops pl031_ops = {
	.read = pl031_read, .write = pl031_write, .reset = pl031_reset, .free = pl031_free};

void pl031_init(struct pl031 *r)
{
	r->dev.ops = &pl031_ops;
}

void pl031_alarm(struct pl031 *r)
{
	pthread_mutex_lock(&r->dev.lock);
	compare(r);
	pthread_mutex_unlock(&r->dev.lock);
}

/* ---- on the board: the host's wall clock, and a timer in the event loop */

struct board_rtc {
	struct pl031 rtc;
	int timer; /* timerfd on the wall clock */
	struct loop *loop;
};

static uint32_t wall_clock(void *arg)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now); /* time() may lag behind the timer's clock */
	return (uint32_t)now.tv_sec;
}

static void timer_set(void *arg, uint64_t seconds)
{
	struct board_rtc *b = arg;
	struct itimerspec at = {.it_value = {0, 0}};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	at.it_value.tv_sec = now.tv_sec + (time_t)seconds;
	/* Told also when the host's clock is set, since the count follows it. */
	timerfd_settime(b->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

static void timer_fired(void *arg)
{
	struct board_rtc *b = arg;
	uint64_t n;

	if (read(b->timer, &n, sizeof(n)) >= 0 || errno == ECANCELED)
		pl031_alarm(&b->rtc);
}

static void board_rtc_free(struct device *dev)
{
	struct board_rtc *b = (struct board_rtc *)dev;

	loop_remove(b->loop, b->timer);
	close(b->timer);
	free(b);
}

static const struct device_ops board_rtc_ops = {
	.read = pl031_read, .write = pl031_write, .reset = pl031_reset, .free = board_rtc_free};

struct device *pl031_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct board_rtc *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	b->loop = m->loop;
	if (b->timer < 0 || !loop_add(m->loop, b->timer, timer_fired, b)) {
		if (b->timer >= 0)
			close(b->timer);
		free(b);
		return NULL;
	}
	b->rtc.now = wall_clock;
	b->rtc.set_timer = timer_set;
	b->rtc.arg = b;
	pl031_init(&b->rtc);
	b->rtc.dev.ops = &board_rtc_ops;
	return &b->rtc.dev;
}

void pl031_fdt(void *fdt, const struct board_device *dev)
{
	static const char clock_names[] = "apb_pclk";

	fdt_amba_device(fdt, dev, "pl031", 1, clock_names, sizeof(clock_names));
}
