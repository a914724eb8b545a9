/* SPDX-License-Identifier: MIT */
/*
 * The VM descriptor: its ioctls as a table, capabilities, devices. A VM lives as long as a descriptor of it, of one of its vcpus
 * or of one of its devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "core.h"
#include "guest_memfd.h"
#include "its.h"
#include "memslot.h"
#include "vgic.h"

/* ---- all there are: for changes of the process's memory, which may concern any of them */

static pthread_mutex_t all_vms_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vm *all_vms;     /* under all_vms_lock */
static _Atomic unsigned n_vms; /* changed under it */

static void all_vms_add(struct vm *vm)
{
	pthread_mutex_lock(&all_vms_lock);
	vm->priv->next_vm = all_vms;
	all_vms = vm;
	atomic_fetch_add(&n_vms, 1);
	pthread_mutex_unlock(&all_vms_lock);
}

static void all_vms_remove(struct vm *vm)
{
	pthread_mutex_lock(&all_vms_lock);
	for (struct vm **p = &all_vms; *p; p = &(*p)->priv->next_vm) {
		if (*p == vm) {
			*p = vm->priv->next_vm;
			atomic_fetch_sub(&n_vms, 1);
			break;
		}
	}
	pthread_mutex_unlock(&all_vms_lock);
}

/* Around all memory that was ever a slot's. Never empty again; both only grow. */
static _Atomic uint64_t memory_from = UINT64_MAX, memory_to;

void vm_note_memory(uint64_t from, uint64_t to)
{
	uint64_t old = atomic_load(&memory_from);

	while (from < old && !atomic_compare_exchange_weak(&memory_from, &old, from))
		;
	old = atomic_load(&memory_to);
	while (to > old && !atomic_compare_exchange_weak(&memory_to, &old, to))
		;
}

static bool may_be_a_slots(uint64_t from, uint64_t to)
{
	return atomic_load_explicit(&n_vms, memory_order_relaxed) && from < atomic_load(&memory_to) &&
	       to > atomic_load(&memory_from);
}

static __thread bool changing __attribute__((tls_model("initial-exec")));

static void all_vms_lock_ours(void)
{
	changing = true;
	atomic_signal_fence(memory_order_seq_cst);
	pthread_mutex_lock(&all_vms_lock);
	if (all_vms && all_vms->priv->generation != file_generation()) { /* a child of fork: they are not ours */
		all_vms = NULL;
		atomic_store(&n_vms, 0);
	}
}

static void all_vms_unlock_ours(void)
{
	pthread_mutex_unlock(&all_vms_lock);
	atomic_signal_fence(memory_order_seq_cst);
	changing = false;
}

/*
 * In a handler that interrupted one of our calls, neither its PE nor its locks can be waited for: there it is as if nobody
 * had told us.
 */
int vm_change_memory(uint64_t from, uint64_t to, int (*fn)(void *arg), void *arg)
{
	int result;

	if (!may_be_a_slots(from, to) || changing || file_in_call())
		return fn(arg);
	all_vms_lock_ours();
	result = memslot_change_memory(all_vms, from, to, fn, arg);
	all_vms_unlock_ours();
	return result;
}

void vm_forget_memory(uint64_t from, uint64_t to)
{
	if (!may_be_a_slots(from, to) || changing || file_in_call())
		return;
	all_vms_lock_ours();
	memslot_forget_memory(all_vms, from, to);
	all_vms_unlock_ours();
}

/* ---- lifetime */

void vm_get(struct vm *vm)
{
	atomic_fetch_add(&vm->priv->refs, 1);
}

