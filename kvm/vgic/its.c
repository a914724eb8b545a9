/* SPDX-License-Identifier: MIT */
/*
 * The Interrupt Translation Service: registers, the command queue, device and collection maps, LPIs. IHI 0069, "The ITS" and
 * "ITS commands"; what KVM fixes where the architecture leaves a choice is in arm-vgic-its.rst.
 *
 * Maps are kept here and not in the guest's tables, whose addresses and sizes only say which ids are valid. Commands run
 * on the vcpu that writes GITS_CWRITER, to the end of the queue. A bad one is passed over.
 *
 * Lock order: vm->lock, its->lock, vgic->lock. Guest memory is read under its->lock and never under vgic->lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "its_state.h"

enum {
	COMMAND_SIZE = 32,
};

/* Commands: IHI 0069, "ITS command encodings" */
enum {
	CMD_MOVI = 0x01,
	CMD_INT = 0x03,
	CMD_CLEAR = 0x04,
	CMD_MAPD = 0x08,
	CMD_MAPC = 0x09,
	CMD_MAPTI = 0x0a,
	CMD_MAPI = 0x0b,
	CMD_INV = 0x0c,
	CMD_INVALL = 0x0d,
	CMD_MOVALL = 0x0e,
	CMD_DISCARD = 0x0f,
};

#define ITS_TYPER 0x1ef71ull /* physical LPIs, 8-byte ITT entries, 16 bits of event and device id, RDbase is a number */
#define ITS_IIDR 0x4b00043bull
#define CTLR_ENABLED 1u
#define CTLR_QUIESCENT (1u << 31)
#define BASER_TYPE(t) ((uint64_t)(t) << 56)
#define BASER_FIXED(t) (BASER_TYPE(t) | (uint64_t)(ITS_ENTRY_SIZE - 1) << 48 | 2ull << 8 /* 64 KiB pages */)
#define BASER_WRITABLE (ITS_VALID | ITS_BASER_INDIRECT | 7ull << 59 | 7ull << 53 | 0xffffffffffffull << 0)
enum { INNER_SHIFT = 59, OUTER_SHIFT = 53 }; /* cacheability in GITS_BASER<n> and GITS_CBASER */

static const uint64_t baser_fixed[2] = {BASER_FIXED(1), BASER_FIXED(4)};
#define BASER_RESET (3ull << 59 | 1ull << 10) /* inner shareable, inner RaWb */

/* ---- LPIs */

unsigned its_lpi_limit(const struct vgic *vgic) /* first INTID that the configuration table has no byte for */
{
	unsigned bits = (unsigned)(vgic->propbaser & 0x1f) + 1;

	return 1u << (bits > 16 ? 16 : bits);
}

/* Enable and priority of an LPI from the guest's configuration table. its->lock held. */
static void lpi_configure(struct its *its, struct vgic_irq *lpi)
{
	struct vgic *vgic = its->vgic;
	uint64_t table = __atomic_load_n(&vgic->propbaser, __ATOMIC_RELAXED) & 0xffffffffff000ull;
	uint8_t config;

	if (vm_read_guest(vgic->vm, table + lpi->intid - VGIC_LPI_FIRST, &config, 1))
		return;
	vgic_lock(vgic);
	lpi->enabled = config & 1;
	lpi->priority = config & VGIC_PRIORITY_MASK;
	vgic_irq_update_locked(vgic, lpi);
	vgic_unlock(vgic);
}

/* The LPI of that number, made if it is not there; one more user of it. */
static struct vgic_irq *lpi_get(struct vgic *vgic, unsigned intid, struct vgic_cpu *target)
{
	struct vgic_irq *irq, *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return NULL;
	*fresh = (struct vgic_irq){.intid = (uint16_t)intid, .group = 1, .priority = VGIC_PRIORITY_MASK};
	vgic_lock(vgic);
	irq = vgic->lpi[intid - VGIC_LPI_FIRST];
	if (!irq) {
		irq = vgic->lpi[intid - VGIC_LPI_FIRST] = fresh;
		fresh = NULL;
	}
	irq->users++;
	vgic_irq_retarget_locked(vgic, irq, target);
	vgic_unlock(vgic);
	free(fresh);
	return irq;
}

