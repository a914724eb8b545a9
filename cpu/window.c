/* SPDX-License-Identifier: MIT */
/*
 * Accesses outside of memory that come without a syndrome (ISS.ISV = 0: pairs, writeback, SIMD, atomics, exclusives), done
 * through the hypervisor one by one. Hardware has nothing like it: there such an access is a stage 2 abort that tells
 * nothing. Only if cpu->window.on.
 *
 * The instruction is executed again and again, as a block of its own and with the registers it began with: an access whose
 * answer is in cpu->window gets it, the first one without makes cpu_run return, as for the abort that it is, with
 * window.request set. All register writes of an instruction follow its last access that may trap (isa/), and what it stores to
 * memory on the way is the same each time, so this shows nothing. An atomic's store is asked for when the rest of it has been
 * computed, and the registers are put back for that time, too.
 *
 * Accesses to stage2.device go the same way, on or off, but are made at once, by cpu_platform.device: hardware does not trap them.
 */
#include "internal.h"

#include <string.h>

/* Takes the abort that f says, for an access that the hypervisor is to make. */
static int request(struct cpu *cpu, bool write, const struct cpu_access *acc)
{
	struct window *w = &cpu->priv->window;
	struct fault f = w->fault;

	f.ipa = acc->ipa;
	cpu->window.request = true;
	return abort_data(cpu, w->va, 0, write, false, &f);
}

/* One access of a power of two of bytes. 0: it is done, and *data is what was read. */
static int window_access(struct cpu *cpu, bool device, ipa_t ipa, unsigned len, bool write, uint64_t *data)
{
	struct cpu_window *win = &cpu->window;
	struct cpu_access *acc = &win->access[win->next];

	if (device) {
		cpu->platform->device(cpu->opaque, ipa, len, write, data);
		return 0;
	}
	if (win->next == win->n) {
		if (win->n == CPU_WINDOW_MAX) {
			const struct fault f = cpu->priv->window.fault;

			return abort_data(cpu, cpu->priv->window.va, 0, write, false, &f);
		}
		*acc = (struct cpu_access){
			.ipa = ipa, .len = (uint8_t)len, .is_write = write, .data = write ? *data : 0};
		win->n++;
	}
	if (!acc->done)
		return request(cpu, write, acc);
	if (!write)
		*data = acc->data;
	win->next++;
	return 0;
}

/* n bytes, at most 64, of elements of elem bytes. */
static int window_bytes(struct cpu *cpu, bool device, ipa_t ipa, uint8_t *bytes, unsigned n, unsigned elem, bool write)
{
	while (n) {
		unsigned len = elem < 8 ? elem : 8;
		uint64_t data = 0;

		while (len > n)
			len /= 2;
		if (write)
			memcpy(&data, bytes, len);
		if (window_access(cpu, device, ipa, len, write, &data))
			return 1;
		memcpy(bytes, &data, len);
		ipa += len;
		bytes += len;
		n -= len;
	}
	return 0;
}

static int window_part(struct cpu *cpu, unsigned half, ipa_t ipa, unsigned n, unsigned elem, bool write)
{
	struct window *w = &cpu->priv->window;
	uint8_t *bytes = w->bytes[half] + (ipa & 63);
	const uint8_t *host;
	struct fault f;

	/* An atomic on memory that is read only: its read finds what is there. */
	if (!write && !w->device[half] && (host = stage2_access(cpu, ipa, false, NULL, &f))) {
		memcpy(bytes, host, n);
		return 0;
	}
	return window_bytes(cpu, w->device[half], ipa, bytes, n, elem, write);
}

/* Both parts of an access, those of them that are outside of memory. */
static int window_parts(struct cpu *cpu, const struct window_op *op, bool write)
{
	if ((op->where & WINDOW_LO) && window_part(cpu, 0, op->ipa[0], op->lo, op->elem, write))
		return 1;
	if ((op->where & WINDOW_HI) && window_part(cpu, 1, op->ipa[1], op->hi, op->elem, write))
		return 1;
	return 0;
}

/* Whether the fault of an access is one that is for us; then where its bytes are to be, instead of host memory. */
uint8_t *window_page(struct cpu *cpu, uint64_t va, unsigned half, const struct fault *f)
{
	struct window *w = &cpu->priv->window;
	unsigned type = f->fsc & ~3u;

	if (!f->stage2 || f->s1ptw || (type != FSC_TRANSLATION && type != FSC_PERMISSION))
		return NULL;
	w->device[half] = f->device;
	if (!f->device) {
		w->fault = *f;
		w->va = va;
	}
	w->ipa[half] = (f->ipa & IR_PAGE_MASK) | (va & ~IR_PAGE_MASK);
	return w->bytes[half] + (w->ipa[half] & 63);
}

