/* SPDX-License-Identifier: MIT */
/*
 * The VM around the devices under test. Not a model of kvm/: it does no more than the tests need.
 */
#include "fake.h"

#include <stdlib.h>

#include "eventfd.h"

#define WEAK __attribute__((weak))

uint64_t fake_counter = 1000000;
static uint64_t offsets[CPU_TIMER_COUNT];

/* ---- what the devices call */

WEAK uint64_t cpu_group_counter(const struct cpu_group *g)
{
	return __atomic_load_n(&fake_counter, __ATOMIC_SEQ_CST);
}
WEAK void cpu_group_set_offset(struct cpu_group *g, unsigned timer, uint64_t off)
{
	offsets[timer] = off;
}
WEAK uint64_t cpu_group_offset(const struct cpu_group *g, unsigned timer)
{
	return offsets[timer];
}

WEAK void vcpu_kick(struct vcpu *vcpu)
{
	fake_of(vcpu->vm)->kicks[vcpu->index]++;
}

WEAK int vcpu_wait_for_interrupt(struct vcpu *vcpu)
{
	fake_of(vcpu->vm)->waits++;
	return RESUME_GUEST;
}

WEAK void vm_stop_all_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		atomic_store(&vm->vcpus[i]->mp_state, KVM_MP_STATE_STOPPED);
}

WEAK int exit_system_event(struct vcpu *vcpu, uint32_t type, unsigned ndata, uint64_t flags)
{
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = type;
	vcpu->run->system_event.ndata = ndata;
	vcpu->run->system_event.flags = flags;
	return EXIT_USER;
}

uint8_t fake_ram[FAKE_RAM_SIZE];

WEAK int vm_read_guest(struct vm *vm, ipa_t ipa, void *buf, uint64_t len)
{
	if (ipa < FAKE_RAM || ipa - FAKE_RAM > FAKE_RAM_SIZE || len > FAKE_RAM_SIZE - (ipa - FAKE_RAM))
		return -EFAULT;
	memcpy(buf, fake_ram + (ipa - FAKE_RAM), len);
	return 0;
}

WEAK int vm_write_guest(struct vm *vm, ipa_t ipa, const void *buf, uint64_t len)
{
	if (ipa < FAKE_RAM || ipa - FAKE_RAM > FAKE_RAM_SIZE || len > FAKE_RAM_SIZE - (ipa - FAKE_RAM))
		return -EFAULT;
	memcpy(fake_ram + (ipa - FAKE_RAM), buf, len);
	return 0;
}

WEAK bool vm_has_slot(struct vm *vm, ipa_t ipa)
{
	return ipa >= FAKE_RAM && ipa - FAKE_RAM < FAKE_RAM_SIZE;
}

WEAK int memslot_set_device(struct vm *vm, ipa_t base, uint64_t size)
{
	fake_of(vm)->device = base;
	fake_of(vm)->device_size = size;
	return 0;
}

WEAK int iobus_add(struct vm *vm, struct io_dev *dev)
{
	dev->next = fake_of(vm)->bus;
	fake_of(vm)->bus = dev;
	return 0;
}

WEAK void iobus_remove(struct vm *vm, struct io_dev *dev)
{
	struct io_dev **p = &fake_of(vm)->bus;

	while (*p != dev)
		p = &(*p)->next;
	*p = dev->next;
}

WEAK int client_read(void *dst, uint64_t src, size_t len)
{
	if (src < 4096)
		return -EFAULT;
	memcpy(dst, (const void *)(uintptr_t)src, len);
	return 0;
}

WEAK int client_write(uint64_t dst, const void *src, size_t len)
{
	if (dst < 4096)
		return -EFAULT;
	memcpy((void *)(uintptr_t)dst, src, len);
	return 0;
}

WEAK struct vcpu *vm_vcpu_by_id(struct vm *vm, unsigned id)
{
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		if (vm->vcpus[i]->id == id)
			return vm->vcpus[i];
	return NULL;
}