static void lpi_put(struct vgic *vgic, struct vgic_irq *irq)
{
	bool gone;

	vgic_lock(vgic);
	gone = --irq->users == 0;
	if (gone) {
		irq->latch = false;
		vgic_irq_update_locked(vgic, irq);
		vgic->lpi[irq->intid - VGIC_LPI_FIRST] = NULL;
	}
	vgic_unlock(vgic);
	if (gone)
		free(irq);
}

static void lpi_pend(struct vgic *vgic, struct vgic_irq *irq, bool pending)
{
	vgic_lock(vgic);
	irq->latch = pending;
	vgic_irq_update_locked(vgic, irq);
	vgic_unlock(vgic);
}

/* ---- maps; its->lock held */

struct its_device *its_device_find(struct its *its, uint32_t id)
{
	struct its_device *d = its->devices[id % ITS_BUCKETS];

	while (d && d->id != id)
		d = d->next;
	return d;
}

struct collection *its_collection_find(struct its *its, uint32_t id)
{
	struct collection *c = its->collections[id % ITS_BUCKETS];

	while (c && c->id != id)
		c = c->next;
	return c;
}

static struct event *event_find(struct its *its, uint32_t device, uint32_t id)
{
	struct its_device *d = its_device_find(its, device);
	struct event *e = d ? d->events : NULL;

	while (e && e->id != id)
		e = e->next;
	return e;
}

static void device_free(struct its *its, struct its_device *d)
{
	while (d->events) {
		struct event *e = d->events;

		d->events = e->next;
		lpi_put(its->vgic, e->lpi);
		free(e);
	}
	free(d);
}

static void device_unmap(struct its *its, uint32_t id)
{
	for (struct its_device **p = &its->devices[id % ITS_BUCKETS]; *p; p = &(*p)->next) {
		struct its_device *d = *p;

		if (d->id != id)
			continue;
		*p = d->next;
		device_free(its, d);
		return;
	}
}

void its_devices_clear(struct its *its)
{
	for (unsigned i = 0; i < ITS_BUCKETS; i++)
		while (its->devices[i])
			device_unmap(its, its->devices[i]->id);
}

static void for_events(struct its *its, void (*fn)(struct its *, struct event *, void *), void *arg)
{
	for (unsigned i = 0; i < ITS_BUCKETS; i++)
		for (struct its_device *d = its->devices[i]; d; d = d->next)
			for (struct event *e = d->events; e; e = e->next)
				fn(its, e, arg);
}

static void retarget(struct its *its, struct event *e, void *collection)
{
	if (e->collection != collection)
		return;
	vgic_lock(its->vgic);
	vgic_irq_retarget_locked(its->vgic, e->lpi, e->collection->target);
	vgic_unlock(its->vgic);
}

static void orphan(struct its *its, struct event *e, void *collection)
{
	if (e->collection == collection)
		e->collection = NULL;
}

void its_collections_clear(struct its *its)
{
	for (unsigned i = 0; i < ITS_BUCKETS; i++) {
		while (its->collections[i]) {
			struct collection *c = its->collections[i];

			c->target = NULL;
			for_events(its, retarget, c);
			for_events(its, orphan, c);
			its->collections[i] = c->next;
			free(c);
		}
	}
}

