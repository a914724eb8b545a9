/* SPDX-License-Identifier: MIT */
/* Timer lines, offsets and attributes, on a clock that moves only when a test moves it. Arm ARM DDI 0487, "The Generic
 * Timer". */
#include "fake.h"

enum { ENABLE = 1, IMASK = 2, ISTATUS = 4, VTIMER = 27, PTIMER = 30 };

void fake_vcpu_created(struct vcpu *vcpu)
{
	assert_int_equal(timer_vcpu_create(vcpu), 0);
}

/* A GICv3 guest whose timers run and whose CPU interfaces take everything. */
static struct fake *machine(unsigned vcpus)
{
	struct fake *f;

	fake_counter = 1000000;
	f = fake_gicv3(vcpus);
	bus_write(f, 0, DIST, 4, 2);
	for (unsigned i = 0; i < vcpus; i++) {
		bus_write(f, 0, REDIST + i * REDIST_SIZE + SGI_FRAME + 0x100, 4, 1u << VTIMER | 1u << PTIMER);
		icc_write(f, i, ICC_PMR, 0xf0);
		icc_write(f, i, ICC_IGRPEN1, 1);
		assert_int_equal(timer_vcpu_first_run(f->vm.vcpus[i]), 0);
	}
	return f;
}

static void end(struct fake *f)
{
	for (unsigned i = 0; i < atomic_load(&f->vm.n_vcpus); i++)
		timer_vcpu_destroy(f->vm.vcpus[i]);
	fake_free(f);
}

static void program(struct fake *f, unsigned vcpu, unsigned timer, uint64_t cval, uint32_t ctl)
{
	f->vm.vcpus[vcpu]->cpu->timer[timer].cval = cval;
	f->vm.vcpus[vcpu]->cpu->timer[timer].ctl = ctl;
	timer_changed(f->vm.vcpus[vcpu]);
}

/* The service thread's part: call what is due. */
static void expire(struct fake *f)
{
	for (unsigned i = 0; i < atomic_load(&f->vm.n_vcpus); i++) {
		for (unsigned t = 0; t < CPU_TIMER_COUNT; t++) {
			struct service_timer *s = &f->vm.vcpus[i]->timer_deadline[t];

			if (!s->queued || s->deadline > fake_counter)
				continue;
			s->queued = false;
			s->fn(s->arg);
		}
	}
}

static void the_line_rises_when_the_counter_reaches_cval(void **state)
{
	struct fake *f = machine(1);
	struct service_timer *s = &f->vm.vcpus[0]->timer_deadline[CPU_TIMER_V];

	program(f, 0, CPU_TIMER_V, 500, ENABLE); /* the virtual counter began at 0 */
	assert_true(s->queued);
	assert_int_equal(s->deadline, 1000500);
	fake_counter += 499;
	s->fn(s->arg); /* too early: nothing */
	assert_int_equal(lines(f, 0), 0);
	fake_counter += 1;
	expire(f);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), VTIMER);
	end(f);
}

static void a_vcpu_that_polls_raises_the_line_and_the_service_thread_comes_later(void **state)
{
	struct fake *f = machine(1);
	struct service_timer *s = &f->vm.vcpus[0]->timer_deadline[CPU_TIMER_V];

	program(f, 0, CPU_TIMER_V, 500, ENABLE);
	assert_int_equal(timer_next_rise(f->vm.vcpus[0]), 1000500);
	timer_poll_begin(f->vm.vcpus[0]);
	assert_true(s->queued);
	assert_in_range(s->deadline, 1000501, 1000500 + CPU_CNTFRQ / 1000);
	fake_counter += 499;
	timer_poll_end(f->vm.vcpus[0]); /* too early: the thread is to come in time again */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(s->deadline, 1000500);
	timer_poll_begin(f->vm.vcpus[0]);
	fake_counter += 1;
	timer_poll_end(f->vm.vcpus[0]);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_int_equal(timer_next_rise(f->vm.vcpus[0]), UINT64_MAX);
	assert_int_equal(icc_read(f, 0, ICC_IAR1), VTIMER);
	program(f, 0, CPU_TIMER_V, 1000, ENABLE); /* the guest moves it on before the thread comes */
	fake_counter += 499;
	s->fn(s->arg);
	assert_int_equal(lines(f, 0), 0);
	end(f);
}

