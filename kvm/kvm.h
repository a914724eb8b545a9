/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's objects: VM, vcpu, and how they hang together. The kernel manual: Documentation/virt/kvm/api.rst.
 * Internal to kvm/; clients see include/pawl only.
 */
#ifndef PAWL_KVM_INTERNAL_H
#define PAWL_KVM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pawl/kvm.h>

#include "cpu.h"

struct vm;
struct vcpu;
struct vgic;
struct vgic_cpu;
struct vcpu_pmu;
struct vcpu_timers;
struct service;
struct hypercall;
struct eventfds;
struct memslots;
struct iobus;
struct file;
struct vm_priv;
struct dirty_ring;

/* Exit handlers return RESUME_GUEST, EXIT_USER (run->exit_reason is set), or a negative errno. */
enum { EXIT_USER = 0, RESUME_GUEST = 1 };

enum { VM_MAX_VCPUS = 512 };
enum { HALT_POLL_NS = 200000 }; /* request.c: unless the client says another */

/* ---- iobus.c: IPA -> in-kernel device */
struct io_dev;
struct io_dev_ops {
	/* off is relative to base; len 1, 2, 4 or 8; little endian. 0 handled, -EOPNOTSUPP not mine (ask the next, or user space). */
	int (*read)(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t *val);
	int (*write)(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t val);
};
struct io_dev {
	ipa_t base;
	uint64_t size; /* bytes */
	const struct io_dev_ops *ops;
	struct io_dev *next; /* iobus.c */
};
int iobus_add(struct vm *vm, struct io_dev *dev); /* 0, -ENOSPC. Takes vm->iobus_lock */
/* memslot.c: registers that are mapped into the guest, stage2.device. Once for a VM, vm->lock held. 0, -ENOMEM */
int memslot_set_device(struct vm *vm, ipa_t base, uint64_t size);
void iobus_remove(struct vm *vm, struct io_dev *dev);
/* vcpu thread, in KVM_RUN. 0 handled, -EOPNOTSUPP no device */
int iobus_read(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t *val);
int iobus_write(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t val);

/* ---- request.c: kicks, requests, waiting; docs/locking.md for the protocol */
/* Any thread: make the vcpu leave the guest or its wait, and look at its requests, interrupts and signals. */
void vcpu_kick(struct vcpu *vcpu);
enum vcpu_req {
	REQ_RESET = 1u << 0, /* PSCI CPU_ON: vcpu->reset is filled in; mp_state is already RUNNABLE */
	REQ_PMU = 1u << 2,   /* a counter may have overflowed: nothing to do but to look around */
	REQ_TICK = 1u << 1,  /* look for signals that only KVM_SET_SIGNAL_MASK lets in */
	REQ_WAKE = 1u << 3,  /* a wait with a timeout is over: nothing else to do */
};
/* Any thread: post a request (bits of enum vcpu_req) and kick. What the poster stored before is seen by the handler. */
void vcpu_request(struct vcpu *vcpu, uint32_t req);
/* vcpu thread in KVM_RUN: WFI. Returns RESUME_GUEST when an interrupt is pending (whatever PSTATE masks), else -EINTR. */
int vcpu_wait_for_interrupt(struct vcpu *vcpu);
int vcpu_wait_with_timeout(struct vcpu *vcpu, uint64_t counts); /* of the system counter from now on */
/* SYSTEM_OFF, SYSTEM_RESET: every vcpu to KVM_MP_STATE_STOPPED, and kicked. Any thread. */
void vm_stop_all_vcpus(struct vm *vm);

/* ---- vcpu.c */
/*
 * Warm reset of registers, timers, GIC CPU interface (KVM_ARM_VCPU_INIT, PSCI CPU_ON). Under vcpu->mutex. A
 * marked PC advance is dropped; the debugger's H is kept (guest-debug.md 4).
 */
void vcpu_reset(struct vcpu *vcpu);
/* Apply a PSCI reset that is still pending (before register accesses and at entry). Under vcpu->mutex. */
void vcpu_apply_reset(struct vcpu *vcpu);