/* Flat, or two levels with 64 KiB pages. */
bool its_id_valid(struct its *its, unsigned table, uint32_t id, ipa_t *entry)
{
	enum { PER_PAGE = ITS_TABLE_PAGE / ITS_ENTRY_SIZE };
	uint64_t baser = its->baser[table], size = its_table_size(baser), page;
	unsigned bits = table == ITS_TABLE_DEVICES ? ITS_DEVICE_BITS : ITS_COLLECTION_BITS;
	ipa_t at = its_table_base(baser);

	if (!(baser & ITS_VALID) || id >> bits)
		return false;
	if (baser & ITS_BASER_INDIRECT) {
		uint64_t first = id / PER_PAGE;

		if (first >= size / 8 || vm_read_guest(its_vm(its), at + first * 8, &page, 8) || !(page & ITS_VALID))
			return false;
		at = page & 0xfffffffff0000ull;
		id %= PER_PAGE;
	} else if (id >= size / ITS_ENTRY_SIZE) {
		return false;
	}
	if (entry)
		*entry = at + (ipa_t)id * ITS_ENTRY_SIZE;
	return true;
}

struct collection *its_collection_make(struct its *its, uint32_t id)
{
	struct collection *c;

	if (!its_id_valid(its, ITS_TABLE_COLLECTIONS, id, NULL))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->id = id;
	c->next = its->collections[id % ITS_BUCKETS];
	its->collections[id % ITS_BUCKETS] = c;
	return c;
}

struct its_device *its_device_make(struct its *its, uint32_t id, unsigned event_bits, ipa_t itt)
{
	struct its_device *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	*d = (struct its_device){
		.next = its->devices[id % ITS_BUCKETS], .id = id, .event_bits = event_bits, .itt = itt};
	its->devices[id % ITS_BUCKETS] = d;
	return d;
}

/* An LPI that was pending on another machine is so in the guest's table, and is taken out of it. */
static void lpi_restore_pending(struct its *its, struct vgic_irq *lpi)
{
	struct vgic_cpu *cpu = lpi->target;
	ipa_t at;
	uint8_t byte;

	if (!cpu || cpu->pending_table_zero || !cpu->lpis_enabled)
		return;
	at = (cpu->pendbaser & 0xfffffffff0000ull) + lpi->intid / 8;
	if (vm_read_guest(its_vm(its), at, &byte, 1) || !(byte >> lpi->intid % 8 & 1))
		return;
	lpi_pend(its->vgic, lpi, true);
	byte &= (uint8_t) ~(1u << lpi->intid % 8);
	vm_write_guest(its_vm(its), at, &byte, 1);
}

struct event *its_event_make(struct its *its, struct its_device *d, uint32_t id, struct collection *c, unsigned lpi)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct event){.next = d->events, .id = id, .collection = c};
	e->lpi = lpi_get(its->vgic, lpi, c->target);
	if (!e->lpi) {
		free(e);
		return NULL;
	}
	d->events = e;
	lpi_configure(its, e->lpi);
	lpi_restore_pending(its, e->lpi);
	return e;
}

/* ---- commands: the words of one, in host order. its->lock held */

static void cmd_mapd(struct its *its, const uint64_t *c)
{
	uint32_t id = c[0] >> 32;
	unsigned bits = (c[1] & 0x1f) + 1;

	if (!its_id_valid(its, ITS_TABLE_DEVICES, id, NULL) || ((c[2] & ITS_VALID) && bits > ITS_EVENT_BITS))
		return;
	device_unmap(its, id);
	if (c[2] & ITS_VALID)
		its_device_make(its, id, bits, c[2] & 0xfffffffffff00ull);
}

static void cmd_mapc(struct its *its, const uint64_t *c)
{
	uint32_t id = c[2] & 0xffff;
	struct collection *col = its_collection_find(its, id);

	if (!(c[2] & ITS_VALID)) {
		if (col) {
			col->target = NULL;
			for_events(its, retarget, col);
		}
		return;
	}
	if ((c[2] >> 16 & 0xffffffff) >= its->vgic->n_cpus)
		return;
	if (!col)
		col = its_collection_make(its, id);
	if (!col)
		return;
	col->target = vgic_cpu_by_index(its->vgic, c[2] >> 16 & 0xffffffff);
	for_events(its, retarget, col);
}

