/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores: extents, the ways around them, and atomics. What an access means is defined by ir/memory.h.
 */
#include "fuse.h"
#include "select.h"

/* ---- memory */

void mem_full_fence(struct jit *j)
{
	static const uint8_t lock_or[] = {0xf0, 0x83, 0x0c, 0x24, 0x00}; /* lock or dword [rsp], 0 */

	for (unsigned i = 0; i < sizeof(lock_or); i++)
		as_8(&j->as, lock_or[i]);
}

#define EXTENT(field) ((int32_t)offsetof(struct ir_extent, field))

/* What the way around finds in registers, and owes. */
static void branches_off(struct jit *j, struct stub *s)
{
	const struct ir_insn *op = cur(j);
	const struct ir_opinfo *info = &ir_opinfo[op->op];

	memcpy(s->regs, j->regs, sizeof(s->regs));
	for (unsigned left = reg_held(j->regs); left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctz(left);

		s->slots |= (uint16_t)(j->x[j->regs[r]].slot << r);
	}
	for (unsigned k = 0; k < info->n_arg; k++) {
		const struct val *v = &j->x[ir_arg(op, k)];

		s->homes[k] =
			info->arg[k] == IR_CLASS_X && v->home < 32 && !v->dirty && !j->n_swaps ? v->home : NO_HOME;
	}
	s->vsnap = vreg_snapshot(j);
	s->debt = flags_debt(j);
}

static ir_mem_fn do_access, do_zva;

/* The part of the unit that has access n, an op of instruction gi, and which one it is there. */
static struct jit_piece piece_of(struct jit *j, unsigned gi, unsigned *n)
{
	const struct jit_unit *u = j->unit;

	if (!u->n_pieces)
		return (struct jit_piece){.site_extent = u->site_extent, .extents = u->extents};
	while (j->piece + 1 < u->n_pieces && u->pieces[j->piece + 1].gi <= gi) {
		j->piece++;
		j->piece_access = *n;
	}
	*n -= j->piece_access;
	return u->pieces[j->piece];
}

/* The extent that the unit's next access looks into, from rbp; 0: it looks into the soft TLB. */
static int32_t extent_now(struct jit *j, const struct ir_insn *op, bool write)
{
	const struct jit_unit *u = j->unit;
	unsigned n = j->n_accesses++;
	struct jit_piece part = piece_of(j, op->gi, &n);

	if (op->aux & IR_MEM_UNPRIV)
		return ENV(unpriv_extent) +
		       (int32_t)((write * (unsigned)IR_EXTENT_BASES + IR_MEM_BASE(op->aux) % IR_EXTENT_BASES) *
				 sizeof(struct ir_extent));
	if (u->tier == JIT_COLD || n >= IR_PROBE_SITES || (u->tier == JIT_HOT && !(part.extents >> n & 1)))
		return 0;
	return ENV(site_extent) +
	       (int32_t)((u->el1 * (unsigned)IR_SITES + (part.site_extent + n) % IR_SITES) * sizeof(struct ir_extent));
}

#define COVER(k) (ENV(cover) + 8 * ((int32_t)(k)-1))

/* d = base + disp */
static void address_to(struct jit *j, int d, int base, int64_t disp)
{
	if (!is_s32(disp)) {
		as_mov_ri(&j->as, d, (uint64_t)disp);
		as_rr(&j->as, X_ADD | X_W, d, base);
	} else if (disp) {
		as_rm(&j->as, X_LEA | X_W, d, base, (int32_t)disp);
	} else {
		as_mov_rr(&j->as, d, base);
	}
}

/* rdx = the page of [reg + disp] */
static void page_to_rdx(struct jit *j, int reg, int32_t disp)
{
	if (disp)
		as_rm(&j->as, X_LEA | X_W, RDX, reg, disp);
	else
		as_mov_rr(&j->as, RDX, reg);
	as_alu_ri(&j->as, true, ALU_AND, RDX, -4096);
}

static bool is_near(int64_t disp)
{
	return is_s32(disp - 2 * 4096) && is_s32(disp + 2 * 4096);
}

