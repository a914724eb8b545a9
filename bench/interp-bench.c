/* SPDX-License-Identifier: MIT */
/*
 * Speed of a PE by itself, without KVM around it: guest instructions per second on small hot loops, and the cost of
 * a software step. Prints the best of a few rounds; measures, never judges.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"

enum {
	RAM = 0x40000000,
	RAM_SIZE = 0x20000,
	DATA = RAM + 0x10000,
	STACK = RAM + 0x1e000,
	TABLE = RAM + 0x1f000,
	ROUNDS = 5
};

static const uint32_t alu[] = {
	0x8b020021, /* add x1, x1, x2 */
	0xca000c23, /* eor x3, x1, x0, lsl #3 */
	0xd347fc64, /* lsr x4, x3, #7 */
	0x92401c82, /* and x2, x4, #0xff */
	0xaa0400a5, /* orr x5, x5, x4 */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff41, /* b.ne . -24 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t copy[] = {
	0xd2800006, /* mov x6, #0x0 */
	0xf8666823, /* ldr x3, [x1, x6] */
	0xf8266843, /* str x3, [x2, x6] */
	0x910020c6, /* add x6, x6, #0x8 */
	0x92402cc6, /* and x6, x6, #0xfff */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff61, /* b.ne . -20 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t fib[] = {
	0xaa0003f3, /* mov x19, x0 */
	0xd2800280, /* mov x0, #0x14 */
	0x94000004, /* bl . +16 */
	0xf1000660, /* subs x0, x19, #0x1 */
	0x54ffff81, /* b.ne . -16 */
	0xd4000002, /* hvc #0x0 */
	0x7100081f, /* cmp w0, #0x2 */
	0x540001a3, /* b.cc . +52 */
	0xa9be7bfd, /* stp x29, x30, [sp, #-32]! */
	0xf9000bf4, /* str x20, [sp, #16] */
	0x2a0003f4, /* mov w20, w0 */
	0x51000400, /* sub w0, w0, #0x1 */
	0x97fffffa, /* bl . -24 */
	0xf9000fe0, /* str x0, [sp, #24] */
	0x51000a80, /* sub w0, w20, #0x2 */
	0x97fffff7, /* bl . -36 */
	0xf9400fe1, /* ldr x1, [sp, #24] */
	0xf9400bf4, /* ldr x20, [sp, #16] */
	0x8b010000, /* add x0, x0, x1 */
	0xa8c27bfd, /* ldp x29, x30, [sp], #32 */
	0xd65f03c0, /* ret */
};
static const uint32_t bits[] = {
	0x36000061, /* tbz w1, #0, . +12 */
	0xca410441, /* eor x1, x2, x1, lsr #1 */
	0xb5000041, /* cbnz x1, . +8 */
	0xd341fc21, /* lsr x1, x1, #1 */
	0xf101903f, /* cmp x1, #0x64 */
	0x9a838023, /* csel x3, x1, x3, hi */
	0x1a9fa7e4, /* cset w4, lt */
	0x8b2440a5, /* add x5, x5, w4, uxtw */
	0x12001c29, /* and w9, w1, #0xff */
	0x386948e6, /* ldrb w6, [x7, w9, uxtw] */
	0x0b060108, /* add w8, w8, w6 */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54fffe81, /* b.ne . -48 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t empty[] = {
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffffe1, /* b.ne . -4 */
	0xd4000002, /* hvc #0x0 */
};

