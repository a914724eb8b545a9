/* SPDX-License-Identifier: MIT */
/*
 * The oracle in process: one Unicorn CPU ("max", EL1, MMU off) over two areas of its own. Quick, and made from a QEMU of
 * 2020: it lacks what is newer, and the rules name what it has wrong.
 */
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "harness.h"

static uc_engine *uc;
static int exception; /* EXCP number, -1 none */

enum { EXCP_UDEF = 1 };

static void on_interrupt(uc_engine *u, uint32_t number, void *opaque)
{
	exception = (int)number;
	uc_emu_stop(u);
}

enum { N_REGS = 31 + 1 + 1 + 1 + 2 + 32, PSTATE_EL1H = 0x3c5 };
static int reg_ids[N_REGS];
static void *reg_vals[N_REGS];
static struct state now;
static uint64_t pstate, fpcr, fpsr;

static void add_register(unsigned *n, int id, void *val)
{
	reg_ids[*n] = id;
	reg_vals[(*n)++] = val;
}

static void list_registers(void)
{
	unsigned n = 0;

	for (int i = 0; i < 31; i++)
		add_register(&n, i < 29 ? UC_ARM64_REG_X0 + i : UC_ARM64_REG_X29 + (i - 29), &now.x[i]);
	add_register(&n, UC_ARM64_REG_SP, &now.x[31]);
	add_register(&n, UC_ARM64_REG_PC, &now.pc);
	add_register(&n, UC_ARM64_REG_PSTATE, &pstate);
	add_register(&n, UC_ARM64_REG_FPCR, &fpcr);
	add_register(&n, UC_ARM64_REG_FPSR, &fpsr);
	for (int i = 0; i < 32; i++)
		add_register(&n, UC_ARM64_REG_Q0 + i, &now.v[i]);
}

static bool engine_open(struct oracle *o)
{
	uc_hook hook;

	return uc_open(UC_ARCH_ARM64, UC_MODE_LITTLE_ENDIAN, &uc) == UC_ERR_OK &&
	       uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, CODE, CODE_SIZE, UC_PROT_ALL, o->code) == UC_ERR_OK &&
	       uc_mem_map_ptr(uc, DATA, DATA_SIZE, UC_PROT_READ | UC_PROT_WRITE, o->data) == UC_ERR_OK &&
	       uc_hook_add(uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, NULL, 1, 0) == UC_ERR_OK;
}

static bool unicorn_start(struct oracle *o)
{
	o->data = aligned_alloc(4096, DATA_SIZE);
	o->code = aligned_alloc(4096, CODE_SIZE);
	list_registers();
	return o->data && o->code && engine_open(o);
}

/*
 * When its buffer for translated code is full, some three million instructions later, Unicorn 2.0 runs old code or follows wild
 * pointers in uc_ctl_remove_cache(). It gets a new engine before that.
 */
static void renew(struct oracle *o)
{
	enum { RUNS = 1 << 20 };
	static unsigned runs;

	if (++runs % RUNS)
		return;
	uc_close(uc);
	if (!engine_open(o)) {
		fprintf(stderr, "fuzz: unicorn does not start again\n");
		exit(1);
	}
}

static void run(struct oracle *o, struct trial *t)
{
	const struct state *s = &t->in;
	struct result *r = &t->them;
	const uint32_t end = SLOT_END;
	uc_err err;

	renew(o);
	now = *s;
	pstate = s->nzcv | PSTATE_EL1H;
	fpcr = s->fpcr;
	fpsr = s->fpsr;
	memcpy(o->code + (s->pc - CODE), t->insns, 4 * t->n);
	memcpy(o->code + (s->pc - CODE) + 4 * t->n, &end, 4);
	uc_ctl_remove_cache(uc, s->pc, s->pc + 4 * t->n);
	uc_reg_write_batch(uc, reg_ids, reg_vals, N_REGS);
	exception = -1;
	err = uc_emu_start(uc, s->pc, ~0ull, 0, t->n);
	uc_reg_read_batch(uc, reg_ids, reg_vals, N_REGS);
	if (exception == EXCP_UDEF || err == UC_ERR_INSN_INVALID || (err == UC_ERR_EXCEPTION && exception < 0))
		r->outcome = UNDEFINED;
	else if (exception >= 0)
		r->outcome = EXIT;
	else if (err == UC_ERR_FETCH_UNMAPPED || err == UC_ERR_FETCH_PROT || err == UC_ERR_OK)
		r->outcome = DONE; /* the next instruction cannot be fetched: a branch went there */
	else
		r->outcome = FAULT;
	r->s = now;
	r->s.nzcv = (uint32_t)pstate & 0xf0000000u;
	r->s.fpcr = (uint32_t)fpcr;
	r->s.fpsr = (uint32_t)fpsr;
}

static bool unicorn_run(struct oracle *o, struct trial *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		run(o, &t[i]);
	return true;
}

struct oracle oracle_unicorn = {.name = "unicorn", .start = unicorn_start, .run = unicorn_run};
