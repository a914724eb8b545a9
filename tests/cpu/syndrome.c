/* SPDX-License-Identifier: MIT */
/*
 * Every synchronous exception that is taken to EL1, from EL0 and from EL1: its vector, ESR_EL1, ELR_EL1 and FAR_EL1, a row each.
 * Arm ARM DDI 0487, "ESR_EL1, Exception Syndrome Register", "ISS encoding for ...". Pointer authentication is in pauth.c, branch targets
 * in bti.c, what is trapped to EL2 in exception.c and mmu.c.
 */
#include "machine.h"

enum { MDSCR_SS = 1, MDSCR_KDE = 1 << 13, MDSCR_MDE = 1 << 15 };

enum {
	PAGE = 0x40400000,	/* read and write, for both ELs */
	ABSENT = PAGE + 0x1000, /* after it */
	READ_ONLY = PAGE + 0x2000,
	KERNEL = PAGE + 0x3000, /* EL1's */
	OLD = PAGE + 0x4000,	/* no access flag */
	DEVICE = PAGE + 0x5000,
	FAR_OUT = PAGE + 0x6000, /* an output address beyond TCR_EL1.IPS */
	NO_EXEC = PAGE + 0x7000, /* for both */
	NO_TABLE = 0x50000000,	 /* ends at level 2 */
	NO_ROOT = 0x80000000ull, /* at level 1 */
};
#define BEYOND (1ull << 40)   /* of the lower half, of 39 bits */
#define NOTHING 0xfedcba98ull /* FAR_EL1 is left alone */

enum { EL0 = 1, EL1 = 2, BOTH = 3 };
enum { AT_PC = 0, AFTER = 4 }; /* ELR_EL1 */
#define FP_OFF 1u	       /* how the PE is set up: CPACR_EL1.FPEN 0 */
#define NTW 2u		       /* SCTLR_EL1.nTWI, nTWE clear */
#define ALIGN 4u	       /* A */
#define PAN 8u		       /* PSTATE.PAN */
#define IL 16u		       /* PSTATE.IL */
#define BAD_SP 32u	       /* SP off by 8 */
#define BREAKPOINT 64u	       /* at the instruction, for both ELs */
#define WATCHPOINT 128u	       /* stores to PAGE + 4 to PAGE + 7 */
#define STEP 256u	       /* MDSCR_EL1.SS, and PSTATE.SS clear: pending */

