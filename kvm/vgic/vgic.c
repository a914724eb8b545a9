/* SPDX-License-Identifier: MIT */
/*
 * The GIC's interrupts and their delivery, and its life: creation, initialisation, the frames on the bus. IHI 0069,
 * "Interrupt handling and prioritization"; Linux Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic.rst.
 *
 * An interrupt is *ready* on its target if it is enabled, pending and not active and the distributor is on. The CPU
 * interface (cpuif.c) picks among the ready ones. An active interrupt is not ready anywhere, and becomes ready again on
 * whatever its target then is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "eventfd.h"
#include "state.h"

/* ---- delivery */

static void ready_add_lpi(struct vgic_cpu *cpu, struct vgic_irq *irq)
{
	irq->next_ready = cpu->ready_lpis;
	irq->link_ready = &cpu->ready_lpis;
	if (irq->next_ready)
		irq->next_ready->link_ready = &irq->next_ready;
	cpu->ready_lpis = irq;
	irq->ready_on = cpu;
}

static void ready_remove_lpi(struct vgic_irq *irq)
{
	*irq->link_ready = irq->next_ready;
	if (irq->next_ready)
		irq->next_ready->link_ready = irq->link_ready;
	irq->ready_on = NULL;
}

static void ready_add(struct vgic_cpu *cpu, struct vgic_irq *irq)
{
	if (vgic_irq_is_lpi(irq))
		return ready_add_lpi(cpu, irq);
	cpu->ready[irq->intid / 64] |= 1ull << irq->intid % 64;
	cpu->ready_words |= 1u << irq->intid / 64;
	irq->ready_on = cpu;
}

static void ready_remove(struct vgic_irq *irq)
{
	struct vgic_cpu *cpu = irq->ready_on;

	if (vgic_irq_is_lpi(irq))
		return ready_remove_lpi(irq);
	cpu->ready[irq->intid / 64] &= ~(1ull << irq->intid % 64);
	if (!cpu->ready[irq->intid / 64])
		cpu->ready_words &= ~(1u << irq->intid / 64);
	irq->ready_on = NULL;
}

void vgic_irq_update_locked(struct vgic *vgic, struct vgic_irq *irq)
{
	bool ready = vgic->enabled && irq->enabled && !irq->active && vgic_irq_is_pending(irq);
	struct vgic_cpu *from = irq->ready_on, *to = ready ? irq->target : NULL;

	if (to && vgic_irq_is_lpi(irq) && !to->lpis_enabled)
		to = NULL;

	if (from != to) {
		if (from)
			ready_remove(irq);
		if (to)
			ready_add(to, irq);
	}
	if (from)
		cpuif_update_locked(from);
	if (to && to != from)
		cpuif_update_locked(to);
}

void vgic_update_all_locked(struct vgic *vgic)
{
	for (unsigned i = 0; i < vgic->n_cpus; i++) {
		struct vgic_cpu *cpu = vgic_cpu_by_index(vgic, i);

		for (unsigned n = 0; n < VGIC_PRIVATE; n++)
			vgic_irq_update_locked(vgic, &cpu->irq[n]);
	}
	for (unsigned n = VGIC_PRIVATE; n < vgic->nr_irqs; n++)
		vgic_irq_update_locked(vgic, &vgic->spi[n - VGIC_PRIVATE]);
	for (unsigned n = 0; vgic->lpi && n < VGIC_LPI_COUNT; n++)
		if (vgic->lpi[n])
			vgic_irq_update_locked(vgic, vgic->lpi[n]);
}

void vgic_irq_retarget_locked(struct vgic *vgic, struct vgic_irq *irq, struct vgic_cpu *to)
{
	irq->target = to;
	vgic_irq_update_locked(vgic, irq);
}