/* ---- debug.c */
/*
 * The instruction at PC has been emulated: PC += 4, PSTATE.SS and BTYPE := 0, all of it at the next entry or on the way
 * out of KVM_RUN. Not for HVC: there the PE has moved on by itself.
 */
void vcpu_skip_instr(struct vcpu *vcpu);

/* ---- exit.c */
/* Fill in KVM_EXIT_SYSTEM_EVENT; returns EXIT_USER. ndata 0 or 1. */
int exit_system_event(struct vcpu *vcpu, uint32_t type, unsigned ndata, uint64_t flags);

/* ---- inject.c: exceptions for EL1; under vcpu->mutex. ELR is PC as it is now */
void inject_undef(struct vcpu *vcpu);
void inject_serror(struct vcpu *vcpu, uint64_t iss);

/* General register as an instruction operand: 31 is XZR. */
static inline uint64_t vcpu_get_reg(const struct vcpu *vcpu, unsigned rt);
static inline void vcpu_set_reg(struct vcpu *vcpu, unsigned rt, uint64_t val);

/* ---- hypercall.c, psci.c */
int hypercall_vm_init(struct vm *vm); /* sets vm->hypercall; 0, -ENOMEM */
void hypercall_vm_destroy(struct vm *vm);
/*
 * SMCCC call of the guest: x0 is the function id. vcpu thread. PC already is, or is marked to be, past the instruction.
 * An exit handler's result: RESUME_GUEST, EXIT_USER (KVM_EXIT_HYPERCALL, KVM_EXIT_SYSTEM_EVENT), -EINTR (CPU_SUSPEND).
 */
int hypercall_handle(struct vcpu *vcpu, bool smc);
bool hypercall_random(void *opaque, uint64_t *val); /* struct cpu_platform: random */
/* KVM_ARM_VM_SMCCC_CTRL / FILTER. 0, -EINVAL, -EEXIST, -EBUSY. vm->lock held */
int hypercall_set_filter(struct vm *vm, const struct kvm_smccc_filter *filter);
/* Firmware registers (ONE_REG coproc 0x14 and 0x16), ids in listing order. Under vcpu->mutex */
extern const uint64_t hypercall_fw_regs[];
extern const unsigned hypercall_n_fw_regs;
int hypercall_get_fw_reg(struct vcpu *vcpu, uint64_t id, uint64_t *val); /* 0, -ENOENT */
int hypercall_set_fw_reg(struct vcpu *vcpu, uint64_t id, uint64_t val);	 /* 0, -ENOENT, -EINVAL, -EBUSY */

/* ---- pvtime.c: KVM_ARM_VCPU_PVTIME_CTRL; -ENXIO where it does not exist. Under vcpu->mutex */
int pvtime_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int pvtime_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int pvtime_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
bool pvtime_supported(void);
void pvtime_features(struct vcpu *vcpu); /* PV_TIME_FEATURES */
void pvtime_start(struct vcpu *vcpu);	 /* PV_TIME_ST */
void pvtime_record(struct vcpu *vcpu);	 /* pvtime.set: what was stolen since the last time. vcpu thread */
void pvtime_vcpu_destroy(struct vcpu *vcpu);

/* ---- timer.c */
int timer_vcpu_create(struct vcpu *vcpu); /* vm->lock held. CNTVCT restarts at 0. 0, -ENOMEM */
void timer_vcpu_destroy(struct vcpu *vcpu);
void timer_vcpu_reset(struct vcpu *vcpu); /* CTL 0, lines low. Under vcpu->mutex */
int timer_vcpu_first_run(
	struct vcpu *vcpu);	  /* PPIs distinct and claimed: 0, -EINVAL. Once per vcpu, after the vgic is mapped */
void timer_changed(void *opaque); /* cpu_platform.timer_changed; opaque is the vcpu */
/* Without an in-kernel irqchip: copy the lines to run->s.regs.device_irq_level; true if that changed. vcpu thread */
bool timer_update_user_level(struct vcpu *vcpu);
uint64_t timer_next_rise(struct vcpu *vcpu); /* the counter when the next line goes up; UINT64_MAX: none by itself */
/* Around a poll of the vcpu thread, which raises the lines itself when their time has come. */
void timer_poll_begin(struct vcpu *vcpu);
void timer_poll_end(struct vcpu *vcpu);
int timer_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr); /* KVM_ARM_VCPU_TIMER_CTRL */
int timer_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int timer_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int timer_set_counter_offset(struct vm *vm,
			     const struct kvm_arm_counter_offset *off); /* 0, -EINVAL, -EBUSY. vm->lock held */