static void cmd_mapti(struct its *its, const uint64_t *c, bool same)
{
	struct its_device *d = its_device_find(its, c[0] >> 32);
	uint32_t id = (uint32_t)c[1], icid = c[2] & 0xffff;
	uint64_t intid = same ? id : c[1] >> 32;
	struct collection *col;

	if (!d || id >> d->event_bits || intid < VGIC_LPI_FIRST || intid >= its_lpi_limit(its->vgic))
		return;
	if (event_find(its, d->id, id))
		return;
	col = its_collection_find(its, icid);
	if (!col)
		col = its_collection_make(its, icid);
	if (col)
		its_event_make(its, d, id, col, (unsigned)intid);
}

static void cmd_discard(struct its *its, const uint64_t *c)
{
	struct its_device *d = its_device_find(its, c[0] >> 32);

	for (struct event **p = d ? &d->events : NULL; p && *p; p = &(*p)->next) {
		struct event *e = *p;

		if (e->id != (uint32_t)c[1])
			continue;
		*p = e->next;
		lpi_put(its->vgic, e->lpi);
		free(e);
		return;
	}
}

static void cmd_movi(struct its *its, const uint64_t *c)
{
	struct event *e = event_find(its, c[0] >> 32, (uint32_t)c[1]);
	struct collection *col = its_collection_find(its, c[2] & 0xffff);

	if (!e || !e->collection || !col || !col->target)
		return;
	e->collection = col;
	retarget(its, e, col);
}

static void configure_if_in(struct its *its, struct event *e, void *collection)
{
	if (e->collection == collection)
		lpi_configure(its, e->lpi);
}

static void move_if_on(struct its *its, struct event *e, void *arg)
{
	struct vgic_cpu **move = arg; /* from, to */

	vgic_lock(its->vgic);
	if (e->lpi->target == move[0])
		vgic_irq_retarget_locked(its->vgic, e->lpi, move[1]);
	vgic_unlock(its->vgic);
}

static void cmd_movall(struct its *its, const uint64_t *c)
{
	struct vgic_cpu *move[2] = {vgic_cpu_by_index(its->vgic, c[2] >> 16 & 0xffffffff),
				    vgic_cpu_by_index(its->vgic, c[3] >> 16 & 0xffffffff)};

	if (move[0] && move[1])
		for_events(its, move_if_on, move);
}

static void command(struct its *its, const uint64_t *c)
{
	struct event *e;
	struct collection *col;

	switch (c[0] & 0xff) {
	case CMD_MAPD: cmd_mapd(its, c); break;
	case CMD_MAPC: cmd_mapc(its, c); break;
	case CMD_MAPTI: cmd_mapti(its, c, false); break;
	case CMD_MAPI: cmd_mapti(its, c, true); break;
	case CMD_DISCARD: cmd_discard(its, c); break;
	case CMD_MOVI: cmd_movi(its, c); break;
	case CMD_MOVALL: cmd_movall(its, c); break;
	case CMD_INVALL:
		col = its_collection_find(its, c[2] & 0xffff);
		if (col)
			for_events(its, configure_if_in, col);
		break;
	case CMD_INT:
	case CMD_CLEAR:
	case CMD_INV:
		e = event_find(its, c[0] >> 32, (uint32_t)c[1]);
		if (!e || !e->collection)
			break;
		if ((c[0] & 0xff) == CMD_INV)
			lpi_configure(its, e->lpi);
		else
			lpi_pend(its->vgic, e->lpi, (c[0] & 0xff) == CMD_INT);
		break;
	default: break; /* SYNC has nothing to wait for; the others are not ours */
	}
}

static uint32_t queue_size(const struct its *its) /* bytes */
{
	return ((uint32_t)(its->cbaser & 0xff) + 1) * 4096;
}

static void run_commands(struct its *its)
{
	ipa_t queue = its->cbaser & 0xffffffffff000ull;

	if (!its->enabled || !(its->cbaser & ITS_VALID))
		return;
	/* creadr takes each of the queue's slots at most once: cwriter is one of them. */
	while (its->creadr != its->cwriter) {
		uint64_t c[COMMAND_SIZE / 8];

		if (!vm_read_guest(its_vm(its), queue + its->creadr, c, sizeof(c)))
			command(its, c);
		its->creadr += COMMAND_SIZE;
		if (its->creadr == queue_size(its))
			its->creadr = 0;
	}
}