void vgic_unlock(struct vgic *vgic)
{
	uint64_t kicks[VM_MAX_VCPUS / 64];
	unsigned words;

	if (__builtin_expect(!vgic->any_kick, 1)) {
		pthread_mutex_unlock(&vgic->lock);
		return;
	}
	words = (vgic->n_cpus + 63) / 64;
	memcpy(kicks, vgic->kicks, words * sizeof(kicks[0]));
	memset(vgic->kicks, 0, words * sizeof(kicks[0]));
	vgic->any_kick = false;
	pthread_mutex_unlock(&vgic->lock);
	for (unsigned w = 0; w < words; w++)
		for (uint64_t rest = kicks[w]; rest; rest &= rest - 1)
			vcpu_kick(vgic->vm->vcpus[w * 64 + (unsigned)__builtin_ctzll(rest)]);
}

void vgic_notify_eoi(struct vgic *vgic, unsigned intid)
{
	void (*fn)(struct vm *, unsigned) = atomic_load_explicit(&vgic->eoi_notifier, memory_order_acquire);

	if (fn)
		fn(vgic->vm, intid);
}

void vgic_set_eoi_notifier(struct vm *vm, void (*fn)(struct vm *vm, unsigned intid))
{
	if (vm->vgic)
		atomic_store_explicit(&vm->vgic->eoi_notifier, fn, memory_order_release);
}

static int lazy_init(struct vgic *vgic)
{
	int err;

	if (atomic_load_explicit(&vgic->initialized, memory_order_acquire))
		return 0;
	if (vgic_is_v3(vgic))
		return -EBUSY;
	pthread_mutex_lock(&vgic->vm->lock);
	err = vgic_init(vgic);
	pthread_mutex_unlock(&vgic->vm->lock);
	return err;
}

int vgic_lazy_init(struct vm *vm)
{
	return vm->vgic ? lazy_init(vm->vgic) : -EINVAL;
}

int vgic_set_irq(struct vm *vm, struct vcpu *vcpu, unsigned intid, bool level, const void *owner)
{
	struct vgic *vgic = vm->vgic;
	struct vgic_irq *irq;
	int err;

	if (!vgic)
		return -EINVAL;
	err = lazy_init(vgic);
	if (err)
		return err;
	vgic_lock(vgic);
	irq = vgic_irq_of(vgic, vcpu ? vcpu->vgic : NULL, intid);
	if (!irq) {
		vgic_unlock(vgic);
		return -EINVAL;
	}
	if (irq->owner == owner) {
		if (irq->level ? irq->line != level : level) {
			if (irq->level)
				irq->line = level;
			else
				irq->latch = true;
			vgic_irq_update_locked(vgic, irq);
		}
	}
	vgic_unlock(vgic);
	return 0;
}

int vgic_claim(struct vm *vm, struct vcpu *vcpu, unsigned intid, const void *owner)
{
	struct vgic *vgic = vm->vgic;
	struct vgic_irq *irq;
	int err = 0;

	if (!vgic || !vgic_initialized(vm))
		return -EAGAIN;
	vgic_lock(vgic);
	irq = intid < VGIC_SGIS ? NULL : vgic_irq_of(vgic, vcpu ? vcpu->vgic : NULL, intid);
	if (!irq)
		err = -EINVAL;
	else if (irq->owner && irq->owner != owner)
		err = -EEXIST;
	else
		irq->owner = owner;
	vgic_unlock(vgic);
	return err;
}

/* The PE's inputs are what the CPU interface would signal; PSTATE plays no part in them. */
bool vgic_irq_pending(struct vcpu *vcpu)
{
	return atomic_load(&vcpu->cpu->irq_in) & (CPU_IRQ | CPU_FIQ);
}

struct vgic_cpu *vgic_cpu_by_index(struct vgic *vgic, unsigned index)
{
	return index < vgic->n_cpus ? vgic->vm->vcpus[index]->vgic : NULL;
}

struct vgic_cpu *vgic_cpu_by_affinity(struct vgic *vgic, uint64_t affinity)
{
	for (unsigned i = 0; i < vgic->n_cpus; i++) {
		struct vgic_cpu *cpu = vgic_cpu_by_index(vgic, i);

		if (vgic_cpu_affinity(cpu) == affinity)
			return cpu;
	}
	return NULL;
}

