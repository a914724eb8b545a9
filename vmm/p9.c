/* SPDX-License-Identifier: MIT */
/*
 * A shared directory: a 9P2000.L server in this process behind the virtio 9P transport. The protocol is the one of Linux's
 * client: Plan 9's manual, section 5, with the messages of 9P2000.L (diod's protocol.md). The files are p9_fs.c's.
 *
 * Requests are served one at a time, in order, so a flush finds nothing to cancel. Users and groups are the host's, as
 * numbers; nothing is done with more rights than this process has. There are no extended attributes and no locks against
 * other users of the host's files: a lock is granted, and the guest's kernel keeps its processes apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices.h"
#include "p9.h"
#include "p9_fs.h"

enum {
	HEADER = 7,	      /* size[4] type[1] tag[2] */
	BODY_MAX = 16 << 10,  /* of a request but for the bytes that Twrite has */
	REPLY_MAX = 64 << 10, /* of a reply but for the bytes that Rread has */
	MSIZE_MAX = 512 << 10,
	MSIZE_MIN = 4096,
	WRITE_DATA = HEADER + 16, /* where Twrite's bytes are */
	READ_DATA = HEADER + 4,
	WALK_MAX = 16,
	QID_BYTES = 13,
	BUCKETS = 256,
	QUEUE_SIZE = 128,
	TAG_MAX = VIRTIO_MAX_CONFIG - 2,
};
enum { QT_DIR = 0x80, QT_SYMLINK = 0x02 };

struct fid {
	struct fid *next;
	uint32_t id;
	struct p9_node *node;
	int io; /* -1: not opened */
};

struct p9 {
	struct virtio vd;
	struct p9_fs fs;
	char *dir;
	struct fid *fids[BUCKETS];
	uint32_t msize;
	/* the request that is being served */
	struct virtq_chain *chain;
	uint8_t in[BODY_MAX];
	uint32_t in_len, in_at;
	bool bad; /* the request is shorter than it should be */
	uint8_t out[REPLY_MAX];
	uint32_t out_at;
	uint32_t data_len; /* bytes of Rread that are in the guest's buffer already */
	char names[WALK_MAX][256];
	struct iovec part[VIRTIO_MAX_SEGS];
};

/* ---- reading a request: everything little-endian */

static uint64_t get(struct p9 *p, unsigned bytes)
{
	uint64_t v = 0;

	if (p->in_len - p->in_at < bytes) {
		p->bad = true;
		return 0;
	}
	memcpy(&v, p->in + p->in_at, bytes);
	p->in_at += bytes;
	return v;
}

static uint32_t get32(struct p9 *p)
{
	return (uint32_t)get(p, 4);
}

/* A string without NUL, shorter than size. */
static const char *get_string(struct p9 *p, char *buf, size_t size)
{
	uint32_t len = (uint32_t)get(p, 2);

	if (p->bad || p->in_len - p->in_at < len || len >= size || memchr(p->in + p->in_at, 0, len)) {
		p->bad = true;
		len = 0;
	}
	memcpy(buf, p->in + p->in_at, len);
	buf[len] = 0;
	p->in_at += len;
	return buf;
}

/* ---- writing a reply */

static void put(struct p9 *p, uint64_t v, unsigned bytes)
{
	if (sizeof(p->out) - p->out_at < bytes)
		return; /* no reply is as long: those of variable length look first */
	memcpy(p->out + p->out_at, &v, bytes);
	p->out_at += bytes;
}

static void put_bytes(struct p9 *p, const void *buf, size_t len)
{
	put(p, len, 2);
	if (sizeof(p->out) - p->out_at < len)
		return;
	memcpy(p->out + p->out_at, buf, len);
	p->out_at += (uint32_t)len;
}

/* Files of another file system below the directory have numbers of their own. */
static uint64_t file_number(struct p9 *p, dev_t dev, ino_t ino)
{
	return dev == p->fs.dev ? ino : ino ^ (uint64_t)dev * UINT64_C(0x9e3779b97f4a7c15);
}