static void vm_destroy(struct vm *vm)
{
	struct vm_priv *p = vm->priv;

	all_vms_remove(vm);
	if (vm->eventfd)
		eventfd_vm_destroy(vm);
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		vcpu_cancel_timers(vm->vcpus[i]);
	if (vm->service)
		service_vm_destroy(vm);
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		vcpu_destroy(vm->vcpus[i]);
	if (vm->vgic)
		vgic_destroy(vm);
	coalesced_vm_destroy(vm);
	if (vm->hypercall)
		hypercall_vm_destroy(vm);
	iobus_vm_destroy(vm);
	if (vm->group)
		cpu_group_free(vm->group);
	memslot_vm_destroy(vm);
	if (p->coalesced)
		munmap(p->coalesced, host_page_size());
	if (p->coalesced_fd >= 0)
		close(p->coalesced_fd);
	stats_destroy(&p->stats);
	lint_vm_destroy(vm);
	free(p->pmu_filter);
	pthread_mutex_destroy(&p->id_lock);
	pthread_mutex_destroy(&p->coalesced_lock);
	debug_vm_destroy(vm);
	pthread_mutex_destroy(&p->breaks_lock);
	pthread_mutex_destroy(&vm->lock);
	free(p);
	free(vm);
}

void vm_put(struct vm *vm)
{
	if (atomic_fetch_sub(&vm->priv->refs, 1) == 1)
		vm_destroy(vm);
}

static void vm_release(void *object)
{
	vm_put(object);
}

static int map_coalesced(struct vm *vm)
{
	struct vm_priv *p = vm->priv;
	size_t size = host_page_size();
	void *ring;

	p->coalesced_fd = memfd_create("kvm-coalesced", MFD_CLOEXEC);
	if (p->coalesced_fd < 0 || ftruncate(p->coalesced_fd, (off_t)size) != 0)
		return -errno;
	ring = map_descriptor(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p->coalesced_fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	p->coalesced = ring;
	return 0;
}

static unsigned count_host_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

static int vm_new(unsigned ipa_bits, struct vm **out)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_priv *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (!vm || !p) {
		free(vm);
		free(p);
		return -ENOMEM;
	}
	vm->priv = p;
	vm->ipa_bits = ipa_bits;
	atomic_init(&p->pmu_counters, PMU_COUNTERS);
	vm->timer_ppi[CPU_TIMER_V] = 27;
	vm->timer_ppi[CPU_TIMER_P] = 30;
	p->refs = 1;
	p->generation = file_generation();
	p->coalesced_fd = -1;
	p->stats.fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&p->id_lock, NULL);
	pthread_mutex_init(&p->coalesced_lock, NULL);
	pthread_mutex_init(&p->breaks_lock, NULL);
	vm->host_cpus = count_host_cpus();
	atomic_init(&vm->halt_poll_ns, HALT_POLL_NS);
	vm->group = cpu_group_new();
	if (!vm->group)
		goto fail;
	err = stats_init(&p->stats, VM_STAT_COUNT);
	if (!err)
		err = lint_vm_init(vm);
	if (!err)
		err = map_coalesced(vm);
	if (!err)
		err = model_vm_init(vm);
	if (!err)
		err = memslot_vm_init(vm);
	if (!err)
		err = iobus_vm_init(vm);
	if (!err)
		err = service_vm_init(vm);
	if (!err)
		err = hypercall_vm_init(vm);
	if (!err)
		err = eventfd_vm_init(vm);
	if (err)
		goto fail;
	all_vms_add(vm);
	*out = vm;
	return 0;
fail:
	vm_destroy(vm);
	return err;
}

long vm_create(unsigned long type)
{
	unsigned bits = type & KVM_VM_TYPE_ARM_IPA_SIZE_MASK;
	struct vm *vm;
	long fd;
	int err;

	if (type & ~(unsigned long)KVM_VM_TYPE_ARM_IPA_SIZE_MASK)
		return -EINVAL;
	if (!bits)
		bits = VM_DEFAULT_IPA_BITS;
	if (bits < 32 || bits > VM_MAX_IPA_BITS)
		return -EINVAL;
	err = vm_new(bits, &vm);
	if (err)
		return err;
	fd = file_new(&vm_file_ops, vm, host_page_size(), true);
	if (fd < 0)
		vm_put(vm);
	else
		vm->fd = (int)fd;
	return fd;
}

/* ---- lookups */

struct vcpu *vm_vcpu_by_id(struct vm *vm, unsigned id)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	if (id < n && vm->vcpus[id]->id == id)
		return vm->vcpus[id];
	for (unsigned i = 0; i < n; i++)
		if (vm->vcpus[i]->id == id)
			return vm->vcpus[i];
	return NULL;
}

#define MPIDR_AFFINITY 0xff00ffffffull