/* ---- life */

unsigned vgic_type(const struct vm *vm)
{
	return vm->vgic ? vm->vgic->type : 0;
}

bool vgic_initialized(const struct vm *vm)
{
	return vm->vgic && atomic_load_explicit(&vm->vgic->initialized, memory_order_acquire);
}

static void irq_init(struct vgic *vgic, struct vgic_irq *irq, unsigned intid, struct vgic_cpu *target)
{
	*irq = (struct vgic_irq){
		.intid = (uint16_t)intid,
		.group = vgic_is_v3(vgic),
		.enabled = intid < VGIC_SGIS,
		.level = intid >= VGIC_SGIS &&
			 intid < VGIC_PRIVATE, /* SPIs are edges until ICFGR says otherwise, as KVM's */
		.target = target,
	};
}

static struct vgic_cpu *cpu_new_for(struct vgic *vgic, struct vcpu *vcpu)
{
	struct vgic_cpu *cpu = calloc(1, sizeof(*cpu));

	if (!cpu)
		return NULL;
	cpu->vgic = vgic;
	cpu->vcpu = vcpu;
	cpu->region = -1;
	cpu->pendbaser = 0x580; /* inner shareable, read-allocate write-back */
	for (unsigned n = 0; n < VGIC_PRIVATE; n++) {
		irq_init(vgic, &cpu->irq[n], n, cpu);
		if (!vgic_is_v3(vgic))
			cpu->irq[n].targets = (uint8_t)(1u << (vcpu->id & 7));
	}
	cpuif_reset(cpu);
	return cpu;
}

static uint64_t region_size(const struct vgic *vgic, const struct vgic_region *r)
{
	return (uint64_t)(r->count ? r->count : vgic->n_cpus) * KVM_VGIC_V3_REDIST_SIZE;
}

int vgic_check_range(const struct vm *vm, ipa_t base, uint64_t align, uint64_t size)
{
	uint64_t limit = 1ull << vm->ipa_bits;

	if ((base | size) & (align - 1) || base + size < base)
		return -EINVAL;
	return base >= limit || base + size > limit ? -E2BIG : 0;
}

/* Distributor and redistributors are inside the IPA space and do not overlap. */
static bool v3_addresses_ok(const struct vgic *vgic)
{
	for (unsigned i = 0; i < vgic->n_regions; i++) {
		const struct vgic_region *r = &vgic->region[i];
		uint64_t size = region_size(vgic, r);

		if (vgic_check_range(vgic->vm, r->base, KVM_VGIC_V3_DIST_SIZE, size) != 0)
			return false;
		if (vgic->dist_base != VGIC_ADDR_UNDEF &&
		    vgic_ranges_overlap(r->base, size, vgic->dist_base, KVM_VGIC_V3_DIST_SIZE))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (vgic_ranges_overlap(r->base, size, vgic->region[j].base,
						region_size(vgic, &vgic->region[j])))
				return false;
	}
	return true;
}

/* Frames are dealt out in the order of vcpu creation, regions filled by index. No room yet is no error. */
static int redist_assign(struct vgic_cpu *cpu)
{
	struct vgic *vgic = cpu->vgic;

	if (cpu->region >= 0)
		return 0;
	for (unsigned i = 0; i < vgic->n_regions; i++) {
		struct vgic_region *r = &vgic->region[i];

		if (r->count && r->used == r->count)
			continue;
		if (!v3_addresses_ok(vgic))
			return -EINVAL;
		cpu->region = (int)i;
		cpu->region_slot = r->used++;
		return 0;
	}
	return 0;
}

int vgic_redist_assign_all(struct vgic *vgic)
{
	for (unsigned i = 0; i < vgic->n_cpus; i++) {
		int err = redist_assign(vgic_cpu_by_index(vgic, i));

		if (err)
			return err;
	}
	return 0;
}

