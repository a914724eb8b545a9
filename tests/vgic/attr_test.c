/* SPDX-License-Identifier: MIT */
/* Device attributes of the GIC: errors, redistributor regions, save and restore. arm-vgic-v3.rst, arm-vgic.rst. */
#include "fake.h"

#define ADDR KVM_DEV_ARM_VGIC_GRP_ADDR
#define DISTR KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define REDISTR KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
#define SYSREGS KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
#define LEVEL KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO
#define CTRL KVM_DEV_ARM_VGIC_GRP_CTRL
#define NR_IRQS KVM_DEV_ARM_VGIC_GRP_NR_IRQS

static struct fake *new_v3(unsigned vcpus)
{
	struct fake *f = fake_new(vcpus);

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), 0);
	return f;
}

static int set64(struct fake *f, uint32_t group, uint64_t attr, uint64_t val)
{
	return attr_set(f, group, attr, &val);
}
static int set32(struct fake *f, uint32_t group, uint64_t attr, uint32_t val)
{
	return attr_set(f, group, attr, &val);
}

static uint64_t get64(struct fake *f, uint32_t group, uint64_t attr)
{
	uint64_t val = 0;

	assert_int_equal(attr_get(f, group, attr, &val), 0);
	return val;
}

static uint32_t get32(struct fake *f, uint32_t group, uint64_t attr)
{
	uint32_t val = 0;

	assert_int_equal(attr_get(f, group, attr, &val), 0);
	return val;
}

static void creation_errors(void **state)
{
	struct fake *f = fake_new(9);

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_ITS), -ENODEV);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V2), -E2BIG);
	pthread_mutex_lock(&f->vm.vcpus[3]->mutex);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), -EBUSY);
	pthread_mutex_unlock(&f->vm.vcpus[3]->mutex);
	atomic_store(&f->vm.has_run, true);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), -EBUSY);
	atomic_store(&f->vm.has_run, false);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), 0);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V2), -EEXIST);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(fake_try_add_vcpu(f, 100), -EBUSY);
	fake_free(f);
}

static void address_errors(void **state)
{
	struct fake *f = new_v3(1);
	uint64_t limit = 1ull << 40;

	assert_int_equal(get64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST), ~0ull);
	assert_int_equal(get64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST), ~0ull);
	assert_int_equal(attr_set(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, NULL), -EFAULT);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x1000), -EINVAL);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, limit), -E2BIG);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, DIST), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_ITS_ADDR_TYPE, DIST), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), -EEXIST);
	assert_int_equal(get64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST), DIST);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST + 0x1000), -EINVAL);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, limit), -E2BIG);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, limit - 0x10000), -E2BIG); /* half a frame */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, DIST - 0x10000), -EINVAL); /* overlap */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST), -EEXIST);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | REDIST), -EINVAL);
	assert_int_equal(get64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST), REDIST);
	fake_free(f);
}

static void region_errors(void **state)
{
	struct fake *f = new_v3(1);
	uint64_t base = 0x20000000, val;

	val = 3;
	assert_int_equal(attr_get(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &val), -ENOENT);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, base), -EINVAL); /* count 0 */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | base | 0x1000),
			 -EINVAL); /* flags */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | base | 1),
			 -EINVAL); /* index */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | ((1ull << 40) - 0x20000)),
			 -E2BIG);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | base), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | base | 2), -EINVAL);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | (base + 0x20000) | 1),
			 -EINVAL);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, base + 0x1000000), -EINVAL); /* mixed */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | (base + 0x40000) | 1), 0);
	val = 1;
	assert_int_equal(attr_get(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, &val), 0);
	assert_int_equal(val, 1ull << 52 | (base + 0x40000) | 1);
	fake_free(f);
}

