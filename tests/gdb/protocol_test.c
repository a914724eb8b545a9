/* SPDX-License-Identifier: MIT */
/*
 * The gdb server over a real socket, with a machine made of plain memory: what each packet does, and that no input of a
 * client, garbage included, ends or hangs it. The real gdb against a real guest is tested elsewhere.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <pawl/kvm.h>

#include "gdb.h"

enum { RAM = 0x40000000, RAM_SIZE = 0x10000, VCPUS = 2, REGS = 64 };

struct machine {
	uint8_t ram[RAM_SIZE];
	struct {
		uint64_t id;
		uint8_t val[16];
	} regs[VCPUS][REGS];
	struct kvm_guest_debug debug[VCPUS];
	bool running[VCPUS];
	const struct gdb_hook *hook;
	struct gdb_stop event;
	bool has_event; /* event happens at the next resume() */
	bool fired;	/* and has not been fetched yet */
	_Atomic int attached, killed, detached, resumed;
	int fd;
	struct gdb_server *server;
	char path[64];
	int conn;
};

static struct machine m;

static unsigned n_vcpus(void *t)
{
	return VCPUS;
}
static unsigned vcpu_id(void *t, unsigned vcpu)
{
	return vcpu;
}
static void attach(void *t, const struct gdb_hook *hook)
{
	m.hook = hook;
	m.attached++;
}
static void detach(void *t)
{
	m.detached++;
}
static void stop(void *t, const bool *which)
{
	m.running[0] = m.running[1] = false;
}
static void kill_machine(void *t)
{
	m.killed++;
}
static int fd(void *t)
{
	return m.fd;
}

static void resume(void *t, const bool *run)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < VCPUS; i++)
		m.running[i] |= run[i];
	m.resumed++;
	if (m.has_event && m.event.kind == GDB_STOP_DEBUG && m.hook->goes_on(m.hook->arg, &m.event))
		m.has_event = false;
	if (m.has_event) { /* the machine stops at once, if the test said so */
		m.has_event = false;
		m.fired = true;
		if (write(m.fd, &one, 8) != 8)
			abort();
	}
}

static int next_stop(void *t, struct gdb_stop *stop)
{
	uint64_t n;

	if (!m.fired)
		return 0;
	*stop = m.event;
	m.fired = false;
	m.running[stop->vcpu] = false;
	return read(m.fd, &n, 8) == 8 ? 1 : 1;
}

static size_t reg_bytes(uint64_t id)
{
	return 1u << (id >> 52 & 15);
}

static int one_reg(unsigned vcpu, struct kvm_one_reg *r, bool set)
{
	for (unsigned i = 0; i < REGS; i++) {
		if (m.regs[vcpu][i].id && m.regs[vcpu][i].id != r->id)
			continue;
		m.regs[vcpu][i].id = r->id;
		if (set)
			memcpy(m.regs[vcpu][i].val, (void *)(uintptr_t)r->addr, reg_bytes(r->id));
		else
			memcpy((void *)(uintptr_t)r->addr, m.regs[vcpu][i].val, reg_bytes(r->id));
		return 0;
	}
	return -ENOENT;
}

static int vcpu_ioctl(void *t, unsigned vcpu, unsigned long req, void *arg)
{
	switch (req) {
	case KVM_GET_ONE_REG: return one_reg(vcpu, arg, false);
	case KVM_SET_ONE_REG: return one_reg(vcpu, arg, true);
	case KVM_SET_GUEST_DEBUG: m.debug[vcpu] = *(struct kvm_guest_debug *)arg; return 0;
	case KVM_GET_MP_STATE: ((struct kvm_mp_state *)arg)->mp_state = vcpu ? KVM_MP_STATE_STOPPED : 0; return 0;
	case KVM_GET_REG_LIST: {
		struct kvm_reg_list *l = arg;
		uint64_t n = l->n;

		l->n = 1;
		if (!n)
			return -E2BIG;
		l->reg[0] = ARM64_SYS_REG(3, 0, 1, 0, 0);
		return 0;
	}
	default: return -EINVAL;
	}
}

static int vm_ioctl(void *t, unsigned long req, void *arg)
{
	return -EINVAL;
}
static int dev_ioctl(void *t, unsigned long req, void *arg)
{
	return 2;
} /* two comparators of each kind */

static int gic_ioctl(void *t, unsigned long req, void *arg)
{
	return -ENODEV;
}

static int last_exit(void *t, unsigned vcpu, unsigned i, struct gdb_exit *e)
{
	*e = (struct gdb_exit){
		.reason = KVM_EXIT_MMIO, .address = 0x9000000, .len = 4, .value = 0x41, .is_write = true};
	return i == 0;
}

