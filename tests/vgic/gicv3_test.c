/* SPDX-License-Identifier: MIT */
/* GICv3 delivery and CPU interface. IHI 0069, "Interrupt handling and prioritization", "ICC_* System registers". */
#include "fake.h"

enum { SPI = 40, SPI2 = 41, SPURIOUS = 1023 };

static void spi_level(struct fake *f, unsigned intid, bool level)
{
	assert_int_equal(vgic_set_irq(&f->vm, NULL, intid, level, NULL), 0);
}

static void enable_spi(struct fake *f, unsigned intid, unsigned priority)
{
	bus_write(f, 0, DIST + 0x400 + intid, 1, priority);
	bus_write(f, 0, DIST + 0x100 + intid / 32 * 4, 4, 1u << intid % 32);
}

static void make_edge(struct fake *f, unsigned intid)
{
	ipa_t reg = DIST + 0xc00 + intid / 16 * 4;

	bus_write(f, 0, reg, 4, bus_read(f, 0, reg, 4) | 2u << intid % 16 * 2);
}

/* A guest that is ready to take group 1 interrupts. */
static struct fake *guest(unsigned vcpus)
{
	struct fake *f = fake_gicv3(vcpus);

	bus_write(f, 0, DIST, 4, 2);
	for (unsigned i = 0; i < vcpus; i++) {
		icc_write(f, i, ICC_PMR, 0xf0);
		icc_write(f, i, ICC_IGRPEN1, 1);
	}
	return f;
}

static unsigned ack(struct fake *f, unsigned vcpu)
{
	return (unsigned)icc_read(f, vcpu, ICC_IAR1);
}
static void eoi(struct fake *f, unsigned vcpu, unsigned intid)
{
	icc_write(f, vcpu, ICC_EOIR1, intid);
}

static void a_level_interrupt_is_signalled_acknowledged_and_comes_again_while_its_line_is_high(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	assert_int_equal(lines(f, 0), 0);
	spi_level(f, SPI, true);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(f->kicks[0], 1);
	assert_int_equal(ack(f, 0), SPI);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x80);
	assert_int_equal(ack(f, 0), SPURIOUS);
	eoi(f, 0, SPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0xff);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(ack(f, 0), SPI);
	spi_level(f, SPI, false);
	eoi(f, 0, SPI);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(ack(f, 0), SPURIOUS);
	fake_free(f);
}

static void a_level_interrupt_whose_line_falls_before_acknowledgement_is_spurious(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	spi_level(f, SPI, false);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(ack(f, 0), SPURIOUS);
	assert_int_equal(icc_read(f, 0, ICC_AP1R0), 0);
	fake_free(f);
}

static void an_edge_interrupt_latches_once_and_again_while_it_is_active(void **state)
{
	struct fake *f = guest(1);

	make_edge(f, SPI);
	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	spi_level(f, SPI, false);
	assert_int_equal(ack(f, 0), SPI);
	spi_level(f, SPI, true); /* a second edge: pending and active */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(bus_read(f, 0, DIST + 0x204, 4) >> 8 & 1, 1);
	assert_int_equal(bus_read(f, 0, DIST + 0x304, 4) >> 8 & 1, 1);
	eoi(f, 0, SPI);
	assert_int_equal(ack(f, 0), SPI);
	eoi(f, 0, SPI);
	assert_int_equal(ack(f, 0), SPURIOUS);
	fake_free(f);
}

static void software_pending_of_a_level_interrupt_ends_with_its_acknowledgement(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	bus_write(f, 0, DIST + 0x204, 4, 1 << 8);
	assert_int_equal(ack(f, 0), SPI);
	eoi(f, 0, SPI);
	assert_int_equal(ack(f, 0), SPURIOUS);
	fake_free(f);
}

static void clearing_pending_does_not_beat_a_line_that_is_high(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	bus_write(f, 0, DIST + 0x284, 4, 1 << 8);
	assert_int_equal(ack(f, 0), SPI);
	fake_free(f);
}

