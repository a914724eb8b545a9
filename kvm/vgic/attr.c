/* SPDX-License-Identifier: MIT */
/*
 * The client's access to the GIC: device attributes of the KVM_DEV_TYPE_ARM_VGIC_V2 and _V3 devices (arm-vgic.rst,
 * arm-vgic-v3.rst), and the older KVM_ARM_SET_DEVICE_ADDR (api.rst 4.85). The order of the checks decides which error a
 * client sees.
 */
#include <errno.h>
#include <stdlib.h>

#include "state.h"

static int read_u32(const struct kvm_device_attr *attr, uint32_t *val)
{
	return client_read(val, attr->addr, sizeof(*val));
}
static int read_u64(const struct kvm_device_attr *attr, uint64_t *val)
{
	return client_read(val, attr->addr, sizeof(*val));
}
static int write_u32(const struct kvm_device_attr *attr, uint32_t val)
{
	return client_write(attr->addr, &val, sizeof(val));
}
static int write_u64(const struct kvm_device_attr *attr, uint64_t val)
{
	return client_write(attr->addr, &val, sizeof(val));
}

/* ---- addresses */

/* KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: count 63:52, base 51:16, flags 15:12, index 11:0 */
enum { REGION_COUNT_SHIFT = 52, REGION_FLAGS_SHIFT = 12, REGION_INDEX_MASK = 0xfff };
#define REGION_BASE_MASK 0xfffffffff0000ull

static bool addr_type_known(const struct vgic *vgic, uint64_t type)
{
	switch (type) {
	case KVM_VGIC_V2_ADDR_TYPE_DIST:
	case KVM_VGIC_V2_ADDR_TYPE_CPU: return !vgic_is_v3(vgic);
	case KVM_VGIC_V3_ADDR_TYPE_DIST:
	case KVM_VGIC_V3_ADDR_TYPE_REDIST:
	case KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: return vgic_is_v3(vgic);
	default: return false;
	}
}

static int set_base(struct vgic *vgic, ipa_t *base, ipa_t addr, uint64_t align, uint64_t size)
{
	int err;

	if (*base != VGIC_ADDR_UNDEF)
		return -EEXIST;
	err = vgic_check_range(vgic->vm, addr, align, size);
	if (!err)
		*base = addr;
	return err;
}

static int check_new_region(const struct vgic *vgic, unsigned index, ipa_t base, unsigned count)
{
	/* A single region is as large as the vcpus that there are make it. */
	uint64_t size = (uint64_t)(count ? count : vgic->n_cpus) * KVM_VGIC_V3_REDIST_SIZE;

	if (base + size < base)
		return -EINVAL;
	if (vgic->n_regions > 0) {
		bool single = vgic->region[0].count == 0;

		if (count == 0)
			return single ? -EEXIST : -EINVAL;
		if (single)
			return -EINVAL;
	}
	if (index != vgic->n_regions || index >= VGIC_MAX_REGIONS)
		return -EINVAL;
	if (count == 0 && vgic->dist_base != VGIC_ADDR_UNDEF &&
	    vgic_ranges_overlap(base, size, vgic->dist_base, KVM_VGIC_V3_DIST_SIZE))
		return -EINVAL;
	for (unsigned i = 0; i < vgic->n_regions; i++)
		if (vgic_ranges_overlap(base, size, vgic->region[i].base,
					(uint64_t)vgic->region[i].count * KVM_VGIC_V3_REDIST_SIZE))
			return -EINVAL;
	return vgic_check_range(vgic->vm, base, KVM_VGIC_V3_DIST_SIZE, size);
}