static void put_qid(struct p9 *p, const struct stat *st)
{
	put(p, S_ISDIR(st->st_mode) ? QT_DIR : S_ISLNK(st->st_mode) ? QT_SYMLINK : 0, 1);
	put(p, (uint32_t)st->st_mtim.tv_sec ^ (uint32_t)st->st_mtim.tv_nsec << 8, 4);
	put(p, file_number(p, st->st_dev, st->st_ino), 8);
}

static int put_node_qid(struct p9 *p, struct p9_node *n)
{
	struct stat st;
	int rc = p9_node_stat(n, &st);

	if (!rc)
		put_qid(p, &st);
	return rc;
}

/* ---- fids */

static struct fid **fid_slot(struct p9 *p, uint32_t id)
{
	struct fid **f = &p->fids[id % BUCKETS];

	while (*f && (*f)->id != id)
		f = &(*f)->next;
	return f;
}

static struct fid *fid_find(struct p9 *p, uint32_t id)
{
	return *fid_slot(p, id);
}

/* Takes node over. */
static int fid_add(struct p9 *p, uint32_t id, struct p9_node *node)
{
	struct fid **slot = fid_slot(p, id);
	struct fid *f = *slot ? NULL : calloc(1, sizeof(*f));

	if (!f) {
		p9_node_put(node);
		return *slot ? -EBADF : -ENOMEM;
	}
	*f = (struct fid){.id = id, .node = node, .io = -1};
	*slot = f;
	return 0;
}

static void fid_remove(struct fid **slot)
{
	struct fid *f = *slot;

	*slot = f->next;
	if (f->io >= 0)
		close(f->io);
	p9_node_put(f->node);
	free(f);
}

static void fid_remove_all(struct p9 *p)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		while (p->fids[i])
			fid_remove(&p->fids[i]);
}

/* ---- requests: each reads its arguments, and returns 0 with its reply written or a negative errno */

static int version(struct p9 *p, struct fid *none)
{
	uint32_t msize = get32(p);
	char name[32];

	get_string(p, name, sizeof(name));
	if (p->bad)
		return -EINVAL;
	fid_remove_all(p);
	p->msize = msize < MSIZE_MAX ? msize : MSIZE_MAX;
	put(p, p->msize, 4);
	if (p->msize < MSIZE_MIN || strcmp(name, "9P2000.L")) {
		p->msize = 0;
		put_bytes(p, "unknown", 7);
	} else {
		put_bytes(p, "9P2000.L", 8);
	}
	return 0;
}

static int no_such_thing(struct p9 *p, struct fid *f)
{
	return -EOPNOTSUPP;
}

static int attach(struct p9 *p, struct fid *none)
{
	uint32_t id = get32(p);
	int rc;

	/* afid, user name, tree name, user id: one tree, and the user is this process's */
	if (p->bad)
		return -EINVAL;
	rc = put_node_qid(p, p->fs.root);
	return rc ? rc : fid_add(p, id, p9_node_get(p->fs.root));
}

static int flush(struct p9 *p, struct fid *none)
{
	return 0;
}