struct vcpu *vm_vcpu_by_mpidr(struct vm *vm, uint64_t mpidr)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	for (unsigned i = 0; i < n; i++)
		if (((vm->vcpus[i]->cpu->sys[CPU_MPIDR_EL1] ^ mpidr) & MPIDR_AFFINITY) == 0)
			return vm->vcpus[i];
	return NULL;
}

int vm_lock_all_vcpus(struct vm *vm)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	for (unsigned i = 0; i < n; i++) {
		if (pthread_mutex_trylock(&vm->vcpus[i]->mutex) == 0)
			continue;
		while (i-- > 0)
			pthread_mutex_unlock(&vm->vcpus[i]->mutex);
		return -EBUSY;
	}
	return 0;
}

void vm_unlock_all_vcpus(struct vm *vm)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	while (n-- > 0)
		pthread_mutex_unlock(&vm->vcpus[n]->mutex);
}

/* ---- capabilities */

enum { DYNAMIC = -1 }; /* see vm_check_extension */
enum { BLOCK_SIZES = 1 << 12 | 1 << 21 | 1 << 30 /* bytes: as of a stage 2 with 4 KiB granules */ };

static const struct {
	uint32_t cap;
	int32_t value;
} caps[] = {
	{KVM_CAP_IRQCHIP, 1},
	{KVM_CAP_USER_MEMORY, 1},
	{KVM_CAP_NR_VCPUS, DYNAMIC},
	{KVM_CAP_NR_MEMSLOTS, 32767},
	{KVM_CAP_MP_STATE, 1},
	{KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET},
	{KVM_CAP_SYNC_MMU, 1},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1},
	{KVM_CAP_SET_GUEST_DEBUG, 1},
	{KVM_CAP_IRQ_ROUTING, 4096},
	{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1},
	{KVM_CAP_IRQFD, 1},
	{KVM_CAP_IOEVENTFD, 1},
	{KVM_CAP_INTERNAL_ERROR_DATA, 1},
	{KVM_CAP_VCPU_EVENTS, 1},
	{KVM_CAP_MAX_VCPUS, DYNAMIC},
	{KVM_CAP_ONE_REG, 1},
	{KVM_CAP_SIGNAL_MSI, 1},
	{KVM_CAP_READONLY_MEM, 1},
	{KVM_CAP_IRQFD_RESAMPLE, 1},
	{KVM_CAP_ARM_PSCI, 1},
	{KVM_CAP_ARM_SET_DEVICE_ADDR, 1},
	{KVM_CAP_DEVICE_CTRL, 1},
	{KVM_CAP_ENABLE_CAP_VM, 1},
	{KVM_CAP_ARM_PSCI_0_2, 1},
	{KVM_CAP_CHECK_EXTENSION_VM, 1},
	{KVM_CAP_ARM_PTRAUTH_ADDRESS, DYNAMIC},
	{KVM_CAP_ARM_PTRAUTH_GENERIC, DYNAMIC},
	{KVM_CAP_GUEST_DEBUG_HW_BPS, DYNAMIC},
	{KVM_CAP_GUEST_DEBUG_HW_WPS, DYNAMIC},
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, 1},
	{KVM_CAP_ARM_PMU_V3, 1},
	{KVM_CAP_VCPU_ATTRIBUTES, 1},
	{KVM_CAP_MAX_VCPU_ID, DYNAMIC},
	{KVM_CAP_MSI_DEVID, DYNAMIC},
	{KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED, DYNAMIC},
	{KVM_CAP_IMMEDIATE_EXIT, 1},
	{KVM_CAP_ARM_USER_IRQ, 1},
	{KVM_CAP_ARM_INJECT_SERROR_ESR, 1},
	{KVM_CAP_COALESCED_PIO, 1},
	{KVM_CAP_ARM_VM_IPA_SIZE, VM_MAX_IPA_BITS},
	{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET},
	{KVM_CAP_ARM_IRQ_LINE_LAYOUT_2, 1},
	{KVM_CAP_ARM_NISV_TO_USER, 1},
	{KVM_CAP_ARM_INJECT_EXT_DABT, 1},
	{KVM_CAP_HALT_POLL, 1},
	{KVM_CAP_SET_GUEST_DEBUG2,
	 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW},
	{KVM_CAP_STEAL_TIME, DYNAMIC},
	{KVM_CAP_PTP_KVM, 1},
	{KVM_CAP_BINARY_STATS_FD, 1},
	{KVM_CAP_SYSTEM_EVENT_DATA, 1},
	{KVM_CAP_ARM_SYSTEM_SUSPEND, 1},
	{KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 65536 * sizeof(struct kvm_dirty_gfn)},
	{KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 1},
	{KVM_CAP_COUNTER_OFFSET, 1},
	{KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, DYNAMIC},
	{KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES, BLOCK_SIZES},
	{KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, 1},
	{KVM_CAP_USER_MEMORY2, 1},
	{KVM_CAP_GUEST_MEMFD, 1},
	{KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_FLAGS},
	{KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 1},
	{PAWL_CAP_DEBUG, DEBUG_POLICIES},
	{PAWL_CAP_CPU_MODEL, 1},
	{PAWL_CAP_BREAKPOINTS, DEBUG_BREAKS_MAX},
};

