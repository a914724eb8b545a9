/* SPDX-License-Identifier: MIT */
/*
 * The network device: VIRTIO 1.2, section 5.1, with one pair of queues and no control queue. Offloads spare the guest what
 * the host does faster: checksums, cutting into segments, many small receive buffers.
 */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_RX = 0, QUEUE_TX = 1, QUEUE_SIZE = 256, KEPT_MAX = 4 << 20 /* bytes */ };

struct frame { /* one that waits for buffers */
	struct frame *next;
	struct net_header h;
	size_t len;
	uint8_t data[];
};

struct net {
	struct virtio vd;
	struct net_port *port;
	unsigned header_bytes;
	bool mergeable;
	bool rx_told_later; /* buffers went back, and the driver is to be told */
	struct virtq_chain rx;
	struct frame *first, **last;
	size_t kept; /* bytes */
	uint8_t tx[NET_FRAME_MAX];
};

struct net_config { /* 5.1.4 */
	uint8_t mac[6];
	uint16_t status, max_virtqueue_pairs, mtu;
};

void net_message(struct net *n, const char *text)
{
	n->vd.host->message(n->vd.host->arg, text);
}

void net_wake(struct net *n)
{
	virtio_wake(&n->vd);
}

/* ---- checksums: RFC 1071 */

static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t word;
	uint16_t half;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
		len -= 2;
	}
	if (len)
		sum += *p;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool net_checksum(const struct net_header *h, uint8_t *frame, size_t len)
{
	uint16_t sum;

	if (h->csum_start >= len || h->csum_offset + 2u > len - h->csum_start)
		return false;
	sum = checksum(frame + h->csum_start, len - h->csum_start);
	if (!sum)
		sum = 0xffff; /* the same number, and not UDP's "none" */
	memcpy(frame + h->csum_start + h->csum_offset, &sum, 2);
	return true;
}

/* ---- to the guest */

/*
 * Into as many buffers as it takes. 0: done, or the frame can never fit and is dropped; -1: not enough buffers.
 */
static int deliver(struct net *n, const struct net_header *h, const uint8_t *frame, size_t len)
{
	struct virtq *q = &n->vd.q[QUEUE_RX];
	struct net_header header = *h;
	uint8_t *first = NULL; /* num_buffers of the first buffer's header, if that is in one piece */
	size_t done = 0;
	unsigned used = 0;
	uint16_t mark = virtq_mark(q);

	if (!virtio_running(&n->vd) || !q->ready)
		return 0; /* nobody listens */
	header.num_buffers = 1;
	do {
		size_t at = 0, part;

		if (used == q->size || !virtq_pop(q, &n->rx)) {
			virtq_rewind(q, mark);
			return n->vd.broken ? 0 : -1;
		}
		if (!used) {
			if (n->rx.in_bytes < n->header_bytes) {
				virtio_break(&n->vd, "a receive buffer that is too small");
				return 0;
			}
			if (n->rx.iov[n->rx.n_out].iov_len >= n->header_bytes)
				first = (uint8_t *)n->rx.iov[n->rx.n_out].iov_base + 10;
			chain_write(&n->rx, 0, &header, n->header_bytes);
			at = n->header_bytes;
		}
		part = chain_write(&n->rx, at, frame + done, len - done);
		done += part;
		virtq_fill(q, &n->rx, (uint32_t)(at + part));
		used++;
		if (done < len && (!n->mergeable || !first)) { /* it does not fit */
			virtq_rewind(q, mark);
			return 0;
		}
	} while (done < len);
	if (used > 1)
		memcpy(first, &(uint16_t){(uint16_t)used}, 2);
	virtq_publish(q);
	n->rx_told_later = true;
	return 0;
}