static void frames_are_dealt_in_creation_order_and_the_last_of_a_series_says_so(void **state)
{
	struct fake *f = new_v3(0);
	uint64_t base = 0x20000000, init = KVM_DEV_ARM_VGIC_CTRL_INIT;
	static const unsigned ids[] = {0, 3, 5, 4, 1, 2};
	static const struct {
		unsigned id;
		bool last;
	} want[] = {{0, false}, {3, false}, {5, true}, {4, true}, {1, false}, {2, true}};

	for (unsigned i = 0; i < 6; i++)
		fake_add_vcpu(f, ids[i]);
	/* two frames, then one right behind, then one far away, then a region with a spare frame */
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 2ull << 52 | base), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | (base + 0x40000) | 1), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | (base + 0x200000) | 2), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 3ull << 52 | (base + 0x400000) | 3), 0);
	assert_int_equal(set64(f, CTRL, init, 0), 0);
	for (unsigned i = 0; i < 6; i++) {
		uint32_t low = get32(f, REDISTR, (uint64_t)want[i].id << 32 | 0x8),
			 high = get32(f, REDISTR, (uint64_t)want[i].id << 32 | 0xc);

		assert_int_equal(low, want[i].id << 8 | (want[i].last ? 0x10 : 0));
		assert_int_equal(high, want[i].id);
	}
	fake_free(f);
}

static void a_vcpu_without_room_for_its_redistributor_is_found_at_the_first_run(void **state)
{
	struct fake *f = new_v3(1);

	assert_int_equal(vgic_map_resources(&f->vm), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | 0x20000000), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -EBUSY);
	fake_add_vcpu(f, 1);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, 1ull << 52 | 0x30000000 | 1), 0);
	assert_int_equal(vgic_map_resources(&f->vm), 0);
	assert_int_equal(vgic_map_resources(&f->vm), 0);
	fake_free(f);
}

static void a_distributor_inside_the_redistributors_is_found_at_the_first_run(void **state)
{
	struct fake *f = new_v3(2);

	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, REDIST + 0x30000), 0);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -EINVAL);
	fake_free(f);
}

static void a_single_region_that_grows_out_of_the_ipa_space_is_found_in_the_end(void **state)
{
	struct fake *f = new_v3(1);

	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, (1ull << 40) - 3 * 0x20000), 0);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0), 0);
	for (unsigned i = 1; i < 4; i++)
		fake_add_vcpu(f, i);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -EINVAL);
	fake_free(f);
}

static void nr_irqs_errors(void **state)
{
	struct fake *f = new_v3(1);

	assert_int_equal(get32(f, NR_IRQS, 0), 32);
	assert_int_equal(set32(f, NR_IRQS, 0, 32), -EINVAL);
	assert_int_equal(set32(f, NR_IRQS, 0, 65), -EINVAL);
	assert_int_equal(set32(f, NR_IRQS, 0, 1024), -EINVAL);
	assert_int_equal(set32(f, NR_IRQS, 0, 64), 0);
	assert_int_equal(set32(f, NR_IRQS, 0, 96), -EBUSY);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(get32(f, NR_IRQS, 0), 64);
	assert_int_equal(get32(f, DISTR, 4), 0x480001);
	assert_int_equal(vgic_set_irq(&f->vm, NULL, 64, true, NULL), -EINVAL);
	fake_free(f);
}