static void nothing_is_signalled_while_any_of_the_enables_is_off(void **state)
{
	struct fake *f = fake_gicv3(1);

	spi_level(f, SPI, true);
	assert_int_equal(lines(f, 0), 0);
	enable_spi(f, SPI, 0x80);
	assert_int_equal(lines(f, 0), 0);
	bus_write(f, 0, DIST, 4, 2);
	assert_int_equal(lines(f, 0), 0);
	icc_write(f, 0, ICC_PMR, 0xf0);
	assert_int_equal(lines(f, 0), 0);
	icc_write(f, 0, ICC_IGRPEN1, 1);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_true(vgic_irq_pending(f->vm.vcpus[0]));
	bus_write(f, 0, DIST, 4, 0);
	assert_int_equal(lines(f, 0), 0);
	bus_write(f, 0, DIST, 4, 2);
	bus_write(f, 0, DIST + 0x184, 4, 1 << 8);
	assert_int_equal(lines(f, 0), 0);
	assert_false(vgic_irq_pending(f->vm.vcpus[0]));
	fake_free(f);
}

static void the_priority_mask_hides_priorities_at_or_below_it(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	icc_write(f, 0, ICC_PMR, 0x80);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(ack(f, 0), SPURIOUS);
	assert_int_equal(icc_read(f, 0, ICC_HPPIR1), SPI);
	icc_write(f, 0, ICC_PMR, 0x88);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	fake_free(f);
}

static void only_five_bits_of_priority_are_implemented(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0xff);
	assert_int_equal(bus_read(f, 0, DIST + 0x400 + SPI, 1), 0xf8);
	icc_write(f, 0, ICC_PMR, 0xff);
	assert_int_equal(icc_read(f, 0, ICC_PMR), 0xf8);
	icc_write(f, 0, ICC_BPR0, 0);
	icc_write(f, 0, ICC_BPR1, 0);
	assert_int_equal(icc_read(f, 0, ICC_BPR0), 2);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 3);
	assert_int_equal(icc_read(f, 0, ICC_CTLR) >> 8 & 7, 4);
	fake_free(f);
}

static void the_highest_priority_comes_first_and_among_equals_the_lowest_intid(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	enable_spi(f, SPI2, 0x80);
	enable_spi(f, 100, 0x40);
	spi_level(f, SPI2, true);
	spi_level(f, SPI, true);
	spi_level(f, 100, true);
	assert_int_equal(ack(f, 0), 100);
	spi_level(f, 100, false);
	eoi(f, 0, 100);
	assert_int_equal(ack(f, 0), SPI);
	fake_free(f);
}

static void a_higher_priority_preempts_and_priorities_drop_in_order(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	enable_spi(f, SPI2, 0x40);
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	spi_level(f, SPI2, true);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(ack(f, 0), SPI2);
	assert_int_equal(icc_read(f, 0, ICC_AP1R0), 1u << 8 | 1u << 16);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x40);
	spi_level(f, SPI2, false);
	eoi(f, 0, SPI2);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x80);
	spi_level(f, SPI, false);
	eoi(f, 0, SPI);
	assert_int_equal(icc_read(f, 0, ICC_AP1R0), 0);
	fake_free(f);
}

static void the_binary_point_decides_who_preempts(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x88);
	enable_spi(f, SPI2, 0x80);
	icc_write(f, 0, ICC_BPR1, 4); /* group priority is bits 7:4: 0x80 for both */
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x80);
	spi_level(f, SPI2, true);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(ack(f, 0), SPURIOUS);
	icc_write(f, 0, ICC_EOIR1, SPI);
	assert_int_equal(ack(f, 0), SPI2); /* subpriority orders them */
	fake_free(f);
}

