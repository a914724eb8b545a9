/* SPDX-License-Identifier: MIT */
/*
 * The intermediate representation: what an A64 instruction means, in a form that the portable
 * interpreter (interp.c) runs and every back end translates.
 *
 * A block is a straight run of guest instructions, ended by control flow. Values are SSA and live
 * inside one block only; between blocks there is guest state (struct ir_env) and nothing else.
 *
 * The rule that makes exceptions precise: all puts of one guest instruction follow its last op that
 * may trap. ir/check.c verifies it for every block that is built.
 *
 * This file knows no A64 encodings and no system registers by name.
 */
#ifndef PAWL_IR_H
#define PAWL_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ir_env;

union ir_v128 {
	uint8_t b[16];
	uint16_t h[8];
	uint32_t s[4];
	uint64_t d[2];
	int8_t sb[16];
	int16_t sh[8];
	int32_t ss[4];
	int64_t sd[2];
};

/* Handles of SSA values. Distinct types, so that the C compiler checks the emitters. 0 is "none". */
typedef struct {
	uint16_t n;
} ir_x; /* 64-bit integer (32-bit ops zero-extend); also the i1 results, 0 or 1 */
typedef struct {
	uint16_t n;
} ir_v; /* 128-bit vector */
typedef struct {
	uint16_t n;
} ir_f; /* NZCV; emitters never look at packed bits */

enum ir_opcode {
#define OP(name, sig, flags) IR_##name,
#include "ops.def"
#undef OP
	IR_OP_COUNT
};

enum {
	IR_MAX_INSNS = 64,   /* guest instructions in a block */
	IR_MAX_OPS = 2048,   /* ops in a block */
	IR_MAX_VALUES = 2048 /* values of each of the classes x (with f) and v */
};

/*
 * One op. The meaning of the fields is given per op in ops.def; unused ones are 0.
 */
struct ir_insn {
	uint8_t op;	  /* enum ir_opcode */
	uint8_t x;	  /* small immediate: register number, condition, size, lane, ... */
	uint16_t dst;	  /* value defined */
	uint16_t a, b, c; /* values used (c is the second result of the ops that have two) */
	uint16_t gi;	  /* index in the block of the guest instruction it belongs to: pc = block pc + 4 * gi */
	uint32_t aux;	  /* memory descriptor, vector descriptor, system register encoding, width */
	uint64_t imm;	  /* constant, displacement, target address, exit payload */
};

/*
 * Memory descriptor (aux of the memory ops): everything the slow path needs to check the access and to
 * build the syndrome of an abort.
 */
#define IR_MEM_SIZE(m) ((m)&7u)		   /* log2 of the bytes of one element, 0..4 */
#define IR_MEM_SSE (1u << 3)		   /* load: sign-extend */
#define IR_MEM_SF (1u << 4)		   /* 64-bit register (sign extension goes to bit 63, else to bit 31) */
#define IR_MEM_ISV (1u << 5)		   /* syndrome has ISV: single general register, no writeback, not exclusive */
#define IR_MEM_RT(m) (((m) >> 6) & 31u)	   /* ISS.SRT */
#define IR_MEM_UNPRIV (1u << 11)	   /* LDTR/STTR: checked as EL0 (unless UAO) */
#define IR_MEM_ACQREL (1u << 12)	   /* LDAR, LDAPR, STLR...: ISS.AR, and must be aligned */
#define IR_MEM_ALIGNED (1u << 13)	   /* must be aligned to its size whatever SCTLR.A says (exclusives, atomics) */
#define IR_MEM_PAIR (1u << 14)		   /* two elements of IR_MEM_SIZE each */
#define IR_MEM_WNR (1u << 15)		   /* a write (also every read-modify-write); set by the builder */
#define IR_MEM_BASE(m) (((m) >> 16) & 63u) /* guest base register 0..31 (31 = SP), 32 = literal: names the TLB extent */
#define IR_MEM_EXCL (1u << 22)		   /* LDXR and friends; step syndrome's EX */
#define IR_MEM_SEQCST (1u << 23)	   /* LDAR/STLR (RCsc); without it ACQREL is RCpc (LDAPR) */
#define IR_MEM_VEC (1u << 24)		   /* register is a vector register; set by the builder */
#define IR_MEM_RMW (1u << 25)		   /* read-modify-write; set by the builder */
/* Structure accesses (LD1..ST4): log2 of the element that must be aligned, instead of what is transferred at once. */
#define IR_MEM_ELEM(log2) ((uint32_t)((log2) + 1) << 26)
#define IR_MEM_ALIGN_SIZE(m) ((m) >> 26 & 7u ? ((m) >> 26 & 7u) - 1 : IR_MEM_SIZE(m)) /* log2, of plain accesses */
#define IR_MEM(size, rt, base, flags) ((uint32_t)(size) | (uint32_t)(rt) << 6 | (uint32_t)(base) << 16 | (flags))
#define IR_MEM_BASE_LITERAL 32
#define IR_MEM_BASE_ZVA 33 /* DC ZVA, for which more than a store's rights is needed */