static const struct row {
	const char *what;
	unsigned els, setup;
	uint32_t insn; /* addresses are in x10 */
	uint64_t x10;
	uint64_t ec, iss; /* of a pair of classes, that from a lower EL */
	unsigned elr;
	uint64_t far;
} rows[] = {
	{"udf #7", BOTH, 0, 0x00000007, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"unallocated", BOTH, 0, 0x02000000, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"hlt #5: halting debug is not there", BOTH, 0, 0xd44000a0, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"hvc at EL0", EL0, 0, 0xd4000022, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"smc at EL0", EL0, 0, 0xd4000023, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"eret at EL0", EL0, 0, 0xd69f03e0, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"mrs x0, sctlr_el1 at EL0", EL0, 0, 0xd5381000, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"mrs x0, vbar_el2", BOTH, 0, 0xd53cc000, 0, EC_UNKNOWN, 0, AT_PC, NOTHING},
	{"mrs x3, id_aa64isar0_el1 at EL0", EL0, 0, 0xd5380603, 0, EC_SYS64, 0x300001 | 3 << 5 | 6 << 1, AT_PC,
	 NOTHING},
	{"mrs x3, ctr_el0 without UCT", EL0, 0, 0xd53b0023, 0, EC_SYS64, 0x300001 | 1 << 17 | 3 << 14 | 3 << 5, AT_PC,
	 NOTHING},
	{"msr daifset, #2 without UMA", EL0, 0, 0xd50342df, 0, EC_SYS64, 6 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | 2 << 1,
	 AT_PC, NOTHING},
	{"dc zva, x10 without DZE", EL0, 0, 0xd50b742a, PAGE, EC_SYS64,
	 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 10 << 5 | 4 << 1, AT_PC, NOTHING},
	{"wfi without nTWI", EL0, NTW, 0xd503207f, 0, EC_WFX, 0x1e00000, AT_PC, NOTHING},
	{"wfe without nTWE", EL0, NTW, 0xd503205f, 0, EC_WFX, 0x1e00001, AT_PC, NOTHING},
	{"fmov s0, w1 with FPEN 0", BOTH, FP_OFF, 0x1e270020, 0, EC_FP_ACCESS, 0x1e00000, AT_PC, NOTHING},
	{"ldr q0, [x10] with FPEN 0, before its address", BOTH, FP_OFF, 0x3dc00140, ABSENT, EC_FP_ACCESS, 0x1e00000,
	 AT_PC, NOTHING},
	{"PSTATE.IL", BOTH, IL, 0xd503201f, 0, EC_ILLEGAL_STATE, 0, AT_PC, NOTHING},
	{"PSTATE.IL, before UDF", BOTH, IL, 0x00000000, 0, EC_ILLEGAL_STATE, 0, AT_PC, NOTHING},
	{"svc #0x1234", BOTH, 0, 0xd4024681, 0, EC_SVC64, 0x1234, AFTER, NOTHING},
	{"brk #0xffff", BOTH, 0, 0xd43fffe0, 0, EC_BRK64, 0xffff, AT_PC, NOTHING},

	{"ldr x0, [x10]: nothing there", BOTH, 0, 0xf9400140, ABSENT + 8, EC_DABT_LOWER, FSC_TRANSLATION | 3, AT_PC,
	 ABSENT + 8},
	{"str x0, [x10]", BOTH, 0, 0xf9000140, ABSENT + 8, EC_DABT_LOWER, FSC_TRANSLATION | 3 | ISS_DABT_WNR, AT_PC,
	 ABSENT + 8},
	{"no table of level 3", BOTH, 0, 0xf9400140, NO_TABLE, EC_DABT_LOWER, FSC_TRANSLATION | 2, AT_PC, NO_TABLE},
	{"no table of level 2", BOTH, 0, 0xf9400140, NO_ROOT, EC_DABT_LOWER, FSC_TRANSLATION | 1, AT_PC, NO_ROOT},
	{"beyond the half", BOTH, 0, 0xf9400140, BEYOND, EC_DABT_LOWER, FSC_TRANSLATION | 0, AT_PC, BEYOND},
	{"a half that EPD1 switches off", BOTH, 0, 0xf9400140, ~0ull << 30, EC_DABT_LOWER, FSC_TRANSLATION | 0, AT_PC,
	 ~0ull << 30},
	{"no access flag", BOTH, 0, 0xf9400140, OLD, EC_DABT_LOWER, FSC_ACCESS_FLAG | 3, AT_PC, OLD},
	{"an output address that is too large", BOTH, 0, 0xf9400140, FAR_OUT, EC_DABT_LOWER, FSC_ADDR_SIZE | 3, AT_PC,
	 FAR_OUT},
	{"a store to what is read-only", BOTH, 0, 0xf9000140, READ_ONLY, EC_DABT_LOWER,
	 FSC_PERMISSION | 3 | ISS_DABT_WNR, AT_PC, READ_ONLY},
	{"EL1's page", EL0, 0, 0xf9400140, KERNEL, EC_DABT_LOWER, FSC_PERMISSION | 3, AT_PC, KERNEL},
	{"ldtr x0, [x10]: EL1's page", BOTH, 0, 0xf8400940, KERNEL, EC_DABT_LOWER, FSC_PERMISSION | 3, AT_PC, KERNEL},
	{"sttr x0, [x10]", BOTH, 0, 0xf8000940, KERNEL, EC_DABT_LOWER, FSC_PERMISSION | 3 | ISS_DABT_WNR, AT_PC,
	 KERNEL},
	{"EL0's page with PAN", EL1, PAN, 0xf9400140, PAGE, EC_DABT_LOWER, FSC_PERMISSION | 3, AT_PC, PAGE},
	{"ldp x0, x1, [x10] that goes on there", BOTH, 0, 0xa9400540, ABSENT - 8, EC_DABT_LOWER, FSC_TRANSLATION | 3,
	 AT_PC, ABSENT},
	{"str x0, [x10] that goes on there", BOTH, 0, 0xf9000140, ABSENT - 1, EC_DABT_LOWER,
	 FSC_TRANSLATION | 3 | ISS_DABT_WNR, AT_PC, ABSENT},
	{"ldxr x0, [x10]", BOTH, 0, 0xc85f7d40, ABSENT, EC_DABT_LOWER, FSC_TRANSLATION | 3, AT_PC, ABSENT},
	{"swp x0, x1, [x10]: a read had faulted, too", BOTH, 0, 0xf8208141, ABSENT, EC_DABT_LOWER, FSC_TRANSLATION | 3,
	 AT_PC, ABSENT},
	{"swp x0, x1, [x10]: a read had not", BOTH, 0, 0xf8208141, READ_ONLY, EC_DABT_LOWER,
	 FSC_PERMISSION | 3 | ISS_DABT_WNR, AT_PC, READ_ONLY},
	{"dc civac, x10", EL1, 0, 0xd50b7e2a, ABSENT + 8, EC_DABT_LOWER,
	 FSC_TRANSLATION | 3 | ISS_DABT_CM | ISS_DABT_WNR, AT_PC, ABSENT + 8},
	{"ic ivau, x10", EL1, 0, 0xd50b752a, ABSENT, EC_DABT_LOWER, FSC_TRANSLATION | 3 | ISS_DABT_CM | ISS_DABT_WNR,
	 AT_PC, ABSENT},
	{"dc zva, x10", EL1, 0, 0xd50b742a, READ_ONLY + 4, EC_DABT_LOWER, FSC_PERMISSION | 3 | ISS_DABT_WNR, AT_PC,
	 READ_ONLY + 4},
	{"ldr x0, [x10] with A", BOTH, ALIGN, 0xf9400140, PAGE + 4, EC_DABT_LOWER, FSC_ALIGNMENT, AT_PC, PAGE + 4},
	{"str w0, [x10] with A, before the permission", BOTH, ALIGN, 0xb9000140, READ_ONLY + 2, EC_DABT_LOWER,
	 FSC_ALIGNMENT | ISS_DABT_WNR, AT_PC, READ_ONLY + 2},
	{"ldar x0, [x10]", BOTH, 0, 0xc8dffd40, PAGE + 4, EC_DABT_LOWER, FSC_ALIGNMENT, AT_PC, PAGE + 4},
	{"ldr x0, [x10]: Device memory", BOTH, 0, 0xf9400140, DEVICE + 4, EC_DABT_LOWER, FSC_ALIGNMENT, AT_PC,
	 DEVICE + 4},
	{"ldr x0, [sp]", BOTH, BAD_SP, 0xf94003e0, 0, EC_SP_ALIGN, 0, AT_PC, NOTHING},
	{"str x0, [x10] at a watchpoint", BOTH, WATCHPOINT, 0xf9000140, PAGE, EC_WATCHPT_LOWER,
	 FSC_DEBUG | ISS_DABT_WNR, AT_PC, PAGE + 4},
	{"str x0, [x10] at a watchpoint, which does not come before an abort", BOTH, WATCHPOINT | ALIGN, 0xb9000140,
	 PAGE + 5, EC_DABT_LOWER, FSC_ALIGNMENT | ISS_DABT_WNR, AT_PC, PAGE + 5},
	{"a breakpoint", BOTH, BREAKPOINT, 0xd503201f, 0, EC_BREAKPT_LOWER, FSC_DEBUG, AT_PC, NOTHING},
	{"a breakpoint, before PSTATE.IL", BOTH, BREAKPOINT | IL, 0x00000000, 0, EC_BREAKPT_LOWER, FSC_DEBUG, AT_PC,
	 NOTHING},
	{"a step, before a breakpoint", BOTH, BREAKPOINT | STEP, 0xd503201f, 0, EC_STEP_LOWER, FSC_DEBUG, AT_PC,
	 NOTHING},
};