static void a_cval_in_the_past_raises_the_line_at_once(void **state)
{
	struct fake *f = machine(1);

	fake_counter += 100;
	program(f, 0, CPU_TIMER_V, 100, ENABLE);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	assert_false(f->vm.vcpus[0]->timer_deadline[CPU_TIMER_V].queued);
	end(f);
}

static void the_line_falls_when_the_guest_moves_masks_or_disables_the_timer(void **state)
{
	struct fake *f = machine(1);

	program(f, 0, CPU_TIMER_V, 0, ENABLE);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	program(f, 0, CPU_TIMER_V, 1000, ENABLE);
	assert_int_equal(lines(f, 0), 0);
	program(f, 0, CPU_TIMER_V, 0, ENABLE);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	program(f, 0, CPU_TIMER_V, 0, ENABLE | IMASK);
	assert_int_equal(lines(f, 0), 0);
	program(f, 0, CPU_TIMER_V, 0, ENABLE);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	program(f, 0, CPU_TIMER_V, 0, 0);
	assert_int_equal(lines(f, 0), 0);
	end(f);
}

static void a_timer_that_was_moved_does_not_fire_at_its_old_time(void **state)
{
	struct fake *f = machine(1);
	struct service_timer *s = &f->vm.vcpus[0]->timer_deadline[CPU_TIMER_V];

	program(f, 0, CPU_TIMER_V, 100, ENABLE);
	program(f, 0, CPU_TIMER_V, 200, ENABLE);
	fake_counter += 150;
	s->fn(s->arg); /* the service thread was on its way already */
	assert_int_equal(lines(f, 0), 0);
	fake_counter += 50;
	expire(f);
	assert_int_equal(lines(f, 0), CPU_IRQ);
	end(f);
}

static void a_cval_that_the_counter_never_reaches_arms_nothing(void **state)
{
	struct fake *f = machine(1);

	program(f, 0, CPU_TIMER_V, UINT64_MAX, ENABLE);
	assert_false(f->vm.vcpus[0]->timer_deadline[CPU_TIMER_V].queued);
	assert_int_equal(lines(f, 0), 0);
	end(f);
}

static void timers_are_independent_and_private(void **state)
{
	struct fake *f = machine(2);

	program(f, 1, CPU_TIMER_P, 0, ENABLE); /* the physical counter is the host's */
	assert_int_equal(lines(f, 0), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(icc_read(f, 1, ICC_IAR1), PTIMER);
	end(f);
}

static void a_write_that_changes_nothing_arms_nothing(void **state)
{
	struct fake *f = machine(1);

	program(f, 0, CPU_TIMER_V, 500, ENABLE);
	f->timer = NULL;
	timer_changed(f->vm.vcpus[0]);
	assert_null(f->timer);
	end(f);
}

static void each_vcpu_creation_restarts_the_virtual_counter_unless_an_offset_was_set(void **state)
{
	struct kvm_arm_counter_offset off = {.counter_offset = 7};
	struct fake *f = fake_new(1);
	uint64_t val;

	fake_counter += 5000;
	assert_int_equal(timer_get_reg(f->vm.vcpus[0], KVM_REG_ARM_TIMER_CNT, &val), 0);
	assert_int_equal(val, 5000);
	assert_int_equal(timer_get_reg(f->vm.vcpus[0], KVM_REG_ARM_PTIMER_CNT, &val), 0);
	assert_int_equal(val, fake_counter);
	fake_add_vcpu(f, 1);
	timer_get_reg(f->vm.vcpus[0], KVM_REG_ARM_TIMER_CNT, &val);
	assert_int_equal(val, 0);
	assert_int_equal(timer_set_counter_offset(&f->vm, &off), 0);
	fake_add_vcpu(f, 2);
	timer_get_reg(f->vm.vcpus[0], KVM_REG_ARM_TIMER_CNT, &val);
	assert_int_equal(val, fake_counter - 7);
	end(f);
}

static void a_counter_offset_moves_both_counters_and_freezes_them(void **state)
{
	struct kvm_arm_counter_offset off = {.counter_offset = 1000, .reserved = 1};
	struct fake *f = machine(2);
	struct vcpu *vcpu = f->vm.vcpus[0];
	uint64_t val;

	assert_int_equal(timer_set_counter_offset(&f->vm, &off), -EINVAL);
	off.reserved = 0;
	pthread_mutex_lock(&f->vm.vcpus[1]->mutex);
	assert_int_equal(timer_set_counter_offset(&f->vm, &off), -EBUSY);
	pthread_mutex_unlock(&f->vm.vcpus[1]->mutex);
	assert_int_equal(timer_set_counter_offset(&f->vm, &off), 0);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_TIMER_CNT, 5), 0);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_PTIMER_CNT, 5), 0);
	timer_get_reg(vcpu, KVM_REG_ARM_TIMER_CNT, &val);
	assert_int_equal(val, fake_counter - 1000);
	timer_get_reg(vcpu, KVM_REG_ARM_PTIMER_CNT, &val);
	assert_int_equal(val, fake_counter - 1000);
	end(f);
}

