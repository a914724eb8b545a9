/* SPDX-License-Identifier: MIT */
#include "virtio_driver.h"

static void note(void *arg, const char *text)
{
	struct driver *d = arg;

	d->messages++;
	snprintf(d->message, sizeof(d->message), "%s", text);
}

void driver_init(struct driver *d)
{
	memset(d, 0, sizeof(*d));
	d->ram = aligned_alloc(4096, RAM_BYTES);
	memset(d->ram, 0, RAM_BYTES);
	d->host = (struct virtio_host){
		.ram = d->ram, .ram_ipa = RAM_IPA, .ram_size = RAM_BYTES, .message = note, .arg = d};
	d->data = RAM_IPA + DATA_AREA;
	d->packed = getenv("PAWL_TEST_PACKED") != NULL;
}

void driver_free(struct driver *d)
{
	if (d->vd) {
		pthread_mutex_destroy(&d->vd->dev.lock);
		d->vd->dev.ops->free(&d->vd->dev);
	}
	free(d->ram);
}

uint32_t reg(struct driver *d, uint64_t off)
{
	return d->vd->dev.ops->read(&d->vd->dev, off, 4);
}

void set_reg(struct driver *d, uint64_t off, uint32_t val)
{
	d->vd->dev.ops->write(&d->vd->dev, off, 4, val);
}

uint64_t features(struct driver *d)
{
	uint64_t f;

	set_reg(d, R_DEVICE_FEATURES_SEL, 0);
	f = reg(d, R_DEVICE_FEATURES);
	set_reg(d, R_DEVICE_FEATURES_SEL, 1);
	return f | (uint64_t)reg(d, R_DEVICE_FEATURES) << 32;
}

void *at(struct driver *d, uint64_t ipa)
{
	return d->ram + (ipa - RAM_IPA);
}

uint64_t take(struct driver *d, size_t bytes)
{
	uint64_t ipa = d->data;

	d->data += (bytes + 15) & ~(size_t)15;
	assert_true(d->data <= RAM_IPA + RAM_BYTES);
	memset(at(d, ipa), 0, bytes);
	return ipa;
}

void queue_addresses(struct driver *d, unsigned q, uint64_t desc, uint64_t avail, uint64_t used_ring)
{
	set_reg(d, R_QUEUE_SEL, q);
	set_reg(d, R_QUEUE_NUM, Q_SIZE);
	set_reg(d, R_DESC, (uint32_t)desc);
	set_reg(d, R_DESC + 4, (uint32_t)(desc >> 32));
	set_reg(d, R_DRIVER, (uint32_t)avail);
	set_reg(d, R_DRIVER + 4, (uint32_t)(avail >> 32));
	set_reg(d, R_DEVICE, (uint32_t)used_ring);
	set_reg(d, R_DEVICE + 4, (uint32_t)(used_ring >> 32));
}

void start_queue(struct driver *d, unsigned q)
{
	uint64_t base = RAM_IPA + QUEUE_AREA + q * 0x4000u, avail = base + 0x1000, used_ring = base + 0x2000;

	memset(at(d, base), 0, 0x4000);
	d->q[q] = (struct driver_queue){.desc = at(d, base), .avail = at(d, avail), .used = at(d, used_ring)};
	set_reg(d, R_QUEUE_SEL, q);
	if (d->host.legacy) {
		/* all in one: the available ring follows the descriptors at once */
		d->q[q].avail = at(d, base + Q_SIZE * 16);
		set_reg(d, R_QUEUE_NUM, Q_SIZE);
		set_reg(d, R_QUEUE_ALIGN, 4096);
		set_reg(d, R_QUEUE_PFN, (uint32_t)(base >> 12));
		d->q[q].used = at(d, base + 0x1000);
		return;
	}
	if (d->packed) {
		d->q[q].desc = d->q[q].own;
		d->q[q].ring = at(d, base);
	}
	queue_addresses(d, q, base, avail, used_ring);
	set_reg(d, R_QUEUE_READY, 1);
}