static int walk(struct p9 *p, struct fid *f)
{
	uint32_t new_id = get32(p);
	unsigned n = (unsigned)get(p, 2), done = 0;
	struct p9_node *at;
	uint32_t count_at = p->out_at;
	int rc = 0;

	if (n > WALK_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		get_string(p, p->names[i], sizeof(p->names[i]));
	if (p->bad)
		return -EINVAL;
	if (f->id != new_id && fid_find(p, new_id))
		return -EBADF;
	put(p, 0, 2);
	at = p9_node_get(f->node);
	for (; done < n && !rc; done += !rc) {
		struct p9_node *next;

		rc = p9_node_walk(at, p->names[done], &next);
		if (rc)
			continue;
		p9_node_put(at);
		at = next;
		rc = put_node_qid(p, at);
	}
	memcpy(p->out + count_at, &(uint16_t){(uint16_t)done}, 2);
	if (done < n) { /* how far it went; an error if not at all */
		p9_node_put(at);
		return done ? 0 : rc;
	}
	if (f->id != new_id)
		return fid_add(p, new_id, at);
	if (f->io >= 0)
		close(f->io);
	f->io = -1;
	p9_node_put(f->node);
	f->node = at;
	return 0;
}

/* The protocol's flags are Linux's generic ones, which not every host has. */
static int host_flags(uint32_t flags)
{
	int host = (int)(flags & 3);

	if (flags & 01000)
		host |= O_TRUNC;
	if (flags & 010000)
		host |= O_DSYNC;
	if (flags & 04000000)
		host |= O_SYNC;
	if (flags & 0200)
		host |= O_EXCL;
	return host;
}

static int opened(struct p9 *p, struct fid *f, int io)
{
	int rc;

	if (io < 0)
		return io;
	f->io = io;
	rc = put_node_qid(p, f->node);
	put(p, 0, 4); /* iounit: what msize allows */
	return rc;
}

static int lopen(struct p9 *p, struct fid *f)
{
	uint32_t flags = get32(p);

	if (p->bad || (flags & 3) == 3)
		return -EINVAL;
	if (f->io >= 0)
		return -EBADF;
	return opened(p, f, p9_node_open(f->node, host_flags(flags) & ~O_EXCL));
}

static int lcreate(struct p9 *p, struct fid *f)
{
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));
	uint32_t flags = get32(p), mode = get32(p), gid = get32(p);
	struct p9_node *node;
	int io;

	if (p->bad || (flags & 3) == 3)
		return -EINVAL;
	if (f->io >= 0)
		return -EBADF;
	io = p9_node_create(f->node, name, host_flags(flags), mode, gid, &node);
	if (io < 0)
		return io;
	p9_node_put(f->node);
	f->node = node;
	return opened(p, f, io);
}

/* The qid of what was made in dir. */
static int made(struct p9 *p, struct p9_node *dir, const char *name, int rc)
{
	struct p9_node *n;

	if (rc)
		return rc;
	rc = p9_node_walk(dir, name, &n);
	if (rc)
		return rc;
	rc = put_node_qid(p, n);
	p9_node_put(n);
	return rc;
}

static int symlink_(struct p9 *p, struct fid *f)
{
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));
	char target[4096];
	uint32_t gid;

	get_string(p, target, sizeof(target));
	gid = get32(p);
	if (p->bad)
		return -EINVAL;
	return made(p, f->node, name, p9_node_symlink(f->node, name, target, gid));
}

static int mknod_(struct p9 *p, struct fid *f)
{
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));
	uint32_t mode = get32(p), gid;

	get(p, 8); /* major, minor */
	gid = get32(p);
	if (p->bad)
		return -EINVAL;
	return made(p, f->node, name, p9_node_mknod(f->node, name, mode, gid));
}

static int mkdir_(struct p9 *p, struct fid *f)
{
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));
	uint32_t mode = get32(p), gid = get32(p);

	if (p->bad)
		return -EINVAL;
	return made(p, f->node, name, p9_node_mkdir(f->node, name, mode, gid));
}

static int readlink_(struct p9 *p, struct fid *f)
{
	char target[4096];
	ssize_t n = p9_node_readlink(f->node, target, sizeof(target));

	if (n < 0)
		return (int)n;
	put_bytes(p, target, (size_t)n);
	return 0;
}

static int statfs_(struct p9 *p, struct fid *f)
{
	struct statfs st;

	if (fstatfs(f->node->fd, &st))
		return -errno;
	put(p, 0x01021997, 4); /* what Linux's v9fs calls itself */
	put(p, (uint32_t)st.f_bsize, 4);
	put(p, st.f_blocks, 8);
	put(p, st.f_bfree, 8);
	put(p, st.f_bavail, 8);
	put(p, st.f_files, 8);
	put(p, st.f_ffree, 8);
	put(p, 0, 8); /* fsid: nothing of the host's */
	put(p, 255, 4);
	return 0;
}