static void prepare(struct machine *m)
{
	uint64_t root;

	machine_new(m, 1);
	root = machine_mmu(m, m->cpu);
	machine_map(m, root, PAGE, DATA, PTE_AF | PTE_EL0);
	machine_map(m, root, READ_ONLY, DATA, PTE_AF | PTE_EL0 | PTE_RO);
	machine_map(m, root, KERNEL, DATA, PTE_AF);
	machine_map(m, root, OLD, DATA, PTE_EL0);
	machine_map(m, root, DEVICE, DATA, PTE_AF | PTE_EL0 | PTE_DEVICE);
	machine_map(m, root, FAR_OUT, DATA | 1ull << 45, PTE_AF | PTE_EL0);
	machine_map(m, root, NO_EXEC, DATA, PTE_AF | PTE_UXN | PTE_PXN);
	machine_map(m, root, USER, USER, PTE_AF | PTE_EL0 | PTE_RO); /* writable, EL1 might not execute it */
}

static void set_up(struct machine *m, bool el0, unsigned setup, uint64_t pc)
{
	struct cpu *cpu = m->cpu;

	cpu->sys[CPU_SCTLR_EL1] |= 1 << 16 | 1 << 18 | 1 << 3 | 1 << 4; /* nTWI, nTWE, SA, SA0 */
	if (setup & NTW)
		cpu->sys[CPU_SCTLR_EL1] &= ~(1ull << 16 | 1ull << 18);
	if (setup & ALIGN)
		cpu->sys[CPU_SCTLR_EL1] |= 2;
	cpu->sys[CPU_CPACR_EL1] = setup & FP_OFF ? 0 : 3 << 20;
	cpu->sys[CPU_FAR_EL1] = NOTHING;
	cpu->dbg.bcr[0] = setup & BREAKPOINT ? 0x1e7 : 0;
	cpu->dbg.bvr[0] = pc;
	cpu->dbg.wcr[0] = setup & WATCHPOINT ? 1 | 3 << 1 | 2 << 3 | 0xf0 << 5 : 0;
	cpu->dbg.wvr[0] = PAGE;
	cpu->el2.mdscr = (setup & (BREAKPOINT | WATCHPOINT) ? MDSCR_MDE | MDSCR_KDE : 0) |
			 (setup & STEP ? MDSCR_SS | MDSCR_KDE : 0);
	cpu_sys_changed(cpu);
	cpu_set_pstate(cpu, (el0 ? PSR_EL0T : PSR_EL1H) | PSR_A | PSR_I | PSR_F | (setup & PAN ? PSR_PAN : 0) |
				    (setup & IL ? PSR_IL : 0));
	cpu->env.x[31] = PAGE + 0x100 + (setup & BAD_SP ? 8 : 0);
	cpu->env.pc = pc;
}