int vgic_vcpu_create(struct vcpu *vcpu)
{
	struct vgic *vgic = vcpu->vm->vgic;
	struct vgic_cpu *cpu;
	int err;

	if (!vgic)
		return 0;
	if (vgic_initialized(vcpu->vm))
		return -EBUSY;
	if (!vgic_is_v3(vgic) && (vgic->n_cpus >= VGIC_V2_MAX_VCPUS || vcpu->id >= VGIC_V2_MAX_VCPUS))
		return -EINVAL;
	cpu = cpu_new_for(vgic, vcpu);
	if (!cpu)
		return -ENOMEM;
	if (vgic_is_v3(vgic)) {
		err = redist_assign(cpu);
		if (err) {
			free(cpu);
			return err;
		}
	}
	vcpu->vgic = cpu;
	vgic->n_cpus++;
	return 0;
}

void vgic_vcpu_destroy(struct vcpu *vcpu)
{
	struct vgic_cpu *cpu = vcpu->vgic;

	if (!cpu)
		return;
	if (!vgic_initialized(vcpu->vm) && vcpu->vm->vgic) { /* its creation failed further on, or the VM goes */
		struct vgic *vgic = cpu->vgic;

		if (cpu->region >= 0)
			vgic->region[cpu->region].used--;
		vgic->n_cpus--;
	}
	while (cpu->ready_lpis) /* they are the ITS's, which outlives the vcpu */
		ready_remove(cpu->ready_lpis);
	vcpu->vgic = NULL;
	free(cpu);
}

void vgic_vcpu_reset(struct vcpu *vcpu)
{
	struct vgic_cpu *cpu = vcpu->vgic;

	if (!cpu)
		return;
	vgic_lock(cpu->vgic);
	cpuif_reset(cpu);
	cpuif_update_locked(cpu);
	vgic_unlock(cpu->vgic);
}

int vgic_create(struct vm *vm, unsigned type)
{
	unsigned n = atomic_load(&vm->n_vcpus);
	struct vgic *vgic;
	int err;

	if (type != KVM_DEV_TYPE_ARM_VGIC_V2 && type != KVM_DEV_TYPE_ARM_VGIC_V3)
		return -ENODEV;
	if (vm->vgic)
		return -EEXIST;
	err = vm_lock_all_vcpus(vm);
	if (err)
		return err;
	err = -EBUSY;
	if (atomic_load(&vm->has_run))
		goto out;
	err = -E2BIG;
	if (n > (type == KVM_DEV_TYPE_ARM_VGIC_V2 ? VGIC_V2_MAX_VCPUS : VM_MAX_VCPUS))
		goto out;
	err = -ENOMEM;
	vgic = calloc(1, sizeof(*vgic));
	if (!vgic)
		goto out;
	vgic->vm = vm;
	vgic->type = type;
	vgic->dist_base = vgic->cpu_base = VGIC_ADDR_UNDEF;
	vgic->revision = 3;
	pthread_mutex_init(&vgic->lock, NULL);
	for (unsigned i = 0; i < n; i++) {
		vm->vcpus[i]->vgic = cpu_new_for(vgic, vm->vcpus[i]);
		if (vm->vcpus[i]->vgic)
			continue;
		while (i-- > 0) {
			free(vm->vcpus[i]->vgic);
			vm->vcpus[i]->vgic = NULL;
		}
		pthread_mutex_destroy(&vgic->lock);
		free(vgic);
		goto out;
	}
	vgic->n_cpus = n;
	vm->vgic = vgic;
	err = 0;
out:
	vm_unlock_all_vcpus(vm);
	return err;
}

void vgic_destroy(struct vm *vm)
{
	struct vgic *vgic = vm->vgic;

	if (!vgic)
		return;
	its_destroy_all(vgic);
	vm->vgic = NULL; /* its frames stay on the bus, which nobody uses any more */
	pthread_mutex_destroy(&vgic->lock);
	free(vgic->region);
	free(vgic->spi);
	free(vgic);
}

