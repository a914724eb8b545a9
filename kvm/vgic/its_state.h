/* SPDX-License-Identifier: MIT */
/* What its.c (registers, commands, MSIs) and its_tables.c (saving and restoring) share. IHI 0069, "The ITS". */
#ifndef PAWL_VGIC_ITS_STATE_H
#define PAWL_VGIC_ITS_STATE_H

#include "its.h"
#include "state.h"

enum {
	ITS_CTRL_SIZE = 0x10000, /* of each of the two frames, bytes */
	ITS_ENTRY_SIZE = 8,	 /* of all tables */
	ITS_TABLE_PAGE = 0x10000,
	ITS_DEVICE_BITS = 16,
	ITS_COLLECTION_BITS = 16,
	ITS_EVENT_BITS = 16,
	ITS_BUCKETS = 256,
};
enum { ITS_TABLE_DEVICES, ITS_TABLE_COLLECTIONS };

#define ITS_VALID (1ull << 63) /* of registers and of table entries */
#define ITS_BASER_INDIRECT (1ull << 62)

struct collection {
	struct collection *next;
	uint32_t id;
	struct vgic_cpu *target; /* NULL: not mapped */
};

struct event {		    /* an interrupt translation: (device, event) -> LPI, collection */
	struct event *next; /* of the device */
	uint32_t id;
	struct collection *collection;
	struct vgic_irq *lpi;
};

struct its_device {
	struct its_device *next;
	uint32_t id;
	unsigned event_bits;
	ipa_t itt;
	struct event *events;
};

struct its {
	struct io_dev io; /* first member */
	struct vgic *vgic;
	struct its *next;

	pthread_mutex_t lock;
	/* under lock */
	bool placed, enabled;
	uint64_t cbaser, baser[2]; /* devices, collections */
	uint32_t creadr, cwriter;
	struct its_device *devices[ITS_BUCKETS];
	struct collection *collections[ITS_BUCKETS];
};

static inline struct vm *its_vm(const struct its *its)
{
	return its->vgic->vm;
}

/* First page of a table */
static inline ipa_t its_table_base(uint64_t baser)
{
	return (baser & 0xffffffff0000ull) | (baser >> 12 & 0xf) << 48;
}
static inline uint64_t its_table_size(uint64_t baser) /* bytes, of the first level */
{
	return ((baser & 0xff) + 1) * ITS_TABLE_PAGE;
}

/* ---- its.c; its->lock held */
struct its_device *its_device_find(struct its *its, uint32_t id);
struct collection *its_collection_find(struct its *its, uint32_t id);
/* Whether the guest's table has an entry for that id, and where. entry may be NULL. */
bool its_id_valid(struct its *its, unsigned table, uint32_t id, ipa_t *entry);
/* New ones, which the caller knows not to be there. NULL: the id is not valid, or no memory. */
struct collection *its_collection_make(struct its *its, uint32_t id);
struct its_device *its_device_make(struct its *its, uint32_t id, unsigned event_bits, ipa_t itt);
struct event *its_event_make(struct its *its, struct its_device *d, uint32_t id, struct collection *c, unsigned lpi);
void its_devices_clear(struct its *its);
void its_collections_clear(struct its *its);
unsigned its_lpi_limit(const struct vgic *vgic); /* first INTID that the configuration table has no byte for */

/* ---- its_tables.c; its->lock held. 0, -EINVAL, -EEXIST, -EFAULT, -ENOMEM */
int its_save_tables(struct its *its);
int its_restore_tables(struct its *its);

#endif
