/* SPDX-License-Identifier: MIT */
/*
 * What the files of this back end share: the state of one compilation, and the calls between selection and register
 * allocation.
 *
 * Host registers: rbp = env + 160, so that the guest's general registers but x0 to x3, which are pinned, and what lies
 * behind them have short displacements; rax, rcx and rdx are scratch within an op; rsp is aligned to 16. Some guest
 * registers are pinned: they live in a host register of their own, in all units, and their place in env is good only while
 * C code runs. The other host registers, the pool, hold values within a unit. The other guest registers live in env. A put
 * stores at once, unless a later one to the same register makes that needless for who goes on in the unit: then the value
 * is dirty, and what may leave between the two stores it on its way out, behind the unit's code. A value's slot is its
 * place in env->t or env->tv.
 *
 * Flags are EFLAGS as a compare sets them, CF being the inverse of C; saved, they have the form of ir_raw_of(). Flags of a
 * plain operation need not be saved: their operands live as long as they do, and they are made again. They too may be dirty.
 */
#ifndef PAWL_JIT_X86_64_GEN_H
#define PAWL_JIT_X86_64_GEN_H

#include <emmintrin.h>

#include "../code.h"
#include "asm.h"
#include "env.h"
#include "eval.h"
#include "ir.h"
#include "jit.h"
#include "memory.h"
#include "op.h"

enum { ENV_BIAS = 160 };
#define ENV(field) ((int32_t)offsetof(struct ir_env, field) - ENV_BIAS)
#define ENV_X(r) (ENV(x) + 8 * (int32_t)(r))
#define ENV_V(r) (ENV(v) + 16 * (int32_t)(r))
#define SLOT_X(n) (ENV(t) + 8 * (int32_t)(n))
#define SLOT_V(n) (ENV(tv) + 16 * (int32_t)(n))

/* Pool registers that a call of C code may change. Thunks keep them, as they do pinned ones. */
#define CALLER_SAVED (1u << R10 | 1u << R11)

enum { NO_HOME = 0xff, HOME_NZCV = 32 };

/* An x or f value. It may be in several places at once. */
struct val {
	uint16_t def;	      /* op */
	uint16_t last;	      /* op of the last use, also by way of lazy values; def if none */
	uint16_t uses, tests; /* all uses; those as a condition */
	int16_t reg;	      /* NO_REG */
	uint8_t home;	      /* guest register that holds it now, NO_HOME */
	bool dirty;	      /* in reg, and not yet stored to its home */
	bool slot;	      /* its slot holds it */
	bool plain;	      /* flags that can be made again from their operands */
	bool cst;	      /* it is imm of its definition */
	bool lazy; /* made where it is used: conditions for branches, flags that one fl_select takes, what is scaled */
	uint8_t scaled; /* its only use is in a sum, which shifts it by so much; else 0 */
	int16_t want;	/* pinned guest register that it is about to be put to, or -1 */
	uint16_t heir;	/* ... not itself, but what this op makes of it; else 0 */
};

struct vval { /* a vector value; vregalloc.c */
	uint16_t def, last, uses;
	int16_t reg;   /* NO_REG */
	uint8_t home;  /* guest register that holds it now, NO_HOME */
	bool slot;     /* its slot holds it */
	bool fused;    /* made by its only user */
	bool early;    /* made already, by an op before its own */
	uint8_t part;  /* the register holds the low 1 << part bytes of it, and zeros above */
	uint8_t clean; /* all of its bits above 1 << clean bytes are 0 */
};

/* What has to be stored on a way out: guest registers by the host register that holds them, and flags. */
struct debt {
	uint8_t home[16]; /* NO_HOME */
	bool any;
	uint16_t flags;	  /* value, 0: none */
	bool in_ef, slot; /* EFLAGS hold it; its slot does */
	bool add;	  /* EFLAGS: jit.ef_add */
	struct {
		int16_t reg; /* NO_REG: at rbp + at, or a constant */
		int32_t at;
	} opnd[2];
};

/* The host memory of an access: [rax + index + disp]; NO_REG: [rax + disp] */
struct place {
	int index;
	int32_t disp;
};