static int getattr(struct p9 *p, struct fid *f)
{
	struct stat st;
	int rc;

	get(p, 8); /* what is asked for: all of the basic ones are given */
	if (p->bad)
		return -EINVAL;
	rc = p9_node_stat(f->node, &st);
	if (rc)
		return rc;
	put(p, 0x7ff, 8);
	put_qid(p, &st);
	put(p, st.st_mode, 4);
	put(p, st.st_uid, 4);
	put(p, st.st_gid, 4);
	put(p, st.st_nlink, 8);
	put(p, st.st_rdev, 8);
	put(p, (uint64_t)st.st_size, 8);
	put(p, (uint64_t)st.st_blksize, 8);
	put(p, (uint64_t)st.st_blocks, 8);
	put(p, (uint64_t)st.st_atim.tv_sec, 8);
	put(p, (uint64_t)st.st_atim.tv_nsec, 8);
	put(p, (uint64_t)st.st_mtim.tv_sec, 8);
	put(p, (uint64_t)st.st_mtim.tv_nsec, 8);
	put(p, (uint64_t)st.st_ctim.tv_sec, 8);
	put(p, (uint64_t)st.st_ctim.tv_nsec, 8);
	for (unsigned i = 0; i < 4; i++) /* time of birth, generation, data version */
		put(p, 0, 8);
	return 0;
}

static int setattr(struct p9 *p, struct fid *f)
{
	enum { MODE = 1, UID = 2, GID = 4, SIZE = 8, ATIME = 0x10, MTIME = 0x20, ATIME_SET = 0x80, MTIME_SET = 0x100 };
	uint32_t valid = get32(p), mode = get32(p), uid = get32(p), gid = get32(p);
	uint64_t size = get(p, 8), atime = get(p, 8), atime_ns = get(p, 8), mtime = get(p, 8), mtime_ns = get(p, 8);
	int rc = 0;

	if (p->bad || (valid & ATIME_SET && atime_ns > 999999999) || (valid & MTIME_SET && mtime_ns > 999999999))
		return -EINVAL;
	if (p->fs.read_only)
		return -EROFS;
	if (valid & SIZE)
		rc = p9_node_truncate(f->node, size);
	if (!rc && valid & (UID | GID))
		rc = p9_node_chown(f->node, valid & UID ? uid : (uid_t)-1, valid & GID ? gid : (gid_t)-1);
	if (!rc && valid & MODE)
		rc = p9_node_chmod(f->node, mode & 07777);
	if (!rc && valid & (ATIME | MTIME)) {
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

		if (valid & ATIME)
			times[0] = valid & ATIME_SET ? (struct timespec){(time_t)atime, (long)atime_ns}
						     : (struct timespec){.tv_nsec = UTIME_NOW};
		if (valid & MTIME)
			times[1] = valid & MTIME_SET ? (struct timespec){(time_t)mtime, (long)mtime_ns}
						     : (struct timespec){.tv_nsec = UTIME_NOW};
		rc = p9_node_utimes(f->node, times);
	}
	return rc;
}

struct dirent64 { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static int readdir_(struct p9 *p, struct fid *f)
{
	enum { DT_DIRECTORY = 4, DT_LINK = 10 };
	uint64_t offset = get(p, 8);
	uint32_t count = get32(p), count_at = p->out_at, room;
	union {
		struct dirent64 align;
		char bytes[8192];
	} buf;
	bool full = false;