int vgic_init(struct vgic *vgic)
{
	unsigned n_spis;
	struct vgic_irq *spi;

	if (atomic_load(&vgic->initialized))
		return 0;
	if (vgic->n_cpus != atomic_load(&vgic->vm->n_vcpus))
		return -EBUSY;
	n_spis = (vgic->wanted_irqs ? vgic->wanted_irqs : VGIC_DEFAULT_IRQS) - VGIC_PRIVATE;
	spi = calloc(n_spis, sizeof(*spi));
	if (!spi)
		return -ENOMEM;
	for (unsigned i = 0; i < n_spis; i++)
		irq_init(vgic, &spi[i], i + VGIC_PRIVATE, vgic_cpu_by_index(vgic, 0));
	irq_routing_set_default(vgic->vm, n_spis);
	vgic_lock(vgic);
	vgic->nr_irqs = n_spis + VGIC_PRIVATE;
	vgic->spi = spi;
	vgic_unlock(vgic);
	atomic_store_explicit(&vgic->initialized, true, memory_order_release);
	return 0;
}

static int frame_add(struct vgic *vgic, struct vgic_frame *f, ipa_t base, uint64_t size, const struct vgic_map *map,
		     struct vgic_cpu *cpu)
{
	*f = (struct vgic_frame){
		.io = {.base = base, .size = size, .ops = &vgic_frame_ops}, .vgic = vgic, .cpu = cpu, .map = map};
	return iobus_add(vgic->vm, &f->io);
}

static int v3_map(struct vgic *vgic)
{
	int err;

	for (unsigned i = 0; i < vgic->n_cpus; i++)
		if (vgic_cpu_by_index(vgic, i)->region < 0)
			return -ENXIO;
	if (vgic->dist_base == VGIC_ADDR_UNDEF)
		return -ENXIO;
	if (!v3_addresses_ok(vgic))
		return -EINVAL;
	if (!atomic_load(&vgic->initialized))
		return -EBUSY;
	err = frame_add(vgic, &vgic->dist, vgic->dist_base, KVM_VGIC_V3_DIST_SIZE, &gicv3_dist_map, NULL);
	for (unsigned i = 0; !err && i < vgic->n_cpus; i++) {
		struct vgic_cpu *cpu = vgic_cpu_by_index(vgic, i);
		ipa_t base = vgic->region[cpu->region].base + (uint64_t)cpu->region_slot * KVM_VGIC_V3_REDIST_SIZE;

		err = frame_add(vgic, &cpu->frame, base, KVM_VGIC_V3_REDIST_SIZE, &gicv3_redist_map, cpu);
	}
	return err;
}

static int v2_map(struct vgic *vgic)
{
	int err;

	if (vgic->dist_base == VGIC_ADDR_UNDEF || vgic->cpu_base == VGIC_ADDR_UNDEF)
		return -ENXIO;
	if (vgic_ranges_overlap(vgic->dist_base, KVM_VGIC_V2_DIST_SIZE, vgic->cpu_base, KVM_VGIC_V2_CPU_SIZE))
		return -EINVAL;
	err = vgic_init(vgic);
	if (!err)
		err = frame_add(vgic, &vgic->dist, vgic->dist_base, KVM_VGIC_V2_DIST_SIZE, &gicv2_dist_map, NULL);
	if (!err)
		err = memslot_set_device(vgic->vm, vgic->cpu_base, KVM_VGIC_V2_CPU_SIZE);
	return err;
}

int vgic_map_resources(struct vm *vm)
{
	struct vgic *vgic = vm->vgic;
	int err;

	if (!vgic || vgic->mapped)
		return 0;
	err = vgic_is_v3(vgic) ? v3_map(vgic) : v2_map(vgic);
	if (!err)
		vgic->mapped = true;
	return err;
}