static long dynamic_cap(struct vm *vm, unsigned long cap)
{
	bool v2 = vm && vm->vgic && vgic_type(vm) == KVM_DEV_TYPE_ARM_VGIC_V2;
	long cpus;

	switch (cap) {
	case KVM_CAP_NR_VCPUS:
		cpus = sysconf(_SC_NPROCESSORS_ONLN);
		return cpus < 1				   ? 1
		       : v2 && cpus > VM_VGIC_V2_MAX_VCPUS ? VM_VGIC_V2_MAX_VCPUS
		       : cpus > VM_MAX_VCPUS		   ? VM_MAX_VCPUS
							   : cpus;
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_MAX_VCPU_ID: return v2 ? VM_VGIC_V2_MAX_VCPUS : VM_MAX_VCPUS;
	case KVM_CAP_ARM_PTRAUTH_ADDRESS:
	case KVM_CAP_ARM_PTRAUTH_GENERIC: return model_has_ptrauth(vm);
	case KVM_CAP_GUEST_DEBUG_HW_BPS: return VM_HW_BREAKPOINTS;
	case KVM_CAP_GUEST_DEBUG_HW_WPS: return VM_HW_WATCHPOINTS;
	case KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: return vm ? (long)vm->priv->split_chunk : 0;
	case KVM_CAP_STEAL_TIME: return pvtime_supported();
	case KVM_CAP_MSI_DEVID: return vm ? vm->has_its : -EINVAL;
	case KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED:
		return vm ? 0 : -EINVAL; /* no device memory of the host in slots */
	default: return 0;
	}
}

