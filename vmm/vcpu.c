/* SPDX-License-Identifier: MIT */
/*
 * The vcpus: their creation, a thread each, and the loop around KVM_RUN. api.rst 4.10 (KVM_RUN), 5 (kvm_run); what
 * happens inside KVM_RUN is none of this file's business. A thread is stopped by kvm_run.immediate_exit and a signal:
 * the first is for a thread that is about to enter, the second for one that is inside.
 */
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define CORE_REG(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)

enum { MPIDR_AFFINITY_BITS = 40 };

/* The signal that takes a vcpu's thread out of KVM_RUN. */
#define SIG_KICK SIGRTMIN

static void (*_Atomic signal_ran)(void); /* of the one machine's struct kvm_sys */

static void kick_handler(int sig)
{
	void (*ran)(void) = atomic_load(&signal_ran);

	if (ran)
		ran();
}

/* ---- creation */

static int vcpu_reg(struct vcpu *v, unsigned long request, uint64_t id, uint64_t *val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)val};

	return v->m->sys->ioctl(v->fd, request, &reg);
}

static bool has(const struct machine *m, unsigned long cap)
{
	return m->sys->ioctl(m->vm_fd, KVM_CHECK_EXTENSION, (void *)cap) > 0;
}

static int vcpu_init(struct vcpu *v, struct vmm_error *err)
{
	struct kvm_vcpu_init init;

	memset(&init, 0, sizeof(init));
	if (v->m->sys->ioctl(v->m->vm_fd, KVM_ARM_PREFERRED_TARGET, &init))
		return vmm_fail(err, "KVM_ARM_PREFERRED_TARGET: %s", strerror(errno));
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (has(v->m, KVM_CAP_ARM_PTRAUTH_ADDRESS) && has(v->m, KVM_CAP_ARM_PTRAUTH_GENERIC))
		init.features[0] |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
	if (v->index)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (v->m->sys->ioctl(v->fd, KVM_ARM_VCPU_INIT, &init))
		return vmm_fail(err, "cannot initialise vcpu %u: %s", v->index, strerror(errno));
	return 0;
}

int vcpus_reset(struct machine *m, struct vmm_error *err)
{
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (vcpu_init(&m->vcpus[i], err))
			return -1;
	return 0;
}

int vcpus_get_counter(struct machine *m, uint64_t *cnt)
{
	return vcpu_reg(&m->vcpus[0], KVM_GET_ONE_REG, KVM_REG_ARM_TIMER_CNT, cnt);
}

/* The offset is the VM's in newer kernels, and the vcpu's in older ones. */
int vcpus_set_counter(struct machine *m, uint64_t cnt)
{
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (vcpu_reg(&m->vcpus[i], KVM_SET_ONE_REG, KVM_REG_ARM_TIMER_CNT, &cnt))
			return -1;
	return 0;
}

int vcpus_create(struct machine *m, struct vmm_error *err)
{
	m->vcpus = calloc(m->config.smp, sizeof(*m->vcpus));
	if (!m->vcpus)
		return vmm_fail(err, "no memory for %u vcpus", m->config.smp);
	for (unsigned i = 0; i < m->config.smp; i++) {
		struct vcpu *v = &m->vcpus[i];
		void *run;

		v->m = m;
		v->index = i;
		v->hold = m->config.held;
		v->fd = m->sys->ioctl(m->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)i);
		if (v->fd < 0)
			return vmm_fail(err, "cannot create vcpu %u: %s", i, strerror(errno));
		m->n_vcpus++;
		run = m->sys->mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (run == MAP_FAILED)
			return vmm_fail(err, "cannot map kvm_run of vcpu %u: %s", i, strerror(errno));
		v->run = run;
		if (vcpu_init(v, err))
			return -1;
		if (vcpu_reg(v, KVM_GET_ONE_REG, MPIDR_EL1, &v->mpidr))
			return vmm_fail(err, "cannot read MPIDR_EL1 of vcpu %u: %s", i, strerror(errno));
		v->mpidr &= ((UINT64_C(1) << MPIDR_AFFINITY_BITS) - 1) & ~UINT64_C(0xff000000); /* Aff3..Aff0 */
		atomic_store(&v->attention, v->hold);
	}
	return 0;
}

