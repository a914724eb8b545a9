/* SPDX-License-Identifier: MIT */
/*
 * What the files of the hypervisor's core share with each other: the path of KVM_RUN in reading order, memory slots,
 * registers. Devices (vgic/, timer.c, ...) need kvm.h only.
 */
#ifndef PAWL_KVM_CORE_H
#define PAWL_KVM_CORE_H

#include <sys/types.h>

#include <pawl/pawl.h>

#include "file.h"
#include "kvm.h"
#include "syndrome.h"

/* What we did wrong: says so with the vcpu's state, and ends the process. Nothing a guest or client does gets here. */
#define vcpu_assert(vcpu, cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			vcpu_assert_failed(vcpu, #cond, __FILE__, __LINE__); \
	} while (0)
_Noreturn void vcpu_assert_failed(struct vcpu *vcpu, const char *cond, const char *file, int line);

/* A row of a table of ioctls. size: bytes copied in; the handler gets the copy and, if the request says so, it is copied out. */
enum { IOCTL_ARG_MAX = 544 };

/* ---- dev.c */
extern const struct file_ops system_file_ops, vm_file_ops, vcpu_file_ops, device_file_ops;
size_t host_page_size(void);								    /* bytes */
void *map_descriptor(void *addr, size_t length, int prot, int flags, int fd, off_t offset); /* as mmap */

/* ---- vm.c */
enum {
	VM_DEFAULT_IPA_BITS = 40,
	VM_MAX_IPA_BITS = 48,
	VM_VGIC_V2_MAX_VCPUS = 8,
	VM_HW_BREAKPOINTS = 6,
	VM_HW_WATCHPOINTS = 4 /* the PE model's ID_AA64DFR0_EL1 */
};
long vm_create(unsigned long type); /* descriptor or -errno */
/* pawl_change_memory */
int vm_change_memory(uint64_t from, uint64_t to, int (*fn)(void *arg), void *arg);
/* pawl_forget_memory */
void vm_forget_memory(uint64_t from, uint64_t to);
/* Before a slot has this memory. */
void vm_note_memory(uint64_t from, uint64_t to);
void vm_get(struct vm *vm);
void vm_put(struct vm *vm);
long vm_check_extension(struct vm *vm, unsigned long cap); /* vm NULL: /dev/kvm is asked */

struct vm_priv {				   /* vm.c */
	_Atomic unsigned refs;			   /* descriptors of the VM, its vcpus and devices */
	unsigned generation;			   /* file_generation() at creation */
	struct vm *next_vm;			   /* vm.c: of this process; under all_vms_lock */
	struct kvm_coalesced_mmio_ring *coalesced; /* a page of the VM's memfd */
	int coalesced_fd;			   /* our own descriptor of it */
	struct coalesced_zone *zones;		   /* coalesced.c; under vm->lock */
	pthread_mutex_t coalesced_lock;		   /* the ring's producer side */

	/* under vm->lock until has_run, then constant */
	bool features_set; /* a vcpu was initialised: all others must have the same features */
	uint32_t features;
	bool id_set; /* id holds the VM's identification registers */
	bool writable_impl_ids;
	uint64_t id[CPU_ID_COUNT], id_limit[CPU_ID_COUNT]; /* now; and what the model can do */
	uint64_t ctr, ctr_limit, clidr;
	uint64_t impl[3];	       /* MIDR, REVIDR, AIDR */
	_Atomic unsigned pmu_counters; /* event counters of each vcpu */
	unsigned long *pmu_filter;     /* pmu.c: a bit per event that may be counted; NULL: all */
	pthread_mutex_t id_lock;       /* writers of the above: ONE_REG on several vcpus; a leaf */

	struct lint *lint;
	struct stats stats;	       /* under memslots->lock */
	_Atomic uint32_t debug_policy; /* PAWL_DEBUG_*; each vcpu looks when KVM_RUN begins */
	pthread_mutex_t breaks_lock;   /* a leaf */
	struct break_list *breaks;     /* PAWL_CAP_BREAKPOINTS; under breaks_lock; NULL: there has never been one */

