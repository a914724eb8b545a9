/* SPDX-License-Identifier: MIT */
/*
 * A disk that is thrown away: writes go to an unlinked file in $TMPDIR (or /var/tmp), reads take each block from there if
 * it was written, and from the base else. The base is opened for reading only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk.h"

enum { BLOCK = 4096 };

struct snapshot {
	struct blk_store store;
	struct blk_store *base, *over;
	uint8_t *written; /* a bit per block: over has it */
};

static bool is_written(const struct snapshot *s, uint64_t block)
{
	return s->written[block / 8] >> block % 8 & 1;
}

static void set_written(struct snapshot *s, uint64_t block, uint64_t end)
{
	for (; block < end; block++)
		s->written[block / 8] |= (uint8_t)(1 << block % 8);
}

/* The end of the run of blocks like the one at off, at most end. */
static uint64_t run_end(const struct snapshot *s, uint64_t off, uint64_t end)
{
	uint64_t block = off / BLOCK;
	bool w = is_written(s, block);

	do
		block++;
	while (block * BLOCK < end && is_written(s, block) == w);
	return block * BLOCK < end ? block * BLOCK : end;
}

static int snapshot_read(struct blk_store *store, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct snapshot *s = (struct snapshot *)store;
	struct iovec *part = NULL;
	uint64_t start = off, end = off + len;
	int error = 0;

	while (off < end && !error) {
		uint64_t to = run_end(s, off, end);
		struct blk_store *from = is_written(s, off / BLOCK) ? s->over : s->base;

		from->quit = store->quit;
		if (off == start && to == end) {
			error = from->ops->read(from, iov, n, off, len);
		} else {
			if (!part)
				part = malloc(n * sizeof(*part));
			error = !part ? ENOMEM
				      : from->ops->read(from, part, iov_slice(iov, n, off - start, to - off, part), off,
							to - off);
		}
		off = to;
	}
	free(part);
	return error;
}

/* A block of which not all will be written: the rest comes from the base. */
static int copy_up(struct snapshot *s, uint64_t off)
{
	uint8_t buf[BLOCK];
	uint64_t at = off / BLOCK * BLOCK, size = (s->store.size + BLK_SECTOR - 1) / BLK_SECTOR * BLK_SECTOR;
	struct iovec iov = {buf, size - at < BLOCK ? size - at : BLOCK};
	int error;

	if (is_written(s, at / BLOCK))
		return 0;
	s->base->quit = s->store.quit;
	error = s->base->ops->read(s->base, &iov, 1, at, iov.iov_len);
	if (!error)
		error = s->over->ops->write(s->over, &iov, 1, at, iov.iov_len);
	if (!error)
		set_written(s, at / BLOCK, at / BLOCK + 1);
	return error;
}

/* Both ends of a range that will be written. */
static int copy_up_ends(struct snapshot *s, uint64_t off, uint64_t len)
{
	int error = 0;

	s->over->quit = s->store.quit;
	if (off % BLOCK)
		error = copy_up(s, off);
	if (!error && (off + len) % BLOCK)
		error = copy_up(s, off + len);
	return error;
}

static int snapshot_write(struct blk_store *store, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	struct snapshot *s = (struct snapshot *)store;
	int error = len ? copy_up_ends(s, off, len) : 0;

	if (!error)
		error = s->over->ops->write(s->over, iov, n, off, len);
	if (!error)
		set_written(s, off / BLOCK, (off + len + BLOCK - 1) / BLOCK);
	return error;
}

static int snapshot_flush(struct blk_store *store)
{
	return 0; /* it ends with the process */
}

static int snapshot_zero(struct blk_store *store, uint64_t off, uint64_t len, bool unmap)
{
	struct snapshot *s = (struct snapshot *)store;
	int error = len ? copy_up_ends(s, off, len) : 0;

	if (!error)
		error = s->over->ops->zero(s->over, off, len, true);
	if (!error)
		set_written(s, off / BLOCK, (off + len + BLOCK - 1) / BLOCK);
	return error;
}

/* Only blocks that are the overlay's have space to give back; they become zero. */
static int snapshot_discard(struct blk_store *store, uint64_t off, uint64_t len)
{
	struct snapshot *s = (struct snapshot *)store;
	uint64_t end = (off + len) / BLOCK * BLOCK;
	int error = 0;

	for (off = (off + BLOCK - 1) / BLOCK * BLOCK; off < end && !error;) {
		uint64_t to = run_end(s, off, end);

		if (is_written(s, off / BLOCK))
			error = s->over->ops->discard(s->over, off, to - off);
		off = to;
	}
	return error;
}

static void snapshot_close(struct blk_store *store)
{
	struct snapshot *s = (struct snapshot *)store;

	if (s->base)
		s->base->ops->close(s->base);
	if (s->over)
		s->over->ops->close(s->over);
	free(s->written);
	free(s);
}

static const struct blk_ops snapshot_ops = {
	.read = snapshot_read,
	.write = snapshot_write,
	.flush = snapshot_flush,
	.discard = snapshot_discard,
	.zero = snapshot_zero,
	.close = snapshot_close,
};

/* A file of size bytes that has no name any more. */
static struct blk_store *open_overlay(uint64_t size, struct vmm_error *err)
{
	const char *dir = getenv("TMPDIR");
	struct blk_store *over = NULL;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/pawl-snapshot-XXXXXX", dir && dir[0] ? dir : "/var/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		vmm_fail(err, "%.300s: %s", path, strerror(errno));
		return NULL;
	}
	if (ftruncate(fd, (off_t)size))
		vmm_fail(err, "%.300s: %s", path, strerror(errno));
	else
		over = blk_file_open(path, false, err);
	unlink(path);
	close(fd);
	return over;
}

struct blk_store *blk_snapshot_open(struct blk_store *base, const char *name, struct vmm_error *err)
{
	static const atomic_bool never;
	uint64_t size = (base->size + BLOCK - 1) / BLOCK * BLOCK;
	struct snapshot *s = calloc(1, sizeof(*s));
	struct vmm_error inner;

	if (!s) {
		base->ops->close(base);
		vmm_fail(err, "%.300s: no memory", name);
		return NULL;
	}
	s->store = (struct blk_store){
		.ops = &snapshot_ops, .size = base->size, .block_size = base->block_size, .quit = &never};
	s->base = base;
	s->written = calloc(size / BLOCK / 8 + 1, 1);
	if (s->written)
		s->over = open_overlay(size, &inner);
	if (!s->over) {
		vmm_fail(err, "%.200s: snapshot: %.280s", name, s->written ? inner.text : "no memory");
		snapshot_close(&s->store);
		return NULL;
	}
	return &s->store;
}
