/* SPDX-License-Identifier: MIT */
/*
 * The GIC's state, and what the files of this folder share. GIC architecture specification IHI 0069 (GICv3) and IHI
 * 0048 (GICv2). Reading order: vgic.c (interrupts and their delivery), cpuif.c (CPU interface), regs.c (tables of
 * memory-mapped registers), gicv3.c, gicv2.c (the tables), sgi.c, attr.c (what the client may do).
 *
 * One lock per GIC covers all of it. It is a leaf but for vcpu->cpu->irq_in, which is atomic: nothing is called and
 * nothing waits under it. Kicks are noted and done by vgic_unlock after the lock is dropped.
 */
#ifndef PAWL_VGIC_STATE_H
#define PAWL_VGIC_STATE_H

#include "its.h"
#include "vgic.h"

enum {
	VGIC_SGIS = 16,
	VGIC_PRIVATE = 32,	 /* SGIs and PPIs */
	VGIC_DEFAULT_IRQS = 256, /* INTIDs, private ones included */
	VGIC_MAX_IRQS = 1024,	 /* size of the register maps; the client may ask for 992 */
	VGIC_V2_MAX_VCPUS = 8,
	VGIC_READY_WORDS = VGIC_MAX_IRQS / 64,
	VGIC_PRIORITY_MASK = 0xf8, /* 5 bits of priority */
	VGIC_PRIORITY_SHIFT = 3,
	VGIC_BPR0_MIN = 2,
	VGIC_BPR1_MIN = 3,
	INTID_NONSECURE = 1022, /* GICv2: "a group 1 interrupt is pending, and AckCtl is clear" */
	INTID_SPURIOUS = 1023,
	VGIC_LPI_FIRST = 8192,
	VGIC_LPI_COUNT = 65536 - VGIC_LPI_FIRST,
};

#define VGIC_ADDR_UNDEF (~(ipa_t)0)

struct vgic_cpu;

struct vgic_irq {
	uint16_t intid;
	uint8_t priority; /* 7:3 */
	uint8_t group;	  /* 0 or 1 */
	bool enabled, active;
	bool latch;		   /* edge seen, or software pending */
	bool line;		   /* level of the input */
	bool level;		   /* configuration: level-sensitive */
	uint8_t sources;	   /* GICv2 SGI: bit per CPU that sent it and waits to be acknowledged */
	uint8_t active_source;	   /* GICv2 SGI */
	uint8_t targets;	   /* GICv2 */
	uint32_t affinity;	   /* GICv3 SPI: Aff2..0 of IROUTER */
	struct vgic_cpu *target;   /* where it goes when it is pending; NULL: nowhere (unknown affinity) */
	struct vgic_cpu *ready_on; /* in whose ready set it is */
	const void *owner;	   /* the in-kernel device that drives the line */
	struct vgic_irq *next_ready, **link_ready; /* LPIs: in ready_on's list */
	unsigned users;				   /* LPIs: events that are translated to it */
};

/* CPU interface: ICC_*_EL1, GICV_* */
struct vgic_cpuif {
	uint8_t pmr;
	uint8_t bpr[2];	 /* by group; never below the minimum */
	bool enabled[2]; /* groups */
	bool cbpr, eoimode;
	bool ack_ctl, fiq_en; /* GICv2 */
	uint32_t ap[2];	      /* active priorities: bit n is group priority n << 3. GICv2 uses ap[0] for both groups */
	uint8_t pribits, idbits; /* ICC_CTLR_EL1 fields as the client set them */
};

/* Redistributor region: frames of 128 KiB. count 0: the older kind, one region as large as there are vcpus. */
struct vgic_region {
	ipa_t base;
	unsigned count;
	unsigned used;
};

/* A register frame on the bus. */
struct vgic_frame {
	struct io_dev io;
	struct vgic *vgic;
	struct vgic_cpu *cpu; /* redistributor: whose it is */
	const struct vgic_map *map;
};

struct vgic_cpu {
	struct vgic *vgic;
	struct vcpu *vcpu;

	/* under vgic->lock */
	struct vgic_irq irq[VGIC_PRIVATE];
	struct vgic_cpuif cpuif;
	/* Interrupts that are enabled, pending, not active and targeted here, by INTID. words: which words are not 0.
	 */
	uint64_t ready[VGIC_READY_WORDS];
	uint32_t ready_words;
	struct vgic_irq *ready_lpis; /* the same for LPIs */
	bool lpis_enabled;	     /* GICR_CTLR.EnableLPIs */
	uint32_t lines;		     /* CPU_IRQ, CPU_FIQ as last given to the PE */
	uint64_t pendbaser;
	bool pending_table_zero; /* GICR_PENDBASER.PTZ: nothing is pending in it */

