/* SPDX-License-Identifier: MIT */
/*
 * Flags and what is decided by them: see gen.h for the forms. Lazy values are made here, where they are used.
 */
#include "select.h"

/* Compares an operand with zero: EFLAGS as of TEST. */
static void zero_test(struct jit *j, uint16_t n, bool w)
{
	struct opnd o = opnd_of(j, n, w);

	switch (o.kind) {
	case IMM:
		as_mov_ri(&j->as, RAX, (uint32_t)(o.v != 0));
		as_rr(&j->as, X_TEST, RAX, RAX);
		break;
	case REG: as_rr(&j->as, X_TEST | X_WIDTH(w), o.reg, o.reg); break;
	case MEM: as_alu_mi(&j->as, w, ALU_CMP, RBP, o.v, 0); break;
	}
}

static bool is_64(unsigned op)
{
	return op == IR_fl_add64 || op == IR_fl_sub64 || op == IR_fl_adc64 || op == IR_fl_logic64 || op == IR_eqz64 ||
	       op == IR_nez64;
}

static void complement_carry(struct jit *j)
{
	as_8(&j->as, 0xf5);
}

/* EFLAGS become those of a compare, if they are those of an addition. */
static void as_of_compare(struct jit *j)
{
	if (j->ef_add)
		complement_carry(j);
	j->ef_add = false;
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

/* It is somewhere in its raw form. */
static bool is_raw(const struct jit *j, uint16_t n)
{
	return j->x[n].slot || j->x[n].home == HOME_NZCV;
}

void flags_save(struct jit *j)
{
	struct val *v = &j->x[j->ef];

	if (j->ef && v->last >= j->i && !v->slot && v->home != HOME_NZCV && !v->plain) {
		as_of_compare(j);
		raw_from_eflags(j);
		as_rm(&j->as, X_MOV_ST, RAX, RBP, SLOT_X(j->ef));
		v->slot = true;
	}
	j->ef = 0;
	j->ef_add = false;
}

bool flags_survive(const struct jit *j, unsigned op)
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
	case IR_adc64:
	case IR_adc32:
	case IR_not64:
	case IR_not32:
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
	case IR_mul64:
	case IR_mulhu: return j->has_bmi2;
	default: return false;
	}
}

/* The operands of an op that makes flags, where they are. */
struct flags_opnds {
	int a;
	struct opnd b;
};

static struct flags_opnds flags_opnds(struct jit *j, const struct ir_insn *op)
{
	struct flags_opnds o = {.a = reg_use(j, op->a)};

	if (ir_opinfo[op->op].n_arg > 1)
		o.b = opnd_of(j, op->b, is_64(op->op));
	return o;
}

/*
 * CF becomes the carry c. EFLAGS may be those of a flags value that lives on: they are saved then. Only moves may come between
 * this and the op that takes it.
 */
static void carry_to_cf(struct jit *j, uint16_t c, bool lives)
{
	const struct ir_insn *def = &j->blk->ops[j->x[c].def];
	enum x86_cc cc;

	if (j->x[c].lazy && def->op == IR_cond && def->x == IR_CS && j->ef != def->a && is_raw(j, def->a)) {
		flags_save(j);
		as_bt_mi(&j->as, false, RBP, raw_loc(j, def->a), 8);
		complement_carry(j);
		return;
	}
	if (lives && !j->x[j->ef].plain) {
		uint16_t n = j->ef;

		flags_save(j);
		j->ef = n; /* still, as of a compare */
	}
	if (!j->x[c].lazy) {
		j->ef = 0;
		as_bt_ri(&j->as, reg_use(j, c), 0);
		return;
	}
	cc = flags_test(j, c);
	if (cc == CC_AE) {
		complement_carry(j);
	} else if (cc != CC_B) {
		as_rr(&j->as, X_SET(cc), 0, RAX);
		as_8(&j->as, 0x04); /* add al, ff */
		as_8(&j->as, 0xff);
	}
	j->ef = 0;
	j->ef_add = false;
}

/* EFLAGS become what the op makes, for additions with CF as it is. Clobbers rax. */
static bool compute_flags_add(struct jit *j, const struct ir_insn *op, const struct flags_opnds *o)
{
	bool w = is_64(op->op);

	switch (op->op) {
	case IR_fl_sub64:
	case IR_fl_sub32: opnd_alu(j, w, ALU_CMP, o->a, o->b); return false;
	case IR_fl_add64:
	case IR_fl_add32:
		as_mov_rr(&j->as, RAX, o->a);
		opnd_alu(j, w, ALU_ADD, RAX, o->b);
		return true;
	default: /* fl_logic */ as_rr(&j->as, X_TEST | X_WIDTH(w), o->a, o->a); return true;
	}
}

