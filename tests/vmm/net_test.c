/* SPDX-License-Identifier: MIT */
/* Networks: VIRTIO 1.2, section 5.1, with a port that the test is, passt's protocol on a socket, and libslirp. */
#include "virtio_driver.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "net.h"

enum { RX = 0, TX = 1 };

static struct driver d;
static struct vmm_error error;
static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

/* ---- a port that keeps the last frame */

static struct {
	struct net_port port;
	struct net_header h;
	uint8_t frame[NET_FRAME_MAX];
	size_t len;
	unsigned n;
	uint64_t features;
} wire;

static void wire_send(struct net_port *p, const struct net_header *h, uint8_t *frame, size_t len)
{
	wire.h = *h;
	wire.len = len;
	memcpy(wire.frame, frame, len);
	wire.n++;
}

static void wire_started(struct net_port *p, uint64_t features)
{
	wire.features = features;
}

static void wire_poll(struct net_port *p, struct pollfds *set) {}

static void wire_close(struct net_port *p) {}

static const struct net_ops wire_ops = {wire_send, wire_started, wire_poll, wire_poll, wire_close};

static int setup(void **state)
{
	driver_init(&d);
	memset(&wire, 0, sizeof(wire));
	wire.port.ops = &wire_ops;
	wire.port.features = 1u << NET_F_CSUM | 1u << NET_F_GUEST_CSUM;
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	return 0;
}

static void start(struct net_port *port, uint64_t wanted)
{
	d.vd = net_device(&d.host, port, mac, &error);
	assert_non_null(d.vd);
	driver_start(&d, wanted);
}

/* A frame from the guest, with its header in a part of its own. */
static void send_frame(const struct net_header *h, const void *data, size_t len)
{
	size_t header = d.host.legacy ? NET_HEADER_LEGACY : NET_HEADER;
	uint64_t ipa = take(&d, header + len);
	struct part parts[2] = {{ipa, (uint32_t)header, false}, {ipa + header, (uint32_t)len, false}};
	uint16_t head;
	uint32_t n;

	memcpy(at(&d, ipa), h, header);
	memcpy(at(&d, ipa + header), data, len);
	offer(&d, TX, parts, 2);
	kick(&d, TX);
	assert_true(used(&d, TX, &head, &n));
	assert_int_equal(n, 0);
}

static uint64_t rx_buffer(uint32_t len)
{
	uint64_t ipa = take(&d, len);
	struct part p = {ipa, len, true};

	offer(&d, RX, &p, 1);
	return ipa;
}

static void the_configuration_has_address_link_and_mtu(void **state)
{
	wire.port.mtu = 9000;
	start(&wire.port, ~0ull);
	assert_int_equal(reg(&d, R_DEVICE_ID), 1);
	assert_int_equal(reg(&d, R_CONFIG), 0x01005452);
	assert_int_equal(reg(&d, R_CONFIG + 4), 0x10302);
	assert_int_equal(reg(&d, R_CONFIG + 8) >> 16, 9000);
	assert_true(features(&d) >> NET_F_MTU & 1);
	assert_int_equal(wire.features & 0xffffff, 1 << NET_F_CSUM | 1 << NET_F_GUEST_CSUM | 1 << NET_F_MTU |
							   1 << NET_F_MAC | 1 << NET_F_MRG_RXBUF | 1 << NET_F_STATUS);
}

static void a_frame_from_the_guest_goes_out_without_its_header(void **state)
{
	struct net_header h = {.flags = NET_NEEDS_CSUM, .csum_start = 14, .csum_offset = 2};

	start(&wire.port, 0);
	send_frame(&h, "0123456789abcdef0123", 20);
	assert_int_equal(wire.n, 1);
	assert_int_equal(wire.len, 20);
	assert_memory_equal(wire.frame, "0123456789abcdef0123", 20);
	assert_int_equal(wire.h.csum_start, 14);
	send_frame(&h, "too short", 9); /* less than an Ethernet header */
	assert_int_equal(wire.n, 1);
}

