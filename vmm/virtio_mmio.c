/* SPDX-License-Identifier: MIT */
/*
 * The transport: VIRTIO 1.2, section 4.2 (Virtio Over MMIO), version 2 and, in 4.2.4, the legacy version 1; device
 * status and feature negotiation as in 2.1, 2.2 and 3.1; and the thread that works on a device's queues.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio.h"

enum {
	MAGIC_VALUE = 0x000,
	VERSION = 0x004,
	DEVICE_ID = 0x008,
	VENDOR_ID = 0x00c,
	DEVICE_FEATURES = 0x010,
	DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020,
	DRIVER_FEATURES_SEL = 0x024,
	GUEST_PAGE_SIZE = 0x028, /* legacy */
	QUEUE_SEL = 0x030,
	QUEUE_NUM_MAX = 0x034,
	QUEUE_NUM = 0x038,
	QUEUE_ALIGN = 0x03c, /* legacy */
	QUEUE_PFN = 0x040,   /* legacy */
	QUEUE_READY = 0x044,
	QUEUE_NOTIFY = 0x050,
	INTERRUPT_STATUS = 0x060,
	INTERRUPT_ACK = 0x064,
	STATUS = 0x070,
	QUEUE_DESC_LOW = 0x080,
	QUEUE_DESC_HIGH = 0x084,
	QUEUE_DRIVER_LOW = 0x090,
	QUEUE_DRIVER_HIGH = 0x094,
	QUEUE_DEVICE_LOW = 0x0a0,
	QUEUE_DEVICE_HIGH = 0x0a4,
	SHM_LEN_LOW = 0x0b0,
	SHM_BASE_HIGH = 0x0bc,
	QUEUE_RESET = 0x0c0,
	CONFIG_GENERATION = 0x0fc,
	CONFIG = 0x100,
};

enum { MAGIC = 0x74726976 /* "virt" */, VENDOR = 0x6c776170 /* "pawl" */ };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
	STATUS_FAILED = 128,
	STATUS_BY_DRIVER = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED,
};

/* ---- the run lock, and what needs none */

static void run_lock(struct virtio *vd)
{
	pthread_mutex_lock(&vd->gate);
	pthread_mutex_lock(&vd->run);
	pthread_mutex_unlock(&vd->gate);
}

static void run_unlock(struct virtio *vd)
{
	pthread_mutex_unlock(&vd->run);
}