	/* under vm->lock */
	struct vgic_frame frame; /* redistributor */
	int region;		 /* index of the redistributor region, -1 none yet */
	unsigned region_slot;
};

enum { VGIC_MAX_REGIONS = 512 }; /* every region has a frame at least */

struct vgic {
	struct vm *vm;
	unsigned type; /* KVM_DEV_TYPE_ARM_VGIC_* */
	_Atomic bool initialized;

	/* under vm->lock */
	bool mapped;
	ipa_t dist_base, cpu_base;
	unsigned wanted_irqs; /* INTIDs as the client set them, 0 not yet */
	uint32_t maintenance; /* the PPI of nested GICs, which nothing here raises */
	struct vgic_region *region;
	unsigned n_regions;
	struct vgic_frame dist;
	unsigned n_cpus;

	_Atomic(void (*)(struct vm *, unsigned)) eoi_notifier;

	pthread_mutex_t lock;
	/* under lock */
	bool enabled;
	bool v2_groups_writable; /* the client wrote GICD_IIDR, so it knows of groups */
	uint8_t revision;	 /* GICD_IIDR.Revision: 2 or 3 */
	uint64_t propbaser;
	unsigned nr_irqs;		   /* INTIDs, 0 before initialisation, then constant */
	struct vgic_irq *spi;		   /* nr_irqs - 32 */
	uint64_t kicks[VM_MAX_VCPUS / 64]; /* by vcpu index: whom vgic_unlock is to kick */
	bool any_kick;
	struct vgic_irq **lpi; /* by INTID - VGIC_LPI_FIRST; NULL without an ITS */

	struct its *its; /* its.c; a list that only grows */
};

static inline bool vgic_is_v3(const struct vgic *vgic)
{
	return vgic->type == KVM_DEV_TYPE_ARM_VGIC_V3;
}

/* ---- vgic.c */
static inline void vgic_lock(struct vgic *vgic)
{
	pthread_mutex_lock(&vgic->lock);
}
void vgic_unlock(struct vgic *vgic);
int vgic_init(struct vgic *vgic); /* vm->lock held; idempotent. 0, -EBUSY a vcpu is being made, -ENOMEM */
static inline struct vgic_irq *vgic_irq_of(struct vgic *vgic, struct vgic_cpu *cpu, unsigned intid)
{
	if (intid < VGIC_PRIVATE)
		return cpu ? &cpu->irq[intid] : NULL;
	if (__builtin_expect(intid >= VGIC_LPI_FIRST, 0))
		return vgic->lpi && intid - VGIC_LPI_FIRST < VGIC_LPI_COUNT ? vgic->lpi[intid - VGIC_LPI_FIRST] : NULL;
	return intid < vgic->nr_irqs ? &vgic->spi[intid - VGIC_PRIVATE] : NULL;
}
static inline bool vgic_irq_is_lpi(const struct vgic_irq *irq)
{
	return irq->intid >= VGIC_LPI_FIRST;
}
static inline bool vgic_irq_is_pending(const struct vgic_irq *irq)
{
	return irq->latch || (irq->level && irq->line);
}
/* Frames for the vcpus that have none yet. vm->lock held. 0, -EINVAL overlap or beyond the IPA space */
int vgic_redist_assign_all(struct vgic *vgic);
/* A register frame at base: 0, -EINVAL not aligned or it wraps, -E2BIG beyond the IPA space */
int vgic_check_range(const struct vm *vm, ipa_t base, uint64_t align, uint64_t size);
static inline bool vgic_ranges_overlap(ipa_t a, uint64_t a_size, ipa_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}
/* Recompute after any change: of an interrupt, of a CPU interface, of the distributor's enable. */
void vgic_irq_update_locked(struct vgic *vgic, struct vgic_irq *irq);
void vgic_update_all_locked(struct vgic *vgic);
void vgic_irq_retarget_locked(struct vgic *vgic, struct vgic_irq *irq, struct vgic_cpu *to);
/* The vcpu with these affinity fields (Aff3 in 39:32, Aff2..0 in 23:0), or NULL */
struct vgic_cpu *vgic_cpu_by_affinity(struct vgic *vgic, uint64_t affinity);
struct vgic_cpu *vgic_cpu_by_index(struct vgic *vgic, unsigned index);
static inline uint64_t vgic_cpu_affinity(const struct vgic_cpu *cpu)
{
	return __atomic_load_n(&cpu->vcpu->cpu->sys[CPU_MPIDR_EL1], __ATOMIC_RELAXED) & 0xff00ffffffull;
}

