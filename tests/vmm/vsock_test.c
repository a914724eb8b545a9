/* SPDX-License-Identifier: MIT */
/* Sockets between guest and host: VIRTIO 1.2, section 5.10, with real unix sockets on the host's side. */
#include "virtio_driver.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "devices.h"

enum { RX = 0, TX = 1, GUEST_PORT = 1000, CID = 42, HEADER = 44 };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};

static struct driver d;
static char dir[] = "/tmp/pawl-vsock-test-XXXXXX", path[64];
static struct vmm_error error;
static uint64_t rx_ipa[Q_SIZE];
static struct packet got;
static uint8_t *payload;
static uint32_t host_port, credit;

static int setup(void **state)
{
	char arg[80];

	driver_init(&d);
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(arg, sizeof(arg), "%s,cid=%d", path, CID);
	d.vd = vsock_create(&d.host, arg, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, ~0ull & ~VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 32; i++) {
		struct part p = {take(&d, 4096), 4096, true};

		rx_ipa[offer(&d, RX, &p, 1)] = p.ipa;
	}
	kick(&d, RX);
	credit = 1 << 16;
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	return 0;
}

static void send_packet(uint16_t op, uint32_t flags, const void *data, uint32_t len)
{
	struct packet p = {.src_cid = CID,
			   .dst_cid = 2,
			   .src_port = GUEST_PORT,
			   .dst_port = host_port,
			   .len = len,
			   .type = 1,
			   .op = op,
			   .flags = flags,
			   .buf_alloc = credit};
	struct part parts[2] = {{take(&d, HEADER), HEADER, false}, {take(&d, len + 1), len, false}};
	uint16_t head;
	uint32_t n;

	memcpy(at(&d, parts[0].ipa), &p, HEADER);
	if (len)
		memcpy(at(&d, parts[1].ipa), data, len);
	offer(&d, TX, parts, len ? 2 : 1);
	kick(&d, TX);
	used(&d, TX, &head, &n);
}

/* The next packet to the guest is of this kind; its buffer goes back to the queue. */
static void expect(uint16_t op)
{
	uint16_t head;
	uint32_t len;

	work(&d);
	if (!used(&d, RX, &head, &len))
		fail_msg("no packet");
	memcpy(&got, at(&d, rx_ipa[head]), HEADER);
	payload = at(&d, rx_ipa[head] + HEADER);
	assert_int_equal(len, HEADER + got.len);
	assert_int_equal(got.op, op);
	assert_int_equal(got.src_cid, 2);
	assert_int_equal(got.dst_cid, CID);
	assert_int_equal(got.type, 1);
	offer_head(&d, RX, head);
}

static void expect_nothing(void)
{
	uint16_t head;
	uint32_t len;

	work(&d);
	assert_false(used(&d, RX, &head, &len));
}

static void expect_text(int fd, const char *text)
{
	char buf[256];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void name(struct sockaddr_un *sa, const char *suffix)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	snprintf(sa->sun_path, sizeof(sa->sun_path), "%s%s", path, suffix);
}

/* A server of the host at port 5000, to which the guest connects. */
static int guest_connects(void)
{
	struct sockaddr_un sa;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	name(&sa, "_5000");
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 1), 0);
	host_port = 5000;
	send_packet(REQUEST, 0, NULL, 0);
	expect(RESPONSE);
	assert_int_equal(got.dst_port, GUEST_PORT);
	assert_int_equal(got.src_port, 5000);
	fd = accept(listener, NULL, NULL);
	close(listener);
	unlink(sa.sun_path);
	return fd;
}

/* A client of the host, to the guest's port. */
static int host_connects(void)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	name(&sa, "");
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(send(fd, "CONNECT 1000\nearly", 18, 0), 18);
	expect(REQUEST);
	assert_int_equal(got.dst_port, GUEST_PORT);
	host_port = got.src_port;
	return fd;
}

static void a_guest_connects_to_a_server_of_the_host(void **state)
{
	int fd = guest_connects();

	send_packet(RW, 0, "hello", 5);
	expect_text(fd, "hello");
	assert_int_equal(send(fd, "back", 4, 0), 4);
	expect(RW);
	assert_int_equal(got.len, 4);
	assert_memory_equal(payload, "back", 4);
	/* Half closed, then closed */
	shutdown(fd, SHUT_WR);
	expect(SHUTDOWN);
	assert_int_equal(got.flags, 2);
	send_packet(RW, 0, "still", 5);
	expect_text(fd, "still");
	send_packet(SHUTDOWN, 3, NULL, 0);
	expect(RST);
	assert_int_equal(recv(fd, payload, 1, 0), 0);
	close(fd);
}