void tlb_index_to(struct jit *j, int d, int va)
{
	struct as *a = &j->as;

	if (j->has_bmi1) {
		as_mov_ri(a, d, IR_TLB_BITS << 8 | IR_PAGE_SHIFT);
		v_vex(j, V_BEXTR, d, d, va);
	} else {
		as_rr(a, X_MOV, d, va);
		as_shift_ri(a, false, SH_SHR, d, IR_PAGE_SHIFT);
		as_alu_ri(a, false, ALU_AND, d, IR_TLB_SIZE - 1);
	}
}

/* The soft TLB: delta to rax if it has the page. For a lead, if it has all that those reach who follow. */
static void by_soft_tlb(struct jit *j, struct stub *s, bool aligned, int base)
{
	int64_t disp = (int64_t)cur(j)->imm;
	struct as *a = &j->as;
	struct cover c = {.lo = 0, .hi = s->bytes};
	int at = base;

	if (s->cover)
		c = j->covers[s->cover];
	if (disp + c.lo || (aligned && s->bytes > 1)) {
		address_to(j, RCX, base, disp + c.lo);
		at = RCX;
	}
	if (aligned && s->bytes > 1) {
		as_8(a, 0xf6); /* test cl, imm8 */
		as_8(a, 0xc0u | RCX);
		as_8(a, s->bytes - 1u);
		s->unaligned = as_jcc(a, CC_NE);
	}
	tlb_index_to(j, RAX, at);
	/* The last byte's page: that of the first, or none that this entry could hold. */
	if (is_near(disp))
		page_to_rdx(j, base, (int32_t)disp + c.hi - 1);
	else
		page_to_rdx(j, RCX, c.hi - c.lo - 1);
	as_rm(a, X_MOV | X_W, RCX, RBP, ENV(tlb));
	as_rx8(a, X_CMP | X_W, RDX, RCX, RAX, s->write ? TLB(w) : TLB(r));
	s->from = as_jcc(a, CC_NE);
	as_rx8(a, X_MOV | X_W, RAX, RCX, RAX, TLB(delta));
	if (s->cover)
		as_rm(a, X_MOV_ST | X_W, RAX, RBP, COVER(s->cover));
}

/* What the lead has found. */
static void by_cover(struct jit *j, struct stub *s, unsigned cover)
{
	struct as *a = &j->as;

	as_rm(a, X_MOV | X_W, RAX, RBP, COVER(cover));
	as_rr(a, X_TEST | X_W, RAX, RAX);
	s->from = as_jcc(a, CC_E);
}

#define PROBE(n, k, field) \
	(ENV(probe) + (int32_t)((n) * sizeof(struct ir_probe) + offsetof(struct ir_probe, site) + \
				(k) * sizeof(((struct ir_probe *)0)->site[0]) + (field) * sizeof(uint32_t)))

/* What a unit whose accesses go by extents counts. */
static void count_access(struct jit *j, struct stub *s)
{
	unsigned n = j->n_accesses - 1;

	if (!j->unit->chain || (n >= IR_PROBE_SITES && j->unit->tier == JIT_PROBE))
		return;
	if (j->unit->tier == JIT_PROBE) {
		as_rm(&j->as, 0xffu, 0, RBP, PROBE(j->unit->probe, n, 0)); /* inc */
		s->misses = PROBE(j->unit->probe, n, 1);
	} else if (j->unit->tier == JIT_HOT) {
		s->misses = ENV(heat) + 4 * (int32_t)jit_heat_slot(j->blk->pc, j->unit->el1);
	}
}

/* Being in the extent: delta to rax. rcx is the distance from its start, and nothing that the access waits for depends on it. */
static void by_extent(struct jit *j, struct stub *s, bool aligned, int base)
{
	int64_t disp = (int64_t)cur(j)->imm;
	struct as *a = &j->as;

	as_rm(a, X_MOV | X_W, RCX, RBP, s->extent + EXTENT(neg));
	if (is_near(disp)) {
		as_rm(a, X_MOV | X_W, RAX, RBP, s->extent + EXTENT(delta));
		as_rx1(a, X_LEA | X_W, RCX, base, RCX, (int32_t)disp);
	} else {
		address_to(j, RAX, base, disp);
		as_rr(a, X_ADD | X_W, RCX, RAX);
		as_rm(a, X_MOV | X_W, RAX, RBP, s->extent + EXTENT(delta));
	}
	if (aligned && s->bytes > 1) { /* extents begin with pages */
		as_8(a, 0xf6);	       /* test cl, imm8 */
		as_8(a, 0xc0u | RCX);
		as_8(a, s->bytes - 1u);
		s->unaligned = as_jcc(a, CC_NE);
	}
	as_rm(a, X_CMP | X_W, RCX, RBP, s->extent + EXTENT(len));
	s->from = as_jcc(a, CC_AE);
}