static int mem(uint64_t ipa, void *buf, size_t len, bool write)
{
	if (ipa < RAM || ipa - RAM > RAM_SIZE || len > RAM_SIZE - (ipa - RAM))
		return -EFAULT;
	if (write)
		memcpy(m.ram + (ipa - RAM), buf, len);
	else
		memcpy(buf, m.ram + (ipa - RAM), len);
	return 0;
}

static int read_mem(void *t, uint64_t ipa, void *buf, size_t len)
{
	return mem(ipa, buf, len, false);
}
static int write_mem(void *t, uint64_t ipa, const void *buf, size_t len)
{
	return mem(ipa, (void *)(uintptr_t)buf, len, true);
}
static int ram(void *t, unsigned i, uint64_t *ipa, uint64_t *size)
{
	*ipa = RAM;
	*size = RAM_SIZE;
	return i == 0;
}

static const struct gdb_target_ops ops = {
	.n_vcpus = n_vcpus,
	.vcpu_id = vcpu_id,
	.attach = attach,
	.detach = detach,
	.stop = stop,
	.gic_ioctl = gic_ioctl,
	.last_exit = last_exit,
	.resume = resume,
	.next_stop = next_stop,
	.fd = fd,
	.vcpu_ioctl = vcpu_ioctl,
	.vm_ioctl = vm_ioctl,
	.dev_ioctl = dev_ioctl,
	.read_mem = read_mem,
	.write_mem = write_mem,
	.ram = ram,
	.kill = kill_machine,
};

/* ---- a client */

