/* SPDX-License-Identifier: MIT */
/*
 * Guest accesses to addresses without memory, with a syndrome that describes them (ISS.ISV): decoded into a small value, given
 * to an in-kernel device or to the client as KVM_EXIT_MMIO, and completed by the next KVM_RUN (api.rst 5, KVM_EXIT_MMIO).
 */
#include <string.h>

#include "core.h"

struct mmio_op mmio_decode(uint64_t esr, ipa_t ipa)
{
	uint32_t iss = ESR_ISS(esr);

	return (struct mmio_op){
		.ipa = ipa,
		.len = (uint8_t)(1u << ISS_DABT_SAS(iss)),
		.rt = (uint8_t)ISS_DABT_SRT(iss),
		.is_write = iss & ISS_DABT_WNR,
		.sse = iss & ISS_DABT_SSE,
		.sf = iss & ISS_DABT_SF,
	};
}

/* What a load of len bytes leaves in its register. What is above them in val does not matter. */
uint64_t mmio_extend(uint64_t val, unsigned len, bool sse, bool sf)
{
	unsigned shift = 64 - 8 * len;

	val <<= shift;
	val = sse ? (uint64_t)((int64_t)val >> shift) : val >> shift;
	return sf ? val : (uint32_t)val;
}

/* SCTLR_EL1.EE, E0E: the guest's data accesses are big-endian. */
static bool is_big_endian(const struct vcpu *vcpu)
{
	return vcpu->cpu->sys[CPU_SCTLR_EL1] >> (cpu_el(vcpu->cpu) ? 25 : 24) & 1;
}

/* Between a register's value and the bytes in memory, read as a little-endian number. Above them is anything afterwards. */
static uint64_t swap_if_big_endian(const struct vcpu *vcpu, uint64_t val, unsigned len)
{
	return is_big_endian(vcpu) ? __builtin_bswap64(val) >> (64 - 8 * len) : val;
}

static void finish_read(struct vcpu *vcpu, const struct mmio_op *op, uint64_t bytes)
{
	vcpu_set_reg(vcpu, op->rt, mmio_extend(swap_if_big_endian(vcpu, bytes, op->len), op->len, op->sse, op->sf));
}

/* vcpu->mmio says what is owed. */
static int exit_mmio(struct vcpu *vcpu, ipa_t ipa, uint64_t data)
{
	struct kvm_run *run = vcpu->run;
	const struct vcpu_mmio *m = &vcpu->mmio;

	stat_add(vcpu, VCPU_STAT_MMIO_EXIT_USER, 1);
	run->mmio.phys_addr = ipa;
	run->mmio.len = m->len;
	run->mmio.is_write = m->is_write;
	data = m->is_write ? mmio_extend(data, m->len, false, true) : 0;
	memcpy(run->mmio.data, &data, sizeof(run->mmio.data));
	run->exit_reason = KVM_EXIT_MMIO;
	return EXIT_USER;
}

/* Stage 2 abort with ISV = 1 outside memory. An exit handler. */
int mmio_access(struct vcpu *vcpu, uint64_t esr, ipa_t ipa)
{
	struct mmio_op op = mmio_decode(esr, ipa);
	uint64_t data = 0;
	int err;

	if (op.is_write) {
		data = mmio_extend(vcpu_get_reg(vcpu, op.rt), op.len, false, true);
		data = swap_if_big_endian(vcpu, data, op.len);
		err = iobus_write(vcpu, ipa, op.len, data);
	} else {
		err = iobus_read(vcpu, ipa, op.len, &data);
	}
	if (err == 0) {
		if (!op.is_write)
			finish_read(vcpu, &op, data);
		vcpu_skip_instr(vcpu);
		stat_add(vcpu, VCPU_STAT_MMIO_EXIT_KERNEL, 1);
		return RESUME_GUEST;
	}
	vcpu->mmio = (struct vcpu_mmio){
		.pending = true, .is_write = op.is_write, .sse = op.sse, .sf = op.sf, .len = op.len, .rt = op.rt};
	return exit_mmio(vcpu, ipa, data);
}

/* One access of an instruction that makes several, or whose syndrome does not say which. */
int mmio_window(struct vcpu *vcpu)
{
	struct cpu_window *w = &vcpu->cpu->window;
	struct cpu_access *a = &w->access[w->n - 1];
	int err;

	w->request = false;
	if (a->is_write)
		err = iobus_write(vcpu, a->ipa, a->len, a->data);
	else
		err = iobus_read(vcpu, a->ipa, a->len, &a->data);
	if (err == 0) {
		a->done = true;
		stat_add(vcpu, VCPU_STAT_MMIO_EXIT_KERNEL, 1);
		return RESUME_GUEST;
	}
	vcpu->mmio = (struct vcpu_mmio){.pending = true, .window = true, .is_write = a->is_write, .len = a->len};
	return exit_mmio(vcpu, a->ipa, a->data);
}

/* The answer is for the PE, which goes on with the same instruction, unless that was given up. */
static void complete_window(struct vcpu *vcpu)
{
	struct cpu_window *w = &vcpu->cpu->window;
	struct cpu_access *a;

	if (!w->n)
		return;
	a = &w->access[w->n - 1];
	if (!a->is_write) {
		a->data = 0;
		memcpy(&a->data, vcpu->run->mmio.data, a->len);
	}
	a->done = true;
}

/*
 * The client has answered. Rt and PC are written as they are now: what the client changed in between is overwritten or
 * advanced.
 */
void mmio_complete(struct vcpu *vcpu)
{
	struct vcpu_mmio *m = &vcpu->mmio;

	m->pending = false;
	if (m->window) {
		complete_window(vcpu);
		return;
	}
	if (!m->is_write) {
		struct mmio_op op = {.len = m->len, .rt = m->rt, .sse = m->sse, .sf = m->sf};
		uint64_t bytes;

		memcpy(&bytes, vcpu->run->mmio.data, sizeof(bytes));
		finish_read(vcpu, &op, bytes);
	}
	vcpu_skip_instr(vcpu);
}
