/* SPDX-License-Identifier: MIT */
/*
 * Storage in a file or a block device of the host, byte for byte. The host's page cache is the disk's write cache:
 * written data survives the end of this process, and flushed data a power cut, fdatasync(2). A file in use by another
 * machine is refused by a lock, flock(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk.h"

enum { PART_MAX = 16 << 20 /* bytes between looks at quit */ };

struct blk_file {
	struct blk_store store;
	int fd;
	bool no_punch, no_zero; /* the file system cannot */
};

/* The part of iov that one system call moves: the first parts of at most PART_MAX bytes, or one shortened. */
static unsigned first_part(const struct iovec *iov, unsigned n, size_t skip, struct iovec *part, unsigned room,
			   size_t *bytes)
{
	unsigned parts = 0;

	*bytes = 0;
	for (unsigned i = 0; i < n && parts < room && *bytes < PART_MAX; i++) {
		size_t len = iov[i].iov_len - skip;

		if (len > PART_MAX - *bytes)
			len = PART_MAX - *bytes;
		part[parts++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, len};
		*bytes += len;
		skip = 0;
	}
	return parts;
}

static void zero_iov(const struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

static int move(struct blk_file *f, const struct iovec *iov, unsigned n, uint64_t off, bool is_write)
{
	struct iovec part[64];
	size_t skip = 0; /* bytes of iov[0] that are done */

	while (n) {
		size_t bytes;
		unsigned parts = first_part(iov, n, skip, part, sizeof(part) / sizeof(part[0]), &bytes);
		ssize_t done = is_write ? pwritev(f->fd, part, (int)parts, (off_t)off)
					: preadv(f->fd, part, (int)parts, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		if (!done && (is_write || off < f->store.size))
			return EIO; /* the file has become shorter */
		if (!done) {	    /* the rest of the last sector */
			zero_iov(part, parts);
			done = (ssize_t)bytes;
		}
		off += (uint64_t)done;
		for (skip += (size_t)done; n && skip >= iov->iov_len; n--)
			skip -= (iov++)->iov_len;
		if (n && atomic_load(f->store.quit))
			return EIO;
	}
	return 0;
}

static int file_blk_read(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	return move((struct blk_file *)s, iov, n, off, false);
}

static int file_blk_write(struct blk_store *s, const struct iovec *iov, unsigned n, uint64_t off, uint64_t len)
{
	return move((struct blk_file *)s, iov, n, off, true);
}

static int file_flush(struct blk_store *s)
{
	while (fdatasync(((struct blk_file *)s)->fd))
		if (errno != EINTR)
			return errno;
	return 0;
}

/* Not supported by the file system, as opposed to failed. */
static bool unsupported(int error)
{
	return error == EOPNOTSUPP || error == ENOSYS || error == ENODEV || error == EINVAL;
}

static int allocate(struct blk_file *f, int mode, uint64_t off, uint64_t len)
{
	while (fallocate(f->fd, mode, (off_t)off, (off_t)len))
		if (errno != EINTR)
			return errno;
	return 0;
}

/* A hint: where holes cannot be made, nothing happens. */
static int file_discard(struct blk_store *s, uint64_t off, uint64_t len)
{
	struct blk_file *f = (struct blk_file *)s;
	int error = f->no_punch ? EOPNOTSUPP : allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);

	if (unsupported(error)) {
		f->no_punch = true;
		return 0;
	}
	return error;
}

static int write_zeroes(struct blk_file *f, uint64_t off, uint64_t len)
{
	static const uint8_t zero[1 << 16];

	while (len) {
		struct iovec iov = {(void *)(uintptr_t)zero, len < sizeof(zero) ? len : sizeof(zero)};
		int error = move(f, &iov, 1, off, true);

		if (error)
			return error;
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

static int file_zero(struct blk_store *s, uint64_t off, uint64_t len, bool unmap)
{
	struct blk_file *f = (struct blk_file *)s;
	int error = EOPNOTSUPP;

	if (!len)
		return 0;
	if (unmap && !f->no_punch) {
		error = allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
		f->no_punch = unsupported(error);
	} else if (!f->no_zero) {
		error = allocate(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
		f->no_zero = unsupported(error);
	}
	return unsupported(error) ? write_zeroes(f, off, len) : error;
}

static void file_close(struct blk_store *s)
{
	struct blk_file *f = (struct blk_file *)s;

	close(f->fd);
	free(f);
}

static const struct blk_ops blk_file_ops = {
	.read = file_blk_read,
	.write = file_blk_write,
	.flush = file_flush,
	.discard = file_discard,
	.zero = file_zero,
	.close = file_close,
};

struct blk_store *blk_file_open(const char *path, bool read_only, struct vmm_error *err)
{
	static const atomic_bool never;
	/* Non-blocking: a FIFO is to be refused, not waited for. Regular files and disks do not care. */
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	struct blk_file *f = NULL;
	struct stat st;
	off_t size;

	if (fd < 0) {
		vmm_fail(err, "%.300s: %s%s", path, strerror(errno),
			 !read_only && (errno == EACCES || errno == EROFS)
				 ? " (for writing: ,ro or ,snapshot does without)"
			 : errno == ENOENT && strchr(path, ',') ? " (a disk's options are ro, snapshot, serial=TEXT)"
								: "");
		return NULL;
	}
	if (fstat(fd, &st)) {
		vmm_fail(err, "%.300s: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		vmm_fail(err, "%.300s: %s", path,
			 S_ISDIR(st.st_mode) ? strerror(EISDIR) : "neither a regular file nor a block device");
		goto fail;
	}
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0) {
		vmm_fail(err, "%.300s: %s", path, size ? strerror(errno) : "empty, so it is no disk");
		goto fail;
	}
	if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) && errno == EWOULDBLOCK) {
		vmm_fail(err, "%.300s: in use by another machine%s, or given twice", path,
			 read_only ? ", which writes to it" : "");
		goto fail;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		vmm_fail(err, "%.300s: no memory", path);
		goto fail;
	}
	f->store = (struct blk_store){.ops = &blk_file_ops,
				      .size = (uint64_t)size,
				      .read_only = read_only,
				      .block_size = BLK_SECTOR,
				      .quit = &never};
	f->fd = fd;
	return &f->store;
fail:
	close(fd);
	return NULL;
}
