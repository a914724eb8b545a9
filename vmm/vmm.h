/* SPDX-License-Identifier: MIT */
/**
 * @file vmm.h
 * The machine of `pawl run`: address-compatible with the `virt` board of QEMU, as far as it goes. An ordinary KVM
 * client, which runs on libpawl or on a kernel's /dev/kvm.
 *
 *     machine_create()   files are read and checked, the VM is made; nothing has run
 *     machine_run()      until the machine ends
 *     machine_destroy()
 */
#ifndef PAWL_VMM_H
#define PAWL_VMM_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "gdb.h"
#include "sys.h"

/** How a machine ended; exit statuses of `pawl run` (pawl-run(1)). */
enum machine_status {
	MACHINE_POWERED_OFF = 0,
	MACHINE_FAILED = 1,   /**< something of the host's failed: a file, memory, KVM, the console */
	MACHINE_RESET = 3,    /**< the guest asked for a reset, and there is to be none */
	MACHINE_CRASHED = 4,  /**< a vcpu cannot go on: KVM_RUN failed */
	MACHINE_QUIT = 5,     /**< the user ended it: the console's quit key, the debugger's kill, the control socket */
	MACHINE_PANICKED = 6, /**< the guest's kernel said so */
	/** 0..255, whatever the guest has written to the exit port */
	MACHINE_TIMED_OUT = 124, /**< as timeout(1) has it */
	MACHINE_SIGNALLED = 128	 /**< plus the number of the signal that ended it */
};

struct machine;

enum { MACHINE_MAX_VIRTIO = 32 };

/** What an option makes: a device in one of the board's virtio-mmio slots. */
enum virtio_kind {
	VIRTIO_NONE,
	VIRTIO_DISK,	/**< "FILE[,ro|,snapshot][,serial=TEXT]"; FILE may be an nbd URI */
	VIRTIO_NET,	/**< "user[,hostfwd=...]", "tap=NAME", "passt=SOCKET", with [,mac=ADDRESS] */
	VIRTIO_SHARE,	/**< "DIR[,ro][,tag=TAG]" */
	VIRTIO_RNG,	/**< no argument */
	VIRTIO_CONSOLE, /**< "pty", "unix:PATH", "file:PATH" */
	VIRTIO_VSOCK,	/**< "PATH[,cid=N]" */
	VIRTIO_BALLOON, /**< "SIZE" */
};

struct virtio_spec {
	unsigned kind;
	const char *arg; /**< the option's argument, or NULL */
};

/** What the process may still do once a machine is set up, besides what every machine needs; see sandbox.c. */
struct sandbox {
	bool on;
	bool network;	 /**< it resolves names and makes connections for the guest */
	const char *gdb; /**< path of a debugger's unix socket, or NULL */
	const char *control, *pidfile;
	unsigned n_shares;
	struct {
		const char *path;
		bool read_only;
	} shares[MACHINE_MAX_VIRTIO];
	unsigned n_sockets;
	const char *sockets[MACHINE_MAX_VIRTIO]; /**< of devices: removed at the end */
};

struct machine_config {
	const struct kvm_sys *sys;
	const char *kvm_path;	/**< for sys->open */
	const char *kernel;	/**< file; NULL only for machine_dump_dtb() and with firmware */
	const char *initrd;	/**< file, or NULL */
	const char *append;	/**< kernel command line, or NULL */
	const char *firmware;	/**< file for the first flash bank, where the machine then starts; or NULL */
	const char *flash_vars; /**< file for the second, created if missing; or NULL: forgotten at the end */
	const char *cpu;	/**< model, or NULL for what KVM has */
	const char *dtb;	/**< file with a device tree in place of the machine's own, or NULL */
	uint64_t memory;	/**< bytes, a multiple of 64 KiB */
	unsigned smp;		/**< vcpus, 1..machine_max_vcpus() */
	bool held;		/**< the vcpus wait for the debugger's resume() */
	bool verbose;
	bool emulate_mmio;		  /**< PAWL_DEBUG_EMULATE_MMIO and PAWL_DEBUG_LINT hold */
	const struct virtio_spec *virtio; /**< used by machine_create() only */
	unsigned n_virtio;		  /**< at most MACHINE_MAX_VIRTIO */
	bool virtio_legacy;		  /**< version 1 of the transport */
	struct sandbox sandbox;		  /**< off: the process stays as it is */
	bool no_reboot;			  /**< a reset ends the machine */
	bool stats;			  /**< print statistics at the end, and on SIGUSR1 */
	uint64_t timeout_ms;		  /**< the machine ends after that time; 0: never */
	const char *control;		  /**< path of the control socket, or NULL */
	/**
	 * The control socket's "gdb" command: have a debugger's server listen at address, all vcpus stopped. Main
	 * thread. 0, or -1 with a message.
	 */
	int (*listen_gdb)(void *arg, struct machine *m, const char *address, struct vmm_error *err);
	void *listen_gdb_arg;
};

/** Whether the specification makes sense, as far as that can be said without opening anything. 0, or -1 with a message. */
int machine_check_virtio(const struct virtio_spec *spec, struct vmm_error *err);

unsigned machine_max_vcpus(void);

/** @return the machine, or NULL with a message. Nothing is left behind then. */
struct machine *machine_create(const struct machine_config *config, struct vmm_error *err);
/**
 * Run the machine and its console until it ends. Call it on the main thread; it takes over the terminal and the signals
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGTSTP, and gives both back.
 * @return the status, after all vcpus have stopped.
 */
int machine_run(struct machine *m);
/**
 * Between machine_create() and the first thread that is started besides: give up the file system, as far as config.sandbox
 * says. machine_run() gives up the rest. What the host cannot do is said once, on standard error.
 */
void machine_confine(struct machine *m);
/** Whether this build can: not with a sanitizer that needs more. */
extern const bool machine_can_confine;
void machine_destroy(struct machine *m);

/** Write the device tree that the guest would get to a file. 0, or -1 with a message and no file. */
int machine_dump_dtb(const struct machine_config *config, const char *path, struct vmm_error *err);

/** The debugger's view of the machine; pass the machine as target. */
extern const struct gdb_target_ops machine_gdb_ops;

#endif