static void with_cbpr_group_1_uses_the_binary_point_of_group_0(void **state)
{
	struct fake *f = guest(1);

	icc_write(f, 0, ICC_BPR1, 7);
	icc_write(f, 0, ICC_BPR0, 3);
	icc_write(f, 0, ICC_CTLR, 1);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 4);
	icc_write(f, 0, ICC_BPR1, 6);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 4);
	icc_write(f, 0, ICC_BPR0, 7);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 7);
	icc_write(f, 0, ICC_CTLR, 0);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 7);
	fake_free(f);
}

static void with_eoimode_the_drop_and_the_deactivation_are_separate(void **state)
{
	struct fake *f = guest(1);

	icc_write(f, 0, ICC_CTLR, 2);
	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	eoi(f, 0, SPI);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0xff);
	assert_int_equal(bus_read(f, 0, DIST + 0x304, 4) >> 8 & 1, 1);
	assert_int_equal(lines(f, 0), 0); /* active: not signalled again */
	icc_write(f, 0, ICC_DIR, SPI);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	fake_free(f);
}

static void an_spi_may_be_deactivated_by_another_vcpu(void **state)
{
	struct fake *f = guest(2);

	icc_write(f, 0, ICC_CTLR, 2);
	icc_write(f, 1, ICC_CTLR, 2);
	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	eoi(f, 0, SPI);
	icc_write(f, 1, ICC_DIR, SPI);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	fake_free(f);
}

static void group_0_is_an_fiq_and_has_registers_of_its_own(void **state)
{
	struct fake *f = guest(1);

	icc_write(f, 0, ICC_IGRPEN0, 1);
	enable_spi(f, SPI, 0x80);
	bus_write(f, 0, DIST + 0x84, 4, ~(1u << 8));
	spi_level(f, SPI, true);
	assert_int_equal(lines(f, 0), CPU_FIQ);
	assert_int_equal(ack(f, 0), SPURIOUS);
	assert_int_equal(icc_read(f, 0, ICC_HPPIR1), SPURIOUS);
	assert_int_equal(icc_read(f, 0, ICC_HPPIR0), SPI);
	assert_int_equal(icc_read(f, 0, ICC_IAR0), SPI);
	assert_int_equal(icc_read(f, 0, ICC_AP0R0), 1u << 16);
	spi_level(f, SPI, false);
	eoi(f, 0, SPI); /* the other group's register: the priority drops, the interrupt stays active */
	assert_int_equal(bus_read(f, 0, DIST + 0x304, 4) >> 8 & 1, 1);
	icc_write(f, 0, ICC_EOIR0, SPI);
	assert_int_equal(bus_read(f, 0, DIST + 0x304, 4) >> 8 & 1, 0);
	fake_free(f);
}

static void a_disabled_group_does_not_hide_the_other(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x10);
	bus_write(f, 0, DIST + 0x84, 4, ~(1u << 8)); /* group 0, off */
	enable_spi(f, SPI2, 0x80);
	spi_level(f, SPI, true);
	spi_level(f, SPI2, true);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(ack(f, 0), SPI2);
	fake_free(f);
}

static void special_intids_end_nothing(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	for (unsigned n = 1020; n < 1024; n++)
		eoi(f, 0, n);
	assert_int_equal(icc_read(f, 0, ICC_RPR), 0x80);
	fake_free(f);
}

static void an_spi_goes_where_irouter_says_and_moves_while_it_is_pending(void **state)
{
	struct fake *f = guest(20);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	assert_int_equal(lines(f, 0), CPU_IRQ);			   /* reset: vcpu 0 */
	bus_write(f, 0, DIST + 0x6000 + SPI * 8, 8, 0xff00000103); /* Aff1 1, Aff0 3; Aff3 is not kept */
	assert_int_equal(bus_read(f, 0, DIST + 0x6000 + SPI * 8, 8), 0x103);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 19), CPU_IRQ);
	assert_int_equal(f->kicks[19], 1);
	bus_write(f, 0, DIST + 0x6000 + SPI * 8, 4, 0x555); /* nobody */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(lines(f, i), 0);
	bus_write(f, 0, DIST + 0x6000 + SPI * 8, 4, 2);
	assert_int_equal(ack(f, 2), SPI);
	bus_write(f, 0, DIST + 0x6000 + SPI * 8, 4, 4); /* active: stays until it is ended, then comes up there */
	assert_int_equal(lines(f, 4), 0);
	eoi(f, 2, SPI);
	assert_int_equal(lines(f, 4), CPU_IRQ);
	fake_free(f);
}