/* ---- registers; its->lock held */

static uint64_t merge(uint64_t old, uint64_t off, unsigned len, uint64_t val)
{
	if (len == 8)
		return val;
	return off & 4 ? (old & 0xffffffffull) | val << 32 : (old & ~0xffffffffull) | (uint32_t)val;
}

static void set_baser(struct its *its, unsigned table, uint64_t val)
{
	if (its->enabled)
		return;
	val = (val & BASER_WRITABLE & ~(7ull << 56 | 0x1full << 48 | 3ull << 8)) | baser_fixed[table];
	if (table == ITS_TABLE_COLLECTIONS)
		val &= ~ITS_BASER_INDIRECT;
	val = vgic_sanitise_table(val, INNER_SHIFT, OUTER_SHIFT);
	its->baser[table] = val;
	if (val & ITS_VALID)
		return;
	if (table == ITS_TABLE_DEVICES)
		its_devices_clear(its);
	else
		its_collections_clear(its);
}

static void set_cbaser(struct its *its, uint64_t val)
{
	if (its->enabled)
		return;
	/* On 64 KiB, as KVM's; bits that mean nothing are kept. */
	its->cbaser = vgic_sanitise_table(val & ~(0xfull << 12), INNER_SHIFT, OUTER_SHIFT);
	its->creadr = its->cwriter = 0;
}

static void set_cwriter(struct its *its, uint64_t val)
{
	uint32_t to = val & 0xfffe0;

	if (to >= queue_size(its))
		return;
	its->cwriter = to;
	run_commands(its);
}

static void set_enabled(struct its *its, bool on)
{
	bool can = (its->cbaser & its->baser[ITS_TABLE_DEVICES] & its->baser[ITS_TABLE_COLLECTIONS] & ITS_VALID) != 0;

	its->enabled = on && can;
	run_commands(its);
}

static uint64_t id_register(uint64_t off)
{
	switch (off) {
	case 0xffd0: return 0x40; /* PIDR4 */
	case 0xffe0: return 0x92; /* PIDR0 */
	case 0xffe4: return 0xb4;
	case 0xffe8: return 0x3b;
	case 0xfff0: return 0x0d; /* CIDR0 */
	case 0xfff4: return 0xf0;
	case 0xfff8: return 0x05;
	case 0xfffc: return 0xb1;
	default: return 0;
	}
}

/* The 64-bit view of the register that holds off. */
static uint64_t reg_read(struct its *its, uint64_t off)
{
	switch (off & ~7ull) {
	case 0x0000:
		return (its->enabled ? CTLR_ENABLED : 0) | (its->creadr == its->cwriter ? CTLR_QUIESCENT : 0) |
		       ITS_IIDR << 32;
	case 0x0008: return ITS_TYPER;
	case 0x0080: return its->cbaser;
	case 0x0088: return its->cwriter;
	case 0x0090: return its->creadr;
	case 0x0100: return its->baser[ITS_TABLE_DEVICES];
	case 0x0108: return its->baser[ITS_TABLE_COLLECTIONS];
	default: return id_register(off & ~7ull) | id_register((off & ~7ull) + 4) << 32;
	}
}

static void reg_write(struct its *its, uint64_t off, unsigned len, uint64_t val)
{
	uint64_t whole = merge(reg_read(its, off), off, len, val);

	switch (off & ~7ull) {
	case 0x0000:
		if (!(off & 4))
			set_enabled(its, val & CTLR_ENABLED);
		break;
	case 0x0080: set_cbaser(its, whole); break;
	case 0x0088: set_cwriter(its, whole); break;
	case 0x0100: set_baser(its, ITS_TABLE_DEVICES, whole); break;
	case 0x0108: set_baser(its, ITS_TABLE_COLLECTIONS, whole); break;
	default: break;
	}
}

