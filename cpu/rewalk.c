/* SPDX-License-Identifier: MIT */
/*
 * The kernel's half of an address space when it is not global: whether a translation that one address space (ASID) has walked for is
 * the one that a walk in another address space with the same TTBR1_EL1 would find. It is if all descriptors on the way still are what
 * they were, and to see that costs a tenth of the walk; so a kernel need not find its code and data anew in each address space,
 * and none sees more than its own walks would have shown. Arm ARM DDI 0487, "Global and process-specific translation table entries":
 * such entries are of one ASID, and who uses another one may have changed the tables without invalidating anything.
 *
 * Each page that is found gets a number. What is known of an ASID is up to which number it has been looked at for it.
 */
#include "internal.h"

#include <string.h>

static uint64_t asid_now(const struct cpu *cpu)
{
	uint64_t tcr = cpu->sys[CPU_TCR_EL1];

	return cpu->sys[tcr & TCR_A1 ? CPU_TTBR1_EL1 : CPU_TTBR0_EL1] >> 48 & (tcr & TCR_AS ? 0xffff : 0xff);
}

/* Where a page is, or is to be. */
static unsigned place_of(const struct walked_set *set, uint64_t page)
{
	unsigned way = (page >> IR_PAGE_SHIFT) % (WALKED_SIZE / WALKED_WAYS) * WALKED_WAYS, victim = way;

	for (unsigned i = way; i < way + WALKED_WAYS; i++) {
		if (set->va[i] == page)
			return i;
		if (set->number[i] < set->number[victim])
			victim = i;
	}
	return victim;
}

static bool is_step(const struct walk_step *step)
{
	return __atomic_load_n(step->at, __ATOMIC_RELAXED) == step->desc;
}

static bool is_path(const struct walk_path *path)
{
	for (unsigned i = 0; i < path->n; i++) {
		if (!is_step(&path->step[i]))
			return false;
	}
	return true;
}

static void forget(struct cpu *cpu, struct shared_space *s, bool code, unsigned i)
{
	struct walked_set *set = &s->walked[code];

	if (!set->number[i])
		return;
	tlb_forget_kernel(cpu, s, code, set->va[i]);
	set->va[i] = 0;
	set->number[i] = 0;
	set->paths[set->path[i]].users--;
}

static bool is_path_of(const struct walk_path *path, const struct xlate *x)
{
	if (path->n + 1 != x->n_steps)
		return false;
	for (unsigned i = 0; i < path->n; i++) {
		if (path->step[i].at != x->step[i].at || path->step[i].desc != x->step[i].desc)
			return false;
	}
	return true;
}

/* The number of the path to x's leaf. There are more places than pages. */
static unsigned path_of(struct walked_set *set, const struct xlate *x)
{
	unsigned n = x->n_steps - 1;
	uint64_t at = n ? (uintptr_t)x->step[n - 1].at >> 3 : 0;
	unsigned k = (unsigned)(at ^ at >> 9) % WALKED_PATHS;

	while (set->paths[k].users && !is_path_of(&set->paths[k], x))
		k = (k + 1) % WALKED_PATHS;
	if (!set->paths[k].users) {
		set->paths[k].n = n;
		for (unsigned i = 0; i < n; i++)
			set->paths[k].step[i] = x->step[i];
	}
	return k;
}

void rewalk_clear(struct walked_set *set)
{
	if (!set->any)
		return;
	set->any = false;
	for (unsigned i = 0; i < WALKED_SIZE; i++) {
		set->va[i] = 0;
		set->number[i] = 0;
	}
	for (unsigned i = 0; i < WALKED_PATHS; i++)
		set->paths[i].users = 0;
	for (unsigned i = 0; i < WALKED_ASIDS; i++)
		set->checked[i].number = 0;
}

