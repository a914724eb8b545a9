/* SPDX-License-Identifier: MIT */
/*
 * Inside of the machine: its devices, its vcpus, and who may touch what. Outside of vmm/ only vmm.h is seen.
 *
 * Threads: the main thread runs the event loop (console input, signals, timers); one thread per vcpu; one per virtio
 * device; the console's writer. Locks, outermost first: a device's lock, a virtio device's run lock, the console's; machine.lock is never held together with
 * either, nor during an ioctl that can block.
 */
#ifndef PAWL_VMM_MACHINE_H
#define PAWL_VMM_MACHINE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <pawl/kvm.h>

#include "boot.h"
#include "console.h"
#include "error.h"
#include "gdb.h"
#include "loop.h"
#include "sys.h"
#include "vmm.h"

struct device;

/* A device's registers. off is relative to its base, len 1, 2 or 4, inside the device. Caller holds dev->lock. */
struct device_ops {
	uint32_t (*read)(struct device *dev, uint64_t off, unsigned len);
	void (*write)(struct device *dev, uint64_t off, unsigned len, uint32_t val);
	/*
	 * The board's reset line: registers as after power-on, interrupt output low, no work in flight. NULL if there
	 * is nothing to reset. Main thread, all vcpus stopped.
	 */
	void (*reset)(struct device *dev);
	void (*free)(struct device *dev);
};

struct device { /* the first member of each device's own structure */
	const struct device_ops *ops;
	pthread_mutex_t lock;
	/* The interrupt output. Called with lock held, so that levels arrive in order. */
	void (*set_irq)(void *arg, bool level);
	void *irq_arg;
	bool irq_level; /* under lock: what set_irq was told last */
};

/* Under dev->lock: drive the interrupt output; tells the interrupt controller of changes only. */
void device_irq(struct device *dev, bool level);

/* One row of the board: where a device is, what it needs, how the tree describes it. */
struct board_device {
	const char *name;
	uint64_t ipa, size; /* bytes */
	uint32_t spi;	    /* SPI number; INTID - 32 */
	/* NULL: the machine always has it */
	bool (*wanted)(const struct machine_config *config);
	/* NULL with a message, or with errno if the message is empty */
	struct device *(*create)(struct machine *m, const struct board_device *row, struct vmm_error *err);
	void (*fdt)(void *fdt, const struct board_device *dev); /* NULL: another row's speaks for it */
	const char *stdout_name;				/* FDT node name, if this is where the console is */
};

/* The memory map, as far as it is no row of the table; intro of machine.c */
#define BOARD_RAM UINT64_C(0x40000000)
enum {
	BOARD_GIC_DIST = 0x08000000,
	BOARD_GIC_DIST_SIZE = 0x10000,
	BOARD_GIC_REDIST = 0x080a0000,
	BOARD_GIC_REDIST_SIZE = 0x20000, /* per vcpu */
	BOARD_GIC_INTIDS = 288		 /* 256 SPIs */
};
enum { SLOT_RAM, SLOT_FLASH_CODE, SLOT_FLASH_VARS }; /* memory slots */

extern const struct board_device board_devices[]; /* machine.c */
extern const unsigned board_n_devices;

enum { VCPU_EXITS = 64 };

struct vcpu {
	/* set at creation */
	struct machine *m;
	unsigned index;
	int fd;
	struct kvm_run *run;
	uint64_t mpidr;
	pthread_t thread;
	bool started; /* thread is valid */

	/* vcpu thread only */
	bool owes; /* the last KVM_RUN left with an access that the next one completes */

	/* vcpu thread, and a debugger while it is stopped */
	struct gdb_exit exits[VCPU_EXITS]; /* a ring; exits[n_exits % VCPU_EXITS] is the next to be written */
	uint64_t n_exits;

	/* any thread; set after run->immediate_exit and before the signal */
	atomic_bool attention;

	/* under m->lock */
	bool hold;    /* a debugger wants it stopped; apart from machine.frozen */
	bool stopped; /* out of KVM_RUN, owing nothing */
	bool exited;  /* the thread is at its end */
	bool event;   /* stop is to be fetched */
	struct gdb_stop stop;
};

enum { MACHINE_MAX_VCPUS = 123 /* the redistributors' window */, MACHINE_MAX_DEVICES = 16, MACHINE_WARNED_PAGES = 64 };

/* Why all vcpus are stopped: bits of machine.frozen. A debugger's hold is apart from them. */
enum {
	FREEZE_PAUSE = 1,
	FREEZE_RESET = 2,
	FREEZE_WORK = 4 /* a short while, for something that needs them still */,
	FREEZE_VMCORE = 8
};

