/* SPDX-License-Identifier: MIT */
/* GICv2: distributor and the CPU interface that a guest sees. IHI 0048. */
#include "fake.h"

enum { SPI = 40, SPURIOUS = 1023, CTLR = GICC, PMR = GICC + 4, BPR = GICC + 8, IAR = GICC + 0xc, EOIR = GICC + 0x10 };
enum { RPR = GICC + 0x14, HPPIR = GICC + 0x18, ABPR = GICC + 0x1c, AIAR = GICC + 0x20, AEOIR = GICC + 0x24 };
enum { AHPPIR = GICC + 0x28, APR0 = GICC + 0xd0, DIR = GICC + 0x1000 };

static struct fake *guest(unsigned vcpus)
{
	struct fake *f = fake_gicv2(vcpus);

	bus_write(f, 0, DIST, 4, 1);
	for (unsigned i = 0; i < vcpus; i++) {
		bus_write(f, i, PMR, 4, 0xf0);
		bus_write(f, i, CTLR, 4, 1);
	}
	return f;
}

static void enable_spi(struct fake *f, unsigned intid, unsigned priority)
{
	bus_write(f, 0, DIST + 0x400 + intid, 1, priority);
	bus_write(f, 0, DIST + 0x100 + intid / 32 * 4, 4, 1u << intid % 32);
}

static uint64_t rd(struct fake *f, unsigned vcpu, ipa_t reg)
{
	return bus_read(f, vcpu, reg, 4);
}
static void wr(struct fake *f, unsigned vcpu, ipa_t reg, uint64_t val)
{
	bus_write(f, vcpu, reg, 4, val);
}

static void the_distributor_reads_as_recorded_from_kvm(void **state)
{
	struct fake *f = fake_gicv2(1);

	assert_int_equal(rd(f, 0, DIST), 0);
	assert_int_equal(rd(f, 0, DIST + 4), 7);
	assert_int_equal(rd(f, 0, DIST + 8), 0x4b00343b);
	wr(f, 0, DIST, 3);
	assert_int_equal(rd(f, 0, DIST), 1);
	fake_free(f);
}

static void an_interrupt_is_acknowledged_and_ended(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	vgic_set_irq(&f->vm, NULL, SPI, true, NULL);
	assert_int_equal(lines(f, 0), CPU_IRQ); /* group 0, FIQEn clear */
	assert_int_equal(rd(f, 0, HPPIR), SPI);
	assert_int_equal(rd(f, 0, IAR), SPI);
	assert_int_equal(rd(f, 0, RPR), 0x80);
	assert_int_equal(rd(f, 0, APR0), 1u << 16);
	assert_int_equal(rd(f, 0, IAR), SPURIOUS);
	vgic_set_irq(&f->vm, NULL, SPI, false, NULL);
	wr(f, 0, EOIR, SPI);
	assert_int_equal(rd(f, 0, APR0), 0);
	assert_int_equal(rd(f, 0, DIST + 0x304), 0);
	fake_free(f);
}

static void fiqen_makes_group_0_an_fiq(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	vgic_set_irq(&f->vm, NULL, SPI, true, NULL);
	wr(f, 0, CTLR, 1 | 8);
	assert_int_equal(lines(f, 0), CPU_FIQ);
	fake_free(f);
}

static void group_1_is_acknowledged_by_the_alias_or_with_ackctl(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	wr(f, 0, DIST + 0x84, 1 << 8);
	wr(f, 0, CTLR, 3);
	vgic_set_irq(&f->vm, NULL, SPI, true, NULL);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(rd(f, 0, IAR), 1022);
	assert_int_equal(rd(f, 0, HPPIR), 1022);
	assert_int_equal(rd(f, 0, AHPPIR), SPI);
	assert_int_equal(rd(f, 0, AIAR), SPI);
	wr(f, 0, AEOIR, SPI);
	wr(f, 0, CTLR, 3 | 4);
	assert_int_equal(rd(f, 0, IAR), SPI);
	wr(f, 0, EOIR, SPI);
	assert_int_equal(rd(f, 0, IAR), SPI); /* the line is still high */
	fake_free(f);
}

static void eoimode_splits_the_end_from_the_deactivation(void **state)
{
	struct fake *f = guest(1);

	wr(f, 0, CTLR, 1 | 1 << 9);
	enable_spi(f, SPI, 0x80);
	vgic_set_irq(&f->vm, NULL, SPI, true, NULL);
	assert_int_equal(rd(f, 0, IAR), SPI);
	wr(f, 0, EOIR, SPI);
	assert_int_equal(lines(f, 0), 0);
	wr(f, 0, DIR, SPI);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	fake_free(f);
}

static void an_sgi_names_its_sender_and_comes_once_per_sender(void **state)
{
	struct fake *f = guest(3);

	wr(f, 1, DIST + 0xf00, 1 << 16 | 5); /* list: vcpu 0 */
	wr(f, 2, DIST + 0xf00, 1 << 24 | 5); /* all but self */
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(lines(f, 2), 0);
	assert_int_equal(rd(f, 0, HPPIR), 1 << 10 | 5);
	assert_int_equal(rd(f, 0, IAR), 1 << 10 | 5);
	assert_int_equal(rd(f, 0, IAR), SPURIOUS);
	wr(f, 0, EOIR, 1 << 10 | 5);
	assert_int_equal(rd(f, 0, IAR), 2 << 10 | 5);
	wr(f, 0, EOIR, 2 << 10 | 5);
	assert_int_equal(rd(f, 0, IAR), SPURIOUS);
	fake_free(f);
}