/* The access at the op's address: where it is in host memory, or on to a stub. */
static struct stub *host_address(struct jit *j, bool write, bool aligned, unsigned bytes, struct place *at)
{
	const struct ir_insn *op = cur(j);
	struct stub *s = &j->stubs[j->n_stubs++];
	struct as *a = &j->as;
	int base = reg_use(j, op->a);
	unsigned cover = j->n_covers ? j->cover_of[j->i] : 0, bit = cover ? 1u << (cover - 1) : 0;

	*s = (struct stub){.op = (uint16_t)j->i,
			   .dst = {NO_REG, NO_REG},
			   .homes = {NO_HOME, NO_HOME, NO_HOME},
			   .write = write,
			   .fn = do_access};
	s->base = (int8_t)base;
	s->bytes = (uint8_t)bytes;
	s->extent = extent_now(j, op, write);
	if (bit && j->unit->el1 && !j->unit->loops && j->covers[cover].lead == j->i && j->covers[cover].n > 1)
		s->extent = 0; /* the paths of a kernel do not fit into the host's caches: what is short is best */
	s->asks = (bit || s->extent) && !(op->aux & IR_MEM_UNPRIV);
	if (bit & j->covers_live) {
		by_cover(j, s, cover);
		s->extent = 0;
		if (j->covers[cover].last == j->i)
			j->covers_live &= ~bit;
	} else if (s->extent) {
		if (!(op->aux & IR_MEM_UNPRIV))
			count_access(j, s);
		s->retry = as_here(a);
		by_extent(j, s, aligned, base);
	} else {
		if (bit && j->covers[cover].lead == j->i) {
			s->cover = (uint8_t)cover;
			j->covers_live |= bit;
		} else {
			s->asks = false; /* it has looked for itself */
		}
		by_soft_tlb(j, s, aligned, base);
	}
	if (j->count_accesses) {
		as_rm(a, 0xffu | X_W, 0, RBP, ENV(extent_hits)); /* inc */
		if (!s->extent)
			as_rm(a, 0xffu | X_W, 0, RBP, ENV(tlb_hits));
	}
	s->access = as_here(a);
	s->covers = j->covers_live;
	if (is_near((int64_t)op->imm)) {
		*at = (struct place){.index = base, .disp = (int32_t)op->imm};
	} else {
		as_rr(a, X_ADD | X_W, RAX, base);
		as_mov_ri(a, RCX, op->imm);
		*at = (struct place){.index = RCX};
	}
	branches_off(j, s);
	return s;
}

/* The same, with the address in rax. */
static struct stub *host_address_rax(struct jit *j, bool write, unsigned bytes)
{
	struct place at;
	struct stub *s = host_address(j, write, true, bytes, &at);

	if (at.index != NO_REG)
		as_rx1(&j->as, X_LEA | X_W, RAX, RAX, at.index, at.disp);
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
	uint32_t site = env->site_missed;
	uint64_t va;

	env->site_missed = 0;
	va = IR_OPND(x, op->a) + op->imm;
	if (!slow_function(op->op)(env, op, x, v))
		return false;
	if (env->ops->extent)
		env->ops->extent(env, va, op->aux, site);
	return true;
}

static bool do_zva(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t va = IR_OPND(x, op->a);

	if (env->ops->msr(env, op->aux, op->x, va))
		return false;
	if (env->ops->extent)
		env->ops->extent(env, va & ~63ull, IR_MEM(0, 0, IR_MEM_BASE_ZVA, IR_MEM_WNR), 0);
	return true;
}