/* Whether nobody is asked for any of it. */
static bool is_device(const struct window *w, const struct window_op *op)
{
	return (!(op->where & WINDOW_LO) || w->device[0]) && (!(op->where & WINDOW_HI) || w->device[1]);
}

/*
 * All checks of an access are done, and some of it is outside of memory. Reads what it reads; deferred: what it stores is known
 * when the instruction is over. 1: not yet, or an exception was taken.
 */
int window_begin(struct cpu *cpu, struct window_op *op, bool read, bool deferred)
{
	struct window *w = &cpu->priv->window;

	if (!(cpu->env.attn & ATTN_WINDOW) && (deferred || !is_device(w, op))) { /* once more, alone */
		cpu->window.n = 0;
		cpu->window.pc = cpu->env.pc;
		w->armed = false;
		attend(cpu, ATTN_WINDOW | ATTN_REGIME);
		cpu->priv->outcome = OUTCOME_EXCEPTION;
		return 1;
	}
	op->ipa[0] = w->ipa[0];
	op->ipa[1] = w->ipa[1];
	return read ? window_parts(cpu, op, false) : 0;
}

int window_store(struct cpu *cpu, const struct window_op *op)
{
	return window_parts(cpu, op, true);
}

/* The bytes will be computed where they are: a store-exclusive compares with what the load saw. */
void window_defer(struct cpu *cpu, const struct window_op *op, bool exclusive)
{
	struct window *w = &cpu->priv->window;

	if (exclusive) {
		uint64_t seen[2] = {cpu->env.excl.val[0], cpu->env.excl.val[1]};

		if (op->elem == 4)
			seen[0] = (uint32_t)seen[0] | seen[1] << 32;
		memcpy(w->bytes[0] + (op->ipa[0] & 63), seen, op->lo);
	}
	w->deferred = *op;
	w->has_deferred = true;
	memcpy(w->before, w->bytes[0] + (op->ipa[0] & 63), sizeof(w->before));
}

void window_before(struct cpu *cpu)
{
	struct window *w = &cpu->priv->window;

	cpu->window.next = 0;
	cpu->window.request = false;
	w->armed = true;
	w->has_deferred = false;
	memcpy(w->x, cpu->env.x, sizeof(w->x));
	memcpy(w->v, cpu->env.v, sizeof(w->v));
	w->pc = cpu->env.pc;
	w->nzcv = cpu->env.nzcv;
	w->excl = cpu->env.excl;
}

static bool is_cas(uint32_t insn) /* CAS, CASP: nothing is stored if the values differ */
{
	return (insn & 0x3fa07c00) == 0x08a07c00 || (insn & 0xbfa07c00) == 0x08207c00;
}

static void end(struct cpu *cpu)
{
	cpu->window.n = 0;
	cpu->env.attn = (cpu->env.attn & ~(uint32_t)ATTN_WINDOW) | ATTN_REGIME;
}

void window_after(struct cpu *cpu, uint32_t insn)
{
	struct window *w = &cpu->priv->window;

	if (!w->armed || cpu->window.request)
		return;
	w->armed = false;
	if (w->has_deferred && cpu->priv->outcome == OUTCOME_RETIRED) {
		bool same = !memcmp(w->before, w->bytes[0] + (w->deferred.ipa[0] & 63), w->deferred.lo);
		uint64_t pc = cpu->env.pc;

		cpu->env.pc = w->pc; /* of the abort, if there is one */
		if (!(same && is_cas(insn)) && window_parts(cpu, &w->deferred, true)) {
			memcpy(cpu->env.x, w->x, sizeof(w->x));
			memcpy(cpu->env.v, w->v, sizeof(w->v));
			cpu->env.nzcv = w->nzcv;
			cpu->env.excl = w->excl;
			return;
		}
		cpu->env.pc = pc;
	}
	end(cpu);
}

/* At cpu_run entry: is the instruction still the one that is under way? */
void window_enter(struct cpu *cpu)
{
	if (cpu->window.n && cpu->window.on && cpu->window.pc == cpu->env.pc)
		attend(cpu, ATTN_WINDOW);
	else
		end(cpu);
}