static int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, m.path);
	assert_int_equal(connect(c, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return c;
}

static void send_raw(const char *p, size_t len)
{
	assert_int_equal(send(m.conn, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void send_packet(const char *payload)
{
	char buf[40000];
	uint8_t sum = 0;

	for (const char *p = payload; *p; p++)
		sum += (uint8_t)*p;
	snprintf(buf, sizeof(buf), "$%s#%02x", payload, sum);
	send_raw(buf, strlen(buf));
}

/* The next packet's payload; acknowledgements on the way are skipped. */
static const char *receive(void)
{
	static char buf[40000];
	size_t n = 0;
	bool in = false;
	char c;

	for (;;) {
		assert_int_equal(recv(m.conn, &c, 1, 0), 1);
		if (c == '$') {
			in = true;
			n = 0;
		} else if (in && c == '#') {
			break;
		} else if (in) {
			assert_true(n < sizeof(buf) - 1);
			buf[n++] = c;
		}
	}
	assert_int_equal(recv(m.conn, &c, 1, 0), 1);
	assert_int_equal(recv(m.conn, &c, 1, 0), 1);
	buf[n] = '\0';
	send(m.conn, "+", 1, MSG_NOSIGNAL); /* the server may have gone: not this test's business */
	return buf;
}

static const char *ask(const char *payload)
{
	send_packet(payload);
	return receive();
}

static int setup(void **state)
{
	char error[200];

	memset(&m, 0, sizeof(m));
	m.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(m.path, sizeof(m.path), "/tmp/pawl-gdb-test-%d", (int)getpid());
	m.server = gdb_server_start(m.path, &ops, NULL, true, error, sizeof(error));
	if (!m.server)
		return -1;
	m.conn = dial();
	return 0;
}

static int teardown(void **state)
{
	close(m.conn);
	gdb_server_stop(m.server, 0);
	close(m.fd);
	return access(m.path, F_OK) ? 0 : -1; /* the socket is gone */
}

static void a_new_connection_stops_the_machine_and_sees_its_vcpus_as_threads(void **state)
{
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_int_equal(m.attached, 1);
	assert_string_equal(ask("qfThreadInfo"), "m1,2");
	assert_string_equal(ask("qsThreadInfo"), "l");
	assert_string_equal(ask("T2"), "OK");
	assert_string_equal(ask("T3"), "E16");
}

static void memory_is_read_and_written_and_holes_are_errors(void **state)
{
	assert_string_equal(ask("M40000010,4:01020304"), "OK");
	assert_string_equal(ask("m40000010,4"), "01020304");
	assert_string_equal(ask("m0,4"), "E0e");
	assert_string_equal(ask("m4000fffe,4"), "0000"); /* partial: up to the end of RAM's last page */
	assert_string_equal(ask("M4000fffe,4:ffffffff"), "E0e");
	assert_int_equal(m.ram[RAM_SIZE - 1], 0); /* all or nothing */
}

static void registers_go_through_one_reg(void **state)
{
	assert_string_equal(ask("P20=0000004000000000"), "OK");
	assert_string_equal(ask("p20"), "0000004000000000");
	assert_string_equal(ask("P21=c5030000"), "OK");
	assert_string_equal(ask("p21"), "c5030000");
	assert_string_equal(ask("P48=78563412785634ff"), "OK"); /* SCTLR_EL1: the only one this KVM lists */
	assert_string_equal(ask("p48"), "78563412785634ff");
	assert_string_equal(ask("p49"), "E16");
	assert_int_equal(strlen(ask("g")), 2 * (33 * 8 + 4 + 32 * 16 + 8));
}

static void a_software_breakpoint_is_a_brk_that_memory_reads_do_not_show(void **state)
{
	uint32_t word;

	assert_string_equal(ask("M40000100,4:1f2003d5"), "OK");
	assert_string_equal(ask("Z0,40000100,4"), "OK");
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd4200000);
	assert_string_equal(ask("m40000100,4"), "1f2003d5");
	assert_string_equal(ask("M40000102,2:04d5"), "OK"); /* a write under it is kept */
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd4200000);
	assert_string_equal(ask("z0,40000100,4"), "OK");
	memcpy(&word, m.ram + 0x100, 4);
	assert_int_equal(word, 0xd504201f);
}

static void a_breakpoint_on_an_unmapped_address_takes_a_comparator_until_they_run_out(void **state)
{
	assert_string_equal(ask("Z0,80000000,4"), "OK");
	assert_string_equal(ask("Z1,80000004,4"), "OK");
	assert_string_equal(ask("Z1,80000008,4"), "E1c"); /* ENOSPC */
	assert_string_equal(ask("Z2,40000000,8"), "OK");
	assert_string_equal(ask("Z4,40000001,0"), "E16"); /* nothing to watch */
}

static void a_step_arms_one_vcpu_and_reports_where_it_stopped(void **state)
{
	m.event = (struct gdb_stop){.vcpu = 1, .kind = GDB_STOP_DEBUG, .hsr = 0xcb000022};
	m.has_event = true;
	assert_string_equal(ask("vCont;s:2"), "T05thread:2;");
	assert_int_equal(m.debug[1].control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	assert_int_equal(m.debug[0].control, 0);
}

static void a_watchpoint_is_reported_with_its_kind_and_address(void **state)
{
	assert_string_equal(ask("Z2,40000020,4"), "OK");
	m.event = (struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xd2000062, .far = RAM + 0x22};
	m.has_event = true;
	assert_string_equal(ask("vCont;c"), "T05thread:1;watch:40000022;");
	assert_int_equal(m.debug[0].arch.dbg_wcr[0] & 0x1fff, 1 | 3 << 1 | 2 << 3 | 0xf << 5);
}

static void a_brk_of_the_guests_own_is_delivered_to_the_guest(void **state)
{
	const uint64_t vbar = 0x40002000;
	struct kvm_one_reg r = {.id = ARM64_SYS_REG(3, 0, 12, 0, 0), .addr = (uintptr_t)&vbar};

	one_reg(0, &r, true);
	assert_string_equal(ask("P20=0010004000000000"), "OK"); /* PC */
	assert_string_equal(ask("P21=05000080"), "OK");		/* EL1h, N */
	m.event = (struct gdb_stop){.vcpu = 0, .kind = GDB_STOP_DEBUG, .hsr = 0xf2000800};
	m.has_event = true;
	assert_string_equal(ask("vCont;s:1"), "T05thread:1;");
	assert_string_equal(ask("p20"), "0022004000000000");
	assert_string_equal(ask("p21"), "c5034080"); /* N kept, PAN set (SPAN is 0), DAIF masked */
}

static void ctrl_c_stops_a_running_machine(void **state)
{
	send_packet("vCont;c");
	while (!m.resumed)
		poll(NULL, 0, 1);
	send_raw("\003", 1);
	assert_string_equal(receive(), "T02thread:1;");
	assert_false(m.running[0]);
}

static void a_packet_with_a_wrong_checksum_is_asked_for_again(void **state)
{
	char c;

	send_raw("$?#00", 5);
	assert_int_equal(recv(m.conn, &c, 1, 0), 1);
	assert_int_equal(c, '-');
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void unknown_commands_get_an_empty_reply(void **state)
{
	assert_string_equal(ask("vMustReplyEmpty"), "");
	assert_string_equal(ask("qNothingOfTheKind"), "");
	assert_string_equal(ask("y"), "");
	assert_string_equal(ask("\x81\xff"), "");
}

static void malformed_commands_are_errors(void **state)
{
	static const char *const bad[] = {"m",
					  "mzz,4",
					  "m40000000",
					  "M40000000,4:12",
					  "Mx",
					  "G12",
					  "P",
					  "P1",
					  "P1=zz",
					  "pfffffff",
					  "Z1",
					  "Z1,",
					  "Z0,40000002,4",
					  "Hx1",
					  "Hg9",
					  "vCont;",
					  "vCont;q",
					  "vCont;s:9",
					  "vCont;r1",
					  "qRcmd,zz",
					  "X40000000,5:1",
					  "qXfer:features:read:target.xml:",
					  "qThreadExtraInfo,77",
					  "C"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *r = ask(bad[i]);

		if (r[0] != 'E')
			fail_msg("'%s' was answered '%s'", bad[i], r);
	}
}

static void the_target_description_comes_in_pieces_and_ends(void **state)
{
	char req[80];
	size_t off = 0;

	for (;;) {
		const char *r;

		snprintf(req, sizeof(req), "qXfer:features:read:target.xml:%zx,200", off);
		r = ask(req);
		assert_true(r[0] == 'm' || r[0] == 'l');
		off += strlen(r) - 1;
		if (r[0] == 'l') {
			assert_non_null(strstr(r, "</target>"));
			break;
		}
	}
	assert_true(off > 4000);
}

static void noise_of_any_kind_leaves_the_server_alive(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 200; round++) {
		char buf[600];

		for (size_t i = 0; i < sizeof(buf); i++) {
			seed = seed * 1664525 + 1013904223;
			/* mostly bytes that mean something to the framing */
			buf[i] = "$#}*+-\003mMgGpPZzHTvqQXcsD:;,=0123456789abcdef"[(seed >> 16) % 45];
			if (buf[i] == 'D' || buf[i] == 'c' || buf[i] == 's') /* would end the session or run */
				buf[i] = 'm';
		}
		if (send(m.conn, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			break;
		while (recv(m.conn, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	}
	close(m.conn);
	m.conn = dial(); /* and it serves the next one */
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void a_client_that_vanishes_leaves_the_machine_running_without_breakpoints(void **state)
{
	assert_string_equal(ask("Z0,40000100,4"), "OK");
	assert_int_equal(m.ram[0x103], 0xd4);
	close(m.conn);
	while (!m.detached)
		poll(NULL, 0, 1);
	assert_int_equal(m.ram[0x103], 0);
	m.conn = dial();
	assert_string_equal(ask("?"), "T05thread:1;");
}

static void kill_ends_the_machine(void **state)
{
	assert_string_equal(ask("vKill;1"), "OK");
	while (!m.killed)
		poll(NULL, 0, 1);
}

static void an_address_in_use_or_nonsense_is_refused_with_its_name(void **state)
{
	static const char *const bad[] = {
		"", "x", "0", "99999", "localhost:", "12a", ":", "no.such.host.invalid:1", "/no/such/dir/sock"};
	char error[200];

	assert_null(gdb_server_start(m.path, &ops, NULL, false, error, sizeof(error)));
	assert_non_null(strstr(error, "in use"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		assert_null(gdb_server_start(bad[i], &ops, NULL, false, error, sizeof(error)));
		assert_non_null(strstr(error, bad[i]));
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_connection_stops_the_machine_and_sees_its_vcpus_as_threads),
		T(memory_is_read_and_written_and_holes_are_errors),
		T(registers_go_through_one_reg),
		T(a_software_breakpoint_is_a_brk_that_memory_reads_do_not_show),
		T(a_breakpoint_on_an_unmapped_address_takes_a_comparator_until_they_run_out),
		T(a_step_arms_one_vcpu_and_reports_where_it_stopped),
		T(a_watchpoint_is_reported_with_its_kind_and_address),
		T(a_brk_of_the_guests_own_is_delivered_to_the_guest),
		T(ctrl_c_stops_a_running_machine),
		T(a_packet_with_a_wrong_checksum_is_asked_for_again),
		T(unknown_commands_get_an_empty_reply),
		T(malformed_commands_are_errors),
		T(the_target_description_comes_in_pieces_and_ends),
		T(noise_of_any_kind_leaves_the_server_alive),
		T(a_client_that_vanishes_leaves_the_machine_running_without_breakpoints),
		T(kill_ends_the_machine),
		T(an_address_in_use_or_nonsense_is_refused_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