static void setting_the_count_moves_the_line_of_every_vcpu(void **state)
{
	struct fake *f = machine(2);

	program(f, 1, CPU_TIMER_V, 500, ENABLE);
	assert_int_equal(timer_set_reg(f->vm.vcpus[0], KVM_REG_ARM_TIMER_CNT, 600), 0);
	assert_int_equal(lines(f, 1), CPU_IRQ);
	assert_int_equal(timer_set_reg(f->vm.vcpus[0], KVM_REG_ARM_TIMER_CNT, 400), 0);
	assert_int_equal(lines(f, 1), 0);
	assert_int_equal(f->vm.vcpus[1]->timer_deadline[CPU_TIMER_V].deadline, fake_counter + 100);
	end(f);
}

static void the_clients_registers(void **state)
{
	struct fake *f = machine(1);
	struct vcpu *vcpu = f->vm.vcpus[0];
	uint64_t val;

	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_TIMER_CVAL, 0x1234), 0);
	assert_int_equal(vcpu->cpu->timer[CPU_TIMER_V].cval, 0x1234);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_TIMER_CTL, 0xff), 0);
	assert_int_equal(vcpu->cpu->timer[CPU_TIMER_V].ctl, 3); /* ISTATUS is not stored */
	timer_get_reg(vcpu, KVM_REG_ARM_TIMER_CTL, &val);
	assert_int_equal(val, 3);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_TIMER_CTL, 0), 0);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_TIMER_CVAL, 0), 0);
	timer_get_reg(vcpu, KVM_REG_ARM_TIMER_CTL, &val);
	assert_int_equal(val, ISTATUS); /* also while it is disabled */
	assert_int_equal(timer_get_reg(vcpu, KVM_REG_ARM_PSCI_VERSION, &val), -ENOENT);
	assert_int_equal(timer_set_reg(vcpu, KVM_REG_ARM_PSCI_VERSION, 0), -ENOENT);
	end(f);
}

static void a_reset_turns_both_timers_off(void **state)
{
	struct fake *f = machine(1);

	program(f, 0, CPU_TIMER_V, 0, ENABLE);
	program(f, 0, CPU_TIMER_P, 2000000, ENABLE);
	timer_vcpu_reset(f->vm.vcpus[0]);
	assert_int_equal(lines(f, 0), 0);
	assert_false(f->vm.vcpus[0]->timer_deadline[CPU_TIMER_P].queued);
	assert_int_equal(f->vm.vcpus[0]->cpu->timer[CPU_TIMER_P].ctl, 0);
	end(f);
}

