/* SPDX-License-Identifier: MIT */
/*
 * Packed virtqueues: VIRTIO 1.2, section 2.8. One ring of descriptors that both sides write: the driver makes one available, the device
 * overwrites it (the first of a chain) as used, and bits in it that change their meaning each time round say which is which. A position is the
 * place in the ring, plus the ring's size every other time round, when the wrap counter is 0.
 */
#include <string.h>

#include "virtio.h"

enum { FLAGS = 14, ID = 12, LEN = 8 }; /* in a descriptor */
enum { AVAIL = 1 << 7, USED = 1 << 15 };
/* The two event suppression structures, 2.8.14 */
enum { EVENT_DESC = 0, EVENT_FLAGS = 2, EVENT_BYTES = 4 };
enum { EVENTS_ENABLE = 0, EVENTS_DISABLE = 1, EVENTS_AT = 2, EVENT_WRAP = 1 << 15 };

static bool packed_map(struct virtq *q)
{
	if (q->reg.desc & 15 || q->reg.avail & 3 || q->reg.used & 3)
		return false;
	q->ring = virtio_ptr(q->vd, q->reg.desc, (uint64_t)q->reg.size * DESC_SIZE);
	q->avail = virtio_ptr(q->vd, q->reg.avail, EVENT_BYTES);
	q->used = virtio_ptr(q->vd, q->reg.used, EVENT_BYTES);
	return q->ring && q->avail && q->used;
}

static void packed_begin(struct virtq *q)
{
	q->next_avail = q->next_used = 0;
	q->seen = q->signalled = 0;
}

static struct virtq_desc load_desc(const uint8_t *table, unsigned i)
{
	uint64_t word[2];

	virtq_load_desc(table, i, word);
	return (struct virtq_desc){word[0], (uint32_t)word[1], (uint16_t)(word[1] >> 48), (uint16_t)(word[1] >> 32)};
}

static uint16_t place(const struct virtq *q, uint16_t at)
{
	return at < q->size ? at : at - q->size;
}

static bool wrap_counter(const struct virtq *q, uint16_t at)
{
	return at < q->size;
}

/* n is at most the ring's size */
static uint16_t advance(const struct virtq *q, uint16_t at, unsigned n)
{
	unsigned sum = at + n;

	return (uint16_t)(sum < 2u * q->size ? sum : sum - 2u * q->size);
}

static uint8_t *entry(const struct virtq *q, uint16_t at)
{
	return q->ring + (size_t)place(q, at) * DESC_SIZE;
}

static bool packed_more(struct virtq *q, uint16_t at)
{
	uint16_t flags = virtq_load16(entry(q, at) + FLAGS);

	return !!(flags & AVAIL) == wrap_counter(q, at) && !!(flags & USED) != wrap_counter(q, at);
}

/* 2.8.7: the descriptors of a table are in its order, and have no flag but that they are written. */
static const char *walk_table(struct virtq *q, struct virtq_chain *c, const struct virtq_desc *d)
{
	const uint8_t *table;
	uint32_t n;
	const char *wrong = virtq_table(q, d, &table, &n);

	for (uint32_t i = 0; i < n && !wrong; i++) {
		struct virtq_desc inner = load_desc(table, i);

		wrong = inner.flags & DESC_INDIRECT ? "an indirect descriptor where none may be"
						    : virtq_add(q, c, &inner);
	}
	return wrong;
}

static bool packed_take(struct virtq *q, struct virtq_chain *c, const char **wrong)
{
	uint16_t at = q->next_avail;

	q->seen = at;
	if (!packed_more(q, at))
		return false;
	for (c->span = 1;; c->span++, at = advance(q, at, 1)) {
		struct virtq_desc d = load_desc(q->ring, place(q, at));

		c->id = d.link; /* the chain's is in its last one */
		if (d.flags & DESC_INDIRECT) {
			*wrong = c->span > 1 ? "an indirect descriptor where none may be" : walk_table(q, c, &d);
			break;
		}
		*wrong = virtq_add(q, c, &d);
		if (*wrong || !(d.flags & DESC_NEXT))
			break;
		if (c->span == q->size) {
			*wrong = "a chain without end";
			break;
		}
	}
	if (!*wrong)
		q->seen = q->next_avail = advance(q, at, 1);
	return true;
}

static void put(struct virtq *q, uint16_t at, const struct virtq_used *u)
{
	uint8_t *p = entry(q, at);

	memcpy(p + LEN, &u->len, 4);
	memcpy(p + ID, &u->id, 2);
}

static void mark_used(struct virtq *q, uint16_t at, const struct virtq_used *u)
{
	uint16_t flags = wrap_counter(q, at) ? AVAIL | USED : 0;

	virtq_store16(entry(q, at) + FLAGS, flags | (u->len ? DESC_WRITE : 0));
}

/* The driver looks at them in order, and at none before the first is marked. */
static void packed_publish(struct virtq *q)
{
	uint16_t first = q->next_used, at = first;

	for (unsigned i = 0; i < q->n_filled; i++) {
		put(q, at, &q->filled[i]);
		if (i)
			mark_used(q, at, &q->filled[i]);
		at = advance(q, at, q->filled[i].span);
	}
	mark_used(q, first, &q->filled[0]);
	q->next_used = at;
}

static void packed_quiet(struct virtq *q)
{
	virtq_store16(q->used + EVENT_FLAGS, EVENTS_DISABLE);
}

static void packed_ask(struct virtq *q, uint16_t at)
{
	if (q->event_idx)
		virtq_store16(q->used + EVENT_DESC, place(q, at) | (wrap_counter(q, at) ? EVENT_WRAP : 0));
	virtq_store16(q->used + EVENT_FLAGS, q->event_idx ? EVENTS_AT : EVENTS_ENABLE);
}

/* How far it is from one position to another, forwards. */
static unsigned distance(const struct virtq *q, unsigned from, unsigned to)
{
	return (to + 2u * q->size - from) % (2u * q->size);
}

static bool packed_wants_interrupt(struct virtq *q)
{
	uint16_t flags = virtq_load16(q->avail + EVENT_FLAGS) & 3, event;
	unsigned at;

	if (flags != EVENTS_AT || !q->event_idx)
		return flags != EVENTS_DISABLE;
	event = virtq_load16(q->avail + EVENT_DESC);
	at = event & (EVENT_WRAP - 1u);
	if (!q->signalled_valid || at >= q->size)
		return true;
	if (!(event & EVENT_WRAP))
		at += q->size;
	/* Is it one of those since the last time? */
	return distance(q, q->signalled, at) < distance(q, q->signalled, q->next_used);
}

const struct virtq_layout virtq_packed = {
	.map = packed_map,
	.begin = packed_begin,
	.take = packed_take,
	.publish = packed_publish,
	.quiet = packed_quiet,
	.ask = packed_ask,
	.more = packed_more,
	.wants_interrupt = packed_wants_interrupt,
};