/* The way around the soft TLB, behind the block. */
struct stub {
	uint32_t from, back;	   /* labels */
	uint32_t retry, unaligned; /* where the look-up begins, 0: no way back there; a label, 0: none */
	uint32_t access;	   /* where delta is in rax, 0: it is not */
	bool asks;		   /* the soft TLB may have what was not found, for this access alone */
	int32_t extent;		   /* from rbp */
	int32_t misses; /* a counter, from rbp, that goes up (JIT_PROBE) or down to 0, when the unit is to be made again; 0: none */
	bool write;
	bool attn;	 /* it comes back only if nothing wants attention */
	int8_t base;	 /* register that the address is made of, if access is not 0 */
	uint8_t bytes;	 /* ... and what is accessed there */
	uint8_t cover;	 /* that of which this is the lead, 0: none */
	uint32_t covers; /* masks of those that hold here */
	uint16_t op;
	ir_mem_fn *fn;	   /* the long way */
	uint16_t regs[16]; /* values in registers at that time */
	uint16_t slots;	   /* registers whose value is also in its slot */
	uint8_t homes[3];  /* of the op's operands: guest registers that hold them, NO_HOME */
	int8_t dst[2];	   /* registers that the results go to, of the class that they are */
	uint16_t vsnap;	   /* number of its struct vsnap, 0: no xmm register holds a value */
	struct debt debt;
};

/* Accesses that lie in one page if their lead has found that out: env->cover[] is delta then, else 0. */
struct cover {
	uint16_t lead, last; /* ops */
	unsigned n;	     /* that follow the lead */
	int32_t lo, hi;	     /* from the lead's first byte: the first byte of all, and behind the last */
};

struct vsnap { /* xmm registers where a stub leaves the unit's code */
	uint32_t held;
	uint16_t regs[14];
	int32_t mem[14];  /* where those values are in memory; 0: nowhere */
	uint8_t part[14]; /* how much of them the registers hold */
};

/* The way around the instructions of a vector operation, also behind the block. */
struct vstub {
	uint32_t from, back; /* labels */
	uint64_t what;	     /* what_of() in vec.c */
};
enum { VSTUBS = 2 * IR_MAX_OPS, VSTUB_QC = 0xff, VSTUB_THUNK = 0xfe /* at what >> 8 */ };

struct exit { /* a conditional branch that is taken, or a kick, to go on with behind the unit */
	uint32_t from;
	uint16_t op;
	uint32_t site; /* the jump itself is this site's, 0: not */
	int32_t taken; /* a counter of JIT_PROBE, from rbp; 0: none */
	bool kicked;   /* to C, at pc */
	uint64_t pc;
	struct debt debt;
};

/* An exit to a known pc, as code. Offsets into code memory. pc is read while other sites are made. */
struct site {
	uint64_t pc;
	void *owner;
	uint32_t jump;	 /* behind the displacement of the jump to the target */
	uint32_t stub;	 /* where the jump goes while there is no link */
	uint32_t view;	 /* behind the immediate that the view is compared with; 0: same page */
	uint32_t stale;	 /* behind the displacement of the jump if it is another one; 0: the unit is alone */
	uint32_t linked; /* the view, 0: none yet */
	bool by_cache;	 /* the jump at stale goes by the jump cache */
};
/* The numbers that are not 0, as bits: the registers that hold a value. */
static inline unsigned reg_held(const uint16_t regs[16])
{
	__m128i lo = _mm_loadu_si128((const __m128i *)(const void *)&regs[0]), zero = _mm_setzero_si128();
	__m128i hi = _mm_loadu_si128((const __m128i *)(const void *)&regs[8]);

	return 0xffffu &
	       ~(unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_cmpeq_epi16(lo, zero), _mm_cmpeq_epi16(hi, zero)));
}

/* An op that code hands to C. */
struct kept {
	struct ir_insn op; /* gi: the function's number */
	uint64_t pc;
};

enum { SITES_MAX = 1 << 20, KEPT_MAX = 2 << 20, FUNCTIONS_MAX = 32 };

