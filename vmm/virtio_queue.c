/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues, of whichever format: VIRTIO 1.2, section 2.6. What the two formats share is here; virtio_split.c and
 * virtio_packed.c know the layouts. The rings are shared with a driver that may be hostile: see virtio.h.
 */
#include <string.h>

#include "virtio.h"

/* ---- life */

bool virtq_enable(struct virtq *q)
{
	q->layout = q->vd->features & VIRTIO_F_RING_PACKED ? &virtq_packed : &virtq_split;
	q->event_idx = q->vd->features & VIRTIO_F_EVENT_IDX;
	q->indirect = q->vd->features & VIRTIO_F_INDIRECT_DESC;
	q->ready = q->again = false;
	q->signalled_valid = false;
	q->n_filled = 0;
	if (!q->reg.size || q->reg.size > q->vd->ops->queue_size || !q->layout->map(q))
		return false;
	q->size = (uint16_t)q->reg.size;
	q->layout->begin(q);
	q->ready = true;
	return true;
}

void virtq_disable(struct virtq *q)
{
	q->ready = q->again = false;
}

/* ---- taking buffers */

const char *virtq_add(struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d)
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

const char *virtq_table(struct virtq *q, const struct virtq_desc *d, const uint8_t **table, uint32_t *n)
{
	if (!q->indirect || d->flags & DESC_NEXT)
		return "an indirect descriptor where none may be";
	*table = virtio_ptr(q->vd, d->ipa, d->len);
	*n = d->len / DESC_SIZE;
	if (!*table || !d->len || d->len % DESC_SIZE || *n > VIRTIO_MAX_SEGS)
		return "a bad table of descriptors";
	return NULL;
}

bool virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	const char *wrong = NULL;
	bool got;

	if (!q->ready || q->vd->broken)
		return false;
	c->n_out = c->n_in = 0;
	c->out_bytes = c->in_bytes = 0;
	got = q->layout->take(q, c, &wrong);
	if (wrong)
		virtio_break(q->vd, wrong);
	return got && !wrong;
}

uint16_t virtq_mark(const struct virtq *q)
{
	return q->next_avail;
}

void virtq_rewind(struct virtq *q, uint16_t mark)
{
	q->next_avail = mark;
	q->n_filled = 0;
}

/* ---- giving them back */

void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t len)
{
	if (q->n_filled < VIRTIO_MAX_QUEUE_SIZE) /* there are not more buffers */
		q->filled[q->n_filled++] = (struct virtq_used){c->id, c->span, len};
}

void virtq_publish(struct virtq *q)
{
	if (q->ready && q->n_filled)
		q->layout->publish(q);
	q->n_filled = 0;
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t len)
{
	virtq_fill(q, c, len);
	virtq_publish(q);
}

/* ---- notifications, both ways */

void virtq_quiet(struct virtq *q)
{
	if (q->ready)
		q->layout->quiet(q);
}

static bool rearm(struct virtq *q, uint16_t at)
{
	if (!q->ready || q->vd->broken)
		return false;
	q->layout->ask(q, at);
	/* The driver puts its buffer there, then looks whether we ask; we the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	return q->layout->more(q, at);
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
	bool wanted;

	if (!q->ready)
		return false;
	atomic_thread_fence(memory_order_seq_cst); /* what is used, then the driver's wish */
	wanted = q->layout->wants_interrupt(q);
	q->signalled = q->next_used;
	q->signalled_valid = true;
	return wanted;
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
			virtq_push(q, &vd->chain, len);
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
