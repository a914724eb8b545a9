/* SPDX-License-Identifier: MIT */
/*
 * Ways out of a unit: to another by a link or through the jump cache, and back to C.
 */
#include "select.h"

void leave_set_pc(struct jit *j, uint64_t pc)
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

void leave_jmp(struct jit *j, const void *rx)
{
	as_link(&j->as, as_jmp(&j->as), offset_of(j, rx));
}

void leave_call(struct jit *j, uint32_t at)
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
	struct site *s = &j->sites[j->n_sites];

	__atomic_store_n(&s->pc, pc, __ATOMIC_RELAXED);
	s->owner = j->unit->owner;
	s->jump = s->stub = s->view = s->stale = s->linked = 0;
	s->by_cache = false;
	return j->n_sites++;
}

/* Where a site goes while it has no link: back, saying which one it is. */
static void site_stub(struct jit *j, uint32_t site)
{
	j->sites[site].stub = as_here(&j->as);
	as_mov_ri(&j->as, RAX, site);
	as_link(&j->as, as_jmp(&j->as), j->link_thunk);
}

static bool is_backward(const struct jit *j, const struct ir_insn *op)
{
	return op->imm <= op_pc(j, op);
}

/* It goes to the start of its own unit, which looks at kick for it. */
static bool closes(const struct jit *j, const struct ir_insn *op)
{
	return j->looks && op->imm == j->blk->pc;
}

static bool same_page(const struct jit *j, uint64_t pc)
{
	return !((pc ^ j->blk->pc) & IR_PAGE_MASK);
}

/* What is changed while others execute it has to lie so that they see all or nothing of a change. */
static bool may_patch(const struct jit *j, uint32_t label)
{
	return j->unit->alone || as_is_atomic(label);
}

/* Is the target's view the one that was linked? The site's view and stale. No link: one that no map has. */
static void test_view(struct jit *j, struct site *s)
{
	struct as *a = &j->as;
	uint8_t *at = a->at;
	uint64_t pc = s->pc;

	for (unsigned pad = 0; pad < 8; pad++) {
		a->at = at;
		as_nop(a, pad);
		as_rm(a, X_MOV | X_W, RCX, RBP, ENV(code_map) + (pc >> 63 ? 0 : 8));
		as_rm(a, 0x81u, ALU_CMP, RCX, 4 * (int32_t)jit_code_slot(pc));
		as_32(a, UINT32_MAX);
		s->view = as_here(a);
		s->stale = as_jcc(a, CC_NE);
		if (may_patch(j, s->view) && may_patch(j, s->stale))
			break;
	}
}

static uint32_t jump_unless_kicked(struct jit *j, bool look)
{
	struct as *a = &j->as;
	uint8_t *at = a->at;
	uint32_t jump = 0;

	for (unsigned pad = 0; pad < 8; pad++) {
		a->at = at;
		as_nop(a, pad);
		if (look) {
			as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
			jump = as_jcc(a, CC_E);
		} else {
			jump = as_jmp(a);
		}
		if (may_patch(j, jump))
			break;
	}
	return jump;
}

/*
 * On to a pc known now. Backward branches look whether somebody wants the PE: no loop is without one, or without an indirect
 * branch. In one page a link needs no test: whatever maps this unit's page there maps the target's. To another page it
 * holds while the target's view may be run.
 */
void leave_to(struct jit *j, const struct ir_insn *op)
{
	struct as *a = &j->as;
	uint64_t pc = op->imm;
	struct site *s;
	uint32_t site;

	count(j, op);
	if (closes(j, op)) {
		as_link(a, as_jmp(a), j->loop);
		return;
	}
	swap_out(j);
	if (!j->unit->chain) {
		leave_set_pc(j, pc);
		leave_jmp(j, j->leave);
		return;
	}
	site = new_site(j, pc);
	s = &j->sites[site];
	if (!same_page(j, pc))
		test_view(j, s);
	s->jump = jump_unless_kicked(j, is_backward(j, op));
	as_land(a, s->jump);
	if (s->stale)
		as_land(a, s->stale);
	if (j->unit->alone)
		s->stale = 0;
	site_stub(j, site);
}

#define JUMP(field) ((int32_t)offsetof(struct jit_jump, field))

/* On to the pc in rax, by its entry, which lies behind so many bytes of the cache. Else on to else_rax, or, with the entry in rdx, to else_rdx. */
static void jump_by_cache(struct jit *j, unsigned shift, int32_t behind, const void *else_rax, const void *else_rdx)
{
	_Static_assert(sizeof(struct jit_jump) == 32, "the scaling below");
	struct as *a = &j->as;

	/* rcx = slot number << 2, which times 8 is its offset */
	as_mov_rr(a, RCX, RAX);
	as_shift_ri(a, true, SH_SHR, RCX, shift);
	as_rm(a, X_MOV | X_W, RDX, RBP, ENV(jump));
	as_rr(a, X_XOR, RCX, RAX);
	as_alu_ri(a, false, ALU_AND, RCX, (int32_t)(((1u << j->jump_bits) - 1) << 2));
	as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
	jcc_to(j, CC_NE, else_rax);
	as_rx8(a, X_CMP | X_W, RAX, RDX, RCX, behind + JUMP(pc));
	jcc_to(j, CC_NE, else_rax);
	as_rx8(a, X_LEA | X_W, RDX, RDX, RCX, behind);
	as_shift_ri(a, true, SH_SAR, RAX, 63);
	as_rx8(a, X_MOV | X_W, RAX, RBP, RAX, ENV(code_map) + 8);
	as_rm(a, X_MOV, RCX, RDX, JUMP(at));
	as_rx1(a, X_MOV, RAX, RAX, RCX, 0);
	as_rm(a, X_CMP, RAX, RDX, JUMP(view));
	jcc_to(j, CC_NE, else_rdx);
	as_rm(a, 0xffu, 4, RDX, JUMP(code));
}

