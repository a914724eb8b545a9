/* SPDX-License-Identifier: MIT */
/*
 * virtio devices: what a device is (struct virtio_ops), its queues, and the transport of virtio-mmio that they share.
 * Virtual I/O Device (VIRTIO) Version 1.2, sections 2 (basic facilities), 2.7 and 2.8 (split and packed virtqueues) and 4.2 (MMIO),
 * with the legacy interface of 4.2.4.
 *
 * Everything that a driver puts into memory may change while it is looked at. So each value is loaded once, checked, and
 * used from the copy; addresses become pointers only through virtio_ptr().
 *
 * Threads: registers are accessed on vcpu threads, under dev.lock. A device's queues are worked on by its worker thread,
 * which holds the run lock meanwhile. A register that stops, starts or resets something takes the run lock too, after
 * dev.lock. Interrupts and notifications take no lock at all.
 */
#ifndef PAWL_VMM_VIRTIO_H
#define PAWL_VMM_VIRTIO_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "machine.h"

struct virtio;

enum {
	VIRTIO_MAX_QUEUES = 4,
	VIRTIO_MAX_CONFIG = 64, /* bytes of device configuration */
	VIRTIO_MAX_SEGS = 1024, /* descriptors of one chain */
	VIRTIO_MAX_QUEUE_SIZE = 256,
	VIRTIO_SLOT_SIZE = 0x200,
};

/* Device ids, section 5 */
enum {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_9P = 9,
	VIRTIO_ID_VSOCK = 19,
};

/* Feature bits that are not a device's own, section 6 */
#define VIRTIO_F_NOTIFY_ON_EMPTY (UINT64_C(1) << 24) /* legacy only; not offered */
#define VIRTIO_F_ANY_LAYOUT (UINT64_C(1) << 27)	     /* legacy only; implied by VERSION_1 */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_RING_PACKED (UINT64_C(1) << 34)
#define VIRTIO_F_RING_RESET (UINT64_C(1) << 40)

/* What the devices need of the machine. */
struct virtio_host {
	uint8_t *ram; /* stays mapped, at one place, as long as there are devices */
	uint64_t ram_ipa, ram_size;
	unsigned slot;		 /* of the device that is being made */
	struct sandbox *sandbox; /* where a device says what it still needs; its strings live as long as the device */
	bool legacy;		 /* version 1 of the transport */
	void (*message)(void *arg, const char *text); /* a line for the user; any thread */
	void *arg;
};

/* One buffer that the driver offers: first the parts that the device reads, then those that it writes. */
struct virtq_chain {
	uint16_t id;   /* the driver's name for it */
	uint16_t span; /* packed: how many descriptors of the ring it takes */
	unsigned n_out, n_in;
	uint64_t out_bytes, in_bytes;
	struct iovec iov[VIRTIO_MAX_SEGS]; /* n_out to read, then n_in to write; none is empty */
};

struct virtq_used { /* a buffer that goes back */
	uint16_t id, span;
	uint32_t len; /* bytes written */
};

struct virtq {
	struct virtio *vd;
	unsigned index;
	int kick_fd; /* eventfd: the driver has notified */

	/* under dev.lock: what the driver has set; taken over when the queue becomes ready */
	struct {
		uint32_t size;
		uint64_t desc, avail, used; /* IPA */
		uint32_t align, pfn;	    /* legacy */
	} reg;

	/* under the run lock */
	bool ready;
	bool again; /* there is more to do than one turn may take */
	bool event_idx, indirect;
	const struct virtq_layout *layout;
	uint16_t size;
	uint16_t next_avail, next_used; /* positions: what that is, the layout says */
	uint16_t seen;			/* up to where there were buffers when virtq_pop() looked last */
	uint16_t signalled;		/* next_used when the driver was told last */
	bool signalled_valid;
	uint8_t *ring;	      /* packed */
	const uint8_t *desc;  /* split */
	const uint8_t *avail; /* split: the ring; packed: what the driver wants to be told */
	uint8_t *used;	      /* likewise, of the device */
	unsigned n_filled;    /* buffers that virtq_publish() is to give back */
	struct virtq_used filled[VIRTIO_MAX_QUEUE_SIZE];
};

