/* SPDX-License-Identifier: MIT */
/*
 * From ops to instructions, one forward pass over a block. What an op means is defined by ir/interp.c, ir/eval.h and
 * ir/memory.h; an op without host instructions here becomes a call of that definition.
 */
#include "vgen.h"

static const struct ir_insn *cur(const struct jit *j)
{
	return &j->blk->ops[j->i];
}

/* ---- operands */

struct opnd {
	enum { IMM, REG, MEM } kind;
	int reg;
	int32_t v; /* immediate, or displacement from rbp */
};

static bool const_of(const struct jit *j, uint16_t n, uint64_t *v)
{
	*v = n ? j->blk->ops[j->x[n].def].imm : 0;
	return j->x[n].cst;
}

/* In the form that costs least. 32-bit operations look at the low word only. */
static struct opnd opnd(struct jit *j, uint16_t n, bool w)
{
	const struct val *v = &j->x[n];
	uint64_t imm;

	if (const_of(j, n, &imm) && (!w || is_s32((int64_t)imm)))
		return (struct opnd){.kind = IMM, .v = (int32_t)(uint32_t)imm};
	if (v->reg == NO_REG && !v->cst && reg_dies(j, n))
		return (struct opnd){.kind = MEM, .v = v->home != NO_HOME ? ENV_X(v->home) : SLOT_X(n)};
	return (struct opnd){.kind = REG, .reg = reg_use(j, n)};
}

static void alu(struct jit *j, bool w, unsigned alu, int reg, struct opnd o)
{
	unsigned op = (8 * alu + 3) | X_WIDTH(w);

	switch (o.kind) {
	case IMM: as_alu_ri(&j->as, w, alu, reg, o.v); break;
	case REG: as_rr(&j->as, op, reg, o.reg); break;
	case MEM: as_rm(&j->as, op, reg, RBP, o.v); break;
	}
}

/* Compares an operand with zero: EFLAGS as of TEST. */
static void zero_test(struct jit *j, uint16_t n, bool w)
{
	struct opnd o = opnd(j, n, w);

	switch (o.kind) {
	case IMM:
		as_mov_ri(&j->as, RAX, (uint32_t)(o.v != 0));
		as_rr(&j->as, X_TEST, RAX, RAX);
		break;
	case REG: as_rr(&j->as, X_TEST | X_WIDTH(w), o.reg, o.reg); break;
	case MEM: as_alu_mi(&j->as, w, ALU_CMP, RBP, o.v, 0); break;
	}
}

/* ---- flags: see gen.h for the forms */

static bool is_64(unsigned op)
{
	return op == IR_fl_add64 || op == IR_fl_sub64 || op == IR_fl_adc64 || op == IR_fl_logic64 || op == IR_eqz64 ||
	       op == IR_nez64;
}

static void complement_carry(struct jit *j)
{
	as_8(&j->as, 0xf5);
}

/* EFLAGS to ax, in the raw form. Leaves EFLAGS. */
static void raw_from_eflags(struct jit *j)
{
	as_8(&j->as, 0x9f); /* lahf */
	as_rr(&j->as, X_SET(CC_O), 0, RAX);
}

/* ... and back: adding 7f to V overflows if it is 1. */
static void raw_to_eflags(struct jit *j)
{
	as_8(&j->as, 0x04); /* add al, imm8 */
	as_8(&j->as, 0x7f);
	as_8(&j->as, 0x9e); /* sahf */
}

static int32_t raw_loc(const struct jit *j, uint16_t n)
{
	return j->x[n].home == HOME_NZCV ? ENV(nzcv) : SLOT_X(n);
}

void select_save_flags(struct jit *j)
{
	struct val *v = &j->x[j->ef];

	if (j->ef && v->last >= j->i && !v->slot && v->home != HOME_NZCV) {
		raw_from_eflags(j);
		as_rm(&j->as, X_MOV_ST, RAX, RBP, SLOT_X(j->ef));
		v->slot = true;
	}
	j->ef = 0;
}

/* The operands of an op that makes flags, where they are. */
struct flags_opnds {
	int a, c;
	struct opnd b;
};

static struct flags_opnds flags_opnds(struct jit *j, const struct ir_insn *op)
{
	struct flags_opnds o = {.a = reg_use(j, op->a)};

	if (ir_opinfo[op->op].n_arg > 1)
		o.b = opnd(j, op->b, is_64(op->op));
	if (ir_opinfo[op->op].n_arg > 2)
		o.c = reg_use(j, op->c);
	return o;
}

/* EFLAGS become what the op makes. Clobbers rax. */
static void compute_flags(struct jit *j, const struct ir_insn *op, const struct flags_opnds *o)
{
	bool w = is_64(op->op);

	switch (op->op) {
	case IR_fl_sub64:
	case IR_fl_sub32: alu(j, w, ALU_CMP, o->a, o->b); return;
	case IR_fl_add64:
	case IR_fl_add32:
		as_mov_rr(&j->as, RAX, o->a);
		alu(j, w, ALU_ADD, RAX, o->b);
		break;
	case IR_fl_logic64:
	case IR_fl_logic32: as_rr(&j->as, X_TEST | X_WIDTH(w), o->a, o->a); break;
	default: /* fl_adc */
		as_mov_rr(&j->as, RAX, o->a);
		as_bt_ri(&j->as, o->c, 0);
		alu(j, w, ALU_ADC, RAX, o->b);
		break;
	}
	complement_carry(j);
}

static void make_flags(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	if (j->flags_done == op->dst) {
		if (op->op == IR_fl_add64 || op->op == IR_fl_add32)
			complement_carry(j);
	} else {
		struct flags_opnds o;

		select_save_flags(j);
		o = flags_opnds(j, op);
		compute_flags(j, op, &o);
	}
	j->ef = op->dst;
}

/*
 * The next op is flags of the sum or difference that the op at hand makes, whose EFLAGS are just that: they need not be
 * made again.
 */
static bool flags_follow(struct jit *j, unsigned flags_op)
{
	const struct ir_insn *op = cur(j), *next = op + 1;

	if (j->i + 1 >= j->blk->n_ops || next->op != flags_op || next->a != op->a || next->b != op->b ||
	    j->x[next->dst].lazy)
		return false;
	select_save_flags(j);
	j->flags_done = next->dst;
	return true;
}

/* EFLAGS hold n. Clobbers rax. */
static void need_flags(struct jit *j, uint16_t n)
{
	if (j->ef == n)
		return;
	select_save_flags(j);
	as_rm(&j->as, X_MOV, RAX, RBP, raw_loc(j, n));
	raw_to_eflags(j);
	j->ef = n;
}

/* Raw form of n to a scratch register; its upper half means nothing. Clobbers rax, leaves EFLAGS. */
static void need_raw(struct jit *j, uint16_t n, int scratch)
{
	if (j->ef == n && !j->x[n].slot && j->x[n].home != HOME_NZCV) {
		raw_from_eflags(j);
		as_mov_rr(&j->as, scratch, RAX);
	} else {
		as_rm(&j->as, X_MOV, scratch, RBP, raw_loc(j, n));
	}
}

/* EFLAGS such that the result holds if condition cond holds for flags n. Clobbers rax. */
static enum x86_cc condition(struct jit *j, uint16_t n, unsigned cond)
{
	static const uint8_t after_sub[] = {
		[IR_EQ] = CC_E,	 [IR_NE] = CC_NE, [IR_CS] = CC_AE, [IR_CC] = CC_B, [IR_MI] = CC_S,
		[IR_PL] = CC_NS, [IR_VS] = CC_O,  [IR_VC] = CC_NO, [IR_HI] = CC_A, [IR_LS] = CC_BE,
		[IR_GE] = CC_GE, [IR_LT] = CC_L,  [IR_GT] = CC_G,  [IR_LE] = CC_LE};

