/* SPDX-License-Identifier: MIT */
/*
 * The VM's in-kernel devices by guest physical address. Readers (vcpus handling an abort) take no lock: they use an immutable
 * snapshot, and mark themselves with vcpu->on_bus while they do. A writer publishes a new snapshot and waits until every
 * vcpu has been off the bus once; after that neither the old snapshot nor a removed device is in use.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "core.h"
#include "order.h"

enum { IOBUS_MAX_DEVICES = 1000 };

struct iobus_entry {
	ipa_t base, last; /* inclusive */
	ipa_t reach;	  /* the greatest `last` of this entry and all before it */
	struct io_dev *dev;
};

struct iobus_map {
	unsigned count;
	struct iobus_entry entry[]; /* by base; devices may overlap, the later added one is asked later */
};

struct iobus {
	pthread_mutex_t lock;		 /* writers */
	_Atomic(struct iobus_map *) map; /* never NULL */
};

static const struct io_dev_ops nobody_ops;
static struct io_dev nobody = {.ops = &nobody_ops};

int iobus_vm_init(struct vm *vm)
{
	struct iobus *bus = calloc(1, sizeof(*bus));
	struct iobus_map *map = calloc(1, sizeof(*map));

	if (!bus || !map) {
		free(bus);
		free(map);
		return -ENOMEM;
	}
	pthread_mutex_init(&bus->lock, NULL);
	atomic_store(&bus->map, map);
	vm->iobus = bus;
	return 0;
}

void iobus_vm_destroy(struct vm *vm)
{
	if (!vm->iobus)
		return;
	free(atomic_load(&vm->iobus->map));
	pthread_mutex_destroy(&vm->iobus->lock);
	free(vm->iobus);
	vm->iobus = NULL;
}

/* The map was stored. Until every vcpu has been off the bus once. This thread may itself be in a device's handler: then it is not waited for. */
static void wait_for_readers(struct vm *vm)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	order_rare();
	for (unsigned i = 0; i < n; i++)
		while (vm->vcpus[i] != vcpu_current() && atomic_load(&vm->vcpus[i]->on_bus))
			sched_yield();
}

static void publish_locked(struct vm *vm, struct iobus_map *map)
{
	struct iobus_map *old = atomic_exchange(&vm->iobus->map, map);

	wait_for_readers(vm);
	free(old);
}

static void compute_reach(struct iobus_map *map)
{
	ipa_t reach = 0;

	for (unsigned i = 0; i < map->count; i++) {
		if (map->entry[i].last > reach)
			reach = map->entry[i].last;
		map->entry[i].reach = reach;
	}
}

int iobus_add(struct vm *vm, struct io_dev *dev)
{
	struct iobus *bus = vm->iobus;
	struct iobus_map *old, *map;
	unsigned n, at = 0;
	int err = 0;

	pthread_mutex_lock(&bus->lock);
	old = atomic_load(&bus->map);
	n = old->count;
	map = malloc(sizeof(*map) + (n + 1) * sizeof(map->entry[0]));
	if (n >= IOBUS_MAX_DEVICES || !map) {
		err = map ? -ENOSPC : -ENOMEM;
		free(map);
		goto out;
	}
	while (at < n && old->entry[at].base <= dev->base)
		at++;
	map->count = n + 1;
	for (unsigned i = 0; i < n; i++)
		map->entry[i + (i >= at)] = old->entry[i];
	map->entry[at] = (struct iobus_entry){.base = dev->base, .last = dev->base + dev->size - 1, .dev = dev};
	compute_reach(map);
	publish_locked(vm, map);
out:
	pthread_mutex_unlock(&bus->lock);
	return err;
}

void iobus_remove(struct vm *vm, struct io_dev *dev)
{
	struct iobus *bus = vm->iobus;
	struct iobus_map *old, *map;
	unsigned n = 0;

	pthread_mutex_lock(&bus->lock);
	old = atomic_load(&bus->map);
	map = malloc(sizeof(*map) + old->count * sizeof(map->entry[0]));
	if (!map) { /* no memory for a smaller map: leave a device there that answers nothing */
		for (unsigned i = 0; i < old->count; i++)
			if (old->entry[i].dev == dev)
				__atomic_store_n(&old->entry[i].dev, &nobody, __ATOMIC_SEQ_CST);
		wait_for_readers(vm);
		pthread_mutex_unlock(&bus->lock);
		return;
	}
	for (unsigned i = 0; i < old->count; i++)
		if (old->entry[i].dev != dev)
			map->entry[n++] = old->entry[i];
	map->count = n;
	compute_reach(map);
	publish_locked(vm, map);
	pthread_mutex_unlock(&bus->lock);
}

/* Entries whose range holds [ipa, ipa + len), in bus order, from *i on; *i starts at the count. */
static struct io_dev *next_device(const struct iobus_map *map, unsigned *i, ipa_t ipa, unsigned len)
{
	while (*i < map->count && map->entry[*i].base <= ipa) {
		const struct iobus_entry *e = &map->entry[(*i)++];

		if (ipa <= e->last && len - 1 <= e->last - ipa)
			return e->dev;
	}
	return NULL;
}

/* The first entry that can hold ipa: all before it end below. */
static unsigned first_entry(const struct iobus_map *map, ipa_t ipa)
{
	unsigned lo = 0, hi = map->count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (map->entry[mid].reach < ipa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The vcpu is on the bus before it loads the map; pairs with wait_for_readers. */
static inline const struct iobus_map *map_get(struct vcpu *vcpu)
{
	atomic_store_explicit(&vcpu->on_bus, true, memory_order_relaxed);
	order_hot();
	return atomic_load_explicit(&vcpu->vm->iobus->map, memory_order_acquire);
}

static inline void map_put(struct vcpu *vcpu)
{
	atomic_store_explicit(&vcpu->on_bus, false, memory_order_release);
}

int iobus_read(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t *val)
{
	const struct iobus_map *map;
	int err = -EOPNOTSUPP;
	struct io_dev *dev;
	unsigned i;

	map = map_get(vcpu);
	i = first_entry(map, ipa);
	while (err == -EOPNOTSUPP && (dev = next_device(map, &i, ipa, len)))
		if (dev->ops->read)
			err = dev->ops->read(vcpu, dev, ipa - dev->base, len, val);
	map_put(vcpu);
	return err;
}

int iobus_write(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t val)
{
	const struct iobus_map *map;
	int err = -EOPNOTSUPP;
	struct io_dev *dev;
	unsigned i;

	map = map_get(vcpu);
	i = first_entry(map, ipa);
	while (err == -EOPNOTSUPP && (dev = next_device(map, &i, ipa, len)))
		if (dev->ops->write)
			err = dev->ops->write(vcpu, dev, ipa - dev->base, len, val);
	map_put(vcpu);
	return err;
}