/* A format of queues. All but map, which looks at reg, are called while the queue is ready. */
struct virtq_layout {
	bool (*map)(struct virtq *q); /* whether the driver's addresses are in RAM and aligned */
	void (*begin)(struct virtq *q);
	/* Fill c, and go on to the next. False: there is nothing. */
	bool (*take)(struct virtq *q, struct virtq_chain *c, const char **wrong);
	void (*publish)(struct virtq *q); /* all of filled, at least one */
	void (*quiet)(struct virtq *q);
	void (*ask)(struct virtq *q, uint16_t at);  /* to be notified of the buffer at a position ... */
	bool (*more)(struct virtq *q, uint16_t at); /* ... and whether it is there */
	bool (*wants_interrupt)(struct virtq *q);
};

struct pollfds { /* what a worker waits for */
	struct pollfd *fd;
	unsigned n, room;
	int timeout_ms; /* -1: none */
};

struct virtio_ops {
	const char *name; /* for messages */
	uint32_t id;
	unsigned n_queues;
	uint16_t queue_size; /* at most; a power of 2 */
	/* With the run lock held. notify and started only while the driver may use the device. */
	void (*notify)(struct virtio *vd, struct virtq *q); /* worker: the driver says that there are buffers */
	void (*started)(struct virtio *vd);		    /* DRIVER_OK: vd->features is final; may be NULL */
	void (*reset)(struct virtio *vd);		    /* forget all buffers; may be NULL */
	/*
	 * The driver takes all buffers of a queue back: forget them, and do not return before nothing touches them any more. NULL if there
	 * are none but while notify runs.
	 */
	void (*queue_reset)(struct virtio *vd, struct virtq *q);
	/* vcpu thread, without the run lock but with config_lock held: takes over what the driver may change. May be NULL. */
	void (*config_write)(struct virtio *vd, unsigned off, unsigned len, uint32_t val);
	/* Descriptors of the device's other side, and what to do after the wait; worker. May be NULL. */
	void (*poll_fill)(struct virtio *vd, struct pollfds *set);
	void (*poll_done)(struct virtio *vd, struct pollfds *set);
	void (*free)(struct virtio *vd); /* the worker is gone; frees vd itself */
};

struct virtio { /* the first member of each device's own structure */
	struct device dev;
	const struct virtio_ops *ops;
	const struct virtio_host *host;
	uint64_t offered; /* features; set before the driver runs */
	int irq_fd;	  /* eventfd: a pulse on the interrupt */
	int wake_fd;	  /* eventfd: the worker looks again */
	pthread_t worker;
	bool has_worker;

	/* under dev.lock */
	uint32_t offered_sel, accepted_sel, queue_sel, guest_page_size;
	uint64_t accepted;

	/* atomic: written under the run lock but for isr, read anywhere */
	_Atomic uint32_t status, isr;
	_Atomic uint32_t config_generation;
	atomic_bool quit; /* the worker, and whatever it waits for, is to end */

	/* Whoever waits for run holds gate, so that a busy worker cannot have it again first. */
	pthread_mutex_t gate, run;
	/* under the run lock */
	uint64_t features; /* negotiated */
	unsigned n_broken; /* times, ever */
	bool broken;	   /* the driver has done what no driver may: nothing until it resets */
	struct virtq q[VIRTIO_MAX_QUEUES];
	struct virtq_chain chain; /* scratch of the worker */
	struct pollfds set;	  /* worker only */

	pthread_mutex_t config_lock; /* innermost */
	uint8_t config[VIRTIO_MAX_CONFIG];
	unsigned config_size;
};

/* ---- virtio_mmio.c: the transport, the worker */