/* The translation of a page was found now. False: it is one address space's own. */
bool rewalk_note(struct cpu *cpu, struct shared_space *s, bool code, uint64_t va, const struct xlate *x)
{
	struct walked_set *set = &s->walked[code];
	uint64_t page = va & IR_PAGE_MASK;
	const struct walk_step *leaf = &x->step[x->n_steps - 1];
	unsigned i, path;

	if (!x->n_steps)
		return false;
	i = place_of(set, page);
	if (set->va[i] == page && set->leaf[i].at == leaf->at && set->leaf[i].desc == leaf->desc &&
	    is_path_of(&set->paths[set->path[i]], x))
		return true;
	forget(cpu, s, code, i); /* nothing is in use that is not known here */
	path = path_of(set, x);
	set->any = true;
	set->paths[path].users++;
	set->va[i] = page;
	set->leaf[i] = *leaf;
	set->path[i] = (uint16_t)path;
	set->checked[set->now].number += set->checked[set->now].number == set->last;
	set->number[i] = ++set->last;
	set->log[set->last % WALKED_LOG] = (uint16_t)i;
	return true;
}

static unsigned checked_of(struct cpu *cpu, struct walked_set *set, uint64_t asid)
{
	unsigned k = set->now;

	if (set->checked[k].asid != asid) {
		for (unsigned i = k = 0; i < WALKED_ASIDS && set->checked[k].asid != asid; i++) {
			if (set->checked[i].asid == asid || set->checked[i].used < set->checked[k].used)
				k = i;
		}
		if (set->checked[k].asid != asid) {
			set->checked[k].asid = asid;
			set->checked[k].number = 0;
		}
		set->now = k;
	}
	set->checked[k].used = ++cpu->priv->stamp;
	return k;
}

static void check(struct cpu *cpu, struct shared_space *s, bool code)
{
	struct walked_set *set = &s->walked[code];
	unsigned k = checked_of(cpu, set, asid_now(cpu));
	uint64_t from = set->checked[k].number;
	enum { UNKNOWN, GOOD, BAD };
	uint8_t path[WALKED_PATHS];

	set->checked[k].number = set->last;
	if (set->last - from <= WALKED_LOG) {
		while (from++ < set->last) {
			unsigned i = set->log[from % WALKED_LOG];

			if (set->number[i] == from && !(is_step(&set->leaf[i]) && is_path(&set->paths[set->path[i]])))
				forget(cpu, s, code, i);
		}
		return;
	}
	memset(path, UNKNOWN, sizeof(path));
	for (unsigned i = 0; i < WALKED_SIZE; i++) {
		uint8_t *p = &path[set->path[i]];

		if (set->number[i] <= from)
			continue;
		if (*p == UNKNOWN)
			*p = is_path(&set->paths[set->path[i]]) ? GOOD : BAD;
		if (*p == BAD || !is_step(&set->leaf[i]))
			forget(cpu, s, code, i);
	}
}

/* The space is about to be used in the PE's address space: what it would not find itself is forgotten. */
void rewalk_check(struct cpu *cpu, struct shared_space *s)
{
	check(cpu, s, false);
	check(cpu, s, true);
}

/*
 * TLBI of an address, after which nothing of that page is in use. Whoever walks to it next does so for its own ASID: what others were known to
 * find there is over, even if that is the same.
 */
void rewalk_forget_page(struct walked_set *set, uint64_t page)
{
	unsigned i = place_of(set, page);

	if (set->va[i] != page)
		return;
	set->va[i] = IR_TLB_NONE;
	set->number[i] = 0;
	set->paths[set->path[i]].users--;
}

/* ... and of more pages than one: all are looked at again. */
void rewalk_forget_all_asids(struct walked_set *set)
{
	for (unsigned i = 0; i < WALKED_ASIDS; i++)
		set->checked[i].number = 0;
}

/* TLBI of an ASID */
void rewalk_forget_asid(struct walked_set *set, uint64_t asid, uint64_t mask)
{
	for (unsigned i = 0; i < WALKED_ASIDS; i++) {
		if (!((set->checked[i].asid ^ asid) & mask))
			set->checked[i].number = 0;
	}
}