static const uint32_t mandel[] = {
	0x1e600804, /* fmul d4, d0, d0 */
	0x1e610825, /* fmul d5, d1, d1 */
	0x1e610806, /* fmul d6, d0, d1 */
	0x1e652887, /* fadd d7, d4, d5 */
	0x1e6820e0, /* fcmp d7, d8 */
	0x540000ec, /* b.gt . +28 */
	0x1e653884, /* fsub d4, d4, d5 */
	0x1e622880, /* fadd d0, d4, d2 */
	0x1e6628c1, /* fadd d1, d6, d6 */
	0x1e632821, /* fadd d1, d1, d3 */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54fffea1, /* b.ne . -44 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t mla4[] = {
	0x3cc10421, /* ldr q1, [x1], #16 */
	0x3dc00042, /* ldr q2, [x2] */
	0x4e20cc22, /* fmla v2.4s, v1.4s, v0.4s */
	0x3c810442, /* str q2, [x2], #16 */
	0x9273f821, /* and x1, x1, #0xffffffffffffefff */
	0x9273f842, /* and x2, x2, #0xffffffffffffefff */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff21, /* b.ne . -28 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t copyq[] = {
	0xad400420, /* ldp q0, q1, [x1] */
	0xad410c22, /* ldp q2, q3, [x1, #32] */
	0xad000440, /* stp q0, q1, [x2] */
	0xad010c42, /* stp q2, q3, [x2, #32] */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff61, /* b.ne . -20 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t scan[] = {
	0x3dc00020, /* ldr q0, [x1] */
	0x4e209801, /* cmeq v1.16b, v0.16b, #0 */
	0x6e21a421, /* umaxp v1.16b, v1.16b, v1.16b */
	0x9e660023, /* fmov x3, d1 */
	0xf100047f, /* cmp x3, #0x1 */
	0x54000060, /* b.eq . +12 */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff21, /* b.ne . -28 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t aes[] = {
	0x4e284820, /* aese v0.16b, v1.16b */
	0x4e286800, /* aesmc v0.16b, v0.16b */
	0x4e284840, /* aese v0.16b, v2.16b */
	0x4e286800, /* aesmc v0.16b, v0.16b */
	0x4e284860, /* aese v0.16b, v3.16b */
	0x4e286800, /* aesmc v0.16b, v0.16b */
	0x4e284880, /* aese v0.16b, v4.16b */
	0x6e251c00, /* eor v0.16b, v0.16b, v5.16b */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54fffee1, /* b.ne . -36 */
	0xd4000002, /* hvc #0x0 */
};
static const uint32_t sha256[] = {
	0x4ea38444, /* add v4.4s, v2.4s, v3.4s */
	0x5e282862, /* sha256su0 v2.4s, v3.4s */
	0x4ea01c05, /* mov v5.16b, v0.16b */
	0x5e044020, /* sha256h q0, q1, v4.4s */
	0x5e0450a1, /* sha256h2 q1, q5, v4.4s */
	0x5e066062, /* sha256su1 v2.4s, v3.4s, v6.4s */
	0xf1000400, /* subs x0, x0, #0x1 */
	0x54ffff21, /* b.ne . -28 */
	0xd4000002, /* hvc #0x0 */
};

struct kernel {
	const char *name;
	const uint32_t *code;
	size_t bytes;
	uint64_t iterations;
};

#define KERNEL(k, n) \
	{ \
#k, k, sizeof(k), n \
	}