	uint32_t dirty_ring_bytes; /* of each vcpu; 0: none. Under vm->lock until there are vcpus, then constant */

	/* under memslots' lock: memslot.c */
	bool manual_dirty, dirty_initially_set;
	uint64_t split_chunk; /* bytes; KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE */
	bool dirty_ring_bitmap; /* beside the rings: a log of what was written without a vcpu. Constant once there are slots */
};

/* Dead, or made before a fork: every ioctl gives EIO. */
static inline bool vm_is_foreign(const struct vm *vm)
{
	return atomic_load_explicit(&vm->dead, memory_order_relaxed) || vm->priv->generation != file_generation();
}

/* ---- vcpu.c */
long vcpu_create(struct vm *vm, unsigned long id); /* descriptor or -errno */
/* The VM is going: first no timer of the vcpu fires any more, later the vcpu itself goes. */
void vcpu_cancel_timers(struct vcpu *vcpu);
void vcpu_destroy(struct vcpu *vcpu);
/* First KVM_RUN of this thread: 0 or what keeps the vcpu from running. */
int vcpu_prepare_run(struct vcpu *vcpu);

/* ---- run.c */
int vcpu_run(struct vcpu *vcpu); /* KVM_RUN: 0 or -errno. Under vcpu->mutex */

/* ---- request.c */
/* The vcpu whose KVM_RUN is on this thread, or NULL. Handlers of signals look at it. */
extern __thread struct vcpu *vcpu_running __attribute__((tls_model("initial-exec")));
static inline struct vcpu *vcpu_current(void)
{
	return vcpu_running;
}
/* KVM_RUN begins: forget signals of before, take those from now on. */
static inline void request_enter(struct vcpu *vcpu)
{
	atomic_store_explicit(&vcpu->signal_ran, false, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	vcpu_running = vcpu;
	atomic_signal_fence(memory_order_seq_cst);
}
static inline void request_leave(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	vcpu_running = NULL;
}
static inline bool request_immediate_exit(const struct vcpu *vcpu)
{
	return *(volatile const uint8_t *)&vcpu->run->immediate_exit != 0;
}
/* Something but plain running is asked for; cheap. */
static inline bool request_pending(struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->requests, memory_order_acquire) |
	       atomic_load_explicit(&vcpu->signal_ran, memory_order_relaxed) |
	       (atomic_load_explicit(&vcpu->mp_state, memory_order_relaxed) != KVM_MP_STATE_RUNNABLE) |
	       atomic_load_explicit(&vcpu->vm->dead, memory_order_relaxed);
}
int request_handle(struct vcpu *vcpu); /* RESUME_GUEST, EXIT_USER, -errno */
/* A signal that KVM_SET_SIGNAL_MASK lets in and the thread blocks is pending. One system call. */
bool request_masked_signal(struct vcpu *vcpu);
void request_arm_tick(struct vcpu *vcpu);
void request_vcpu_init(struct vcpu *vcpu);
void request_vcpu_destroy(struct vcpu *vcpu);

/* ---- exit.c */
int exit_handle(struct vcpu *vcpu); /* after CPU_EXIT_TRAP */

/* ---- abort.c */
int abort_handle(struct vcpu *vcpu, uint64_t esr);

/* ---- lint.c */
extern bool lint_always; /* PAWL_LINT; set by lint_init */
void lint_init(void);
int lint_vm_init(struct vm *vm); /* 0, -ENOMEM */
void lint_vm_destroy(struct vm *vm);
void lint_set_report(struct vm *vm, void (*report)(void *arg, const struct pawl_finding *finding), void *arg);
void lint_found(struct vcpu *vcpu, enum pawl_lint kind, uint64_t pc, ipa_t ipa);
void lint_step(struct vcpu *vcpu, uint64_t pc);
static inline bool lint_on(const struct vcpu *vcpu)
{
	return vcpu->debug.policy & PAWL_DEBUG_LINT;
}