	if (p->bad)
		return -EINVAL;
	if (f->io < 0)
		return -EBADF;
	room = p->msize - READ_DATA < sizeof(p->out) - READ_DATA ? p->msize - READ_DATA
								 : (uint32_t)sizeof(p->out) - READ_DATA;
	if (count > room)
		count = room;
	if (lseek(f->io, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	put(p, 0, 4);
	while (!full) {
		long n = syscall(SYS_getdents64, f->io, buf.bytes, sizeof(buf.bytes));

		if (n < 0)
			return p->out_at > count_at + 4 ? 0 : -errno;
		if (!n)
			break;
		for (long at = 0; at < n && !full;) {
			const struct dirent64 *e = (const void *)(buf.bytes + at);
			size_t len = strlen(e->name);

			full = p->out_at - count_at - 4 + QID_BYTES + 8 + 1 + 2 + len > count;
			if (full)
				break;
			put(p, e->type == DT_DIRECTORY ? QT_DIR : e->type == DT_LINK ? QT_SYMLINK : 0, 1);
			put(p, 0, 4);
			put(p, e->ino, 8);
			put(p, (uint64_t)e->off, 8);
			put(p, e->type, 1);
			put_bytes(p, e->name, len);
			at += e->reclen;
		}
	}
	memcpy(p->out + count_at, &(uint32_t){p->out_at - count_at - 4}, 4);
	return 0;
}

static int fsync_(struct p9 *p, struct fid *f)
{
	bool data_only = get32(p);

	if (f->io < 0)
		return -EBADF;
	return (data_only ? fdatasync(f->io) : fsync(f->io)) ? -errno : 0;
}

static int lock(struct p9 *p, struct fid *f)
{
	put(p, 0, 1); /* success */
	return 0;
}

static int getlock(struct p9 *p, struct fid *f)
{
	uint64_t start, length;
	uint32_t proc;
	char client[256];

	get(p, 1);
	start = get(p, 8);
	length = get(p, 8);
	proc = get32(p);
	get_string(p, client, sizeof(client));
	if (p->bad)
		return -EINVAL;
	put(p, 2, 1); /* unlocked */
	put(p, start, 8);
	put(p, length, 8);
	put(p, proc, 4);
	put_bytes(p, client, strlen(client));
	return 0;
}

static int link_(struct p9 *p, struct fid *dir)
{
	struct fid *f = fid_find(p, get32(p));
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));

	if (p->bad)
		return -EINVAL;
	return f ? p9_node_link(dir->node, f->node, name) : -EBADF;
}

static int rename_(struct p9 *p, struct fid *f)
{
	struct fid *dir = fid_find(p, get32(p));
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));

	if (p->bad)
		return -EINVAL;
	return dir ? p9_node_move(f->node, dir->node, name) : -EBADF;
}

static int renameat_(struct p9 *p, struct fid *from)
{
	const char *old = get_string(p, p->names[0], sizeof(p->names[0]));
	struct fid *to = fid_find(p, get32(p));
	const char *name = get_string(p, p->names[1], sizeof(p->names[1]));

	if (p->bad)
		return -EINVAL;
	return to ? p9_node_rename(from->node, old, to->node, name) : -EBADF;
}

static int unlinkat_(struct p9 *p, struct fid *dir)
{
	const char *name = get_string(p, p->names[0], sizeof(p->names[0]));
	uint32_t flags = get32(p);

	if (p->bad)
		return -EINVAL;
	return p9_node_unlink(dir->node, name, flags & 0x200 /* AT_REMOVEDIR */);
}

static int clunk(struct p9 *p, struct fid *f)
{
	fid_remove(fid_slot(p, f->id));
	return 0;
}

static int remove_(struct p9 *p, struct fid *f)
{
	int rc = p9_node_remove(f->node);

	clunk(p, f); /* also if that has failed */
	return rc;
}

/* The bytes go between the file and the guest's buffers without a copy. */
static int read_(struct p9 *p, struct fid *f)
{
	uint64_t offset = get(p, 8), room = p->chain->in_bytes;
	uint32_t count = get32(p);
	ssize_t n;

	if (p->bad || offset > INT64_MAX)
		return -EINVAL;
	if (f->io < 0)
		return -EBADF;
	if (room > p->msize)
		room = p->msize;
	if (count > room - READ_DATA)
		count = (uint32_t)(room - READ_DATA);
	n = preadv(f->io, p->part,
		   (int)iov_slice(p->chain->iov + p->chain->n_out, p->chain->n_in, READ_DATA, count, p->part),
		   (off_t)offset);
	if (n < 0)
		return -errno;
	put(p, (uint64_t)n, 4);
	p->data_len = (uint32_t)n;
	return 0;
}

