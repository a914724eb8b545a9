/* SPDX-License-Identifier: MIT */
/*
 * The block device: VIRTIO 1.2, section 5.2. Requests are done on the device's thread: in order, one at a time, or for storage that
 * is far away several at once, which may end in any order. A write
 * cache is announced (VIRTIO_BLK_F_FLUSH), so the guest flushes where it must: what it was told is flushed is with the
 * storage. Errors of the storage are I/O errors for the guest, and the first is a line for the user.
 */
#include "blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { ID_BYTES = 20, HEADER = 16, RANGE = 16, QUEUE_SIZE = 256, RANGES_MAX = 64, REQUESTS = 64 /* at once */ };
enum { UNMAP = 1 };
#define REQUEST_MAX (UINT64_C(1) << 30) /* bytes of one request */
#define RANGE_MAX (UINT64_C(1) << 30)	/* bytes of a range to be discarded or zeroed */

/* Section 5.2.4; the guest's view, little-endian */
struct config {
	uint64_t capacity; /* sectors */
	uint32_t size_max, seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t topology[8];
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};
_Static_assert(offsetof(struct config, max_discard_sectors) == 36 && sizeof(struct config) == 64, "5.2.4");
_Static_assert(sizeof(struct config) <= VIRTIO_MAX_CONFIG, "too long");

/* A request to storage that does several at once */
struct request {
	struct blk_io io;
	struct blk *b;
	struct request *next; /* of those that are free */
	struct virtq_chain chain;
	struct iovec part[VIRTIO_MAX_SEGS];
};

struct blk {
	struct virtio vd;
	struct blk_store *store;
	char *name;
	char serial[ID_BYTES];
	int said; /* the storage's error that the user was told last */
	struct iovec part[VIRTIO_MAX_SEGS];
	struct request *requests, *free; /* NULL: one at a time */
};

static uint8_t result(struct blk *b, const char *what, int error)
{
	const struct virtio_host *host = b->vd.host;
	char text[512];

	if (b->store->news) {
		snprintf(text, sizeof(text), "%.300s: %s", b->name, b->store->news);
		host->message(host->arg, text);
		b->store->news = NULL;
		b->said = 0;
	}
	if (!error)
		return S_OK;
	if (error == EOPNOTSUPP)
		return S_UNSUPP;
	if (error != b->said && !atomic_load(&b->vd.quit)) {
		snprintf(text, sizeof(text), "%.300s: cannot %s: %s; the guest gets I/O errors", b->name, what,
			 b->store->why ? b->store->why : strerror(error));
		host->message(host->arg, text);
	}
	b->said = error;
	return S_IOERR;
}

/* Sectors that are on the disk. */
static bool inside(const struct blk *b, uint64_t sector, uint64_t len)
{
	uint64_t sectors = (b->store->size + BLK_SECTOR - 1) / BLK_SECTOR;

	return len % BLK_SECTOR == 0 && sector <= sectors && len / BLK_SECTOR <= sectors - sector;
}

/* What a transfer is about, its data in part. False: there is no such place. */
static bool transfer_where(const struct blk *b, const struct virtq_chain *c, uint64_t sector, struct iovec *part,
			   struct blk_io *io)
{
	bool is_write = io->kind == BLK_IO_WRITE;

	io->len = is_write ? c->out_bytes - HEADER : c->in_bytes - 1;
	io->n = is_write ? iov_slice(c->iov, c->n_out, HEADER, io->len, part)
			 : iov_slice(c->iov + c->n_out, c->n_in, 0, io->len, part);
	io->iov = part;
	io->off = sector * BLK_SECTOR;
	return io->len <= REQUEST_MAX && inside(b, sector, io->len) && !(is_write && b->store->read_only);
}