/* DC ZVA: its block never crosses a page. The soft TLB does not know whether EL0 may use it; the extent does. */
void mem_zva(struct jit *j)
{
	struct stub *s = &j->stubs[j->n_stubs++];
	struct as *a = &j->as;
	int base = reg_use(j, cur(j)->a);

	*s = (struct stub){.op = (uint16_t)j->i,
			   .dst = {NO_REG, NO_REG},
			   .homes = {NO_HOME, NO_HOME, NO_HOME},
			   .write = true,
			   .fn = do_zva};
	s->extent = ENV(zva_extent) + (int32_t)(j->unit->el1 * sizeof(struct ir_extent));
	as_mov_rr(a, RAX, base);
	as_alu_ri(a, true, ALU_AND, RAX, -64);
	as_rm(a, X_MOV | X_W, RCX, RBP, s->extent + EXTENT(neg));
	as_rr(a, X_ADD | X_W, RCX, RAX);
	as_rm(a, X_CMP | X_W, RCX, RBP, s->extent + EXTENT(len));
	s->from = as_jcc(a, CC_AE);
	branches_off(j, s);
	as_rm(a, X_ADD | X_W, RAX, RBP, s->extent + EXTENT(delta));
	v_zero(j, T1);
	for (int32_t at = 0; at < 64; at += 16)
		v2m(j, V_MOVUPS_ST, T1, RAX, at);
	stub_done(j, s);
}

/* An op of which `from`, a jump, goes to fn, out of line. */
struct stub *mem_stub(struct jit *j, uint32_t from, ir_mem_fn *fn, bool attn)
{
	struct stub *s = &j->stubs[j->n_stubs++];

	*s = (struct stub){.op = (uint16_t)j->i,
			   .dst = {NO_REG, NO_REG},
			   .homes = {NO_HOME, NO_HOME, NO_HOME},
			   .from = from,
			   .fn = fn,
			   .attn = attn};
	branches_off(j, s);
	return s;
}

void mem_stub_done(struct jit *j, struct stub *s)
{
	stub_done(j, s);
}

/* Which one of env->site_extent[EL] it is. */
static unsigned site_of(int32_t extent)
{
	return (unsigned)(extent - ENV(site_extent)) / sizeof(struct ir_extent) % IR_SITES;
}

/* A site's extent will have to be emptied. Changes rax. */
static void note_filled(struct jit *j, int32_t extent)
{
	unsigned el = j->unit->el1;
	struct as *a = &j->as;

	as_rm(a, X_MOVZX8, RAX, RBP, ENV(n_site_filled) + (int32_t)el);
	as_mov_xi(a, 0, RBP, RAX, ENV(site_filled) + (int32_t)(el * 256), (int32_t)(site_of(extent) / 4));
	as_8(a, 0x04); /* add al, 1 */
	as_8(a, 1);
	as_8(a, 0x1c); /* sbb al, 0 */
	as_8(a, 0);
	as_rm(a, X_MOV_ST8, RAX, RBP, ENV(n_site_filled) + (int32_t)el);
}

/* The op with the guest registers as operands that hold them, which C code finds in env. */
static struct ir_insn name_homes(const struct stub *s, struct ir_insn op)
{
	if (s->homes[0] != NO_HOME)
		op.a = IR_OPND_X(s->homes[0]);
	if (s->homes[1] != NO_HOME)
		op.b = IR_OPND_X(s->homes[1]);
	if (s->homes[2] != NO_HOME)
		op.c = IR_OPND_X(s->homes[2]);
	return op;
}