/* ---- mmio.c */
struct mmio_op { /* a decoded access: ABI 7.3, MMIO */
	ipa_t ipa;
	uint8_t len; /* bytes: 1, 2, 4, 8 */
	uint8_t rt;
	bool is_write, sse, sf;
};
struct mmio_op mmio_decode(uint64_t esr, ipa_t ipa); /* ISS.ISV is set */
int mmio_access(struct vcpu *vcpu, uint64_t esr, ipa_t ipa);
int mmio_window(struct vcpu *vcpu); /* an access that the PE asks for: cpu->window */
void mmio_complete(struct vcpu *vcpu);
uint64_t mmio_extend(uint64_t val, unsigned len, bool sse, bool sf);

/* ---- iobus.c, coalesced.c */
int iobus_vm_init(struct vm *vm);
void iobus_vm_destroy(struct vm *vm);
int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
void coalesced_vm_destroy(struct vm *vm);

/* ---- sysreg.c, idreg.c, one_reg.c, pmu.c */
int sysreg_trap(struct vcpu *vcpu, uint64_t esr);
int sysreg_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val); /* ONE_REG: 0, -ENOENT */
int sysreg_set(struct vcpu *vcpu, uint32_t enc, uint64_t val);	/* 0, -ENOENT, -EINVAL, -EBUSY */
/* Encodings that the client may see, ascending; returns how many there are, stores at most max. */
unsigned sysreg_list(const struct vcpu *vcpu, uint32_t *encs, unsigned max);
uint32_t ccsidr_get(const struct vcpu *vcpu, unsigned csselr);
int ccsidr_set(struct vcpu *vcpu, unsigned csselr, uint32_t val);

void idreg_vm_init(struct vm *vm, const struct cpu *model);
void idreg_vm_gic(struct vm *vm);	 /* ID_AA64PFR0_EL1.GIC */
void idreg_vcpu_init(struct vcpu *vcpu); /* the VM's values into the PE */
int idreg_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val);
int idreg_set(struct vcpu *vcpu, uint32_t enc, uint64_t val);
int idreg_writable_masks(struct vm *vm, const struct reg_mask_range *range);

int one_reg_get(struct vcpu *vcpu, const struct kvm_one_reg *reg);
int one_reg_set(struct vcpu *vcpu, const struct kvm_one_reg *reg);
int one_reg_list(struct vcpu *vcpu, uint64_t list);

enum { PMU_COUNTERS = 6 };
int pmu_vcpu_init(struct vcpu *vcpu); /* the feature is on: 0, -ENOMEM */
void pmu_vcpu_destroy(struct vcpu *vcpu);
void pmu_vcpu_reset(struct vcpu *vcpu);
int pmu_first_run(struct vcpu *vcpu);				    /* 0, -EINVAL: no KVM_ARM_VCPU_PMU_V3_INIT */
int pmu_guest_read(struct vcpu *vcpu, uint32_t enc, uint64_t *val); /* 0, -ENOENT: UNDEFINED */
int pmu_guest_write(struct vcpu *vcpu, uint32_t enc, uint64_t val);
int pmu_client_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val);
int pmu_client_set(struct vcpu *vcpu, uint32_t enc, uint64_t val);
void pmu_update(struct vcpu *vcpu);	  /* before the guest is entered, if vcpu->pmu_busy */
void pmu_cancel_timer(struct vcpu *vcpu); /* the VM is going */

/* ---- model.c: which CPU a VM has */
int model_vm_init(struct vm *vm);
bool model_has_ptrauth(const struct vm *vm);	    /* NULL: a new VM would */
int model_enable_cap(struct vm *vm, uint64_t name); /* 0, -EFAULT, -EINVAL, -EBUSY */

/* ---- inject.c */
void inject_sync(struct vcpu *vcpu, uint64_t esr); /* at the instruction that did it */
void inject_abort(struct vcpu *vcpu, bool fetch, uint64_t far, unsigned fsc);
int inject_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev);
int inject_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev);

