/* SPDX-License-Identifier: MIT */
/*
 * From ops to instructions, one forward pass over a block. What an op means is defined by ir/interp.c, ir/eval.h and
 * ir/memory.h; an op without host instructions here becomes a call of that definition.
 */
#include "select.h"

/* ---- integer ops */

/* A sum of which one is shifted on the way. */
static void add_scaled(struct jit *j, bool w, uint16_t a, uint16_t shifted)
{
	int base = reg_use(j, a), index = reg_use(j, j->blk->ops[j->x[shifted].def].a);

	as_lea_scaled(&j->as, w, reg_def_late(j, cur(j)->dst), base, index, j->x[shifted].scaled);
}

static void binary(struct jit *j, unsigned which, bool w, bool commutes)
{
	const struct ir_insn *op = cur(j);
	uint16_t x = op->a, y = op->b;
	bool flags = (which == ALU_ADD && flags_follow(j, w ? IR_fl_add64 : IR_fl_add32)) ||
		     (which == ALU_SUB && flags_follow(j, w ? IR_fl_sub64 : IR_fl_sub32));
	uint64_t imm;
	struct opnd o;
	int d, r;

	if (j->x[x].scaled || j->x[y].scaled) {
		add_scaled(j, w, j->x[x].scaled ? y : x, j->x[x].scaled ? x : y);
		return;
	}
	/* The operand that is where the result has to be goes first. */
	if (commutes && (j->x[x].cst || (j->x[op->dst].want >= 0 && j->x[y].reg == j->pin[j->x[op->dst].want]))) {
		x = op->b;
		y = op->a;
	}
	if (!flags && which <= ALU_SUB && (which == ALU_ADD || which == ALU_SUB) && j->x[x].reg != NO_REG &&
	    !j->x[x].cst) {
		if (opnd_const(j, y, &imm)) {
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
		flags_save(j);
	o = opnd_of(j, y, w);
	d = reg_take(j, op->dst, x);
	opnd_alu(j, w, which, d, o);
}

static void shift(struct jit *j, unsigned which, bool w)
{
	const struct ir_insn *op = cur(j);
	uint64_t n;
	int d, by;

	if (opnd_const(j, op->b, &n)) {
		d = reg_take(j, op->dst, op->a);
		if (!w && !(n & 31))
			as_rr(&j->as, X_MOV, d, d);
		as_shift_ri(&j->as, w, which, d, n & (w ? 63 : 31));
		return;
	}
	by = reg_use(j, op->b);
	if (j->has_bmi2 && which != SH_ROR) {
		unsigned x = which == SH_SHL ? V_SHLX : which == SH_SHR ? V_SHRX : V_SARX;
		int a = reg_use(j, op->a);

		v_vex(j, x | (w ? V_W : 0), reg_def_late(j, op->dst), by, a);
		return;
	}
	as_mov_rr(&j->as, RCX, by);
	d = reg_take(j, op->dst, op->a);
	if (!w)
		as_rr(&j->as, X_MOV, d, d); /* also if nothing is shifted */
	as_shift_rcl(&j->as, w, which, d);
}

static void multiply(struct jit *j, bool w)
{
	const struct ir_insn *op = cur(j);
	struct opnd b = opnd_of(j, op->b, w);
	int d, a;

	if (b.kind == IMM) {
		a = reg_use(j, op->a);
		d = reg_def_late(j, op->dst);
		as_rr(&j->as, 0x69u | X_WIDTH(w), d, a);
		as_32(&j->as, (uint32_t)b.v);
		return;
	}
	d = reg_take(j, op->dst, op->a);
	if (b.kind == REG)
		as_rr(&j->as, X_IMUL | X_WIDTH(w), d, b.reg);
	else
		as_rm(&j->as, X_IMUL | X_WIDTH(w), d, RBP, b.v);
}

/* rdx = a, and b as an operand of MULX */
static struct opnd mulx_opnds(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct opnd b = opnd_of(j, op->b, true);

	if (b.kind == IMM)
		b = (struct opnd){.kind = REG, .reg = reg_use(j, op->b)};
	reg_fetch(j, op->a, RDX);
	return b;
}

/* high:low = rdx * b */
static void mulx(struct jit *j, int high, int low, struct opnd b)
{
	if (b.kind == REG)
		v_vex(j, V_MULX, high, low, b.reg);
	else
		v_vex_m(j, V_MULX, high, low, b.v);
}

/* The value of an op behind this one that is the other half of the same product, 0: there is none, or not near. */
static uint16_t other_half(const struct jit *j)
{
	enum { NEAR = 64 };
	const struct ir_insn *op = cur(j);

	for (unsigned i = j->i + 1; i < j->blk->n_ops && i < j->i + NEAR; i++) {
		const struct ir_insn *o = &j->blk->ops[i];

		if (o->op == IR_mulhu && ((o->a == op->a && o->b == op->b) || (o->a == op->b && o->b == op->a)))
			return j->x[o->dst].uses ? o->dst : 0;
	}
	return 0;
}

/*
 * The product of a and b: the low half, or the high one without a sign. MULX leaves EFLAGS alone, if they are wanted, and makes both
 * halves, which is worth a place in memory for the one that is wanted later.
 */
static bool multiply_x(struct jit *j, bool high)
{
	const struct ir_insn *op = cur(j);
	uint16_t other = j->has_mulhu && !high ? other_half(j) : 0;
	struct opnd b;
	int d;

	if (high && j->x[op->dst].slot)
		return true; /* made with the other half */
	if (!j->has_bmi2 || (!other && (!j->ef || j->x[j->ef].last < j->i)))
		return false;
	b = mulx_opnds(j);
	d = reg_def_late(j, op->dst);
	mulx(j, high ? d : RCX, high ? RCX : d, b);
	if (other) {
		as_rm(&j->as, X_MOV_ST | X_W, RCX, RBP, SLOT_X(other));
		j->x[other].slot = true;
	}
	return true;
}

static void mul_high(struct jit *j, unsigned f7)
{
	const struct ir_insn *op = cur(j);
	int b = reg_use(j, op->b);

	reg_fetch(j, op->a, RAX);
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
	unsigned extend = width == 8	? (sext ? X_MOVSX8 | X_W : X_MOVZX8) | X_BYTE
			  : width == 16 ? (sext ? X_MOVSX16 | X_W : X_MOVZX16)
			  : width == 32 ? (sext ? X_MOVSXD : X_MOV)
					: 0;
	struct as *a = &j->as;
	int d, r;

	if (extend && !op->x) {
		struct opnd o = opnd_of(j, op->a, true);

		if (o.kind == MEM && reg_dies(j, op->a)) {
			as_rm(a, extend, reg_def(j, op->dst), RBP, o.v);
			return;
		}
		r = reg_use(j, op->a);
		as_rr(a, extend, reg_def_late(j, op->dst), r);
		return;
	}
	d = reg_take(j, op->dst, op->a);
	if (op->x)
		as_shift_ri(a, true, SH_SHR, d, op->x & 63);
	if (width == 64)
		return;
	if (extend) {
		as_rr(a, extend, d, d);
		return;
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

static void choose(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	int b = reg_use(j, op->b), d;
	enum x86_cc cc = flags_test(j, op->a);

	d = reg_copy(j, op->dst, op->c);
	as_rr(&j->as, X_CMOV(cc) | X_W, d, b);
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
	int pin = j->pin[op->x], r;
	struct val *v = &j->x[op->a];
	uint64_t imm;

	if (op->a && j->home[op->x] == op->a) {
		if (v->dirty && !j->until[j->i])
			reg_clean(j);
		reg_lasts(j, op->a, j->until[j->i]);
		return;
	}
	if (pin == NO_REG) {
		if (opnd_const(j, op->a, &imm) && is_s32((int64_t)imm)) {
			reg_lose_home(j, op->x);
			as_mov_mi(&j->as, 3, RBP, ENV_X(op->x), (int32_t)imm);
			return;
		}
		r = reg_use(j, op->a);
		reg_lose_home(j, op->x);
		if (j->until[j->i] && op->a && !v->cst && v->home == NO_HOME) {
			reg_lasts(j, op->a, j->until[j->i]);
			reg_is_dirty(j, op->a, op->x);
			return;
		}
		as_rm(&j->as, X_MOV_ST | X_W, r, RBP, ENV_X(op->x));
		if (!v->cst && !(v->home < 32 && j->pin[v->home] != NO_REG))
			reg_is_home(j, op->a, op->x);
		return;
	}
	reg_lose_home(j, op->x);
	if (opnd_const(j, op->a, &imm)) {
		as_mov_ri(&j->as, pin, imm);
		return;
	}
	r = v->reg;
	if (r == NO_REG)
		as_rm(&j->as, X_MOV | X_W, pin, RBP, v->home != NO_HOME ? ENV_X(v->home) : SLOT_X(op->a));
	else
		as_mov_rr(&j->as, pin, r);
	if (!(v->home < 32 && j->pin[v->home] != NO_REG))
		reg_is_home(j, op->a, op->x);
}

/* ---- a block */

static void get(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	switch (op->op) {
	case IR_getx:
		if (j->x[j->home[op->x]].dirty)
			reg_clean(j);
		reg_lose_home(j, op->x);
		reg_is_home(j, op->dst, op->x);
		break;
	case IR_getf:
		flags_save(j);
		flags_clean(j);
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
	if (!flags_survive(j, op->op))
		flags_save(j);
	switch (op->op) {
	case IR_nop:
	case IR_const: return;
	case IR_getx:
	case IR_getf:
	case IR_getv: get(j); return;
	case IR_putx: put_x(j); return;
	case IR_putf: flags_put(j); return;
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
		if (multiply_x(j, false))
			return;
		flags_save(j);
		multiply(j, true);
		return;
	case IR_mul32: multiply(j, false); return;
	case IR_mulhs: mul_high(j, 5); return;
	case IR_mulhu:
		if (multiply_x(j, true))
			return;
		flags_save(j);
		mul_high(j, 4);
		return;
	case IR_sdiv64: divide(j, true, true); return;
	case IR_sdiv32: divide(j, false, true); return;
	case IR_udiv64: divide(j, true, false); return;
	case IR_udiv32: divide(j, false, false); return;
	case IR_adc64: flags_adc(j, true); return;
	case IR_adc32: flags_adc(j, false); return;
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
	case IR_rev16_64: call_by(j, call_pure); return;
	case IR_crc32:
		if (!select_crc32(j))
			call_by(j, call_pure);
		return;
	case IR_select: choose(j); return;
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit:
	case IR_cond: flags_test_value(j); return;

	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32:
	case IR_fl_adc64:
	case IR_fl_adc32:
	case IR_fl_logic64:
	case IR_fl_logic32: flags_make(j); return;
	case IR_fl_const:
		as_mov_mi(a, 2, RBP, SLOT_X(op->dst), (int32_t)ir_raw_of((uint32_t)(op->imm & 15) << 28));
		j->x[op->dst].slot = true;
		return;
	case IR_fl_select: flags_select(j); return;
	case IR_fl_pack: flags_pack(j); return;
	case IR_fl_unpack: flags_unpack(j); return;
	case IR_fl_fcmp:
		if (vec_fcmp(j))
			j->ef = op->dst;
		else
			call_by(j, call_fcmp);
		return;

	case IR_load:
	case IR_store:
	case IR_loadp:
	case IR_storep:
	case IR_loadv:
	case IR_storev:
	case IR_loadpv:
	case IR_storepv: mem_access(j); return;
	case IR_ldx:
	case IR_ldxp: mem_ldx(j); return;
	case IR_stx:
	case IR_stxp: mem_stx(j); return;
	case IR_rmw: mem_rmw(j); return;
	case IR_cas: mem_cas(j); return;
	case IR_casp: call_by(j, ir_mem_casp); return;
	case IR_clrex: as_mov_mi(a, 0, RBP, ENV(excl.valid), 0); return;
	case IR_fence: call_fence(j); return;
	case IR_mrs: call_mrs(j); return;
	case IR_msr: call_msr(j); return;
	case IR_msr_imm: call_msr_imm(j); return;
	case IR_btype: call_by(j, call_btype); return;
	case IR_pauth: call_by(j, call_pauth); return;

	case IR_brcond: leave_if(j); return;
	case IR_br: leave_to(j, op); return;
	case IR_br_ind:
		as_mov_rr(a, RAX, reg_use(j, op->a));
		leave_to_rax(j, op);
		return;
	case IR_exit: leave_by_exit(j); return;

	case IR_v_from_x:
	case IR_v_from_xx: vec_from_x(j); return;
	case IR_x_from_v: vec_to_x(j); return;
	case IR_v_ins_x: vec_ins_x(j); return;
	case IR_vop: vec_op(j); return;
	default: a->full = true; return; /* not an op of ops.def */
	}
}

/* What a hot unit does better: accesses, and loops that it is part of. */
static bool may_gain(const struct jit *j)
{
	const struct ir_block *blk = j->blk;

	for (unsigned i = 0; i < blk->n_ops; i++) {
		unsigned op = blk->ops[i].op;

		if ((op >= IR_load && op <= IR_casp) ||
		    ((op == IR_brcond || op == IR_br) && !((blk->ops[i].imm ^ blk->pc) & IR_PAGE_MASK)))
			return true;
	}
	return false;
}

/* A trace that comes back to its start looks at env->kick there. */
static bool has_to_look(const struct jit *j)
{
	const struct ir_block *blk = j->blk;

	for (unsigned i = 0; j->unit->n_pieces && i < blk->n_ops; i++) {
		if ((blk->ops[i].op == IR_br || blk->ops[i].op == IR_brcond) && blk->ops[i].imm == blk->pc)
			return true;
	}
	return false;
}

/* SP stays what it is. */
static bool keeps_sp(const struct ir_block *blk)
{
	for (unsigned i = 0; i < blk->n_ops; i++) {
		if (blk->ops[i].op == IR_putx && blk->ops[i].x == 31)
			return false;
	}
	return true;
}

static uint32_t test_sp(struct jit *j)
{
	as_rr(&j->as, 0xf7u, 0, j->pin[31]);
	as_32(&j->as, j->unit->sp_mask);
	return as_jcc(&j->as, CC_NE);
}

/* A unit that was entered often enough goes back instead. At least so long that a jump can take its place: jit_replace(). */
static uint32_t count_entry(struct jit *j)
{
	const struct jit_unit *u = j->unit;
	int32_t at = u->tier == JIT_PROBE ? ENV(probe_left) + (int32_t)(4 * u->probe)
					  : ENV(heat) + 4 * (int32_t)jit_heat_slot(j->blk->pc, j->unit->el1);

	if (u->tier == JIT_HOT || !u->chain || !may_gain(j))
		return 0;
	as_alu_mi(&j->as, false, ALU_SUB, RBP, at, 1);
	return as_jcc(&j->as, CC_E);
}

bool select_block(struct jit *j)
{
	struct as *a = &j->as;
	uint32_t misaligned = 0, kicked = 0, hot;
	bool once;
	uint8_t *hot_end;

	swap_choose(j);
	reg_begin(j);
	cover_find(j);
	j->n_marks = 0;
	j->n_stubs = j->n_exits = j->n_vstubs = j->n_accesses = 0;
	j->piece = j->piece_access = 0;
	j->begin = as_here(a);
	j->looks = has_to_look(j);
	j->pinned = 0;
	j->ef = j->flags_done = j->owed = 0;
	j->ef_add = false;
	hot = count_entry(j);
	if (!hot && j->unit->chain && !j->unit->alone)
		as_nop(a, 5); /* jit_replace() */
	vec_fp_prologue(j);
	swap_begin(j);
	once = j->looks && keeps_sp(j->blk);
	if (j->unit->sp_mask && once)
		misaligned = test_sp(j);
	j->loop = as_here(a);
	if (j->looks) {
		as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
		kicked = as_jcc(a, CC_NE);
	}
	if (j->unit->sp_mask && !once)
		misaligned = test_sp(j);
	for (j->i = 0; j->i < j->blk->n_ops && as_has_room(a); j->i++) {
		uint64_t back = ir_turns_back(j->blk, j->i + 1);

		while (j->n_marks <= j->blk->ops[j->i].gi)
			j->marks[j->n_marks++] = as_here(a) - j->begin;
		j->end = j->i;
		select_op(j);
		if (back)
			leave_if_kicked(j, back);
		reg_end_op(j);
		vreg_end_op(j);
	}
	while (j->n_marks <= j->blk->n_insns)
		j->marks[j->n_marks++] = as_here(a) - j->begin;
	leave_exits(j);
	/* What is done seldom is elsewhere, so that the rest lies close together. */
	hot_end = a->at;
	a->at = j->cold;
	a->end = j->mem.rw + j->limit;
	mem_stubs(j);
	vec_stubs(j);
	if (hot) {
		if (misaligned) {
			as_land(a, misaligned);
			leave_call(j, j->start_thunk);
		}
		as_land(a, hot);
		leave_call(j, j->hot_thunk);
		as_64(a, j->blk->pc);
		as_64(a, (uint64_t)(uintptr_t)j->unit->owner);
	} else if (misaligned || kicked) {
		if (misaligned)
			as_land(a, misaligned);
		if (kicked)
			as_land(a, kicked);
		swap_out(j);
		leave_set_pc(j, j->blk->pc);
		leave_jmp(j, j->leave);
	}
	j->cold_end = a->at;
	a->at = hot_end;
	a->end = j->mem.rw + j->middle;
	return !a->full;
}