static void an_sgi_reaches_the_vcpus_of_its_list(void **state)
{
	struct fake *f = guest(20);

	vgic_send_sgi(f->vm.vcpus[0], 5ull << 24 | 1 << 16 | 0x000a, true); /* cluster 1: Aff0 1 and 3 */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(lines(f, i), i == 17 || i == 19 ? CPU_IRQ : 0);
	assert_int_equal(ack(f, 17), 5);
	eoi(f, 17, 5);
	assert_int_equal(ack(f, 17), SPURIOUS);
	fake_free(f);
}

static void an_sgi_with_irm_reaches_all_but_its_sender(void **state)
{
	struct fake *f = guest(4);

	vgic_send_sgi(f->vm.vcpus[2], 1ull << 40 | 3 << 24, true);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(lines(f, i), i == 2 ? 0 : CPU_IRQ);
	fake_free(f);
}

static void sgi0r_makes_group_0_sgis_only(void **state)
{
	struct fake *f = guest(2);

	icc_write(f, 1, ICC_IGRPEN0, 1);
	vgic_send_sgi(f->vm.vcpus[0], 3 << 24 | 2, false);
	assert_int_equal(lines(f, 1), 0);
	bus_write(f, 1, REDIST + REDIST_SIZE + SGI_FRAME + 0x80, 4, ~8u);
	vgic_send_sgi(f->vm.vcpus[0], 3 << 24 | 2, false);
	assert_int_equal(lines(f, 1), CPU_FIQ);
	fake_free(f);
}

static void private_interrupts_belong_to_their_redistributor(void **state)
{
	struct fake *f = guest(2);
	ipa_t frame1 = REDIST + REDIST_SIZE + SGI_FRAME;

	bus_write(f, 0, frame1 + 0x100, 4, 1u << 27);
	assert_int_equal(bus_read(f, 0, REDIST + SGI_FRAME + 0x100, 4), 0xffff);
	assert_int_equal(bus_read(f, 0, frame1 + 0x100, 4), 0xffff | 1u << 27);
	vgic_set_irq(&f->vm, f->vm.vcpus[0], 27, true, NULL);
	vgic_set_irq(&f->vm, f->vm.vcpus[1], 27, true, NULL);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(bus_read(f, 0, DIST + 0x100, 4), 0); /* not in the distributor */
	assert_int_equal(bus_read(f, 0, DIST + 0x200, 4), 0);
	assert_int_equal(bus_read(f, 0, frame1 + 0xc00, 4), 0xaaaaaaaa); /* SGIs are edge */
	assert_int_equal(bus_read(f, 0, frame1 + 0xc04, 4), 0);
	fake_free(f);
}

static void a_line_that_a_device_claimed_is_deaf_to_the_client(void **state)
{
	struct fake *f = guest(1);
	static const char me, other;

	bus_write(f, 0, REDIST + SGI_FRAME + 0x100, 4, 1u << 27);
	assert_int_equal(vgic_claim(&f->vm, f->vm.vcpus[0], 27, &me), 0);
	assert_int_equal(vgic_claim(&f->vm, f->vm.vcpus[0], 27, &me), 0);
	assert_int_equal(vgic_claim(&f->vm, f->vm.vcpus[0], 27, &other), -EEXIST);
	assert_int_equal(vgic_claim(&f->vm, f->vm.vcpus[0], 3, &me), -EINVAL);
	assert_int_equal(vgic_set_irq(&f->vm, f->vm.vcpus[0], 27, true, NULL), 0);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(vgic_set_irq(&f->vm, f->vm.vcpus[0], 27, true, &me), 0);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	fake_free(f);
}