static void sgir_filters(void **state)
{
	struct fake *f = guest(2);

	wr(f, 1, DIST + 0xf00, 3 << 24 | 3 << 16 | 5); /* reserved */
	assert_int_equal(lines(f, 0) | lines(f, 1), 0);
	wr(f, 1, DIST + 0xf00, 2 << 24 | 1 << 16 | 5); /* self */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(rd(f, 1, DIST + 0xf00), 0);
	fake_free(f);
}

static void sgi_pending_is_set_and_cleared_by_source(void **state)
{
	struct fake *f = guest(2);

	bus_write(f, 0, DIST + 0xf20 + 3, 1, 3);
	assert_int_equal(bus_read(f, 0, DIST + 0xf20 + 3, 1), 3);
	assert_int_equal(rd(f, 0, DIST + 0x200), 1 << 3);
	bus_write(f, 0, DIST + 0xf10 + 3, 1, 1);
	assert_int_equal(rd(f, 0, IAR), 1 << 10 | 3);
	wr(f, 0, DIST + 0x200, 1 << 4); /* ISPENDR does not set SGIs */
	assert_int_equal(rd(f, 0, DIST + 0x200), 0);
	fake_free(f);
}

static void itargetsr_moves_an_spi_to_the_lowest_target(void **state)
{
	struct fake *f = guest(3);

	enable_spi(f, SPI, 0x80);
	vgic_set_irq(&f->vm, NULL, SPI, true, NULL);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	bus_write(f, 0, DIST + 0x800 + SPI, 1, 0xf6);
	assert_int_equal(bus_read(f, 0, DIST + 0x800 + SPI, 1), 0x06); /* online ones */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	bus_write(f, 0, DIST + 0x800 + SPI, 1, 0);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(bus_read(f, 2, DIST + 0x800, 4), 0x04040404); /* private: read only, this vcpu */
	fake_free(f);
}

static void the_clients_pmr_has_the_format_of_vmcr(void **state)
{
	struct fake *f = guest(2);
	uint32_t val = 0;

	assert_int_equal(attr_get(f, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 1ull << 32 | 4, &val), 0);
	assert_int_equal(val, 0xf0 >> 3);
	val = 0x10;
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 1ull << 32 | 4, &val), 0);
	assert_int_equal(rd(f, 1, PMR), 0x80);
	assert_int_equal(attr_get(f, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0xfc, &val), 0);
	assert_int_equal(val, 0x04b2043b);
	fake_free(f);
}

static void the_client_sets_groups_once_it_wrote_iidr(void **state)
{
	struct fake *f = guest(1);
	uint32_t val = 0xff, iidr = 0x4b00243b;

	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, &val), 0);
	assert_int_equal(rd(f, 0, DIST + 0x84), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x8, &iidr), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, &val), 0);
	assert_int_equal(rd(f, 0, DIST + 0x84), 0xff);
	assert_int_equal(rd(f, 0, DIST + 8), 0x4b00243b);
	fake_free(f);
}

static void the_client_pends_an_sgi_from_its_own_vcpu(void **state)
{
	struct fake *f = guest(2);
	uint32_t val = 1 << 6;

	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 1ull << 32 | 0x200, &val), 0);
	assert_int_equal(rd(f, 1, IAR), 1 << 10 | 6);
	wr(f, 0, DIST + 0xf00, 2 << 16 | 7);
	val = 1 << 7;
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 1ull << 32 | 0x280, &val), 0);
	assert_int_equal(bus_read(f, 1, DIST + 0xf20 + 7, 1), 0);
	fake_free(f);
}

static void its_cpu_interface_has_no_system_registers(void **state)
{
	struct fake *f = guest(1);
	uint64_t val;

	assert_int_equal(vgic_icc_read(f->vm.vcpus[0], ICC_IAR1, &val), -ENOENT);
	fake_free(f);
}

static void the_first_interrupt_initialises_it(void **state)
{
	struct fake *f = fake_new(1);

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V2), 0);
	assert_false(vgic_initialized(&f->vm));
	assert_int_equal(vgic_set_irq(&f->vm, NULL, SPI, true, NULL), 0);
	assert_true(vgic_initialized(&f->vm));
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_distributor_reads_as_recorded_from_kvm),
		cmocka_unit_test(an_interrupt_is_acknowledged_and_ended),
		cmocka_unit_test(fiqen_makes_group_0_an_fiq),
		cmocka_unit_test(group_1_is_acknowledged_by_the_alias_or_with_ackctl),
		cmocka_unit_test(eoimode_splits_the_end_from_the_deactivation),
		cmocka_unit_test(an_sgi_names_its_sender_and_comes_once_per_sender),
		cmocka_unit_test(sgir_filters),
		cmocka_unit_test(sgi_pending_is_set_and_cleared_by_source),
		cmocka_unit_test(itargetsr_moves_an_spi_to_the_lowest_target),
		cmocka_unit_test(the_clients_pmr_has_the_format_of_vmcr),
		cmocka_unit_test(the_client_sets_groups_once_it_wrote_iidr),
		cmocka_unit_test(the_client_pends_an_sgi_from_its_own_vcpu),
		cmocka_unit_test(its_cpu_interface_has_no_system_registers),
		cmocka_unit_test(the_first_interrupt_initialises_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
