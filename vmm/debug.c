/* SPDX-License-Identifier: MIT */
/*
 * The machine as the gdb server sees it: gdb.h says what each operation promises. State is under machine.lock; a vcpu
 * stops by itself at the top of its loop (vcpu.c, park), and this file only asks for that and waits.
 */
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pawl/pawl.h>

bool debug_goes_on(struct vcpu *v, const struct gdb_stop *stop)
{
	const struct gdb_hook *hook = atomic_load(&v->m->hook);

	return hook && hook->goes_on(hook->arg, stop);
}

static void add_event(struct machine *m, bool *event)
{
	uint64_t one = 1;

	if (!*event && !m->n_events++ && write(m->event_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd at 0 takes a 1 */
	*event = true;
}

static void drop_event(struct machine *m, bool *event)
{
	uint64_t n;

	if (!*event)
		return;
	*event = false;
	if (!--m->n_events && read(m->event_fd, &n, sizeof(n)) < 0)
		abort(); /* it was set with the first event */
}

bool debug_report(struct vcpu *v, const struct gdb_stop *stop)
{
	struct machine *m = v->m;
	bool taken;

	pthread_mutex_lock(&m->lock);
	taken = m->attached && !atomic_load(&m->quit);
	if (taken) {
		v->stop = *stop;
		v->hold = true;
		if (stop->kind == GDB_STOP_DEBUG) { /* nothing is owed, and nothing touched until park() lets it */
			v->stopped = true;
			atomic_store(&v->attention, true);
			gate_open(&m->stopped);
		} else {
			vcpu_kick_locked(v);
		}
		add_event(m, &v->event);
	}
	pthread_mutex_unlock(&m->lock);
	return taken;
}

void debug_was_reset(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->attached && !atomic_load(&m->quit)) {
		for (unsigned i = 0; i < m->n_vcpus; i++) {
			m->vcpus[i].hold = true;
			drop_event(m, &m->vcpus[i].event); /* of the time before */
		}
		add_event(m, &m->reset_event);
	}
	pthread_mutex_unlock(&m->lock);
}

static unsigned target_n_vcpus(void *target)
{
	return ((struct machine *)target)->n_vcpus;
}

static unsigned target_vcpu_id(void *target, unsigned vcpu)
{
	return vcpu; /* they are made in order of id */
}

static void target_stop(void *target, const bool *which)
{
	struct machine *m = target;

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n_vcpus; i++) {
		if (which && !which[i])
			continue;
		m->vcpus[i].hold = true;
		if (!m->vcpus[i].stopped)
			vcpu_kick_locked(&m->vcpus[i]);
	}
	for (unsigned i = 0; i < m->n_vcpus; i++)
		while ((!which || which[i]) && m->vcpus[i].started && !m->vcpus[i].stopped)
			machine_wait(m, &m->stopped);
	pthread_mutex_unlock(&m->lock);
}

static void target_attach(void *target, const struct gdb_hook *hook)
{
	struct machine *m = target;

	pthread_mutex_lock(&m->lock);
	m->attached = true;
	pthread_mutex_unlock(&m->lock);
	target_stop(m, NULL);
	atomic_store(&m->hook, hook);
}

static void target_resume(void *target, const bool *run)
{
	struct machine *m = target;

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (run[i]) {
			drop_event(m, &m->vcpus[i].event);
			m->vcpus[i].hold = false;
		}
	gate_open(&m->resumed);
	pthread_mutex_unlock(&m->lock);
}

static void target_detach(void *target)
{
	struct machine *m = target;
	bool all[MACHINE_MAX_VCPUS];

	atomic_store(&m->hook, NULL);
	pthread_mutex_lock(&m->lock);
	m->attached = false;
	drop_event(m, &m->reset_event);
	pthread_mutex_unlock(&m->lock);
	memset(all, true, sizeof(all));
	target_resume(m, all);
}

static int target_next_stop(void *target, struct gdb_stop *stop)
{
	struct machine *m = target;
	int found = 0;

	pthread_mutex_lock(&m->lock);
	if (m->reset_event) {
		*stop = (struct gdb_stop){.kind = GDB_STOP_RESET};
		drop_event(m, &m->reset_event);
		found = 1;
	}
	for (unsigned i = 0; i < m->n_vcpus && !found; i++)
		if (m->vcpus[i].event) {
			*stop = m->vcpus[i].stop;
			drop_event(m, &m->vcpus[i].event);
			found = 1;
		}
	pthread_mutex_unlock(&m->lock);
	return found;
}