/* The six timer register ids of ONE_REG (two are swapped in the ABI). 0, -ENOENT: not one of them. Under vcpu->mutex */
int timer_get_reg(struct vcpu *vcpu, uint64_t id, uint64_t *val);
int timer_set_reg(struct vcpu *vcpu, uint64_t id, uint64_t val);

/* ---- eventfd.c: irqfd, ioeventfd, GSI routing, MSI, KVM_IRQ_LINE. Arguments are copies, entries a copy too */
int eventfd_vm_init(struct vm *vm); /* sets vm->eventfd; 0, -ENOMEM */
void eventfd_vm_destroy(struct vm *vm);
int irqfd_ioctl(struct vm *vm, const struct kvm_irqfd *args);
int ioeventfd_ioctl(struct vm *vm, const struct kvm_ioeventfd *args);
int irq_routing_ioctl(struct vm *vm, const struct kvm_irq_routing *head, const struct kvm_irq_routing_entry *entries);
int irq_line_ioctl(struct vm *vm, const struct kvm_irq_level *args);
int signal_msi_ioctl(struct vm *vm, const struct kvm_msi *args);

/* ---- pmu.c */
int pmu_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int pmu_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);
int pmu_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr);

/* ---- client.c: arguments in the client's memory. 0 or -EFAULT */
int client_read(void *dst, uint64_t src, size_t len);
int client_write(uint64_t dst, const void *src, size_t len);

/* ---- service.c: the VM's service thread, started on first need */
/*
 * Ask for service_deadline callbacks: fn(arg) runs on the service thread once the group counter reaches `deadline`
 * (UINT64_MAX: never). One per struct service_timer; re-arming replaces. Any thread.
 */
struct service_timer {
	uint64_t deadline; /* service.c, under its lock */
	void (*fn)(void *arg);
	void *arg;
	struct service_timer *next;
	bool queued;
};
void service_timer_arm(struct vm *vm, struct service_timer *t, uint64_t deadline);
/* To a later deadline: the thread does not wake for the one before. */
void service_timer_defer(struct vm *vm, struct service_timer *t, uint64_t deadline);
void service_timer_cancel(struct vm *vm, struct service_timer *t); /* waits for a running fn */
int service_vm_init(struct vm *vm);	/* sets vm->service, starts no thread yet; 0, -ENOMEM */
void service_vm_destroy(struct vm *vm); /* stops the thread; no callback runs after it */
/* Call fn(arg, fd) on the service thread whenever fd (an eventfd) is readable; fn reads it. */
int service_fd_add(struct vm *vm, int fd, void (*fn)(void *arg, int fd), void *arg);
void service_fd_remove(struct vm *vm, int fd, void *arg); /* waits for a running fn */

