/* SPDX-License-Identifier: MIT */
/*
 * For tests of the gdb server without a guest: a machine made of plain memory, whose vcpus stop with the events that the test
 * gives, and a client that speaks packets.
 */
#ifndef PAWL_TESTS_GDB_FAKE_H
#define PAWL_TESTS_GDB_FAKE_H

#include <stddef.h>
#include <stdint.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#include "gdb.h"

enum { RAM = 0x40000000, RAM_SIZE = 0x10000, VCPUS = 2, REGS = 64 };

struct machine {
	uint8_t ram[RAM_SIZE];
	struct {
		uint64_t id;
		uint8_t val[16];
	} regs[VCPUS][REGS];
	struct kvm_guest_debug debug[VCPUS];
	_Atomic bool running[VCPUS];
	const struct gdb_hook *hook;
	struct gdb_stop event;
	bool has_event;		/* event happens at the next resume() */
	bool fired;		/* and has not been fetched yet */
	_Atomic bool was_reset; /* the same for a reset: see resets() */
	unsigned list_max;	/* PAWL_CAP_BREAKPOINTS; 0: a kernel, which has not got it */
	uint64_t list[16];
	unsigned n_list;
	char console[400]; /* what the server wrote there last, as it is on the wire */
	_Atomic int attached, killed, detached, resumed;
	int fd;
	struct gdb_server *server;
	char path[64];
	int conn;
};

extern struct machine m;

/* cmocka's fixtures: a server with the machine, and a connection. */
int setup(void **state);
int setup_with_list(void **state); /* the KVM has PAWL_CAP_BREAKPOINTS */
int teardown(void **state);

int dial(void);
void send_raw(const char *p, size_t len);
void send_packet(const char *payload);
void send_bytes(const char *payload, size_t len); /* framed as they are */
/* The next packet's or notification's payload; acknowledgements on the way are skipped. */
const char *receive(void);
const char *ask(const char *payload);
/* The machine resets itself: its memory is zero, all vcpus are held. */
void resets(void);
/* The next resume() ends at once with this event, unless the server has the vcpu go on. */
void stops_with(struct gdb_stop stop);
void set_reg(unsigned vcpu, uint64_t id, uint64_t val);
uint64_t get_reg(unsigned vcpu, uint64_t id);

extern const struct gdb_target_ops fake_ops;

#endif
