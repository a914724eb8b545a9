/* SPDX-License-Identifier: MIT */
/*
 * The vcpu descriptor: its ioctls as a table, KVM_ARM_VCPU_INIT and reset, MP state. KVM_RUN itself is in run.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "vgic.h"

#define FEATURE(name) (1u << KVM_ARM_VCPU_##name)
#define FEATURES_PTRAUTH (FEATURE(PTRAUTH_ADDRESS) | FEATURE(PTRAUTH_GENERIC))
enum { FEATURES_KNOWN = 0x1ff, FEATURES_SUPPORTED = FEATURE(PSCI_0_2) | FEATURE(PMU_V3) | FEATURES_PTRAUTH };
enum { N_CCSIDR = 14, CCSIDR_DEFAULT = 2 /* 64-byte lines; one set, one way */ };

static const struct cpu_platform platform_no_gicv3 = {
	.timer_changed = timer_changed,
	.random = hypercall_random,
	.log_dirty = dirty_ring_log,
	.device = vgic_gicv_access, /* with a GICv2 */
};
static const struct cpu_platform platform_gicv3 = {
	.random = hypercall_random,
	.icc_read = vgic_icc_read,
	.icc_write = vgic_icc_write,
	.timer_changed = timer_changed,
	.log_dirty = dirty_ring_log,
};

static void vcpu_use_platform(struct vcpu *vcpu)
{
	bool v3 = vcpu->vm->vgic && vgic_type(vcpu->vm) == KVM_DEV_TYPE_ARM_VGIC_V3;

	vcpu->cpu->platform = v3 ? &platform_gicv3 : &platform_no_gicv3;
}

/* ---- creation */

/* Under vm->lock. Affinity of the id: four bits, then eights (ABI 5.4). */
static uint64_t mpidr_of(unsigned id)
{
	return 1ull << 31 | (id & 15) | (id >> 4 & 255) << 8 | (id >> 12 & 255) << 16;
}

void vcpu_cancel_timers(struct vcpu *vcpu)
{
	pmu_cancel_timer(vcpu);
	request_vcpu_destroy(vcpu);
	timer_vcpu_destroy(vcpu);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->vgic)
		vgic_vcpu_destroy(vcpu);
	pmu_vcpu_destroy(vcpu);
	pvtime_vcpu_destroy(vcpu);
	debug_vcpu_destroy(vcpu);
	dirty_ring_vcpu_destroy(vcpu);
	if (vcpu->run)
		munmap(vcpu->run, 2 * host_page_size());
	if (vcpu->cpu)
		cpu_free(vcpu->cpu);
	free(vcpu->ccsidr);
	stats_destroy(&vcpu->stats);
	pthread_mutex_destroy(&vcpu->mutex);
	free(vcpu);
}

static int vcpu_new(struct vm *vm, unsigned id, struct vcpu **out)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int err = -ENOMEM;

	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->index = atomic_load(&vm->n_vcpus);
	pthread_mutex_init(&vcpu->mutex, NULL);
	request_vcpu_init(vcpu);
	if (stats_init(&vcpu->stats, VCPU_STAT_COUNT) != 0)
		goto fail;
	vcpu->ccsidr = calloc(N_CCSIDR, sizeof(*vcpu->ccsidr));
	vcpu->cpu = cpu_new(vm->group, &platform_no_gicv3, vcpu);
	if (!vcpu->cpu || !vcpu->ccsidr)
		goto fail;
	vcpu->cpu->stat = &vcpu->stats.value[VCPU_STAT_CPU];
	for (unsigned i = 0; i < N_CCSIDR; i++)
		vcpu->ccsidr[i] = CCSIDR_DEFAULT;
	vcpu->cpu->el2.twi = true;
	vcpu->cpu->el2.twe = true;
	vcpu->cpu->sys[CPU_MPIDR_EL1] = mpidr_of(id);
	idreg_vm_init(vm, vcpu->cpu);
	idreg_vcpu_init(vcpu);
	if (vm->vgic) {
		err = vgic_vcpu_create(vcpu);
		if (err)
			goto fail;
	}
	err = timer_vcpu_create(vcpu);
	if (err)
		goto fail;
	*out = vcpu;
	return 0;
