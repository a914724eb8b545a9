/* SPDX-License-Identifier: MIT */
/*
 * The gdb server against a client that sends what it likes: packets whose framing is right and whose contents are pieces of
 * commands in any order, with any numbers; noise; connections that end at any point. It must answer, or close, and serve the next
 * one. With PAWL_FUZZ_ROUNDS a longer campaign, PAWL_FUZZ_SEED another one.
 */
#include "fake.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

static const char *const pieces[] = {
	"?",
	"g",
	"G",
	"p",
	"P",
	"m",
	"M",
	"x",
	"X",
	"Z0,",
	"Z1,",
	"Z2,",
	"Z3,",
	"Z4,",
	"z0,",
	"z1,",
	"z2,",
	"z4,",
	"H",
	"Hg",
	"T",
	"c",
	"s",
	"C",
	"S",
	"vCont?",
	"vCont;",
	"vCont;c",
	"vCont;s",
	"vCont;r",
	"vCont;t",
	"vStopped",
	"vCtrlC",
	"QNonStop:1",
	"QNonStop:0",
	"qSupported:swbreak+;hwbreak+;error-message+",
	"QStartNoAckMode",
	"qfThreadInfo",
	"qThreadExtraInfo,",
	"qXfer:features:read:target.xml:",
	"qXfer:threads:read::",
	"qXfer:memory-map:read::",
	"qSearch:memory:",
	"qCRC:",
	"qRcmd,",
	"qOffsets",
	"qC",
	"Qqemu.PhyMemMode:1",
	"Qqemu.PhyMemMode:0",
	"Qqemu.sstep=",
	"qqemu.sstepbits",
	",",
	";",
	":",
	"=",
	";X",
	"X5,",
	"2600002227",
	"4",
	"8",
	"1000",
	"40000000",
	"4000fffc",
	"ffffffffffffffff",
	"0",
	"-1",
	"p1.1",
	/* monitor: policy, view physical, view ttbr0 40000000, asid 1, reg SCTLR_EL1 1, exits 99999, translate 0, kernel */
	"qRcmd,706f6c696379",
	"qRcmd,7669657720706879736963616c",
	"qRcmd,76696577207474627230203430303030303030",
	"qRcmd,617369642031",
	"qRcmd,726567205343544c525f454c312031",
	"qRcmd,6578697473203939393939",
	"qRcmd,7472616e736c6174652030",
	"qRcmd,6b65726e656c",
	"qRcmd,627265616b706f696e7473",
};

enum { N_PIECES = sizeof(pieces) / sizeof(pieces[0]) };

static size_t make_packet(char *buf, size_t size)
{
	size_t len = 0;

	for (unsigned n = 1 + any(4); n; n--) {
		const char *p = pieces[any(N_PIECES)];
		size_t l = strlen(p);

		if (len + l + 20 > size)
			break;
		memcpy(buf + len, p, l);
		len += l;
		if (!any(3))
			len += (size_t)sprintf(buf + len, "%x", any(2) ? any(64) : any(0xffffffff));
	}
	for (unsigned n = any(8) ? 0 : any(4); n && len; n--) { /* and some bytes are something else */
		char c = (char)any(256);

		if (c != '$' && c != '#')
			buf[any((uint32_t)len)] = c;
	}
	return len;
}

/* What the machine does when it is told to run. */
static void choose_event(void)
{
	static const uint64_t syndromes[] = {0xcb000022, 0xf2000000, 0xc2000022, 0xd2000062, 0xf2000123, 0};

	stops_with((struct gdb_stop){.vcpu = any(VCPUS),
				     .kind = any(16) ? GDB_STOP_DEBUG : GDB_STOP_FAULT,
				     .hsr = syndromes[any(6)],
				     .far = RAM + any(0x200),
				     .text = "a fault"});
}

static void drain(void)
{
	char buf[4096];

	while (recv(m.conn, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static bool push(const char *p, size_t len)
{
	return send(m.conn, p, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Framed. False: the server has closed the connection, as it may (D, k). */
static bool push_packet(const char *payload, size_t len)
{
	char end[4];
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint8_t)payload[i];
	snprintf(end, sizeof(end), "#%02x", sum);
	return push("$", 1) && push(payload, len) && push(end, 3);
}

static void again(void)
{
	close(m.conn);
	while (m.detached < m.attached)
		poll(NULL, 0, 1);
	m.conn = dial();
	assert_string_equal(ask("?"), "T05thread:1;"); /* it serves the next one, and all is as at first */
	assert_int_equal(m.debug[0].control, 0);
}

static void packets_of_any_contents_leave_the_server_alive(void **state)
{
	const char *rounds = getenv("PAWL_FUZZ_ROUNDS"), *text = getenv("PAWL_FUZZ_SEED");

	seed = text ? strtoull(text, NULL, 0) : 1;
	assert_string_equal(ask("?"), "T05thread:1;");
	for (long n = rounds ? atol(rounds) : 20000; n > 0; n--) {
		char buf[600];
		size_t len = make_packet(buf, sizeof(buf));
		struct pollfd p = {.fd = m.conn, .events = POLLIN | POLLOUT};

		choose_event();
		do { /* a server that answers what came before reads no more until there is room for it */
			drain();
			if (poll(&p, 1, 10000) != 1)
				fail_msg("the server does not read any more");
		} while (!(p.revents & (POLLOUT | POLLHUP | POLLERR)));
		if (!push_packet(buf, len) || (!any(4) && !push("\003", 1)) || !any(200))
			again();
		drain();
	}
	again();
}

static void noise_of_any_bytes_leaves_the_server_alive(void **state)
{
	seed = 2;
	for (int n = 0; n < 100; n++) {
		char buf[2000];

		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = any(3) ? (char)any(256) : "$#}*+-\003vqQZzmM,;:"[any(17)];
		choose_event();
		if (!push(buf, 1 + any(sizeof(buf) - 1)) || !any(10))
			again();
		drain();
	}
	again();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_of_any_contents_leave_the_server_alive),
		T(noise_of_any_bytes_leaves_the_server_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