/* A file that is read again at a reset: a regular one stays open, of anything else the bytes are kept. */
struct source {
	const char *path;
	bool open; /* source_open() has been called */
	int fd;
	uint8_t *data;
	size_t size;
};

struct bytes {
	uint8_t *data; /* NULL: none */
	size_t size;
	bool mapped; /* else malloc'ed */
};

struct sources {
	struct source kernel, initrd, firmware, dtb;
};

/*
 * What a condition variable is for, on a futex. glibc's lose wake-ups (its bug 25847, in 2.27 to 2.40). Some were lost here, when a debugger
 * stopped the machine; whether by that bug is not known: it could not be repeated.
 */
struct gate {
	_Atomic uint32_t turn; /* of gate_open() */
};

struct irq_wire { /* set_irq's argument: an SPI of the in-kernel GIC */
	struct machine *m;
	uint32_t intid;
};

struct virtio_slots;

struct machine {
	struct machine_config config;
	const struct kvm_sys *sys;
	int kvm_fd, vm_fd, gic_fd;
	size_t run_size; /* bytes of a vcpu's mapping */
	struct boot_ram ram;
	uint8_t *host_ram;
	uint8_t *firmware; /* the flash bank that the first vcpu starts in, or NULL */
	struct fw_cfg *fw_cfg;
	struct payload *payload; /* with fw_cfg: what it shows */
	struct sources files;
	struct boot_plan plan;
	struct device *devices[MACHINE_MAX_DEVICES]; /* by row of board_devices */
	struct irq_wire wires[MACHINE_MAX_DEVICES];
	struct virtio_slots *virtio; /* virtio_board.h */
	struct vcpu *vcpus;
	unsigned n_vcpus;
	struct console *console;
	struct loop *loop;

	pthread_mutex_t lock;
	struct gate stopped, resumed;
	/* under lock */
	bool ended; /* status is what the machine ended with */
	bool hurry; /* see machine_cut() */
	int status;
	bool attached;	   /* a debugger: failures are its events */
	unsigned n_events; /* of vcpus, and reset_event */
	bool reset_event;
	unsigned frozen;   /* FREEZE_* bits */
	bool reset_wanted; /* the main thread is to do it */
	uint64_t warned[MACHINE_WARNED_PAGES];
	unsigned n_warned;

	const struct gdb_hook *_Atomic hook; /* of the attached debugger; changes while the vcpus are stopped */

	atomic_bool quit; /* vcpu threads: leave */
	int end_fd;	  /* eventfd: the machine has ended */
	int event_fd;	  /* eventfd: not 0 while n_events is not 0 */
	int reset_fd;	  /* eventfd: reset_wanted has been set */
	int signal_fd;	  /* main thread, in machine_run() */
	int timer_fd;	  /* main thread: --timeout */

	/* main thread only */
	struct control *control;
	struct stats *stats; /* stats.h; NULL: nobody may ask */
	struct {
		void (*press)(void *arg); /* NULL: the board has none */
		void *arg;
	} power_button;
	uint64_t paused_cnt; /* the guest's counter when FREEZE_PAUSE began, 0 if KVM does not tell */
	unsigned n_resets;
	struct timespec started;
};

#define MACHINE_DEBUG_POLICY (PAWL_DEBUG_EMULATE_MMIO | PAWL_DEBUG_LINT) /* of config.emulate_mmio */

/* ---- machine.c */
/*
 * Wait for a change of what is under m->lock, which is released meanwhile, or a quarter of a second: callers look again. Whoever makes a
 * change calls gate_open() with the lock held.
 */
void machine_wait(struct machine *m, struct gate *g);
void gate_open(struct gate *g);
/* Answer a KVM_EXIT_MMIO, any size and address. vcpu thread. */
void machine_mmio(struct machine *m, uint64_t ipa, uint8_t *data, unsigned len, bool is_write);
/* Host memory of [ipa, ipa + len), or NULL if any byte of it is not RAM. */
uint8_t *machine_ram(struct machine *m, uint64_t ipa, uint64_t len);
/* The machine is over; the first caller's status counts. Any thread. */
void machine_end(struct machine *m, int status);
/* The same where a person or a program outside has asked for it: does not wait for a reader of the console that is stuck. */
void machine_cut(struct machine *m, int status);
/* The guest's kernel has panicked, says a device that it told: on a vcpu's thread. */
void machine_panicked(struct machine *m);
/*
 * Stop all vcpus outside KVM_RUN, and let them go again when no FREEZE_* bit is left and no debugger holds them. Main
 * thread. A debugger that stops and resumes meanwhile does not make them run.
 */
void machine_freeze(struct machine *m, unsigned why);
void machine_thaw(struct machine *m, unsigned why);
/* Have the main thread reset the machine; all vcpus stop soon. Any thread. */
void machine_want_reset(struct machine *m);
/* 0, or -1 with a message: no board has that much, or such a size. */
int machine_check_memory(const struct machine_config *config, struct vmm_error *err);

