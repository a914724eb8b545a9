/* SPDX-License-Identifier: MIT */
/*
 * The oracle's side: one Unicorn CPU ("max", EL1, MMU off) over the same two areas.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "harness.h"

uint8_t *oracle_data, *oracle_code;

static uc_engine *uc;
static int oracle_exception; /* EXCP number, -1 none */

enum { EXCP_UDEF = 1 };

static void on_interrupt(uc_engine *u, uint32_t number, void *opaque)
{
	oracle_exception = (int)number;
	uc_emu_stop(u);
}

static int reg_ids[31 + 1 + 1 + 1 + 2 + 32];
static void *reg_vals[31 + 1 + 1 + 1 + 2 + 32];
static struct state oracle_state;
static uint64_t oracle_pstate, oracle_fpcr, oracle_fpsr;

static void list_registers(void)
{
	unsigned n = 0;

	for (int i = 0; i < 31; i++) {
		reg_ids[n] = i < 29 ? UC_ARM64_REG_X0 + i : UC_ARM64_REG_X29 + (i - 29);
		reg_vals[n++] = &oracle_state.x[i];
	}
	reg_ids[n] = UC_ARM64_REG_SP;
	reg_vals[n++] = &oracle_state.x[31];
	reg_ids[n] = UC_ARM64_REG_PC;
	reg_vals[n++] = &oracle_state.pc;
	reg_ids[n] = UC_ARM64_REG_PSTATE;
	reg_vals[n++] = &oracle_pstate;
	reg_ids[n] = UC_ARM64_REG_FPCR;
	reg_vals[n++] = &oracle_fpcr;
	reg_ids[n] = UC_ARM64_REG_FPSR;
	reg_vals[n++] = &oracle_fpsr;
	for (int i = 0; i < 32; i++) {
		reg_ids[n] = UC_ARM64_REG_Q0 + i;
		reg_vals[n++] = &oracle_state.v[i];
	}
}

enum { N_REGS = sizeof(reg_ids) / sizeof(reg_ids[0]), PSTATE_EL1H = 0x3c5 };

bool oracle_start(void)
{
	uc_hook hook;

	oracle_data = aligned_alloc(4096, DATA_SIZE);
	oracle_code = aligned_alloc(4096, CODE_SIZE);
	list_registers();
	return oracle_data && oracle_code && uc_open(UC_ARCH_ARM64, UC_MODE_LITTLE_ENDIAN, &uc) == UC_ERR_OK &&
	       uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, CODE, CODE_SIZE, UC_PROT_ALL, oracle_code) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, DATA, DATA_SIZE, UC_PROT_READ | UC_PROT_WRITE, oracle_data) == UC_ERR_OK &&
	       uc_hook_add(uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, NULL, 1, 0) == UC_ERR_OK;
}

struct result oracle_run(const struct state *s, const uint32_t *insns, unsigned n)
{
	struct result r = {.outcome = DONE};
	uint32_t saved[MAX_BLOCK];
	uc_err err;

	oracle_state = *s;
	oracle_pstate = s->nzcv | PSTATE_EL1H;
	oracle_fpcr = s->fpcr;
	oracle_fpsr = s->fpsr;
	assert(n <= MAX_BLOCK);
	uc_mem_read(uc, s->pc, saved, 4 * n);
	uc_mem_write(uc, s->pc, insns, 4 * n);
	uc_ctl_remove_cache(uc, s->pc, s->pc + 4 * n);
	uc_reg_write_batch(uc, reg_ids, reg_vals, N_REGS);
	oracle_exception = -1;
	err = uc_emu_start(uc, s->pc, ~0ull, 0, n);
	uc_reg_read_batch(uc, reg_ids, reg_vals, N_REGS);
	uc_mem_write(uc, s->pc, saved, 4 * n);
	if (oracle_exception == EXCP_UDEF || err == UC_ERR_INSN_INVALID ||
	    (err == UC_ERR_EXCEPTION && oracle_exception < 0))
		r.outcome = UNDEFINED;
	else if (oracle_exception >= 0)
		r.outcome = EXIT;
	else if (err == UC_ERR_FETCH_UNMAPPED || err == UC_ERR_FETCH_PROT || err == UC_ERR_OK)
		r.outcome = DONE; /* the next instruction cannot be fetched: a branch went there */
	else
		r.outcome = FAULT;
	r.s = oracle_state;
	r.s.nzcv = (uint32_t)oracle_pstate & 0xf0000000u;
	r.s.fpcr = (uint32_t)oracle_fpcr;
	r.s.fpsr = (uint32_t)oracle_fpsr;
	return r;
}