/* ... as a compare leaves them */
static void compute_flags(struct jit *j, const struct ir_insn *op, const struct flags_opnds *o)
{
	if (compute_flags_add(j, op, o))
		complement_carry(j);
}

/* The same for a comparison with what is in memory and not used again. */
static bool compare_memory(struct jit *j, const struct ir_insn *op)
{
	bool w = is_64(op->op);
	struct opnd a, b;

	if ((op->op != IR_fl_sub64 && op->op != IR_fl_sub32) || j->x[op->a].reg != NO_REG || !reg_dies(j, op->a) ||
	    (j->x[op->b].reg == NO_REG && !j->x[op->b].cst))
		return false;
	a = opnd_of(j, op->a, w);
	if (a.kind != MEM)
		return false;
	b = opnd_of(j, op->b, w);
	if (b.kind == IMM)
		as_alu_mi(&j->as, w, ALU_CMP, RBP, a.v, b.v);
	else
		as_rm(&j->as, (8u * ALU_CMP + 1) | X_WIDTH(w), b.reg, RBP, a.v);
	return true;
}

static bool is_adc(unsigned op)
{
	return op == IR_fl_adc64 || op == IR_fl_adc32;
}

/* Of a carry's flags: they are wanted behind op i. */
static bool ef_lives_behind(const struct jit *j, unsigned i)
{
	return j->ef && j->x[j->ef].last > i;
}

void flags_make(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	if (j->flags_done == op->dst) {
		j->ef_add = op->op != IR_fl_sub64 && op->op != IR_fl_sub32;
	} else if (is_adc(op->op)) {
		struct flags_opnds o;

		carry_to_cf(j, op->c, ef_lives_behind(j, j->i));
		o = flags_opnds(j, op);
		as_mov_rr(&j->as, RCX, o.a);
		opnd_alu(j, is_64(op->op), ALU_ADC, RCX, o.b);
		j->ef_add = true;
	} else {
		struct flags_opnds o;

		flags_save(j);
		if (!compare_memory(j, op)) {
			o = flags_opnds(j, op);
			j->ef_add = compute_flags_add(j, op, &o);
		}
	}
	j->ef = op->dst;
}

/*
 * The next op is flags of the sum or difference that the op at hand makes, whose EFLAGS are just that: they need not be
 * made again.
 */
bool flags_follow(struct jit *j, unsigned flags_op)
{
	const struct ir_insn *op = cur(j), *next = op + 1;

	if (j->i + 1 >= j->blk->n_ops || next->op != flags_op || next->a != op->a || next->b != op->b ||
	    next->c != op->c || j->x[next->dst].lazy)
		return false;
	if (!is_adc(flags_op))
		flags_save(j);
	j->flags_done = next->dst;
	j->end = j->i + 1;
	return true;
}

static void make_again(struct jit *j, uint16_t n)
{
	const struct ir_insn *op = &j->blk->ops[j->x[n].def];
	uint32_t pinned = j->pinned;
	struct flags_opnds o;

	if (!compare_memory(j, op)) {
		o = flags_opnds(j, op);
		compute_flags(j, op, &o);
	}
	j->pinned = pinned; /* the op at hand may need more registers */
}

void flags_adc(struct jit *j, bool w)
{
	const struct ir_insn *op = cur(j);
	bool follow = flags_follow(j, w ? IR_fl_adc64 : IR_fl_adc32);
	struct opnd b;
	int d;

	carry_to_cf(j, op->c, ef_lives_behind(j, j->i + follow));
	b = opnd_of(j, op->b, w);
	d = reg_copy(j, op->dst, op->a);
	opnd_alu(j, w, ALU_ADC, d, b);
}

/* EFLAGS hold n. Clobbers rax. */
static void need_flags(struct jit *j, uint16_t n)
{
	if (j->ef == n) {
		as_of_compare(j);
		return;
	}
	flags_save(j);
	if (is_raw(j, n)) {
		as_rm(&j->as, X_MOV, RAX, RBP, raw_loc(j, n));
		raw_to_eflags(j);
	} else {
		make_again(j, n);
	}
	j->ef = n;
}

/* rax = raw form of n; its upper half means nothing. */
static void raw_to_rax(struct jit *j, uint16_t n)
{
	if (is_raw(j, n)) {
		as_rm(&j->as, X_MOV, RAX, RBP, raw_loc(j, n));
	} else {
		need_flags(j, n);
		raw_from_eflags(j);
	}
}

/* The raw form of n is in memory. Clobbers rax. */
static void need_raw(struct jit *j, uint16_t n)
{
	if (is_raw(j, n))
		return;
	raw_to_rax(j, n);
	as_rm(&j->as, X_MOV_ST, RAX, RBP, SLOT_X(n));
	j->x[n].slot = true;
}

