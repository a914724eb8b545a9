/* SPDX-License-Identifier: MIT */
/*
 * Networks that somebody else makes: a TAP interface (Documentation/networking/tuntap.rst), which somebody with the
 * privilege has set up for this user, and passt's socket (passt(1), "Qemu"): a stream of frames, each with its length in
 * front, 32 bits, big-endian.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FRAMES_PER_TURN = 64, STREAM_LENGTH = 4 };

/* ---- TAP */

struct net_tap {
	struct net_port port;
	int fd;
	uint8_t buf[NET_HEADER + NET_FRAME_MAX];
};

/* The header that a TAP device wants and gives is the virtio one, and it does the offloads itself. */
static void tap_send(struct net_port *p, const struct net_header *h, uint8_t *frame, size_t len)
{
	struct net_tap *t = (struct net_tap *)p;
	struct net_header header = *h;
	struct iovec iov[2] = {{&header, sizeof(header)}, {frame, len}};

	header.num_buffers = 0;
	if (writev(t->fd, iov, 2) < 0)
		return; /* lost, as on a wire */
}

static void tap_started(struct net_port *p, uint64_t features)
{
	struct net_tap *t = (struct net_tap *)p;
	unsigned long offload = 0;

	if (features >> NET_F_GUEST_CSUM & 1) {
		offload = TUN_F_CSUM;
		if (features >> NET_F_GUEST_TSO4 & 1)
			offload |= TUN_F_TSO4;
		if (features >> NET_F_GUEST_TSO6 & 1)
			offload |= TUN_F_TSO6;
	}
	ioctl(t->fd, TUNSETOFFLOAD, offload);
}

static void tap_poll_fill(struct net_port *p, struct pollfds *set)
{
	struct net_tap *t = (struct net_tap *)p;

	if (net_has_room(p->net))
		pollfds_add(set, t->fd, POLLIN);
}

static void tap_poll_done(struct net_port *p, struct pollfds *set)
{
	struct net_tap *t = (struct net_tap *)p;

	if (!pollfds_seen(set, t->fd))
		return;
	for (unsigned i = 0; i < FRAMES_PER_TURN && net_has_room(p->net); i++) {
		ssize_t n = read(t->fd, t->buf, sizeof(t->buf));
		struct net_header h;

		if (n <= NET_HEADER)
			return;
		memcpy(&h, t->buf, sizeof(h));
		net_receive(p->net, &h, t->buf + NET_HEADER, (size_t)n - NET_HEADER);
	}
}

static void tap_close(struct net_port *p)
{
	close(((struct net_tap *)p)->fd);
	free(p);
}

static const struct net_ops tap_ops = {
	.send = tap_send,
	.started = tap_started,
	.poll_fill = tap_poll_fill,
	.poll_done = tap_poll_done,
	.close = tap_close,
};

struct net_port *net_tap_open(const char *name, struct vmm_error *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct net_tap *t = calloc(1, sizeof(*t));
	int header = NET_HEADER;

	if (!t || strlen(name) >= sizeof(ifr.ifr_name)) {
		vmm_fail(err, "tap: %s", t ? "an interface's name is shorter" : "no memory");
		free(t);
		return NULL;
	}
	strcpy(ifr.ifr_name, name);
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0) {
		vmm_fail(err, "tap: /dev/net/tun: %s", strerror(errno));
		free(t);
		return NULL;
	}
	if (ioctl(t->fd, TUNSETIFF, &ifr) || ioctl(t->fd, TUNSETVNETHDRSZ, &header)) {
		vmm_fail(err, "tap: %s: %s%s", name, strerror(errno),
			 errno == EPERM ? " (make it first: ip tuntap add NAME mode tap user USER)" : "");
		close(t->fd);
		free(t);
		return NULL;
	}
	t->port.ops = &tap_ops;
	t->port.features = 1u << NET_F_CSUM | 1u << NET_F_GUEST_CSUM | 1u << NET_F_HOST_TSO4 | 1u << NET_F_HOST_TSO6 |
			   1u << NET_F_GUEST_TSO4 | 1u << NET_F_GUEST_TSO6;
	return &t->port;
}

/* ---- passt */

struct net_stream {
	struct net_port port;
	int fd; /* -1: gone */
	char *name;
	uint8_t in[2 * (STREAM_LENGTH + NET_FRAME_MAX)];
	size_t in_len;
	uint8_t out[4 * (STREAM_LENGTH + NET_FRAME_MAX)]; /* what the socket has not taken yet */
	size_t out_len;
};

