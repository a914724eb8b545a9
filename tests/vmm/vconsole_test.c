/* SPDX-License-Identifier: MIT */
/* The virtio console: VIRTIO 1.2, section 5.3; its other end is a client of a unix socket, a pseudo-terminal, a file. */
#include "virtio_driver.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices.h"

enum { RX = 0, TX = 1 };

static struct driver d;
static char dir[] = "/tmp/pawl-vconsole-test-XXXXXX", path[64];
static struct vmm_error error;

static int setup(void **state)
{
	driver_init(&d);
	snprintf(path, sizeof(path), "%s/end", dir);
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	unlink(path);
	return 0;
}

static void start(const char *kind)
{
	char arg[80];

	snprintf(arg, sizeof(arg), "%s%s", kind, strcmp(kind, "pty") ? path : "");
	d.vd = vconsole_create(&d.host, arg, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, ~0ull & ~VIRTIO_F_EVENT_IDX);
}

static int client(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	work(&d);
	return fd;
}

static void print(const char *text)
{
	struct part p = {take(&d, strlen(text)), (uint32_t)strlen(text), false};

	memcpy(at(&d, p.ipa), text, p.len);
	offer(&d, TX, &p, 1);
	kick(&d, TX);
}

static uint64_t input_buffer(void)
{
	struct part p = {take(&d, 64), 64, true};

	offer(&d, RX, &p, 1);
	return p.ipa;
}

/* A terminal may give what was written at once in parts. */
static void expect(int fd, const char *text)
{
	char buf[256];
	size_t n = strlen(text), got = 0;

	while (got < n) {
		ssize_t more = read(fd, buf + got, sizeof(buf) - got);

		assert_true(more > 0);
		got += (size_t)more;
	}
	assert_int_equal(got, n);
	assert_memory_equal(buf, text, n);
}

static void a_client_of_the_socket_reads_and_writes(void **state)
{
	uint64_t ipa;
	uint16_t head;
	uint32_t len;
	int fd;

	start("unix:");
	print("nobody hears this");
	assert_true(used(&d, TX, &head, &len));
	fd = client();
	print("hello");
	expect(fd, "hello");
	assert_int_equal(write(fd, "typed early", 11), 11);
	work(&d); /* no buffer yet */
	ipa = input_buffer();
	kick(&d, RX);
	work(&d);
	assert_true(used(&d, RX, &head, &len));
	assert_int_equal(len, 11);
	assert_memory_equal(at(&d, ipa), "typed early", 11);
	close(fd);
	input_buffer();
	kick(&d, RX);
	work(&d);
	fd = client(); /* the next */
	print("again");
	expect(fd, "again");
	close(fd);
}

static void a_slow_client_makes_the_guest_wait(void **state)
{
	static char text[32 << 10];
	uint16_t head;
	uint32_t len;
	unsigned done = 0;
	size_t got = 0;
	int fd;

	memset(text, 'x', sizeof(text) - 1);
	start("unix:");
	fd = client();
	for (unsigned i = 0; i < 40; i++)
		print(text);
	while (used(&d, TX, &head, &len))
		done++;
	assert_in_range(done, 1, 39);
	while (got < 40 * (sizeof(text) - 1)) {
		static char buf[64 << 10];
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n > 0)
			got += (size_t)n;
		work(&d);
	}
	while (used(&d, TX, &head, &len))
		done++;
	assert_int_equal(done, 40);
	close(fd);
}

static void a_pseudo_terminal_needs_no_reader(void **state)
{
	static const char prefix[] = "the virtio console is ";
	uint64_t ipa;
	uint16_t head;
	uint32_t len;
	int fd;

	start("pty");
	assert_memory_equal(d.message, prefix, sizeof(prefix) - 1);
	for (unsigned i = 0; i < 10; i++) {
		print("x");
		assert_true(used(&d, TX, &head, &len));
	}
	fd = open(d.message + sizeof(prefix) - 1, O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	expect(fd, "xxxxxxxxxx");
	ipa = input_buffer();
	kick(&d, RX);
	assert_int_equal(write(fd, "in\n", 3), 3);
	work(&d);
	assert_true(used(&d, RX, &head, &len));
	assert_memory_equal(at(&d, ipa), "in\n", 3);
	close(fd);
}

static void a_file_gets_the_output(void **state)
{
	int fd;

	start("file:");
	print("into the file");
	set_reg(&d, R_CONFIG + 8, '!'); /* emerg_wr, with no queue */
	work(&d);
	fd = open(path, O_RDONLY);
	expect(fd, "into the file!");
	close(fd);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const bad[] = {"", "x", "unix:", "file:", "ptys"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(vconsole_check(bad[i], &error), -1);
	assert_null(vconsole_create(&d.host, "unix:/nonexistent/x", &error));
	assert_string_equal(error.text, "--console: /nonexistent/x: No such file or directory");
	assert_null(vconsole_create(&d.host, "file:/nonexistent/x", &error));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_client_of_the_socket_reads_and_writes),
		T(a_slow_client_makes_the_guest_wait),
		T(a_pseudo_terminal_needs_no_reader),
		T(a_file_gets_the_output),
		T(wrong_options_are_refused),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
