/* SPDX-License-Identifier: MIT */
/*
 * A driver for one virtio device, without a guest, a KVM or threads: it writes the registers, lays out the queues in a RAM
 * of its own, and calls the device's worker when the test says so.
 */
#ifndef PAWL_TESTS_VMM_VIRTIO_DRIVER_H
#define PAWL_TESTS_VMM_VIRTIO_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "virtio.h"

enum { RAM_IPA = 0x40000000, RAM_BYTES = 8 << 20, QUEUE_AREA = 0x10000, DATA_AREA = 0x100000, Q_SIZE = 64 };

enum {
	R_MAGIC = 0x000,
	R_VERSION = 0x004,
	R_DEVICE_ID = 0x008,
	R_DEVICE_FEATURES = 0x010,
	R_DEVICE_FEATURES_SEL = 0x014,
	R_DRIVER_FEATURES = 0x020,
	R_DRIVER_FEATURES_SEL = 0x024,
	R_GUEST_PAGE_SIZE = 0x028,
	R_QUEUE_SEL = 0x030,
	R_QUEUE_NUM_MAX = 0x034,
	R_QUEUE_NUM = 0x038,
	R_QUEUE_ALIGN = 0x03c,
	R_QUEUE_PFN = 0x040,
	R_QUEUE_READY = 0x044,
	R_QUEUE_NOTIFY = 0x050,
	R_INTERRUPT_STATUS = 0x060,
	R_INTERRUPT_ACK = 0x064,
	R_STATUS = 0x070,
	R_DESC = 0x080,
	R_DRIVER = 0x090,
	R_DEVICE = 0x0a0,
	R_QUEUE_RESET = 0x0c0,
	R_GENERATION = 0x0fc,
	R_CONFIG = 0x100
};
enum { S_ACK = 1, S_DRIVER = 2, S_DRIVER_OK = 4, S_FEATURES_OK = 8, S_NEEDS_RESET = 64 };
enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4, D_AVAIL = 1 << 7, D_USED = 1 << 15 /* the last two: packed */ };

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

struct driver_queue {
	struct vq_desc *desc; /* packed: the driver's own, in the form of a split queue */
	uint16_t *
		avail; /* flags, idx, ring, used_event; packed: off_wrap and flags of what the driver wants to be told */
	uint16_t *used; /* flags, idx; then pairs of u32; avail_event; packed: off_wrap and flags, of the device */
	uint16_t free_desc, seen;
	struct packed_desc *ring; /* packed; the rest too */
	struct vq_desc own[Q_SIZE];
	uint16_t span[Q_SIZE]; /* by id */
	uint16_t next;	       /* position: the place in the ring, and Q_SIZE more every other time round; seen too */
};

struct driver {
	struct virtio *vd;
	uint8_t *ram;
	struct virtio_host host;
	struct driver_queue q[VIRTIO_MAX_QUEUES];
	uint64_t data; /* IPA of the next free byte */
	bool packed;   /* what driver_start() asks for; from the environment, PAWL_TEST_PACKED, at first */
	unsigned messages;
	char message[512];
};

/* RAM and host; the device is made by the test, on d->host, and then given to driver_start(). */
void driver_init(struct driver *d);
void driver_free(struct driver *d); /* the device too */
/* From reset to DRIVER_OK, with those of the features that are offered. All queues have Q_SIZE entries. */
void driver_start(struct driver *d, uint64_t features);

/* One queue, with addresses of its own, and ready. */
void start_queue(struct driver *d, unsigned q);

uint32_t reg(struct driver *d, uint64_t off);
void set_reg(struct driver *d, uint64_t off, uint32_t val);
uint64_t features(struct driver *d);
void queue_addresses(struct driver *d, unsigned q, uint64_t desc, uint64_t avail, uint64_t used);

void *at(struct driver *d, uint64_t ipa);
uint64_t take(struct driver *d, size_t bytes); /* IPA of zeroed memory */

/* One buffer of parts; puts it in the queue. Returns its head. */
struct part {
	uint64_t ipa;
	uint32_t len;
	bool write;
};
uint16_t offer(struct driver *d, unsigned q, const struct part *parts, unsigned n);
uint16_t offer_indirect(struct driver *d, unsigned q, const struct part *parts, unsigned n);
void offer_head(struct driver *d, unsigned q, uint16_t head);
/* Notify, and let the device work until it rests. */
void kick(struct driver *d, unsigned q);
void work(struct driver *d);
/* The next buffer that came back: true, its head and how much was written. */
bool used(struct driver *d, unsigned q, uint16_t *head, uint32_t *len);
/* Interrupts since the last call. */
unsigned interrupts(struct driver *d);

#endif