static void stream_gone(struct net_stream *s)
{
	char text[400];

	snprintf(text, sizeof(text), "%.300s: passt has gone; the guest's network is dead", s->name);
	net_message(s->port.net, text);
	close(s->fd);
	s->fd = -1;
}

static void stream_write(struct net_stream *s)
{
	while (s->fd >= 0 && s->out_len) {
		ssize_t n = send(s->fd, s->out, s->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			stream_gone(s);
			return;
		}
		memmove(s->out, s->out + n, s->out_len - (size_t)n);
		s->out_len -= (size_t)n;
	}
}

static void stream_send(struct net_port *p, const struct net_header *h, uint8_t *frame, size_t len)
{
	struct net_stream *s = (struct net_stream *)p;
	uint32_t length = htonl((uint32_t)len);

	if (s->fd < 0 || (h->flags & NET_NEEDS_CSUM && !net_checksum(h, frame, len)))
		return;
	if (sizeof(s->out) - s->out_len < STREAM_LENGTH + len)
		return; /* lost: passt is slower than the guest */
	memcpy(s->out + s->out_len, &length, STREAM_LENGTH);
	memcpy(s->out + s->out_len + STREAM_LENGTH, frame, len);
	s->out_len += STREAM_LENGTH + len;
	stream_write(s);
}

static void stream_poll_fill(struct net_port *p, struct pollfds *set)
{
	struct net_stream *s = (struct net_stream *)p;
	short events = (short)((net_has_room(p->net) ? POLLIN : 0) | (s->out_len ? POLLOUT : 0));

	if (s->fd >= 0 && events)
		pollfds_add(set, s->fd, events);
}

/* All whole frames at the beginning of in. False: a length that is none. */
static bool stream_frames(struct net_stream *s)
{
	struct net_header h = {0};
	size_t at = 0;

	while (s->in_len - at >= STREAM_LENGTH && net_has_room(s->port.net)) {
		uint32_t length;

		memcpy(&length, s->in + at, STREAM_LENGTH);
		length = ntohl(length);
		if (!length || length > NET_FRAME_MAX)
			return false;
		if (s->in_len - at - STREAM_LENGTH < length)
			break;
		net_receive(s->port.net, &h, s->in + at + STREAM_LENGTH, length);
		at += STREAM_LENGTH + length;
	}
	memmove(s->in, s->in + at, s->in_len - at);
	s->in_len -= at;
	return true;
}

static void stream_poll_done(struct net_port *p, struct pollfds *set)
{
	struct net_stream *s = (struct net_stream *)p;
	short seen = s->fd >= 0 ? pollfds_seen(set, s->fd) : 0;
	ssize_t n = 0;

	if (s->fd < 0)
		return;
	if (seen & (POLLIN | POLLHUP | POLLERR)) {
		n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
		if (n > 0)
			s->in_len += (size_t)n;
		else if (s->in_len < sizeof(s->in) && (!n || (errno != EAGAIN && errno != EINTR))) {
			stream_gone(s);
			return;
		}
	}
	if (!stream_frames(s)) { /* also those that waited for room */
		stream_gone(s);
		return;
	}
	stream_write(s);
}

static void stream_close(struct net_port *p)
{
	struct net_stream *s = (struct net_stream *)p;

	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s);
}

static const struct net_ops stream_ops = {
	.send = stream_send,
	.poll_fill = stream_poll_fill,
	.poll_done = stream_poll_done,
	.close = stream_close,
};

struct net_port *net_stream_port(int fd, const char *name)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	if (!s || !(s->name = strdup(name))) {
		free(s);
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->port.ops = &stream_ops;
	/* It takes segments of TCP as long as an IP packet can be; checksums are done here. */
	s->port.features = 1u << NET_F_CSUM | 1u << NET_F_HOST_TSO4 | 1u << NET_F_HOST_TSO6;
	s->port.mtu = 65520; /* passt's own default */
	return &s->port;
}

struct net_port *net_passt_open(const char *path, struct vmm_error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct net_port *p = NULL;
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		vmm_fail(err, "passt: the socket's path is too long");
		return NULL;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		vmm_fail(err, "passt: %.300s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	p = net_stream_port(fd, path);
	if (!p)
		vmm_fail(err, "passt: no memory");
	return p;
}