/* Set up what is common. 0, or -1 and errno; nothing is left then. features: the device's own. */
int virtio_init(struct virtio *vd, const struct virtio_ops *ops, const struct virtio_host *host, uint64_t features);
/* For ops->free: what virtio_init() made. */
void virtio_destroy(struct virtio *vd);
/* The worker thread. Without it, virtio_turn() does the work when called. 0 or an errno. */
int virtio_start_worker(struct virtio *vd);
/* One turn of the worker: waits for at most timeout_ms (-1: forever) for something to do, and does it. */
void virtio_turn(struct virtio *vd, int timeout_ms);
/* Back to the state of power-on. */
void virtio_reset(struct virtio *vd);
/* Have poll_fill called again. Any thread. */
void virtio_wake(struct virtio *vd);
/* The driver may use the device: DRIVER_OK, and it has not broken it. Under the run lock. */
bool virtio_running(const struct virtio *vd);
/* Under the run lock, while the device runs. Buffers are in the used ring: an interrupt if the driver wants one. */
void virtio_signal(struct virtio *vd, struct virtq *q);
/* Change the configuration and tell the driver. Any thread. */
void virtio_config_set(struct virtio *vd, unsigned off, const void *val, unsigned len);
/* The driver has broken the rules: DEVICE_NEEDS_RESET. Under the run lock. */
void virtio_break(struct virtio *vd, const char *why);
/* Host memory of [ipa, ipa + len), or NULL if any byte of it is not RAM. */
uint8_t *virtio_ptr(const struct virtio *vd, uint64_t ipa, uint64_t len);
void pollfds_add(struct pollfds *set, int fd, short events);
/* What was seen at fd, 0 if it was not waited for. */
short pollfds_seen(const struct pollfds *set, int fd);

extern const struct device_ops virtio_mmio_ops;
/* The registers of a slot without a device. */
uint32_t virtio_empty_slot(uint64_t off, bool legacy);

/* ---- virtio_queue.c: queues of any format. All under the run lock. */

/* Take over reg. False: the driver's addresses or size are none. */
bool virtq_enable(struct virtq *q);
void virtq_disable(struct virtq *q);
/* The next buffer. False: there is none, or the driver has put rubbish there (virtio_break() was called). */
bool virtq_pop(struct virtq *q, struct virtq_chain *c);
/* Put back what was popped since the mark, and nothing of it has been given back to the driver. */
uint16_t virtq_mark(const struct virtq *q);
void virtq_rewind(struct virtq *q, uint16_t mark);
/* The buffer is the driver's again, with len bytes of it written. In any order. */
void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t len);
/* Several buffers at once, that the driver sees together. */
void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t len);
void virtq_publish(struct virtq *q);
/* Ask for no notification, and ask for one; the second says whether buffers have come before that. */
void virtq_quiet(struct virtq *q);
bool virtq_rearm(struct virtq *q);
/* The same when what is there is not enough: whether more has come than virtq_pop() has seen. */
bool virtq_rearm_for_more(struct virtq *q);
bool virtq_wants_interrupt(struct virtq *q);
/*
 * For queues of requests: handle() each buffer, in vd->chain, until there is none; it returns the bytes written.
 * Gives way after a queue's worth of them, to be called again.
 */
void virtq_each(struct virtq *q, uint32_t (*handle)(struct virtio *vd, struct virtq_chain *c));

/* ---- for the formats */

extern const struct virtq_layout virtq_split, virtq_packed;

enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

struct virtq_desc {
	uint64_t ipa;
	uint32_t len;
	uint16_t flags;
	uint16_t link; /* split: the next one; packed: the buffer's id */
};

/* Adds a descriptor to the chain. A reason if it may not be there. */
const char *virtq_add(struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d);
/* The table that an indirect descriptor points to, of n entries. A reason if there may be none, or not there. */
const char *virtq_table(struct virtq *q, const struct virtq_desc *d, const uint8_t **table, uint32_t *n);

/* One look at what the driver may change meanwhile. A table of indirect descriptors may have any alignment. */
static inline void virtq_load_desc(const uint8_t *table, unsigned i, uint64_t word[2])
{
	typedef uint64_t __attribute__((aligned(1), may_alias)) any64;
	const volatile any64 *p = (const volatile any64 *)(const void *)(table + (size_t)i * DESC_SIZE);

	word[0] = p[0];
	word[1] = p[1];
}

/* The rings are aligned, and hosts are little-endian (meson.build). */
static inline uint16_t virtq_load16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static inline void virtq_store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

/* ---- parts of a buffer */

/* Copies from iov at byte off on; how many, at most len. */
size_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, size_t len);
/* [off, off + len) of iov as parts of its own; how many parts. part has room for n. */
unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t off, uint64_t len, struct iovec *part);

static inline size_t chain_read(const struct virtq_chain *c, uint64_t off, void *buf, size_t len)
{
	return iov_read(c->iov, c->n_out, off, buf, len);
}

static inline size_t chain_write(const struct virtq_chain *c, uint64_t off, const void *buf, size_t len)
{
	return iov_write(c->iov + c->n_out, c->n_in, off, buf, len);
}

#endif