static void event_write(int fd)
{
	uint64_t one = 1;

	/* At its limit, which no counter of ours gets near, it would have told already. */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static void event_drain(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		abort();
}

void virtio_wake(struct virtio *vd)
{
	event_write(vd->wake_fd);
}

uint8_t *virtio_ptr(const struct virtio *vd, uint64_t ipa, uint64_t len)
{
	const struct virtio_host *h = vd->host;

	if (ipa < h->ram_ipa || ipa - h->ram_ipa > h->ram_size || len > h->ram_size - (ipa - h->ram_ipa))
		return NULL;
	return h->ram + (ipa - h->ram_ipa);
}

bool virtio_running(const struct virtio *vd)
{
	uint32_t status = atomic_load(&vd->status);

	return status & STATUS_DRIVER_OK && !(status & STATUS_FAILED) && !vd->broken;
}

/*
 * The interrupt is asserted while InterruptStatus is not 0 (4.2.2), and the GIC is told of the edge, which is what the
 * device tree says. The driver acknowledges before it looks at its rings, so what is there by then needs no second edge.
 */
static void interrupt(struct virtio *vd, uint32_t cause)
{
	if (!atomic_fetch_or(&vd->isr, cause))
		event_write(vd->irq_fd);
}

void virtio_signal(struct virtio *vd, struct virtq *q)
{
	if (virtq_wants_interrupt(q))
		interrupt(vd, ISR_QUEUE);
}

void virtio_config_set(struct virtio *vd, unsigned off, const void *val, unsigned len)
{
	pthread_mutex_lock(&vd->config_lock);
	memcpy(vd->config + off, val, len);
	atomic_fetch_add(&vd->config_generation, 1);
	pthread_mutex_unlock(&vd->config_lock);
	if (atomic_load(&vd->status) & STATUS_DRIVER_OK)
		interrupt(vd, ISR_CONFIG);
}

void virtio_break(struct virtio *vd, const char *why)
{
	enum { LINES_MAX = 3 /* of a guest that does it again and again */ };
	char text[200];

	if (vd->broken)
		return;
	vd->broken = true;
	snprintf(text, sizeof(text), "the guest's driver of %s gave it %s; the device waits for a reset", vd->ops->name,
		 why);
	if (vd->n_broken++ < LINES_MAX)
		vd->host->message(vd->host->arg, text);
	if (atomic_fetch_or(&vd->status, STATUS_NEEDS_RESET) & STATUS_DRIVER_OK)
		interrupt(vd, ISR_CONFIG);
}

/* ---- status and features */

static uint64_t offered(const struct virtio *vd)
{
	uint64_t f = vd->offered | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;

	return vd->host->legacy ? (uint32_t)(f | VIRTIO_F_ANY_LAYOUT)
				: f | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_RING_RESET;
}

static void negotiate(struct virtio *vd)
{
	vd->features = vd->accepted & offered(vd);
	for (unsigned i = 0; i < vd->ops->n_queues; i++) {
		vd->q[i].event_idx = vd->features & VIRTIO_F_EVENT_IDX;
		vd->q[i].indirect = vd->features & VIRTIO_F_INDIRECT_DESC;
	}
}

/* As after a reset */
static void queue_begin(struct virtq *q)
{
	virtq_disable(q);
	memset(&q->reg, 0, sizeof(q->reg));
	q->reg.size = q->vd->ops->queue_size;
	q->reg.align = 4096;
	event_drain(q->kick_fd);
}

void virtio_reset(struct virtio *vd)
{
	run_lock(vd);
	if (vd->ops->reset)
		vd->ops->reset(vd);
	for (unsigned i = 0; i < vd->ops->n_queues; i++)
		queue_begin(&vd->q[i]);
	vd->offered_sel = vd->accepted_sel = vd->queue_sel = 0;
	vd->guest_page_size = 4096;
	vd->accepted = vd->features = 0;
	vd->broken = false;
	atomic_store(&vd->isr, 0);
	atomic_store(&vd->status, 0);
	run_unlock(vd);
}

static void write_status(struct virtio *vd, uint32_t val)
{
	uint32_t old = atomic_load(&vd->status), added;
	bool legacy = vd->host->legacy;

	if (!val) {
		virtio_reset(vd);
		return;
	}
	added = val & ~old & STATUS_BY_DRIVER; /* bits are cleared by a reset only */
	if (added & STATUS_FEATURES_OK && !legacy &&
	    (vd->accepted & ~offered(vd) || !(vd->accepted & VIRTIO_F_VERSION_1)))
		added &= ~(uint32_t)STATUS_FEATURES_OK;
	if (added & STATUS_DRIVER_OK && !legacy && !((old | added) & STATUS_FEATURES_OK))
		added &= ~(uint32_t)STATUS_DRIVER_OK;
	run_lock(vd);
	atomic_fetch_or(&vd->status, added);
	if (added & (STATUS_FEATURES_OK | STATUS_DRIVER_OK))
		negotiate(vd);
	if (added & STATUS_DRIVER_OK && virtio_running(vd)) {
		if (vd->ops->started)
			vd->ops->started(vd);
		/* The driver may have put buffers and notified us before. */
		for (unsigned i = 0; i < vd->ops->n_queues; i++)
			vd->q[i].again = vd->q[i].ready;
		virtio_wake(vd);
	}
	run_unlock(vd);
}

static void write_features(struct virtio *vd, uint32_t val)
{
	unsigned shift = 32 * vd->accepted_sel;

	if (vd->accepted_sel > 1 || atomic_load(&vd->status) & STATUS_FEATURES_OK)
		return;
	vd->accepted = (vd->accepted & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)val << shift;
}

/* ---- queues */

static struct virtq *selected(struct virtio *vd)
{
	return vd->queue_sel < vd->ops->n_queues ? &vd->q[vd->queue_sel] : NULL;
}

static void enable(struct virtio *vd, struct virtq *q)
{
	negotiate(vd);
	if (!virtq_enable(q))
		virtio_break(vd, "a queue that is not in RAM, or not as queues are");
	else if (virtio_running(vd)) {
		q->again = true;
		virtio_wake(vd);
	}
}

/* The driver wants its buffers back, and will use them for something else. */
static void stop(struct virtio *vd, struct virtq *q)
{
	if (q->ready && vd->ops->queue_reset)
		vd->ops->queue_reset(vd, q);
	virtq_disable(q);
}

static void write_ready(struct virtio *vd, struct virtq *q, uint32_t val)
{
	run_lock(vd);
	if (!(val & 1))
		stop(vd, q);
	else if (!q->ready)
		enable(vd, q);
	run_unlock(vd);
}

/* 2.6.1: one queue forgets all, while the others go on. It is done when the write is. */
static void write_reset(struct virtio *vd, struct virtq *q, uint32_t val)
{
	if (!(val & 1) || !(vd->accepted & VIRTIO_F_RING_RESET) || !(atomic_load(&vd->status) & STATUS_FEATURES_OK))
		return;
	run_lock(vd);
	stop(vd, q);
	queue_begin(q);
	run_unlock(vd);
}

/* Legacy: one range has all three parts, the used ring at the next multiple of QueueAlign. */
static void write_pfn(struct virtio *vd, struct virtq *q, uint32_t val)
{
	uint64_t size = q->reg.size, align = q->reg.align;

	run_lock(vd);
	stop(vd, q);
	q->reg.pfn = val;
	if (val) {
		q->reg.desc = (uint64_t)val * vd->guest_page_size;
		q->reg.avail = q->reg.desc + size * 16;
		q->reg.used = q->reg.avail + 4 + size * 2 + 2;
		if (align && !(align & (align - 1)))
			q->reg.used = (q->reg.used + align - 1) & ~(align - 1);
		enable(vd, q);
	}
	run_unlock(vd);
}

static void set_low(uint64_t *v, uint32_t val)
{
	*v = (*v & ~UINT64_C(0xffffffff)) | val;
}

static void set_high(uint64_t *v, uint32_t val)
{
	*v = (*v & UINT64_C(0xffffffff)) | (uint64_t)val << 32;
}

/* ---- registers */

static uint32_t config_read(struct virtio *vd, uint64_t off, unsigned len)
{
	uint32_t val = 0;

	pthread_mutex_lock(&vd->config_lock);
	if (off < vd->config_size && len <= vd->config_size - off)
		memcpy(&val, vd->config + off, len);
	pthread_mutex_unlock(&vd->config_lock);
	return val;
}

static void config_write(struct virtio *vd, uint64_t off, unsigned len, uint32_t val)
{
	if (!vd->ops->config_write || off >= vd->config_size || len > vd->config_size - off)
		return;
	pthread_mutex_lock(&vd->config_lock);
	vd->ops->config_write(vd, (unsigned)off, len, val);
	pthread_mutex_unlock(&vd->config_lock);
}

static uint32_t mmio_read(struct device *dev, uint64_t off, unsigned len)
{
	struct virtio *vd = (struct virtio *)dev;
	struct virtq *q = selected(vd);
	bool legacy = vd->host->legacy;

	if (off >= CONFIG)
		return config_read(vd, off - CONFIG, len);
	if (len != 4)
		return 0; /* 4.2.2.2: only 32-bit accesses */
	switch (off) {
	case MAGIC_VALUE: return MAGIC;
	case VERSION: return legacy ? 1 : 2;
	case DEVICE_ID: return vd->ops->id;
	case VENDOR_ID: return VENDOR;
	case DEVICE_FEATURES: return vd->offered_sel < 2 ? (uint32_t)(offered(vd) >> 32 * vd->offered_sel) : 0;
	case QUEUE_NUM_MAX: return q ? vd->ops->queue_size : 0;
	case QUEUE_PFN: return legacy && q ? q->reg.pfn : 0;
	case QUEUE_READY: return !legacy && q && q->ready;
	case INTERRUPT_STATUS: return atomic_load(&vd->isr);
	case STATUS: return atomic_load(&vd->status);
	case CONFIG_GENERATION: return legacy ? 0 : atomic_load(&vd->config_generation);
	}
	if (off >= SHM_LEN_LOW && off <= SHM_BASE_HIGH)
		return UINT32_MAX; /* 4.2.2.1: there is no such shared memory region */
	return 0;
}

static void write_modern_queue(struct virtio *vd, struct virtq *q, uint64_t off, uint32_t val)
{
	switch (off) {
	case QUEUE_READY: write_ready(vd, q, val); break;
	case QUEUE_RESET: write_reset(vd, q, val); break;
	case QUEUE_DESC_LOW: set_low(&q->reg.desc, val); break;
	case QUEUE_DESC_HIGH: set_high(&q->reg.desc, val); break;
	case QUEUE_DRIVER_LOW: set_low(&q->reg.avail, val); break;
	case QUEUE_DRIVER_HIGH: set_high(&q->reg.avail, val); break;
	case QUEUE_DEVICE_LOW: set_low(&q->reg.used, val); break;
	case QUEUE_DEVICE_HIGH: set_high(&q->reg.used, val); break;
	}
}

static void mmio_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct virtio *vd = (struct virtio *)dev;
	struct virtq *q = selected(vd);
	bool legacy = vd->host->legacy;

	if (off >= CONFIG) {
		config_write(vd, off - CONFIG, len, val);
		return;
	}
	if (len != 4)
		return;
	switch (off) {
	case DEVICE_FEATURES_SEL: vd->offered_sel = val; return;
	case DRIVER_FEATURES_SEL: vd->accepted_sel = val; return;
	case DRIVER_FEATURES: write_features(vd, val); return;
	case QUEUE_SEL: vd->queue_sel = val; return;
	case QUEUE_NOTIFY: /* with ioeventfd it does not come here */
		if (val < vd->ops->n_queues)
			event_write(vd->q[val].kick_fd);
		return;
	case INTERRUPT_ACK: atomic_fetch_and(&vd->isr, ~val); return;
	case STATUS: write_status(vd, val); return;
	case GUEST_PAGE_SIZE:
		if (legacy)
			vd->guest_page_size = val;
		return;
	}
	if (!q)
		return;
	if (off == QUEUE_NUM)
		q->reg.size = val;
	else if (!legacy)
		write_modern_queue(vd, q, off, val);
	else if (off == QUEUE_ALIGN)
		q->reg.align = val;
	else if (off == QUEUE_PFN)
		write_pfn(vd, q, val);
}