static void keep(struct net *n, const struct net_header *h, const uint8_t *data, size_t len)
{
	struct frame *f = n->kept + len <= KEPT_MAX ? malloc(sizeof(*f) + len) : NULL;

	if (!f)
		return; /* networks lose frames */
	f->next = NULL;
	f->h = *h;
	f->len = len;
	memcpy(f->data, data, len);
	*n->last = f;
	n->last = &f->next;
	n->kept += len;
}

static void drop_first(struct net *n)
{
	struct frame *f = n->first;

	n->first = f->next;
	if (!n->first)
		n->last = &n->first;
	n->kept -= f->len;
	free(f);
}

/* What is kept goes first. */
static void deliver_kept(struct net *n)
{
	struct virtq *q = &n->vd.q[QUEUE_RX];

	virtq_quiet(q);
	do {
		while (n->first && !deliver(n, &n->first->h, n->first->data, n->first->len))
			drop_first(n);
	} while (n->first && virtq_rearm_for_more(q));
}

void net_receive(struct net *n, const struct net_header *h, const uint8_t *frame, size_t len)
{
	if (!n->first && !deliver(n, h, frame, len))
		return;
	keep(n, h, frame, len);
	deliver_kept(n);
}

bool net_has_room(struct net *n)
{
	struct virtq *q = &n->vd.q[QUEUE_RX];
	bool room;

	if (!virtio_running(&n->vd) || !q->ready)
		return true; /* frames are dropped */
	if (n->first)
		return false;
	room = virtq_rearm(q);
	if (room)
		virtq_quiet(q);
	return room;
}

static void tell(struct net *n)
{
	if (n->rx_told_later && virtio_running(&n->vd))
		virtio_signal(&n->vd, &n->vd.q[QUEUE_RX]);
	n->rx_told_later = false;
}

/* ---- from the guest */

static uint32_t send_frame(struct virtio *vd, struct virtq_chain *c)
{
	struct net *n = (struct net *)vd;
	struct net_header h = {0};
	size_t len;

	if (c->out_bytes < n->header_bytes) {
		virtio_break(vd, "a frame without a header");
		return 0;
	}
	if (c->out_bytes - n->header_bytes > sizeof(n->tx))
		return 0; /* no frame is as long */
	chain_read(c, 0, &h, n->header_bytes);
	len = chain_read(c, n->header_bytes, n->tx, sizeof(n->tx));
	if (len >= 14)
		n->port->ops->send(n->port, &h, n->tx, len);
	return 0;
}

static void net_notify(struct virtio *vd, struct virtq *q)
{
	struct net *n = (struct net *)vd;

	if (q->index == QUEUE_TX)
		virtq_each(q, send_frame);
	else
		deliver_kept(n);
	tell(n);
}

static void net_poll_fill(struct virtio *vd, struct pollfds *set)
{
	struct net *n = (struct net *)vd;

	n->port->ops->poll_fill(n->port, set);
}

static void net_poll_done(struct virtio *vd, struct pollfds *set)
{
	struct net *n = (struct net *)vd;

	n->port->ops->poll_done(n->port, set);
	tell(n);
}

static void net_started(struct virtio *vd)
{
	struct net *n = (struct net *)vd;

	n->mergeable = vd->features >> NET_F_MRG_RXBUF & 1;
	n->header_bytes = n->mergeable || vd->features & VIRTIO_F_VERSION_1 ? NET_HEADER : NET_HEADER_LEGACY;
	if (n->port->ops->started)
		n->port->ops->started(n->port, vd->features);
}

static void net_reset(struct virtio *vd)
{
	struct net *n = (struct net *)vd;

	while (n->first)
		drop_first(n);
	n->rx_told_later = false;
}

static void net_free(struct virtio *vd)
{
	struct net *n = (struct net *)vd;

	n->port->ops->close(n->port);
	net_reset(vd);
	virtio_destroy(vd);
	free(n);
}

static const struct virtio_ops net_device_ops = {
	.name = "a network",
	.id = VIRTIO_ID_NET,
	.n_queues = 2,
	.queue_size = QUEUE_SIZE,
	.notify = net_notify,
	.started = net_started,
	.reset = net_reset,
	.poll_fill = net_poll_fill,
	.poll_done = net_poll_done,
	.free = net_free,
};