/* EFLAGS such that the result holds if condition cond holds for flags n. Clobbers rax. */
static enum x86_cc condition(struct jit *j, uint16_t n, unsigned cond)
{
	static const uint8_t after_sub[] = {
		[IR_EQ] = CC_E,	 [IR_NE] = CC_NE, [IR_CS] = CC_AE, [IR_CC] = CC_B, [IR_MI] = CC_S,
		[IR_PL] = CC_NS, [IR_VS] = CC_O,  [IR_VC] = CC_NO, [IR_HI] = CC_A, [IR_LS] = CC_BE,
		[IR_GE] = CC_GE, [IR_LT] = CC_L,  [IR_GT] = CC_G,  [IR_LE] = CC_LE};

	if (cond >= IR_AL) {
		flags_save(j);
		as_rr(&j->as, X_CMP, RAX, RAX);
		return CC_E;
	}
	if (j->ef == n && j->ef_add && (cond == IR_CS || cond == IR_CC))
		return cond == IR_CS ? CC_B : CC_AE;
	if (j->ef != n || cond == IR_HI || cond == IR_LS)
		need_flags(j, n);
	return after_sub[cond];
}

/* Bit `bit` of value n to CF. */
static void test_bit(struct jit *j, uint16_t n, unsigned bit)
{
	struct opnd o = opnd_of(j, n, true);

	if (o.kind == MEM && reg_dies(j, n))
		as_bt_mi(&j->as, true, RBP, o.v, bit);
	else
		as_bt_ri(&j->as, reg_use(j, n), bit);
}

/* EFLAGS such that the result holds if x value n is not zero. Clobbers rax. */
enum x86_cc flags_test(struct jit *j, uint16_t n)
{
	const struct ir_insn *op = &j->blk->ops[j->x[n].def];

	if (!j->x[n].lazy) {
		flags_save(j);
		zero_test(j, n, true);
		return CC_NE;
	}
	if (op->op == IR_cond)
		return condition(j, op->a, op->x);
	flags_save(j);
	switch (op->op) {
	case IR_ubfx:
	case IR_tstbit: test_bit(j, op->a, op->x & 63); return CC_B;
	case IR_eqz64:
	case IR_eqz32:
		if (j->x[op->a].lazy)
			return flags_test(j, op->a) ^ 1;
		zero_test(j, op->a, is_64(op->op));
		return CC_E;
	default:
		if (j->x[op->a].lazy)
			return flags_test(j, op->a);
		zero_test(j, op->a, is_64(op->op));
		return CC_NE;
	}
}

/* The same op where its value is wanted as a number. */
void flags_test_value(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct val *d = &j->x[op->dst];
	int r = reg_def(j, op->dst);
	enum x86_cc cc;

	d->lazy = true;
	cc = flags_test(j, op->dst);
	d->lazy = false;
	as_rr(&j->as, X_SET(cc), 0, r);
	as_rr(&j->as, X_MOVZX8 | X_BYTE, r, r);
}

/* EFLAGS become those of the raw form that is in rax, in either arm, so that what follows finds them there. */
void flags_select(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	const struct ir_insn *b = &j->blk->ops[j->x[op->b].def], *c = &j->blk->ops[j->x[op->c].def];
	struct as *a = &j->as;
	struct flags_opnds o;
	uint32_t other, join;
	enum x86_cc cc;

	if (j->x[op->b].lazy && c->op == IR_fl_const) {
		o = flags_opnds(j, b); /* before the ways part */
		as_of_compare(j);
		cc = flags_test(j, op->a);
		if (j->ef && j->x[j->ef].last > j->i)
			flags_save(j); /* leaves them where they are, too */
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
		flags_save(j);
		o = flags_opnds(j, b);
		compute_flags(j, b, &o);
		raw_from_eflags(j);
		as_rm(a, X_MOV_ST, RAX, RBP, SLOT_X(op->b));
		j->x[op->b].slot = true;
	}
	need_raw(j, op->c);
	need_raw(j, op->b);
	as_rm(a, X_MOV, RCX, RBP, raw_loc(j, op->c));
	as_rm(a, X_MOV, RDX, RBP, raw_loc(j, op->b));
	as_rm(a, X_MOV_ST, RCX, RBP, SLOT_X(op->dst));
	as_rm(a, X_MOV_ST, RDX, RBP, SLOT_X(op->b));
	cc = flags_test(j, op->a);
	other = as_jcc(a, cc ^ 1);
	as_rm(a, X_MOV, RDX, RBP, SLOT_X(op->b));
	as_rm(a, X_MOV_ST, RDX, RBP, SLOT_X(op->dst));
	as_land(a, other);
	j->x[op->dst].slot = true;
}