	if (cond >= IR_AL) {
		select_save_flags(j);
		as_rr(&j->as, X_CMP, RAX, RAX);
		return CC_E;
	}
	need_flags(j, n);
	return after_sub[cond];
}

/* EFLAGS such that the result holds if x value n is not zero. Clobbers rax. */
static enum x86_cc test(struct jit *j, uint16_t n)
{
	const struct ir_insn *op = &j->blk->ops[j->x[n].def];

	if (!j->x[n].lazy) {
		select_save_flags(j);
		zero_test(j, n, true);
		return CC_NE;
	}
	if (op->op == IR_cond)
		return condition(j, op->a, op->x);
	select_save_flags(j);
	switch (op->op) {
	case IR_tstbit: as_bt_ri(&j->as, reg_use(j, op->a), op->x & 63); return CC_B;
	case IR_eqz64:
	case IR_eqz32: zero_test(j, op->a, is_64(op->op)); return CC_E;
	default: zero_test(j, op->a, is_64(op->op)); return CC_NE;
	}
}

/* The same op where its value is wanted as a number. */
static void test_value(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct val *d = &j->x[op->dst];
	int r = reg_def(j, op->dst);
	enum x86_cc cc;

	d->lazy = true;
	cc = test(j, op->dst);
	d->lazy = false;
	as_rr(&j->as, X_SET(cc), 0, r);
	as_rr(&j->as, X_MOVZX8 | X_BYTE, r, r);
}

/* ---- leaving */

static uint64_t pc_of(const struct jit *j, const struct ir_insn *op)
{
	return j->blk->pc + 4 * (uint64_t)op->gi;
}

