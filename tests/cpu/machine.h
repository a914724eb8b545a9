/* SPDX-License-Identifier: MIT */
/*
 * A PE on a bench: a group, RAM, a read-only range and the registers that a test wants to set. Plays EL2 by looking at
 * the syndrome; knows nothing of KVM.
 */
#ifndef TESTS_CPU_MACHINE_H
#define TESTS_CPU_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu.h"
#include "syndrome.h"

enum {
	RAM = 0x40000000,
	RAM_SIZE = 0x200000,
	CODE = RAM,
	VECTORS = RAM + 0x1000,
	DATA = RAM + 0x4000,
	USER = RAM + 0x8000,
	TABLES = RAM + 0x100000, /* stage 1 */
	ROM = 0x50000000,
	ROM_SIZE = 0x1000,
	HOLE = 0x0a000000
};

#define MAX_PES 4

struct machine {
	struct cpu_group *group;
	struct cpu *cpu; /* the first */
	struct cpu *pe[MAX_PES];
	uint8_t *ram, *rom;
	struct stage2 *s2;
	unsigned long dirty[RAM_SIZE / 4096 / 64];
	uint64_t next_table;
	bool over; /* for threads that go on until it is set */
};

#define A(...) ((const uint32_t[])__VA_ARGS__)
#define LOAD(m, at, ...) machine_load(m, at, A(__VA_ARGS__), sizeof(A(__VA_ARGS__)))

static inline void *machine_host(struct machine *m, uint64_t ipa)
{
	return ipa >= ROM ? m->rom + (ipa - ROM) : m->ram + (ipa - RAM);
}

static inline void machine_load(struct machine *m, uint64_t at, const uint32_t *words, size_t bytes)
{
	memcpy(machine_host(m, at), words, bytes);
}

static inline uint64_t machine_read(struct machine *m, uint64_t ipa)
{
	uint64_t v;

	memcpy(&v, machine_host(m, ipa), 8);
	return v;
}

static inline void machine_write(struct machine *m, uint64_t ipa, uint64_t v)
{
	memcpy(machine_host(m, ipa), &v, 8);
}

static inline struct stage2 *machine_stage2(struct machine *m, bool log)
{
	struct stage2 *s2 = calloc(1, sizeof(*s2) + 2 * sizeof(s2->range[0]));

	s2->count = 2;
	s2->ipa_bits = 40;
	s2->range[0] =
		(struct stage2_range){.base = RAM, .size = RAM_SIZE, .host = m->ram, .dirty = log ? m->dirty : NULL};
	s2->range[1] = (struct stage2_range){.base = ROM, .size = ROM_SIZE, .host = m->rom, .readonly = true};
	return s2;
}

static inline struct cpu *machine_pe(struct machine *m)
{
	struct cpu *cpu = cpu_new(m->group, NULL, NULL);

	assert_non_null(cpu);
	cpu->env.pc = CODE;
	cpu->sys[CPU_VBAR_EL1] = VECTORS;
	cpu->sys[CPU_SCTLR_EL1] |= 1 << 23; /* SPAN: PSTATE.PAN stays */
	cpu->el2.twi = cpu->el2.twe = true;
	return cpu;
}

static inline void machine_new(struct machine *m, unsigned pes)
{
	memset(m, 0, sizeof(*m));
	m->ram = aligned_alloc(4096, RAM_SIZE);
	m->rom = aligned_alloc(4096, ROM_SIZE);
	memset(m->ram, 0, RAM_SIZE);
	memset(m->rom, 0, ROM_SIZE);
	m->group = cpu_group_new();
	assert_non_null(m->group);
	m->s2 = machine_stage2(m, false);
	cpu_group_set_stage2(m->group, m->s2);
	m->next_table = TABLES;
	for (unsigned i = 0; i < pes; i++)
		m->pe[i] = machine_pe(m);
	m->cpu = m->pe[0];
	for (unsigned i = 0; i < 16; i++) /* every vector stops with an HVC whose number is its own */
		*(uint32_t *)machine_host(m, VECTORS + 0x80 * i) = 0xd4000002 | (0x100 + i) << 5;
}

static inline void machine_free(struct machine *m)
{
	for (unsigned i = 0; i < MAX_PES; i++)
		cpu_free(m->pe[i]);
	cpu_group_free(m->group);
	free(m->s2);
	free(m->ram);
	free(m->rom);
}