static void put(struct jit *j, uint16_t n)
{
	raw_to_rax(j, n);
	as_rm(&j->as, X_MOV_ST, RAX, RBP, ENV(nzcv));
	reg_is_home(j, n, HOME_NZCV);
	j->owed = 0;
}

void flags_put(struct jit *j)
{
	const struct ir_insn *op = cur(j);

	if (j->home[HOME_NZCV] == op->a)
		return;
	reg_lose_home(j, HOME_NZCV);
	if (j->until[j->i])
		j->owed = op->a;
	else
		put(j, op->a);
}

void flags_clean(struct jit *j)
{
	if (j->owed && j->x[j->owed].last >= j->i)
		put(j, j->owed);
	j->owed = 0;
}

struct debt flags_debt(const struct jit *j)
{
	struct debt d = {.any = false};
	const struct ir_insn *op;

	memset(d.home, NO_HOME, sizeof(d.home));
	for (unsigned left = reg_held(j->regs); left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctz(left);
		const struct val *v = &j->x[j->regs[r]];

		if (v->dirty) {
			d.home[r] = v->home;
			d.any = true;
		}
	}
	if (!j->owed || j->x[j->owed].last < j->i)
		return d;
	d.any = true;
	d.flags = j->owed;
	d.in_ef = j->ef == j->owed;
	d.add = d.in_ef && j->ef_add;
	d.slot = is_raw(j, j->owed);
	op = &j->blk->ops[j->x[j->owed].def];
	for (unsigned k = 0; !d.in_ef && !d.slot && k < ir_opinfo[op->op].n_arg; k++) {
		const struct val *v = &j->x[ir_arg(op, k)];

		d.opnd[k].reg = v->cst ? NO_REG : v->reg;
		d.opnd[k].at = v->home != NO_HOME ? ENV_X(v->home) : SLOT_X(ir_arg(op, k));
	}
	return d;
}

/* What opnd_of() would say of an operand then; a constant that has to be in a register goes to scratch. */
static struct opnd opnd_then(struct jit *j, const struct debt *d, const struct ir_insn *op, unsigned k, int scratch)
{
	uint64_t imm;

	if (opnd_const(j, ir_arg(op, k), &imm)) {
		if (scratch == NO_REG || (is_64(op->op) && !is_s32((int64_t)imm))) {
			scratch = scratch == NO_REG ? RAX : scratch;
			as_mov_ri(&j->as, scratch, imm);
			return (struct opnd){.kind = REG, .reg = scratch};
		}
		return (struct opnd){.kind = IMM, .v = (int32_t)(uint32_t)imm};
	}
	if (d->opnd[k].reg != NO_REG)
		return (struct opnd){.kind = REG, .reg = d->opnd[k].reg};
	return (struct opnd){.kind = MEM, .v = d->opnd[k].at};
}

void flags_pay(struct jit *j, const struct debt *d)
{
	const struct ir_insn *op = &j->blk->ops[j->x[d->flags].def];
	struct flags_opnds o = {.a = RAX};
	struct opnd first;

	if (d->slot) {
		as_rm(&j->as, X_MOV, RAX, RBP, SLOT_X(d->flags));
	} else if (d->flags) {
		if (!d->in_ef) {
			if (ir_opinfo[op->op].n_arg > 1)
				o.b = opnd_then(j, d, op, 1, RCX);
			first = opnd_then(j, d, op, 0, NO_REG);
			if (first.kind == MEM)
				as_rm(&j->as, X_MOV | X_W, RAX, RBP, first.v);
			else
				o.a = first.reg;
			compute_flags(j, op, &o);
		}
		if (d->add)
			complement_carry(j);
		raw_from_eflags(j);
	}
	if (d->flags)
		as_rm(&j->as, X_MOV_ST, RAX, RBP, ENV(nzcv));
	for (int r = 0; r < 16; r++) {
		if (d->home[r] != NO_HOME)
			as_rm(&j->as, X_MOV_ST | X_W, r, RBP, ENV_X(d->home[r]));
	}
}

void flags_pack(struct jit *j)
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

void flags_unpack(struct jit *j)
{
	/* N, Z, C and V to bits 31 to 28 by one multiplication */
	enum { GOT = 0xc101, SPREAD = 1 << 16 | 1 << 21 | 1 << 28 };
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;

	raw_to_rax(j, op->a);
	flags_save(j);
	as_alu_ri(a, false, ALU_XOR, RAX, 0x100);
	as_alu_ri(a, false, ALU_AND, RAX, GOT);
	as_rr(a, 0x69u, RAX, RAX);
	as_32(a, SPREAD);
	as_alu_ri(a, false, ALU_AND, RAX, (int32_t)0xf0000000);
	as_rr(a, X_MOV, reg_def(j, op->dst), RAX);
}