static void a_frame_for_the_guest_fills_a_buffer(void **state)
{
	struct net_header h = {.flags = NET_DATA_VALID};
	uint64_t ipa;
	uint16_t head;
	uint32_t len;

	start(&wire.port, 0);
	ipa = rx_buffer(1526);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, (const uint8_t *)"hello, this is a frame", 22);
	assert_true(used(&d, RX, &head, &len));
	assert_int_equal(len, NET_HEADER + 22);
	assert_int_equal(((uint8_t *)at(&d, ipa))[0], NET_DATA_VALID);
	assert_int_equal(((uint8_t *)at(&d, ipa))[10], 1);
	assert_memory_equal(at(&d, ipa + NET_HEADER), "hello, this is a frame", 22);
	interrupts(&d);
	work(&d);
	assert_int_equal(interrupts(&d), 1);
}

static void a_long_frame_fills_several_buffers_if_they_may_be_merged(void **state)
{
	static uint8_t frame[5000];
	struct net_header h = {0};
	uint64_t ipa[4];
	uint16_t head;
	uint32_t len, total = 0;

	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7);
	start(&wire.port, 1 << NET_F_MRG_RXBUF);
	for (unsigned i = 0; i < 4; i++)
		ipa[i] = rx_buffer(1500);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, frame, sizeof(frame));
	for (unsigned i = 0; i < 4; i++) {
		unsigned skip = i ? 0 : NET_HEADER;

		assert_true(used(&d, RX, &head, &len));
		assert_memory_equal(at(&d, ipa[i] + skip), frame + total, len - skip);
		total += len - skip;
	}
	assert_int_equal(total, sizeof(frame));
	assert_int_equal(((uint8_t *)at(&d, ipa[0]))[10], 4);
	assert_false(used(&d, RX, &head, &len));
}

static void a_long_frame_waits_until_there_are_enough_buffers(void **state)
{
	static uint8_t frame[5000];
	struct net_header h = {0};
	uint16_t head;
	uint32_t len;

	start(&wire.port, 1 << NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 3; i++)
		rx_buffer(1500);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, frame, sizeof(frame));
	assert_false(used(&d, RX, &head, &len));
	/* avail_event, or its like: of the fourth it wants to know */
	assert_int_equal(d.packed ? d.q[RX].used[0] : d.q[RX].used[2 + Q_SIZE * 4], d.packed ? 3 | 1 << 15 : 3);
	rx_buffer(1500);
	kick(&d, RX);
	for (unsigned i = 0; i < 4; i++)
		assert_true(used(&d, RX, &head, &len));
}

static void a_frame_that_fits_no_buffer_is_lost_and_the_buffer_is_not(void **state)
{
	static uint8_t frame[5000];
	struct net_header h = {0};
	uint16_t head;
	uint32_t len;

	start(&wire.port, 0);
	rx_buffer(1500);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, frame, sizeof(frame));
	assert_false(used(&d, RX, &head, &len));
	net_receive((struct net *)d.vd, &h, frame, 100);
	assert_true(used(&d, RX, &head, &len));
}

static void frames_wait_for_buffers_in_their_order(void **state)
{
	struct net_header h = {0};
	uint16_t head;
	uint32_t len;
	uint64_t ipa[4];

	start(&wire.port, 0);
	for (unsigned i = 0; i < 4; i++)
		net_receive((struct net *)d.vd, &h, (const uint8_t *)"frame 0\0frame 1\0frame 2\0frame 3" + 8 * i, 8);
	assert_false(net_has_room((struct net *)d.vd));
	for (unsigned i = 0; i < 4; i++)
		ipa[i] = rx_buffer(100);
	kick(&d, RX);
	for (unsigned i = 0; i < 4; i++) {
		char want[] = "frame 0";

		want[6] = (char)('0' + i);
		assert_true(used(&d, RX, &head, &len));
		assert_string_equal(at(&d, ipa[i] + NET_HEADER), want);
	}
	assert_false(net_has_room((struct net *)d.vd));
	rx_buffer(100);
	assert_true(net_has_room((struct net *)d.vd));
}

static void a_buffer_without_room_for_the_header_breaks_the_device(void **state)
{
	struct net_header h = {0};

	start(&wire.port, 0);
	rx_buffer(NET_HEADER - 1);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, (const uint8_t *)"frame", 5);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
}

static void a_legacy_driver_has_a_shorter_header(void **state)
{
	struct net_header h = {0};
	uint64_t ipa;
	uint16_t head;
	uint32_t len;

	d.host.legacy = true;
	start(&wire.port, 0);
	send_frame(&h, "0123456789abcdef", 16);
	assert_int_equal(wire.len, 16);
	ipa = rx_buffer(100);
	kick(&d, RX);
	net_receive((struct net *)d.vd, &h, (const uint8_t *)"frame", 5);
	assert_true(used(&d, RX, &head, &len));
	assert_int_equal(len, NET_HEADER_LEGACY + 5);
	assert_memory_equal(at(&d, ipa + NET_HEADER_LEGACY), "frame", 5);
}