static uint8_t transfer(struct blk *b, struct virtq_chain *c, uint64_t sector, bool is_write, uint32_t *written)
{
	struct blk_io io = {.kind = is_write ? BLK_IO_WRITE : BLK_IO_READ};

	if (!transfer_where(b, c, sector, b->part, &io))
		return S_IOERR;
	if (is_write)
		return result(b, "write", b->store->ops->write(b->store, io.iov, io.n, io.off, io.len));
	*written += (uint32_t)io.len;
	return result(b, "read", b->store->ops->read(b->store, io.iov, io.n, io.off, io.len));
}

static uint8_t one_range(struct blk *b, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	uint64_t len = (uint64_t)sectors * BLK_SECTOR, off = sector * BLK_SECTOR;

	/* 5.2.6.2: an unknown flag, or unmap with a discard, is unsupported. */
	if (flags & ~(uint32_t)UNMAP || (type == T_DISCARD && flags))
		return S_UNSUPP;
	if (!inside(b, sector, len) || len > RANGE_MAX || b->store->read_only)
		return S_IOERR;
	if (type == T_DISCARD)
		return result(b, "discard", b->store->ops->discard(b->store, off, len));
	return result(b, "write zeroes", b->store->ops->zero(b->store, off, len, flags & UNMAP));
}

static uint8_t ranges(struct blk *b, struct virtq_chain *c, uint32_t type)
{
	uint64_t len = c->out_bytes - HEADER;
	uint8_t status = S_OK;

	if (!len || len % RANGE || len / RANGE > RANGES_MAX)
		return S_IOERR;
	for (uint64_t off = HEADER; off < HEADER + len && status == S_OK; off += RANGE) {
		struct {
			uint64_t sector;
			uint32_t sectors, flags;
		} r;

		chain_read(c, off, &r, sizeof(r));
		status = one_range(b, type, r.sector, r.sectors, r.flags);
	}
	return status;
}

static uint8_t get_id(struct blk *b, struct virtq_chain *c, uint32_t *written)
{
	/* Up to 20 bytes, and no NUL if they are all used. */
	*written += (uint32_t)chain_write(c, 0, b->serial, c->in_bytes - 1 < ID_BYTES ? c->in_bytes - 1 : ID_BYTES);
	return S_OK;
}

struct header {
	uint32_t type, reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct header) == HEADER, "5.2.6");

static bool read_header(struct blk *b, const struct virtq_chain *c, struct header *header)
{
	if (c->out_bytes < HEADER || !c->in_bytes) {
		virtio_break(&b->vd, "a request without header or status");
		return false;
	}
	chain_read(c, 0, header, sizeof(*header));
	return true;
}

static uint32_t handle(struct virtio *vd, struct virtq_chain *c)
{
	struct blk *b = (struct blk *)vd;
	struct header header;
	uint32_t written = 0;
	uint8_t status;

	if (!read_header(b, c, &header))
		return 0;
	switch (header.type) {
	case T_IN: status = transfer(b, c, header.sector, false, &written); break;
	case T_OUT: status = transfer(b, c, header.sector, true, &written); break;
	case T_FLUSH: status = result(b, "flush", b->store->ops->flush(b->store)); break;
	case T_GET_ID: status = get_id(b, c, &written); break;
	case T_DISCARD:
	case T_WRITE_ZEROES: status = ranges(b, c, header.type); break;
	default: status = S_UNSUPP;
	}
	chain_write(c, c->in_bytes - 1, &status, 1); /* the last byte, wherever it is */
	return written + 1;
}

/* ---- several at once */

static void give_back(struct request *r, uint32_t len)
{
	struct blk *b = r->b;

	r->next = b->free;
	b->free = r;
	if (!virtio_running(&b->vd))
		return; /* the driver has broken it since */
	virtq_push(&b->vd.q[0], &r->chain, len);
	virtio_signal(&b->vd, &b->vd.q[0]);
}

static void answer(struct request *r, uint8_t status)
{
	uint32_t len = r->io.kind == BLK_IO_READ ? (uint32_t)r->io.len : 0;

	chain_write(&r->chain, r->chain.in_bytes - 1, &status, 1);
	give_back(r, len + 1);
}