/* ---- debug.c */
enum { DEBUG_BREAKS_MAX = 65536 };
enum {
	DEBUG_POLICIES = PAWL_DEBUG_HOLD_IRQS | PAWL_DEBUG_KEEP_MONITOR | PAWL_DEBUG_WFI_RETURNS |
			 PAWL_DEBUG_EMULATE_MMIO | PAWL_DEBUG_LINT
};
int debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *dbg);
void debug_load(struct vcpu *vcpu);   /* KVM_RUN begins */
void debug_put(struct vcpu *vcpu);    /* KVM_RUN ends */
void debug_update(struct vcpu *vcpu); /* the guest's MDSCR_EL1 or OS lock changed */
int debug_exit(struct vcpu *vcpu, uint64_t esr);
bool debug_holds_irqs(const struct vcpu *vcpu);			/* PAWL_DEBUG_HOLD_IRQS for a vcpu that is stepped */
int debug_set_breaks(struct vm *vm, uint64_t addr, uint64_t n); /* PAWL_CAP_BREAKPOINTS: 0, -EINVAL, -EFAULT, -ENOMEM */
void debug_vcpu_destroy(struct vcpu *vcpu);
void debug_vm_destroy(struct vm *vm);
int debug_set_policy(struct vm *vm, uint64_t policy); /* KVM_ENABLE_CAP of PAWL_CAP_DEBUG: 0, -EINVAL */
/* Apply a marked PC advance. */
static inline void vcpu_commit_pc(struct vcpu *vcpu)
{
	if (vcpu->pc_advance) {
		vcpu->pc_advance = false;
		if (__builtin_expect(vcpu->cpu->count.insns, 0))
			cpu_count_instruction(vcpu->cpu, cpu_el(vcpu->cpu));
		vcpu->cpu->env.pc += 4;
		vcpu->cpu->pstate &= ~(PSR_SS | PSR_BTYPE);
	}
}

/* ---- memslot.c, dirty.c */
int memslot_vm_init(struct vm *vm);
void memslot_vm_destroy(struct vm *vm);
int memslot_set(struct vm *vm, const struct kvm_userspace_memory_region2 *region);
bool memslot_is_guest_memfd(struct vm *vm, ipa_t ipa);
/* fn(arg), with no PE of these VMs (a list by next_vm, under all_vms_lock) in the guest that uses this memory of the process */
int memslot_change_memory(struct vm *vms, uint64_t from, uint64_t to, int (*fn)(void *arg), void *arg);
void memslot_forget_memory(struct vm *vms, uint64_t from, uint64_t to);
int memslot_enable_manual_dirty(struct vm *vm, uint64_t flags);
int dirty_get_log(struct vm *vm, const struct kvm_dirty_log *log);
int dirty_clear_log(struct vm *vm, const struct kvm_clear_dirty_log *log);
unsigned dirty_pages_per_bit(void); /* 4 KiB pages in one of the client's */

/* ---- stats.c */
int stats_init(struct stats *s, unsigned count); /* 0, -ENOMEM */
void stats_destroy(struct stats *s);
bool stats_is_fd(int fd);	      /* what stats_vm_fd or stats_vcpu_fd gave to this process, or a duplicate */
int stats_vm_fd(struct vm *vm);	      /* under memslots->lock */
int stats_vcpu_fd(struct vcpu *vcpu); /* under vcpu->mutex */
void stats_wait(struct vcpu *vcpu, unsigned stat, uint64_t ns);

/* ---- dirty_ring.c */
int dirty_ring_enable(struct vm *vm, uint32_t bytes); /* vm->lock held */
int dirty_ring_enable_bitmap(struct vm *vm);
size_t dirty_ring_offset(void); /* in the vcpu's descriptor */
size_t dirty_ring_file_size(const struct vm *vm);
int dirty_ring_vcpu_create(struct vcpu *vcpu, int fd); /* 0, -errno */
void dirty_ring_vcpu_destroy(struct vcpu *vcpu);
bool dirty_ring_is_full(const struct vcpu *vcpu);	      /* vcpu thread */
bool dirty_ring_log(void *vcpu, unsigned tag, uint64_t page); /* cpu_platform.log_dirty */
/* What the hypervisor itself stores: on this thread runs a vcpu of the VM, whose ring has room; then one entry of it. */
bool dirty_ring_here(const struct vm *vm);
void dirty_ring_log_own(unsigned slot, uint64_t page);
int dirty_ring_reset(struct vm *vm);

#endif
