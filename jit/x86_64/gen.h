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

struct vval { /* a vector value; vregalloc.c */
	uint16_t def, last, uses;
	int8_t reg;    /* NO_REG */
	uint8_t home;  /* guest register that holds it now, NO_HOME */
	bool slot;     /* its slot holds it */
	bool fused;    /* made by its only user */
	uint8_t part;  /* the register holds the low 1 << part bytes of it, and zeros above */
	uint8_t clean; /* all of its bits above 1 << clean bytes are 0 */
};

/* The way around the soft TLB, behind the block. */
struct stub {
	uint32_t from, back; /* labels */
	uint16_t op;
	uint16_t regs[16]; /* values in registers at that time */
	uint16_t slots;	   /* registers whose value is also in its slot */
	int8_t dst[2];	   /* registers that the results go to, of the class that they are */
	uint16_t vregs[14];
	int32_t vmem[14];  /* where those values are in memory; 0: nowhere */
	uint8_t vpart[14]; /* how much of them the registers hold */
};

/* The way around the instructions of a vector operation, also behind the block. */
struct vstub {
	uint32_t from, back; /* labels */
	uint64_t what;	     /* what_of() in vec.c */
};
enum { VSTUBS = 2 * IR_MAX_OPS, VSTUB_QC = 0xff };

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
	uint32_t consts, vop_thunk; /* vec.c */
	enum jit_level level;
	bool has_aes, has_clmul, has_sha, has_sse42;

	/* the compilation at hand */
	struct as as;
	const struct ir_block *blk;
	unsigned i;	/* op */
	bool fp_native; /* FPCR allows host floating point */
	struct val x[IR_MAX_VALUES];
	struct vval v[IR_MAX_VALUES];
	uint16_t regs[16]; /* value in a register, 0: free */
	uint32_t pinned;   /* registers of the op at hand */
	uint16_t home[33]; /* value that a guest register holds as far as known, 0 */
	uint16_t homev[32];
	uint16_t vregs[14]; /* value in an xmm register, 0: free */
	uint32_t vpinned;
	unsigned n_stubs, n_exits, n_vstubs;
	struct stub stubs[IR_MAX_OPS];
	struct exit exits[IR_MAX_OPS];
	struct vstub vstubs[VSTUBS];
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
void reg_before_call(struct jit *j);			   /* caller-saved registers are about to be lost */
void reg_end_op(struct jit *j);				   /* values whose last use this was */
static inline bool reg_dies(const struct jit *j, uint16_t n)
{
	return j->x[n].last <= j->i;
}

/* ---- select.c */

bool select_block(struct jit *j, uint32_t sp_mask);
/* NZCV of flags n, packed as in env, to a scratch register (rax if in doubt; clobbers rax, rcx and EFLAGS). */
void select_pack(struct jit *j, uint16_t n, int scratch);

/* ---- vec.c: vector ops, at j->i */

void vec_shared(struct jit *j); /* what is in front of all blocks */
void vec_op(struct jit *j);	/* IR_vop */
void vec_get(struct jit *j);
void vec_put(struct jit *j);
void vec_from_x(struct jit *j);
void vec_to_x(struct jit *j);
void vec_ins_x(struct jit *j);
void vec_load(struct jit *j, int d, int32_t disp, unsigned size); /* from [rax + disp]; may change rdx */
void vec_store(struct jit *j, int s, int32_t disp, unsigned size);
void vec_stubs(struct jit *j); /* behind the block */

/* ---- vec_fp.c */

/* FCMP is made again where its flags are used, as all compares. */
bool vec_fcmp_is_native(const struct jit *j, const struct ir_insn *op);
void vec_fcmp(struct jit *j); /* where it stands */
/* As condition() and select_pack() of select.c, for the flags of op. Change rax and rcx. */
enum x86_cc vec_fcmp_condition(struct jit *j, const struct ir_insn *op, unsigned cond);
void vec_fcmp_pack(struct jit *j, const struct ir_insn *op, int scratch);

/*
 * MXCSR while code runs: begin returns the client's, which end restores. FPSR is complete after end, and after sync,
 * which also takes up a changed FPCR.
 */
unsigned jit_fp_begin(const struct ir_env *env);
void jit_fp_end(struct ir_env *env, unsigned client);
void jit_fp_sync(struct ir_env *env);

#endif