struct jit {
	struct code_mem mem;
	bool count_accesses;
	size_t limit;	 /* bytes of mem that are used */
	uint32_t start;	 /* of the first block: behind the trampolines */
	uint32_t middle; /* from here on is what units do seldom */
	struct ir_env *env;
	unsigned jump_bits;
	const void *enter, *leave, *leave_exit, *leave_rax, *leave_rdx, *by_cache;
	uint32_t link_thunk, op_thunk, op_thunk_attn, op_thunk_covers, hot_thunk, start_thunk;
	uint32_t extent_thunk[2][2];	  /* [unprivileged][write] */
	uint32_t tlb_thunk[2][6];	  /* [write][log2 of bytes] */
	/* ...; [write][log2 of bytes] */ /* [unprivileged][write] */
	struct site *sites;		  /* [0] is none */
	uint32_t n_sites;
	struct kept *kept;
	uint32_t n_kept;
	ir_mem_fn *functions[FUNCTIONS_MAX]; /* that they are handed to */
	unsigned n_functions;
	jit_watch_fn *watch;
	void *watch_opaque;
	uint32_t marks[IR_MAX_INSNS + 1]; /* jit_unit.marks of the unit at hand */
	unsigned n_marks;
	uint32_t consts, vop_thunk, fp_thunk; /* vec.c */
	enum jit_level level;
	bool has_aes, has_clmul, has_sha, has_sse42, has_bmi1, has_bmi2;

	/* the compilation at hand */
	struct as as;
	uint8_t *cold, *cold_end; /* where in mem.rw the next unit's seldom code goes */
	const struct ir_block *blk;
	const struct jit_unit *unit;
	unsigned i;	     /* op */
	unsigned end;	     /* ... and that with which it is made, if it is not itself: flags of the result */
	uint16_t ef;	     /* flags value that EFLAGS hold, 0: none */
	bool ef_add;	     /* ... with CF as C is, after an addition */
	uint16_t flags_done; /* flags value that the op before has made on its way */
	uint16_t owed;	     /* flags value that is dirty, 0: none */
	bool fp_native;	     /* FPCR allows host floating point */
	bool uses_fp;	     /* an op is host floating point */
	bool has_mulhu;	     /* there is one */
	struct val x[IR_MAX_VALUES];
	struct vval v[IR_MAX_VALUES];
	int16_t pin[32]; /* host register of a guest register in this unit, NO_REG */
	struct swap {
		int8_t host;
		uint8_t in, out; /* guest registers: in this unit, and between units */
	} swaps[16];
	unsigned n_swaps;
	uint16_t regs[16]; /* value in a register, 0: free */
	uint32_t pinned;   /* registers of the op at hand */
	uint16_t home[33]; /* value that a guest register holds as far as known, 0 */
	uint16_t until
		[IR_MAX_OPS]; /* of a put that another follows: the last op between that may look or leave; else 0 */
	uint16_t observer[IR_MAX_OPS]; /* the last such op before an op; of puts with one behind them */
	bool ends[IR_MAX_OPS];	       /* with this op a value may end */
	uint16_t homev[32];
	uint16_t vregs[14];	 /* value in an xmm register, 0: free */
	uint32_t vpinned, vheld; /* masks: of the op at hand; that may hold values */
	uint32_t begin;		 /* of the unit's code */
	uint32_t loop;		 /* ... and where it comes back to */
	bool looks;		 /* the unit's start looks at env->kick, for all ways back to it */
	unsigned n_stubs, n_exits, n_vstubs, n_vsnaps, n_accesses;
	unsigned piece, piece_access; /* of the access at hand: number in jit_unit.pieces, and of its first access */
	struct stub stubs[IR_MAX_OPS];
	struct exit exits[IR_MAX_OPS + IR_MAX_INSNS];
	unsigned n_covers;
	uint32_t covers_live; /* masks: 1 << number - 1 */
	struct cover covers[IR_COVERS + 1];
	uint8_t cover_of[IR_MAX_OPS]; /* 0: of none */
	struct vstub vstubs[VSTUBS];
	struct vsnap vsnaps[IR_MAX_OPS + 1];
};

/* ---- regalloc.c */