fail:
	vcpu_destroy(vcpu);
	return err;
}

/* The shared pages: kvm_run, and room for the coalesced ring. */
static int map_run(struct vcpu *vcpu, int fd)
{
	void *p = map_descriptor(NULL, 2 * host_page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	vcpu->run = p;
	return 0;
}

/* vm->lock held */
static long create_locked(struct vm *vm, unsigned id)
{
	unsigned n = atomic_load(&vm->n_vcpus);
	unsigned max = vm->vgic && vgic_type(vm) == KVM_DEV_TYPE_ARM_VGIC_V2 ? VM_VGIC_V2_MAX_VCPUS : VM_MAX_VCPUS;
	struct vcpu *vcpu;
	long fd;
	int err;

	if (n >= max)
		return -EINVAL;
	if (vm->vgic && vgic_initialized(vm))
		return -EBUSY;
	if (id >= max)
		return -EINVAL;
	if (vm_vcpu_by_id(vm, id))
		return -EEXIST;
	err = vcpu_new(vm, id, &vcpu);
	if (err)
		return err;
	/* The client learns the number only when we return: nobody uses the object before it is ready. */
	fd = file_new(&vcpu_file_ops, vcpu, dirty_ring_file_size(vm), true);
	if (fd < 0) {
		vcpu_cancel_timers(vcpu);
		vcpu_destroy(vcpu);
		return fd;
	}
	vcpu->fd = (int)fd;
	vm_get(vm);
	err = map_run(vcpu, vcpu->fd);
	if (!err)
		err = dirty_ring_vcpu_create(vcpu, vcpu->fd);
	if (err) {
		file_close(vcpu->fd); /* releases nothing but the reference to the VM */
		vcpu_cancel_timers(vcpu);
		vcpu_destroy(vcpu);
		return err;
	}
	vm->vcpus[n] = vcpu;
	atomic_store(&vm->n_vcpus, n + 1);
	return fd;
}

long vcpu_create(struct vm *vm, unsigned long id)
{
	long ret;

	if (id >= VM_MAX_VCPUS)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	ret = create_locked(vm, (unsigned)id);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* The descriptor is gone; the vcpu itself stays until the VM goes, as others may send it interrupts. */
static void vcpu_release(void *object)
{
	struct vcpu *vcpu = object;

	vm_put(vcpu->vm);
}

/* ---- KVM_ARM_VCPU_INIT and reset */

void vcpu_reset(struct vcpu *vcpu)
{
	bool in_run = vcpu_current() == vcpu;

	vcpu->pc_advance = false;
	if (in_run) /* the guest's own PSTATE is reset, not the one that steps it */
		debug_put(vcpu);
	cpu_reset(vcpu->cpu);
	cpu_code_changed(vcpu->cpu); /* the client may have loaded another program */
	idreg_vcpu_init(vcpu);
	atomic_fetch_and(&vcpu->cpu->irq_in, ~(uint32_t)CPU_SERROR);
	vcpu->cpu->el2.vsesr = 0;
	timer_vcpu_reset(vcpu);
	pmu_vcpu_reset(vcpu);
	if (vcpu->vgic)
		vgic_vcpu_reset(vcpu);
	if (in_run)
		debug_load(vcpu);
}

void vcpu_apply_reset(struct vcpu *vcpu)
{
	if (!(atomic_load_explicit(&vcpu->requests, memory_order_acquire) & REQ_RESET))
		return;
	atomic_fetch_and(&vcpu->requests, ~(uint32_t)REQ_RESET);
	vcpu_reset(vcpu);
	vcpu->cpu->env.pc = vcpu->reset.pc;
	vcpu->cpu->env.x[0] = vcpu->reset.x0;
	if (vcpu->reset.be) {
		vcpu->cpu->sys[CPU_SCTLR_EL1] |= 1ull << 25;
		cpu_sys_changed(vcpu->cpu);
	}
}

static int check_features(const struct vcpu *vcpu, const struct kvm_vcpu_init *init)
{
	uint32_t ptrauth = init->features[0] & FEATURES_PTRAUTH;

	for (unsigned i = 1; i < sizeof(init->features) / sizeof(init->features[0]); i++)
		if (init->features[i])
			return -ENOENT;
	if (init->features[0] & ~(uint32_t)FEATURES_KNOWN)
		return -ENOENT;
	if (init->features[0] & ~(FEATURES_SUPPORTED | FEATURE(POWER_OFF)))
		return -EINVAL;
	/* Both kinds or neither, and only if the CPU has them. */
	if (ptrauth && (ptrauth != FEATURES_PTRAUTH || !model_has_ptrauth(vcpu->vm)))
		return -EINVAL;
	return 0;
}

static int ioctl_init(struct vcpu *vcpu, void *arg)
{
	const struct kvm_vcpu_init *init = arg;
	struct vm_priv *p = vcpu->vm->priv;
	uint32_t features = init->features[0] & ~FEATURE(POWER_OFF);
	int err = 0;

	if (init->target != KVM_ARM_TARGET_GENERIC_V8)
		return -EINVAL;
	err = check_features(vcpu, init);
	if (err)
		return err;
	pthread_mutex_lock(&p->id_lock);
	if (p->features_set && p->features != features)
		err = -EINVAL;
	p->features_set = true;
	if (!err)
		p->features = features;
	pthread_mutex_unlock(&p->id_lock);
	if (err)
		return err;
	vcpu->features = features;
	if (features & FEATURE(PMU_V3)) {
		err = pmu_vcpu_init(vcpu);
		if (err)
			return err;
	}
	atomic_fetch_and(&vcpu->requests, ~(uint32_t)REQ_RESET);
	vcpu_reset(vcpu);
	vcpu->initialized = true;
	atomic_store(&vcpu->mp_state,
		     init->features[0] & FEATURE(POWER_OFF) ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE);
	return 0;
}

/* Before the first KVM_RUN: everything the guest could see must be settled. */
int vcpu_prepare_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	int err = 0;

	if (!vcpu->initialized)
		return -ENOEXEC;
	if (vcpu->has_run)
		return 0;
	pthread_mutex_lock(&vm->lock);
	if (vm->vgic) {
		err = vgic_map_resources(vm);
		if (err)
			atomic_store(&vm->dead, true);
	}
	if (!err)
		err = timer_vcpu_first_run(vcpu);
	if (!err)
		err = pmu_first_run(vcpu);
	if (!err) {
		vcpu_use_platform(vcpu);
		if (!atomic_load(&vm->has_run))
			idreg_vm_gic(vm);
		idreg_vcpu_init(vcpu);
		cpu_sys_changed(vcpu->cpu);
		atomic_store(&vm->has_run, true);
		vcpu->has_run = true;
	}
	pthread_mutex_unlock(&vm->lock);
	return err;
}

/* ---- the other ioctls; all under vcpu->mutex */

static int ioctl_get_reg(struct vcpu *vcpu, void *arg)
{
	vcpu_apply_reset(vcpu);
	return one_reg_get(vcpu, arg);
}

static int ioctl_set_reg(struct vcpu *vcpu, void *arg)
{
	vcpu_apply_reset(vcpu);
	return one_reg_set(vcpu, arg);
}

static int ioctl_reg_list(struct vcpu *vcpu, void *arg)
{
	return one_reg_list(vcpu, (uintptr_t)arg);
}

static int ioctl_stats_fd(struct vcpu *vcpu, void *arg)
{
	return stats_vcpu_fd(vcpu);
}

static int ioctl_get_mp_state(struct vcpu *vcpu, void *arg)
{
	((struct kvm_mp_state *)arg)->mp_state = (uint32_t)atomic_load(&vcpu->mp_state);
	return 0;
}

static int ioctl_set_mp_state(struct vcpu *vcpu, void *arg)
{
	uint32_t state = ((const struct kvm_mp_state *)arg)->mp_state;

	if (state != KVM_MP_STATE_RUNNABLE && state != KVM_MP_STATE_STOPPED && state != KVM_MP_STATE_SUSPENDED)
		return -EINVAL;
	atomic_store(&vcpu->mp_state, (int)state);
	return 0;
}

static int ioctl_get_events(struct vcpu *vcpu, void *arg)
{
	return inject_get_events(vcpu, arg);
}

static int ioctl_set_events(struct vcpu *vcpu, void *arg)
{
	return inject_set_events(vcpu, arg);
}

static int ioctl_guest_debug(struct vcpu *vcpu, void *arg)
{
	return debug_set(vcpu, arg);
}

static int ioctl_signal_mask(struct vcpu *vcpu, void *arg)
{
	struct kvm_signal_mask head;
	uint64_t mask;
	int err;

	if (!arg) {
		vcpu->sigmask_set = false;
		return 0;
	}
	err = client_read(&head, (uintptr_t)arg, sizeof(head));
	if (err)
		return err;
	if (head.len != sizeof(mask))
		return -EINVAL;
	err = client_read(&mask, (uintptr_t)arg + offsetof(struct kvm_signal_mask, sigset), sizeof(mask));
	if (err)
		return err;
	vcpu->sigmask = mask & ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
	vcpu->sigmask_set = true;
	return 0;
}

static int ioctl_finalize(struct vcpu *vcpu, void *arg)
{
	return -EINVAL; /* SVE is the only feature that asks for it */
}

typedef int attr_fn(struct vcpu *vcpu, const struct kvm_device_attr *attr);

static const struct {
	attr_fn *set, *get, *has;
} attr_groups[] = {
	[KVM_ARM_VCPU_PMU_V3_CTRL] = {pmu_set_attr, pmu_get_attr, pmu_has_attr},
	[KVM_ARM_VCPU_TIMER_CTRL] = {timer_set_attr, timer_get_attr, timer_has_attr},
	[KVM_ARM_VCPU_PVTIME_CTRL] = {pvtime_set_attr, pvtime_get_attr, pvtime_has_attr},
};
enum { N_ATTR_GROUPS = sizeof(attr_groups) / sizeof(attr_groups[0]) };

static int ioctl_set_attr(struct vcpu *vcpu, void *arg)
{
	const struct kvm_device_attr *a = arg;

	return a->group < N_ATTR_GROUPS ? attr_groups[a->group].set(vcpu, a) : -ENXIO;
}

static int ioctl_get_attr(struct vcpu *vcpu, void *arg)
{
	const struct kvm_device_attr *a = arg;

	return a->group < N_ATTR_GROUPS ? attr_groups[a->group].get(vcpu, a) : -ENXIO;
}

static int ioctl_has_attr(struct vcpu *vcpu, void *arg)
{
	const struct kvm_device_attr *a = arg;

	return a->group < N_ATTR_GROUPS ? attr_groups[a->group].has(vcpu, a) : -ENXIO;
}

enum { RAW = 1, NEEDS_INIT = 2 }; /* RAW: the handler gets the client's pointer */

static const struct vcpu_ioctl {
	uint32_t request;
	uint32_t flags;
	int (*fn)(struct vcpu *vcpu, void *arg);
} ioctls[] = {
	/* the hot ones first */
	{KVM_GET_ONE_REG, NEEDS_INIT, ioctl_get_reg},
	{KVM_SET_ONE_REG, NEEDS_INIT, ioctl_set_reg},
	{KVM_SET_GUEST_DEBUG, 0, ioctl_guest_debug},
	{KVM_GET_MP_STATE, 0, ioctl_get_mp_state},
	{KVM_SET_MP_STATE, 0, ioctl_set_mp_state},
	{KVM_GET_VCPU_EVENTS, NEEDS_INIT, ioctl_get_events},
	{KVM_SET_VCPU_EVENTS, NEEDS_INIT, ioctl_set_events},
	{KVM_ARM_VCPU_INIT, 0, ioctl_init},
	{KVM_ARM_VCPU_FINALIZE, NEEDS_INIT, ioctl_finalize},
	{KVM_GET_REG_LIST, NEEDS_INIT | RAW, ioctl_reg_list},
	{KVM_SET_SIGNAL_MASK, RAW, ioctl_signal_mask},
	{KVM_GET_STATS_FD, RAW, ioctl_stats_fd},
	{KVM_SET_DEVICE_ATTR, 0, ioctl_set_attr},
	{KVM_GET_DEVICE_ATTR, 0, ioctl_get_attr},
	{KVM_HAS_DEVICE_ATTR, 0, ioctl_has_attr},
};

static const struct vcpu_ioctl *find_ioctl(unsigned long request)
{
	for (unsigned i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		if (ioctls[i].request == request)
			return &ioctls[i];
	return NULL;
}

/* Copy the argument in and out as the request's number says. */
static int call(struct vcpu *vcpu, const struct vcpu_ioctl *row, void *arg)
{
	uint8_t copy[IOCTL_ARG_MAX] __attribute__((aligned(16)));
	uint32_t dir = _IOC_DIR(row->request), size = _IOC_SIZE(row->request);
	int err = 0;

	if ((row->flags & NEEDS_INIT) && !vcpu->initialized)
		return -ENOEXEC;
	if (row->flags & RAW)
		return row->fn(vcpu, arg);
	/* in by the kernel's reading of these requests: the ones that only return something are _IOR */
	if (dir & _IOC_WRITE)
		err = client_read(copy, (uintptr_t)arg, size);
	if (!err)
		err = row->fn(vcpu, copy);
	if (!err && (dir & _IOC_READ))
		err = client_write((uintptr_t)arg, copy, size);
	return err;
}

/* Requests of other architectures: the kernel reads the arguments of these two before it knows that it has no answer. */
static long refuse(unsigned long request, void *arg)
{
	union {
		struct kvm_regs regs;
		struct kvm_translation translation;
	} in;

	switch (request) {
	case KVM_SET_REGS:
	case KVM_TRANSLATE: return client_read(&in, (uintptr_t)arg, _IOC_SIZE(request)) ? -EFAULT : -EINVAL;
	default: return -EINVAL;
	}
}

static long vcpu_ioctl(void *object, unsigned long request, void *arg)
{
	struct vcpu *vcpu = object;
	const struct vcpu_ioctl *row = NULL;
	int ret;

	if (__builtin_expect(vm_is_foreign(vcpu->vm), 0))
		return -EIO;
	if (request == KVM_RUN) {
		if (arg)
			return -EINVAL;
	} else {
		row = find_ioctl(request);
		if (!row)
			return refuse(request, arg);
	}
	pthread_mutex_lock(&vcpu->mutex);
	ret = row ? call(vcpu, row, arg) : vcpu_run(vcpu);
	pthread_mutex_unlock(&vcpu->mutex);
	return ret;
}

const struct file_ops vcpu_file_ops = {.name = "kvm-vcpu", .ioctl = vcpu_ioctl, .release = vcpu_release};

/* ---- CCSIDR_EL1, by CSSELR_EL1 */

uint32_t ccsidr_get(const struct vcpu *vcpu, unsigned csselr)
{
	return csselr < N_CCSIDR ? vcpu->ccsidr[csselr] : 0;
}

int ccsidr_set(struct vcpu *vcpu, unsigned csselr, uint32_t val)
{
	if ((val & 0xf0000000u) || (val & 7) < (CCSIDR_DEFAULT & 7))
		return -EINVAL;
	vcpu->ccsidr[csselr] = val;
	return 0;
}