/* RFC 1071's own example, and a sum that comes out as 0. */
static void checksums_are_completed(void **state)
{
	struct net_header h = {.flags = NET_NEEDS_CSUM, .csum_start = 2, .csum_offset = 8};
	uint8_t rfc[] = {9, 9, 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7, 0, 0}, zero[] = {9, 9, 0xff, 0xff, 0, 0};

	assert_true(net_checksum(&h, rfc, sizeof(rfc)));
	assert_int_equal(rfc[10] << 8 | rfc[11], 0x220d);
	h.csum_offset = 2;
	assert_true(net_checksum(&h, zero, sizeof(zero)));
	assert_int_equal(zero[4] << 8 | zero[5], 0xffff);
	h.csum_offset = 3;
	assert_false(net_checksum(&h, zero, sizeof(zero)));
	h.csum_offset = 0xffff;
	assert_false(net_checksum(&h, zero, sizeof(zero)));
	h.csum_start = 0xffff;
	assert_false(net_checksum(&h, zero, sizeof(zero)));
}

/* ---- passt's stream */

static void the_stream_has_a_length_before_each_frame(void **state)
{
	struct net_header h = {0};
	uint8_t buf[100];
	int sv[2];
	uint64_t ipa;
	uint16_t head;
	uint32_t len;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	start(net_stream_port(sv[0], "the socket"), 0);
	send_frame(&h, "0123456789abcdef", 16);
	assert_int_equal(read(sv[1], buf, sizeof(buf)), 20);
	assert_memory_equal(buf,
			    "\0\0\0\x10"
			    "0123456789abcdef",
			    20);
	/* Two frames that come in pieces; only one has a buffer. */
	ipa = rx_buffer(100);
	assert_int_equal(write(sv[1],
			       "\0\0\0\x05"
			       "fra",
			       7),
			 7);
	kick(&d, RX);
	assert_false(used(&d, RX, &head, &len));
	assert_int_equal(write(sv[1],
			       "me\0\0\0\x06"
			       "second",
			       12),
			 12);
	work(&d);
	assert_true(used(&d, RX, &head, &len));
	assert_memory_equal(at(&d, ipa + NET_HEADER), "frame", 5);
	assert_false(used(&d, RX, &head, &len));
	ipa = rx_buffer(100);
	kick(&d, RX);
	assert_true(used(&d, RX, &head, &len));
	assert_memory_equal(at(&d, ipa + NET_HEADER), "second", 6);
	/* passt goes */
	rx_buffer(100);
	close(sv[1]);
	work(&d);
	send_frame(&h, "0123456789abcdef", 16);
	assert_int_equal(d.messages, 1);
	assert_string_equal(d.message, "the socket: passt has gone; the guest's network is dead");
}

/* ---- the user network */

#ifdef HAVE_LIBSLIRP
static const uint8_t gateway_ip[4] = {10, 0, 2, 2}, guest_ip[4] = {10, 0, 2, 15};

static void start_user(const char *options)
{
	struct net_port *port = net_slirp_open(options, &error);

	if (!port)
		fail_msg("%s", error.text);
	start(port, 1 << NET_F_CSUM | 1 << NET_F_GUEST_CSUM);
}

/* The guest asks who has the gateway's address, and so becomes known. Returns its Ethernet address. */
static void arp(uint8_t *gateway)
{
	uint8_t frame[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
	struct net_header h = {0};
	uint64_t ipa = rx_buffer(200);
	uint16_t head;
	uint32_t len;

	memcpy(frame + 6, mac, 6);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, guest_ip, 4);
	memcpy(frame + 38, gateway_ip, 4);
	send_frame(&h, frame, sizeof(frame));
	assert_true(used(&d, RX, &head, &len));
	assert_int_equal(((uint8_t *)at(&d, ipa + NET_HEADER))[21], 2); /* a reply */
	memcpy(gateway, at(&d, ipa + NET_HEADER + 22), 6);
}

