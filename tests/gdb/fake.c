/* SPDX-License-Identifier: MIT */
/* A machine made of plain memory, and a client: see fake.h. */
#include "fake.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct machine m;

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
		m.running[i] = m.running[i] || run[i];
	if (m.has_event && m.running[m.event.vcpu]) { /* it stops at once, if the test said so */
		m.has_event = false;
		if (m.event.kind == GDB_STOP_FAULT || !m.hook->goes_on(m.hook->arg, &m.event)) {
			m.fired = true;
			if (write(m.fd, &one, 8) != 8)
				abort();
		}
	}
	m.resumed++;
}

static int next_stop(void *t, struct gdb_stop *stop)
{
	uint64_t n;

	if (m.was_reset) {
		m.was_reset = false;
		*stop = (struct gdb_stop){.kind = GDB_STOP_RESET};
		return read(m.fd, &n, 8) == 8 ? 1 : 1;
	}
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
	const struct kvm_enable_cap *cap = arg;

	if (req == KVM_CHECK_EXTENSION && (uintptr_t)arg == PAWL_CAP_BREAKPOINTS)
		return (int)m.list_max;
	if (req != KVM_ENABLE_CAP || cap->cap != PAWL_CAP_BREAKPOINTS || !m.list_max)
		return -EINVAL;
	assert_true(cap->args[1] <= m.list_max);
	m.n_list = (unsigned)cap->args[1];
	memcpy(m.list, (const void *)(uintptr_t)cap->args[0], m.n_list * sizeof(m.list[0]));
	return 0;
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

const struct gdb_target_ops fake_ops = {
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

int dial(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, m.path);
	assert_int_equal(connect(c, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return c;
}

void send_raw(const char *p, size_t len)
{
	assert_int_equal(send(m.conn, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

void send_bytes(const char *payload, size_t len)
{
	char buf[40000], end[4];
	uint8_t sum = 0;

	assert_true(len < sizeof(buf) - 8);
	buf[0] = '$';
	memcpy(buf + 1, payload, len);
	for (size_t i = 0; i < len; i++)
		sum += (uint8_t)payload[i];
	snprintf(end, sizeof(end), "#%02x", sum);
	memcpy(buf + 1 + len, end, 3);
	send_raw(buf, len + 4);
}

void send_packet(const char *payload)
{
	send_bytes(payload, strlen(payload));
}

/* The next packet's payload; acknowledgements on the way are skipped. */
const char *receive(void)
{
	static char buf[40000];
	size_t n = 0;
	bool in = false;
	char c;

	for (;;) {
		assert_int_equal(recv(m.conn, &c, 1, 0), 1);
		if (c == '$' || (!in && c == '%')) {
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
	if (buf[0] == 'O' && buf[1] != 'K') {
		snprintf(m.console, sizeof(m.console), "%.390s", buf + 1);
		return receive();
	}
	return buf;
}

const char *ask(const char *payload)
{
	send_packet(payload);
	return receive();
}

static int setup_kvm(unsigned list_max)
{
	char error[200];

	memset(&m, 0, sizeof(m));
	m.list_max = list_max;
	m.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(m.path, sizeof(m.path), "/tmp/pawl-gdb-test-%d", (int)getpid());
	m.server = gdb_server_start(m.path, &fake_ops, NULL, true, error, sizeof(error));
	if (!m.server)
		return -1;
	m.conn = dial();
	return 0;
}

int setup(void **state)
{
	return setup_kvm(0);
}

int setup_with_list(void **state)
{
	return setup_kvm(sizeof(m.list) / sizeof(m.list[0]));
}

int teardown(void **state)
{
	close(m.conn);
	gdb_server_stop(m.server, 0);
	close(m.fd);
	return access(m.path, F_OK) ? 0 : -1; /* the socket is gone */
}

void stops_with(struct gdb_stop stop)
{
	m.event = stop;
	m.has_event = true;
}

void resets(void)
{
	memset(m.ram, 0, sizeof(m.ram));
	for (unsigned i = 0; i < VCPUS; i++)
		m.running[i] = false;
	m.was_reset = true;
	if (write(m.fd, &(uint64_t){1}, 8) != 8)
		abort();
}

void set_reg(unsigned vcpu, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&val};

	one_reg(vcpu, &r, true);
}

uint64_t get_reg(unsigned vcpu, uint64_t id)
{
	uint64_t val[2] = {0};
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)val};

	one_reg(vcpu, &r, false);
	return val[0];
}