/* On to the pc in rax. */
void leave_to_rax(struct jit *j, const struct ir_insn *op)
{
	struct as *a = &j->as;

	count(j, op);
	swap_out(j);
	if (!j->unit->chain) {
		as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
		leave_jmp(j, j->leave);
		return;
	}
	jump_by_cache(j, j->jump_bits, 0, j->leave_rax, j->leave_rdx);
}

/* What units share: where they go with what the first half of the jump cache does not have, and back to C with a pc. */
void leave_shared(struct jit *j)
{
	struct as *a = &j->as;
	const void *back_rdx, *back_rax;

	back_rdx = j->mem.rx + as_here(a);
	as_rm(a, X_MOV | X_W, RAX, RDX, JUMP(pc));
	back_rax = j->mem.rx + as_here(a);
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(pc));
	leave_jmp(j, j->leave);
	j->leave_rdx = j->mem.rx + as_here(a);
	as_rm(a, X_MOV | X_W, RAX, RDX, JUMP(pc));
	j->leave_rax = j->mem.rx + as_here(a);
	jump_by_cache(j, JIT_SECOND_SHIFT, (int32_t)(sizeof(struct jit_jump) << j->jump_bits), back_rax, back_rdx);
	j->by_cache = j->mem.rx + as_here(a);
	jump_by_cache(j, j->jump_bits, 0, j->leave_rax, j->leave_rdx);
}

/* Under probe, the counter of a conditional branch that is taken. */
static int32_t way_of(const struct jit *j, const struct ir_insn *op)
{
	if (j->unit->tier != JIT_PROBE || !j->unit->chain)
		return 0;
	return ENV(probe) + (int32_t)(j->unit->probe * sizeof(struct ir_probe) + offsetof(struct ir_probe, taken) +
				      op->gi * sizeof(uint32_t));
}

static void count_way(struct jit *j, int32_t at)
{
	if (at)
		as_rm(&j->as, 0xffu, 0, RBP, at); /* inc */
}

/* Taken, it goes on behind the unit, where it pays what is owed; a loop of one unit goes straight to its start. */
void leave_if(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;
	enum x86_cc cc = flags_test(j, op->a) ^ (op->aux & 1);
	struct debt debt = flags_debt(j);
	int32_t taken = way_of(j, op);
	struct exit *e;
	uint32_t skip;

	if (closes(j, op) && !debt.any) {
		as_link(a, as_jcc(a, cc), j->loop);
		return;
	}
	if (j->unit->chain && op->imm == j->blk->pc && !debt.any) {
		skip = as_jcc(a, cc ^ 1);
		count_way(j, taken);
		leave_to(j, op);
		as_land(a, skip);
		return;
	}
	e = &j->exits[j->n_exits++];
	*e = (struct exit){.from = as_jcc(a, cc), .op = (uint16_t)j->i, .taken = taken, .debt = debt};
	if (j->unit->chain && same_page(j, op->imm) && !is_backward(j, op) && !j->unit->counts && !debt.any && !taken &&
	    !j->n_swaps && may_patch(j, e->from)) {
		e->site = new_site(j, op->imm);
		j->sites[e->site].jump = e->from;
	}
}

/* EFLAGS that are wanted stay, if they are not to be made again anyway: there is a jump that looks at rcx instead. */
void leave_if_kicked(struct jit *j, uint64_t pc)
{
	struct as *a = &j->as;
	bool wanted = j->ef && j->x[j->ef].last >= j->i;
	struct exit *e = &j->exits[j->n_exits++];

	if (wanted && j->x[j->ef].plain) {
		wanted = false;
		j->ef = 0;
	}
	*e = (struct exit){.kicked = true, .pc = pc, .debt = flags_debt(j)};
	if (wanted) {
		as_rm(a, X_MOV, RCX, RBP, ENV(kick));
		as_8(a, 0xe3); /* jrcxz, over the next */
		as_8(a, 5);
		e->from = as_jmp(a);
	} else {
		as_alu_mi(a, false, ALU_CMP, RBP, ENV(kick), 0);
		e->from = as_jcc(a, CC_NE);
		j->ef = 0;
		j->ef_add = false;
	}
}

void leave_by_exit(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;

	leave_set_pc(j, op_pc(j, op));
	as_mov_mi(a, 2, RBP, ENV(exit_reason), op->x);
	as_mov_ri(a, RAX, op->imm);
	as_rm(a, X_MOV_ST | X_W, RAX, RBP, ENV(exit_imm));
	count(j, op);
	swap_out(j);
	leave_jmp(j, j->leave_exit);
}

void leave_exits(struct jit *j)
{
	for (unsigned i = 0; i < j->n_exits && as_has_room(&j->as); i++) {
		const struct exit *e = &j->exits[i];

		as_land(&j->as, e->from);
		flags_pay(j, &e->debt);
		count_way(j, e->taken);
		if (e->kicked) {
			swap_out(j);
			leave_set_pc(j, e->pc);
			leave_jmp(j, j->leave);
		} else if (e->site) {
			site_stub(j, e->site);
		} else {
			leave_to(j, &j->blk->ops[e->op]);
		}
	}
}