static bool access_ok(uint64_t off, unsigned len)
{
	return off < ITS_CTRL_SIZE && (len == 4 || len == 8) && !(off & (len - 1)) &&
	       (len == 4 || (off >= 8 && off < 0xffd0));
}

static int frame_read(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t *val)
{
	struct its *its = (struct its *)dev;

	*val = 0;
	if (!access_ok(off, len))
		return 0;
	pthread_mutex_lock(&its->lock);
	*val = reg_read(its, off);
	pthread_mutex_unlock(&its->lock);
	if (len == 4)
		*val = (uint32_t)(off & 4 ? *val >> 32 : *val);
	return 0;
}

/* The translation frame is written by devices, never by a CPU: ignored. */
static int frame_write(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct its *its = (struct its *)dev;

	if (!access_ok(off, len))
		return 0;
	pthread_mutex_lock(&its->lock);
	reg_write(its, off, len, val);
	pthread_mutex_unlock(&its->lock);
	return 0;
}

_Static_assert(offsetof(struct its, io) == 0, "an io_dev is the head of its ITS");
static const struct io_dev_ops its_ops = {.read = frame_read, .write = frame_write};

/* ---- MSIs */

static int its_translate(struct its *its, uint32_t device, uint32_t event)
{
	struct event *e;

	if (!its->enabled)
		return -EBUSY;
	e = event_find(its, device, event);
	if (!e || !e->collection || !e->collection->target)
		return 0;
	if (!__atomic_load_n(&e->collection->target->lpis_enabled, __ATOMIC_RELAXED))
		return -EBUSY;
	lpi_pend(its->vgic, e->lpi, true);
	return 1;
}

int its_signal_msi(struct vm *vm, const struct kvm_msi *msi)
{
	struct vgic *vgic = vm->vgic;
	uint64_t doorbell = (uint64_t)msi->address_hi << 32 | msi->address_lo;
	int ret = -EINVAL;

	if (!vgic || !__atomic_load_n(&vgic->its, __ATOMIC_ACQUIRE))
		return -ENODEV;
	if (!(msi->flags & KVM_MSI_VALID_DEVID))
		return -EINVAL;
	for (struct its *its = __atomic_load_n(&vgic->its, __ATOMIC_ACQUIRE); its; its = its->next) {
		pthread_mutex_lock(&its->lock);
		if (its->placed &&
		    doorbell - its->io.base < its->io.size) /* any of it: as the kernel finds its devices */
			ret = its_translate(its, msi->devid, msi->data);
		pthread_mutex_unlock(&its->lock);
	}
	return ret;
}

/* ---- redistributors */

/* Every LPI that goes to cpu, through its ITS. */
static void for_lpis_of(struct vgic_cpu *cpu, void (*fn)(struct its *, struct event *, void *), void *arg)
{
	for (struct its *its = __atomic_load_n(&cpu->vgic->its, __ATOMIC_ACQUIRE); its; its = its->next) {
		pthread_mutex_lock(&its->lock);
		for_events(its, fn, arg);
		pthread_mutex_unlock(&its->lock);
	}
}

struct lpi_work {
	struct vgic_cpu *cpu;
	unsigned intid; /* 0: all */
};

static void configure_matching(struct its *its, struct event *e, void *arg)
{
	const struct lpi_work *w = arg;

	if (w->intid ? e->lpi->intid == w->intid : e->lpi->target == w->cpu)
		lpi_configure(its, e->lpi);
}

/* GICR_CTLR.EnableLPIs was set: what the guest's pending table says is pending. */
static void pend_from_table(struct its *its, struct event *e, void *arg)
{
	const struct lpi_work *w = arg;
	ipa_t table = w->cpu->pendbaser & 0xfffffffff0000ull;
	uint8_t byte;

	if (e->lpi->target != w->cpu || vm_read_guest(its_vm(its), table + e->lpi->intid / 8, &byte, 1))
		return;
	if (byte >> (e->lpi->intid % 8) & 1)
		lpi_pend(its->vgic, e->lpi, true);
}

