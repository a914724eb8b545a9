/* SPDX-License-Identifier: MIT */
/**
 * @file gdb.h
 * The gdb server, and what it asks of the machine that it debugs.
 *
 * The server speaks the gdb remote protocol on one side and the KVM API on the other. It does not know who owns the
 * machine: whoever does hands it a struct gdb_target_ops. Registers, breakpoints, single steps and power states have
 * no operation here, because the KVM API has them already (KVM_GET/SET_ONE_REG, KVM_SET_GUEST_DEBUG,
 * KVM_GET_MP_STATE): the server calls them through vcpu_ioctl().
 *
 * The life of a vcpu, as a debugger sees it:
 *
 *     running --- stop() --------------------------> stopped
 *     running --- KVM_EXIT_DEBUG, a failed KVM_RUN -> stopped, with an event to be fetched by next_stop()
 *     stopped --- resume() with run[vcpu] ---------> running
 *
 * A stopped vcpu is outside KVM_RUN, and owes nothing: an access that left the guest as KVM_EXIT_MMIO has been answered
 * and completed (KVM_RUN with immediate_exit), so PC and all registers are those between two instructions. If that
 * completion was a single step, KVM still owes its report and makes it at the next KVM_RUN.
 *
 * One step of one vcpu is therefore: KVM_SET_GUEST_DEBUG with SINGLESTEP, resume() with only that vcpu set, wait for
 * fd() to be readable, next_stop(). All-stop over several vcpus is the server's work: when one vcpu stops with an event,
 * the others run on until stop().
 *
 * What needs no debugger (a condition that is false, a step inside a range) is decided on the vcpu's own thread, by the
 * struct gdb_hook given to attach(): changing threads costs a hundred times what a step costs.
 */
#ifndef PAWL_GDB_H
#define PAWL_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Why a vcpu stopped by itself. */
enum gdb_stop_kind {
	/** KVM_EXIT_DEBUG: a step, a breakpoint or a watchpoint; hsr and far say which. */
	GDB_STOP_DEBUG,
	/**
	 * KVM_RUN failed, or left with an exit that the machine cannot serve (KVM_EXIT_INTERNAL_ERROR, ...): error,
	 * exit_reason and text say how. Running on repeats it. Without a debugger the machine would have ended.
	 */
	GDB_STOP_FAULT,
	/**
	 * The machine has been reset: its memory is that of the start, and all its vcpus have stopped before their first
	 * instruction. Not a stop for the debugger: those that ran are to be resumed.
	 */
	GDB_STOP_RESET,
};

/** What next_stop() reports. */
struct gdb_stop {
	unsigned vcpu; /**< index, 0 .. n_vcpus() - 1 */
	enum gdb_stop_kind kind;
	uint64_t hsr;	      /**< GDB_STOP_DEBUG: ESR_EL2, kvm_run.debug.arch.hsr_high:hsr */
	uint64_t far;	      /**< GDB_STOP_DEBUG, watchpoints: the virtual address accessed */
	uint32_t exit_reason; /**< KVM_EXIT_* */
	int error;	      /**< GDB_STOP_FAULT: errno of KVM_RUN, 0 if it returned an exit reason */
	char text[160];	      /**< GDB_STOP_FAULT: one line for the user, without newline */
};

/** What a KVM_RUN returned with: for the user to look back at. */
struct gdb_exit {
	uint32_t reason; /**< KVM_EXIT_*; if error is not 0 KVM_RUN failed with it */
	int error;
	uint64_t address; /**< KVM_EXIT_MMIO: IPA; KVM_EXIT_DEBUG: far; KVM_EXIT_SYSTEM_EVENT: type */
	uint64_t value;	  /**< KVM_EXIT_MMIO: written or read; KVM_EXIT_DEBUG: hsr */
	uint8_t len;	  /**< KVM_EXIT_MMIO: bytes */
	bool is_write;
};

/** Asked on the vcpu's thread, outside KVM_RUN, when it has left with KVM_EXIT_DEBUG. */
struct gdb_hook {
	/**
	 * May use vcpu_ioctl() on this vcpu, read_mem() and write_mem().
	 * @return true: the vcpu goes on at once, there was nothing for a debugger. False: it stops with this event.
	 */
	bool (*goes_on)(void *arg, const struct gdb_stop *stop);
	void *arg;
};

/**
 * The machine under the debugger. Every function gets the `target` that was given to gdb_server_start(), and is
 * called on the server's thread only, one at a time. Between gdb_server_start() and the return of gdb_server_stop() all
 * of them work, also when the machine has powered off.
 *
 * Functions that can fail return 0 or a positive number, or a negative errno.
 */
struct gdb_target_ops {
	/** Number of vcpus; never changes. Index i is the vcpu made i-th; vcpu_id() is its KVM_CREATE_VCPU argument. */
	unsigned (*n_vcpus)(void *target);
	unsigned (*vcpu_id)(void *target, unsigned vcpu);