static int add_region(struct vgic *vgic, unsigned index, ipa_t base, unsigned count)
{
	struct vgic_region *regions;
	int err = check_new_region(vgic, index, base, count);

	if (err)
		return err;
	regions = realloc(vgic->region, (vgic->n_regions + 1) * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	vgic->region = regions;
	regions[vgic->n_regions++] = (struct vgic_region){.base = base, .count = count};
	err = vgic_redist_assign_all(vgic);
	if (err) { /* this region is what does not fit: take it back */
		for (unsigned i = 0; i < vgic->n_cpus; i++) {
			struct vgic_cpu *cpu = vgic_cpu_by_index(vgic, i);

			if (cpu->region == (int)vgic->n_regions - 1)
				cpu->region = -1;
		}
		vgic->n_regions--;
	}
	return err;
}

static int set_addr(struct vgic *vgic, uint64_t type, uint64_t addr)
{
	switch (type) {
	case KVM_VGIC_V2_ADDR_TYPE_DIST: return set_base(vgic, &vgic->dist_base, addr, 4096, KVM_VGIC_V2_DIST_SIZE);
	case KVM_VGIC_V2_ADDR_TYPE_CPU: return set_base(vgic, &vgic->cpu_base, addr, 4096, KVM_VGIC_V2_CPU_SIZE);
	case KVM_VGIC_V3_ADDR_TYPE_DIST:
		return set_base(vgic, &vgic->dist_base, addr, KVM_VGIC_V3_DIST_SIZE, KVM_VGIC_V3_DIST_SIZE);
	case KVM_VGIC_V3_ADDR_TYPE_REDIST: return add_region(vgic, 0, addr, 0);
	default:
		if (addr >> REGION_COUNT_SHIFT == 0 || (addr >> REGION_FLAGS_SHIFT & 0xf))
			return -EINVAL;
		return add_region(vgic, addr & REGION_INDEX_MASK, addr & REGION_BASE_MASK, addr >> REGION_COUNT_SHIFT);
	}
}

static int get_addr(const struct vgic *vgic, uint64_t type, uint64_t *addr)
{
	unsigned index = *addr & REGION_INDEX_MASK;

	switch (type) {
	case KVM_VGIC_V2_ADDR_TYPE_DIST:
	case KVM_VGIC_V3_ADDR_TYPE_DIST: *addr = vgic->dist_base; return 0;
	case KVM_VGIC_V2_ADDR_TYPE_CPU: *addr = vgic->cpu_base; return 0;
	case KVM_VGIC_V3_ADDR_TYPE_REDIST: *addr = vgic->n_regions ? vgic->region[0].base : VGIC_ADDR_UNDEF; return 0;
	default:
		if (index >= vgic->n_regions)
			return -ENOENT;
		*addr = (uint64_t)vgic->region[index].count << REGION_COUNT_SHIFT | vgic->region[index].base | index;
		return 0;
	}
}

int vgic_set_device_addr(struct vm *vm, const struct kvm_arm_device_addr *addr)
{
	uint64_t type = addr->id & KVM_ARM_DEVICE_TYPE_MASK;
	int err;

	if ((addr->id & KVM_ARM_DEVICE_ID_MASK) >> KVM_ARM_DEVICE_ID_SHIFT != KVM_ARM_DEVICE_VGIC_V2)
		return -ENODEV;
	pthread_mutex_lock(&vm->lock);
	if (!vm->vgic || vgic_is_v3(vm->vgic) || !addr_type_known(vm->vgic, type))
		err = -ENODEV;
	else
		err = set_addr(vm->vgic, type, addr->addr);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static int access_addr(struct vgic *vgic, const struct kvm_device_attr *attr, bool is_write)
{
	uint64_t addr = 0;
	int err = 0;

	if (is_write || attr->attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)
		err = read_u64(attr, &addr);
	if (err)
		return err;
	if (!addr_type_known(vgic, attr->attr))
		return -ENXIO;
	pthread_mutex_lock(&vgic->vm->lock);
	err = is_write ? set_addr(vgic, attr->attr, addr) : get_addr(vgic, attr->attr, &addr);
	pthread_mutex_unlock(&vgic->vm->lock);
	return err || is_write ? err : write_u64(attr, addr);
}

/* ---- number of interrupts, control */

static int set_nr_irqs(struct vgic *vgic, const struct kvm_device_attr *attr)
{
	uint32_t val;
	int err = read_u32(attr, &val);

	if (err)
		return err;
	if (val < VGIC_PRIVATE + 32 || val >= VGIC_MAX_IRQS || val % 32)
		return -EINVAL;
	pthread_mutex_lock(&vgic->vm->lock);
	if (atomic_load(&vgic->initialized) || vgic->wanted_irqs)
		err = -EBUSY;
	else
		vgic->wanted_irqs = val;
	pthread_mutex_unlock(&vgic->vm->lock);
	return err;
}

static uint32_t nr_irqs(struct vgic *vgic)
{
	uint32_t n;

	pthread_mutex_lock(&vgic->vm->lock);
	n = vgic->nr_irqs ? vgic->nr_irqs : vgic->wanted_irqs ? vgic->wanted_irqs : VGIC_PRIVATE;
	pthread_mutex_unlock(&vgic->vm->lock);
	return n;
}

static int control(struct vgic *vgic, uint64_t attr)
{
	struct vm *vm = vgic->vm;
	int err = -ENXIO;

	pthread_mutex_lock(&vm->lock);
	if (attr == KVM_DEV_ARM_VGIC_CTRL_INIT) {
		err = vgic_init(vgic);
	} else if (attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES && vgic_is_v3(vgic)) {
		err = vm_lock_all_vcpus(vm);
		if (!err) {
			err = atomic_load(&vgic->initialized) ? its_save_pending_tables(vgic) : -ENXIO;
			vm_unlock_all_vcpus(vm);
		}
	}
	pthread_mutex_unlock(&vm->lock);
	return err;
}

/* ---- registers */

static uint32_t reg_offset(const struct kvm_device_attr *attr)
{
	return (uint32_t)attr->attr;
}
static uint32_t sysreg_enc(const struct kvm_device_attr *attr)
{
	return attr->attr & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK;
}

static bool is_reg_group(const struct vgic *vgic, uint32_t group)
{
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS: return true;
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS: return !vgic_is_v3(vgic);
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: return vgic_is_v3(vgic);
	default: return false;
	}
}

static const struct vgic_map *group_map(const struct vgic *vgic, uint32_t group)
{
	switch (group) {
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS: return vgic_is_v3(vgic) ? &gicv3_dist_map : &gicv2_dist_map;
	case KVM_DEV_ARM_VGIC_GRP_CPU_REGS: return &gicv2_cpu_client_map;
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS: return &gicv3_redist_map;
	default: return NULL;
	}
}

/* The vcpu that attr names: by id with GICv2, by affinity with GICv3. vm->lock held. */
static struct vgic_cpu *attr_cpu(struct vgic *vgic, const struct kvm_device_attr *attr)
{
	uint64_t aff = attr->attr >> KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;

	if (!vgic_is_v3(vgic)) {
		unsigned id = (attr->attr & KVM_DEV_ARM_VGIC_CPUID_MASK) >> KVM_DEV_ARM_VGIC_CPUID_SHIFT;

		for (unsigned i = 0; i < vgic->n_cpus; i++)
			if (vgic_cpu_by_index(vgic, i)->vcpu->id == id)
				return vgic_cpu_by_index(vgic, i);
		return NULL;
	}
	if (attr->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS)
		return vgic_cpu_by_index(vgic, 0);
	return vgic_cpu_by_affinity(vgic, (aff & 0xff000000) << 8 | (aff & 0xffffff));
}

static uint32_t read_levels(struct vgic *vgic, struct vgic_cpu *cpu, unsigned first)
{
	uint32_t val = 0;

	vgic_lock(vgic);
	for (unsigned i = 0; i < 32; i++) {
		const struct vgic_irq *irq = vgic_irq_of(vgic, cpu, first + i);

		if (irq && irq->line)
			val |= 1u << i;
	}
	vgic_unlock(vgic);
	return val;
}

static void write_levels(struct vgic *vgic, struct vgic_cpu *cpu, unsigned first, uint32_t val)
{
	vgic_lock(vgic);
	for (unsigned i = 0; i < 32; i++) {
		struct vgic_irq *irq = vgic_irq_of(vgic, cpu, first + i);

		if (!irq)
			continue;
		irq->line = val >> i & 1;
		vgic_irq_update_locked(vgic, irq);
	}
	vgic_unlock(vgic);
}

static bool level_info_ok(const struct kvm_device_attr *attr)
{
	return (attr->attr & KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_MASK) >> KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT ==
	       VGIC_LEVEL_INFO_LINE_LEVEL;
}

/* vm->lock and all vcpus held */
static int access_reg(struct vgic *vgic, struct vgic_cpu *cpu, const struct kvm_device_attr *attr, bool is_write,
		      uint64_t *val)
{
	const struct vgic_map *map = group_map(vgic, attr->group);
	unsigned intid = attr->attr & KVM_DEV_ARM_VGIC_LINE_LEVEL_INTID_MASK;
	struct vgic_cpu *seen = attr->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && vgic_is_v3(vgic) ? NULL : cpu;
	int err = 0;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
		vgic_lock(vgic);
		err = is_write ? cpuif_client_write(cpu, sysreg_enc(attr), *val)
			       : cpuif_client_read(cpu, sysreg_enc(attr), val);
		vgic_unlock(vgic);
		return err;
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		if (!level_info_ok(attr) || intid % 32)
			return -EINVAL;
		if (is_write)
			write_levels(vgic, cpu, intid, (uint32_t)*val);
		else
			*val = read_levels(vgic, cpu, intid);
		return 0;
	default:
		if (is_write)
			return vgic_client_write(vgic, seen, map, reg_offset(attr), (uint32_t)*val);
		*val = vgic_client_read(vgic, seen, map, reg_offset(attr));
		return 0;
	}
}

