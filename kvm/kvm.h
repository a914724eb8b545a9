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
#include <stdint.h>

#include <pawl/kvm.h>

#include "cpu.h"

struct vm;
struct vcpu;
struct vgic;
struct vgic_cpu;

/* Exit handlers return RESUME_GUEST, EXIT_USER (run->exit_reason is set), or a negative errno. */
enum { EXIT_USER = 0, RESUME_GUEST = 1 };

enum { VM_MAX_VCPUS = 512 };

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
void iobus_remove(struct vm *vm, struct io_dev *dev);
/* vcpu thread, in KVM_RUN. 0 handled, -EOPNOTSUPP no device */
int iobus_read(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t *val);
int iobus_write(struct vcpu *vcpu, ipa_t ipa, unsigned len, uint64_t val);

/* ---- request.c: kicks and waiting */
/* Any thread: make the vcpu leave the guest or its wait, and look at its requests, interrupts and signals. */
void vcpu_kick(struct vcpu *vcpu);

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
void service_timer_cancel(struct vm *vm, struct service_timer *t); /* waits for a running fn */
/* Call fn(arg, fd) on the service thread whenever fd (an eventfd) is readable; fn reads it. */
int service_fd_add(struct vm *vm, int fd, void (*fn)(void *arg, int fd), void *arg);
void service_fd_remove(struct vm *vm, int fd, void *arg); /* waits for a running fn */

struct vcpu_debug { /* debug.c; guest-debug.md section 4 gives the names P, G, H (P is the live PSTATE.SS in cpu) */
	uint32_t control; /* KVM_GUESTDBG_*, 0 = off */
	bool g;		  /* guest's own PSTATE.SS while the host steps */
	bool h;		  /* host step pending: an instruction is done and not yet reported */
	struct cpu_dbg_regs regs; /* USE_HW */
};

struct vcpu_mmio { /* mmio.c: the access a KVM_EXIT_MMIO is owed for */
	bool pending;
	bool is_write, sse, sf;
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
	bool pc_advance;   /* an emulated instruction is to be skipped: applied at entry or on the way out (vcpu_skip_instr) */
	struct vcpu_mmio mmio;
	struct vcpu_debug debug;
	bool sigmask_set;
	uint64_t sigmask;
	pthread_t thread; /* last KVM_RUN caller */

	/* atomic, any thread; see request.c */
	_Atomic uint32_t requests;
	_Atomic int mp_state; /* KVM_MP_STATE_* */
	struct { uint64_t pc, x0; bool be; } reset; /* PSCI CPU_ON, read after the request bit */

	struct service_timer timer_deadline[CPU_TIMER_COUNT]; /* timer.c */
	bool timer_level[CPU_TIMER_COUNT];
	void *priv; /* vcpu.c */
};

struct vm {
	int fd;
	struct cpu_group *group;
	unsigned ipa_bits;
	pthread_mutex_t lock; /* creation of vcpus and devices, VM-wide settings. Order: docs/locking.md */
	_Atomic unsigned n_vcpus;
	struct vcpu *vcpus[VM_MAX_VCPUS]; /* by index; entries below n_vcpus are set and never change until the VM goes */
	_Atomic bool has_run;
	_Atomic bool dead; /* every later ioctl: EIO */
	struct vgic *vgic; /* NULL without an in-kernel irqchip */
	uint32_t timer_ppi[CPU_TIMER_COUNT]; /* INTIDs: 27 virtual, 30 physical */
	bool nisv_to_user, system_suspend;
	struct vm_priv *priv; /* vm.c: memslots, bus, routing, service thread, ... */
};

struct vcpu *vm_vcpu_by_id(struct vm *vm, unsigned id);
struct vcpu *vm_vcpu_by_mpidr(struct vm *vm, uint64_t mpidr); /* affinity fields only */
/* All vcpu mutexes or -EBUSY with none held. Device attribute accesses need vcpus out of KVM_RUN. Caller holds vm->lock. */
int vm_lock_all_vcpus(struct vm *vm);
void vm_unlock_all_vcpus(struct vm *vm);
/* Guest memory through memslots, for devices. 0, or -EFAULT if any byte is outside. */
int vm_read_guest(struct vm *vm, ipa_t ipa, void *buf, uint64_t len);
int vm_write_guest(struct vm *vm, ipa_t ipa, const void *buf, uint64_t len);

#endif