static void register_access_errors(void **state)
{
	struct fake *f = new_v3(2);
	uint64_t cpu1 = 1ull << 32, nobody = 77ull << 32;
	uint32_t val32;
	uint64_t val;

	assert_int_equal(attr_get(f, DISTR, 0, &val32), -EBUSY);
	assert_int_equal(get32(f, DISTR, 8), 0x4b00343b); /* before initialisation too */
	assert_int_equal(set32(f, DISTR, 8, 0x4b00243b), 0);
	assert_int_equal(set32(f, DISTR, 8, 0x4b00143b), -EINVAL);
	assert_int_equal(set32(f, DISTR, 8, 0x4b00343c), -EINVAL);
	assert_int_equal(set32(f, DISTR, 0xc, 0), 0);
	assert_int_equal(set32(f, DISTR, 0xc, 0x100), -EINVAL);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	assert_int_equal(attr_get(f, REDISTR, nobody, &val32), -EINVAL);
	assert_int_equal(attr_get(f, DISTR, 0, NULL), -EFAULT);
	pthread_mutex_lock(&f->vm.vcpus[1]->mutex);
	assert_int_equal(attr_get(f, DISTR, 0, &val32), -EBUSY);
	pthread_mutex_unlock(&f->vm.vcpus[1]->mutex);
	assert_int_equal(attr_get(f, SYSREGS, cpu1 | ICC_IAR1, &val), -ENOENT);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_IAR1, 0), -ENOENT);
	assert_int_equal(attr_get(f, SYSREGS, cpu1 | ICC_AP1R1, &val), -EINVAL);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_SRE, 0), -EINVAL);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_SRE, 7), 0);
	val = get64(f, SYSREGS, cpu1 | ICC_CTLR);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_CTLR, val | 7 << 8), -EINVAL);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_CTLR, val ^ 1 << 14), -EINVAL);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_CTLR, val ^ 1 << 15), -EINVAL);
	assert_int_equal(set64(f, SYSREGS, cpu1 | ICC_CTLR, val | 3), 0);
	assert_int_equal(get64(f, SYSREGS, cpu1 | ICC_CTLR), val | 3);
	assert_int_equal(attr_get(f, LEVEL, cpu1 | 33, &val32), -EINVAL);
	assert_int_equal(attr_get(f, LEVEL, cpu1 | 1 << 10, &val32), -EINVAL);
	assert_int_equal(attr_get(f, 42, 0, &val32), -ENXIO);
	assert_int_equal(set32(f, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0, 0), -ENXIO);
	assert_int_equal(set64(f, CTRL, 77, 0), -ENXIO);
	assert_int_equal(set64(f, CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, 0), 0);
	fake_free(f);
}

static void unknown_offsets_are_reported_by_has_and_ignored_by_get_and_set(void **state)
{
	struct fake *f = fake_gicv3(1);

	assert_int_equal(attr_has(f, DISTR, 0x100), 0);
	assert_int_equal(attr_has(f, DISTR, 0x101), -ENXIO);
	assert_int_equal(attr_has(f, DISTR, 0x4000), -ENXIO);
	assert_int_equal(attr_has(f, REDISTR, 0x10080), 0);
	assert_int_equal(attr_has(f, REDISTR, 5ull << 32 | 0x10080), -EINVAL);
	assert_int_equal(attr_has(f, SYSREGS, ICC_PMR), 0);
	assert_int_equal(attr_has(f, SYSREGS, ICC_IAR1), -ENXIO);
	assert_int_equal(attr_has(f, LEVEL, 0), 0);
	assert_int_equal(attr_has(f, LEVEL, 1 << 10), -ENXIO);
	assert_int_equal(attr_has(f, ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION), 0);
	assert_int_equal(attr_has(f, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU), -ENXIO);
	assert_int_equal(attr_has(f, CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT), 0);
	assert_int_equal(attr_has(f, CTRL, 99), -ENXIO);
	assert_int_equal(get32(f, DISTR, 0x4000), 0);
	assert_int_equal(set32(f, DISTR, 0x4000, 1), 0);
	fake_free(f);
}

