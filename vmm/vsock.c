/* SPDX-License-Identifier: MIT */
/*
 * The socket device: VIRTIO 1.2, section 5.10, streams between the guest and unix sockets of the host, with the convention
 * that other VMMs have. With PATH the socket that the user has named:
 *
 *   guest to host   a connection to CID 2, port N is one to the unix socket PATH_N
 *   host to guest   connect to PATH and write "CONNECT N\n"; when the guest's port N has accepted, "OK M\n" comes back, where
 *                   M is the port that the guest sees, and then the stream begins. A refusal closes the connection.
 *
 * All credit is as in 5.10.6.3: what the guest has sent and the host's reader has not taken waits in a buffer whose size is
 * the credit; more than that is the guest's error, and ends the connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices.h"
#include "unix_listen.h"

enum { QUEUE_RX = 0, QUEUE_TX = 1 };
enum { HEADER = 44, BUFFER = 128 << 10, PACKET_MAX = 64 << 10, CONNECTIONS_MAX = 128, RESETS_MAX = 64 };
enum { HOST_CID = 2, DEFAULT_CID = 3, FIRST_HOST_PORT = 1 << 30, TYPE_STREAM = 1 };
enum {
	OP_REQUEST = 1,
	OP_RESPONSE = 2,
	OP_RST = 3,
	OP_SHUTDOWN = 4,
	OP_RW = 5,
	OP_CREDIT_UPDATE = 6,
	OP_CREDIT_REQUEST = 7,
};
enum { SHUT_RCV = 1, SHUT_SEND = 2 };

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
};
_Static_assert(offsetof(struct packet, fwd_cnt) + 4 == HEADER, "5.10.6");

enum state {
	FREE,
	GREETING,    /* a client of PATH has not said which port it wants */
	REQUESTED,   /* and the guest has not answered */
	ESTABLISHED, /* the stream */
};

struct connection {
	enum state state;
	int fd;
	uint32_t host_port, guest_port;
	bool send_request, send_response, send_credit, send_rst; /* packets that are due to the guest */
	bool eof, said_eof;					 /* the host's client has shut down its side */
	bool guest_done;					 /* the guest sends no more */
	bool guest_deaf;					 /* and receives no more */
	bool readable;						 /* the last poll said so */
	uint32_t peer_alloc, peer_fwd, sent;			 /* credit that the guest gives; bytes sent to it */
	uint32_t fwd, fwd_said; /* bytes taken by the host's client; what the guest knows */
	char greeting[24];
	unsigned n_greeting;
	uint8_t *out; /* BUFFER bytes: a ring of what the guest has sent */
	uint32_t out_at, out_len;
};

struct vsock {
	struct virtio vd;
	uint64_t cid;
	char *path;
	int listener;
	uint32_t next_port;
	unsigned turn; /* whom to serve first */
	struct connection c[CONNECTIONS_MAX];
	struct packet resets[RESETS_MAX]; /* to nobody's packets */
	unsigned n_resets;
	struct iovec part[VIRTIO_MAX_SEGS];
};

/* ---- connections */

static struct connection *find(struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (v->c[i].state > GREETING && v->c[i].host_port == host_port && v->c[i].guest_port == guest_port)
			return &v->c[i];
	return NULL;
}

/* Takes fd over. NULL: there is no room. */
static struct connection *new_connection(struct vsock *v, int fd)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &v->c[i];
		uint8_t *out;

		if (c->state != FREE)
			continue;
		out = malloc(BUFFER);
		if (!out)
			break;
		*c = (struct connection){.state = GREETING, .fd = fd, .out = out};
		return c;
	}
	close(fd);
	return NULL;
}

static void drop(struct connection *c)
{
	close(c->fd);
	free(c->out);
	*c = (struct connection){.state = FREE, .fd = -1};
}

/* The end of a connection that the guest knows: what is due to it is a reset. */
static void fail(struct connection *c)
{
	c->send_request = c->send_response = c->send_credit = false;
	c->readable = false;
	c->out_len = 0;
	c->send_rst = true;
}

static void refuse(struct vsock *v, const struct packet *p)
{
	if (p->op != OP_RST && v->n_resets < RESETS_MAX)
		v->resets[v->n_resets++] = *p;
}

/* Bytes that the guest has room for. */
static uint32_t credit(const struct connection *c)
{
	uint32_t flying = c->sent - c->peer_fwd;

	return flying < c->peer_alloc ? c->peer_alloc - flying : 0;
}

