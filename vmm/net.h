/* SPDX-License-Identifier: MIT */
/*
 * Networks: what the virtio network device (net.c) and the host's side of it ask of each other. All under the device's run
 * lock, on its thread.
 */
#ifndef PAWL_VMM_NET_H
#define PAWL_VMM_NET_H

#include "virtio.h"

enum { NET_FRAME_MAX = 65536 + 64 /* bytes: an IP packet of the largest size, and the headers in front of it */ };

/* VIRTIO 1.2, 5.1.6; the last member is not there in legacy devices without mergeable buffers */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
enum { NET_HEADER = 12, NET_HEADER_LEGACY = 10 };
enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 }; /* flags */
_Static_assert(sizeof(struct net_header) == NET_HEADER, "5.1.6");

/* Feature bits, 5.1.3 */
enum {
	NET_F_CSUM = 0,
	NET_F_GUEST_CSUM = 1,
	NET_F_MTU = 3,
	NET_F_MAC = 5,
	NET_F_GUEST_TSO4 = 7,
	NET_F_GUEST_TSO6 = 8,
	NET_F_HOST_TSO4 = 11,
	NET_F_HOST_TSO6 = 12,
	NET_F_MRG_RXBUF = 15,
	NET_F_STATUS = 16,
};

struct net;
struct net_port;

struct net_ops {
	/*
	 * A frame from the guest; h says what is still to be done to it, within the features that the port has. The bytes
	 * may be changed.
	 */
	void (*send)(struct net_port *p, const struct net_header *h, uint8_t *frame, size_t len);
	void (*started)(struct net_port *p, uint64_t features); /* may be NULL */
	void (*poll_fill)(struct net_port *p, struct pollfds *set);
	void (*poll_done)(struct net_port *p, struct pollfds *set);
	void (*close)(struct net_port *p);
};

struct net_port { /* the first member of each port's own structure */
	const struct net_ops *ops;
	struct net *net;   /* set by the device */
	uint64_t features; /* offloads that it can do or use */
	unsigned mtu;	   /* 0: not said to the guest */
};

/* For ports: a frame for the guest. Kept for a while if the guest has no buffers now. */
void net_receive(struct net *n, const struct net_header *h, const uint8_t *frame, size_t len);
/* Whether the guest has buffers; a port that can let its sender wait does so while it has none. */
bool net_has_room(struct net *n);
void net_message(struct net *n, const char *text);
void net_wake(struct net *n);
/* Write the checksum that h asks for. False: h is nonsense. */
bool net_checksum(const struct net_header *h, uint8_t *frame, size_t len);

/* NULL with a message. options: what follows "user," */
struct net_port *net_slirp_open(const char *options, struct vmm_error *err);
int net_slirp_check(const char *options, struct vmm_error *err);
struct net_port *net_tap_open(const char *name, struct vmm_error *err);
struct net_port *net_passt_open(const char *path, struct vmm_error *err);
struct net_port *net_stream_port(int fd,
				 const char *name); /* passt's protocol on a connected socket, which it takes over */

/* "user[,hostfwd=...]...", "tap=NAME", "passt=SOCKET"; each with [,mac=ADDRESS] at its end */
int net_check(const char *arg, struct vmm_error *err);
struct virtio *net_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);
/* The device on a port, which it takes over. */
struct virtio *net_device(const struct virtio_host *host, struct net_port *port, const uint8_t *mac,
			  struct vmm_error *err);

#endif