static void without_an_irqchip_the_lines_are_the_clients(void **state)
{
	struct fake *f = fake_new(1);
	struct vcpu *vcpu = f->vm.vcpus[0];

	assert_int_equal(timer_vcpu_first_run(vcpu), 0);
	assert_false(timer_update_user_level(vcpu));
	vcpu->pmu_level = true;
	program(f, 0, CPU_TIMER_V, 0, ENABLE);
	assert_int_equal(f->kicks[0], 1);
	assert_true(timer_update_user_level(vcpu));
	assert_int_equal(vcpu->run->s.regs.device_irq_level, KVM_ARM_DEV_PMU | KVM_ARM_DEV_EL1_VTIMER);
	assert_false(timer_update_user_level(vcpu));
	assert_int_equal(lines(f, 0), 0);
	program(f, 0, CPU_TIMER_V, 0, 0);
	assert_true(timer_update_user_level(vcpu));
	assert_int_equal(vcpu->run->s.regs.device_irq_level, KVM_ARM_DEV_PMU);
	end(f);
}

static int attr(struct fake *f, int (*fn)(struct vcpu *, const struct kvm_device_attr *), uint64_t which, void *val)
{
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_TIMER_CTRL, .attr = which, .addr = (uintptr_t)val};

	return fn(f->vm.vcpus[0], &a);
}

static void ppi_attributes(void **state)
{
	struct fake *f = fake_new(1);
	int irq = 20;

	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), -EINVAL); /* no irqchip */
	vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	assert_int_equal(attr(f, timer_has_attr, KVM_ARM_VCPU_TIMER_IRQ_PTIMER, NULL), 0);
	assert_int_equal(attr(f, timer_has_attr, 9, NULL), -ENXIO);
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, NULL), -EFAULT);
	assert_int_equal(attr(f, timer_set_attr, 9, &irq), -ENXIO);
	irq = 32;
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), -EINVAL);
	irq = 15;
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), -EINVAL);
	irq = 30; /* the physical timer's: found at the first run */
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	assert_int_equal(timer_vcpu_first_run(f->vm.vcpus[0]), -EINVAL);
	irq = 20;
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), 0);
	assert_int_equal(timer_vcpu_first_run(f->vm.vcpus[0]), 0);
	atomic_store(&f->vm.has_run, true);
	assert_int_equal(attr(f, timer_set_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), -EBUSY);
	irq = 0;
	assert_int_equal(attr(f, timer_get_attr, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, &irq), 0);
	assert_int_equal(irq, 20);
	assert_int_equal(attr(f, timer_get_attr, KVM_ARM_VCPU_TIMER_IRQ_HVTIMER, &irq), 0);
	assert_int_equal(irq, 28);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_rises_when_the_counter_reaches_cval),
		cmocka_unit_test(a_vcpu_that_polls_raises_the_line_and_the_service_thread_comes_later),
		cmocka_unit_test(a_cval_in_the_past_raises_the_line_at_once),
		cmocka_unit_test(the_line_falls_when_the_guest_moves_masks_or_disables_the_timer),
		cmocka_unit_test(a_timer_that_was_moved_does_not_fire_at_its_old_time),
		cmocka_unit_test(a_cval_that_the_counter_never_reaches_arms_nothing),
		cmocka_unit_test(timers_are_independent_and_private),
		cmocka_unit_test(a_write_that_changes_nothing_arms_nothing),
		cmocka_unit_test(each_vcpu_creation_restarts_the_virtual_counter_unless_an_offset_was_set),
		cmocka_unit_test(a_counter_offset_moves_both_counters_and_freezes_them),
		cmocka_unit_test(setting_the_count_moves_the_line_of_every_vcpu),
		cmocka_unit_test(the_clients_registers),
		cmocka_unit_test(a_reset_turns_both_timers_off),
		cmocka_unit_test(without_an_irqchip_the_lines_are_the_clients),
		cmocka_unit_test(ppi_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