static void mmio_reset(struct device *dev)
{
	virtio_reset((struct virtio *)dev);
}

static void mmio_free(struct device *dev)
{
	struct virtio *vd = (struct virtio *)dev;

	if (vd->has_worker) {
		atomic_store(&vd->quit, true);
		virtio_wake(vd);
		pthread_join(vd->worker, NULL);
	}
	vd->ops->free(vd);
}

const struct device_ops virtio_mmio_ops = {
	.read = mmio_read, .write = mmio_write, .reset = mmio_reset, .free = mmio_free};

uint32_t virtio_empty_slot(uint64_t off, bool legacy)
{
	return off == MAGIC_VALUE ? MAGIC : off == VERSION ? (legacy ? 1 : 2) : 0;
}

/* ---- the worker */

void pollfds_add(struct pollfds *set, int fd, short events)
{
	if (set->n == set->room) {
		unsigned room = set->room ? set->room * 2 : 16;
		struct pollfd *p = realloc(set->fd, room * sizeof(*p));

		if (!p)
			return; /* not waited for in this turn */
		set->fd = p;
		set->room = room;
	}
	set->fd[set->n++] = (struct pollfd){.fd = fd, .events = events};
}

short pollfds_seen(const struct pollfds *set, int fd)
{
	for (unsigned i = 0; i < set->n; i++)
		if (set->fd[i].fd == fd)
			return set->fd[i].revents;
	return 0;
}

