/* SPDX-License-Identifier: MIT */
/*
 * Disks: what the virtio block device (blk.c) asks of its storage. A store is used by one thread at a time. All
 * operations return 0 or an errno; offsets and lengths are bytes, inside the store's size rounded up to a sector.
 */
#ifndef PAWL_VMM_BLK_H
#define PAWL_VMM_BLK_H

#include "virtio.h"

enum { BLK_SECTOR = 512 };

struct blk_store;

/* A transfer or a flush that is begun, and done some time later. */
struct blk_io {
	enum { BLK_IO_READ, BLK_IO_WRITE, BLK_IO_FLUSH } kind;
	const struct iovec *iov; /* not of a flush; stays until it is done */
	unsigned n;
	uint64_t off, len;
	void (*done)(struct blk_io *io, int error);
	/* the store's */
	struct blk_io *next;
	uint8_t *buf;
	uint64_t at; /* bytes that are done */
	size_t part; /* and those under way, of which this many are on the server */
	size_t there;
	int64_t cookie, until_ms;
	uint64_t covers; /* a flush: the writes before it */
};

struct blk_ops {
	int (*read)(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len);
	int (*write)(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len);
	int (*flush)(struct blk_store *s); /* what was written before survives a power cut */
	/* The contents become arbitrary, and zero. The second may give the space back if unmap. */
	int (*discard)(struct blk_store *s, uint64_t off, uint64_t len);
	int (*zero)(struct blk_store *s, uint64_t off, uint64_t len, bool unmap);
	void (*close)(struct blk_store *s); /* what is under way is not done any more */
	/* Of stores that do several at a time; NULL if it is of no use. submit() may call done() before it returns. */
	void (*submit)(struct blk_store *s, struct blk_io *io);
	void (*poll_fill)(struct blk_store *s, struct pollfds *set);
	bool (*poll_done)(struct blk_store *s); /* whether something is done */
	void (*drain)(struct blk_store *s);	/* returns when nothing is under way any more */
};

struct blk_store { /* the first member of each store's own structure */
	const struct blk_ops *ops;
	uint64_t size; /* bytes */
	bool read_only;
	unsigned block_size;	 /* what the guest should use; at least BLK_SECTOR */
	const atomic_bool *quit; /* set by the device: give up what may take long */
	const char *why;	 /* of the last error, if there is more to say than its number */
	const char *news;	 /* what has become better: said once, and errors are news again */
};

/* NULL with a message. The message begins with the name. */
struct blk_store *blk_file_open(const char *path, bool read_only, struct vmm_error *err);
/* Writes go to a file of its own that nobody else sees and that is gone with the process; takes base over. */
struct blk_store *blk_snapshot_open(struct blk_store *base, const char *name, struct vmm_error *err);
struct blk_store *blk_nbd_open(const char *uri, bool read_only, struct vmm_error *err);

/* "FILE[,ro|,snapshot][,serial=TEXT]" */
int blk_check(const char *arg, struct vmm_error *err);
struct virtio *blk_create(const struct virtio_host *host, const char *arg, struct vmm_error *err);
/* The device on a store, which it takes over. */
struct virtio *blk_device(const struct virtio_host *host, struct blk_store *store, const char *name, const char *serial,
			  struct vmm_error *err);

#endif