long vm_check_extension(struct vm *vm, unsigned long cap)
{
	for (unsigned i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (caps[i].cap == cap)
			return caps[i].value == DYNAMIC ? dynamic_cap(vm, cap) : caps[i].value;
	return 0;
}

/* How large the pieces of a huge mapping are to be when its dirty log begins: there are no huge mappings. */
static int set_split_chunk(struct vm *vm, uint64_t size)
{
	int err = 0;

	if (size & ~(uint64_t)BLOCK_SIZES || size & (size - 1))
		return -EINVAL;
	pthread_mutex_lock(&vm->memslots->lock);
	if (vm->memslots->count)
		err = -EINVAL;
	else
		vm->priv->split_chunk = size;
	pthread_mutex_unlock(&vm->memslots->lock);
	return err;
}

static int enable_cap(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int err = 0;

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_ARM_NISV_TO_USER: vm->nisv_to_user = true; return 0;
	case KVM_CAP_ARM_SYSTEM_SUSPEND: vm->system_suspend = true; return 0;
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		pthread_mutex_lock(&vm->lock);
		err = dirty_ring_enable(vm, (uint32_t)cap->args[0]);
		pthread_mutex_unlock(&vm->lock);
		return err;
	case KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: return set_split_chunk(vm, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: return dirty_ring_enable_bitmap(vm);
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: return memslot_enable_manual_dirty(vm, cap->args[0]);
	case PAWL_CAP_DEBUG: return debug_set_policy(vm, cap->args[0]);
	case KVM_CAP_HALT_POLL:
		if (cap->args[0] > UINT32_MAX)
			return -EINVAL;
		atomic_store(&vm->halt_poll_ns, cap->args[0]);
		return 0;
	case KVM_CAP_ARM_WRITABLE_IMP_ID_REGS:
		pthread_mutex_lock(&vm->lock);
		if (atomic_load(&vm->n_vcpus))
			err = -EINVAL;
		else
			vm->priv->writable_impl_ids = true;
		pthread_mutex_unlock(&vm->lock);
		return err;
	case PAWL_CAP_BREAKPOINTS: return debug_set_breaks(vm, cap->args[0], cap->args[1]);
	case PAWL_CAP_CPU_MODEL: return model_enable_cap(vm, cap->args[0]);
	default: return -EINVAL;
	}
}

/* ---- devices */

struct device { /* what a device descriptor stands for */
	struct vm *vm;
	struct its *its; /* KVM_DEV_TYPE_ARM_VGIC_ITS, else NULL: the VM's vgic */
};

static long device_ioctl(void *object, unsigned long request, void *arg)
{
	struct device *d = object;
	struct kvm_device_attr attr;
	int err;

	if (vm_is_foreign(d->vm))
		return -EIO;
	if (request != KVM_SET_DEVICE_ATTR && request != KVM_GET_DEVICE_ATTR && request != KVM_HAS_DEVICE_ATTR)
		return -ENOTTY;
	err = client_read(&attr, (uintptr_t)arg, sizeof(attr));
	if (err)
		return err;
	switch (request) {
	case KVM_SET_DEVICE_ATTR: return d->its ? its_set_attr(d->its, &attr) : vgic_set_attr(d->vm, &attr);
	case KVM_GET_DEVICE_ATTR: return d->its ? its_get_attr(d->its, &attr) : vgic_get_attr(d->vm, &attr);
	default: return d->its ? its_has_attr(d->its, &attr) : vgic_has_attr(d->vm, &attr);
	}
}

static void device_release(void *object)
{
	struct device *d = object;

	vm_put(d->vm);
	free(d);
}

const struct file_ops device_file_ops = {.name = "kvm-device", .ioctl = device_ioctl, .release = device_release};

/* vm->lock held */
static int create_gic(struct vm *vm, unsigned type)
{
	int err = vgic_create(vm, type);

	if (!err)
		idreg_vm_gic(vm);
	return err;
}

static int create_device(struct vm *vm, struct kvm_create_device *args)
{
	struct device *d;
	long fd;
	int err;

	if (args->type != KVM_DEV_TYPE_ARM_VGIC_V2 && args->type != KVM_DEV_TYPE_ARM_VGIC_V3 &&
	    args->type != KVM_DEV_TYPE_ARM_VGIC_ITS)
		return -ENODEV;
	if (args->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	*d = (struct device){.vm = vm};
	pthread_mutex_lock(&vm->lock);
	if (args->type == KVM_DEV_TYPE_ARM_VGIC_ITS)
		err = its_create(vm, &d->its);
	else
		err = create_gic(vm, args->type);
	pthread_mutex_unlock(&vm->lock);
	if (err) {
		free(d);
		return err;
	}
	vm_get(vm);
	fd = file_new(&device_file_ops, d, 0, true);
	if (fd < 0) {
		device_release(d);
		return (int)fd;
	}
	args->fd = (uint32_t)fd;
	return 0;
}

/* ---- ioctls: with a copy of the argument; copied back if the request says so */

static long vm_ioctl_check_extension(struct vm *vm, void *arg)
{
	return vm_check_extension(vm, (uintptr_t)arg);
}

static long vm_ioctl_create_vcpu(struct vm *vm, void *arg)
{
	return vcpu_create(vm, (uintptr_t)arg);
}

static long vm_ioctl_memory_region(struct vm *vm, void *arg)
{
	struct kvm_userspace_memory_region2 r = {0};

	memcpy(&r, arg, sizeof(struct kvm_userspace_memory_region));
	if (r.flags & KVM_MEM_GUEST_MEMFD)
		return -EINVAL;
	return memslot_set(vm, &r);
}

static long vm_ioctl_memory_region2(struct vm *vm, void *arg)
{
	return memslot_set(vm, arg);
}

static long vm_ioctl_create_guest_memfd(struct vm *vm, void *arg)
{
	return guest_memfd_create(vm, arg);
}

static long vm_ioctl_dirty_log(struct vm *vm, void *arg)
{
	return dirty_get_log(vm, arg);
}

static long vm_ioctl_clear_dirty_log(struct vm *vm, void *arg)
{
	return dirty_clear_log(vm, arg);
}

static long vm_ioctl_reset_dirty_rings(struct vm *vm, void *arg)
{
	return dirty_ring_reset(vm);
}

static long vm_ioctl_stats_fd(struct vm *vm, void *arg)
{
	long fd;

	pthread_mutex_lock(&vm->memslots->lock);
	fd = stats_vm_fd(vm);
	pthread_mutex_unlock(&vm->memslots->lock);
	return fd;
}

static long vm_ioctl_create_irqchip(struct vm *vm, void *arg)
{
	int err;

	pthread_mutex_lock(&vm->lock);
	err = create_gic(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static long vm_ioctl_irq_line(struct vm *vm, void *arg)
{
	return irq_line_ioctl(vm, arg);
}

static long vm_ioctl_gsi_routing(struct vm *vm, void *arg)
{
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry *entries = NULL;
	int err = client_read(&head, (uintptr_t)arg, sizeof(head));

	if (err)
		return err;
	if (head.nr > 4096 || head.flags)
		return -EINVAL;
	if (head.nr) {
		entries = calloc(head.nr, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		err = client_read(entries, (uintptr_t)arg + sizeof(head), head.nr * sizeof(*entries));
	}
	if (!err)
		err = irq_routing_ioctl(vm, &head, entries);
	free(entries);
	return err;
}

static long vm_ioctl_irqfd(struct vm *vm, void *arg)
{
	return irqfd_ioctl(vm, arg);
}

static long vm_ioctl_ioeventfd(struct vm *vm, void *arg)
{
	return ioeventfd_ioctl(vm, arg);
}

static long vm_ioctl_signal_msi(struct vm *vm, void *arg)
{
	return signal_msi_ioctl(vm, arg);
}

static long vm_ioctl_register_coalesced(struct vm *vm, void *arg)
{
	long err;

	pthread_mutex_lock(&vm->lock);
	err = coalesced_register(vm, arg);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static long vm_ioctl_unregister_coalesced(struct vm *vm, void *arg)
{
	long err;

	pthread_mutex_lock(&vm->lock);
	err = coalesced_unregister(vm, arg);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static long vm_ioctl_set_device_addr(struct vm *vm, void *arg)
{
	const struct kvm_arm_device_addr *a = arg;

	if ((a->id & KVM_ARM_DEVICE_ID_MASK) >> KVM_ARM_DEVICE_ID_SHIFT != KVM_ARM_DEVICE_VGIC_V2)
		return -ENODEV;
	return vgic_set_device_addr(vm, a);
}

static long vm_ioctl_preferred_target(struct vm *vm, void *arg)
{
	memset(arg, 0, sizeof(struct kvm_vcpu_init));
	((struct kvm_vcpu_init *)arg)->target = KVM_ARM_TARGET_GENERIC_V8;
	return 0;
}

static long vm_ioctl_create_device(struct vm *vm, void *arg)
{
	return create_device(vm, arg);
}

static long vm_ioctl_set_attr(struct vm *vm, void *arg)
{
	const struct kvm_device_attr *a = arg;
	struct kvm_smccc_filter filter;
	int err;

	if (a->group != KVM_ARM_VM_SMCCC_CTRL || a->attr != KVM_ARM_VM_SMCCC_FILTER)
		return -ENXIO;
	err = client_read(&filter, a->addr, sizeof(filter));
	if (err)
		return err;
	pthread_mutex_lock(&vm->lock);
	err = hypercall_set_filter(vm, &filter);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static long vm_ioctl_has_attr(struct vm *vm, void *arg)
{
	const struct kvm_device_attr *a = arg;

	return a->group == KVM_ARM_VM_SMCCC_CTRL && a->attr == KVM_ARM_VM_SMCCC_FILTER ? 0 : -ENXIO;
}

static long vm_ioctl_enable_cap(struct vm *vm, void *arg)
{
	return enable_cap(vm, arg);
}

static long vm_ioctl_counter_offset(struct vm *vm, void *arg)
{
	long err;

	pthread_mutex_lock(&vm->lock);
	err = timer_set_counter_offset(vm, arg);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static long vm_ioctl_writable_masks(struct vm *vm, void *arg)
{
	return idreg_writable_masks(vm, arg);
}

enum { RAW = 1, COPY_OUT = 2 };

static const struct vm_ioctl {
	uint32_t request;
	uint32_t flags;
	long (*fn)(struct vm *vm, void *arg);
} ioctls[] = {
	{KVM_IRQ_LINE, 0, vm_ioctl_irq_line},
	{KVM_SIGNAL_MSI, 0, vm_ioctl_signal_msi},
	{KVM_SET_USER_MEMORY_REGION, 0, vm_ioctl_memory_region},
	{KVM_SET_USER_MEMORY_REGION2, 0, vm_ioctl_memory_region2},
	{KVM_CREATE_GUEST_MEMFD, 0, vm_ioctl_create_guest_memfd},
	{KVM_GET_DIRTY_LOG, 0, vm_ioctl_dirty_log},
	{KVM_CLEAR_DIRTY_LOG, 0, vm_ioctl_clear_dirty_log},
	{KVM_RESET_DIRTY_RINGS, RAW, vm_ioctl_reset_dirty_rings},
	{KVM_GET_STATS_FD, RAW, vm_ioctl_stats_fd},
	{KVM_CHECK_EXTENSION, RAW, vm_ioctl_check_extension},
	{KVM_CREATE_VCPU, RAW, vm_ioctl_create_vcpu},
	{KVM_CREATE_IRQCHIP, RAW, vm_ioctl_create_irqchip},
	{KVM_IRQ_LINE_STATUS, COPY_OUT, vm_ioctl_irq_line},
	{KVM_SET_GSI_ROUTING, RAW, vm_ioctl_gsi_routing},
	{KVM_IRQFD, 0, vm_ioctl_irqfd},
	{KVM_IOEVENTFD, 0, vm_ioctl_ioeventfd},
	{KVM_REGISTER_COALESCED_MMIO, 0, vm_ioctl_register_coalesced},
	{KVM_UNREGISTER_COALESCED_MMIO, 0, vm_ioctl_unregister_coalesced},
	{KVM_ARM_SET_DEVICE_ADDR, 0, vm_ioctl_set_device_addr},
	{KVM_ARM_PREFERRED_TARGET, COPY_OUT, vm_ioctl_preferred_target},
	{KVM_CREATE_DEVICE, COPY_OUT, vm_ioctl_create_device},
	{KVM_SET_DEVICE_ATTR, 0, vm_ioctl_set_attr},
	{KVM_HAS_DEVICE_ATTR, 0, vm_ioctl_has_attr},
	{KVM_ENABLE_CAP, 0, vm_ioctl_enable_cap},
	{KVM_ARM_SET_COUNTER_OFFSET, 0, vm_ioctl_counter_offset},
	{KVM_ARM_GET_REG_WRITABLE_MASKS, 0, vm_ioctl_writable_masks},
};

static long vm_ioctl(void *object, unsigned long request, void *arg)
{
	uint8_t copy[IOCTL_ARG_MAX] __attribute__((aligned(16)));
	struct vm *vm = object;
	const struct vm_ioctl *row = NULL;
	size_t size = _IOC_SIZE(request);
	long ret;

	if (vm_is_foreign(vm))
		return -EIO;
	for (unsigned i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]) && !row; i++)
		if (ioctls[i].request == request)
			row = &ioctls[i];
	if (!row)
		return -EINVAL;
	if (row->flags & RAW)
		return row->fn(vm, arg);
	ret = client_read(copy, (uintptr_t)arg, size);
	if (ret)
		return ret;
	ret = row->fn(vm, copy);
	if (ret >= 0 && (row->flags & COPY_OUT) && client_write((uintptr_t)arg, copy, size))
		ret = -EFAULT;
	return ret;
}

const struct file_ops vm_file_ops = {.name = "kvm-vm", .ioctl = vm_ioctl, .release = vm_release};