/* ---- stats.c: counters, each a value or a histogram of STAT_HIST values. Written by one thread at a time */
struct stats {
	uint64_t *value; /* own, or inside of file */
	uint64_t *own;
	void *file; /* NULL: nobody has asked yet */
	size_t file_size;
	unsigned count;
	int fd; /* of file */
};
enum { STAT_HIST = 32 };
enum vm_stat { VM_STAT_REMOTE_TLB_FLUSH, VM_STAT_REMOTE_TLB_FLUSH_REQUESTS, VM_STAT_COUNT };
enum vcpu_stat {
	VCPU_STAT_HALT_SUCCESSFUL_POLL,
	VCPU_STAT_HALT_ATTEMPTED_POLL,
	VCPU_STAT_HALT_POLL_INVALID,
	VCPU_STAT_HALT_WAKEUP,
	VCPU_STAT_HALT_POLL_SUCCESS_NS,
	VCPU_STAT_HALT_POLL_FAIL_NS,
	VCPU_STAT_HALT_WAIT_NS,
	VCPU_STAT_HALT_POLL_SUCCESS_HIST,
	VCPU_STAT_HALT_POLL_FAIL_HIST = VCPU_STAT_HALT_POLL_SUCCESS_HIST + STAT_HIST,
	VCPU_STAT_HALT_WAIT_HIST = VCPU_STAT_HALT_POLL_FAIL_HIST + STAT_HIST,
	VCPU_STAT_BLOCKING = VCPU_STAT_HALT_WAIT_HIST + STAT_HIST,
	VCPU_STAT_HVC_EXIT,
	VCPU_STAT_WFE_EXIT,
	VCPU_STAT_WFI_EXIT,
	VCPU_STAT_MMIO_EXIT_USER,
	VCPU_STAT_MMIO_EXIT_KERNEL,
	VCPU_STAT_SIGNAL_EXITS,
	VCPU_STAT_EXITS,
	/* pawl's own */
	VCPU_STAT_EXIT_KICK, /* nothing of the guest's */
	VCPU_STAT_EXIT_EC,   /* by ESR_EL2.EC */
	VCPU_STAT_CPU = VCPU_STAT_EXIT_EC + 64,
	VCPU_STAT_COUNT = VCPU_STAT_CPU + CPU_STAT_COUNT
};

struct vcpu_debug { /* debug.c; guest-debug.md section 4 gives the names P, G, H (P is the live PSTATE.SS in cpu) */
	uint32_t control;	  /* KVM_GUESTDBG_*, 0 = off */
	bool g;			  /* guest's own PSTATE.SS while the host steps */
	uint32_t policy;	  /* PAWL_DEBUG_* that hold in this KVM_RUN */
	bool monitor;		  /* the exclusive monitor was set when it began */
	bool h;			  /* host step pending: an instruction is done and not yet reported */
	struct cpu_dbg_regs regs; /* USE_HW; zero with USE_LIST alone */
	struct break_list *list;  /* USE_LIST: a reference, taken when KVM_RUN began; or NULL */
};

struct vcpu_mmio { /* mmio.c: the access a KVM_EXIT_MMIO is owed for */
	bool pending;
	bool is_write, sse, sf;
	bool window; /* one that the PE asked for; the instruction is not complete with it */
	uint8_t len, rt;
};

struct vcpu {
	/* set at creation */
	struct vm *vm;
	unsigned id;	/* KVM_CREATE_VCPU argument; defines MPIDR */
	unsigned index; /* order of creation */
	int fd;
	struct cpu *cpu;
	struct kvm_run *run;   /* shared with the client */
	struct vgic_cpu *vgic; /* NULL without an in-kernel irqchip */

	pthread_mutex_t mutex; /* held by every vcpu ioctl but the unlocked ones */

	/* under mutex */
	bool initialized; /* KVM_ARM_VCPU_INIT was done */
	bool has_run;
	uint32_t features; /* KVM_ARM_VCPU_* bits, without POWER_OFF */
	bool pc_advance; /* an emulated instruction is to be skipped: applied at entry or on the way out (vcpu_skip_instr) */
	struct vcpu_mmio mmio;
	struct vcpu_debug debug;
	struct stats stats; /* written by the vcpu thread */
	bool sigmask_set;
	uint64_t sigmask;

	/* atomic, any thread; see request.c */
	_Atomic uint32_t requests;
	_Atomic int mp_state; /* KVM_MP_STATE_* */
	struct {
		uint64_t pc, x0;
		bool be;
	} reset;		 /* PSCI CPU_ON: stored before REQ_RESET is posted */
	_Atomic bool signal_ran; /* a handler ran on the thread in KVM_RUN, or immediate_exit came late */
	_Atomic bool sleeping;	 /* in the futex of request.c */
	_Atomic bool on_bus;	 /* inside an iobus access; pairs with the wait in iobus.c */