enum ir_cond { /* the manual's order, as in the cond field of B.cond */
	       IR_EQ,
	       IR_NE,
	       IR_CS,
	       IR_CC,
	       IR_MI,
	       IR_PL,
	       IR_VS,
	       IR_VC,
	       IR_HI,
	       IR_LS,
	       IR_GE,
	       IR_LT,
	       IR_GT,
	       IR_LE,
	       IR_AL,
	       IR_NV
};

enum ir_rmw {
	IR_RMW_ADD,
	IR_RMW_CLR,
	IR_RMW_EOR,
	IR_RMW_SET,
	IR_RMW_SMAX,
	IR_RMW_SMIN,
	IR_RMW_UMAX,
	IR_RMW_UMIN,
	IR_RMW_SWP
};

enum ir_fence { IR_FENCE_LD, IR_FENCE_ST, IR_FENCE_FULL, IR_FENCE_DSB, IR_FENCE_ISB, IR_FENCE_ESB };

/* x of IR_exit: why the block hands over to the PE. env->pc is the instruction itself. imm is the payload. */
enum ir_exit_reason {
	IR_EXIT_UNDEF, /* UNDEFINED, unallocated, or not implemented */
	IR_EXIT_SVC,   /* imm16 */
	IR_EXIT_HVC,   /* imm16 */
	IR_EXIT_SMC,   /* imm16 */
	IR_EXIT_BRK,   /* imm16 */
	IR_EXIT_HLT,   /* imm16: no halting debug, so UNDEFINED */
	IR_EXIT_ERET,
	IR_EXIT_WFI,
	IR_EXIT_WFE,
	IR_EXIT_WFIT, /* payload: register number with the deadline */
	IR_EXIT_WFET,
	IR_EXIT_FP_TRAP,  /* FP/SIMD access while the unit key says it traps */
	IR_EXIT_PC_ALIGN, /* misaligned PC */
	IR_EXIT_IABORT,	  /* the fetch itself faulted: fetch again and take the abort */
	IR_EXIT_STEPPED	  /* a unit of one instruction has completed (block key IR_KEY_STEP) */
};

/* x of IR_pauth: what is done to a pointer with which key. */
enum ir_pauth_op { IR_PAUTH_ADD, IR_PAUTH_CHECK, IR_PAUTH_STRIP /* key: that of code or data */, IR_PAUTH_GENERIC };
enum ir_pauth_key { IR_PAUTH_IA, IR_PAUTH_IB, IR_PAUTH_DA, IR_PAUTH_DB };
#define IR_PAUTH(op, key) ((op) << 2 | (key))
#define IR_PAUTH_OP(x) ((enum ir_pauth_op)((x) >> 2 & 3))
#define IR_PAUTH_KEY(x) ((enum ir_pauth_key)((x)&3))
#define IR_PAUTH_COMBINED 16 /* the check is part of a branch or a load */