extern const int16_t reg_pin[32];			/* host register of a guest register between units, NO_REG */
void reg_begin(struct jit *j);				/* uses of all values; nothing is anywhere */
int reg_use(struct jit *j, uint16_t n);			/* a register with the value */
void reg_fetch(struct jit *j, uint16_t n, int scratch); /* the value to a scratch register */
int reg_def(struct jit *j, uint16_t n);			/* a register for a value that is made now; not an operand's */
int reg_def_late(struct jit *j, uint16_t n);		/* the same, made when no operand is needed any more */
int reg_take(struct jit *j, uint16_t d, uint16_t a);	/* for d, holding a; a's own if this is a's last use */
int reg_copy(struct jit *j, uint16_t d, uint16_t a);	/* for d, holding a; a keeps its own */
bool reg_is_wanted(struct jit *j, uint16_t n);		/* reg_def_late will find a pinned one */
void reg_slot(struct jit *j, uint16_t n);		/* the slot holds the value, for C code to read */
void reg_is_home(struct jit *j, uint16_t n, unsigned reg); /* guest register reg holds the value from now on */
void reg_lose_home(struct jit *j, unsigned reg);	   /* guest register reg is about to change */
void reg_before_call(struct jit *j);			   /* caller-saved registers are about to be lost */
void reg_end_op(struct jit *j);				   /* values whose last use this was */
void reg_is_dirty(struct jit *j, uint16_t n,
		  unsigned reg); /* reg_is_home(), but env does not have it; n is in a register */
void reg_clean(struct jit *j);	 /* stores what is dirty */
static inline bool reg_is_operand(const struct ir_insn *op, unsigned cls, uint16_t n)
{
	const struct ir_opinfo *info = &ir_opinfo[op->op];

	for (unsigned k = 0; k < info->n_arg; k++) {
		if (info->arg[k] == cls && ir_arg(op, k) == n)
			return true;
	}
	return false;
}
static inline void reg_lasts(struct jit *j, uint16_t n, uint16_t until) /* at least */
{
	if (j->x[n].last >= until)
		return;
	j->x[n].last = until;
	j->ends[until] = true;
}
static inline bool reg_dies(const struct jit *j, uint16_t n)
{
	return j->x[n].last <= j->end;
}

void vreg_load_pinned(struct jit *j); /* vregalloc.c */

/* ---- memory.c */

#define TLB(field) ((int32_t)offsetof(struct ir_tlb, field))

void tlb_index_to(struct jit *j, int d, int va); /* d = ir_tlb_index(va), another register. Clobbers EFLAGS */

/* ---- select.c */

bool select_block(struct jit *j);

/* ---- leave.c */

void leave_shared(struct jit *j);

/* ---- flags.c */

bool flags_survive(const struct jit *j, unsigned op); /* EFLAGS are left alone by it, or it sees to them itself */
void flags_save(struct jit *j);			      /* EFLAGS are about to be lost. Clobbers rax */
void flags_clean(struct jit *j);		      /* env has NZCV. Clobbers rax, and may EFLAGS, if it was dirty */

/* ---- crc.c */

bool select_crc32(struct jit *j); /* at j->i; false: not on this host, nothing was emitted */

/* ---- vec.c: vector ops, at j->i */

void vec_shared(struct jit *j); /* what is in front of all blocks */
void vec_op(struct jit *j);	/* IR_vop */
void vec_get(struct jit *j);
void vec_put(struct jit *j);
void vec_from_x(struct jit *j);
void vec_to_x(struct jit *j);
void vec_ins_x(struct jit *j);
void vec_load(struct jit *j, int d, struct place at, unsigned size); /* may change rdx */
void vec_store(struct jit *j, int s, struct place at, unsigned size);
void vec_stubs(struct jit *j); /* behind the block */

/* ---- vec_fp.c */

/* FCMP is made again where its flags are used, as all compares. */
bool vec_fcmp(
	struct jit *j); /* IR_fl_fcmp to EFLAGS; false: not on this host, or not under this FPCR. Changes rax, rcx */

void vec_fp_thunk(struct jit *j);
void vec_fp_prologue(struct jit *j); /* of a unit: it may change EFLAGS, and no register */
/*
 * MXCSR is the guest's from the first unit that needs it on. FPSR is complete after end, which gives the client's back, and
 * after sync, which also takes up a changed FPCR and has to be called before code is entered.
 */
void jit_fp_end(struct ir_env *env);
void jit_fp_sync(struct ir_env *env);

#endif
