/* SPDX-License-Identifier: MIT */
/*
 * Store-exclusives and the local monitor. Arm ARM DDI 0487, AArch64.ExclusiveMonitorsPass(): whether memory aborts are detected before
 * or after the check of the monitor is IMPLEMENTATION DEFINED. Here the monitor comes first, as in QEMU: without it a store-exclusive
 * fails and touches nothing, wherever it points to. What comes before the access, SP's alignment, comes before.
 */
#include "machine.h"

#include "isa.h"

enum {
	HVC_0 = 0xd4000002,
	LDXR_X3_X5 = 0xc85f7ca3,
	STXR_W4_X2_X5 = 0xc8047ca2,
	STXR_W4_W2_X5 = 0x88047ca2,
	STLXRB_W4_W2_X5 = 0x0804fca2,
	STXP_W4_X2_X3_X5 = 0xc8240ca2,
	STXR_W4_X2_SP = 0xc8047fe2,
	LDXR_X3_SP = 0xc85f7fe3,
	CLREX = 0xd5033f5f,
	NOP = 0xd503201f,
	PAGE = 0x1000000, /* a VA */
};

static uint64_t start(struct machine *m)
{
	uint64_t root;

	machine_new(m, 1);
	root = machine_mmu(m, m->cpu);
	m->cpu->env.x[2] = 0x1111222233334444;
	m->cpu->env.x[4] = 7;
	return root;
}

static void run2(struct machine *m, uint32_t first, uint32_t second)
{
	LOAD(m, CODE, {first, second, HVC_0});
	cpu_code_changed(m->cpu);
	m->cpu->env.pc = CODE;
}

/* insn after `first`: fails with nothing written. */
static void expect_failure(struct machine *m, uint32_t first, uint32_t insn, uint64_t va)
{
	m->cpu->env.x[4] = 7;
	m->cpu->env.x[5] = va;
	run2(m, first, insn);
	expect_hvc(m->cpu, END);
	assert_int_equal(m->cpu->env.x[4], 1);
}

static void without_the_monitor_a_store_fails_and_does_not_fault(void **state)
{
	static const uint32_t stores[] = {STXR_W4_X2_X5, STXR_W4_W2_X5, STLXRB_W4_W2_X5, STXP_W4_X2_X3_X5};
	struct machine m;
	uint64_t root = start(&m);

	machine_map(&m, root, PAGE + 0x1000, DATA, PTE_AF | PTE_RO);
	machine_map(&m, root, PAGE + 0x2000, HOLE, PTE_AF | PTE_DEVICE);
	machine_map(&m, root, PAGE + 0x3000, DATA, 0); /* no access flag */
	machine_write(&m, DATA, 99);
	for (unsigned i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
		expect_failure(&m, NOP, stores[i], DATA);
		expect_failure(&m, CLREX, stores[i], DATA);
		expect_failure(&m, NOP, stores[i], PAGE); /* nothing is there */
		expect_failure(&m, NOP, stores[i], PAGE + 0x1000);
		expect_failure(&m, NOP, stores[i], PAGE + 0x2000); /* no MMIO */
		expect_failure(&m, NOP, stores[i], PAGE + 0x3000);
		expect_failure(&m, NOP, stores[i], DATA + 1); /* misaligned, but for the byte */
		expect_failure(&m, NOP, stores[i], 0x00f0000000000000);
	}
	assert_int_equal(machine_read(&m, DATA), 99);
	machine_free(&m);
}

static void the_monitor_is_for_an_address_a_size_and_one_store(void **state)
{
	struct machine m;

	start(&m);
	m.cpu->env.x[5] = DATA;
	machine_write(&m, DATA, 99);
	for (unsigned again = 0; again < 2; again++) {
		run2(&m, LDXR_X3_X5, STXR_W4_X2_X5);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[4], 0);
		assert_int_equal(machine_read(&m, DATA), 0x1111222233334444);
		expect_failure(&m, NOP, STXR_W4_X2_X5, DATA); /* the first has cleared it */
	}
	m.cpu->env.x[5] = DATA;
	expect_failure(&m, LDXR_X3_X5, STXR_W4_W2_X5, DATA);
	expect_failure(&m, LDXR_X3_X5, STXP_W4_X2_X3_X5, DATA);
	m.cpu->env.x[5] = DATA;
	LOAD(&m, CODE, {LDXR_X3_X5, 0x910020a5 /* add x5, x5, #8 */, STXR_W4_X2_X5, HVC_0});
	cpu_code_changed(m.cpu);
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[4], 1);
	machine_free(&m);
}

static void with_the_monitor_a_store_to_what_may_only_be_read_faults(void **state)
{
	struct machine m;
	uint64_t root = start(&m);

	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO);
	m.cpu->env.x[5] = PAGE;
	run2(&m, LDXR_X3_X5, STXR_W4_X2_X5);
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_DABT_CUR, FSC_PERMISSION | 3 | ISS_DABT_WNR), CODE + 4);
	assert_int_equal(m.cpu->sys[CPU_FAR_EL1], PAGE);
	assert_int_equal(m.cpu->env.x[4], 7);
	machine_free(&m);
}

static void a_misaligned_sp_faults_with_the_monitor_and_without(void **state)
{
	struct machine m;

	start(&m);
	m.cpu->sys[CPU_SCTLR_EL1] |= 1 << 3; /* SA */
	cpu_sys_changed(m.cpu);
	m.cpu->env.x[31] = DATA + 8;
	run2(&m, NOP, STXR_W4_X2_SP);
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_SP_ALIGN, 0), CODE + 4);
	m.cpu->env.x[31] = DATA + 8;
	run2(&m, LDXR_X3_SP, STXR_W4_X2_SP);
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_SP_ALIGN, 0), CODE);
	m.cpu->env.x[31] = PAGE; /* aligned, and nothing is there */
	run2(&m, NOP, STXR_W4_X2_SP);
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[4], 1);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_monitor_a_store_fails_and_does_not_fault),
		cmocka_unit_test(the_monitor_is_for_an_address_a_size_and_one_store),
		cmocka_unit_test(with_the_monitor_a_store_to_what_may_only_be_read_faults),
		cmocka_unit_test(a_misaligned_sp_faults_with_the_monitor_and_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