struct ir_block {
	uint64_t pc;	  /* guest VA it was translated at (branch targets are absolute) */
	uint16_t n_insns; /* guest instructions */
	uint16_t n_ops;
	uint16_t n_x, n_v; /* values used + 1, per class */
	struct ir_insn *ops;
	/*
	 * Of a trace (ir_take), where each instruction is; else NULL, and they are one behind the other. Traces are for back ends:
	 * the interpreter does not run them.
	 */
	const uint64_t *pcs;
};

/* Where guest instruction gi of the block is. */
static inline uint64_t ir_pc(const struct ir_block *blk, unsigned gi)
{
	return blk->pcs ? blk->pcs[gi] : blk->pc + 4 * (uint64_t)gi;
}

/* Why ir_interp came back. */
enum ir_ret {
	IR_RET_BR,   /* block done, env->pc is the next instruction */
	IR_RET_EXIT, /* IR_exit: env->pc is the instruction, env->exit_reason and env->exit_imm are set */
	IR_RET_TRAP  /* a callback took an exception or recorded an exit; env->pc is whatever it left there */
};

/*
 * Where control goes backward, in front of op i of a trace: to the pc returned, or 0 if it does not. There whoever runs it looks
 * whether to go on, so that no loop is without a look in each iteration. Guest state is complete then.
 */
static inline uint64_t ir_turns_back(const struct ir_block *blk, unsigned i)
{
	if (!blk->pcs || i >= blk->n_ops)
		return 0;
	for (unsigned gi = blk->ops[i].gi; gi > (i ? blk->ops[i - 1].gi : 0); gi--) {
		if (blk->pcs[gi] <= blk->pcs[gi - 1])
			return blk->pcs[gi];
	}
	return 0;
}

/* Runs one block, as finished or as prepared. PE thread only. */
enum ir_ret ir_interp(struct ir_env *env, const struct ir_block *blk);

/*
 * Builder. One per vcpu thread, reused; no allocation after creation.
 */
struct ir_builder;
struct ir_builder *ir_builder_new(void); /* NULL if out of memory */
void ir_builder_free(struct ir_builder *b);
/* ir_finish() looks at every block with ir_check(), however many there are; without this, at the first ones and at some. */
void ir_builder_check_all(struct ir_builder *b);
void ir_begin(struct ir_builder *b, uint64_t pc);
void ir_next_insn(struct ir_builder *b); /* start of the next guest instruction (also before the first) */
/* Room for the largest instruction is left: else the caller ends the block with ir_br(next pc). */
bool ir_has_room(const struct ir_builder *b);
bool ir_ended(const struct ir_builder *b); /* the last op is control flow that ends the block */
/* Forget what the current guest instruction emitted so far (its emitter returned false: UNDEFINED). */
void ir_rollback_insn(struct ir_builder *b);
/* Verify, optimise; the ops stay in the builder. out->ops points into the builder until the next ir_begin. */
void ir_finish(struct ir_builder *b, struct ir_block *out);

/*
 * Rewrite a finished block, in place, into what the interpreter runs several times faster: after ir_finish, before the
 * ops are copied. Afterwards the block is the interpreter's alone: its ops are not those of ops.def any more.
 */
void ir_interp_prepare(struct ir_builder *b, struct ir_block *blk);

/* Verifier: 0, or -EINVAL with a message in buf. Run on every block in builds with assertions (b_ndebug=false). */
int ir_check(const struct ir_block *blk, char *buf, size_t len);
void ir_opt(struct ir_block *blk); /* in place: dead flags, puts and values (constants are folded by the builder) */
struct _IO_FILE;
void ir_print(struct _IO_FILE *f, const struct ir_block *blk);

/* ---- builder calls: state */
ir_x ir_const(struct ir_builder *b, uint64_t v);
ir_x ir_getx(struct ir_builder *b, unsigned reg);	  /* 0..30, 31 = current SP. XZR: use ir_const(b, 0) */
void ir_putx(struct ir_builder *b, unsigned reg, ir_x v); /* 32-bit results must already be zero-extended */
ir_v ir_getv(struct ir_builder *b, unsigned reg);
void ir_putv(struct ir_builder *b, unsigned reg, ir_v v);
ir_f ir_getf(struct ir_builder *b);
void ir_putf(struct ir_builder *b, ir_f f);