/* ---- load.c */
void payload_free(struct payload *p);
int sources_open(struct sources *files, const struct machine_config *config, struct vmm_error *err);
void sources_close(struct sources *files);
/* Read the files, put kernel, initrd and tree into RAM, set the first vcpu's registers. Main thread, vcpus stopped. */
int machine_load(struct machine *m, struct vmm_error *err);

/* ---- machine.c */
/* To standard error, under the program's name, at the start of a line also when the terminal is raw. Any thread. */
__attribute__((format(printf, 2, 3))) void machine_message(struct machine *m, const char *fmt, ...);

/* ---- vcpu.c */
/* Make the vcpus in their state of power-on: the first enters the kernel, the others wait for PSCI CPU_ON. */
int vcpus_create(struct machine *m, struct vmm_error *err);
/* Again in that state, all of them stopped. */
int vcpus_reset(struct machine *m, struct vmm_error *err);
/* The guest's virtual counter: 0, or -1 if KVM does not give it. */
int vcpus_get_counter(struct machine *m, uint64_t *cnt);
int vcpus_set_counter(struct machine *m, uint64_t cnt);
int vcpus_set_entry(struct machine *m, struct vmm_error *err);
int vcpus_start(struct machine *m, struct vmm_error *err);
/* Any thread, m->lock held: have the vcpu look at its state; it leaves KVM_RUN soon. */
void vcpu_kick_locked(struct vcpu *vcpu);
void vcpus_join(struct machine *m);
void vcpus_destroy(struct machine *m);

/* ---- reset.c */
/* What the board's reset button does, on the main thread. -1: the machine cannot go on. */
int machine_reset(struct machine *m, struct vmm_error *err);

/* ---- control.c */
struct control;
/* Listen on a unix socket for JSON lines; NULL with a message. */
struct control *control_start(struct machine *m, const char *path, struct vmm_error *err);
void control_stop(struct control *c);	    /* NULL is allowed */
void control_reset_done(struct control *c); /* likewise: tells the clients */

/* ---- vmcore.c */
/*
 * An ELF core file of the guest to fd, all vcpus stopped: any thread that keeps them so. Ends early when *cancel is set.
 * 0 with its size in bytes, or -1 with a message.
 */
int vmcore_write(struct machine *m, int fd, const atomic_bool *cancel, uint64_t *size, struct vmm_error *err);

/* ---- debug.c */
/* On the vcpu's thread, outside KVM_RUN: a KVM_EXIT_DEBUG that no debugger has to hear of. */
bool debug_goes_on(struct vcpu *vcpu, const struct gdb_stop *stop);
/*
 * On the vcpu's thread, outside KVM_RUN: something for a debugger. True if one has taken it: the vcpu then stops at the
 * top of its loop. False: there is no debugger to tell.
 */
bool debug_report(struct vcpu *vcpu, const struct gdb_stop *stop);
/* All vcpus are frozen and at their entry again: an attached debugger holds them until it has taken that in. Main thread. */
void debug_was_reset(struct machine *m);

/* ---- file.c */
/* *s has been zero; source_close() also after a failure. A pipe is read here, up to limit bytes. */
int source_open(struct source *s, const char *path, uint64_t limit, struct vmm_error *err);
/* The whole file, read into memory. -1 with a message if it cannot be read or is larger than limit. */
int source_read(struct source *s, uint64_t limit, struct bytes *b, struct vmm_error *err);
/* The same for a short while: bytes of a regular file are those in the page cache, and no memory is spent. */
int source_look(struct source *s, uint64_t limit, struct bytes *b, struct vmm_error *err);
void bytes_free(struct bytes *b);
void source_close(struct source *s);

/* ---- devices */
struct device *pl011_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
void pl011_fdt(void *fdt, const struct board_device *dev);
struct device *pl031_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
void pl031_fdt(void *fdt, const struct board_device *dev);
struct device *pl061_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
void pl061_fdt(void *fdt, const struct board_device *dev);
struct device *exit_port_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
void exit_port_fdt(void *fdt, const struct board_device *dev);
struct device *pvpanic_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
void pvpanic_fdt(void *fdt, const struct board_device *dev);
struct device *flash_code_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
struct device *flash_vars_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
bool flash_wanted(const struct machine_config *config);
void flash_fdt(void *fdt, const struct board_device *dev);
struct device *fw_cfg_create(struct machine *m, const struct board_device *row, struct vmm_error *err);
bool fw_cfg_wanted(const struct machine_config *config);
void fw_cfg_fdt(void *fdt, const struct board_device *dev);

#endif