void its_after_write(struct vgic_cpu *cpu, enum its_after what, unsigned intid)
{
	struct lpi_work w = {.cpu = cpu, .intid = what == ITS_AFTER_INV ? intid : 0};

	if (what == ITS_AFTER_ENABLE) {
		for_lpis_of(cpu, configure_matching, &w);
		if (!cpu->pending_table_zero)
			for_lpis_of(cpu, pend_from_table, &w);
	} else {
		for_lpis_of(cpu, configure_matching, &w);
	}
}

/* ---- the client's side */

static int set_base(struct its *its, ipa_t base)
{
	struct vm *vm = its_vm(its);
	int err;

	pthread_mutex_lock(&vm->lock);
	err = its->placed ? -EEXIST : vgic_check_range(vm, base, ITS_CTRL_SIZE, 2 * ITS_CTRL_SIZE);
	if (!err) {
		its->io.base = base;
		err = iobus_add(vm, &its->io);
	}
	if (!err) {
		pthread_mutex_lock(&its->lock);
		its->placed = true;
		pthread_mutex_unlock(&its->lock);
	}
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static void reset(struct its *its)
{
	its->enabled = false;
	its_devices_clear(its);
	its_collections_clear(its);
	its->cbaser = 0;
	its->creadr = its->cwriter = 0;
	for (unsigned i = 0; i < 2; i++)
		its->baser[i] = baser_fixed[i];
}

static bool client_reg_known(uint64_t off)
{
	switch (off) {
	case 0x0000:
	case 0x0004:
	case 0x0008:
	case 0x0080:
	case 0x0088:
	case 0x0090:
	case 0x0100:
	case 0x0108: return true;
	default: return (off >= 0x0110 && off < 0x0140) || (off >= 0xffd0 && off < 0x10000);
	}
}

static bool client_reg_aligned(uint64_t off)
{
	return !(off & (off < 8 || off >= 0xffd0 ? 3 : 7));
}

static int client_write_reg(struct its *its, uint64_t off, uint64_t val)
{
	switch (off) {
	case 0x0000: set_enabled(its, val & CTLR_ENABLED); return 0;
	case 0x0004: return val >> 12 & 0xf ? -EINVAL : 0; /* the tables' ABI revision: there is one */
	case 0x0090:
		if (its->enabled)
			return -EBUSY;
		if ((val & 0xfffe0) >= queue_size(its))
			return -EINVAL;
		its->creadr = val & 0xfffe0;
		return 0;
	default: reg_write(its, off, 8, val); return 0;
	}
}

static int access_reg(struct its *its, const struct kvm_device_attr *attr, bool is_write)
{
	struct vm *vm = its_vm(its);
	uint64_t val = 0;
	int err = 0;

	if (!client_reg_aligned(attr->attr))
		return -EINVAL;
	if (!its->placed || !client_reg_known(attr->attr))
		return -ENXIO;
	if (is_write)
		err = client_read(&val, attr->addr, sizeof(val));
	if (err)
		return err;
	pthread_mutex_lock(&vm->lock);
	err = vm_lock_all_vcpus(vm);
	if (!err) {
		pthread_mutex_lock(&its->lock);
		if (is_write) {
			err = client_write_reg(its, attr->attr, val);
		} else {
			val = reg_read(its, attr->attr);
			if (attr->attr & 4)
				val >>= 32;
			else if (attr->attr == 0 || attr->attr >= 0xffd0)
				val = (uint32_t)val;
		}
		pthread_mutex_unlock(&its->lock);
		vm_unlock_all_vcpus(vm);
	}
	pthread_mutex_unlock(&vm->lock);
	return err || is_write ? err : client_write(attr->addr, &val, sizeof(val));
}

static bool control_known(uint64_t what)
{
	return what == KVM_DEV_ARM_VGIC_CTRL_INIT || what == KVM_DEV_ARM_ITS_SAVE_TABLES ||
	       what == KVM_DEV_ARM_ITS_RESTORE_TABLES || what == KVM_DEV_ARM_ITS_CTRL_RESET;
}

static int control_locked(struct its *its, uint64_t what)
{
	switch (what) {
	case KVM_DEV_ARM_ITS_SAVE_TABLES: return its_save_tables(its);
	case KVM_DEV_ARM_ITS_RESTORE_TABLES: return its_restore_tables(its);
	default: reset(its); return 0;
	}
}

static int control(struct its *its, uint64_t what)
{
	struct vm *vm = its_vm(its);
	int err;

	if (!control_known(what))
		return -ENXIO;
	if (what == KVM_DEV_ARM_VGIC_CTRL_INIT)
		return 0;
	pthread_mutex_lock(&vm->lock);
	err = vm_lock_all_vcpus(vm);
	if (!err) {
		pthread_mutex_lock(&its->lock);
		err = control_locked(its, what);
		pthread_mutex_unlock(&its->lock);
		vm_unlock_all_vcpus(vm);
	}
	pthread_mutex_unlock(&vm->lock);
	return err;
}

int its_set_attr(struct its *its, const struct kvm_device_attr *attr)
{
	uint64_t base;
	int err;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		if (attr->attr != KVM_VGIC_ITS_ADDR_TYPE)
			return -ENODEV;
		err = client_read(&base, attr->addr, sizeof(base));
		return err ? err : set_base(its, base);
	case KVM_DEV_ARM_VGIC_GRP_CTRL: return control(its, attr->attr);
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS: return access_reg(its, attr, true);
	default: return -ENXIO;
	}
}