static void gicv2_errors(void **state)
{
	struct fake *f = fake_new(1);
	struct kvm_arm_device_addr addr = {.id = KVM_VGIC_V2_ADDR_TYPE_DIST, .addr = DIST};
	uint32_t val;

	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -ENODEV);
	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V2), 0);
	addr.id = 1 << 16;
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -ENODEV);
	addr.id = 5;
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -ENODEV);
	addr.id = KVM_VGIC_V2_ADDR_TYPE_DIST;
	addr.addr = 0x800;
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -EINVAL);
	addr.addr = 1ull << 40;
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -E2BIG);
	addr.addr = DIST;
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), 0);
	assert_int_equal(vgic_set_device_addr(&f->vm, &addr), -EEXIST);
	assert_int_equal(vgic_map_resources(&f->vm), -ENXIO);
	assert_int_equal(set64(f, ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, DIST - 0x1000), 0);
	assert_int_equal(vgic_map_resources(&f->vm), -EINVAL);
	assert_int_equal(attr_get(f, DISTR, 5ull << 32, &val), -EINVAL);
	assert_int_equal(get32(f, DISTR, 4), 7); /* initialises */
	assert_true(vgic_initialized(&f->vm));
	assert_int_equal(set32(f, REDISTR, 0, 0), -ENXIO);
	assert_int_equal(attr_has(f, DISTR, 0xfd0), -ENXIO);
	fake_free(f);
}

static void the_client_sees_latch_and_line_apart(void **state)
{
	struct fake *f = fake_gicv3(1);

	vgic_set_irq(&f->vm, NULL, 40, true, NULL);
	bus_write(f, 0, DIST + 0x204, 4, 1 << 9);
	assert_int_equal(bus_read(f, 0, DIST + 0x204, 4), 3 << 8);
	assert_int_equal(get32(f, DISTR, 0x204), 1 << 9);
	assert_int_equal(get32(f, LEVEL, 32), 1 << 8);
	assert_int_equal(get32(f, DISTR, 0x284), 0);
	assert_int_equal(set32(f, DISTR, 0x284, ~0u), 0);
	assert_int_equal(get32(f, DISTR, 0x204), 1 << 9);
	assert_int_equal(set32(f, DISTR, 0x204, 1 << 10), 0); /* replaces */
	assert_int_equal(get32(f, DISTR, 0x204), 1 << 10);
	assert_int_equal(set32(f, LEVEL, 32, 1 << 11), 0);
	assert_int_equal(bus_read(f, 0, DIST + 0x204, 4), 3 << 10);
	fake_free(f);
}

/* ---- save, restore into another VM, save again */

struct image {
	uint32_t dist[0x400], irouter[2 * 1024], redist[4][0x60], sgi[4][0x400], level[5];
	uint64_t icc[4][8];
};
static const uint32_t icc_saved[8] = {ICC_PMR,	 ICC_BPR0, ICC_BPR1,	ICC_AP0R0,
				      ICC_AP1R0, ICC_CTLR, ICC_IGRPEN0, ICC_IGRPEN1};

static void save(struct fake *f, struct image *m)
{
	memset(m, 0, sizeof(*m));
	for (unsigned i = 0; i < 0x400; i++)
		m->dist[i] = get32(f, DISTR, i * 4);
	for (unsigned i = 64; i < 512; i++)
		m->irouter[i] = get32(f, DISTR, 0x6000 + i * 4);
	for (uint64_t c = 0; c < 4; c++) {
		for (unsigned i = 0; i < 0x400; i++)
			m->sgi[c][i] = get32(f, REDISTR, c << 32 | (0x10000 + i * 4));
		for (unsigned i = 0; i < 8; i++)
			m->icc[c][i] = get64(f, SYSREGS, c << 32 | icc_saved[i]);
		m->level[c] = get32(f, LEVEL, c << 32);
	}
	m->level[4] = get32(f, LEVEL, 32);
}

static bool clears(unsigned reg)
{
	return (reg >= 0x180 && reg < 0x200) || (reg >= 0x380 && reg < 0x400);
}

static void restore_frame(struct fake *f, uint32_t group, uint64_t base, const uint32_t *regs)
{
	for (unsigned off = 0x80; off < 0x1000; off += 4)
		if (clears(off))
			assert_int_equal(set32(f, group, base + off, ~0u), 0);
	for (unsigned off = 0x80; off < 0x1000; off += 4)
		if (!clears(off))
			assert_int_equal(set32(f, group, base + off, regs[off / 4]), 0);
}

