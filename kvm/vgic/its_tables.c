/* SPDX-License-Identifier: MIT */
/*
 * KVM_DEV_ARM_ITS_SAVE_TABLES, KVM_DEV_ARM_ITS_RESTORE_TABLES and KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: what an ITS holds, in
 * the tables that the guest gave it, so that guest memory carries it to another machine. Layout: arm-vgic-its.rst, "ITS table
 * ABI REV0": 64-bit little-endian entries, a distance to the next one in each of a device's or event's. IHI 0069, "LPI
 * Pending tables".
 *
 * What is in guest memory is the guest's to change: everything read back is checked, and each loop ends with its table.
 */
#include <errno.h>
#include <stdlib.h>

#include "its_state.h"

#define DTE_NEXT_SHIFT 49
#define DTE_NEXT_MAX 0x3fffu
#define DTE_ITT_SHIFT 5
#define DTE_ITT_MASK 0xfffffffffffull /* ITT address 51:8 */
#define CTE_TARGET_SHIFT 16
#define ITE_NEXT_SHIFT 48
#define ITE_NEXT_MAX 0xffffu
#define ITE_LPI_SHIFT 16
#define NOT_MAPPED 0xffffffffu /* a collection's target */

static int put(struct its *its, ipa_t at, uint64_t entry)
{
	return vm_write_guest(its_vm(its), at, &entry, sizeof(entry));
}

static int get(struct its *its, ipa_t at, uint64_t *entry)
{
	return vm_read_guest(its_vm(its), at, entry, sizeof(*entry));
}

static uint64_t distance(uint32_t from, uint32_t to, unsigned max)
{
	return to - from > max ? max : to - from;
}

/* ---- save */

static int by_event_id(const void *a, const void *b)
{
	uint32_t x = (*(struct event *const *)a)->id, y = (*(struct event *const *)b)->id;

	return (x > y) - (x < y);
}

static int by_device_id(const void *a, const void *b)
{
	uint32_t x = (*(struct its_device *const *)a)->id, y = (*(struct its_device *const *)b)->id;

	return (x > y) - (x < y);
}

/* The events that lead somewhere, in order of their ids. */
static int sorted_events(const struct its_device *d, struct event ***out, unsigned *count)
{
	struct event **list;
	unsigned n = 0;

	for (struct event *e = d->events; e; e = e->next)
		n++;
	list = calloc(n + 1, sizeof(struct event *));
	if (!list)
		return -ENOMEM;
	n = 0;
	for (struct event *e = d->events; e; e = e->next)
		if (e->collection)
			list[n++] = e;
	qsort(list, n, sizeof(struct event *), by_event_id);
	*out = list;
	*count = n;
	return 0;
}

static int save_events(struct its *its, const struct its_device *d)
{
	struct event **e;
	unsigned n;
	int err = sorted_events(d, &e, &n);

	if (err)
		return err;
	for (unsigned i = 0; i < n && !err; i++) {
		uint64_t next = i + 1 < n ? distance(e[i]->id, e[i + 1]->id, ITE_NEXT_MAX) : 0;

		err = put(its, d->itt + (ipa_t)e[i]->id * ITS_ENTRY_SIZE,
			  next << ITE_NEXT_SHIFT | (uint64_t)e[i]->lpi->intid << ITE_LPI_SHIFT | e[i]->collection->id);
	}
	free(e);
	return err;
}

static int save_device(struct its *its, const struct its_device *d, const struct its_device *next)
{
	uint64_t dist = next ? distance(d->id, next->id, DTE_NEXT_MAX) : 0;
	ipa_t at;
	int err;

	if (!its_id_valid(its, ITS_TABLE_DEVICES, d->id, &at))
		return -EINVAL;
	err = save_events(its, d);
	if (err)
		return err;
	return put(its, at, ITS_VALID | dist << DTE_NEXT_SHIFT | d->itt >> 8 << DTE_ITT_SHIFT | (d->event_bits - 1));
}