static void lines_that_do_not_exist_are_an_error(void **state)
{
	struct fake *f = guest(1);

	assert_int_equal(vgic_set_irq(&f->vm, NULL, 256, true, NULL), -EINVAL);
	assert_int_equal(vgic_set_irq(&f->vm, NULL, 27, true, NULL), -EINVAL);
	assert_int_equal(vgic_set_irq(&f->vm, NULL, 255, true, NULL), 0);
	fake_free(f);
}

static unsigned notified;
static void note_eoi(struct vm *vm, unsigned intid)
{
	notified = intid;
}

static void the_end_of_a_level_spi_is_told_to_the_notifier(void **state)
{
	struct fake *f = guest(1);

	vgic_set_eoi_notifier(&f->vm, note_eoi);
	make_edge(f, SPI2);
	enable_spi(f, SPI, 0x80);
	enable_spi(f, SPI2, 0x80);
	spi_level(f, SPI2, true);
	assert_int_equal(ack(f, 0), SPI2);
	eoi(f, 0, SPI2);
	assert_int_equal(notified, 0);
	spi_level(f, SPI, true);
	assert_int_equal(ack(f, 0), SPI);
	assert_int_equal(notified, 0);
	eoi(f, 0, SPI);
	assert_int_equal(notified, SPI);
	notified = 0;
	fake_free(f);
}

static void identification_registers_have_kvms_values(void **state)
{
	struct fake *f = fake_gicv3(2);

	assert_int_equal(bus_read(f, 0, DIST + 0x0, 4), 0x50);
	assert_int_equal(bus_read(f, 0, DIST + 0x4, 4), 0x480007);
	assert_int_equal(bus_read(f, 0, DIST + 0x8, 4), 0x4b00343b);
	assert_int_equal(bus_read(f, 0, REDIST + 0x4, 4), 0x4b00043b);
	assert_int_equal(bus_read(f, 0, DIST + 0x10, 4), 0xffffffff);
	assert_int_equal(bus_read(f, 0, DIST + 0xffe8, 4), 0x3b);
	assert_int_equal(bus_read(f, 0, DIST + 0xffec, 4), 0);
	assert_int_equal(bus_read(f, 0, REDIST + 0x8, 8), 0);
	assert_int_equal(bus_read(f, 0, REDIST + REDIST_SIZE + 0x8, 8), 0x100000110);
	assert_int_equal(bus_read(f, 0, REDIST + REDIST_SIZE + 0xc, 4), 1);
	assert_int_equal(bus_read(f, 0, REDIST + 0x14, 4), 0);
	assert_int_equal(bus_read(f, 0, REDIST + 0xffe8, 4), 0x3b);
	fake_free(f);
}

static void accesses_that_no_register_takes_read_zero_and_write_nothing(void **state)
{
	struct fake *f = fake_gicv3(1);

	assert_int_equal(bus_read(f, 0, DIST + 0x4, 1), 0);
	assert_int_equal(bus_read(f, 0, DIST + 0x5, 4), 0);
	assert_int_equal(bus_read(f, 0, DIST + 0x0, 8), 0);
	assert_int_equal(bus_read(f, 0, DIST + 0x3000, 4), 0);
	bus_write(f, 0, DIST + 0x104, 1, 0xff);
	bus_write(f, 0, DIST + 0x104, 2, 0xff);
	assert_int_equal(bus_read(f, 0, DIST + 0x104, 4), 0);
	bus_write(f, 0, DIST + 0x800 + SPI, 4, 0xffffffff); /* ITARGETSR */
	assert_int_equal(bus_read(f, 0, DIST + 0x800 + SPI, 4), 0);
	bus_write(f, 0, DIST + 0x120, 4, 0xffffffff); /* INTIDs beyond 256 */
	assert_int_equal(bus_read(f, 0, DIST + 0x120, 4), 0);
	bus_write(f, 0, DIST + 0x6000 + SPI * 8 + 4, 4, 0xffffffff);
	assert_int_equal(bus_read(f, 0, DIST + 0x6000 + SPI * 8, 8), 0);
	fake_free(f);
}