/* ---- to the host's client */

static void write_out(struct connection *c)
{
	while (c->out_len) {
		uint32_t part = BUFFER - c->out_at < c->out_len ? BUFFER - c->out_at : c->out_len;
		ssize_t n = send(c->fd, c->out + c->out_at, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				fail(c);
			return;
		}
		c->out_at = (c->out_at + (uint32_t)n) % BUFFER;
		c->out_len -= (uint32_t)n;
		c->fwd += (uint32_t)n;
	}
	if (c->fwd - c->fwd_said >= BUFFER / 4)
		c->send_credit = true;
	if (c->guest_done && c->guest_deaf)
		fail(c); /* all is delivered: the guest waits for this */
	else if (c->guest_done)
		shutdown(c->fd, SHUT_WR);
}

static void take_data(struct vsock *v, struct connection *c, const struct packet *p, struct virtq_chain *chain)
{
	uint32_t done = 0;

	if (c->state != ESTABLISHED || c->guest_done || p->len > BUFFER - c->out_len) {
		fail(c);
		return;
	}
	while (done < p->len) {
		uint32_t end = (c->out_at + c->out_len) % BUFFER, part = BUFFER - end;

		if (part > p->len - done)
			part = p->len - done;
		if (chain_read(chain, HEADER + done, c->out + end, part) != part)
			return; /* was checked */
		c->out_len += part;
		done += part;
	}
	write_out(c);
}

static void connect_host(struct vsock *v, const struct packet *p)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct connection *c;
	int fd, n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s_%u", v->path, p->dst_port);

	fd = n < (int)sizeof(sa.sun_path) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		close(fd);
		fd = -1;
	}
	c = fd >= 0 ? new_connection(v, fd) : NULL;
	if (!c) {
		refuse(v, p);
		return;
	}
	c->state = ESTABLISHED;
	c->host_port = p->dst_port;
	c->guest_port = p->src_port;
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	c->send_response = true;
}

static void accepted(struct connection *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	if (c->state != REQUESTED) {
		fail(c);
		return;
	}
	c->state = ESTABLISHED;
	if (send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		fail(c);
}

static void take_packet(struct vsock *v, const struct packet *p, struct virtq_chain *chain)
{
	struct connection *c = find(v, p->dst_port, p->src_port);

	if (p->dst_cid != HOST_CID || p->type != TYPE_STREAM) {
		refuse(v, p);
		return;
	}
	if (!c || c->send_rst) {
		if (p->op == OP_REQUEST && !c)
			connect_host(v, p);
		else if (!c)
			refuse(v, p);
		else if (p->op == OP_RST)
			drop(c);
		return;
	}
	c->peer_alloc = p->buf_alloc;
	c->peer_fwd = p->fwd_cnt;
	switch (p->op) {
	case OP_RESPONSE: accepted(c); break;
	case OP_RST: drop(c); break;
	case OP_SHUTDOWN:
		c->guest_done |= !!(p->flags & SHUT_SEND);
		c->guest_deaf |= !!(p->flags & SHUT_RCV);
		write_out(c);
		break;
	case OP_RW: take_data(v, c, p, chain); break;
	case OP_CREDIT_UPDATE: break;
	case OP_CREDIT_REQUEST: c->send_credit = true; break;
	default: fail(c);
	}
}

static uint32_t transmit(struct virtio *vd, struct virtq_chain *chain)
{
	struct vsock *v = (struct vsock *)vd;
	struct packet p;

	if (chain_read(chain, 0, &p, HEADER) != HEADER || p.len > PACKET_MAX || p.len > chain->out_bytes - HEADER) {
		virtio_break(vd, "a packet that is shorter than it says");
		return 0;
	}
	if (p.src_cid == v->cid) /* nobody else is there */
		take_packet(v, &p, chain);
	return 0;
}

/* ---- to the guest */

static void put_packet(struct vsock *v, struct virtq_chain *chain, struct packet *p)
{
	struct virtq *q = &v->vd.q[QUEUE_RX];

	p->src_cid = HOST_CID;
	p->dst_cid = v->cid;
	p->type = TYPE_STREAM;
	chain_write(chain, 0, p, HEADER);
	virtq_push(q, chain, HEADER + p->len);
	virtio_signal(&v->vd, q);
}

/* What is due of a connection, into a buffer. False: nothing is. */
static bool put_due(struct vsock *v, struct connection *c, struct virtq_chain *chain)
{
	struct packet p = {.src_port = c->host_port, .dst_port = c->guest_port, .buf_alloc = BUFFER, .fwd_cnt = c->fwd};
	uint64_t room = chain->in_bytes - HEADER;

	if (c->send_rst) {
		p.op = OP_RST;
	} else if (c->send_request) {
		p.op = OP_REQUEST;
		c->send_request = false;
	} else if (c->send_response) {
		p.op = OP_RESPONSE;
		c->send_response = false;
	} else if (c->send_credit) {
		p.op = OP_CREDIT_UPDATE;
		c->send_credit = false;
	} else if (c->state == ESTABLISHED && c->readable && !c->eof && !c->guest_deaf && credit(c) && room) {
		size_t want = credit(c) < room ? credit(c) : (size_t)room;
		struct msghdr m = {.msg_iov = v->part};
		ssize_t n;

		if (want > PACKET_MAX)
			want = PACKET_MAX;
		m.msg_iovlen = iov_slice(chain->iov + chain->n_out, chain->n_in, HEADER, want, v->part);
		n = recvmsg(c->fd, &m, MSG_DONTWAIT);
		c->readable = false; /* until the next poll */
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return false;
			fail(c);
			return put_due(v, c, chain);
		}
		if (!n) {
			c->eof = true;
			return put_due(v, c, chain);
		}
		p.op = OP_RW;
		p.len = (uint32_t)n;
		c->sent += (uint32_t)n;
	} else if (c->eof && !c->said_eof) {
		p.op = OP_SHUTDOWN;
		p.flags = SHUT_SEND;
		c->said_eof = true;
	} else {
		return false;
	}
	c->fwd_said = c->fwd;
	put_packet(v, chain, &p);
	if (p.op == OP_RST)
		drop(c);
	return true;
}