static int save_devices(struct its *its)
{
	struct its_device **list;
	unsigned n = 0;
	int err = 0;

	if (!(its->baser[ITS_TABLE_DEVICES] & ITS_VALID))
		return 0;
	for (unsigned i = 0; i < ITS_BUCKETS; i++)
		for (struct its_device *d = its->devices[i]; d; d = d->next)
			n++;
	list = calloc(n + 1, sizeof(struct its_device *)); /* NULL at the end */
	if (!list)
		return -ENOMEM;
	n = 0;
	for (unsigned i = 0; i < ITS_BUCKETS; i++)
		for (struct its_device *d = its->devices[i]; d; d = d->next)
			list[n++] = d;
	qsort(list, n, sizeof(struct its_device *), by_device_id);
	for (unsigned i = 0; i < n && !err; i++)
		err = save_device(its, list[i], list[i + 1]);
	free(list);
	return err;
}

/* One after the other, whatever their ids; an invalid entry ends them if the table goes on. */
static int save_collections(struct its *its)
{
	uint64_t baser = its->baser[ITS_TABLE_COLLECTIONS];
	ipa_t at = its_table_base(baser), end = at + its_table_size(baser);

	if (!(baser & ITS_VALID))
		return 0;
	for (unsigned i = 0; i < ITS_BUCKETS; i++) {
		for (struct collection *c = its->collections[i]; c; c = c->next) {
			uint64_t target = c->target ? c->target->vcpu->index : NOT_MAPPED;
			int err = at < end ? put(its, at, ITS_VALID | target << CTE_TARGET_SHIFT | c->id) : -EINVAL;

			if (err)
				return err;
			at += ITS_ENTRY_SIZE;
		}
	}
	return at < end ? put(its, at, 0) : 0;
}

int its_save_tables(struct its *its)
{
	int err = save_devices(its);

	return err ? err : save_collections(its);
}

/* ---- restore */

static int restore_collection(struct its *its, uint64_t entry)
{
	uint32_t target = (uint32_t)(entry >> CTE_TARGET_SHIFT);
	uint32_t id = entry & 0xffff;
	struct collection *c;

	if (target != NOT_MAPPED && target >= its->vgic->n_cpus)
		return -EINVAL;
	if (its_collection_find(its, id))
		return -EEXIST;
	c = its_collection_make(its, id);
	if (!c)
		return -EINVAL;
	c->target = target == NOT_MAPPED ? NULL : vgic_cpu_by_index(its->vgic, target);
	return 0;
}

static int restore_collections(struct its *its)
{
	uint64_t baser = its->baser[ITS_TABLE_COLLECTIONS], entry;
	ipa_t at = its_table_base(baser), end = at + its_table_size(baser);

	if (!(baser & ITS_VALID))
		return 0;
	for (; at < end; at += ITS_ENTRY_SIZE) {
		int err = get(its, at, &entry);

		if (!err && !(entry & ITS_VALID))
			break;
		if (!err)
			err = restore_collection(its, entry);
		if (err)
			return err;
	}
	return 0;
}

static int restore_event(struct its *its, struct its_device *d, uint32_t id, uint64_t entry)
{
	uint64_t lpi = entry >> ITE_LPI_SHIFT & 0xffffffff, next = entry >> ITE_NEXT_SHIFT;
	struct collection *c = its_collection_find(its, entry & 0xffff);

	if (lpi < VGIC_LPI_FIRST || lpi >= its_lpi_limit(its->vgic) || id + next >= 1u << d->event_bits || !c)
		return -EINVAL;
	return its_event_make(its, d, id, c, (unsigned)lpi) ? 0 : -ENOMEM;
}

/* From the first valid entry on, each says how far the next one is; before it they are looked at one by one. */
static int restore_events(struct its *its, struct its_device *d)
{
	uint64_t id = 0, next;

	do {
		uint64_t entry;
		int err = get(its, d->itt + id * ITS_ENTRY_SIZE, &entry);

		next = 1;
		if (!err && (entry >> ITE_LPI_SHIFT & 0xffffffff)) {
			err = restore_event(its, d, (uint32_t)id, entry);
			next = entry >> ITE_NEXT_SHIFT;
		}
		if (err)
			return err;
		id += next;
	} while (next && id < 1u << d->event_bits);
	return 0;
}