/* ---- integer: generic forms by opcode; the op must have that signature in ops.def */
ir_x ir_un(struct ir_builder *b, enum ir_opcode op, ir_x a);
ir_x ir_bin(struct ir_builder *b, enum ir_opcode op, ir_x a, ir_x c);
/* value + immediate: the builder folds or makes a const */
ir_x ir_bini(struct ir_builder *b, enum ir_opcode op, ir_x a, uint64_t imm);
ir_x ir_adc(struct ir_builder *b, bool sf, ir_x a, ir_x c, ir_x carry); /* a + c + carry */
ir_x ir_extr(struct ir_builder *b, bool sf, ir_x hi, ir_x lo, unsigned lsb);
ir_x ir_ubfx(struct ir_builder *b, ir_x a, unsigned lsb, unsigned width); /* 64-bit result, zero-extended */
ir_x ir_sbfx(struct ir_builder *b, ir_x a, unsigned lsb, unsigned width); /* 64-bit result, sign-extended */
ir_x ir_bfi(struct ir_builder *b, ir_x base, ir_x src, unsigned lsb, unsigned width);
ir_x ir_crc32(struct ir_builder *b, ir_x acc, ir_x val, unsigned log2size, bool castagnoli);
ir_x ir_select(struct ir_builder *b, ir_x cond, ir_x t, ir_x f);

/* ---- flags */
ir_f ir_fl_add(struct ir_builder *b, bool sf, ir_x a, ir_x c);
ir_f ir_fl_sub(struct ir_builder *b, bool sf, ir_x a, ir_x c);
ir_f ir_fl_adc(struct ir_builder *b, bool sf, ir_x a, ir_x c, ir_x carry);		    /* SBC: pass not(c) */
ir_f ir_fl_logic(struct ir_builder *b, bool sf, ir_x a);				    /* N, Z of a; C = V = 0 */
ir_f ir_fl_fcmp(struct ir_builder *b, ir_v a, ir_v c, unsigned log2size, bool signal_qnan); /* sets FPSR.IOC */
ir_f ir_fl_const(struct ir_builder *b, unsigned nzcv);					    /* 4 bits, N = 8 */
ir_f ir_fl_select(struct ir_builder *b, ir_x cond, ir_f t, ir_f f);
ir_f ir_fl_pack(struct ir_builder *b, ir_x v);		     /* from bits 31:28 */
ir_x ir_fl_unpack(struct ir_builder *b, ir_f f);	     /* to bits 31:28 */
ir_x ir_cond(struct ir_builder *b, ir_f f, enum ir_cond cc); /* i1 */

/* ---- memory. addr + disp is the address; m is IR_MEM(...). All may trap. */
ir_x ir_load(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m); /* extended as m says */
void ir_store(struct ir_builder *b, ir_x addr, int64_t disp, ir_x v, uint32_t m);
ir_v ir_loadv(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m); /* upper bits zero */
void ir_storev(struct ir_builder *b, ir_x addr, int64_t disp, ir_v v, uint32_t m);
/* Pairs are one access of 2 elements: checked as a whole before anything is read or written. */
void ir_loadp(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m, ir_x *lo, ir_x *hi);
void ir_storep(struct ir_builder *b, ir_x addr, int64_t disp, ir_x lo, ir_x hi, uint32_t m);
void ir_loadpv(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m, ir_v *lo, ir_v *hi);
void ir_storepv(struct ir_builder *b, ir_x addr, int64_t disp, ir_v lo, ir_v hi, uint32_t m);
/* Exclusives: the monitor is env->excl. ldxp returns two elements. stx gives the status: 0 stored, 1 not. */
ir_x ir_ldx(struct ir_builder *b, ir_x addr, uint32_t m);
void ir_ldxp(struct ir_builder *b, ir_x addr, uint32_t m, ir_x *lo, ir_x *hi);
ir_x ir_stx(struct ir_builder *b, ir_x addr, ir_x v, uint32_t m);
ir_x ir_stxp(struct ir_builder *b, ir_x addr, ir_x lo, ir_x hi, uint32_t m);
/* LSE: old value, zero-extended. */
ir_x ir_rmw(struct ir_builder *b, enum ir_rmw op, ir_x addr, ir_x v, uint32_t m);
ir_x ir_cas(struct ir_builder *b, ir_x addr, ir_x expect, ir_x v, uint32_t m);
void ir_casp(struct ir_builder *b, ir_x addr, const ir_x expect[2], const ir_x v[2], uint32_t m, ir_x old[2]);
void ir_clrex(struct ir_builder *b);
void ir_fence(struct ir_builder *b, enum ir_fence kind);