static void a_port_without_server_is_refused(void **state)
{
	host_port = 5001;
	send_packet(REQUEST, 0, NULL, 0);
	expect(RST);
	assert_int_equal(got.src_port, 5001);
	send_packet(RW, 0, "x", 1); /* of no connection */
	expect(RST);
	send_packet(RST, 0, NULL, 0); /* not answered by another */
	expect_nothing();
}

static void a_client_of_the_host_connects_to_the_guest(void **state)
{
	char line[32];
	int fd = host_connects();

	send_packet(RESPONSE, 0, NULL, 0);
	snprintf(line, sizeof(line), "OK %u\n", host_port);
	expect_text(fd, line);
	expect(RW);
	assert_memory_equal(payload, "early", 5);
	close(fd);
	expect(SHUTDOWN);
	send_packet(RST, 0, NULL, 0);
	expect_nothing();
}

static void a_guest_that_refuses_closes_the_clients_connection(void **state)
{
	char buf[8];
	int fd = host_connects();

	send_packet(RST, 0, NULL, 0);
	assert_true(recv(fd, buf, sizeof(buf), 0) <= 0); /* reset, as "early" was not read */
	close(fd);
}

static void a_greeting_that_is_none_closes_the_connection(void **state)
{
	static const char *const bad[] = {"HELLO\n", "CONNECT x\n", "CONNECT 4294967296\n", "CONNECT 1 2\n",
					  "CONNECT 11111111111111111111111111\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sockaddr_un sa;
		char buf[8];
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		name(&sa, "");
		assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		assert_true(send(fd, bad[i], strlen(bad[i]), 0) > 0);
		expect_nothing();
		assert_true(recv(fd, buf, sizeof(buf), 0) <= 0);
		close(fd);
	}
}

static void the_guests_credit_is_not_exceeded(void **state)
{
	static char text[5000];
	int fd;

	credit = 100;
	fd = guest_connects();
	assert_int_equal(send(fd, text, sizeof(text), 0), sizeof(text));
	expect(RW);
	assert_int_equal(got.len, 100);
	expect_nothing();
	credit = 4000; /* and nothing of the 100 is read yet */
	send_packet(CREDIT_UPDATE, 0, NULL, 0);
	expect(RW);
	assert_int_equal(got.len, 3900);
	expect_nothing();
	close(fd);
}

static void more_than_the_hosts_credit_ends_the_connection(void **state)
{
	static char text[60000];
	int fd = guest_connects();
	unsigned n = 0;

	assert_int_equal(got.buf_alloc, 128 << 10);
	/* The host's client reads nothing: its socket's buffer and ours fill up. */
	for (; n < 100; n++) {
		uint16_t head;
		uint32_t len;

		d.data = RAM_IPA + DATA_AREA + 0x200000;
		send_packet(RW, 0, text, sizeof(text));
		if (!used(&d, RX, &head, &len))
			continue;
		memcpy(&got, at(&d, rx_ipa[head]), HEADER);
		offer_head(&d, RX, head);
		if (got.op == RST)
			break;
	}
	assert_true(n < 100);
	close(fd);
}

static void credit_comes_back_when_the_client_reads(void **state)
{
	static char text[40000];
	int fd = guest_connects();

	send_packet(CREDIT_REQUEST, 0, NULL, 0);
	expect(CREDIT_UPDATE);
	assert_int_equal(got.fwd_cnt, 0);
	send_packet(RW, 0, text, sizeof(text));
	expect(CREDIT_UPDATE); /* a quarter of the buffer is free again */
	assert_int_equal(got.fwd_cnt, sizeof(text));
	close(fd);
}

static void packets_that_lie_break_the_device(void **state)
{
	struct packet p = {.src_cid = CID, .dst_cid = 2, .type = 1, .op = RW, .len = 1};
	struct part part = {take(&d, HEADER), HEADER, false};

	memcpy(at(&d, part.ipa), &p, HEADER);
	offer(&d, TX, &part, 1);
	kick(&d, TX);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const bad[] = {"", ",cid=3", "x,cid=2", "x,cid=", "x,cid=4294967295", "x,cid=3x"};
	char arg[80];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vsock_check(bad[i], &error), -1);
	assert_null(vsock_create(&d.host, "/nonexistent/x", &error));
	snprintf(arg, sizeof(arg), "%s", path);
	assert_null(vsock_create(&d.host, arg, &error)); /* in use */
	assert_non_null(strstr(error.text, "Address already in use"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_guest_connects_to_a_server_of_the_host),
		T(a_port_without_server_is_refused),
		T(a_client_of_the_host_connects_to_the_guest),
		T(a_guest_that_refuses_closes_the_clients_connection),
		T(a_greeting_that_is_none_closes_the_connection),
		T(the_guests_credit_is_not_exceeded),
		T(more_than_the_hosts_credit_ends_the_connection),
		T(credit_comes_back_when_the_client_reads),
		T(packets_that_lie_break_the_device),
		T(wrong_options_are_refused),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
