/* SPDX-License-Identifier: MIT */
/*
 * Nothing is traded for speed. Random programs whose accesses fault in the middle of blocks: at every exception all that a guest
 * can see is what the interpreter says, from the same beginning, and as many instructions have been executed. A kick or an interrupt
 * that comes in an iteration of a loop, whatever closes the loop, is seen before the next one ends. Code that the guest makes is the
 * code that it runs.
 *
 * SEED and ROUNDS in the environment make the first test longer.
 */
#include "machine.h"

#include "isa.h"

static uint64_t rng;

static uint64_t rnd(void) /* splitmix64 */
{
	uint64_t z = (rng += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint32_t pick(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

static void machine_with(struct machine *m, const char *engine)
{
	const char *was = getenv("PAWL_ENGINE");
	char *keep = was ? strdup(was) : NULL;

	setenv("PAWL_ENGINE", engine, 1);
	machine_new(m, 1);
	if (keep)
		setenv("PAWL_ENGINE", keep, 1);
	else
		unsetenv("PAWL_ENGINE");
	free(keep);
}

/* ---- random programs */

enum {
	PROGRAM = 0x8000, /* words' place, from RAM; EL0 may execute it */
	WORDS = 120,
	PAGES = 0x40600000, /* VAs of pages with different rights, with holes between them */
	N_PAGES = 10
};

/* Registers: x1 to x8 point into pages, x9 to x15 hold anything, x19, x20 pointers, too, and the pinned ones are among both. */
static unsigned any_x(void)
{
	static const uint8_t often[] = {0, 0, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 30, 31};

	return pick(20) ? often[pick(16)] : pick(32);
}

static unsigned base(void)
{
	return pick(12) ? 1 + pick(8) : pick(2) ? 19 + pick(2) : 31;
}

/* Load and store instructions with their fields at 0, and what may be put there. */
static uint32_t any_access(void)
{
	static const uint32_t imm12[] = {0x39000000, 0x39400000, 0x39800000, 0x39c00000, 0x79000000, 0x79400000,
					 0x79800000, 0xb9000000, 0xb9400000, 0xb9800000, 0xf9000000, 0xf9400000,
					 0x3d800000, 0x3dc00000, 0xfd000000, 0xfd400000};
	static const uint32_t imm9[] = {0xf8000000, 0xf8400000, 0xb8400000, 0x78400000, 0x38400000,
					0x38000000, 0xf8000400, 0xf8400400, 0xf8000c00, 0xf8400c00,
					0xb8400c00, 0x3c800c00, 0x3cc00400, 0xf8400800, 0xf8000800};
	static const uint32_t pair[] = {0xa9000000, 0xa9400000, 0x29000000, 0x29400000, 0xa8c00000, 0xa9800000,
					0xa9c00000, 0xad000000, 0xad400000, 0x69400000, 0xacc00000};
	static const uint32_t reg[] = {0xf8206800, 0xf8606800, 0xb8606800, 0x38606800, 0x78606800};
	static const uint32_t plain[] = {0xc8dffc00, 0xc89ffc00, 0x08dffc00, 0x889ffc00, 0xc85f7c00,
					 0xc8007c00, 0xf8200000, 0xf8e08000, 0xb8201000, 0xc8e0fc00,
					 0x4c407000, 0x0c002000, 0xd50b7420, 0x485f7c00, 0x48007c00};
	uint32_t rn = base() << 5, rt = any_x();

	switch (pick(6)) {
	case 0: return imm12[pick(16)] | pick(64) << 10 | rn | rt;
	case 1: return imm9[pick(15)] | pick(512) << 12 | rn | rt;
	case 2: return pair[pick(11)] | pick(128) << 15 | any_x() << 10 | rn | rt;
	case 3: return reg[pick(5)] | (pick(2) ? 9 + pick(6) : any_x()) << 16 | rn | rt;
	case 4: {
		uint32_t word = plain[pick(15)];

		if (word == 0xd50b7420) /* dc zva */
			return word | rn >> 5;
		return word | ((word & 0x3f000000) == 0x08000000 && !(word & 0x400000) ? 16u : any_x()) << 16 | rn | rt;
	}
	default: return imm12[pick(14)] | rn | rt;
	}
}

static uint32_t any_word(unsigned left)
{
	static const uint32_t alu[] = {0x8b000000, 0xab000000, 0xcb000000, 0xeb000000, 0x2b000000,
				       0x6b000000, 0x8a000000, 0xea000000, 0xca000000, 0xaa000000,
				       0x9b007c00, 0x1ac02000, 0x9ac02400, 0x9ac00800, 0x9a000000,
				       0xba000000, 0xfa000000, 0x9a800000, 0xda800400, 0x1a800400};
	static const uint32_t immediate[] = {0x91000000, 0xb1000000, 0xd1000000, 0xf1000000, 0x31000000,
					     0x71000000, 0xd2800000, 0xf2800000, 0x92800000};
	static const uint32_t misc[] = {0xd53b4200,
					0xd51b4200 /* nzcv */,
					0xd53bd040,
					0xd51bd040 /* tpidr_el0 */,
					0xd53b4420 /* mrs fpsr */,
					0xd5033bbf /* dmb ish */,
					0xd5033b9f,
					0xd5033fdf,
					0xd4000001 /* svc */,
					0xd4200020 /* brk */,
					0,
					0xd5384100 /* mrs sp_el0 */,
					0xd5385200 /* mrs esr */,
					0xd53be000 /* cntfrq: EL0 may not */};
	static const uint32_t vector[] = {0x4e208400, 0x4ea0d400, 0x1e602800, 0x1e600800, 0x1e204000,
					  0x9e670000, 0x9e660000, 0x1e602000, 0x6e205800, 0x1e781c00};
	uint32_t far = 1 + pick(left > 1 ? left - 1 : 1), rd = any_x(), rn = any_x() << 5, rm = any_x() << 16, word;

	if (far > 12)
		far = 12;
	switch (pick(20)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
	case 6: return any_access();
	case 7: return 0x54000000 | far << 5 | pick(16);			 /* b.cond */
	case 8: return (pick(2) ? 0xb4000000 : 0x35000000) | far << 5 | any_x(); /* cbz, cbnz */
	case 9: return (pick(2) ? 0x36000000 : 0xb7000000) | far << 5 | pick(32) << 19 | any_x();
	case 10: return pick(4) ? 0x14000000 | far : 0x94000000 | far; /* b, bl */
	case 11: return immediate[pick(9)] | pick(4096) << 10 | (pick(8) ? 9 + pick(7) : 0x1f) << 5 | (9 + pick(7));
	case 12:
		return 0x3a400000 | (pick(2) ? 0xc0000000 : 0x40000000) | pick(16) << 12 | pick(16) | rn |
		       rm; /* ccmn, ccmp */
	case 13: return vector[pick(10)] | rm | rn | rd;
	case 14: word = misc[pick(14)]; return word < 0xd5000000 || (word & 31) == 31 || !word ? word : word | rd;
	case 15: return 0xd1000000 | 16 << 10 | 31 << 5 | 31; /* sub sp, sp, #16 */
	default: return alu[pick(20)] | rm | rn | (pick(4) ? 9 + pick(7) : rd);
	}
}

static const struct {
	uint64_t ipa, attr;
} pages[N_PAGES] = {
	{RAM + 0x10000, PTE_AF | PTE_SH | PTE_EL0}, /* all may */
	{RAM + 0x11000, PTE_AF | PTE_SH | PTE_EL0},
	{RAM + 0x12000, PTE_AF | PTE_SH | PTE_EL0 | PTE_RO}, /* read */
	{0, 0},						     /* nothing: translation fault */
	{RAM + 0x13000, PTE_AF | PTE_SH},		     /* EL1 alone */
	{HOLE, PTE_AF | PTE_SH | PTE_EL0},		     /* outside of memory: to EL2 */
	{RAM + 0x14000, PTE_SH | PTE_EL0},		     /* access flag fault */
	{ROM, PTE_AF | PTE_SH | PTE_EL0},		     /* stage 2: read */
	{RAM + 0x15000, PTE_AF | PTE_EL0 | PTE_DEVICE},	     /* aligned, or not at all */
	{RAM + 0x10000, PTE_AF | PTE_SH | PTE_EL0 | PTE_NG}, /* the first one again */
};

static uint64_t any_pointer(void)
{
	uint64_t va = PAGES + (pick(4) ? rnd() % 2 << 12 : rnd() % N_PAGES << 12);

	switch (pick(4)) {
	case 0: return va + 4096 - pick(40);
	case 1: return va + (pick(512) << 3);
	case 2: return va + pick(64);
	default: return va + (pick(256) << 4);
	}
}

/* The same beginning for each of the two. */
static void begin(struct machine *m, uint64_t seed, const uint32_t *words)
{
	struct cpu *cpu = m->cpu;

	rng = seed;
	cpu_reset(cpu);
	m->next_table = TABLES;
	memset(m->ram + 0x10000, 0x5a, 0x8000);
	memset(m->rom, 0xa5, ROM_SIZE);
	memset(m->ram + (TABLES - RAM), 0, 0x10000);
	cpu->sys[CPU_VBAR_EL1] = VECTORS;
	cpu->sys[CPU_SCTLR_EL1] |= 1 << 23;
	cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	uint64_t root = machine_mmu(m, cpu);
	/* Neither the program nor the vectors are its to change; what EL0 may write, EL1 may not execute. */
	for (uint64_t at = RAM; at < RAM + 0x20000; at += 4096)
		machine_map(m, root, at, at, PTE_AF | PTE_SH | PTE_RO | (at == RAM + PROGRAM ? PTE_EL0 : 0));
	for (unsigned i = 0; i < N_PAGES; i++) {
		if (pages[i].attr)
			machine_map(m, root, PAGES + 0x1000ull * i, pages[i].ipa, pages[i].attr);
	}
	machine_load(m, RAM + PROGRAM, words, 4 * WORDS);
	if (pick(4) == 0)
		cpu->sys[CPU_SCTLR_EL1] |= 2; /* alignment checks */
	cpu_sys_changed(cpu);
	cpu_code_changed(cpu);
	for (unsigned i = 0; i < 31; i++)
		cpu->env.x[i] = pick(3) ? rnd() : pick(64);
	for (unsigned i = 1; i <= 8; i++)
		cpu->env.x[i] = any_pointer();
	cpu->env.x[19] = any_pointer();
	cpu->env.x[20] = any_pointer();
	for (unsigned i = 9; i < 13; i++)
		cpu->env.x[i] = pick(64);
	for (unsigned i = 0; i < 32; i++)
		cpu->env.v[i] = (union ir_v128){.d = {rnd(), rnd()}};
	cpu_set_pstate(cpu, pick(2) ? PSR_EL0T : PSR_EL1H | PSR_D | PSR_A | PSR_I | PSR_F);
	cpu->env.x[31] = (any_pointer() & ~15ull) + (pick(16) ? 0 : 8);
	cpu->env.pc = RAM + PROGRAM;
	cpu->env.insn_count = 0;
}

static bool same_state(const struct machine *a, const struct machine *b)
{
	const struct cpu *x = a->cpu, *y = b->cpu;
	bool ok = true;

#define SAME(what) \
	(memcmp(&x->what, &y->what, sizeof(x->what)) ? (print_error("%s differs\n", #what), ok = false) : true)
	for (unsigned i = 0; i < 32; i++)
		if (x->env.x[i] != y->env.x[i])
			print_error("x%u: %llx, the translator %llx\n", i, (unsigned long long)x->env.x[i],
				    (unsigned long long)y->env.x[i]);
	SAME(env.x);
	SAME(env.v);
	SAME(env.pc);
	SAME(env.nzcv);
	SAME(env.fpsr);
	SAME(pstate);
	SAME(sys);
	SAME(sp_bank);
	if (x->count_insns)
		SAME(env.insn_count);
#undef SAME
	if (x->env.excl.valid != y->env.excl.valid) {
		print_error("the monitor differs\n");
		ok = false;
	}
	return ok;
}

/* What the hypervisor and the kernel of such a program would do: go on behind the instruction. False: it has ended. */
static bool go_on(struct cpu *cpu)
{
	if (ESR_EC(cpu->el2.esr) != EC_HVC64) {
		cpu->env.pc += 4;
		return true;
	}
	if ((cpu->el2.esr & 0xffff) == END)
		return false;
	cpu_set_pstate(cpu, cpu->sys[CPU_SPSR_EL1]);
	cpu->env.pc = cpu->sys[CPU_ELR_EL1];
	if (ESR_EC(cpu->sys[CPU_ESR_EL1]) != EC_SVC64)
		cpu->env.pc += 4;
	return cpu->env.pc - (RAM + PROGRAM) < 4 * WORDS;
}

/* Runs both to their next exceptions, which have to be the same. */
static void same_exception(struct machine *a, struct machine *b, const char *where)
{
	enum cpu_exit x = cpu_run(a->cpu), y = cpu_run(b->cpu);

	if (x == y && same_state(a, b) && a->cpu->el2.esr == b->cpu->el2.esr &&
	    (ESR_EC(a->cpu->el2.esr) != EC_DABT_LOWER ||
	     (a->cpu->el2.far == b->cpu->el2.far && a->cpu->el2.ipa == b->cpu->el2.ipa)) &&
	    !memcmp(a->ram + 0x10000, b->ram + 0x10000, 0x8000))
		return;
	fail_msg("%s: PC %llx and %llx, ELR %llx, ESR_EL2 %llx and %llx, ESR_EL1 %llx and %llx", where,
		 (unsigned long long)a->cpu->env.pc, (unsigned long long)b->cpu->env.pc,
		 (unsigned long long)a->cpu->sys[CPU_ELR_EL1], (unsigned long long)a->cpu->el2.esr,
		 (unsigned long long)b->cpu->el2.esr, (unsigned long long)a->cpu->sys[CPU_ESR_EL1],
		 (unsigned long long)b->cpu->sys[CPU_ESR_EL1]);
}

static uint64_t seed_of_test(void)
{
	return getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 2026;
}

static unsigned rounds_of_test(unsigned usual)
{
	return getenv("ROUNDS") ? (unsigned)strtoul(getenv("ROUNDS"), NULL, 0) : usual;
}

static void at_every_exception_the_state_is_the_interpreters(void **state)
{
	uint64_t seed = seed_of_test();
	unsigned rounds = rounds_of_test(3000);
	unsigned exceptions = 0, in_the_middle = 0, classes = 0;
	uint64_t insns = 0, kinds = 0;
	struct machine a, b;
	char where[80];

	machine_with(&a, "interp");
	machine_with(&b, "jit");
	a.cpu->count_insns = b.cpu->count_insns = true;
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t from = seed * 0x9e3779b97f4a7c15ull + round, last = RAM + PROGRAM;
		uint32_t words[WORDS];

		rng = ~from;
		for (unsigned i = 0; i < WORDS - 1; i++)
			words[i] = any_word(WORDS - 1 - i);
		words[WORDS - 1] = 0xd4000002; /* hvc #0: at EL0, UNDEFINED */
		begin(&a, from, words);
		begin(&b, from, words);
		for (unsigned n = 0; n < 200; n++) {
			snprintf(where, sizeof(where), "seed %llu, round %u, exception %u", (unsigned long long)seed,
				 round, n);
			same_exception(&a, &b, where);
			kinds |= 1ull << ESR_EC(a.cpu->sys[CPU_ESR_EL1]) | 1ull << ESR_EC(a.cpu->el2.esr);
			exceptions++;
			in_the_middle += a.cpu->sys[CPU_ELR_EL1] > last + 4;
			last = a.cpu->sys[CPU_ELR_EL1];
			if (!go_on(a.cpu))
				break;
			assert_true(go_on(b.cpu));
		}
		if (round % 16 == 0)
			assert_memory_equal(a.ram, b.ram, RAM_SIZE);
		insns += a.cpu->env.insn_count;
	}
	for (; kinds; kinds &= kinds - 1)
		classes++;
	print_message(
		"%u programs, %u exceptions of %u classes, %u of them behind others of a block, %llu instructions\n",
		rounds, exceptions, classes, in_the_middle, (unsigned long long)insns);
	assert_true(exceptions > rounds * 4 && in_the_middle > exceptions / 2 && classes >= 7);
	machine_free(&a);
	machine_free(&b);
}

/* ---- random loops */

enum { COUNTER = 29, INNER = 28 };

/* It makes no exception by itself: few iterations would come to their end. */
static bool is_quiet(const struct cpu *cpu, struct ir_builder *builder, uint32_t word)
{
	struct isa_ctx ctx = {.b = builder, .pc = RAM, .features = cpu->features};
	struct ir_block ir;

	ir_begin(builder, RAM);
	ir_next_insn(builder);
	isa_emit(&ctx, word);
	ir_finish(builder, &ir);
	return ir.ops[ir.n_ops - 1].op != IR_exit && (word & 0xffff0000) != 0xd5380000 /* not EL0's to read */;
}

/* An instruction of a loop's body: nothing that could be one of the counters is in it. */
static uint32_t any_word_of_loop(const struct cpu *cpu, struct ir_builder *builder, unsigned left)
{
	for (;;) {
		uint32_t word = any_word(left);
		bool counters = false, far = (word & 0x3b200c00) == 0x38200800 /* [xn, xm]: anywhere */;

		for (unsigned shift = 0; shift <= 16; shift += shift == 10 ? 6 : 5)
			counters |= (word >> shift & 31) == INNER || (word >> shift & 31) == COUNTER;
		if (!counters && (!far || !pick(8)) && is_quiet(cpu, builder, word))
			return word;
	}
}

/* Back to words[to] while the register, counted down, is not 0: in one of the ways that compilers have. */
static unsigned close_loop(uint32_t *words, unsigned at, unsigned to, unsigned r)
{
	bool flags = pick(2), over = pick(4) == 0;

	words[at++] = (flags ? 0xf1000400 : 0xd1000400) | r << 5 | r; /* sub or subs r, r, #1 */
	if (over) {
		words[at] = (flags ? 0x54000000 : 0xb4000000 | r) | 2 << 5; /* b.eq or cbz, over the next */
		words[at + 1] = 0x14000000 | ((to - (at + 1)) & 0x3ffffff);
		return at + 2;
	}
	words[at] = (flags ? 0x54000001 : 0xb5000000 | r) | ((to - at) & 0x7ffff) << 5; /* b.ne or cbnz */
	return at + 1;
}

/* Most pointers are such that many iterations pass before an access faults. */
static void calm(struct machine *m, uint64_t seed)
{
	uint64_t *x = m->cpu->env.x;

	rng = seed;
	for (unsigned i = 0; i < 32; i++) {
		uint64_t near = PAGES + 0x600 + 8 * pick(256);

		if (i >= 9 && i < 16)
			x[i] = pick(64);
		else if (i < 9 || i == 19 || i == 20 || i == 31)
			x[i] = pick(40) ? i == 31 ? near & ~15ull : near : x[i];
	}
}

/* A loop, which may have another in it, then the end. */
static void make_loop(const struct cpu *cpu, struct ir_builder *builder, uint32_t words[WORDS])
{
	unsigned at = 0, first = 3 + pick(24), second = pick(12), start;
	bool nested = pick(3) == 0;

	for (unsigned i = 0; i < WORDS; i++)
		words[i] = 0xd4000002;
	words[at++] = 0xd2800000 | (8 + pick(56)) << 5 | COUNTER; /* mov x29, # */
	start = at;
	for (unsigned i = 0; i < first; i++, at++)
		words[at] = any_word_of_loop(cpu, builder, first - i);
	if (nested) {
		unsigned inner;

		words[at++] = 0xd2800000 | (1 + pick(9)) << 5 | INNER;
		inner = at;
		for (unsigned i = 0; i < second; i++, at++)
			words[at] = any_word_of_loop(cpu, builder, second - i);
		at = close_loop(words, at, inner, INNER);
	}
	close_loop(words, at, start, COUNTER);
}

static void a_loop_leaves_what_the_interpreter_leaves(void **state)
{
	uint64_t seed = seed_of_test();
	unsigned rounds = rounds_of_test(2000), exceptions = 0, ends = 0;
	struct ir_builder *builder = ir_builder_new();
	struct machine a, b;
	char where[80];

	machine_with(&a, "interp");
	machine_with(&b, "jit");
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t from = seed * 0x9e3779b97f4a7c15ull + round;
		uint32_t words[WORDS];

		rng = ~from;
		make_loop(a.cpu, builder, words);
		begin(&a, from, words);
		begin(&b, from, words);
		calm(&a, from);
		calm(&b, from);
		for (unsigned n = 0; n < 300; n++) {
			snprintf(where, sizeof(where), "seed %llu, loop %u, exception %u", (unsigned long long)seed,
				 round, n);
			same_exception(&a, &b, where);
			exceptions++;
			if (!a.cpu->env.x[COUNTER]) {
				ends++;
				break;
			}
			assert_true(go_on(a.cpu) && go_on(b.cpu));
		}
	}
	print_message("%u loops, %u came to their ends, %u exceptions, %llu traces\n", rounds, ends, exceptions,
		      (unsigned long long)b.cpu->stat[CPU_STAT_TRACES]);
	ir_builder_free(builder);
	machine_free(&a);
	machine_free(&b);
}

/* The first instruction of such a loop reads ICC_IAR1_EL1, which comes here: the translator's PE is kicked in one iteration. */
static struct {
	struct cpu *cpu;
	unsigned left;
} kick_in;

static int read_and_kick(void *opaque, uint32_t enc, uint64_t *val)
{
	*val = 0;
	if (opaque && kick_in.left && !--kick_in.left)
		cpu_kick(kick_in.cpu);
	return 0;
}

static int write_nothing(void *opaque, uint32_t enc, uint64_t val)
{
	return 0;
}

static void machine_that_reads(struct machine *m, const char *engine, void *opaque)
{
	static const struct cpu_platform reads = {.icc_read = read_and_kick, .icc_write = write_nothing};

	machine_with(m, engine);
	cpu_free(m->cpu);
	setenv("PAWL_ENGINE", engine, 1);
	m->cpu = m->pe[0] = cpu_new(m->group, &reads, opaque);
	assert_non_null(m->cpu);
	m->cpu->el2.keep_monitor = true;
}

/* Steps until it is where the other one is: the counters tell iterations apart. */
static void step_to(struct cpu *cpu, const struct cpu *other)
{
	const struct ir_env *at = &other->env;

	cpu->el2.tde = true;
	cpu->el2.mdscr = 1; /* SS */
	for (unsigned n = 0;
	     cpu->env.pc != at->pc || cpu->env.x[COUNTER] != at->x[COUNTER] || cpu->env.x[INNER] != at->x[INNER]; n++) {
		assert_true(n < 20000);
		cpu->pstate |= PSR_SS;
		assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
		assert_int_equal(ESR_EC(cpu->el2.esr), EC_STEP_LOWER);
	}
	cpu->pstate &= ~(uint64_t)PSR_SS;
	cpu->el2.tde = false;
	cpu->el2.mdscr = 0;
}

static void a_kick_in_a_loop_finds_the_state_between_two_instructions(void **state)
{
	uint64_t seed = seed_of_test();
	unsigned rounds = rounds_of_test(500), kicks = 0;
	struct ir_builder *builder = ir_builder_new();
	const char *was = getenv("PAWL_ENGINE");
	char *keep = was ? strdup(was) : NULL;
	struct machine a, b;
	char where[80];

	machine_that_reads(&a, "interp", NULL);
	machine_that_reads(&b, "jit", &b);
	kick_in.cpu = b.cpu;
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t from = seed * 0x9e3779b97f4a7c15ull + round;
		uint32_t words[WORDS];

		rng = ~from;
		make_loop(a.cpu, builder, words);
		words[1] = 0xd538cc00 | 27; /* mrs x27, icc_iar1_el1 */
		kick_in.left = 0;
		for (unsigned k = 0; k < 2; k++) {
			begin(k ? &b : &a, from, words);
			calm(k ? &b : &a, from);
			cpu_set_pstate(k ? b.cpu : a.cpu, PSR_EL1H | PSR_D | PSR_A | PSR_I | PSR_F);
		}
		kick_in.left = 1 + pick(30);
		for (unsigned n = 0; n < 100; n++) {
			enum cpu_exit why = cpu_run(b.cpu);

			snprintf(where, sizeof(where), "seed %llu, loop %u, exit %u", (unsigned long long)seed, round,
				 n);
			if (why == CPU_EXIT_KICK && b.cpu->env.pc - (RAM + PROGRAM) >= 4 * WORDS)
				continue; /* an exception came first */
			if (why == CPU_EXIT_KICK) {
				step_to(a.cpu, b.cpu);
				if (!same_state(&a, &b) || memcmp(a.ram + 0x10000, b.ram + 0x10000, 0x8000))
					fail_msg("%s: kicked at PC %llx", where, (unsigned long long)b.cpu->env.pc);
				kick_in.left = 1 + pick(12);
				kicks++;
				continue;
			}
			assert_int_equal(cpu_run(a.cpu), why);
			if (!same_state(&a, &b))
				fail_msg("%s", where);
			if (!a.cpu->env.x[COUNTER])
				break;
			assert_true(go_on(a.cpu) && go_on(b.cpu));
		}
	}
	print_message("%u loops, %u kicks, %llu traces\n", rounds, kicks,
		      (unsigned long long)b.cpu->stat[CPU_STAT_TRACES]);
	assert_true(kicks > rounds);
	if (keep)
		setenv("PAWL_ENGINE", keep, 1);
	else
		unsetenv("PAWL_ENGINE");
	free(keep);
	ir_builder_free(builder);
	machine_free(&a);
	machine_free(&b);
}

/* ---- loops */

/*
 * The loop reads ICC_IAR1_EL1 as its first instruction, which calls this on the PE's own thread: so it is known in which iteration
 * something came.
 */
static struct {
	struct cpu *cpu;
	uint64_t iteration, at;
	bool irq;
} wish;

static int icc_read(void *opaque, uint32_t enc, uint64_t *val)
{
	*val = 0;
	if (++wish.iteration == wish.at) {
		if (wish.irq)
			atomic_store(&wish.cpu->irq_in, CPU_IRQ);
		cpu_kick(wish.cpu);
	}
	return 0;
}

static int icc_write(void *opaque, uint32_t enc, uint64_t val)
{
	return 0;
}

static const struct cpu_platform platform = {.icc_read = icc_read, .icc_write = icc_write};

#define LOOP 0xd538cc01u /* mrs x1, icc_iar1_el1 */
#define ADD_X0 0x91000400u

static const struct {
	const char *what;
	uint32_t words[16];
} loops[] = {
	{"b", {LOOP, ADD_X0, 0x17fffffe}},
	{"b.cond", {LOOP, ADD_X0, 0xf100001f /* cmp x0, #0 */, 0x54ffffa1 /* b.ne */}},
	{"cbnz", {LOOP, ADD_X0, 0xb5ffffc0}},
	{"tbz", {LOOP, ADD_X0, 0xb6ffffc0 /* tbz x0, #32 */}},
	{"br", {0x10000009 /* adr x9, . */, LOOP, ADD_X0, 0xd61f0120 /* br x9 */}},
	{"ret", {0x1000001e /* adr x30, . */, LOOP, ADD_X0, 0xd65f03c0}},
	{"two halves", {LOOP, ADD_X0, 0x14000002 /* b +8 */, 0xd4000002, 0xd503201f, 0x17fffffb}},
	{"a call in it", {LOOP, 0x94000002 /* bl +8 */, 0x17fffffe, ADD_X0, 0xd65f03c0}},
	{"a conditional way out", {LOOP, ADD_X0, 0xb4000060 /* cbz x0, +12 */, 0xd503201f, 0x17fffffc, 0xd4000002}},
	{"loads and stores",
	 {LOOP, ADD_X0, 0xf9000140 /* str x0, [x10] */, 0xf9400142 /* ldr x2, [x10] */, 0x17fffffc}},
	{"to itself through the vector of SVC", {LOOP, ADD_X0, 0xd4000001}},
};

static void a_kick_and_an_interrupt_wait_for_the_end_of_one_iteration_at_most(void **state)
{
	for (unsigned i = 0; i < 3 * sizeof(loops) / sizeof(loops[0]); i++) {
		unsigned k = i / 3, page = i % 3 == 2; /* the last one lies over the end of a page */
		uint64_t at = page ? CODE + 0x3000 - 4 : CODE;

		for (unsigned irq = 0; irq < 2; irq++) {
			for (uint64_t n = 1; n < 3000; n = n * 3 + i % 3) {
				struct machine m;
				struct cpu *cpu;

				machine_new(&m, 0);
				cpu = m.cpu = m.pe[0] = cpu_new(m.group, &platform, NULL);
				assert_non_null(cpu);
				machine_load(&m, at, loops[k].words, sizeof(loops[k].words));
				cpu->sys[CPU_VBAR_EL1] = VECTORS;
				*(uint32_t *)machine_host(&m, VECTORS + 0x200) = /* b to the loop, for SVC */
					0x14000000 | (uint32_t)((at - (VECTORS + 0x200)) >> 2 & 0x3ffffff);
				*(uint32_t *)machine_host(&m, VECTORS + 0x280) = 0xd4000002 | 0x105 << 5;
				cpu_set_pstate(
					cpu, PSR_EL1H | (irq ? PSR_D | PSR_A | PSR_F : PSR_D | PSR_A | PSR_I | PSR_F));
				if (k == 10 && irq) { /* SVC masks interrupts: the vector would have to open them */
					machine_free(&m);
					break;
				}
				cpu->env.pc = at;
				cpu->env.x[10] = DATA;
				wish.cpu = cpu;
				wish.iteration = 0;
				wish.at = n;
				wish.irq = irq;
				if (irq) {
					enum cpu_exit why = cpu_run(cpu);

					if (why == CPU_EXIT_KICK)
						why = cpu_run(cpu);
					assert_int_equal(why, CPU_EXIT_TRAP);
					assert_int_equal(cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_IRQ));
				} else {
					assert_int_equal(cpu_run(cpu), CPU_EXIT_KICK);
				}
				if (wish.iteration != n && wish.iteration != n + 1)
					fail_msg("%s%s: iteration %llu, and it came in number %llu", loops[k].what,
						 page ? ", over two pages" : "", (unsigned long long)wish.iteration,
						 (unsigned long long)n);
				machine_free(&m);
			}
		}
	}
}

/* ---- code that the guest makes */

/* x0: sum, x1: counter, x2: code's address for execution, x3: ... for writing, x5: movz, x6: ret. */
static void code_that_is_made_again_and_again_is_what_runs(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, 0x40700000, RAM + 0x16000, PTE_AF | PTE_SH);	     /* to execute */
	machine_map(&m, root, 0x40701000, RAM + 0x16000, PTE_AF | PTE_SH | PTE_PXN); /* to write */
	LOAD(&m, CODE,
	     {
		     0x12003827, /* and w7, w1, #0x7fff */
		     0x531b68e7, /* lsl w7, w7, #5 */
		     0x2a0500e7, /* orr w7, w7, w5 */
		     0x92400828, /* and x8, x1, #7: one of eight places */
		     0xd37df108, /* lsl x8, x8, #3 */
		     0x8b080069, /* add x9, x3, x8 */
		     0x8b08004a, /* add x10, x2, x8 */
		     0xb9000127, /* str w7, [x9] */
		     0xb9000526, /* str w6, [x9, #4] */
		     0xd50b7b29, /* dc cvau, x9 */
		     0xd5033b9f, /* dsb ish */
		     0xd50b752a, /* ic ivau, x10 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xd63f0140, /* blr x10: mov x4, #n; ret */
		     0x8b040000, /* add x0, x0, x4 */
		     0xf1000421, /* subs x1, x1, #1 */
		     0x54fffde1, /* b.ne */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[1] = 20000;
	m.cpu->env.x[2] = 0x40700000;
	m.cpu->env.x[3] = 0x40701000;
	m.cpu->env.x[5] = 0xd2800004;
	m.cpu->env.x[6] = 0xd65f03c0;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 20000ull * 20001 / 2);
	machine_free(&m);
}

/* Without maintenance it may be the old code, or the new; with it afterwards it is the new. */
static void code_that_is_changed_without_maintenance_is_old_or_new_and_new_after_it(void **state)
{
	struct machine m;
	unsigned old = 0;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x94000005, /* bl patch */
		     0xb9000085, /* str w5, [x4] */
		     0x94000003, /* bl patch */
		     0xd4000002, /* hvc #0 */
		     0xd503201f, /* nop */
		     0x91000400, /* patch: add x0, x0, #1 */
		     0xd65f03c0, /* ret */
	     });
	LOAD(&m, CODE + 0x100,
	     {
		     0xd50b7524, /* ic ivau, x4 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0x97ffffc2, /* bl patch */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[4] = CODE + 5 * 4;
	m.cpu->env.x[5] = 0x91004000; /* add x0, x0, #16 */
	expect_hvc(m.cpu, END);
	old = m.cpu->env.x[0] == 2;
	assert_true(old || m.cpu->env.x[0] == 17);
	m.cpu->env.pc = CODE + 0x100;
	m.cpu->env.x[0] = 0;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 16);
	machine_free(&m);
}

/* ---- counting */

/* env.insn_count, which nothing but record and replay will want exact: loops of units that go on by themselves, a fault, a kick. */
static void instructions_are_counted_exactly_if_asked(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd2800c80, /* mov x0, #100 */
		     0xf1000400, /* subs x0, x0, #1 */
		     0x54ffffe1, /* b.ne */
		     0xf9400141, /* ldr x1, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->count_insns = true;
	for (unsigned i = 0; i < 3; i++) {
		m.cpu->env.insn_count = 0;
		m.cpu->env.pc = CODE;
		m.cpu->env.x[10] = DATA;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.insn_count, 1 + 200 + 2);
	}
	m.cpu->env.insn_count = 0;
	m.cpu->env.pc = CODE;
	m.cpu->env.x[10] = HOLE;
	assert_int_equal(cpu_run(m.cpu), CPU_EXIT_TRAP);
	assert_int_equal(m.cpu->env.pc, CODE + 12);
	assert_int_equal(m.cpu->env.insn_count, 1 + 200 + 1); /* the load was begun */
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_every_exception_the_state_is_the_interpreters),
		cmocka_unit_test(a_loop_leaves_what_the_interpreter_leaves),
		cmocka_unit_test(a_kick_in_a_loop_finds_the_state_between_two_instructions),
		cmocka_unit_test(a_kick_and_an_interrupt_wait_for_the_end_of_one_iteration_at_most),
		cmocka_unit_test(code_that_is_made_again_and_again_is_what_runs),
		cmocka_unit_test(code_that_is_changed_without_maintenance_is_old_or_new_and_new_after_it),
		cmocka_unit_test(instructions_are_counted_exactly_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