/* ---- system. enc = op0<<14 | op1<<11 | CRn<<7 | CRm<<3 | op2, as in KVM's register ids. May trap. rt is for the syndrome.
 * SYS instructions (TLBI, DC, IC, AT: op0 = 1) are msr with op0 1; MSR (immediate) is ir_msr_imm with op0 = 0. */
ir_x ir_mrs(struct ir_builder *b, uint32_t enc, unsigned rt);
void ir_msr(struct ir_builder *b, uint32_t enc, unsigned rt, ir_x v);
void ir_msr_imm(struct ir_builder *b, uint32_t enc, unsigned imm4);
void ir_btype(struct ir_builder *b, unsigned btype); /* cannot trap */
/* Pointer authentication. kind is IR_PAUTH(...). May trap. */
ir_x ir_pauth(struct ir_builder *b, unsigned kind, ir_x ptr, ir_x modifier);

/* ---- control flow: all but ir_brcond end the block */
void ir_brcond(struct ir_builder *b, ir_x cond, uint64_t target); /* to target if cond, else on with the next op */
void ir_br(struct ir_builder *b, uint64_t target);
enum ir_br_kind { IR_BR_JUMP, IR_BR_CALL, IR_BR_RET };
void ir_br_ind(struct ir_builder *b, ir_x target, enum ir_br_kind kind);
void ir_exit(struct ir_builder *b, enum ir_exit_reason why, uint64_t payload);

/*
 * Traces: a block that goes on where a branch leads to. ir_way: whether the last instruction is a branch to a place that is known,
 * and where that is. ir_take: it is taken. The next instruction is the one there, and what was emitted for the branch is what it
 * does besides; a conditional one now leaves the block if it is not taken.
 */
enum ir_way { IR_WAY_NONE, IR_WAY_ALWAYS, IR_WAY_COND };
enum ir_way ir_way(const struct ir_builder *b, uint64_t *target);
void ir_take(struct ir_builder *b);

/* ---- vectors */
ir_v ir_v_from_x(struct ir_builder *b, ir_x lo); /* bits 127:64 zero */
ir_v ir_v_from_xx(struct ir_builder *b, ir_x lo, ir_x hi);
ir_x ir_x_from_v(struct ir_builder *b, ir_v v, unsigned log2size, unsigned lane, bool sext); /* sext: to 64 bits */
ir_v ir_v_ins_x(struct ir_builder *b, ir_v v, unsigned log2size, unsigned lane, ir_x x);     /* INS (general) */
/*
 * All vector and FP data operations: one op whose operation is a row of vops.def. Its definition is a C function
 * (ir/vec.c, ir/fp.c) that a back end may replace by host instructions row by row.
 * desc is the operation's own descriptor (element size, lanes, immediate, rounding: see vec.h).
 */
enum ir_vop_id {
	IR_VOP_NONE,
#define VOP(name) IR_VOP_##name,
#include "vops.def"
#undef VOP
	IR_VOP_COUNT
};
typedef void ir_vop_fn(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		       const union ir_v128 *c, uint32_t desc);
extern ir_vop_fn *const ir_vop_table[IR_VOP_COUNT];
ir_v ir_vop(struct ir_builder *b, enum ir_vop_id op, ir_v a, ir_v v2, ir_v v3, uint32_t desc); /* unused: (ir_v){0} */

#endif