static void check(struct machine *m, const char *what, bool el0, uint64_t esr, uint64_t elr, uint64_t far)
{
	struct cpu *cpu = m->cpu;
	unsigned vec = el0 ? VEC_LOW_SYNC : VEC_CUR_SYNC;

	assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
	if (cpu->el2.esr != ESR_MAKE(EC_HVC64, vec) || cpu->sys[CPU_ESR_EL1] != esr || cpu->sys[CPU_ELR_EL1] != elr ||
	    cpu->sys[CPU_FAR_EL1] != far)
		fail_msg("%s at EL%u: ESR_EL2 %llx, ESR_EL1 %llx (%llx), ELR_EL1 %llx (%llx), FAR_EL1 %llx (%llx)",
			 what, !el0, (unsigned long long)cpu->el2.esr, (unsigned long long)cpu->sys[CPU_ESR_EL1],
			 (unsigned long long)esr, (unsigned long long)cpu->sys[CPU_ELR_EL1], (unsigned long long)elr,
			 (unsigned long long)cpu->sys[CPU_FAR_EL1], (unsigned long long)far);
}

/* Classes that come in pairs have the one from the current EL next to that from a lower one. */
static uint64_t from(unsigned el0, uint64_t ec)
{
	bool pair = ec == EC_DABT_LOWER || ec == EC_IABT_LOWER || ec == EC_BREAKPT_LOWER || ec == EC_STEP_LOWER ||
		    ec == EC_WATCHPT_LOWER;

	return pair && !el0 ? ec + 1 : ec;
}