static bool is_due(const struct connection *c)
{
	return c->state > GREETING &&
	       (c->send_rst || c->send_request || c->send_response || c->send_credit || (c->eof && !c->said_eof) ||
		(c->state == ESTABLISHED && c->readable && !c->guest_deaf && credit(c)));
}

/* Some connection's turn. False: nothing is due. */
static bool put_any(struct vsock *v, struct virtq_chain *chain)
{
	if (v->n_resets) {
		struct packet *from = &v->resets[--v->n_resets];
		struct packet p = {.src_port = from->dst_port, .dst_port = from->src_port, .op = OP_RST};

		put_packet(v, chain, &p);
		return true;
	}
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &v->c[(v->turn + i) % CONNECTIONS_MAX];

		if (is_due(c) && put_due(v, c, chain)) {
			v->turn = (v->turn + i + 1) % CONNECTIONS_MAX;
			return true;
		}
	}
	return false;
}

static bool any_due(const struct vsock *v)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (is_due(&v->c[i]))
			return true;
	return v->n_resets;
}

static void receive(struct vsock *v)
{
	struct virtq *q = &v->vd.q[QUEUE_RX];
	struct virtq_chain *chain = &v->vd.chain;

	if (!virtio_running(&v->vd))
		return;
	virtq_quiet(q);
	do {
		uint16_t mark;

		while (any_due(v) && (mark = virtq_mark(q), virtq_pop(q, chain))) {
			if (chain->in_bytes < HEADER) {
				virtio_break(&v->vd, "a receive buffer that is too small");
				return;
			}
			if (!put_any(v, chain)) {
				virtq_rewind(q, mark);
				break;
			}
		}
	} while (any_due(v) && virtq_rearm(q));
}

static void vsock_notify(struct virtio *vd, struct virtq *q)
{
	if (q->index == QUEUE_TX)
		virtq_each(q, transmit);
	receive((struct vsock *)vd);
}

/* ---- the host's clients */

/* A byte at a time: what follows the line is the stream's. */
static void greet(struct vsock *v, struct connection *c)
{
	for (;;) {
		char *end, byte;
		ssize_t n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
		unsigned long port;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || c->n_greeting == sizeof(c->greeting) - 1) {
			drop(c);
			return;
		}
		c->greeting[c->n_greeting++] = byte;
		if (byte != '\n')
			continue;
		c->greeting[c->n_greeting] = 0;
		port = strncmp(c->greeting, "CONNECT ", 8) || c->greeting[8] < '0' || c->greeting[8] > '9'
			       ? UINT64_MAX
			       : strtoul(c->greeting + 8, &end, 10);
		if (port > UINT32_MAX || *end != '\n' || !virtio_running(&v->vd)) {
			drop(c);
			return;
		}
		do
			c->host_port = v->next_port++ | FIRST_HOST_PORT;
		while (find(v, c->host_port, (uint32_t)port));
		c->guest_port = (uint32_t)port;
		c->state = REQUESTED;
		c->send_request = true;
		return;
	}
}

