/* SPDX-License-Identifier: MIT */
/*
 * What the files of this back end share: the state of one compilation, and the calls between selection and register
 * allocation.
 *
 * Host registers: rbp = env + 128, so that the guest's general registers have short displacements; rax, rcx and rdx are
 * scratch within an op; rsp is aligned to 16; the others hold values. Guest registers live in env, and are complete
 * there at every op that may leave the block: a put stores at once. A value's slot is its place in env->t or env->tv.
 */
#ifndef PAWL_JIT_X86_64_GEN_H
#define PAWL_JIT_X86_64_GEN_H

#include "../code.h"
#include "asm.h"
#include "env.h"
#include "eval.h"
#include "ir.h"
#include "jit.h"
#include "memory.h"
#include "op.h"

enum { ENV_BIAS = 128 };
#define ENV(field) ((int32_t)offsetof(struct ir_env, field) - ENV_BIAS)
#define ENV_X(r) (ENV(x) + 8 * (int32_t)(r))
#define ENV_V(r) (ENV(v) + 16 * (int32_t)(r))
#define SLOT_X(n) (ENV(t) + 8 * (int32_t)(n))
#define SLOT_V(n) (ENV(tv) + 16 * (int32_t)(n))

/* Registers that a call of C code may change, of those that hold values. */
#define CALLER_SAVED (1u << RSI | 1u << RDI | 1u << R8 | 1u << R9 | 1u << R10 | 1u << R11)
#define ALLOCATABLE (CALLER_SAVED | 1u << RBX | 1u << R12 | 1u << R13 | 1u << R14 | 1u << R15)

enum { NO_HOME = 0xff, HOME_NZCV = 32 };

/* An x or f value. It may be in several places at once. */
struct val {
	uint16_t def;	      /* op */
	uint16_t last;	      /* op of the last use, also by way of lazy values; def if none */
	uint16_t uses, tests; /* all uses; those as a condition */
	int16_t reg;	      /* NO_REG */
	uint8_t home;	      /* guest register that holds it now, NO_HOME */
	bool slot;	      /* its slot holds it */
	bool cst;	      /* it is imm of its definition */
	bool lazy;	      /* made again where it is used: flags, and conditions for branches */
};

struct vval { /* a vector value: always in memory */
	uint16_t last;
	uint8_t home; /* guest register that holds it now, NO_HOME: its slot does */
};

/* The way around the soft TLB, behind the block. */
struct stub {
	uint32_t from, back; /* labels */
	uint16_t op;
	uint16_t regs[16]; /* values in registers at that time */
	uint16_t slots;	   /* registers whose value is also in its slot */
	uint8_t vhome[2];  /* of the vector operands b and c */
	int8_t dst[2];	   /* registers that the results go to */
};

struct exit { /* a conditional branch that is taken */
	uint32_t from;
	uint16_t op;
};

struct jit {
	struct code_mem mem;
	uint32_t start; /* of the first block: behind the trampolines */
	struct ir_env *env;
	struct jit_dispatch d;
	bool chain;
	const void *enter, *leave, *leave_trap, *leave_exit;

	/* the compilation at hand */
	struct as as;
	const struct ir_block *blk;
	unsigned i; /* op */
	struct val x[IR_MAX_VALUES];
	struct vval v[IR_MAX_VALUES];
	uint16_t regs[16]; /* value in a register, 0: free */
	uint32_t pinned;   /* registers of the op at hand */
	uint16_t home[33]; /* value that a guest register holds as far as known, 0 */
	uint16_t homev[32];
	unsigned n_stubs, n_exits;
	struct stub stubs[IR_MAX_OPS];
	struct exit exits[IR_MAX_OPS];
};

/* ---- regalloc.c */

void reg_begin(struct jit *j);				   /* uses of all values; nothing is anywhere */
int reg_use(struct jit *j, uint16_t n);			   /* a register with the value */
int reg_def(struct jit *j, uint16_t n);			   /* a register for a value that is made now */
int reg_take(struct jit *j, uint16_t d, uint16_t a);	   /* for d, holding a; a's own if this is a's last use */
int reg_copy(struct jit *j, uint16_t d, uint16_t a);	   /* for d, holding a; a keeps its own */
void reg_slot(struct jit *j, uint16_t n);		   /* the slot holds the value, for C code to read */
void reg_is_home(struct jit *j, uint16_t n, unsigned reg); /* guest register reg holds the value from now on */
void reg_lose_home(struct jit *j, unsigned reg);	   /* guest register reg is about to change */
void reg_lose_vhome(struct jit *j, unsigned reg);
void reg_before_call(struct jit *j); /* caller-saved registers are about to be lost */
void reg_end_op(struct jit *j);	     /* values whose last use this was */
static inline bool reg_dies(const struct jit *j, uint16_t n)
{
	return j->x[n].last <= j->i;
}
static inline int32_t reg_vloc(const struct jit *j, uint16_t n)
{
	return j->v[n].home == NO_HOME ? SLOT_V(n) : ENV_V(j->v[n].home);
}

/* ---- select.c */

bool select_block(struct jit *j, uint32_t sp_mask);
/* NZCV of flags n, packed as in env, to a scratch register (rax if in doubt; clobbers rax and EFLAGS). */
void select_pack(struct jit *j, uint16_t n, int scratch);

#endif