static void registers_that_5_bits_of_priority_do_not_need_are_undefined(void **state)
{
	struct fake *f = fake_gicv3(1);
	uint64_t val;

	assert_int_equal(vgic_icc_read(f->vm.vcpus[0], ICC_AP0R1, &val), -ENOENT);
	assert_int_equal(vgic_icc_write(f->vm.vcpus[0], ICC_AP1R1, 0), -ENOENT);
	assert_int_equal(vgic_icc_read(f->vm.vcpus[0], ICC_EOIR1, &val), -ENOENT); /* write only */
	assert_int_equal(vgic_icc_write(f->vm.vcpus[0], ICC_IAR1, 0), -ENOENT);	   /* read only */
	fake_free(f);
}

static void a_reset_of_the_vcpu_closes_its_cpu_interface(void **state)
{
	struct fake *f = guest(1);

	enable_spi(f, SPI, 0x80);
	spi_level(f, SPI, true);
	vgic_vcpu_reset(f->vm.vcpus[0]);
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(icc_read(f, 0, ICC_PMR), 0);
	assert_int_equal(icc_read(f, 0, ICC_IGRPEN1), 0);
	assert_int_equal(icc_read(f, 0, ICC_BPR1), 3);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_level_interrupt_is_signalled_acknowledged_and_comes_again_while_its_line_is_high),
		cmocka_unit_test(a_level_interrupt_whose_line_falls_before_acknowledgement_is_spurious),
		cmocka_unit_test(an_edge_interrupt_latches_once_and_again_while_it_is_active),
		cmocka_unit_test(software_pending_of_a_level_interrupt_ends_with_its_acknowledgement),
		cmocka_unit_test(clearing_pending_does_not_beat_a_line_that_is_high),
		cmocka_unit_test(nothing_is_signalled_while_any_of_the_enables_is_off),
		cmocka_unit_test(the_priority_mask_hides_priorities_at_or_below_it),
		cmocka_unit_test(only_five_bits_of_priority_are_implemented),
		cmocka_unit_test(the_highest_priority_comes_first_and_among_equals_the_lowest_intid),
		cmocka_unit_test(a_higher_priority_preempts_and_priorities_drop_in_order),
		cmocka_unit_test(the_binary_point_decides_who_preempts),
		cmocka_unit_test(with_cbpr_group_1_uses_the_binary_point_of_group_0),
		cmocka_unit_test(with_eoimode_the_drop_and_the_deactivation_are_separate),
		cmocka_unit_test(an_spi_may_be_deactivated_by_another_vcpu),
		cmocka_unit_test(group_0_is_an_fiq_and_has_registers_of_its_own),
		cmocka_unit_test(a_disabled_group_does_not_hide_the_other),
		cmocka_unit_test(special_intids_end_nothing),
		cmocka_unit_test(an_spi_goes_where_irouter_says_and_moves_while_it_is_pending),
		cmocka_unit_test(an_sgi_reaches_the_vcpus_of_its_list),
		cmocka_unit_test(an_sgi_with_irm_reaches_all_but_its_sender),
		cmocka_unit_test(sgi0r_makes_group_0_sgis_only),
		cmocka_unit_test(private_interrupts_belong_to_their_redistributor),
		cmocka_unit_test(a_line_that_a_device_claimed_is_deaf_to_the_client),
		cmocka_unit_test(lines_that_do_not_exist_are_an_error),
		cmocka_unit_test(the_end_of_a_level_spi_is_told_to_the_notifier),
		cmocka_unit_test(identification_registers_have_kvms_values),
		cmocka_unit_test(accesses_that_no_register_takes_read_zero_and_write_nothing),
		cmocka_unit_test(registers_that_5_bits_of_priority_do_not_need_are_undefined),
		cmocka_unit_test(a_reset_of_the_vcpu_closes_its_cpu_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