static void emit_stub(struct jit *j, const struct stub *s)
{
	const struct ir_insn *op = &j->blk->ops[s->op];
	struct ir_insn named;
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	struct as *a = &j->as;

	as_land(a, s->from);
	if (s->misses && j->unit->tier == JIT_PROBE) {
		as_rm(a, 0xffu, 0, RBP, s->misses); /* inc */
	} else if (s->misses) {
		uint32_t enough;

		as_alu_mi(a, false, ALU_SUB, RBP, s->misses, 1);
		enough = as_jcc(a, CC_NE);
		as_mov_ri(a, RDX, (uint64_t)(uintptr_t)j->unit->owner);
		as_rm(a, X_MOV_ST | X_W, RDX, RBP, ENV(hot));
		as_land(a, enough);
	}
	if (s->retry) { /* the soft TLB: if it has the page, it becomes the extent */
		uint32_t miss;

		as_rm(a, X_SUB | X_W, RCX, RBP, s->extent + EXTENT(neg));
		leave_call(j, j->extent_thunk[!!(op->aux & IR_MEM_UNPRIV)][s->write]);
		miss = as_jcc(a, CC_NE);
		as_rm(a, X_MOV_ST | X_W, RAX, RBP, s->extent + EXTENT(neg));
		as_rm(a, X_MOV_ST | X_W, RCX, RBP, s->extent + EXTENT(len));
		as_rm(a, X_MOV_ST | X_W, RDX, RBP, s->extent + EXTENT(delta));
		if (op->aux & IR_MEM_UNPRIV)
			as_mov_mi(a, 0, RBP, ENV(unpriv_filled), 1);
		else
			note_filled(j, s->extent);
		as_mov_rr(a, RAX, RDX);
		as_link(a, as_jmp(a), s->access);
		as_land(a, miss);
	}
	if (s->asks) {
		uint32_t miss;

		address_to(j, RAX, s->base, (int64_t)op->imm);
		leave_call(j, j->tlb_thunk[s->write][__builtin_ctz(s->bytes)]);
		if (s->cover) {
			miss = as_jcc_near(a, CC_NE);
			as_mov_mi(a, 3, RBP, COVER(s->cover), 0);
			as_link(a, as_jmp(a), s->access);
			as_land_near(a, miss);
		} else {
			as_link(a, as_jcc(a, CC_E), s->access);
		}
	}
	if (s->unaligned)
		as_land(a, s->unaligned);
	named = name_homes(s, *op);
	for (unsigned left = reg_held(s->regs) & ~(unsigned)s->slots; left; left &= left - 1) {
		int r = __builtin_ctz(left);

		if (reg_is_operand(&named, IR_CLASS_X, s->regs[r]))
			as_rm(a, X_MOV_ST | X_W, r, RBP, SLOT_X(s->regs[r]));
	}
	for (unsigned k = 0; k < info->n_arg; k++) {
		uint16_t n = ir_arg(op, k);
		uint64_t imm;

		if (info->arg[k] == IR_CLASS_X && n && opnd_const(j, n, &imm)) {
			as_mov_ri(a, RAX, imm);
			as_rm(a, X_MOV_ST | X_W, RAX, RBP, SLOT_X(n));
		}
	}
	flags_pay(j, &s->debt);
	vreg_leave(j, s->vsnap, op);
	if (s->misses)
		as_mov_mi(a, 2, RBP, ENV(site_missed), (int32_t)site_of(s->extent) + 1);
	swap_out(j);
	if (j->unit->counts)
		call_count_trap(j, op);
	call_op(j, &named, s->fn, s->attn ? j->op_thunk_attn : s->covers ? j->op_thunk_covers : j->op_thunk);
	if (j->unit->counts)
		as_alu_mi(a, true, ALU_SUB, RBP, ENV(insn_count), op->gi + 1);
	swap_in(j);
	vreg_come_back(j, s->vsnap, op);
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

static struct place further(struct place at, unsigned bytes)
{
	at.disp += (int32_t)bytes;
	return at;
}

static void at_place(struct jit *j, unsigned op, int reg, struct place at)
{
	if (at.index == NO_REG)
		as_rm(&j->as, op, reg, RAX, at.disp);
	else
		as_rx1(&j->as, op, reg, RAX, at.index, at.disp);
}

static void load_elem(struct jit *j, int d, struct place at, uint32_t m)
{
	static const uint32_t zero[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV | X_W};
	static const uint32_t sign[] = {X_MOVSX8, X_MOVSX16, X_MOV, X_MOV | X_W};
	unsigned size = IR_MEM_SIZE(m);
	unsigned op = !(m & IR_MEM_SSE)		   ? zero[size]
		      : m & IR_MEM_SF && size == 2 ? X_MOVSXD
		      : m & IR_MEM_SF		   ? sign[size] | X_W
						   : sign[size];

	at_place(j, op, d, at);
}

static void store_elem(struct jit *j, int s, struct place at, unsigned size)
{
	static const uint32_t op[] = {X_MOV_ST8, X_MOV_ST | X_66, X_MOV_ST, X_MOV_ST | X_W};

	at_place(j, op[size], s, at);
}

/* A value to be stored: in a register, unless a constant goes into the instruction. */
static struct opnd store_opnd(struct jit *j, uint16_t n, unsigned size)
{
	uint64_t imm;

	if (opnd_const(j, n, &imm) && (size < 3 || is_s32((int64_t)imm)))
		return (struct opnd){.kind = IMM, .v = (int32_t)(uint32_t)imm};
	return (struct opnd){.kind = REG, .reg = reg_use(j, n)};
}

static void store_value(struct jit *j, struct opnd o, struct place at, unsigned size)
{
	if (o.kind == REG)
		store_elem(j, o.reg, at, size);
	else if (at.index == NO_REG)
		as_mov_mi(&j->as, size, RAX, at.disp, o.v);
	else
		as_mov_xi(&j->as, size, RAX, at.index, at.disp, o.v);
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

void mem_access(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	uint32_t m = op->aux;
	unsigned size = IR_MEM_SIZE(m), bytes = 1u << size;
	bool aligned = m & (IR_MEM_ACQREL | IR_MEM_ALIGNED);
	bool pair = op->op == IR_loadp || op->op == IR_storep || op->op == IR_loadpv || op->op == IR_storepv;
	struct place at;
	struct stub *s;
	struct opnd b, c;
	int d, d2;

	if ((pair && aligned) ||
	    (size > 3 && (op->op == IR_load || op->op == IR_store || op->op == IR_loadp || op->op == IR_storep)) ||
	    (m & IR_MEM_SSE && (op->op == IR_loadv || op->op == IR_loadpv))) {
		call_by(j, slow_function(op->op));
		return;
	}
	switch (op->op) {
	case IR_load:
		d = def_before(j, op->dst);
		s = host_address(j, false, aligned, bytes, &at);
		d = def_behind(j, op->dst, d);
		s->dst[0] = (int8_t)d;
		load_elem(j, d, at, m);
		break;
	case IR_loadp:
		d = def_before(j, op->dst);
		d2 = def_before(j, op->c);
		s = host_address(j, false, false, 2 * bytes, &at);
		d = def_behind(j, op->dst, d);
		d2 = def_behind(j, op->c, d2);
		s->dst[0] = (int8_t)d;
		s->dst[1] = (int8_t)d2;
		if (d != at.index)
			load_elem(j, d, at, m);
		load_elem(j, d2, further(at, bytes), m);
		if (d == at.index)
			load_elem(j, d, at, m);
		break;
	case IR_store:
		reg_use(j, op->a);
		b = store_opnd(j, op->b, size);
		s = host_address(j, true, aligned, bytes, &at);
		store_value(j, b, at, size);
		stub_done(j, s);
		if (m & IR_MEM_SEQCST && !j->unit->alone)
			mem_full_fence(j); /* after the stub's store too, where it is one too many */
		return;
	case IR_storep:
		reg_use(j, op->a);
		b = store_opnd(j, op->b, size);
		c = store_opnd(j, op->c, size);
		s = host_address(j, true, false, 2 * bytes, &at);
		store_value(j, b, at, size);
		store_value(j, c, further(at, bytes), size);
		break;
	case IR_loadv:
		reg_use(j, op->a);
		d = vreg_def(j, op->dst, size < 3 ? 2 : size);
		j->vregs[d] = 0;
		s = host_address(j, false, aligned, bytes, &at);
		j->vregs[d] = op->dst;
		s->dst[0] = (int8_t)d;
		vec_load(j, d, at, size);
		break;
	case IR_loadpv:
		reg_use(j, op->a);
		d = vreg_def(j, op->dst, size < 3 ? 2 : size);
		d2 = vreg_def(j, op->c, size < 3 ? 2 : size);
		j->vregs[d] = j->vregs[d2] = 0;
		s = host_address(j, false, false, 2 * bytes, &at);
		j->vregs[d] = op->dst;
		j->vregs[d2] = op->c;
		s->dst[0] = (int8_t)d;
		s->dst[1] = (int8_t)d2;
		vec_load(j, d, at, size);
		vec_load(j, d2, further(at, bytes), size);
		break;
	case IR_storev:
		d = vreg_use(j, op->b);
		s = host_address(j, true, aligned, bytes, &at);
		vec_store(j, d, at, size);
		break;
	default: /* storepv */
		d = vreg_use(j, op->b);
		d2 = vreg_use(j, op->c);
		s = host_address(j, true, false, 2 * bytes, &at);
		vec_store(j, d, at, size);
		vec_store(j, d2, further(at, bytes), size);
		break;
	}
	stub_done(j, s);
}

/*
 * ---- atomics: the host's are sequentially consistent, and so are enough for all orders. While a VM has one PE they are not
 * locked: what else has its memory, devices, does not count on atomicity with the PE.
 */

/* op [base], reg of 1 << size bytes; op is the form for words */
static void atomic_op(struct jit *j, unsigned op, unsigned size, int reg, int base, bool lock)
{
	static const unsigned width[] = {X_BYTE, X_66, 0, X_W};

	if (lock && !j->unit->alone)
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

void mem_rmw(struct jit *j)
{
	static const uint8_t alu_of[] = {[IR_RMW_CLR] = ALU_AND, [IR_RMW_EOR] = ALU_XOR, [IR_RMW_SET] = ALU_OR};
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	struct stub *s;
	uint32_t again;
	int b, d;

	if ((op->x >= IR_RMW_SMAX && op->x <= IR_RMW_UMIN) || size > 3) {
		call_by(j, ir_mem_rmw);
		return;
	}
	b = reg_use(j, op->b);
	d = def_before(j, op->dst);
	s = host_address_rax(j, true, 1u << size);
	switch (op->x) {
	case IR_RMW_ADD:
	case IR_RMW_SWP:
		if (op->x == IR_RMW_SWP && j->unit->alone) { /* XCHG is always locked */
			atomic_op(j, 0x8bu, size, RDX, RAX, false);
			atomic_op(j, 0x89u, size, b, RAX, false);
			break;
		}
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

void mem_cas(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	struct stub *s;
	int b, c, d;

	if (size > 3) {
		call_by(j, ir_mem_cas);
		return;
	}
	b = reg_use(j, op->b);
	c = reg_use(j, op->c);
	d = def_before(j, op->dst);
	s = host_address_rax(j, true, 1u << size);
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

void mem_ldx(struct jit *j)
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
		call_by(j, ir_mem_ldx);
		return;
	}
	d = def_before(j, op->dst);
	s = host_address_rax(j, false, 1u << size);
	as_rm(a, X_MOV_ST | X_W, reg_use(j, op->a), RBP, EXCL(va));
	d = def_behind(j, op->dst, d);
	s->dst[0] = (int8_t)d;
	load_elem(j, d, (struct place){.index = NO_REG}, IR_MEM(size, 0, 0, 0));
	as_rm(a, X_MOV_ST | X_W, d, RBP, EXCL(val));
	as_mov_mi(a, 3, RBP, EXCL(val) + 8, 0);
	as_mov_mi(a, 2, RBP, EXCL(log2size), excl_mark(size));
	as_mov_mi(a, 2, RBP, ENV(step_ex), 1);
	stub_done(j, s);
}

/* The monitor decides first, as in ir_mem_stx(). */
void mem_stx(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	unsigned size = IR_MEM_SIZE(op->aux);
	struct as *a = &j->as;
	uint32_t other_va, other_mark, done;
	struct stub *s;
	int b, d;

	if (op->op != IR_stx || size > 3) {
		call_by(j, ir_mem_stx);
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
	s = host_address_rax(j, true, 1u << size);
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

void mem_stubs(struct jit *j)
{
	for (unsigned i = 0; i < j->n_stubs && as_has_room(&j->as); i++)
		emit_stub(j, &j->stubs[i]);
}