/* A test's program ends with HVC #0; a vector that was taken, with HVC #0x100 + its number. */
enum {
	END = 0,
	VEC_CUR0_SYNC = 0x100,
	VEC_CUR_SYNC = 0x104,
	VEC_CUR_IRQ,
	VEC_CUR_FIQ,
	VEC_CUR_SERROR,
	VEC_LOW_SYNC,
	VEC_LOW_IRQ
};

static inline void expect_hvc(struct cpu *cpu, unsigned imm)
{
	assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
	if (cpu->el2.esr != ESR_MAKE(EC_HVC64, imm))
		print_error("ESR_EL2 %llx ESR_EL1 %llx PC %llx ELR %llx FAR %llx\n", (unsigned long long)cpu->el2.esr,
			    (unsigned long long)cpu->sys[CPU_ESR_EL1], (unsigned long long)cpu->env.pc,
			    (unsigned long long)cpu->sys[CPU_ELR_EL1], (unsigned long long)cpu->sys[CPU_FAR_EL1]);
	assert_int_equal(cpu->el2.esr, ESR_MAKE(EC_HVC64, imm));
}

/* The exception that led to a vector. */
static inline void expect_el1(struct cpu *cpu, unsigned vec, uint64_t esr, uint64_t elr)
{
	expect_hvc(cpu, vec);
	assert_int_equal(cpu->sys[CPU_ESR_EL1], esr);
	assert_int_equal(cpu->sys[CPU_ELR_EL1], elr);
}

static inline void expect_trap(struct cpu *cpu, uint64_t esr, uint64_t pc)
{
	assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
	assert_int_equal(cpu->el2.esr, esr);
	assert_int_equal(cpu->env.pc, pc);
}

/* ---- stage 1 tables, 4 KiB granule, 39-bit VAs (three levels) */

#define PTE_V 3ull
#define PTE_BLOCK 1ull
#define PTE_EL0 (1ull << 6)
#define PTE_RO (1ull << 7)
#define PTE_SH (3ull << 8)
#define PTE_AF (1ull << 10)
#define PTE_NG (1ull << 11)
#define PTE_DBM (1ull << 51)
#define PTE_PXN (1ull << 53)
#define PTE_UXN (1ull << 54)
#define PTE_DEVICE (1ull << 2) /* MAIR index 1 */
#define PTE_NORMAL 0ull

static inline uint64_t machine_table(struct machine *m)
{
	uint64_t t = m->next_table;

	m->next_table += 4096;
	memset(machine_host(m, t), 0, 4096);
	return t;
}

/* IPA of the level 3 descriptor of va, tables made on the way. */
static inline uint64_t machine_pte(struct machine *m, uint64_t root, uint64_t va)
{
	for (unsigned level = 1; level < 3; level++) {
		uint64_t at = root + 8 * (va >> (39 - 9 * level) & 511), d = machine_read(m, at);

		if (!(d & 1)) {
			d = machine_table(m) | 3;
			machine_write(m, at, d);
		}
		root = d & 0xfffffffff000;
	}
	return root + 8 * (va >> 12 & 511);
}

static inline void machine_map(struct machine *m, uint64_t root, uint64_t va, uint64_t ipa, uint64_t attr)
{
	machine_write(m, machine_pte(m, root, va), ipa | attr | PTE_V);
}

/* Stage 1 on for a PE: TTBR0 = root; TTBR1 off. The first 128 KiB of RAM are mapped flat for EL1, the tables' place
 * too. */
static inline uint64_t machine_mmu(struct machine *m, struct cpu *cpu)
{
	uint64_t root = machine_table(m);

	for (uint64_t a = RAM; a < RAM + 0x20000; a += 4096)
		machine_map(m, root, a, a,
			    PTE_AF | PTE_SH | (a == USER ? PTE_EL0 : 0) | (a == DATA ? PTE_UXN | PTE_PXN : 0));
	cpu->sys[CPU_TTBR0_EL1] = root;
	cpu->sys[CPU_MAIR_EL1] = 0x00ff;
	cpu->sys[CPU_TCR_EL1] = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 25 << 16 | 1 << 23 | 2ull << 30 | 2ull << 32;
	cpu->sys[CPU_SCTLR_EL1] |= 1 | 4 | 1 << 12;
	cpu_sys_changed(cpu);
	return root;
}

#endif