static void io_done(struct blk_io *io, int error)
{
	static const char *const what[] = {[BLK_IO_READ] = "read", [BLK_IO_WRITE] = "write", [BLK_IO_FLUSH] = "flush"};
	struct request *r = (struct request *)io;

	answer(r, result(r->b, what[io->kind], error));
}

static void begin(struct blk *b, struct request *r)
{
	struct header header;

	if (!read_header(b, &r->chain, &header)) {
		give_back(r, 0);
		return;
	}
	switch (header.type) {
	case T_IN: r->io.kind = BLK_IO_READ; break;
	case T_OUT: r->io.kind = BLK_IO_WRITE; break;
	case T_FLUSH: r->io.kind = BLK_IO_FLUSH; break;
	default: give_back(r, handle(&b->vd, &r->chain)); return;
	}
	if (header.type != T_FLUSH && !transfer_where(b, &r->chain, header.sector, r->part, &r->io)) {
		r->io.len = 0;
		answer(r, S_IOERR);
		return;
	}
	r->io.done = io_done;
	b->store->ops->submit(b->store, &r->io);
}

/* As virtq_each(), as long as there are requests that are free. */
static void begin_all(struct blk *b)
{
	struct virtq *q = &b->vd.q[0];
	unsigned left = q->size;

	if (!q->ready || !virtio_running(&b->vd))
		return;
	do {
		struct request *r;

		virtq_quiet(q);
		while (left && (r = b->free) && virtq_pop(q, &r->chain)) {
			left--;
			b->free = r->next;
			begin(b, r);
			if (b->vd.broken)
				return;
		}
		if (!left)
			q->again = true;
		if (!left || !b->free)
			return; /* till later, or till one is done */
	} while (virtq_rearm(q));
}

static void blk_poll_fill(struct virtio *vd, struct pollfds *set)
{
	struct blk *b = (struct blk *)vd;

	if (b->requests)
		b->store->ops->poll_fill(b->store, set);
}

static void blk_poll_done(struct virtio *vd, struct pollfds *set)
{
	struct blk *b = (struct blk *)vd;

	/* What is begun may be done at once, and nothing would wake us for it. */
	for (unsigned i = 0; b->requests && b->store->ops->poll_done(b->store); i++) {
		begin_all(b);
		if (i == 16) { /* let others have the run lock */
			vd->q[0].again = true;
			return;
		}
	}
}

static void blk_queue_reset(struct virtio *vd, struct virtq *q)
{
	struct blk *b = (struct blk *)vd;

	if (b->requests)
		b->store->ops->drain(b->store);
}

static void blk_reset(struct virtio *vd)
{
	blk_queue_reset(vd, &vd->q[0]);
}

static bool make_requests(struct blk *b)
{
	b->requests = calloc(REQUESTS, sizeof(*b->requests));
	for (unsigned i = 0; b->requests && i < REQUESTS; i++) {
		b->requests[i].b = b;
		b->requests[i].next = b->free;
		b->free = &b->requests[i];
	}
	return b->requests;
}

/* ---- the device */

static void blk_notify(struct virtio *vd, struct virtq *q)
{
	struct blk *b = (struct blk *)vd;

	if (b->requests)
		begin_all(b);
	else
		virtq_each(q, handle);
}

static void blk_free(struct virtio *vd)
{
	struct blk *b = (struct blk *)vd;

	b->store->ops->close(b->store);
	virtio_destroy(vd);
	free(b->requests);
	free(b->name);
	free(b);
}

static const struct virtio_ops blk_device_ops = {
	.name = "a disk",
	.id = VIRTIO_ID_BLOCK,
	.n_queues = 1,
	.queue_size = QUEUE_SIZE,
	.notify = blk_notify,
	.reset = blk_reset,
	.queue_reset = blk_queue_reset,
	.poll_fill = blk_poll_fill,
	.poll_done = blk_poll_done,
	.free = blk_free,
};