WEAK struct vcpu *vm_vcpu_by_mpidr(struct vm *vm, uint64_t mpidr)
{
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		if (((vm->vcpus[i]->cpu->sys[CPU_MPIDR_EL1] ^ mpidr) & 0xff00ffffff) == 0)
			return vm->vcpus[i];
	return NULL;
}

WEAK int vm_lock_all_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++) {
		if (pthread_mutex_trylock(&vm->vcpus[i]->mutex) == 0)
			continue;
		while (i-- > 0)
			pthread_mutex_unlock(&vm->vcpus[i]->mutex);
		return -EBUSY;
	}
	return 0;
}

WEAK void vm_unlock_all_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		pthread_mutex_unlock(&vm->vcpus[i]->mutex);
}

WEAK void service_timer_arm(struct vm *vm, struct service_timer *t, uint64_t deadline)
{
	t->deadline = deadline;
	t->queued = deadline != UINT64_MAX;
	fake_of(vm)->timer = t;
}

WEAK void service_timer_defer(struct vm *vm, struct service_timer *t, uint64_t deadline)
{
	if (t->queued)
		t->deadline = deadline;
}

WEAK void service_timer_cancel(struct vm *vm, struct service_timer *t)
{
	t->queued = false;
}

WEAK int service_fd_add(struct vm *vm, int fd, void (*fn)(void *arg, int fd), void *arg)
{
	struct fake *f = fake_of(vm);

	f->fd = fd;
	f->fd_fn = fn;
	f->fd_arg = arg;
	return 0;
}

WEAK void service_fd_remove(struct vm *vm, int fd, void *arg)
{
	fake_of(vm)->fd_fn = NULL;
}

WEAK void irq_routing_set_default(struct vm *vm, unsigned n_spis) {}

/* ---- the VM */

WEAK void fake_vcpu_created(struct vcpu *vcpu) {}

int fake_try_add_vcpu(struct fake *f, unsigned id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	unsigned n = atomic_load(&f->vm.n_vcpus);
	int err;

	vcpu->cpu = aligned_alloc(16, (sizeof(*vcpu->cpu) + 15) / 16 * 16);
	memset(vcpu->cpu, 0, sizeof(*vcpu->cpu));
	vcpu->run = calloc(1, sizeof(*vcpu->run));
	vcpu->vm = &f->vm;
	vcpu->id = id;
	vcpu->index = n;
	vcpu->initialized = true;
	vcpu->features = 1u << KVM_ARM_VCPU_PSCI_0_2;
	vcpu->cpu->sys[CPU_MPIDR_EL1] = 1u << 31 | (id & 15) | (id >> 4) << 8;
	vcpu->cpu->pstate = PSR_EL1H;
	pthread_mutex_init(&vcpu->mutex, NULL);
	err = vgic_vcpu_create(vcpu);
	if (err) {
		free(vcpu->cpu);
		free(vcpu->run);
		free(vcpu);
		return err;
	}
	fake_vcpu_created(vcpu);
	f->vm.vcpus[n] = vcpu;
	atomic_store(&f->vm.n_vcpus, n + 1);
	return 0;
}

void fake_add_vcpu(struct fake *f, unsigned id)
{
	assert_int_equal(fake_try_add_vcpu(f, id), 0);
}

struct fake *fake_new(unsigned vcpus)
{
	struct fake *f = calloc(1, sizeof(*f));

	pthread_mutex_init(&f->vm.lock, NULL);
	f->vm.ipa_bits = 40;
	f->vm.timer_ppi[CPU_TIMER_V] = 27;
	f->vm.timer_ppi[CPU_TIMER_P] = 30;
	f->vm.group = (struct cpu_group *)f; /* only passed on */
	offsets[0] = offsets[1] = 0;
	for (unsigned i = 0; i < vcpus; i++)
		fake_add_vcpu(f, i);
	return f;
}

