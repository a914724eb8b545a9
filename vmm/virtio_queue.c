/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues: VIRTIO 1.2, section 2.7, with indirect descriptors (2.7.5.3) and event indices (2.7.7, 2.7.10). The
 * rings are shared with a driver that may be hostile: see virtio.h.
 */
#include <string.h>

#include "virtio.h"

enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };
enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4, AVAIL_ENTRY = 2, USED_ENTRY = 8 };

struct desc {
	uint64_t ipa;
	uint32_t len;
	uint16_t flags, next;
};

/* The rings are aligned, and hosts are little-endian (meson.build). */
static uint16_t load16(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

static void store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELAXED);
}

/* A table of indirect descriptors may have any alignment. */
static struct desc load_desc(const uint8_t *table, unsigned i)
{
	typedef uint64_t __attribute__((aligned(1), may_alias)) any64;
	const volatile any64 *p = (const volatile any64 *)(const void *)(table + (size_t)i * DESC_SIZE);
	uint64_t rest;
	struct desc d;

	d.ipa = p[0];
	rest = p[1];
	d.len = (uint32_t)rest;
	d.flags = (uint16_t)(rest >> 32);
	d.next = (uint16_t)(rest >> 48);
	return d;
}

/* ---- life */

bool virtq_enable(struct virtq *q)
{
	uint32_t n = q->reg.size;
	struct virtio *vd = q->vd;
	/* The event index of the other side is behind each ring, used or not. */
	uint64_t avail_bytes = RING_ENTRIES + (uint64_t)n * AVAIL_ENTRY + 2;
	uint64_t used_bytes = RING_ENTRIES + (uint64_t)n * USED_ENTRY + 2;

	q->ready = false;
	if (!n || n > vd->ops->queue_size || n & (n - 1) || q->reg.desc & 15 || q->reg.avail & 1 || q->reg.used & 3)
		return false;
	q->desc = virtio_ptr(vd, q->reg.desc, (uint64_t)n * DESC_SIZE);
	q->avail = virtio_ptr(vd, q->reg.avail, avail_bytes);
	q->used = virtio_ptr(vd, q->reg.used, used_bytes);
	if (!q->desc || !q->avail || !q->used)
		return false;
	q->size = (uint16_t)n;
	q->next_avail = q->next_used = 0;
	q->signalled_valid = false;
	q->again = false;
	q->ready = true;
	return true;
}

void virtq_disable(struct virtq *q)
{
	q->ready = q->again = false;
}

/* ---- taking buffers */

/* Adds a descriptor to the chain. A reason if it may not be there. */
static const char *add(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
	uint8_t *p = virtio_ptr(q->vd, d->ipa, d->len);

	if (!p)
		return "a buffer that is not in RAM";
	if (!(d->flags & DESC_WRITE) && c->n_in)
		return "a readable buffer behind a writable one";
	if (!d->len)
		return NULL;
	if (c->n_out + c->n_in == VIRTIO_MAX_SEGS)
		return "a chain that is too long";
	c->iov[c->n_out + c->n_in] = (struct iovec){p, d->len};
	if (d->flags & DESC_WRITE) {
		c->n_in++;
		c->in_bytes += d->len;
	} else {
		c->n_out++;
		c->out_bytes += d->len;
	}
	return NULL;
}

/* Follows a chain in a table of n. It may have no more descriptors than the table, so it ends. */
static const char *walk(struct virtq *q, struct virtq_chain *c, const uint8_t *table, uint32_t n, uint16_t i,
			bool nested)
{
	for (uint32_t count = 0; count < n; count++) {
		struct desc d;
		const char *wrong;

		if (i >= n)
			return "a descriptor outside its table";
		d = load_desc(table, i);
		if (d.flags & DESC_INDIRECT) {
			const uint8_t *inner = virtio_ptr(q->vd, d.ipa, d.len);

			if (nested || !q->indirect || d.flags & DESC_NEXT)
				return "an indirect descriptor where none may be";
			if (!inner || !d.len || d.len % DESC_SIZE || d.len / DESC_SIZE > VIRTIO_MAX_SEGS)
				return "a bad table of descriptors";
			return walk(q, c, inner, d.len / DESC_SIZE, 0, true);
		}
		wrong = add(q, c, &d);
		if (wrong)
			return wrong;
		if (!(d.flags & DESC_NEXT))
			return NULL;
		i = d.next;
	}
	return "a chain without end";
}