struct virtio *blk_device(const struct virtio_host *host, struct blk_store *store, const char *name, const char *serial,
			  struct vmm_error *err)
{
	struct blk *b = calloc(1, sizeof(*b));
	uint64_t features = 1u << F_SEG_MAX | 1u << F_BLK_SIZE | 1u << F_FLUSH;
	struct config config = {
		.capacity = (store->size + BLK_SECTOR - 1) / BLK_SECTOR,
		.seg_max = QUEUE_SIZE - 2, /* header and status */
		.blk_size = store->block_size,
	};

	if (store->read_only) {
		features |= 1u << F_RO;
	} else {
		features |= 1u << F_DISCARD | 1u << F_WRITE_ZEROES;
		config.max_discard_sectors = config.max_write_zeroes_sectors = RANGE_MAX / BLK_SECTOR;
		config.max_discard_seg = config.max_write_zeroes_seg = RANGES_MAX;
		config.discard_sector_alignment = store->block_size / BLK_SECTOR;
		config.write_zeroes_may_unmap = 1;
	}
	if (!b || !(b->name = strdup(name)) || virtio_init(&b->vd, &blk_device_ops, host, features)) {
		vmm_fail(err, "%.300s: %s", name, strerror(errno));
		store->ops->close(store);
		if (b)
			free(b->name);
		free(b);
		return NULL;
	}
	b->store = store;
	if (store->ops->submit && !make_requests(b)) {
		vmm_fail(err, "%.300s: no memory", name);
		blk_free(&b->vd);
		return NULL;
	}
	store->quit = &b->vd.quit;
	memcpy(b->serial, serial, strnlen(serial, ID_BYTES));
	memcpy(b->vd.config, &config, sizeof(config));
	b->vd.config_size = sizeof(config);
	return &b->vd;
}

/* ---- the option */

struct disk_option {
	char *file; /* malloc'ed */
	bool read_only, snapshot;
	char serial[ID_BYTES + 1];
};

/* Words are taken from the end, so that a file's name may have commas. */
static int parse(struct disk_option *o, const char *arg, struct vmm_error *err)
{
	char *comma;

	memset(o, 0, sizeof(*o));
	o->file = strdup(arg);
	if (!o->file)
		return vmm_fail(err, "no memory");
	while ((comma = strrchr(o->file, ','))) {
		const char *word = comma + 1;

		if (!strcmp(word, "ro")) {
			o->read_only = true;
		} else if (!strcmp(word, "snapshot")) {
			o->snapshot = true;
		} else if (!strncmp(word, "serial=", 7)) {
			if (strlen(word + 7) > ID_BYTES) {
				vmm_fail(err, "a serial number has at most %d bytes, and '%.80s' is longer", ID_BYTES,
					 word + 7);
				goto fail;
			}
			strcpy(o->serial, word + 7);
		} else {
			break;
		}
		*comma = 0;
	}
	if (!o->file[0]) {
		vmm_fail(err, "the file's name is empty");
		goto fail;
	}
	if (o->read_only && o->snapshot) {
		vmm_fail(err, "ro and snapshot exclude each other");
		goto fail;
	}
	return 0;
fail:
	free(o->file);
	return -1;
}

int blk_check(const char *arg, struct vmm_error *err)
{
	struct disk_option o;

	if (parse(&o, arg, err))
		return -1;
	free(o.file);
	return 0;
}

static bool is_nbd(const char *name)
{
	static const char *const schemes[] = {"nbd:", "nbds:", "nbd+unix:", "nbds+unix:", "nbd+vsock:", "nbds+vsock:"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(name, schemes[i], strlen(schemes[i])))
			return true;
	return false;
}

struct virtio *blk_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct disk_option o;
	struct blk_store *store;
	struct virtio *vd = NULL;
	bool read_only;

	if (parse(&o, arg, err))
		return NULL;
	read_only = o.read_only || o.snapshot;
	store = is_nbd(o.file) ? blk_nbd_open(o.file, read_only, err) : blk_file_open(o.file, read_only, err);
	if (store && o.snapshot)
		store = blk_snapshot_open(store, o.file, err);
	if (store)
		vd = blk_device(host, store, o.file, o.serial, err);
	free(o.file);
	return vd;
}