/* ---- cpuif.c */
void cpuif_reset(struct vgic_cpu *cpu);
void cpuif_update_locked(struct vgic_cpu *cpu);
/* GICv2's registers are the same functions behind other addresses. Under the lock. */
struct vgic_irq *cpuif_highest(const struct vgic_cpu *cpu);
bool cpuif_signals(const struct vgic_cpu *cpu, const struct vgic_irq *irq);
void cpuif_activate(struct vgic_cpu *cpu, struct vgic_irq *irq);
unsigned cpuif_running_priority(const struct vgic_cpu *cpu);
void cpuif_set_bpr(struct vgic_cpu *cpu, unsigned group, uint64_t val);
unsigned cpuif_get_bpr1(const struct vgic_cpu *cpu);
/* End of interrupt, and deactivation. What has to be told to the EOI notifier after the lock is dropped, or 0. */
unsigned cpuif_eoi(struct vgic_cpu *cpu, unsigned intid, unsigned group); /* by the EOIR of that group */
unsigned cpuif_deactivate(struct vgic_cpu *cpu, unsigned intid);
void vgic_notify_eoi(struct vgic *vgic, unsigned intid); /* no lock held */
/* The client's CPU_SYSREGS. Under the lock. 0, -ENOENT no such register, -EINVAL */
int cpuif_client_read(struct vgic_cpu *cpu, uint32_t enc, uint64_t *val);
int cpuif_client_write(struct vgic_cpu *cpu, uint32_t enc, uint64_t val);
bool cpuif_client_has(uint32_t enc);

/* ---- regs.c */
struct vgic_access {
	struct vgic *vgic;
	struct vgic_cpu *cpu; /* whose private INTIDs and CPU interface are seen; NULL: none */
	uint32_t off;	      /* into the row */
	unsigned len;	      /* bytes */
	unsigned intid;	      /* first INTID, and how many: rows with bits */
	unsigned count;
	unsigned eoi;	      /* out: an INTID for the EOI notifier, 0 none */
	enum its_after after; /* out: what is left to do, and for which LPI */
	unsigned after_intid;
};
typedef uint64_t vgic_read_fn(struct vgic_access *a);
typedef void vgic_write_fn(struct vgic_access *a, uint64_t val);
typedef int vgic_client_write_fn(struct vgic_access *a, uint64_t val); /* 0, -EINVAL */

/* A register, or an array of them with `bits` bits per INTID. Aligned accesses of the widths given; all others are
 * RAZ/WI. */
struct vgic_row {
	uint32_t off, size; /* bytes */
	uint8_t bits;
	uint8_t widths;		   /* set of lengths in bytes, which are powers of two: 1 | 4 | 8 */
	vgic_read_fn *read;	   /* NULL: RAZ */
	vgic_write_fn *write;	   /* NULL: WI */
	vgic_read_fn *client_read; /* where the client's accesses differ */
	vgic_client_write_fn *client_write;
};
struct vgic_map {
	const struct vgic_row *rows;
	unsigned count;
};
extern const struct io_dev_ops vgic_frame_ops;
const struct vgic_row *vgic_row_find(const struct vgic_map *map, uint64_t off, unsigned len);
uint64_t vgic_map_read(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, unsigned len);
void vgic_map_write(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, unsigned len,
		    uint64_t val);
/* 32-bit accesses of the client */
uint32_t vgic_client_read(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off);
int vgic_client_write(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, uint32_t val);

/* Registers with a field per INTID, the same in all frames */
vgic_read_fn regs_read_group, regs_read_enable, regs_read_pending, regs_read_active, regs_read_priority,
	regs_read_config;
vgic_write_fn regs_write_group, regs_set_enable, regs_clear_enable, regs_set_pending, regs_clear_pending,
	regs_set_active, regs_clear_active, regs_write_priority, regs_write_config;

/* ---- gicv3.c, gicv2.c */
/* Memory attributes of a table in guest memory: what no implementation here would use is replaced, as software must expect. */
uint64_t vgic_sanitise_table(uint64_t val, unsigned inner_shift, unsigned outer_shift);
extern const struct vgic_map gicv3_dist_map, gicv3_redist_map, gicv2_dist_map, gicv2_cpu_map, gicv2_cpu_client_map;
uint32_t vgic_dist_iidr(const struct vgic *vgic);
int vgic_dist_client_write_iidr(struct vgic_access *a, uint64_t val);

/* ---- sgi.c */
void sgi_send_v2(struct vgic_cpu *from, unsigned intid, unsigned filter, unsigned targets);

#endif