static void every_class_has_its_syndrome(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned el0 = 0; el0 < 2; el0++) {
			const struct row *r = &rows[i];
			uint64_t pc = (el0 ? USER : CODE) + 0x40;
			struct machine m;

			if (!(r->els & (el0 ? EL0 : EL1)))
				continue;
			prepare(&m);
			LOAD(&m, pc, {r->insn, 0xd4000002 /* hvc #0 */});
			set_up(&m, el0, r->setup, pc);
			m.cpu->env.x[10] = r->x10;
			check(&m, r->what, el0, ESR_MAKE(from(el0, r->ec), r->iss), pc + r->elr, r->far);
			assert_int_equal(machine_read(&m, DATA), 0); /* nothing was stored */
			machine_free(&m);
		}
	}
}

/* Fetches: where the PC is, at which EL, and what comes of it. */
static void every_fetch_that_fails_has_its_syndrome(void **state)
{
	static const struct {
		const char *what;
		unsigned els;
		uint64_t pc, ec, iss;
	} fetches[] = {
		{"nothing there", BOTH, ABSENT, EC_IABT_LOWER, FSC_TRANSLATION | 3},
		{"no table of level 3", BOTH, NO_TABLE, EC_IABT_LOWER, FSC_TRANSLATION | 2},
		{"no table of level 2", BOTH, NO_ROOT, EC_IABT_LOWER, FSC_TRANSLATION | 1},
		{"beyond the half", BOTH, BEYOND, EC_IABT_LOWER, FSC_TRANSLATION | 0},
		{"no access flag", BOTH, OLD, EC_IABT_LOWER, FSC_ACCESS_FLAG | 3},
		{"an output address that is too large", BOTH, FAR_OUT, EC_IABT_LOWER, FSC_ADDR_SIZE | 3},
		{"UXN, PXN", BOTH, NO_EXEC, EC_IABT_LOWER, FSC_PERMISSION | 3},
		{"what EL0 may write", EL1, PAGE, EC_IABT_LOWER, FSC_PERMISSION | 3},
		{"a PC that is not a multiple of 4", BOTH, USER + 2, EC_PC_ALIGN, 0},
		{"a misaligned PC, before the translation", BOTH, ABSENT + 1, EC_PC_ALIGN, 0},
	};

	for (unsigned i = 0; i < sizeof(fetches) / sizeof(fetches[0]); i++) {
		for (unsigned el0 = 0; el0 < 2; el0++) {
			struct machine m;

			if (!(fetches[i].els & (el0 ? EL0 : EL1)))
				continue;
			prepare(&m);
			set_up(&m, el0, 0, fetches[i].pc);
			check(&m, fetches[i].what, el0, ESR_MAKE(from(el0, fetches[i].ec), fetches[i].iss),
			      fetches[i].pc, fetches[i].pc);
			machine_free(&m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_class_has_its_syndrome),
		cmocka_unit_test(every_fetch_that_fails_has_its_syndrome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