void driver_start(struct driver *d, uint64_t wanted)
{
	pthread_mutex_init(&d->vd->dev.lock, NULL);
	set_reg(d, R_STATUS, 0);
	set_reg(d, R_STATUS, S_ACK | S_DRIVER);
	d->packed &= !d->host.legacy;
	wanted = (d->packed ? wanted | VIRTIO_F_RING_PACKED : wanted & ~VIRTIO_F_RING_PACKED) & features(d);
	set_reg(d, R_DRIVER_FEATURES_SEL, 0);
	set_reg(d, R_DRIVER_FEATURES, (uint32_t)wanted);
	set_reg(d, R_DRIVER_FEATURES_SEL, 1);
	set_reg(d, R_DRIVER_FEATURES, (uint32_t)(wanted >> 32) | (d->host.legacy ? 0 : 1));
	if (d->host.legacy)
		set_reg(d, R_GUEST_PAGE_SIZE, 4096);
	else
		set_reg(d, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	for (unsigned i = 0; i < d->vd->ops->n_queues; i++)
		start_queue(d, i);
	set_reg(d, R_STATUS, reg(d, R_STATUS) | S_DRIVER_OK);
}

/* The chain at head, in the ring; the flags of its first descriptor last. */
static void offer_packed(struct driver_queue *q, uint16_t head)
{
	struct packed_desc *first = &q->ring[q->next % Q_SIZE];
	uint16_t first_flags = 0, i = head, n = 0;
	const struct vq_desc *from;

	do {
		struct packed_desc *to = &q->ring[q->next % Q_SIZE];
		uint16_t flags;

		from = &q->desc[i % Q_SIZE];
		flags = from->flags | (q->next < Q_SIZE ? D_AVAIL : D_USED);

		*to = (struct packed_desc){from->addr, from->len, head, n ? flags : to->flags};
		if (!n++)
			first_flags = flags;
		q->next = (uint16_t)((q->next + 1) % (2 * Q_SIZE));
		i = from->next;
	} while (from->flags & D_NEXT && n < Q_SIZE);
	q->span[head % Q_SIZE] = n;
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
}

void offer_head(struct driver *d, unsigned q, uint16_t head)
{
	uint16_t *avail = d->q[q].avail;

	if (d->packed) {
		offer_packed(&d->q[q], head);
		return;
	}

	avail[2 + avail[1] % Q_SIZE] = head;
	__atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
}

static void fill(struct vq_desc *table, unsigned base, const struct part *parts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		table[(base + i) % Q_SIZE] =
			(struct vq_desc){parts[i].ipa, parts[i].len,
					 (uint16_t)((parts[i].write ? D_WRITE : 0) | (i + 1 < n ? D_NEXT : 0)),
					 (uint16_t)((base + i + 1) % Q_SIZE)};
}

uint16_t offer(struct driver *d, unsigned q, const struct part *parts, unsigned n)
{
	uint16_t head = d->q[q].free_desc;

	fill(d->q[q].desc, head, parts, n);
	d->q[q].free_desc = (uint16_t)((head + n) % Q_SIZE);
	offer_head(d, q, head);
	return head;
}

uint16_t offer_indirect(struct driver *d, unsigned q, const struct part *parts, unsigned n)
{
	uint16_t head = d->q[q].free_desc;
	uint64_t table = take(d, n * sizeof(struct vq_desc));

	fill(at(d, table), 0, parts, n);
	for (unsigned i = 0; d->packed && i < n; i++) {
		struct vq_desc *inner = (struct vq_desc *)at(d, table) + i;
		uint16_t flags = inner->flags & D_WRITE;

		((struct packed_desc *)(void *)inner)->id = 0;
		((struct packed_desc *)(void *)inner)->flags = flags;
	}
	d->q[q].desc[head] = (struct vq_desc){table, (uint32_t)(n * sizeof(struct vq_desc)), D_INDIRECT, 0};
	d->q[q].free_desc = (uint16_t)((head + 1) % Q_SIZE);
	offer_head(d, q, head);
	return head;
}

void work(struct driver *d)
{
	for (unsigned i = 0; i < 4; i++)
		virtio_turn(d->vd, 0);
}

void kick(struct driver *d, unsigned q)
{
	set_reg(d, R_QUEUE_NOTIFY, q);
	work(d);
}

bool used(struct driver *d, unsigned q, uint16_t *head, uint32_t *len)
{
	struct driver_queue *dq = &d->q[q];
	uint32_t entry[2];

	if (d->packed) {
		struct packed_desc *p = &dq->ring[dq->seen % Q_SIZE];
		uint16_t flags = __atomic_load_n(&p->flags, __ATOMIC_ACQUIRE),
			 done = dq->seen < Q_SIZE ? D_AVAIL | D_USED : 0;

		if ((flags & (D_AVAIL | D_USED)) != done)
			return false;
		*head = p->id;
		*len = p->len;
		dq->seen = (uint16_t)((dq->seen + dq->span[p->id % Q_SIZE]) % (2 * Q_SIZE));
		return true;
	}
	if (__atomic_load_n(&dq->used[1], __ATOMIC_ACQUIRE) == dq->seen)
		return false;
	memcpy(entry, (uint8_t *)dq->used + 4 + dq->seen++ % Q_SIZE * 8, sizeof(entry));
	*head = (uint16_t)entry[0];
	*len = entry[1];
	return true;
}

unsigned interrupts(struct driver *d)
{
	uint64_t n = 0;

	if (read(d->vd->irq_fd, &n, sizeof(n)) < 0)
		return 0;
	return (unsigned)n;
}