void virtio_turn(struct virtio *vd, int timeout_ms)
{
	struct pollfds *set = &vd->set;

	run_lock(vd);
	set->n = 0;
	set->timeout_ms = timeout_ms;
	pollfds_add(set, vd->wake_fd, POLLIN);
	for (unsigned i = 0; i < vd->ops->n_queues; i++) {
		pollfds_add(set, vd->q[i].kick_fd, POLLIN);
		if (vd->q[i].again && virtio_running(vd))
			set->timeout_ms = 0;
	}
	if (vd->ops->poll_fill)
		vd->ops->poll_fill(vd, set);
	run_unlock(vd);
	while (poll(set->fd, set->n, set->timeout_ms) < 0 && errno == EINTR)
		;
	run_lock(vd);
	if (pollfds_seen(set, vd->wake_fd))
		event_drain(vd->wake_fd);
	for (unsigned i = 0; i < vd->ops->n_queues; i++) {
		struct virtq *q = &vd->q[i];
		bool due = q->again;

		if (pollfds_seen(set, q->kick_fd)) {
			event_drain(q->kick_fd);
			due = true;
		}
		if (due && q->ready && virtio_running(vd)) {
			q->again = false;
			vd->ops->notify(vd, q);
		}
	}
	if (vd->ops->poll_done)
		vd->ops->poll_done(vd, set);
	run_unlock(vd);
}