static int restore_device(struct its *its, uint32_t id, uint64_t entry)
{
	unsigned bits = (entry & 31) + 1;
	struct its_device *d;

	if (bits > ITS_EVENT_BITS || !its_id_valid(its, ITS_TABLE_DEVICES, id, NULL))
		return -EINVAL;
	if (its_device_find(its, id))
		return -EEXIST;
	d = its_device_make(its, id, bits, (entry >> DTE_ITT_SHIFT & DTE_ITT_MASK) << 8);
	return d ? restore_events(its, d) : -ENOMEM;
}

/* A part of the device table that is one piece in memory. *done: the last device was in it. */
static int restore_devices_in(struct its *its, ipa_t at, uint64_t size, uint32_t first, bool *done)
{
	uint64_t i = 0, next;

	do {
		uint64_t entry;
		int err = get(its, at + i * ITS_ENTRY_SIZE, &entry);

		next = 1;
		if (!err && (entry & ITS_VALID)) {
			err = restore_device(its, first + (uint32_t)i, entry);
			next = entry >> DTE_NEXT_SHIFT & DTE_NEXT_MAX;
		}
		if (err)
			return err;
		i += next;
	} while (next && i < size / ITS_ENTRY_SIZE);
	*done = !next;
	return 0;
}

static int restore_devices(struct its *its)
{
	enum { PER_PAGE = ITS_TABLE_PAGE / ITS_ENTRY_SIZE, FIRST_LEVEL = (1 << ITS_DEVICE_BITS) / PER_PAGE };
	uint64_t baser = its->baser[ITS_TABLE_DEVICES], entry;
	ipa_t base = its_table_base(baser);
	bool done = false;
	int err = 0;

	if (!(baser & ITS_VALID))
		return 0;
	if (!(baser & ITS_BASER_INDIRECT)) {
		uint64_t size = its_table_size(baser), all = (uint64_t)ITS_ENTRY_SIZE << ITS_DEVICE_BITS;

		return restore_devices_in(its, base, size < all ? size : all, 0, &done);
	}
	for (uint32_t i = 0; i < FIRST_LEVEL && !done && !err; i++) {
		err = get(its, base + i * 8ull, &entry);
		if (!err && (entry & ITS_VALID))
			err = restore_devices_in(its, entry & 0xfffffffff0000ull, ITS_TABLE_PAGE, i * PER_PAGE, &done);
	}
	return err;
}

int its_restore_tables(struct its *its)
{
	int err = restore_collections(its);

	if (!err)
		err = restore_devices(its);
	if (err) {
		its_devices_clear(its);
		its_collections_clear(its);
	}
	return err;
}

/* ---- pending tables: vm->lock and all vcpus held, so the LPIs stay as they are */

static int save_pending(struct vgic *vgic, const struct vgic_irq *lpi)
{
	ipa_t at = (lpi->target->pendbaser & 0xfffffffff0000ull) + lpi->intid / 8;
	uint8_t bit = (uint8_t)(1u << lpi->intid % 8), byte;
	int err = vm_read_guest(vgic->vm, at, &byte, 1);

	if (err || !!(byte & bit) == lpi->latch)
		return err;
	byte ^= bit;
	return vm_write_guest(vgic->vm, at, &byte, 1);
}

int its_save_pending_tables(struct vgic *vgic)
{
	for (unsigned i = 0; vgic->lpi && i < VGIC_LPI_COUNT; i++) {
		struct vgic_irq lpi;
		bool there;
		int err;

		vgic_lock(vgic); /* MSIs may still come: a copy, as guest memory is not touched under the lock */
		there = vgic->lpi[i] && vgic->lpi[i]->target;
		if (there)
			lpi = *vgic->lpi[i];
		vgic_unlock(vgic);
		err = there ? save_pending(vgic, &lpi) : 0;
		if (err)
			return err;
	}
	return 0;
}