static int udp_socket(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void a_datagram_reaches_a_socket_of_the_host_and_is_answered(void **state)
{
	/* Ethernet, IPv4 with its checksum, UDP with the sum of the pseudo header only */
	uint8_t frame[14 + 20 + 8 + 5] = {[12] = 8, 0, 0x45, 0, 0, 33, 0, 1, 0, 0, 64, 17};
	struct net_header h = {.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6},
			  ip = {.csum_start = 0, .csum_offset = 10};
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	uint16_t port, head;
	uint32_t len, sum = 0;
	int fd = udp_socket(&port);
	uint64_t ipa;
	char buf[16];

	start_user("");
	arp(frame);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 26, guest_ip, 4);
	memcpy(frame + 30, gateway_ip, 4);
	frame[35] = 7; /* source port 7 */
	frame[36] = (uint8_t)(port >> 8);
	frame[37] = (uint8_t)port;
	frame[39] = 13;
	memcpy(frame + 42, "hello", 5);
	assert_true(net_checksum(&ip, frame + 14, 20));
	for (unsigned i = 26; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum += 17 + 13;
	sum = (sum & 0xffff) + (sum >> 16);
	frame[40] = (uint8_t)(sum >> 8);
	frame[41] = (uint8_t)sum;
	ipa = rx_buffer(200);
	send_frame(&h, frame, sizeof(frame));
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(sendto(fd, "HELLO!", 6, 0, (struct sockaddr *)&from, n), 6);
	while (!used(&d, RX, &head, &len))
		virtio_turn(d.vd, 1000);
	assert_memory_equal(at(&d, ipa + NET_HEADER + 42), "HELLO!", 6);
	close(fd);
}

static void a_port_that_is_busy_is_refused(void **state)
{
	char option[80];
	uint16_t port;
	int fd = udp_socket(&port);

	snprintf(option, sizeof(option), "hostfwd=udp:127.0.0.1:%u-:53", port);
	assert_null(net_slirp_open(option, &error));
	snprintf(option, sizeof(option), "cannot listen at udp port 127.0.0.1:%u: Address already in use", port);
	assert_string_equal(error.text, option);
	close(fd);
}
#endif

static void wrong_options_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "usr",
					  "user,x",
					  "user,hostfwd=",
					  "user,hostfwd=tcp:1-2",
					  "tap=",
					  "passt=",
					  "user,hostfwd=sctp::1-:2",
					  "user,hostfwd=tcp::0-:2",
					  "user,hostfwd=tcp::1-:65536",
					  "user,mac=1",
					  "user,mac=01:00:00:00:00:00",
					  "user,hostfwd=tcp:x:1-:2",
					  "user,hostfwd=tcp::1-:2,y",
					  "user,mac=52:54:00:12:34:567",
					  "user,hostfwd=tcp::1:-:2"};
	static const char *const good[] = {
		"user",
		"user,restrict",
		"user,mac=52:54:00:12:34:56",
		"user,hostfwd=tcp::8022-:22",
		"tap=tap0",
		"passt=/tmp/x,y",
		"user,hostfwd=tcp:0.0.0.0:8022-10.0.2.16:22,hostfwd=udp::53-:53,mac=52:54:00:12:34:56"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!net_check(bad[i], &error))
			fail_msg("'%s' is taken", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (net_check(good[i], &error))
			fail_msg("%s: %s", good[i], error.text);
	assert_null(net_create(&d.host, "passt=/nonexistent", &error));
	assert_string_equal(error.text, "passt: /nonexistent: No such file or directory");
	assert_null(net_create(&d.host, "tap=a-name-that-is-too-long", &error));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_configuration_has_address_link_and_mtu),
		T(a_frame_from_the_guest_goes_out_without_its_header),
		T(a_frame_for_the_guest_fills_a_buffer),
		T(a_long_frame_fills_several_buffers_if_they_may_be_merged),
		T(a_long_frame_waits_until_there_are_enough_buffers),
		T(a_frame_that_fits_no_buffer_is_lost_and_the_buffer_is_not),
		T(frames_wait_for_buffers_in_their_order),
		T(a_buffer_without_room_for_the_header_breaks_the_device),
		T(a_legacy_driver_has_a_shorter_header),
		T(checksums_are_completed),
		T(the_stream_has_a_length_before_each_frame),
#ifdef HAVE_LIBSLIRP
		T(a_datagram_reaches_a_socket_of_the_host_and_is_answered),
		T(a_port_that_is_busy_is_refused),
#endif
		T(wrong_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