static int write_(struct p9 *p, struct fid *f)
{
	uint64_t offset = get(p, 8);
	uint32_t count = get32(p);
	ssize_t n;

	if (p->bad || offset > INT64_MAX || count > p->chain->out_bytes - WRITE_DATA)
		return -EINVAL;
	if (f->io < 0)
		return -EBADF;
	n = pwritev(f->io, p->part, (int)iov_slice(p->chain->iov, p->chain->n_out, WRITE_DATA, count, p->part),
		    (off_t)offset);
	if (n < 0)
		return -errno;
	put(p, (uint64_t)n, 4);
	return 0;
}

static const struct request {
	uint8_t type;
	bool has_fid; /* begins with one, which must be there */
	int (*serve)(struct p9 *p, struct fid *f);
} requests[] = {
	{TVERSION, false, version},
	{TAUTH, false, no_such_thing}, /* the client may go on without */
	{TATTACH, false, attach},
	{TFLUSH, false, flush},
	{TWALK, true, walk},
	{TREAD, true, read_},
	{TWRITE, true, write_},
	{TCLUNK, true, clunk},
	{TREMOVE, true, remove_},
	{TSTATFS, true, statfs_},
	{TLOPEN, true, lopen},
	{TLCREATE, true, lcreate},
	{TSYMLINK, true, symlink_},
	{TMKNOD, true, mknod_},
	{TRENAME, true, rename_},
	{TREADLINK, true, readlink_},
	{TGETATTR, true, getattr},
	{TSETATTR, true, setattr},
	{TXATTRWALK, false, no_such_thing},
	{TXATTRCREATE, false, no_such_thing},
	{TREADDIR, true, readdir_},
	{TFSYNC, true, fsync_},
	{TLOCK, true, lock},
	{TGETLOCK, true, getlock},
	{TLINK, true, link_},
	{TMKDIR, true, mkdir_},
	{TRENAMEAT, true, renameat_},
	{TUNLINKAT, true, unlinkat_},
};

static int serve(struct p9 *p, uint8_t type)
{
	struct fid *f = NULL;

	if (type != TVERSION && !p->msize)
		return -EIO; /* first things first */
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].type != type)
			continue;
		if (requests[i].has_fid) {
			f = fid_find(p, get32(p));
			if (p->bad)
				return -EINVAL;
			if (!f)
				return -EBADF;
		}
		return requests[i].serve(p, f);
	}
	return -EOPNOTSUPP;
}

static uint32_t handle(struct virtio *vd, struct virtq_chain *c)
{
	struct p9 *p = (struct p9 *)vd;
	uint8_t type;
	uint16_t tag;
	uint32_t size;
	int rc;

	if (c->out_bytes < HEADER || c->in_bytes < READ_DATA) {
		virtio_break(vd, "a request without room for its header or its reply");
		return 0;
	}
	p->chain = c;
	p->bad = false;
	p->in_at = 0;
	p->in_len = (uint32_t)chain_read(c, 0, p->in, sizeof(p->in));
	size = get32(p);
	type = (uint8_t)get(p, 1);
	tag = (uint16_t)get(p, 2);
	if (size < p->in_len)
		p->in_len = size > HEADER ? size : HEADER;
	p->out_at = HEADER;
	p->data_len = 0;
	rc = serve(p, type);
	/* A reply that the guest has left no room for is no reply. */
	if (!rc && p->out_at + p->data_len > c->in_bytes)
		rc = -EMSGSIZE;
	if (rc) {
		p->out_at = HEADER;
		p->data_len = 0;
		put(p, (uint32_t)-rc, 4);
	}
	size = p->out_at + p->data_len;
	memcpy(p->out, &size, 4);
	p->out[4] = rc ? TLERROR + 1 : (uint8_t)(type + 1);
	memcpy(p->out + 5, &tag, 2);
	chain_write(c, 0, p->out, p->out_at);
	return size;
}

/* ---- the device */