static int target_fd(void *target)
{
	return ((struct machine *)target)->event_fd;
}

static int on_fd(struct machine *m, int fd, unsigned long request, void *arg)
{
	int rc = m->sys->ioctl(fd, request, arg);

	return rc < 0 ? -errno : rc;
}

static int target_vcpu_ioctl(void *target, unsigned vcpu, unsigned long request, void *arg)
{
	struct machine *m = target;

	return vcpu < m->n_vcpus ? on_fd(m, m->vcpus[vcpu].fd, request, arg) : -EINVAL;
}

static int target_vm_ioctl(void *target, unsigned long request, void *arg)
{
	const struct machine *m = target;
	struct kvm_enable_cap cap;

	/* A debugger's choice of policies replaces the one before: what the machine has chosen stays. */
	if (request == KVM_ENABLE_CAP && m->config.emulate_mmio) {
		memcpy(&cap, arg, sizeof(cap));
		if (cap.cap == PAWL_CAP_DEBUG)
			cap.args[0] |= MACHINE_DEBUG_POLICY;
		arg = &cap;
	}
	return on_fd(target, ((struct machine *)target)->vm_fd, request, arg);
}

static int target_dev_ioctl(void *target, unsigned long request, void *arg)
{
	return on_fd(target, ((struct machine *)target)->kvm_fd, request, arg);
}

static int target_gic_ioctl(void *target, unsigned long request, void *arg)
{
	struct machine *m = target;

	return m->gic_fd < 0 ? -ENODEV : on_fd(m, m->gic_fd, request, arg);
}

static int target_last_exit(void *target, unsigned vcpu, unsigned i, struct gdb_exit *exit)
{
	struct machine *m = target;
	const struct vcpu *v = &m->vcpus[vcpu < m->n_vcpus ? vcpu : 0];

	if (vcpu >= m->n_vcpus || i >= VCPU_EXITS || i >= v->n_exits)
		return 0;
	*exit = v->exits[(v->n_exits - 1 - i) % VCPU_EXITS];
	return 1;
}

static int target_read_mem(void *target, uint64_t ipa, void *buf, size_t len)
{
	const uint8_t *p = machine_ram(target, ipa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

static int target_write_mem(void *target, uint64_t ipa, const void *buf, size_t len)
{
	uint8_t *p = machine_ram(target, ipa, len);

	if (!p)
		return -EFAULT;
	/* A vcpu that runs must see an instruction whole. */
	if (len == 4 && !((uintptr_t)p & 3)) {
		uint32_t word;

		memcpy(&word, buf, 4);
		__atomic_store_n((uint32_t *)(void *)p, word, __ATOMIC_SEQ_CST);
	} else {
		memcpy(p, buf, len);
	}
	__builtin___clear_cache((char *)p, (char *)p + len);
	return 0;
}

static int target_ram(void *target, unsigned i, uint64_t *ipa, uint64_t *size)
{
	struct machine *m = target;

	if (i)
		return 0;
	*ipa = m->ram.ipa;
	*size = m->ram.size;
	return 1;
}

static void target_kill(void *target)
{
	machine_cut(target, MACHINE_QUIT);
}

const struct gdb_target_ops machine_gdb_ops = {
	.n_vcpus = target_n_vcpus,
	.vcpu_id = target_vcpu_id,
	.attach = target_attach,
	.detach = target_detach,
	.stop = target_stop,
	.resume = target_resume,
	.next_stop = target_next_stop,
	.fd = target_fd,
	.vcpu_ioctl = target_vcpu_ioctl,
	.vm_ioctl = target_vm_ioctl,
	.dev_ioctl = target_dev_ioctl,
	.gic_ioctl = target_gic_ioctl,
	.last_exit = target_last_exit,
	.read_mem = target_read_mem,
	.write_mem = target_write_mem,
	.ram = target_ram,
	.kill = target_kill,
};