struct virtio *net_device(const struct virtio_host *host, struct net_port *port, const uint8_t *mac,
			  struct vmm_error *err)
{
	struct net *n = calloc(1, sizeof(*n));
	struct net_config config = {.status = 1 /* the link is up */, .mtu = (uint16_t)port->mtu};
	uint64_t features = port->features | 1u << NET_F_MAC | 1u << NET_F_MRG_RXBUF | 1u << NET_F_STATUS;

	if (port->mtu)
		features |= 1u << NET_F_MTU;
	if (n)
		n->last = &n->first;
	if (!n || virtio_init(&n->vd, &net_device_ops, host, features)) {
		vmm_fail(err, "cannot make a network: %s", strerror(errno));
		port->ops->close(port);
		free(n);
		return NULL;
	}
	n->port = port;
	port->net = n;
	memcpy(config.mac, mac, 6);
	memcpy(n->vd.config, &config, sizeof(config));
	n->vd.config_size = sizeof(config);
	return &n->vd;
}

/* ---- the option */

struct net_option {
	char *text; /* malloc'ed; its words are separated by NUL */
	enum { USER, TAP, PASST } kind;
	const char *value; /* of the first word, or what follows "user" */
	uint8_t mac[6];
	bool has_mac;
};

static int parse_mac(struct net_option *o, const char *text, struct vmm_error *err)
{
	unsigned byte[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5],
		   &end) != 6 ||
	    text[end] || byte[0] & 1)
		return vmm_fail(err, "'%.40s' is not an Ethernet address of one station, such as 52:54:00:12:34:56",
				text);
	for (unsigned i = 0; i < 6; i++)
		o->mac[i] = (uint8_t)byte[i];
	o->has_mac = true;
	return 0;
}

static int parse_words(struct net_option *o, struct vmm_error *err)
{
	char *comma = strrchr(o->text, ',');

	if (comma && !strncmp(comma + 1, "mac=", 4)) {
		if (parse_mac(o, comma + 5, err))
			return -1;
		*comma = 0;
	}
	if (!strcmp(o->text, "user") || !strncmp(o->text, "user,", 5)) {
		o->kind = USER;
		o->value = o->text[4] ? o->text + 5 : "";
		return net_slirp_check(o->value, err);
	}
	if (!strncmp(o->text, "tap=", 4) && o->text[4]) {
		o->kind = TAP;
		o->value = o->text + 4;
		return 0;
	}
	if (!strncmp(o->text, "passt=", 6) && o->text[6]) {
		o->kind = PASST;
		o->value = o->text + 6;
		return 0;
	}
	return vmm_fail(err, "'%.200s' is none of user[,hostfwd=...], tap=NAME, passt=SOCKET, none", o->text);
}

static int parse(struct net_option *o, const char *arg, struct vmm_error *err)
{
	memset(o, 0, sizeof(*o));
	o->text = strdup(arg);
	if (!o->text)
		return vmm_fail(err, "no memory");
	if (parse_words(o, err)) {
		free(o->text);
		return -1;
	}
	return 0;
}

int net_check(const char *arg, struct vmm_error *err)
{
	struct net_option o;

	if (parse(&o, arg, err))
		return -1;
	free(o.text);
	return 0;
}

struct virtio *net_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct net_option o;
	struct net_port *port;

	if (parse(&o, arg, err))
		return NULL;
	if (!o.has_mac)
		memcpy(o.mac, (uint8_t[]){0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(0x56 + host->slot)}, 6);
	port = o.kind == USER  ? net_slirp_open(o.value, err)
	       : o.kind == TAP ? net_tap_open(o.value, err)
			       : net_passt_open(o.value, err);
	free(o.text);
	return port ? net_device(host, port, o.mac, err) : NULL;
}