static void p9_notify(struct virtio *vd, struct virtq *q)
{
	virtq_each(q, handle);
}

static void p9_reset(struct virtio *vd)
{
	struct p9 *p = (struct p9 *)vd;

	fid_remove_all(p);
	p->msize = 0;
}

static void p9_free(struct virtio *vd)
{
	struct p9 *p = (struct p9 *)vd;

	fid_remove_all(p);
	p9_fs_close(&p->fs);
	virtio_destroy(vd);
	free(p->dir);
	free(p);
}

static const struct virtio_ops p9_ops = {
	.name = "a shared folder",
	.id = VIRTIO_ID_9P,
	.n_queues = 1,
	.queue_size = QUEUE_SIZE,
	.notify = p9_notify,
	.reset = p9_reset,
	.free = p9_free,
};

/* A descriptor per file that the guest knows: as many as the system allows, and half of that for everything else. */
static unsigned raise_limit(void)
{
	enum { MOST = 1 << 16 };
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 256;
	if (r.rlim_cur < r.rlim_max && r.rlim_cur < 2 * MOST) {
		r.rlim_cur = r.rlim_max < 2 * MOST ? r.rlim_max : 2 * MOST;
		if (setrlimit(RLIMIT_NOFILE, &r))
			getrlimit(RLIMIT_NOFILE, &r);
	}
	return r.rlim_cur / 4 < MOST / 2 ? (unsigned)(r.rlim_cur / 4) : MOST / 2; /* and each may be open, too */
}

/* ---- the option */

struct share_option {
	char *dir; /* malloc'ed */
	bool read_only;
	char tag[TAG_MAX + 1];
};

static int parse(struct share_option *o, const char *arg, struct vmm_error *err)
{
	char *comma;

	*o = (struct share_option){.dir = strdup(arg), .tag = "share"};
	if (!o->dir)
		return vmm_fail(err, "no memory");
	while ((comma = strrchr(o->dir, ','))) {
		if (!strcmp(comma, ",ro")) {
			o->read_only = true;
		} else if (!strncmp(comma, ",tag=", 5)) {
			if (!comma[5] || strlen(comma + 5) > TAG_MAX) {
				free(o->dir);
				return vmm_fail(err, "a tag has 1 to %d bytes", TAG_MAX);
			}
			strcpy(o->tag, comma + 5);
		} else {
			break;
		}
		*comma = 0;
	}
	if (!o->dir[0]) {
		free(o->dir);
		return vmm_fail(err, "the directory's name is empty");
	}
	return 0;
}

int share_check(const char *arg, struct vmm_error *err)
{
	struct share_option o;

	if (parse(&o, arg, err))
		return -1;
	free(o.dir);
	return 0;
}

struct virtio *share_create(const struct virtio_host *host, const char *arg, struct vmm_error *err)
{
	struct share_option o;
	struct p9 *p;
	uint16_t len;
	int rc;

	if (parse(&o, arg, err))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p || virtio_init(&p->vd, &p9_ops, host, 1 /* VIRTIO_9P_MOUNT_TAG */)) {
		vmm_fail(err, "cannot share %.300s: %s", o.dir, strerror(errno));
		free(p);
		free(o.dir);
		return NULL;
	}
	p->fs.n_max = raise_limit();
	rc = p9_fs_open(&p->fs, o.dir, o.read_only);
	if (rc) {
		vmm_fail(err, "%.300s: %s", o.dir, strerror(-rc));
		virtio_destroy(&p->vd);
		free(p);
		free(o.dir);
		return NULL;
	}
	len = (uint16_t)strlen(o.tag);
	memcpy(p->vd.config, &len, 2);
	memcpy(p->vd.config + 2, o.tag, len);
	p->vd.config_size = 2u + len;
	p->dir = o.dir;
	if (host->sandbox) {
		host->sandbox->shares[host->sandbox->n_shares].path = p->dir;
		host->sandbox->shares[host->sandbox->n_shares++].read_only = o.read_only;
	}
	return &p->vd;
}