/* "Call the kernel image": x0 is the tree, if it is a kernel that is called; x1..x3 are 0 and PSTATE is EL1h with DAIF masked since KVM_ARM_VCPU_INIT. */
int vcpus_set_entry(struct machine *m, struct vmm_error *err)
{
	uint64_t x0 = m->firmware ? 0 : m->plan.dtb;

	if (vcpu_reg(&m->vcpus[0], KVM_SET_ONE_REG, CORE_REG(regs.pc), &m->plan.entry) ||
	    vcpu_reg(&m->vcpus[0], KVM_SET_ONE_REG, CORE_REG(regs.regs[0]), &x0))
		return vmm_fail(err, "cannot set the first vcpu's registers: %s", strerror(errno));
	return 0;
}

/* ---- the loop */

/* Stopped, until nobody holds it nor the machine is frozen. False: the machine is over. */
static bool park(struct vcpu *v)
{
	struct machine *m = v->m;
	bool go_on;

	pthread_mutex_lock(&m->lock);
	v->stopped = true;
	gate_open(&m->stopped);
	while ((v->hold || m->frozen) && !atomic_load(&m->quit))
		machine_wait(m, &m->resumed);
	go_on = !atomic_load(&m->quit);
	if (go_on) {
		v->stopped = false;
		atomic_store(&v->attention, false);
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&m->lock);
	return go_on;
}

static const char *exit_name(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_UNKNOWN: return "unknown hardware exit";
	case KVM_EXIT_FAIL_ENTRY: return "the vcpu's state cannot be entered";
	case KVM_EXIT_INTERNAL_ERROR: return "internal error of KVM";
	case KVM_EXIT_HYPERCALL: return "a hypercall for user space";
	case KVM_EXIT_ARM_NISV: return "an access that only its instruction describes";
	case KVM_EXIT_ARM_SEA: return "a memory error of the host";
	case KVM_EXIT_ARM_LDST64B: return "a 64-byte access";
	case KVM_EXIT_MEMORY_FAULT: return "a memory fault";
	case KVM_EXIT_DIRTY_RING_FULL: return "a full dirty ring";
	case KVM_EXIT_SYSTEM_EVENT: return "an unknown system event";
	default: return "an exit that was not asked for";
	}
}

static const char *errno_hint(const struct machine *m, int error)
{
	switch (error) {
	case ENOSYS:
		return !m->config.kvm_path
			       ? " (no RAM there, and the instruction is none that KVM emulates: --emulate-mmio does)"
			       : " (no RAM there, and the instruction is none that KVM emulates)";
	case EFAULT: return " (the host has no memory there)";
	case ENOEXEC: return " (the vcpu is not initialised)";
	default: return "";
	}
}

/* KVM_RUN has failed with error, or left with a reason that has no meaning here. */
static void fault(struct vcpu *v, int error)
{
	struct gdb_stop stop = {
		.vcpu = v->index, .kind = GDB_STOP_FAULT, .exit_reason = v->run->exit_reason, .error = error};
	uint64_t pc = 0, ipa;
	uint32_t insn;
	char where[64] = "an unknown PC", what[32] = "";

	if (!vcpu_reg(v, KVM_GET_ONE_REG, CORE_REG(regs.pc), &pc))
		snprintf(where, sizeof(where), "PC %#" PRIx64, pc);
	if (!gdb_translate(&machine_gdb_ops, v->m, v->index, pc, &ipa) && machine_ram(v->m, ipa, 4)) {
		memcpy(&insn, machine_ram(v->m, ipa, 4), 4);
		snprintf(what, sizeof(what), ", instruction %08x", insn);
	}
	if (error)
		snprintf(stop.text, sizeof(stop.text), "vcpu %u: %s at %s%s%s", v->index, strerror(error), where, what,
			 errno_hint(v->m, error));
	else
		snprintf(stop.text, sizeof(stop.text), "vcpu %u: %s (exit reason %u) at %s%s", v->index,
			 exit_name(stop.exit_reason), stop.exit_reason, where, what);
	if (debug_report(v, &stop))
		return;
	machine_message(v->m, "%s", stop.text);
	machine_end(v->m, MACHINE_CRASHED);
}

static void system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: machine_end(v->m, MACHINE_POWERED_OFF); break;
	case KVM_SYSTEM_EVENT_RESET:
		if (!v->m->config.no_reboot) {
			machine_want_reset(v->m);
			break;
		}
		machine_message(v->m, "the guest asks for a reset, which ends the machine (--no-reboot)");
		machine_end(v->m, MACHINE_RESET);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		machine_message(v->m, "the guest says that it has crashed");
		machine_end(v->m, MACHINE_CRASHED);
		break;
	default: fault(v, 0);
	}
}