static const struct kernel kernels[] = {
	KERNEL(alu, 3000000),	KERNEL(copy, 3000000),	 KERNEL(fib, 60),	 KERNEL(bits, 2000000),
	KERNEL(empty, 8000000), KERNEL(mandel, 1000000), KERNEL(mla4, 2000000),	 KERNEL(copyq, 2000000),
	KERNEL(scan, 2000000),	KERNEL(aes, 500000),	 KERNEL(sha256, 500000),
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void start(struct cpu *cpu, uint8_t *ram, const struct kernel *k, uint64_t iterations)
{
	cpu_reset(cpu);
	memcpy(ram, k->code, k->bytes);
	cpu_code_changed(cpu);
	cpu->env.pc = RAM;
	cpu->env.x[0] = iterations;
	cpu->env.x[1] = cpu->env.x[7] = DATA;
	cpu->env.x[2] = DATA + 0x1000;
	cpu->env.x[31] = STACK;
	cpu->sys[CPU_CPACR_EL1] |= 3 << 20; /* FP and SIMD at EL1 */
	memset(cpu->env.v, 0, sizeof(cpu->env.v));
	for (unsigned r = 0; r < 8; r++) /* doubles between -1 and 1; singles between them, too */
		cpu->env.v[r].d[0] = UINT64_C(0x3fd3333333333333) ^ (uint64_t)r << 63;
	cpu->env.v[8].d[0] = UINT64_C(0x4010000000000000);
	memset(ram + (DATA - RAM), 1, 4096);
	cpu->env.insn_count = 0;
	/* Stage 1 on, with normal memory: with it off everything would be a device, which is not what guests run on. */
	((uint64_t *)(void *)(ram + (TABLE - RAM)))[1] = RAM | 0x401; /* level 1 block of 1 GiB, AF, AttrIndx 0 */
	cpu->sys[CPU_MAIR_EL1] = 0xff;
	cpu->sys[CPU_TCR_EL1] = 25; /* T0SZ: 39 bits */
	cpu->sys[CPU_TTBR0_EL1] = TABLE;
	cpu->sys[CPU_SCTLR_EL1] |= 1;
	cpu_sys_changed(cpu);
}

static void run_free(struct cpu *cpu, uint8_t *ram, const struct kernel *k)
{
	double best = 1e9;
	uint64_t insns = 0;

	/* The first round counts and is not timed: translated code would pay for it. */
	for (unsigned i = 0; i < 1 + ROUNDS; i++) {
		double t;

		cpu->count_insns = i == 0;
		start(cpu, ram, k, k->iterations);
		t = now();
		if (cpu_run(cpu) != CPU_EXIT_TRAP || cpu->env.x[0] != 0) {
			fprintf(stderr, "interp-bench: %s did not end\n", k->name);
			exit(1);
		}
		t = now() - t;
		if (i == 0)
			insns = cpu->env.insn_count;
		else
			best = t < best ? t : best;
	}
	printf("%-6s %8.1f M instructions/s\n", k->name, (double)insns / best * 1e-6);
}

static void run_stepped(struct cpu *cpu, uint8_t *ram, const struct kernel *k)
{
	enum { STEPS = 300000 };
	double best = 1e9;

	for (unsigned i = 0; i < ROUNDS; i++) {
		double t;

		start(cpu, ram, k, k->iterations);
		cpu->el2.tde = true;
		cpu->el2.mdscr |= 1; /* MDSCR_EL1.SS */
		t = now();
		for (unsigned n = 0; n < STEPS; n++) {
			cpu->pstate |= PSR_SS;
			if (cpu_run(cpu) != CPU_EXIT_TRAP || cpu->el2.esr >> 26 != 0x32) {
				fprintf(stderr, "interp-bench: step %u of %s ended with ESR %" PRIx64 "\n", n, k->name,
					cpu->el2.esr);
				exit(1);
			}
		}
		t = now() - t;
		best = t < best ? t : best;
		cpu->el2.tde = false;
		cpu->el2.mdscr = 0;
	}
	printf("step   %8.1f ns each (%s)\n", best / STEPS * 1e9, k->name);
}

int main(int argc, char **argv)
{
	struct cpu_group *g = cpu_group_new();
	struct stage2 *s2 = calloc(1, sizeof(*s2) + sizeof(s2->range[0]));
	uint8_t *ram = aligned_alloc(4096, RAM_SIZE);
	struct cpu *cpu;

	if (!g || !s2 || !ram)
		return 1;
	memset(ram, 0, RAM_SIZE);
	s2->count = 1;
	s2->ipa_bits = 40;
	s2->range[0] = (struct stage2_range){.base = RAM, .size = RAM_SIZE, .host = ram};
	cpu_group_set_stage2(g, s2);
	cpu = cpu_new(g, NULL, NULL);
	if (!cpu)
		return 1;
	for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		if (argc < 2 || !strcmp(argv[1], kernels[i].name))
			run_free(cpu, ram, &kernels[i]);
	if (argc < 2 || !strcmp(argv[1], "step"))
		run_stepped(cpu, ram, &kernels[1]);
	cpu_free(cpu);
	cpu_group_free(g);
	free(ram);
	free(s2);
	return 0;
}