void fake_free(struct fake *f)
{
	for (unsigned i = 0; i < atomic_load(&f->vm.n_vcpus); i++) {
		struct vcpu *vcpu = f->vm.vcpus[i];

		vgic_vcpu_destroy(vcpu);
		pthread_mutex_destroy(&vcpu->mutex);
		free(vcpu->cpu);
		free(vcpu->run);
		free(vcpu);
	}
	vgic_destroy(&f->vm);
	free(f);
}

void all_levels(struct fake *f)
{
	for (unsigned off = 0xc08; off < 0xd00; off += 4)
		bus_write(f, 0, DIST + off, 4, 0);
}

struct fake *fake_gicv3(unsigned vcpus)
{
	struct fake *f = fake_new(vcpus);
	uint64_t dist = DIST, redist = REDIST;

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V3), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	assert_int_equal(vgic_map_resources(&f->vm), 0);
	all_levels(f);
	return f;
}

struct fake *fake_gicv2(unsigned vcpus)
{
	struct fake *f = fake_new(vcpus);
	uint64_t dist = DIST, cpu = GICC;

	assert_int_equal(vgic_create(&f->vm, KVM_DEV_TYPE_ARM_VGIC_V2), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &dist), 0);
	assert_int_equal(attr_set(f, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &cpu), 0);
	assert_int_equal(vgic_map_resources(&f->vm), 0);
	all_levels(f);
	return f;
}

/* ---- the client and the guest */

static struct kvm_device_attr make(uint32_t group, uint64_t attr, const void *val)
{
	return (struct kvm_device_attr){.group = group, .attr = attr, .addr = (uintptr_t)val};
}

int attr_set(struct fake *f, uint32_t group, uint64_t attr, const void *val)
{
	struct kvm_device_attr a = make(group, attr, val);

	return vgic_set_attr(&f->vm, &a);
}

int attr_get(struct fake *f, uint32_t group, uint64_t attr, void *val)
{
	struct kvm_device_attr a = make(group, attr, val);

	return vgic_get_attr(&f->vm, &a);
}

int attr_has(struct fake *f, uint32_t group, uint64_t attr)
{
	struct kvm_device_attr a = make(group, attr, NULL);

	return vgic_has_attr(&f->vm, &a);
}

static struct io_dev *find(struct fake *f, ipa_t ipa)
{
	for (struct io_dev *d = f->bus; d; d = d->next)
		if (ipa >= d->base && ipa - d->base < d->size)
			return d;
	fail_msg("no device at %llx", (unsigned long long)ipa);
	return NULL;
}

static bool is_gicv(const struct fake *f, ipa_t ipa)
{
	return ipa - f->device < f->device_size;
}

uint64_t bus_read(struct fake *f, unsigned vcpu, ipa_t ipa, unsigned len)
{
	struct io_dev *d;
	uint64_t val = 0;

	if (is_gicv(f, ipa)) {
		vgic_gicv_access(f->vm.vcpus[vcpu], ipa, len, false, &val);
		return val;
	}
	d = find(f, ipa);
	assert_int_equal(d->ops->read(f->vm.vcpus[vcpu], d, ipa - d->base, len, &val), 0);
	return val;
}

void bus_write(struct fake *f, unsigned vcpu, ipa_t ipa, unsigned len, uint64_t val)
{
	struct io_dev *d;

	if (is_gicv(f, ipa)) {
		vgic_gicv_access(f->vm.vcpus[vcpu], ipa, len, true, &val);
		return;
	}
	d = find(f, ipa);
	assert_int_equal(d->ops->write(f->vm.vcpus[vcpu], d, ipa - d->base, len, val), 0);
}

uint64_t icc_read(struct fake *f, unsigned vcpu, uint32_t enc)
{
	uint64_t val = 0;

	assert_int_equal(vgic_icc_read(f->vm.vcpus[vcpu], enc, &val), 0);
	return val;
}

void icc_write(struct fake *f, unsigned vcpu, uint32_t enc, uint64_t val)
{
	assert_int_equal(vgic_icc_write(f->vm.vcpus[vcpu], enc, val), 0);
}