/* GICv2 is initialised by the first access; GICv3 must be, but for the registers that decide what it becomes. */
static int ready_for_access(struct vgic *vgic, const struct kvm_device_attr *attr)
{
	bool early =
		attr->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && (reg_offset(attr) == 0x8 || reg_offset(attr) == 0xc);

	if (!vgic_is_v3(vgic))
		return vgic_init(vgic);
	return atomic_load(&vgic->initialized) || early ? 0 : -EBUSY;
}

static int access_regs(struct vgic *vgic, const struct kvm_device_attr *attr, bool is_write)
{
	bool wide = attr->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
	struct vm *vm = vgic->vm;
	struct vgic_cpu *cpu;
	uint32_t val32 = 0;
	uint64_t val = 0;
	int err = 0;

	pthread_mutex_lock(&vm->lock);
	cpu = attr_cpu(vgic, attr);
	if (!cpu)
		err = -EINVAL;
	else if (is_write)
		err = wide ? read_u64(attr, &val) : read_u32(attr, &val32);
	if (!wide)
		val = val32;
	if (!err && !vgic_is_v3(vgic))
		err = ready_for_access(vgic, attr);
	if (!err)
		err = vm_lock_all_vcpus(vm);
	if (!err) {
		if (vgic_is_v3(vgic))
			err = ready_for_access(vgic, attr);
		if (!err)
			err = access_reg(vgic, cpu, attr, is_write, &val);
		vm_unlock_all_vcpus(vm);
	}
	pthread_mutex_unlock(&vm->lock);
	if (err || is_write)
		return err;
	return wide ? write_u64(attr, val) : write_u32(attr, (uint32_t)val);
}

/* KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ: kernels take it whether they have nested virtualisation or not. */
static int set_maintenance_irq(struct vgic *vgic, const struct kvm_device_attr *attr)
{
	uint32_t intid;
	int err = read_u32(attr, &intid);

	if (err)
		return err;
	pthread_mutex_lock(&vgic->vm->lock);
	if (atomic_load(&vgic->initialized))
		err = -EBUSY;
	else if (intid < VGIC_SGIS || intid >= VGIC_PRIVATE)
		err = -EINVAL;
	else
		vgic->maintenance = intid;
	pthread_mutex_unlock(&vgic->vm->lock);
	return err;
}

/* ---- the three calls */

int vgic_set_attr(struct vm *vm, const struct kvm_device_attr *attr)
{
	struct vgic *vgic = vm->vgic;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR: return access_addr(vgic, attr, true);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS: return set_nr_irqs(vgic, attr);
	case KVM_DEV_ARM_VGIC_GRP_CTRL: return control(vgic, attr->attr);
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ:
		if (vgic_is_v3(vgic))
			return set_maintenance_irq(vgic, attr);
		__attribute__((fallthrough));
	default: return is_reg_group(vgic, attr->group) ? access_regs(vgic, attr, true) : -ENXIO;
	}
}

int vgic_get_attr(struct vm *vm, const struct kvm_device_attr *attr)
{
	struct vgic *vgic = vm->vgic;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR: return access_addr(vgic, attr, false);
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS: return write_u32(attr, nr_irqs(vgic));
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ: return vgic_is_v3(vgic) ? write_u32(attr, vgic->maintenance) : -ENXIO;
	default: return is_reg_group(vgic, attr->group) ? access_regs(vgic, attr, false) : -ENXIO;
	}
}

enum { GICR_STATUSR = 0x10 };

/* Of registers with fields per INTID, those that have INTIDs; 32 before NR_IRQS. A redistributor's STATUSR is left out, as the kernel does. */
static bool has_reg(struct vgic *vgic, const struct kvm_device_attr *attr)
{
	const struct vgic_map *map = group_map(vgic, attr->group);
	uint64_t off = reg_offset(attr);
	const struct vgic_row *row = vgic_row_find(map, off, 4);
	unsigned irqs = vgic->nr_irqs ? vgic->nr_irqs : vgic->wanted_irqs ? vgic->wanted_irqs : VGIC_PRIVATE;

	if (!row || (map == &gicv3_redist_map && row->off == GICR_STATUSR))
		return false;
	return !row->bits || (off - row->off) * 8 / row->bits < irqs;
}

int vgic_has_attr(struct vm *vm, const struct kvm_device_attr *attr)
{
	struct vgic *vgic = vm->vgic;
	struct vgic_cpu *cpu;

	switch (attr->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR: return addr_type_known(vgic, attr->attr) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS: return 0;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		if (attr->attr == KVM_DEV_ARM_VGIC_CTRL_INIT)
			return 0;
		return attr->attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES && vgic_is_v3(vgic) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ: return vgic_is_v3(vgic) ? 0 : -ENXIO;
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: return vgic_is_v3(vgic) && level_info_ok(attr) ? 0 : -ENXIO;
	default: break;
	}
	if (!is_reg_group(vgic, attr->group))
		return -ENXIO;
	pthread_mutex_lock(&vm->lock);
	cpu = attr_cpu(vgic, attr);
	pthread_mutex_unlock(&vm->lock);
	if (!cpu)
		return -EINVAL;
	if (attr->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)
		return cpuif_client_has(sysreg_enc(attr)) ? 0 : -ENXIO;
	return has_reg(vgic, attr) ? 0 : -ENXIO;
}