static void debug_exit(struct vcpu *v)
{
	const struct kvm_debug_exit_arch *arch = &v->run->debug.arch;
	struct gdb_stop stop = {
		.vcpu = v->index,
		.kind = GDB_STOP_DEBUG,
		.hsr = arch->hsr | (v->run->flags & KVM_DEBUG_ARCH_HSR_HIGH_VALID ? (uint64_t)arch->hsr_high << 32 : 0),
		.far = arch->far,
		.exit_reason = KVM_EXIT_DEBUG,
	};

	if (!debug_goes_on(v, &stop))
		debug_report(v, &stop); /* a debugger that has just left may have owed it: run on */
}

static void remember(struct vcpu *v, int error)
{
	const struct kvm_run *run = v->run;
	struct gdb_exit *e = &v->exits[v->n_exits++ % VCPU_EXITS];

	*e = (struct gdb_exit){.reason = run->exit_reason, .error = error};
	if (error)
		return;
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		e->address = run->mmio.phys_addr;
		e->len = (uint8_t)(run->mmio.len <= 8 ? run->mmio.len : 8);
		e->is_write = run->mmio.is_write;
		memcpy(&e->value, run->mmio.data, e->len);
		break;
	case KVM_EXIT_DEBUG:
		e->address = run->debug.arch.far;
		e->value = run->debug.arch.hsr;
		break;
	case KVM_EXIT_SYSTEM_EVENT: e->address = run->system_event.type; break;
	default: break;
	}
}

static void handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	if (run->exit_reason != KVM_EXIT_MMIO)
		remember(v, 0);
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		machine_mmio(v->m, run->mmio.phys_addr, run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8,
			     run->mmio.is_write);
		v->owes = true;
		remember(v, 0); /* with what the device has answered */
		break;
	case KVM_EXIT_SYSTEM_EVENT: system_event(v); break;
	case KVM_EXIT_DEBUG: debug_exit(v); break;
	case KVM_EXIT_INTR: break;
	default: fault(v, 0);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct machine *m = v->m;

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* a guest's wait is to end when it should: 50 us were the default */
	/* With an access owed, attention comes with immediate_exit set: KVM_RUN completes it and nothing else. */
	while (v->owes || !atomic_load(&v->attention) || park(v)) {
		int rc = m->sys->ioctl(v->fd, KVM_RUN, NULL);
		int error = errno;

		v->owes = false;
		if (!rc) {
			handle_exit(v);
		} else if (error != EINTR && error != EAGAIN) {
			remember(v, error);
			fault(v, error);
		}
	}
	pthread_mutex_lock(&m->lock);
	v->stopped = v->exited = true;
	gate_open(&m->stopped);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* ---- any thread */

void vcpu_kick_locked(struct vcpu *v)
{
	if (!v->run)
		return;
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	atomic_store(&v->attention, true);
	if (v->started && !v->exited)
		pthread_kill(v->thread, SIG_KICK);
}

int vcpus_start(struct machine *m, struct vmm_error *err)
{
	struct sigaction sa = {.sa_handler = kick_handler}; /* no SA_RESTART: KVM_RUN is to end */
	sigset_t kick, old;
	int rc = 0;

	atomic_store(&signal_ran, m->sys->signal_ran);
	sigaction(SIG_KICK, &sa, NULL);
	sigemptyset(&kick);
	sigaddset(&kick, SIG_KICK);
	pthread_sigmask(SIG_UNBLOCK, &kick, &old); /* the threads inherit it */
	for (unsigned i = 0; i < m->n_vcpus && !rc; i++) {
		struct vcpu *v = &m->vcpus[i];

		/* Under the lock: a debugger's stop_all() sees either no thread, or one that can be told. */
		pthread_mutex_lock(&m->lock);
		rc = pthread_create(&v->thread, NULL, vcpu_thread, v);
		v->started = !rc;
		pthread_mutex_unlock(&m->lock);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc ? vmm_fail(err, "cannot start a vcpu's thread: %s", strerror(rc)) : 0;
}

void vcpus_join(struct machine *m)
{
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (m->vcpus[i].started)
			pthread_join(m->vcpus[i].thread, NULL);
	/* A debugger may still look at the vcpus, but there is nothing to kick any more. */
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n_vcpus; i++)
		m->vcpus[i].started = false;
	pthread_mutex_unlock(&m->lock);
}

void vcpus_destroy(struct machine *m)
{
	for (unsigned i = 0; i < m->n_vcpus; i++) {
		if (m->vcpus[i].run)
			munmap(m->vcpus[i].run, m->run_size);
		m->sys->close(m->vcpus[i].fd);
	}
	free(m->vcpus);
	m->vcpus = NULL;
	m->n_vcpus = 0;
}