static void set_pc(struct jit *j, uint64_t pc)
{
	as_mov_ri(&j->as, RAX, pc);
	as_rm(&j->as, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
}

static uint32_t offset_of(const struct jit *j, const void *rx)
{
	return (uint32_t)((const uint8_t *)rx - j->mem.rx);
}

static void jcc_to(struct jit *j, enum x86_cc cc, const void *rx)
{
	as_link(&j->as, as_jcc(&j->as, cc), offset_of(j, rx));
}

static void jmp_to(struct jit *j, const void *rx)
{
	as_link(&j->as, as_jmp(&j->as), offset_of(j, rx));
}

static void call_to(struct jit *j, uint32_t at)
{
	as_8(&j->as, 0xe8);
	as_32(&j->as, 0);
	as_link(&j->as, as_here(&j->as), at);
}

static void count(struct jit *j, const struct ir_insn *op)
{
	if (j->unit->counts)
		as_alu_mi(&j->as, true, ALU_ADD, RBP, ENV(insn_count), op->gi + 1);
}

/* ---- on to the next unit */

static uint32_t new_site(struct jit *j, uint64_t pc)
{
	j->sites[j->n_sites] = (struct site){.pc = pc, .owner = j->unit->owner};
	return j->n_sites++;
}

/* Where a site goes while it has no link: back, saying which one it is. */
static void site_stub(struct jit *j, uint32_t site)
{
	j->sites[site].stub = as_here(&j->as);
	call_to(j, j->link_thunk);
	as_32(&j->as, site);
}

static bool is_backward(const struct jit *j, const struct ir_insn *op)
{
	return op->imm <= pc_of(j, op);
}

static bool same_page(const struct jit *j, uint64_t pc)
{
	return !((pc ^ j->blk->pc) & IR_PAGE_MASK);
}

/*
 * On to a pc known now. Backward branches look whether somebody wants the PE: no loop is without one, or without an indirect
 * branch. In one page a link needs no test: whatever maps this unit's page there maps the target's. To another page it
 * holds under the tag that it was made under.
 */
static void go_to(struct jit *j, const struct ir_insn *op)
{
	struct as *a = &j->as;
	uint64_t pc = op->imm;
	uint32_t site, stale = 0, jump;
	bool back = is_backward(j, op);

	count(j, op);
	if (!j->unit->chain) {
		set_pc(j, pc);
		jmp_to(j, j->leave);
		return;
	}
	site = new_site(j, pc);
	if (!same_page(j, pc)) {
		as_rm(a, 0x81u, ALU_CMP, RBP, ENV(tag) + (pc >> 63 ? 0 : 4));
		as_32(a, 0); /* no tag */
		j->sites[site].tag = as_here(a);
		stale = as_jcc(a, CC_NE);
	}
	if (back) {
		as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
		jump = as_jcc(a, CC_E);
	} else {
		jump = as_jmp(a);
	}
	j->sites[site].jump = jump;
	as_land(a, jump);
	if (stale)
		as_land(a, stale);
	site_stub(j, site);
}

#define JUMP(field) ((int32_t)offsetof(struct jit_jump, field))

/* On to the pc in rax. */
static void go_to_rax(struct jit *j, const struct ir_insn *op)
{
	_Static_assert(sizeof(struct jit_jump) == 32, "the scaling below");
	struct as *a = &j->as;

	count(j, op);
	if (!j->unit->chain) {
		as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
		jmp_to(j, j->leave);
		return;
	}
	/* rcx = slot number << 2, which times 8 is its offset */
	as_mov_rr(a, RCX, RAX);
	as_shift_ri(a, true, SH_SHR, RCX, j->jump_bits);
	as_rm(a, X_MOV | X_W, RDX, RBP, ENV(jump));
	as_rr(a, X_XOR, RCX, RAX);
	as_alu_ri(a, false, ALU_AND, RCX, (int32_t)(((1u << j->jump_bits) - 1) << 2));
	as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
	jcc_to(j, CC_NE, j->leave_rax);
	as_rx8(a, X_CMP | X_W, RAX, RDX, RCX, JUMP(pc));
	jcc_to(j, CC_NE, j->leave_rax);
	as_rx8(a, X_LEA | X_W, RDX, RDX, RCX, 0);
	as_mov_rr(a, RCX, RAX);
	as_shift_ri(a, true, SH_SAR, RCX, 63);
	as_rm(a, X_MOV, RAX, RDX, JUMP(tag));
	as_rx4(a, X_CMP, RAX, RBP, RCX, ENV(tag) + 4);
	jcc_to(j, CC_NE, j->leave_rdx);
	as_rm(a, 0xffu, 4, RDX, JUMP(code));
}

/* ---- calls of C code */

/*
 * The op by a function with the interpreter's view of values: those that it reads are in their slots, what it changes is
 * in memory. The thunk stores and loads the pinned registers, and does not come back if the op trapped.
 */
static void call_op(struct jit *j, const struct ir_insn *op, ir_mem_fn *fn, uint32_t thunk)
{
	as_mov_ri(&j->as, RCX, (uint64_t)(uintptr_t)op);
	as_mov_ri(&j->as, RAX, (uint64_t)(uintptr_t)fn);
	call_to(j, thunk);
}

/* An op that traps leaves from inside its call, so it is counted before, and that is taken back behind it. */
static void count_trap(struct jit *j, const struct ir_insn *op)
{
	as_alu_mi(&j->as, true, ALU_ADD, RBP, ENV(insn_count), op->gi + 1);
}

/* Any op, by a function that has the interpreter's view of values. */
static void by_call(struct jit *j, ir_mem_fn *fn)
{
	const struct ir_insn *op = cur(j);
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	bool sys = op->op == IR_msr || op->op == IR_msr_imm;

	for (unsigned k = 0; k < info->n_arg; k++) {
		uint16_t n = ir_arg(op, k);

		if (info->arg[k] == IR_CLASS_X) {
			reg_slot(j, n);
		} else if (info->arg[k] == IR_CLASS_V) {
			vreg_slot(j, n);
		}
	}
	if (op->op == IR_casp) {
		reg_slot(j, ir_casp_new0(op));
		reg_slot(j, ir_casp_new1(op));
	}
	if (sys) { /* may change which SP is current, and NZCV */
		reg_lose_home(j, 31);
		reg_lose_home(j, HOME_NZCV);
	}
	reg_before_call(j);
	vreg_before_call(j);
	if (info->flags & IR_OPF_TRAP || op->op == IR_fence)
		set_pc(j, pc_of(j, op));
	if (j->unit->counts && info->flags & IR_OPF_TRAP)
		count_trap(j, op);
	call_op(j, op, fn, sys || op->op == IR_fence ? j->op_thunk_attn : j->op_thunk);
	if (j->unit->counts && info->flags & IR_OPF_TRAP)
		as_alu_mi(&j->as, true, ALU_SUB, RBP, ENV(insn_count), op->gi + 1);
	if (info->n_res && info->res[0] != IR_CLASS_V)
		j->x[op->dst].slot = true;
	else if (info->n_res)
		j->v[op->dst].slot = true;
	if (info->n_res == 2 && info->res[1] != IR_CLASS_V)
		j->x[op->c].slot = true;
	else if (info->n_res == 2)
		j->v[op->c].slot = true;
	if (op->op == IR_casp)
		j->x[ir_casp_old1(op)].slot = true;
}

static bool do_pure(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	ir_eval(op, x[op->a], x[op->b], x[op->c], &x[op->dst]);
	return true;
}

static bool do_fcmp(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	x[op->dst] = ir_raw_of(ir_fcmp(env, &v[op->a], &v[op->b], op->x, op->aux & 1));
	return true;
}

/* FPCR and FPSR, part of which is in MXCSR */
static bool is_fp_register(uint32_t enc)
{
	enum { FPCR = 3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 };

	return (enc & ~1u) == FPCR;
}

static bool do_mrs(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val;

	if (is_fp_register(op->aux))
		jit_fp_sync(env);
	if (env->ops->mrs(env, op->aux, op->x, &val))
		return false;
	x[op->dst] = val;
	return true;
}

static bool do_btype(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	env->ops->btype(env, op->x);
	return true;
}

static bool do_pauth(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val;

	if (env->ops->pauth(env, op->x, x[op->a], x[op->b], &val))
		return false;
	x[op->dst] = val;
	return true;
}

static bool do_msr(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	bool fp = is_fp_register(op->aux), ok;

	if (fp)
		jit_fp_sync(env);
	ok = !env->ops->msr(env, op->aux, op->x, x[op->a]);
	if (fp)
		jit_fp_sync(env);
	return ok;
}

/* MRS and MSR of what is only storage, at its place; the others by a call. */
static bool place_of(struct jit *j, bool write, struct ir_place *at)
{
	return j->env->ops->place && !is_fp_register(cur(j)->aux) && j->env->ops->place(j->env, cur(j)->aux, write, at);
}

static void read_register(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct ir_place at;
	int d;

	if (!place_of(j, false, &at)) {
		by_call(j, do_mrs);
		return;
	}
	d = reg_def(j, op->dst);
	as_rm(&j->as, X_MOV | X_WIDTH(!at.half), d, RBP, at.offset - ENV_BIAS);
	if (at.half)
		as_alu_ri(&j->as, false, ALU_AND, d, (int32_t)at.mask);
}

static void write_register(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct ir_place at;
	int r;

	if (!place_of(j, true, &at) || at.half) {
		by_call(j, do_msr);
		return;
	}
	r = reg_use(j, op->a);
	if (at.mask == UINT32_MAX) {
		as_rr(&j->as, X_MOV, RAX, r);
		r = RAX;
	} else if (at.mask != UINT64_MAX) {
		as_mov_ri(&j->as, RAX, at.mask);
		as_rr(&j->as, X_AND | X_W, RAX, r);
		r = RAX;
	}
	as_rm(&j->as, X_MOV_ST | X_W, r, RBP, at.offset - ENV_BIAS);
}

static bool do_msr_imm(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	return !env->ops->msr_imm(env, op->aux, op->x);
}

static bool do_fence(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	ir_mem_fence(env, op->x);
	return true;
}

static void full_fence(struct jit *j)
{
	static const uint8_t lock_or[] = {0xf0, 0x83, 0x0c, 0x24, 0x00}; /* lock or dword [rsp], 0 */

	for (unsigned i = 0; i < sizeof(lock_or); i++)
		as_8(&j->as, lock_or[i]);
}

/* ---- memory */

#define EXTENT(field) ((int32_t)offsetof(struct ir_extent, field))

/* rax = [rax + base + disp], or base + disp alone */
static void add_address(struct jit *j, uint16_t n, uint64_t disp)
{
	struct as *a = &j->as;
	int base = reg_use(j, n);

	if (is_s32((int64_t)disp)) {
		as_rx1(a, X_LEA | X_W, RAX, base, RAX, (int32_t)disp);
		return;
	}
	as_rr(a, X_ADD | X_W, RAX, base);
	as_mov_ri(a, RCX, disp);
	as_rr(a, X_ADD | X_W, RAX, RCX);
}

/* rax = host address of the access, or on to a stub. */
static struct stub *host_address(struct jit *j, bool write, bool aligned, unsigned bytes)
{
	const struct ir_insn *op = cur(j);
	bool unpriv = op->aux & IR_MEM_UNPRIV;
	unsigned set = j->unit->el1 && !unpriv, number = IR_MEM_BASE(op->aux) % IR_EXTENT_BASES;
	struct stub *s = &j->stubs[j->n_stubs++];
	struct as *a = &j->as;

	*s = (struct stub){.op = (uint16_t)j->i, .dst = {NO_REG, NO_REG}, .write = write};
	s->extent = ENV(extent) + (int32_t)(((set * 2 + write) * IR_EXTENT_BASES + number) * sizeof(struct ir_extent));
	reg_use(j, op->a);
	if (!unpriv)
		s->retry = as_here(a);
	as_rm(a, X_MOV | X_W, RAX, RBP, s->extent + EXTENT(neg));
	add_address(j, op->a, op->imm);
	if (aligned && bytes > 1) { /* extents begin with pages */
		as_8(a, 0xa8);	    /* test al, imm8 */
		as_8(a, bytes - 1);
		s->unaligned = as_jcc(a, CC_NE);
	}
	as_rm(a, X_CMP | X_W, RAX, RBP, s->extent + EXTENT(len));
	s->from = as_jcc(a, CC_AE);
	as_rm(a, X_ADD | X_W, RAX, RBP, s->extent + EXTENT(host));
	memcpy(s->regs, j->regs, sizeof(s->regs));
	for (unsigned r = 0; r < 16; r++)
		s->slots |= (uint16_t)((j->regs[r] && j->x[j->regs[r]].slot) << r);
	s->vsnap = vreg_snapshot(j);
	return s;
}

static void stub_done(struct jit *j, struct stub *s)
{
	s->back = as_here(&j->as);
}

static ir_mem_fn *slow_function(unsigned op)
{
	switch (op) {
	case IR_load: return ir_mem_load;
	case IR_store: return ir_mem_store;
	case IR_loadv: return ir_mem_loadv;
	case IR_storev: return ir_mem_storev;
	case IR_loadp: return ir_mem_loadp;
	case IR_storep: return ir_mem_storep;
	case IR_loadpv: return ir_mem_loadpv;
	case IR_storepv: return ir_mem_storepv;
	case IR_ldx:
	case IR_ldxp: return ir_mem_ldx;
	case IR_stx:
	case IR_stxp: return ir_mem_stx;
	case IR_rmw: return ir_mem_rmw;
	case IR_cas: return ir_mem_cas;
	default: return ir_mem_casp;
	}
}

/* The long way. What it found out is the extent from now on: the soft TLB's entry may be gone by the next time. */
static bool do_access(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	if (!slow_function(op->op)(env, op, x, v))
		return false;
	if (env->ops->extent)
		env->ops->extent(env, x[op->a] + op->imm, op->aux);
	return true;
}

static void stub_emit(struct jit *j, const struct stub *s)
{
	const struct ir_insn *op = &j->blk->ops[s->op];
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	struct as *a = &j->as;

	as_land(a, s->from);
	if (s->retry) { /* the soft TLB: if it has the page, it becomes the extent */
		as_rm(a, X_SUB | X_W, RAX, RBP, s->extent + EXTENT(neg));
		as_mov_ri(a, RCX, (uint32_t)s->extent);
		call_to(j, j->extent_thunk[s->write]);
		as_link(a, as_jcc(a, CC_E), s->retry);
	}
	if (s->unaligned)
		as_land(a, s->unaligned);
	for (int r = 0; r < 16; r++) {
		uint16_t n = s->regs[r];

		if (!n || s->slots >> r & 1)
			continue;
		if (reg_is_operand(op, IR_CLASS_X, n) || (CALLER_SAVED >> r & 1 && j->x[n].last > s->op))
			as_rm(a, X_MOV_ST | X_W, r, RBP, SLOT_X(n));
	}
	for (unsigned k = 0; k < info->n_arg; k++) {
		uint16_t n = ir_arg(op, k);
		uint64_t imm;

		if (info->arg[k] == IR_CLASS_X && n && const_of(j, n, &imm)) {
			as_mov_ri(a, RAX, imm);
			as_rm(a, X_MOV_ST | X_W, RAX, RBP, SLOT_X(n));
		}
	}
	vreg_leave(j, s->vsnap, op);
	set_pc(j, pc_of(j, op));
	if (j->unit->counts)
		count_trap(j, op);
	call_op(j, op, do_access, j->op_thunk);
	if (j->unit->counts)
		as_alu_mi(a, true, ALU_SUB, RBP, ENV(insn_count), op->gi + 1);
	vreg_come_back(j, s->vsnap, op);
	for (int r = 0; r < 16; r++) {
		if (s->regs[r] && CALLER_SAVED >> r & 1 && j->x[s->regs[r]].last > s->op)
			as_rm(a, X_MOV | X_W, r, RBP, SLOT_X(s->regs[r]));
	}
	if (info->n_res && info->res[0] == IR_CLASS_V) {
		v2m(j, V_MOVAPS, s->dst[0], RBP, SLOT_V(op->dst));
		if (s->dst[1] != NO_REG)
			v2m(j, V_MOVAPS, s->dst[1], RBP, SLOT_V(op->c));
	} else {
		if (s->dst[0] != NO_REG)
			as_rm(a, X_MOV | X_W, s->dst[0], RBP, SLOT_X(op->dst));
		if (s->dst[1] != NO_REG)
			as_rm(a, X_MOV | X_W, s->dst[1], RBP, SLOT_X(op->c));
	}
	as_link(a, as_jmp(a), s->back);
}

static void load_elem(struct jit *j, int d, int32_t disp, uint32_t m)
{
	static const uint32_t zero[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV | X_W};
	static const uint32_t sign[] = {X_MOVSX8, X_MOVSX16, X_MOV, X_MOV | X_W};
	unsigned size = IR_MEM_SIZE(m);
	unsigned op = !(m & IR_MEM_SSE)		   ? zero[size]
		      : m & IR_MEM_SF && size == 2 ? X_MOVSXD
		      : m & IR_MEM_SF		   ? sign[size] | X_W
						   : sign[size];

	as_rm(&j->as, op, d, RAX, disp);
}

static void store_elem(struct jit *j, int s, int32_t disp, unsigned size)
{
	static const uint32_t op[] = {X_MOV_ST8, X_MOV_ST | X_66, X_MOV_ST, X_MOV_ST | X_W};

	as_rm(&j->as, op[size], s, RAX, disp);
}

/* A value to be stored: in a register, unless a constant goes into the instruction. */
static struct opnd store_opnd(struct jit *j, uint16_t n, unsigned size)
{
	uint64_t imm;

	if (const_of(j, n, &imm) && (size < 3 || is_s32((int64_t)imm)))
		return (struct opnd){.kind = IMM, .v = (int32_t)(uint32_t)imm};
	return (struct opnd){.kind = REG, .reg = reg_use(j, n)};
}

static void store_value(struct jit *j, struct opnd o, int32_t disp, unsigned size)
{
	if (o.kind == IMM)
		as_mov_mi(&j->as, size, RAX, disp, o.v);
	else
		store_elem(j, o.reg, disp, size);
}

/*
 * The register of a load's result. One of the pool is made free before the way around the access parts, which has to find
 * the same in all registers; a pinned one may be the address until then.
 */
static int def_before(struct jit *j, uint16_t n)
{
	int d;

	reg_use(j, cur(j)->a);
	if (reg_is_wanted(j, n))
		return NO_REG;
	d = reg_def(j, n);
	j->regs[d] = 0; /* not a value yet, for the stub */
	return d;
}

static int def_behind(struct jit *j, uint16_t n, int d)
{
	if (d == NO_REG)
		return reg_def_late(j, n);
	j->regs[d] = n;
	return d;
}

static void memory(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	uint32_t m = op->aux;
	unsigned size = IR_MEM_SIZE(m), bytes = 1u << size;
	bool aligned = m & (IR_MEM_ACQREL | IR_MEM_ALIGNED);
	bool pair = op->op == IR_loadp || op->op == IR_storep || op->op == IR_loadpv || op->op == IR_storepv;
	struct stub *s;
	struct opnd b, c;
	int d, d2;

	if ((pair && aligned) ||
	    (size > 3 && (op->op == IR_load || op->op == IR_store || op->op == IR_loadp || op->op == IR_storep)) ||
	    (m & IR_MEM_SSE && (op->op == IR_loadv || op->op == IR_loadpv))) {
		by_call(j, slow_function(op->op));
		return;
	}
	switch (op->op) {
	case IR_load:
		d = def_before(j, op->dst);
		s = host_address(j, false, aligned, bytes);
		d = def_behind(j, op->dst, d);
		s->dst[0] = (int8_t)d;
		load_elem(j, d, 0, m);
		break;
	case IR_loadp:
		d = def_before(j, op->dst);
		d2 = def_before(j, op->c);
		s = host_address(j, false, false, 2 * bytes);
		d = def_behind(j, op->dst, d);
		d2 = def_behind(j, op->c, d2);
		s->dst[0] = (int8_t)d;
		s->dst[1] = (int8_t)d2;
		load_elem(j, d, 0, m);
		load_elem(j, d2, (int32_t)bytes, m);
		break;
	case IR_store:
		reg_use(j, op->a);
		b = store_opnd(j, op->b, size);
		s = host_address(j, true, aligned, bytes);
		store_value(j, b, 0, size);
		stub_done(j, s);
		if (m & IR_MEM_SEQCST)
			full_fence(j); /* after the stub's store too, where it is one too many */
		return;
	case IR_storep:
		reg_use(j, op->a);
		b = store_opnd(j, op->b, size);
		c = store_opnd(j, op->c, size);
		s = host_address(j, true, false, 2 * bytes);
		store_value(j, b, 0, size);
		store_value(j, c, (int32_t)bytes, size);
		break;
	case IR_loadv:
		reg_use(j, op->a);
		d = vreg_def(j, op->dst, size < 3 ? 2 : size);
		j->vregs[d] = 0;
		s = host_address(j, false, aligned, bytes);
		j->vregs[d] = op->dst;
		s->dst[0] = (int8_t)d;
		vec_load(j, d, 0, size);
		break;
	case IR_loadpv:
		reg_use(j, op->a);
		d = vreg_def(j, op->dst, size < 3 ? 2 : size);
		d2 = vreg_def(j, op->c, size < 3 ? 2 : size);
		j->vregs[d] = j->vregs[d2] = 0;
		s = host_address(j, false, false, 2 * bytes);
		j->vregs[d] = op->dst;
		j->vregs[d2] = op->c;
		s->dst[0] = (int8_t)d;
		s->dst[1] = (int8_t)d2;
		vec_load(j, d, 0, size);
		vec_load(j, d2, (int32_t)bytes, size);
		break;
	case IR_storev:
		d = vreg_use(j, op->b);
		s = host_address(j, true, aligned, bytes);
		vec_store(j, d, 0, size);
		break;
	default: /* storepv */
		d = vreg_use(j, op->b);
		d2 = vreg_use(j, op->c);
		s = host_address(j, true, false, 2 * bytes);
		vec_store(j, d, 0, size);
		vec_store(j, d2, (int32_t)bytes, size);
		break;
	}
	stub_done(j, s);
}

/* ---- atomics: the host's are sequentially consistent, and so are enough for all orders */

/* op [base], reg of 1 << size bytes; op is the form for words */
static void atomic_op(struct jit *j, unsigned op, unsigned size, int reg, int base, bool lock)
{
	static const unsigned width[] = {X_BYTE, X_66, 0, X_W};

	if (lock)
		as_8(&j->as, 0xf0);
	as_rm(&j->as, (size ? op : op - 1) | width[size], reg, base, 0);
}

/* d = the low 1 << size bytes of s */
static void zero_extend(struct jit *j, unsigned size, int d, int s)
{
	static const unsigned op[] = {X_MOVZX8 | X_BYTE, X_MOVZX16, X_MOV};

	if (size == 3)
		as_mov_rr(&j->as, d, s);
	else
		as_rr(&j->as, op[size], d, s);
}

static void read_modify_write(struct jit *j)
{
	static const uint8_t alu_of[] = {[IR_RMW_CLR] = ALU_AND, [IR_RMW_EOR] = ALU_XOR, [IR_RMW_SET] = ALU_OR};
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	struct stub *s;
	uint32_t again;
	int b, d;

	if ((op->x >= IR_RMW_SMAX && op->x <= IR_RMW_UMIN) || size > 3) {
		by_call(j, ir_mem_rmw);
		return;
	}
	b = reg_use(j, op->b);
	d = def_before(j, op->dst);
	s = host_address(j, true, true, 1u << size);
	switch (op->x) {
	case IR_RMW_ADD:
	case IR_RMW_SWP:
		as_mov_rr(a, RDX, b);
		atomic_op(j, op->x == IR_RMW_ADD ? 0xc1u | X_0F : 0x87u, size, RDX, RAX, op->x == IR_RMW_ADD);
		break;
	default:
		as_mov_rr(a, RCX, RAX);
		as_rm(a, size == 3 ? X_MOV | X_W : size == 2 ? X_MOV : size == 1 ? X_MOVZX16 : X_MOVZX8, RAX, RCX, 0);
		again = as_here(a);
		as_mov_rr(a, RDX, b);
		if (op->x == IR_RMW_CLR)
			as_f7(a, true, 2, RDX);
		as_rr(a, (8u * alu_of[op->x] + 3) | X_W, RDX, RAX);
		atomic_op(j, 0xb1u | X_0F, size, RDX, RCX, true);
		as_link(a, as_jcc(a, CC_NE), again);
		as_mov_rr(a, RDX, RAX);
		break;
	}
	d = def_behind(j, op->dst, d);
	s->dst[0] = (int8_t)d;
	zero_extend(j, size, d, RDX);
	stub_done(j, s);
}

static void compare_and_swap(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	struct stub *s;
	int b, c, d;

	if (size > 3) {
		by_call(j, ir_mem_cas);
		return;
	}
	b = reg_use(j, op->b);
	c = reg_use(j, op->c);
	d = def_before(j, op->dst);
	s = host_address(j, true, true, 1u << size);
	as_mov_rr(a, RCX, RAX);
	zero_extend(j, size, RAX, b);
	atomic_op(j, 0xb1u | X_0F, size, c, RCX, true);
	d = def_behind(j, op->dst, d);
	s->dst[0] = (int8_t)d;
	zero_extend(j, size, d, RAX);
	stub_done(j, s);
}

#define EXCL(field) (ENV(excl) + (int32_t)offsetof(struct ir_excl, field))

static int32_t excl_mark(unsigned size)
{
	return (int32_t)(size | 1u << 16);
}

static void load_exclusive(struct jit *j)
{
	_Static_assert(offsetof(struct ir_excl, pair) == offsetof(struct ir_excl, log2size) + 1 &&
			       offsetof(struct ir_excl, valid) == offsetof(struct ir_excl, log2size) + 2,
		       "one word with excl_mark()");
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	struct stub *s;
	int d;

	if (op->op != IR_ldx || size > 3) {
		by_call(j, ir_mem_ldx);
		return;
	}
	d = def_before(j, op->dst);
	s = host_address(j, false, true, 1u << size);
	as_rm(a, X_MOV_ST | X_W, reg_use(j, op->a), RBP, EXCL(va));
	d = def_behind(j, op->dst, d);
	s->dst[0] = (int8_t)d;
	load_elem(j, d, 0, IR_MEM(size, 0, 0, 0));
	as_rm(a, X_MOV_ST | X_W, d, RBP, EXCL(val));
	as_mov_mi(a, 3, RBP, EXCL(val) + 8, 0);
	as_mov_mi(a, 2, RBP, EXCL(log2size), excl_mark(size));
	as_mov_mi(a, 2, RBP, ENV(step_ex), 1);
	stub_done(j, s);
}

/* The monitor decides first, as in ir_mem_stx(). */
static void store_exclusive(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	uint32_t other_va, other_mark, done;
	struct stub *s;
	int b, d;

	if (op->op != IR_stx || size > 3) {
		by_call(j, ir_mem_stx);
		return;
	}
	reg_use(j, op->a);
	b = reg_use(j, op->b);
	d = reg_def(j, op->dst);
	j->regs[d] = 0;
	as_rm(a, X_CMP | X_W, reg_use(j, op->a), RBP, EXCL(va));
	other_va = as_jcc(a, CC_NE);
	as_alu_mi(a, false, ALU_CMP, RBP, EXCL(log2size), excl_mark(size));
	other_mark = as_jcc(a, CC_NE);
	s = host_address(j, true, true, 1u << size);
	as_mov_rr(a, RCX, RAX);
	as_rm(a, X_MOV | X_W, RAX, RBP, EXCL(val));
	atomic_op(j, 0xb1u | X_0F, size, b, RCX, true);
	as_rr(a, X_SET(CC_NE), 0, RAX);
	as_rr(a, X_MOVZX8 | X_BYTE, d, RAX);
	done = as_jmp(a);
	as_land(a, other_va);
	as_land(a, other_mark);
	as_mov_ri(a, d, 1);
	as_land(a, done);
	as_mov_mi(a, 0, RBP, EXCL(valid), 0);
	j->regs[d] = op->dst;
	s->dst[0] = (int8_t)d;
	stub_done(j, s);
}

/* ---- integer ops */

static void binary(struct jit *j, unsigned which, bool w, bool commutes)
{
	const struct ir_insn *op = cur(j);
	uint16_t x = op->a, y = op->b;
	bool flags = (which == ALU_ADD && flags_follow(j, w ? IR_fl_add64 : IR_fl_add32)) ||
		     (which == ALU_SUB && flags_follow(j, w ? IR_fl_sub64 : IR_fl_sub32));
	uint64_t imm;
	struct opnd o;
	int d, r;

	/* The operand that is where the result has to be goes first. */
	if (commutes && (j->x[x].cst || (j->x[op->dst].want >= 0 && j->x[y].reg == reg_pin[j->x[op->dst].want]))) {
		x = op->b;
		y = op->a;
	}
	if (!flags && which <= ALU_SUB && (which == ALU_ADD || which == ALU_SUB) && j->x[x].reg != NO_REG &&
	    !j->x[x].cst) {
		if (const_of(j, y, &imm)) {
			imm = which == ALU_SUB ? -imm : imm;
			if (!w)
				imm = (uint64_t)(int32_t)imm;
			if (is_s32((int64_t)imm)) {
				r = reg_use(j, x);
				d = reg_def_late(j, op->dst);
				as_rm(&j->as, X_LEA | X_WIDTH(w), d, r, (int32_t)imm);
				return;
			}
		} else if (which == ALU_ADD && j->x[y].reg != NO_REG) {
			r = reg_use(j, x);
			d = reg_use(j, y);
			as_lea_rr(&j->as, w, reg_def_late(j, op->dst), r, d);
			return;
		}
	}
	if (!flags)
		select_save_flags(j);
	o = opnd(j, y, w);
	d = reg_take(j, op->dst, x);
	alu(j, w, which, d, o);
}

static void shift(struct jit *j, unsigned which, bool w)
{
	const struct ir_insn *op = cur(j);
	uint64_t n;
	int d;

	if (const_of(j, op->b, &n)) {
		d = reg_take(j, op->dst, op->a);
		if (!w)
			as_rr(&j->as, X_MOV, d, d);
		as_shift_ri(&j->as, w, which, d, n & (w ? 63 : 31));
		return;
	}
	as_mov_rr(&j->as, RCX, reg_use(j, op->b));
	d = reg_take(j, op->dst, op->a);
	if (!w)
		as_rr(&j->as, X_MOV, d, d); /* also if nothing is shifted */
	as_shift_rcl(&j->as, w, which, d);
}

static void mul_high(struct jit *j, unsigned f7)
{
	const struct ir_insn *op = cur(j);
	int a = reg_use(j, op->a), b = reg_use(j, op->b);

	as_mov_rr(&j->as, RAX, a);
	as_f7(&j->as, true, f7, b);
	as_mov_rr(&j->as, reg_def_late(j, op->dst), RDX);
}

static void divide(struct jit *j, bool w, bool is_signed)
{
	const struct ir_insn *op = cur(j);
	int n = reg_use(j, op->a), b = reg_use(j, op->b), d = reg_def_late(j, op->dst);
	struct as *a = &j->as;
	uint32_t zero, minus = 0, done = 0;

	as_rr(a, X_XOR, RAX, RAX);
	as_rr(a, X_TEST | X_WIDTH(w), b, b);
	zero = as_jcc(a, CC_E);
	as_mov_rr(a, RAX, n);
	if (is_signed) {
		as_alu_ri(a, w, ALU_CMP, b, -1);
		minus = as_jcc(a, CC_E);
		as_opcode(a, 0x99u | X_WIDTH(w), 0, 0, 0);
	} else {
		as_rr(a, X_XOR, RDX, RDX);
	}
	as_f7(a, w, is_signed ? 7 : 6, b);
	if (is_signed) {
		done = as_jmp(a);
		as_land(a, minus);
		as_f7(a, w, 3, RAX);
		as_land(a, done);
	}
	as_land(a, zero);
	as_rr(a, X_MOV | X_WIDTH(w), d, RAX);
}

static void extract(struct jit *j, bool w)
{
	const struct ir_insn *op = cur(j);
	int hi = reg_use(j, op->a), d;

	d = reg_copy(j, op->dst, op->b);
	if (!w)
		as_rr(&j->as, X_MOV, d, d);
	if (op->x & (w ? 63 : 31)) {
		as_rr(&j->as, X_SHRD | X_WIDTH(w), hi, d);
		as_8(&j->as, op->x & (w ? 63 : 31));
	}
}

static void bitfield(struct jit *j, bool sext)
{
	const struct ir_insn *op = cur(j);
	unsigned width = op->aux < 64 ? op->aux : 64;
	int d = reg_take(j, op->dst, op->a);
	struct as *a = &j->as;

	if (op->x)
		as_shift_ri(a, true, SH_SHR, d, op->x & 63);
	if (width == 64)
		return;
	switch (width) {
	case 8: as_rr(a, (sext ? X_MOVSX8 | X_W : X_MOVZX8) | X_BYTE, d, d); return;
	case 16: as_rr(a, sext ? X_MOVSX16 | X_W : X_MOVZX16, d, d); return;
	case 32: as_rr(a, sext ? X_MOVSXD : X_MOV, d, d); return;
	default: break;
	}
	if (!sext && width < 32) {
		as_alu_ri(a, false, ALU_AND, d, (int32_t)((1u << width) - 1));
		return;
	}
	as_shift_ri(a, true, SH_SHL, d, 64 - width);
	as_shift_ri(a, true, sext ? SH_SAR : SH_SHR, d, 64 - width);
}

static void insert(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	uint64_t mask = ir_ones(op->aux) << op->x;
	struct as *a = &j->as;
	int src = reg_use(j, op->b), d = reg_take(j, op->dst, op->a);

	as_mov_rr(a, RAX, src);
	if (op->x)
		as_shift_ri(a, true, SH_SHL, RAX, op->x);
	as_mov_ri(a, RCX, mask);
	as_rr(a, X_AND | X_W, RAX, RCX);
	as_f7(a, true, 2, RCX);
	as_rr(a, X_AND | X_W, d, RCX);
	as_rr(a, X_OR | X_W, d, RAX);
}

static void count_leading(struct jit *j, bool w)
{
	const struct ir_insn *op = cur(j);
	int n = reg_use(j, op->a), d = reg_def_late(j, op->dst);
	struct as *a = &j->as;

	/* 63 - index, or 63 ^ 127 = 64 for none; 32 bits likewise */
	as_mov_ri(a, RCX, w ? 127 : 63);
	as_rr(a, X_BSR | X_WIDTH(w), RAX, n);
	as_rr(a, X_CMOV(CC_E), RAX, RCX);
	as_alu_ri(a, false, ALU_XOR, RAX, w ? 63 : 31);
	as_rr(a, X_MOV, d, RAX);
}

static void add_with_carry(struct jit *j, bool w)
{
	const struct ir_insn *op = cur(j);
	int c = reg_use(j, op->c), d;
	struct opnd b = opnd(j, op->b, w);

	d = reg_copy(j, op->dst, op->a);
	as_bt_ri(&j->as, c, 0);
	alu(j, w, ALU_ADC, d, b);
}

static void choose(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	int b = reg_use(j, op->b), d;
	enum x86_cc cc = test(j, op->a);

	d = reg_copy(j, op->dst, op->c);
	as_rr(&j->as, X_CMOV(cc) | X_W, d, b);
}

/* EFLAGS become those of the raw form that is in rax, in either arm, so that what follows finds them there. */
static void choose_flags(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	const struct ir_insn *b = &j->blk->ops[j->x[op->b].def], *c = &j->blk->ops[j->x[op->c].def];
	struct as *a = &j->as;
	struct flags_opnds o;
	uint32_t other, join;
	enum x86_cc cc;

	if (j->x[op->b].lazy && c->op == IR_fl_const) {
		o = flags_opnds(j, b); /* before the ways part */
		cc = test(j, op->a);
		if (j->ef && j->x[j->ef].last > j->i)
			select_save_flags(j); /* leaves them where they are, too */
		other = as_jcc(a, cc ^ 1);
		compute_flags(j, b, &o);
		join = as_jmp(a);
		as_land(a, other);
		as_mov_ri(a, RAX, ir_raw_of((uint32_t)(c->imm & 15) << 28));
		raw_to_eflags(j);
		as_land(a, join);
		j->ef = op->dst;
		return;
	}
	if (j->x[op->b].lazy) {
		select_save_flags(j);
		o = flags_opnds(j, b);
		compute_flags(j, b, &o);
		raw_from_eflags(j);
		as_rm(a, X_MOV_ST, RAX, RBP, SLOT_X(op->b));
		j->x[op->b].slot = true;
	}
	need_raw(j, op->c, RCX);
	need_raw(j, op->b, RDX);
	as_rm(a, X_MOV_ST, RCX, RBP, SLOT_X(op->dst));
	as_rm(a, X_MOV_ST, RDX, RBP, SLOT_X(op->b));
	cc = test(j, op->a);
	other = as_jcc(a, cc ^ 1);
	as_rm(a, X_MOV, RDX, RBP, SLOT_X(op->b));
	as_rm(a, X_MOV_ST, RDX, RBP, SLOT_X(op->dst));
	as_land(a, other);
	j->x[op->dst].slot = true;
}

static void swap_bytes(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;
	int d = reg_take(j, op->dst, op->a);

	as_bswap(a, op->op == IR_rev64 || op->op == IR_rev32_64, d);
	if (op->op == IR_rev32_64)
		as_shift_ri(a, true, SH_ROR, d, 32);
	else if (op->op == IR_rev16_32)
		as_shift_ri(a, false, SH_ROR, d, 16);
}

/* ---- guest state */

static void put_x(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	int pin = reg_pin[op->x], r;
	struct val *v = &j->x[op->a];
	uint64_t imm;

	if (op->a && j->home[op->x] == op->a)
		return;
	if (pin == NO_REG) {
		if (const_of(j, op->a, &imm) && is_s32((int64_t)imm)) {
			reg_lose_home(j, op->x);
			as_mov_mi(&j->as, 3, RBP, ENV_X(op->x), (int32_t)imm);
			return;
		}
		r = reg_use(j, op->a);
		reg_lose_home(j, op->x);
		as_rm(&j->as, X_MOV_ST | X_W, r, RBP, ENV_X(op->x));
		if (!v->cst && !(v->home < 32 && reg_pin[v->home] != NO_REG))
			reg_is_home(j, op->a, op->x);
		return;
	}
	reg_lose_home(j, op->x);
	if (const_of(j, op->a, &imm)) {
		as_mov_ri(&j->as, pin, imm);
		return;
	}
	r = v->reg;
	if (r == NO_REG)
		as_rm(&j->as, X_MOV | X_W, pin, RBP, v->home != NO_HOME ? ENV_X(v->home) : SLOT_X(op->a));
	else
		as_mov_rr(&j->as, pin, r);
	if (!(v->home < 32 && reg_pin[v->home] != NO_REG))
		reg_is_home(j, op->a, op->x);
}

static void put_flags(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	if (j->home[HOME_NZCV] == op->a)
		return;
	reg_lose_home(j, HOME_NZCV);
	if (j->ef == op->a) {
		raw_from_eflags(j);
		as_rm(&j->as, X_MOV_ST, RAX, RBP, ENV(nzcv));
	} else {
		as_rm(&j->as, X_MOV, RAX, RBP, SLOT_X(op->a));
		as_rm(&j->as, X_MOV_ST, RAX, RBP, ENV(nzcv));
	}
	reg_is_home(j, op->a, HOME_NZCV);
}

static void pack_flags(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;

	as_mov_rr(a, RAX, reg_use(j, op->a));
	as_rr(a, X_MOV, RCX, RAX);
	as_shift_ri(a, false, SH_SHR, RCX, 16);
	as_alu_ri(a, false, ALU_AND, RCX, 0xc000);
	as_rr(a, X_MOV, RDX, RAX);
	as_shift_ri(a, false, SH_SHR, RDX, 28);
	as_alu_ri(a, false, ALU_AND, RDX, 1);
	as_rr(a, X_OR, RCX, RDX);
	as_f7(a, false, 2, RAX);
	as_shift_ri(a, false, SH_SHR, RAX, 21);
	as_alu_ri(a, false, ALU_AND, RAX, 0x100);
	as_rr(a, X_OR, RAX, RCX);
	as_rm(a, X_MOV_ST, RAX, RBP, SLOT_X(op->dst));
	j->x[op->dst].slot = true;
}

static void unpack_flags(struct jit *j)
{
	/* N, Z, C and V to bits 31 to 28 by one multiplication */
	enum { GOT = 0xc101, SPREAD = 1 << 16 | 1 << 21 | 1 << 28 };
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;

	as_rm(a, X_MOV, RAX, RBP, raw_loc(j, op->a));
	as_alu_ri(a, false, ALU_XOR, RAX, 0x100);
	as_alu_ri(a, false, ALU_AND, RAX, GOT);
	as_rr(a, 0x69u, RAX, RAX);
	as_32(a, SPREAD);
	as_alu_ri(a, false, ALU_AND, RAX, (int32_t)0xf0000000);
	as_rr(a, X_MOV, reg_def(j, op->dst), RAX);
}

/* ---- a block */

static void get(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	switch (op->op) {
	case IR_getx:
		reg_lose_home(j, op->x);
		reg_is_home(j, op->dst, op->x);
		break;
	case IR_getf:
		reg_lose_home(j, HOME_NZCV);
		reg_is_home(j, op->dst, HOME_NZCV);
		break;
	default: vec_get(j); break;
	}
}

static void unary_64(struct jit *j, unsigned f7, bool w)
{
	const struct ir_insn *op = cur(j);

	as_f7(&j->as, w, f7, reg_take(j, op->dst, op->a));
}

static void branch_if(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;
	enum x86_cc cc = test(j, op->a);
	struct exit *e;
	uint32_t skip;

	if (j->unit->chain && is_backward(j, op)) {
		skip = as_jcc(a, cc ^ 1);
		go_to(j, op);
		as_land(a, skip);
		return;
	}
	e = &j->exits[j->n_exits++];
	*e = (struct exit){.from = as_jcc(a, cc), .op = (uint16_t)j->i};
	if (j->unit->chain && same_page(j, op->imm) && !j->unit->counts) {
		e->site = new_site(j, op->imm);
		j->sites[e->site].jump = e->from;
	}
}

/* Ops that leave EFLAGS alone, or see to them themselves. */
static bool keeps_flags(unsigned op)
{
	switch (op) {
	case IR_nop:
	case IR_const:
	case IR_getx:
	case IR_getf:
	case IR_getv:
	case IR_putx:
	case IR_putf:
	case IR_putv:
	case IR_add64:
	case IR_add32:
	case IR_sub64:
	case IR_sub32:
	case IR_select:
	case IR_brcond:
	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32:
	case IR_fl_adc64:
	case IR_fl_adc32:
	case IR_fl_logic64:
	case IR_fl_logic32:
	case IR_fl_const:
	case IR_fl_select:
	case IR_cond:
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit: return true;
	default: return false;
	}
}

static void select_op(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	struct as *a = &j->as;
	int r;

	/* Lazy values are made where they are used, and what nobody uses is not made. */
	if (info->n_res && info->res[0] != IR_CLASS_V && !(info->flags & (IR_OPF_TRAP | IR_OPF_SIDE)) &&
	    (j->x[op->dst].lazy || !j->x[op->dst].uses))
		return;
	if (!keeps_flags(op->op))
		select_save_flags(j);
	switch (op->op) {
	case IR_nop:
	case IR_const: return;
	case IR_getx:
	case IR_getf:
	case IR_getv: get(j); return;
	case IR_putx: put_x(j); return;
	case IR_putf: put_flags(j); return;
	case IR_putv: vec_put(j); return;

	case IR_add64: binary(j, ALU_ADD, true, true); return;
	case IR_add32: binary(j, ALU_ADD, false, true); return;
	case IR_sub64: binary(j, ALU_SUB, true, false); return;
	case IR_sub32: binary(j, ALU_SUB, false, false); return;
	case IR_and: binary(j, ALU_AND, true, true); return;
	case IR_or: binary(j, ALU_OR, true, true); return;
	case IR_xor: binary(j, ALU_XOR, true, true); return;
	case IR_andn:
		as_mov_rr(a, RAX, reg_use(j, op->b));
		as_f7(a, true, 2, RAX);
		r = reg_take(j, op->dst, op->a);
		as_rr(a, X_AND | X_W, r, RAX);
		return;
	case IR_not64: unary_64(j, 2, true); return;
	case IR_not32: unary_64(j, 2, false); return;
	case IR_shl64: shift(j, SH_SHL, true); return;
	case IR_shl32: shift(j, SH_SHL, false); return;
	case IR_lshr64: shift(j, SH_SHR, true); return;
	case IR_lshr32: shift(j, SH_SHR, false); return;
	case IR_ashr64: shift(j, SH_SAR, true); return;
	case IR_ashr32: shift(j, SH_SAR, false); return;
	case IR_ror64: shift(j, SH_ROR, true); return;
	case IR_ror32: shift(j, SH_ROR, false); return;
	case IR_mul64:
	case IR_mul32: {
		int b = reg_use(j, op->b);

		r = reg_take(j, op->dst, op->a);
		as_rr(a, X_IMUL | X_WIDTH(op->op == IR_mul64), r, b);
		return;
	}
	case IR_mulhs: mul_high(j, 5); return;
	case IR_mulhu: mul_high(j, 4); return;
	case IR_sdiv64: divide(j, true, true); return;
	case IR_sdiv32: divide(j, false, true); return;
	case IR_udiv64: divide(j, true, false); return;
	case IR_udiv32: divide(j, false, false); return;
	case IR_adc64: add_with_carry(j, true); return;
	case IR_adc32: add_with_carry(j, false); return;
	case IR_extr64: extract(j, true); return;
	case IR_extr32: extract(j, false); return;
	case IR_ubfx: bitfield(j, false); return;
	case IR_sbfx: bitfield(j, true); return;
	case IR_bfi: insert(j); return;
	case IR_clz64: count_leading(j, true); return;
	case IR_clz32: count_leading(j, false); return;
	case IR_rev64:
	case IR_rev32:
	case IR_rev32_64:
	case IR_rev16_32: swap_bytes(j); return;
	case IR_cls64:
	case IR_cls32:
	case IR_rbit64:
	case IR_rbit32:
	case IR_rev16_64: by_call(j, do_pure); return;
	case IR_crc32:
		if (!select_crc32(j))
			by_call(j, do_pure);
		return;
	case IR_select: choose(j); return;
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit:
	case IR_cond: test_value(j); return;

	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32:
	case IR_fl_adc64:
	case IR_fl_adc32:
	case IR_fl_logic64:
	case IR_fl_logic32: make_flags(j); return;
	case IR_fl_const:
		as_mov_mi(a, 2, RBP, SLOT_X(op->dst), (int32_t)ir_raw_of((uint32_t)(op->imm & 15) << 28));
		j->x[op->dst].slot = true;
		return;
	case IR_fl_select: choose_flags(j); return;
	case IR_fl_pack: pack_flags(j); return;
	case IR_fl_unpack: unpack_flags(j); return;
	case IR_fl_fcmp:
		if (vec_fcmp(j))
			j->ef = op->dst;
		else
			by_call(j, do_fcmp);
		return;

	case IR_load:
	case IR_store:
	case IR_loadp:
	case IR_storep:
	case IR_loadv:
	case IR_storev:
	case IR_loadpv:
	case IR_storepv: memory(j); return;
	case IR_ldx:
	case IR_ldxp: load_exclusive(j); return;
	case IR_stx:
	case IR_stxp: store_exclusive(j); return;
	case IR_rmw: read_modify_write(j); return;
	case IR_cas: compare_and_swap(j); return;
	case IR_casp: by_call(j, ir_mem_casp); return;
	case IR_clrex: as_mov_mi(a, 0, RBP, ENV(excl.valid), 0); return;
	case IR_fence:
		if (op->x == IR_FENCE_FULL)
			full_fence(j);
		else if (op->x != IR_FENCE_LD && op->x != IR_FENCE_ST)
			by_call(j, do_fence);
		return;
	case IR_mrs: read_register(j); return;
	case IR_msr: write_register(j); return;
	case IR_msr_imm: by_call(j, do_msr_imm); return;
	case IR_btype: by_call(j, do_btype); return;
	case IR_pauth: by_call(j, do_pauth); return;

	case IR_brcond: branch_if(j); return;
	case IR_br: go_to(j, op); return;
	case IR_br_ind:
		as_mov_rr(a, RAX, reg_use(j, op->a));
		go_to_rax(j, op);
		return;
	case IR_exit:
		set_pc(j, pc_of(j, op));
		as_mov_mi(a, 2, RBP, ENV(exit_reason), op->x);
		as_mov_ri(a, RAX, op->imm);
		as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(exit_imm));
		count(j, op);
		jmp_to(j, j->leave_exit);
		return;

	case IR_v_from_x:
	case IR_v_from_xx: vec_from_x(j); return;
	case IR_x_from_v: vec_to_x(j); return;
	case IR_v_ins_x: vec_ins_x(j); return;
	case IR_vop: vec_op(j); return;
	default: a->full = true; return; /* not an op of ops.def */
	}
}