bool virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t idx, waiting;
	const char *wrong;

	if (!q->ready || q->vd->broken)
		return false;
	idx = load16(q->avail + RING_IDX);
	q->seen = idx;
	waiting = (uint16_t)(idx - q->next_avail);
	if (!waiting)
		return false;
	if (waiting > q->size) {
		virtio_break(q->vd, "an available index that is out of range");
		return false;
	}
	c->head = load16(q->avail + RING_ENTRIES + (q->next_avail & (q->size - 1)) * AVAIL_ENTRY);
	c->n_out = c->n_in = 0;
	c->out_bytes = c->in_bytes = 0;
	wrong = walk(q, c, q->desc, q->size, c->head, false);
	if (wrong) {
		virtio_break(q->vd, wrong);
		return false;
	}
	q->next_avail++;
	return true;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	q->next_avail -= (uint16_t)n;
}

/* ---- giving them back */

void virtq_fill(struct virtq *q, uint16_t head, uint32_t len, unsigned nth)
{
	uint8_t *entry = q->used + RING_ENTRIES + ((q->next_used + nth) & (q->size - 1u)) * USED_ENTRY;

	store32(entry, head);
	store32(entry + 4, len);
}

void virtq_publish(struct virtq *q, unsigned n)
{
	q->next_used += (uint16_t)n;
	store16(q->used + RING_IDX, q->next_used);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	virtq_fill(q, head, len, 0);
	virtq_publish(q, 1);
}

/* ---- notifications, both ways */

void virtq_quiet(struct virtq *q)
{
	/* With event indices the old index suppresses them by itself. */
	if (q->ready && !q->event_idx)
		store16(q->used + RING_FLAGS, USED_NO_NOTIFY);
}

/* Ask to be told of the buffer after index; whether it is there. */
static bool rearm(struct virtq *q, uint16_t index)
{
	if (!q->ready || q->vd->broken)
		return false;
	if (q->event_idx)
		store16(q->used + RING_ENTRIES + (size_t)q->size * USED_ENTRY, index);
	else
		store16(q->used + RING_FLAGS, 0);
	/* The driver writes its index, then looks at ours; we the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	return load16(q->avail + RING_IDX) != index;
}

bool virtq_rearm(struct virtq *q)
{
	return rearm(q, q->next_avail);
}

bool virtq_rearm_for_more(struct virtq *q)
{
	return rearm(q, q->seen);
}

bool virtq_wants_interrupt(struct virtq *q)
{
	uint16_t event, old = q->signalled;
	bool valid = q->signalled_valid;

	if (!q->ready)
		return false;
	atomic_thread_fence(memory_order_seq_cst); /* the used index, then the driver's wish */
	if (!q->event_idx)
		return !(load16(q->avail + RING_FLAGS) & AVAIL_NO_INTERRUPT);
	q->signalled = q->next_used;
	q->signalled_valid = true;
	event = load16(q->avail + RING_ENTRIES + (size_t)q->size * AVAIL_ENTRY);
	return !valid || (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - old);
}

void virtq_each(struct virtq *q, uint32_t (*handle)(struct virtio *vd, struct virtq_chain *c))
{
	struct virtio *vd = q->vd;
	unsigned left = q->size;

	q->again = false;
	do {
		virtq_quiet(q);
		while (left && virtq_pop(q, &vd->chain)) {
			uint32_t len = handle(vd, &vd->chain);

			left--;
			if (vd->broken)
				return;
			virtq_push(q, vd->chain.head, len);
			virtio_signal(vd, q);
		}
		if (!left) {
			q->again = true;
			return;
		}
	} while (virtq_rearm(q));
}

/* ---- parts */

size_t iov_read(const struct iovec *iov, unsigned n, uint64_t off, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - off < len - done ? iov[i].iov_len - off : len - done;
		memcpy((uint8_t *)buf + done, (const uint8_t *)iov[i].iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, uint64_t off, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - off < len - done ? iov[i].iov_len - off : len - done;
		memcpy((uint8_t *)iov[i].iov_base + off, (const uint8_t *)buf + done, part);
		done += part;
		off = 0;
	}
	return done;
}

unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t off, uint64_t len, struct iovec *part)
{
	unsigned parts = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t bytes;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		bytes = iov[i].iov_len - off < len ? iov[i].iov_len - off : len;
		part[parts++] = (struct iovec){(uint8_t *)iov[i].iov_base + off, bytes};
		len -= bytes;
		off = 0;
	}
	return parts;
}