int its_get_attr(struct its *its, const struct kvm_device_attr *attr)
{
	uint64_t base = its->placed ? its->io.base : VGIC_ADDR_UNDEF;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		if (attr->attr != KVM_VGIC_ITS_ADDR_TYPE)
			return -ENODEV;
		return client_write(attr->addr, &base, sizeof(base));
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS: return access_reg(its, attr, false);
	default: return -ENXIO;
	}
}

int its_has_attr(struct its *its, const struct kvm_device_attr *attr)
{
	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR: return attr->attr == KVM_VGIC_ITS_ADDR_TYPE ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_CTRL: return control_known(attr->attr) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		if (!client_reg_aligned(attr->attr))
			return -EINVAL;
		return client_reg_known(attr->attr) ? 0 : -ENXIO;
	default: return -ENXIO;
	}
}

int its_create(struct vm *vm, struct its **out)
{
	struct vgic *vgic = vm->vgic;
	struct its *its;

	if (!vgic || !vgic_is_v3(vgic))
		return -ENODEV;
	its = calloc(1, sizeof(*its));
	if (its && !vgic->lpi) {
		struct vgic_irq **lpi = calloc(VGIC_LPI_COUNT, sizeof(*lpi));

		vgic_lock(vgic);
		vgic->lpi = lpi;
		vgic->propbaser = vgic->propbaser ? vgic->propbaser : 0x580;
		vgic_unlock(vgic);
	}
	if (!its || !vgic->lpi) {
		free(its);
		return -ENOMEM;
	}
	its->io = (struct io_dev){.size = 2 * ITS_CTRL_SIZE, .ops = &its_ops};
	its->vgic = vgic;
	pthread_mutex_init(&its->lock, NULL);
	for (unsigned i = 0; i < 2; i++)
		its->baser[i] = baser_fixed[i] | BASER_RESET;
	its->next = vgic->its;
	__atomic_store_n(&vgic->its, its, __ATOMIC_RELEASE);
	vm->has_its = true;
	*out = its;
	return 0;
}

/* The VM goes: nothing runs any more, and its frames stay on a bus that nobody uses. */
void its_destroy_all(struct vgic *vgic)
{
	while (vgic->its) {
		struct its *its = vgic->its;

		vgic->its = its->next;
		its_devices_clear(its);
		its_collections_clear(its);
		pthread_mutex_destroy(&its->lock);
		free(its);
	}
	free(vgic->lpi);
	vgic->lpi = NULL;
}
