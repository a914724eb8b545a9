/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues: VIRTIO 1.2, section 2.7, with indirect descriptors (2.7.5.3) and event indices (2.7.7, 2.7.10). A position is the
 * free-running index of a ring.
 */
#include "virtio.h"

enum { AVAIL_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };
enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4, AVAIL_ENTRY = 2, USED_ENTRY = 8 };

static void store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELAXED);
}

static struct virtq_desc load_desc(const uint8_t *table, unsigned i)
{
	uint64_t word[2];

	virtq_load_desc(table, i, word);
	return (struct virtq_desc){word[0], (uint32_t)word[1], (uint16_t)(word[1] >> 32), (uint16_t)(word[1] >> 48)};
}

static bool split_map(struct virtq *q)
{
	uint32_t n = q->reg.size;
	struct virtio *vd = q->vd;
	/* The event index of the other side is behind each ring, used or not. */
	uint64_t avail_bytes = RING_ENTRIES + (uint64_t)n * AVAIL_ENTRY + 2;
	uint64_t used_bytes = RING_ENTRIES + (uint64_t)n * USED_ENTRY + 2;

	if (n & (n - 1) || q->reg.desc & 15 || q->reg.avail & 1 || q->reg.used & 3)
		return false;
	q->desc = virtio_ptr(vd, q->reg.desc, (uint64_t)n * DESC_SIZE);
	q->avail = virtio_ptr(vd, q->reg.avail, avail_bytes);
	q->used = virtio_ptr(vd, q->reg.used, used_bytes);
	return q->desc && q->avail && q->used;
}

static void split_begin(struct virtq *q)
{
	q->next_avail = q->next_used = 0;
}

/* Follows a chain in a table of n. It may have no more descriptors than the table, so it ends. */
static const char *walk(struct virtq *q, struct virtq_chain *c, const uint8_t *table, uint32_t n, uint16_t i,
			bool nested)
{
	for (uint32_t count = 0; count < n; count++) {
		struct virtq_desc d;
		const char *wrong;

		if (i >= n)
			return "a descriptor outside its table";
		d = load_desc(table, i);
		if (d.flags & DESC_INDIRECT) {
			const uint8_t *inner;
			uint32_t inner_n;

			if (nested)
				return "an indirect descriptor where none may be";
			wrong = virtq_table(q, &d, &inner, &inner_n);
			return wrong ? wrong : walk(q, c, inner, inner_n, 0, true);
		}
		wrong = virtq_add(q, c, &d);
		if (wrong)
			return wrong;
		if (!(d.flags & DESC_NEXT))
			return NULL;
		i = d.link;
	}
	return "a chain without end";
}

static bool split_take(struct virtq *q, struct virtq_chain *c, const char **wrong)
{
	uint16_t idx = virtq_load16(q->avail + RING_IDX), waiting = (uint16_t)(idx - q->next_avail);

	q->seen = idx;
	if (!waiting)
		return false;
	if (waiting > q->size) {
		*wrong = "an available index that is out of range";
		return false;
	}
	c->id = virtq_load16(q->avail + RING_ENTRIES + (q->next_avail & (q->size - 1)) * AVAIL_ENTRY);
	c->span = 1;
	*wrong = walk(q, c, q->desc, q->size, c->id, false);
	q->next_avail += !*wrong;
	return true;
}

static void split_publish(struct virtq *q)
{
	for (unsigned i = 0; i < q->n_filled; i++) {
		uint8_t *entry = q->used + RING_ENTRIES + ((q->next_used + i) & (q->size - 1u)) * USED_ENTRY;

		store32(entry, q->filled[i].id);
		store32(entry + 4, q->filled[i].len);
	}
	q->next_used += (uint16_t)q->n_filled;
	virtq_store16(q->used + RING_IDX, q->next_used);
}

static void split_quiet(struct virtq *q)
{
	/* With event indices the old index suppresses them by itself. */
	if (!q->event_idx)
		virtq_store16(q->used + RING_FLAGS, USED_NO_NOTIFY);
}

static void split_ask(struct virtq *q, uint16_t index)
{
	if (q->event_idx)
		virtq_store16(q->used + RING_ENTRIES + (size_t)q->size * USED_ENTRY, index);
	else
		virtq_store16(q->used + RING_FLAGS, 0);
}

static bool split_more(struct virtq *q, uint16_t index)
{
	return virtq_load16(q->avail + RING_IDX) != index;
}

static bool split_wants_interrupt(struct virtq *q)
{
	uint16_t event;

	if (!q->event_idx)
		return !(virtq_load16(q->avail + RING_FLAGS) & AVAIL_NO_INTERRUPT);
	event = virtq_load16(q->avail + RING_ENTRIES + (size_t)q->size * AVAIL_ENTRY);
	return !q->signalled_valid || (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - q->signalled);
}

const struct virtq_layout virtq_split = {
	.map = split_map,
	.begin = split_begin,
	.take = split_take,
	.publish = split_publish,
	.quiet = split_quiet,
	.ask = split_ask,
	.more = split_more,
	.wants_interrupt = split_wants_interrupt,
};