static void *worker_thread(void *arg)
{
	struct virtio *vd = arg;

	while (!atomic_load(&vd->quit))
		virtio_turn(vd, -1);
	return NULL;
}

int virtio_start_worker(struct virtio *vd)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread inherits it */
	rc = pthread_create(&vd->worker, NULL, worker_thread, vd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	vd->has_worker = !rc;
	return rc;
}

/* ---- life */

int virtio_init(struct virtio *vd, const struct virtio_ops *ops, const struct virtio_host *host, uint64_t features)
{
	bool failed;

	vd->dev.ops = &virtio_mmio_ops;
	vd->ops = ops;
	vd->host = host;
	vd->offered = features;
	pthread_mutex_init(&vd->gate, NULL);
	pthread_mutex_init(&vd->run, NULL);
	pthread_mutex_init(&vd->config_lock, NULL);
	vd->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	failed = vd->irq_fd < 0 || vd->wake_fd < 0;
	for (unsigned i = 0; i < ops->n_queues; i++) {
		vd->q[i].vd = vd;
		vd->q[i].index = i;
		vd->q[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		failed |= vd->q[i].kick_fd < 0;
	}
	if (failed) {
		int error = errno;

		virtio_destroy(vd);
		errno = error;
		return -1;
	}
	virtio_reset(vd);
	return 0;
}

void virtio_destroy(struct virtio *vd)
{
	for (unsigned i = 0; i < vd->ops->n_queues; i++)
		if (vd->q[i].kick_fd >= 0)
			close(vd->q[i].kick_fd);
	if (vd->irq_fd >= 0)
		close(vd->irq_fd);
	if (vd->wake_fd >= 0)
		close(vd->wake_fd);
	free(vd->set.fd);
	pthread_mutex_destroy(&vd->gate);
	pthread_mutex_destroy(&vd->run);
	pthread_mutex_destroy(&vd->config_lock);
}