static void vsock_poll_fill(struct virtio *vd, struct pollfds *set)
{
	struct vsock *v = (struct vsock *)vd;

	pollfds_add(set, v->listener, POLLIN);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &v->c[i];
		short events = c->out_len ? POLLOUT : 0;

		if (c->state == GREETING ||
		    (c->state == ESTABLISHED && !c->eof && !c->readable && !c->guest_deaf && !c->send_rst && credit(c)))
			events |= POLLIN;
		if (c->state != FREE && events)
			pollfds_add(set, c->fd, events);
	}
}

static void vsock_poll_done(struct virtio *vd, struct pollfds *set)
{
	struct vsock *v = (struct vsock *)vd;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &v->c[i];
		short seen = c->state == FREE ? 0 : pollfds_seen(set, c->fd);

		if (!seen)
			continue;
		if (c->state == GREETING) {
			greet(v, c);
			continue;
		}
		if (seen & (POLLIN | POLLHUP | POLLERR))
			c->readable = true;
		if (seen & (POLLOUT | POLLERR) && c->out_len)
			write_out(c);
	}
	if (pollfds_seen(set, v->listener)) {
		int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			new_connection(v, fd);
	}
	receive(v);
}

static void vsock_reset(struct virtio *vd)
{
	struct vsock *v = (struct vsock *)vd;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (v->c[i].state != FREE)
			drop(&v->c[i]);
	v->n_resets = 0;
}

static void vsock_free(struct virtio *vd)
{
	struct vsock *v = (struct vsock *)vd;

	vsock_reset(vd);
	if (v->listener >= 0) {
		close(v->listener);
		unlink(v->path);
	}
	free(v->path);
	virtio_destroy(vd);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "a vsock",
	.id = VIRTIO_ID_VSOCK,
	.n_queues = 3,
	.queue_size = 128,
	.notify = vsock_notify,
	.reset = vsock_reset,
	.poll_fill = vsock_poll_fill,
	.poll_done = vsock_poll_done,
	.free = vsock_free,
};

/* ---- the option: "PATH[,cid=N]" */

static int parse(const char *arg, char **path, uint64_t *cid, struct vmm_error *err)
{
	char *comma, *end;

	*cid = DEFAULT_CID;
	*path = strdup(arg);
	if (!*path)
		return vmm_fail(err, "no memory");
	comma = strrchr(*path, ',');
	if (comma && !strncmp(comma, ",cid=", 5)) {
		errno = 0;
		*cid = strtoull(comma + 5, &end, 10);
		if (comma[5] < '0' || comma[5] > '9' || *end || errno || *cid < 3 || *cid >= UINT32_MAX) {
			vmm_fail(err, "'%.40s' is not a guest's CID, from 3 on", comma + 5);
			goto fail;
		}
		*comma = 0;
	}
	if (!**path) {
		vmm_fail(err, "the socket's path is empty");
		goto fail;
	}
	if (strlen(*path) + sizeof("_4294967295") > sizeof(((struct sockaddr_un *)0)->sun_path)) {
		vmm_fail(err, "%.100s: too long for a socket's path", *path);
		goto fail;
	}
	return 0;
fail:
	free(*path);
	return -1;
}

int vsock_check(const char *arg, struct vmm_error *err)
{
	uint64_t cid;
	char *path;

	if (parse(arg, &path, &cid, err))
		return -1;
	free(path);
	return 0;
}

struct virtio *vsock_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct vsock *v;
	uint64_t cid;
	char *path;

	if (parse(arg, &path, &cid, err))
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v || virtio_init(&v->vd, &vsock_ops, host, 0)) {
		vmm_fail(err, "cannot make the vsock: %s", strerror(errno));
		free(v);
		free(path);
		return NULL;
	}
	v->path = path;
	v->cid = cid;
	memcpy(v->vd.config, &cid, 8);
	v->vd.config_size = 8;
	v->listener = unix_listen("vsock", path, 16, err);
	if (v->listener < 0) {
		vsock_free(&v->vd);
		return NULL;
	}
	if (host->sandbox)
		host->sandbox->sockets[host->sandbox->n_sockets++] = v->path;
	return &v->vd;
}