	/**
	 * A debugger is there: stop all vcpus, as stop() does. From here to detach() a failed KVM_RUN is GDB_STOP_FAULT
	 * and does not end the machine, and the hook is asked.
	 */
	void (*attach)(void *target, const struct gdb_hook *hook);
	/**
	 * The debugger has gone: events that were not fetched are dropped, all vcpus run. The server has turned guest
	 * debugging off and taken its breakpoints out of memory before.
	 */
	void (*detach)(void *target);

	/**
	 * Take those vcpus out of KVM_RUN whose which[index] is set, or all if which is NULL, and hold them there. Returns
	 * when they are stopped. Events stay queued.
	 */
	void (*stop)(void *target, const bool *which);
	/**
	 * Let those vcpus run whose run[index] is set; the others stay as they are. Whether a vcpu steps is a
	 * matter of its KVM_SET_GUEST_DEBUG. An event that was not fetched is dropped if its vcpu runs.
	 */
	void (*resume)(void *target, const bool *run);
	/**
	 * Fetch an event. A vcpu has one at the most. After stop() fetch until there is none left: two vcpus may
	 * have hit something at the same time.
	 * GDB_STOP_RESET comes alone, and also while no vcpu runs.
	 * @return 1 with *stop filled in, 0 if no event is queued. Never blocks.
	 */
	int (*next_stop)(void *target, struct gdb_stop *stop);
	/** A descriptor that polls readable (POLLIN) while next_stop() has something. Do not read it. */
	int (*fd)(void *target);

	/**
	 * An ioctl on a stopped vcpu's, the VM's, or the system descriptor, with the kernel's own arguments.
	 * @return what the ioctl returns, or a negative errno.
	 */
	int (*vcpu_ioctl)(void *target, unsigned vcpu, unsigned long request, void *arg);
	int (*vm_ioctl)(void *target, unsigned long request, void *arg);
	int (*dev_ioctl)(void *target, unsigned long request, void *arg);

	/**
	 * Guest RAM by IPA; device registers are never touched. Any time, also while vcpus run. The write makes new
	 * instructions visible to a vcpu that has KVM_SET_GUEST_DEBUG called on it, or was stopped, before it runs
	 * them.
	 * @return 0, or -EFAULT if any byte is outside RAM: then nothing was transferred.
	 */
	int (*read_mem)(void *target, uint64_t ipa, void *buf, size_t len);
	int (*write_mem)(void *target, uint64_t ipa, const void *buf, size_t len);

	/** Ranges of RAM: 1 and the i-th range, or 0 if there is none. */
	int (*ram)(void *target, unsigned i, uint64_t *ipa, uint64_t *size);

	/** An ioctl on the interrupt controller's device, while no vcpu runs. -ENODEV if there is none. */
	int (*gic_ioctl)(void *target, unsigned long request, void *arg);

	/**
	 * What a stopped vcpu's KVM_RUNs returned with, the last one at i = 0.
	 * @return 1 with *exit filled in, 0 if so many are not remembered.
	 */
	int (*last_exit)(void *target, unsigned vcpu, unsigned i, struct gdb_exit *exit);

	/** End the machine, as the console's quit key does. Returns at once; gdb_server_stop() follows from the owner.
	 */
	void (*kill)(void *target);
};

/**
 * A virtual address through a stopped vcpu's own stage 1 tables. Also on that vcpu's own thread,
 * while it is outside KVM_RUN.
 * @return 0 with *ipa set, or -EFAULT.
 */
int gdb_translate(const struct gdb_target_ops *ops, void *target, unsigned vcpu, uint64_t va, uint64_t *ipa);

struct gdb_server;

/**
 * Whether addr has the form of an address for gdb_server_start(); whether one can listen there is seen then.
 *
 * @param error receives one line for the user if it has not, without newline.
 */
bool gdb_address_is_valid(const char *addr, char *error, size_t error_size);

/**
 * Listen on an address and serve one debugger after another, on a thread of the server's own with all signals
 * blocked. Call it when the vcpus exist and none has run yet, so that a bad address is reported before the guest
 * starts.
 *
 * @param addr  a TCP port ("1234", on the loopback interface), "host:port", "[v6]:port", "unix:PATH" or a path with a
 * '/'.
 * @param held  the vcpus have been created stopped and wait for resume() or detach() (--gdb-wait); else they run until
 * a debugger attaches.
 * @param error receives one line for the user on failure, without newline.
 * @return the server, or NULL.
 */
struct gdb_server *gdb_server_start(const char *addr, const struct gdb_target_ops *ops, void *target, bool held,
				    char *error, size_t error_size);

/**
 * The machine has ended: tell a connected debugger (packet W with the exit status), close, remove a unix socket, end
 * the thread, free the server. Called by the owner of the machine, not on the server's thread. NULL is allowed.
 */
void gdb_server_stop(struct gdb_server *server, int status);

#endif
