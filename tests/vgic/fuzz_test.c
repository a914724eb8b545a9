/* SPDX-License-Identifier: MIT */
/*
 * Hostile accesses to every frame and system register, in a fixed random order, from a guest and lines that change
 * under it. What is checked after each: the interrupt inputs of every PE are those that a recomputation from the
 * interrupts' state gives.
 */
#include "fake.h"
#include "state.h"

static uint64_t seed;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

/* From the definition, with no use of the ready sets. */
static uint32_t expected_lines(struct vgic *vgic, struct vgic_cpu *cpu)
{
	const struct vgic_irq *best = NULL;

	for (unsigned n = 0; n < vgic->nr_irqs; n++) {
		const struct vgic_irq *irq = vgic_irq_of(vgic, cpu, n);

		if (irq->target != cpu || !vgic->enabled || !irq->enabled || irq->active || !vgic_irq_is_pending(irq))
			continue;
		if (cpu->cpuif.enabled[irq->group] && (!best || irq->priority < best->priority))
			best = irq;
	}
	if (!best || !cpuif_signals(cpu, best))
		return 0;
	return best->group == 0 && (vgic_is_v3(vgic) || cpu->cpuif.fiq_en) ? CPU_FIQ : CPU_IRQ;
}

static void check(struct fake *f)
{
	for (unsigned i = 0; i < atomic_load(&f->vm.n_vcpus); i++)
		assert_int_equal(lines(f, i), expected_lines(f->vm.vgic, f->vm.vcpus[i]->vgic));
}

static ipa_t likely_offset(const struct vgic_map *map)
{
	const struct vgic_row *row = &map->rows[rnd() % map->count];

	return row->off + rnd() % row->size;
}

static void one_access(struct fake *f, bool v3)
{
	unsigned vcpu = rnd() % atomic_load(&f->vm.n_vcpus), len = 1u << rnd() % 4;
	const struct vgic_map *map = v3 ? &gicv3_dist_map : &gicv2_dist_map;
	ipa_t base = DIST;
	uint64_t size = v3 ? 0x10000 : 0x1000, off, val = rnd() & rnd();

	if (rnd() % 2) {
		base = v3 ? REDIST + rnd() % atomic_load(&f->vm.n_vcpus) * REDIST_SIZE : GICC;
		map = v3 ? &gicv3_redist_map : &gicv2_cpu_map;
		size = v3 ? REDIST_SIZE : 0x2000;
	}
	off = rnd() % 4 ? likely_offset(map) : rnd() % size;
	if (rnd() % 4)
		off &= ~(uint64_t)(len - 1);
	if (rnd() % 3)
		bus_write(f, vcpu, base + off, len, val);
	else
		bus_read(f, vcpu, base + off, len);
}

static void one_sysreg(struct fake *f)
{
	struct vcpu *vcpu = f->vm.vcpus[rnd() % atomic_load(&f->vm.n_vcpus)];
	uint32_t enc = rnd() % 4 ? SYSREG(3, 0, 12, 8, 0) + rnd() % 64 : ICC_PMR;
	uint64_t val = rnd() % 2 ? rnd() : rnd() % 1100;

	if (rnd() % 2)
		vgic_icc_write(vcpu, enc, val);
	else
		vgic_icc_read(vcpu, enc, &val);
}

static void one_step(struct fake *f, bool v3)
{
	struct vcpu *vcpu = f->vm.vcpus[rnd() % atomic_load(&f->vm.n_vcpus)];
	unsigned intid = rnd() % 300;

	switch (rnd() % 8) {
	case 0: vgic_set_irq(&f->vm, intid < 32 ? vcpu : NULL, intid, rnd() % 2, NULL); break;
	case 1: vgic_send_sgi(vcpu, rnd(), rnd() % 2); break;
	case 2:
	case 3:
		if (v3)
			one_sysreg(f);
		break;
	default: one_access(f, v3); break;
	}
}

static void nothing_that_a_guest_writes_to_gicv3_upsets_its_state(void **state)
{
	struct fake *f = fake_gicv3(5);

	seed = 0x9e3779b97f4a7c15;
	bus_write(f, 0, DIST, 4, 2);
	for (unsigned i = 0; i < 60000; i++) {
		one_step(f, true);
		check(f);
	}
	fake_free(f);
}

static void nothing_that_a_guest_writes_to_gicv2_upsets_its_state(void **state)
{
	struct fake *f = fake_gicv2(8);

	seed = 0xd1b54a32d192ed03;
	bus_write(f, 0, DIST, 4, 1);
	for (unsigned i = 0; i < 60000; i++) {
		one_step(f, false);
		check(f);
	}
	fake_free(f);
}

static void nothing_that_a_client_sets_upsets_the_state(void **state)
{
	static const uint32_t groups[] = {KVM_DEV_ARM_VGIC_GRP_DIST_REGS,   KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
					  KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
					  KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,  KVM_DEV_ARM_VGIC_GRP_ADDR,
					  KVM_DEV_ARM_VGIC_GRP_NR_IRQS,	    KVM_DEV_ARM_VGIC_GRP_CTRL};
	struct fake *vms[2] = {fake_gicv3(4), fake_gicv2(4)};

	seed = 0x6a09e667f3bcc909;
	for (unsigned i = 0; i < 60000; i++) {
		struct fake *f = vms[rnd() % 2];
		uint64_t val = rnd() & rnd(), attr = (rnd() % 5) << 32 | (rnd() % 4 ? rnd() % 0x11000 : rnd());
		uint32_t group = groups[rnd() % 8];

		if (group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS && rnd() % 2)
			attr = (rnd() % 5) << 32 | (SYSREG(3, 0, 12, 8, 0) + rnd() % 64);
		if (rnd() % 3)
			attr_set(f, group, attr, &val);
		else
			attr_get(f, group, attr, &val);
		attr_has(f, group, attr);
		check(f);
	}
	fake_free(vms[0]);
	fake_free(vms[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_a_guest_writes_to_gicv3_upsets_its_state),
		cmocka_unit_test(nothing_that_a_guest_writes_to_gicv2_upsets_its_state),
		cmocka_unit_test(nothing_that_a_client_sets_upsets_the_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