static void restore(struct fake *f, const struct image *m)
{
	assert_int_equal(set32(f, DISTR, 8, m->dist[2]), 0);
	for (uint64_t c = 0; c < 4; c++)
		restore_frame(f, REDISTR, c << 32 | 0x10000, m->sgi[c]);
	restore_frame(f, DISTR, 0, m->dist);
	for (unsigned i = 64; i < 512; i++)
		assert_int_equal(set32(f, DISTR, 0x6000 + i * 4, m->irouter[i]), 0);
	for (uint64_t c = 0; c < 4; c++) {
		assert_int_equal(set32(f, LEVEL, c << 32, m->level[c]), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(set64(f, SYSREGS, c << 32 | icc_saved[i], m->icc[c][i]), 0);
	}
	assert_int_equal(set32(f, LEVEL, 32, m->level[4]), 0);
	assert_int_equal(set32(f, DISTR, 0, m->dist[0]), 0);
}

static void what_was_saved_is_what_is_saved_after_a_restore(void **state)
{
	static struct image first, second;
	struct fake *f = fake_gicv3(4), *g;

	bus_write(f, 0, DIST, 4, 2);
	for (unsigned i = 0; i < 4; i++) {
		icc_write(f, i, ICC_PMR, 0xf0 - i * 8);
		icc_write(f, i, ICC_IGRPEN1, 1);
		icc_write(f, i, ICC_BPR1, 4);
	}
	for (unsigned n = 32; n < 64; n++)
		bus_write(f, 0, DIST + 0x400 + n, 1, n * 4);
	bus_write(f, 0, DIST + 0x104, 4, 0xf0f0f0f0);
	bus_write(f, 0, DIST + 0xc08, 4, 0xaaaa0000);
	bus_write(f, 0, DIST + 0x6000 + 40 * 8, 8, 2);
	bus_write(f, 0, DIST + 0x204, 4, 0x00ff0000);
	vgic_set_irq(&f->vm, NULL, 36, true, NULL);
	vgic_set_irq(&f->vm, f->vm.vcpus[1], 20, true, NULL);
	vgic_send_sgi(f->vm.vcpus[0], 1ull << 40 | 4 << 24, true);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), 36);
	assert_int_equal(icc_read(f, 2, ICC_IAR1), 4);

	save(f, &first);
	g = fake_gicv3(4);
	restore(g, &first);
	save(g, &second);
	assert_memory_equal(&first, &second, sizeof(first));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(lines(f, i), lines(g, i));
	/* and it goes on in the same way */
	vgic_set_irq(&g->vm, NULL, 36, false, NULL);
	icc_write(g, 0, ICC_EOIR1, 36);
	assert_int_equal(icc_read(g, 0, ICC_RPR), 0xff);
	assert_int_equal(bus_read(g, 0, DIST + 0x304, 4), 0);
	fake_free(f);
	fake_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation_errors),
		cmocka_unit_test(address_errors),
		cmocka_unit_test(region_errors),
		cmocka_unit_test(frames_are_dealt_in_creation_order_and_the_last_of_a_series_says_so),
		cmocka_unit_test(a_vcpu_without_room_for_its_redistributor_is_found_at_the_first_run),
		cmocka_unit_test(a_distributor_inside_the_redistributors_is_found_at_the_first_run),
		cmocka_unit_test(a_single_region_that_grows_out_of_the_ipa_space_is_found_in_the_end),
		cmocka_unit_test(nr_irqs_errors),
		cmocka_unit_test(register_access_errors),
		cmocka_unit_test(unknown_offsets_are_reported_by_has_and_ignored_by_get_and_set),
		cmocka_unit_test(gicv2_errors),
		cmocka_unit_test(the_client_sees_latch_and_line_apart),
		cmocka_unit_test(what_was_saved_is_what_is_saved_after_a_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