bool select_block(struct jit *j)
{
	struct as *a = &j->as;
	uint32_t misaligned = 0, begin = as_here(a);

	reg_begin(j);
	j->n_marks = 0;
	j->n_stubs = j->n_exits = j->n_vstubs = 0;
	j->pinned = 0;
	j->ef = j->flags_done = 0;
	if (j->unit->sp_mask) {
		as_rr(a, 0xf7u, 0, reg_pin[31]);
		as_32(a, j->unit->sp_mask);
		misaligned = as_jcc(a, CC_NE);
	}
	vec_fp_prologue(j);
	for (j->i = 0; j->i < j->blk->n_ops; j->i++) {
		while (j->n_marks <= j->blk->ops[j->i].gi)
			j->marks[j->n_marks++] = as_here(a) - begin;
		select_op(j);
		reg_end_op(j);
		vreg_end_op(j);
	}
	while (j->n_marks <= j->blk->n_insns)
		j->marks[j->n_marks++] = as_here(a) - begin;
	for (unsigned i = 0; i < j->n_exits; i++) {
		const struct exit *e = &j->exits[i];

		as_land(a, e->from);
		if (e->site)
			site_stub(j, e->site);
		else
			go_to(j, &j->blk->ops[e->op]);
	}
	for (unsigned i = 0; i < j->n_stubs; i++)
		stub_emit(j, &j->stubs[i]);
	vec_stubs(j);
	if (misaligned) {
		as_land(a, misaligned);
		set_pc(j, j->blk->pc);
		jmp_to(j, j->leave);
	}
	return !a->full;
}