	struct service_timer timer_deadline[CPU_TIMER_COUNT]; /* timer.c */
	bool timer_level[CPU_TIMER_COUNT];		      /* written under the lock in timers */
	struct vcpu_timers *timers;			      /* timer.c */
	struct vcpu_pmu *pmu;				      /* pmu.c; NULL without KVM_ARM_VCPU_PMU_V3 */
	bool pmu_busy;					      /* pmu.c: something counts, or a register was written */
	bool pmu_level;					      /* pmu.c: the overflow interrupt; vcpu thread */
	struct vcpu_pvtime {
		uint64_t ipa;
		bool set;
		bool open; /* fd: the host's account of thread */
		int fd;
		pthread_t thread;
		uint64_t delay;	   /* ns; what fd said last */
	} pvtime;		   /* pvtime.c */
	uint64_t fault_far;	   /* VA of the last stage 2 abort, for an injected external abort */
	struct service_timer wfit; /* request.c: the end of a wait */
	struct service_timer tick; /* request.c: while KVM_SET_SIGNAL_MASK is in force */
	bool tick_armed;	   /* vcpu thread */
	uint32_t *ccsidr;	   /* vcpu.c: by CSSELR_EL1 */
	struct dirty_ring *ring;   /* dirty_ring.c; NULL without KVM_CAP_DIRTY_LOG_RING_ACQ_REL */

	/* request.c, vcpu thread: how many waits are slept for before one is polled for again; how many next time */
	unsigned poll_skip, poll_backoff;
};

struct vm {
	int fd;
	struct cpu_group *group;
	unsigned ipa_bits;
	pthread_mutex_t lock; /* creation of vcpus and devices, VM-wide settings. Order: docs/locking.md */
	_Atomic unsigned n_vcpus;
	struct vcpu
		*vcpus[VM_MAX_VCPUS]; /* by index; entries below n_vcpus are set and never change until the VM goes */
	_Atomic bool has_run;
	_Atomic bool dead;		     /* every later ioctl: EIO */
	struct vgic *vgic;		     /* NULL without an in-kernel irqchip */
	uint32_t timer_ppi[CPU_TIMER_COUNT]; /* INTIDs: 27 virtual, 30 physical */
	uint32_t timer_ppi_el2[2];	     /* timer.c: of the EL2 timers, which the client may name; 0: the default */
	bool counter_offset_set;	     /* timer.c: KVM_ARM_SET_COUNTER_OFFSET was used */
	bool nisv_to_user, system_suspend;
	bool has_its;		     /* vgic: KVM_CAP_MSI_DEVID */
	struct service *service;     /* service.c */
	struct hypercall *hypercall; /* hypercall.c */
	struct eventfds *eventfd;    /* eventfd.c */
	struct memslots *memslots;   /* memslot.c */
	struct iobus *iobus;	     /* iobus.c */
	struct vm_priv *priv;	     /* vm.c */
	unsigned host_cpus;	     /* that the process had when the VM was made */

	/* request.c: the longest wait that is polled for; KVM_CAP_HALT_POLL */
	_Atomic uint64_t halt_poll_ns;
};

static inline uint64_t vcpu_get_reg(const struct vcpu *vcpu, unsigned rt)
{
	return rt < 31 ? vcpu->cpu->env.x[rt] : 0;
}
static inline void vcpu_set_reg(struct vcpu *vcpu, unsigned rt, uint64_t val)
{
	if (rt < 31)
		vcpu->cpu->env.x[rt] = val;
}

/* vcpu thread in KVM_RUN */
static inline void stat_add(struct vcpu *vcpu, unsigned stat, uint64_t n)
{
	vcpu->stats.value[stat] += n;
}

struct vcpu *vm_vcpu_by_id(struct vm *vm, unsigned id);
struct vcpu *vm_vcpu_by_mpidr(struct vm *vm, uint64_t mpidr); /* affinity fields only */
/* All vcpu mutexes or -EBUSY with none held. Device attribute accesses need vcpus out of KVM_RUN. Caller holds vm->lock. */
int vm_lock_all_vcpus(struct vm *vm);
void vm_unlock_all_vcpus(struct vm *vm);
/* Guest memory through memslots, for devices. 0, or -EFAULT if any byte is outside. */
int vm_read_guest(struct vm *vm, ipa_t ipa, void *buf, uint64_t len);
int vm_write_guest(struct vm *vm, ipa_t ipa, const void *buf, uint64_t len);
bool vm_has_slot(struct vm *vm, ipa_t ipa); /* one that may be written; whether the host has the memory or not */

#endif
