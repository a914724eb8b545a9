/* SPDX-License-Identifier: MIT */
/* See p9_fs.h. openat(2), open(2) for O_PATH, proc(5) for /proc/self/fd, by which a pinned file is opened anew. */
#include "p9_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES = 255 };

/* ---- nodes */

/* Takes fd over. */
static int node_new(struct p9_fs *fs, struct p9_node *parent, const char *name, int fd, struct p9_node **out)
{
	struct p9_node *n = fs->n < fs->n_max ? malloc(sizeof(*n) + strlen(name) + 1) : NULL;

	if (!n) {
		close(fd);
		return -ENFILE;
	}
	*n = (struct p9_node){.fs = fs, .parent = parent ? p9_node_get(parent) : NULL, .refs = 1, .fd = fd};
	strcpy(n->name, name);
	fs->n++;
	*out = n;
	return 0;
}

struct p9_node *p9_node_get(struct p9_node *n)
{
	n->refs++;
	return n;
}

void p9_node_put(struct p9_node *n)
{
	while (n && !--n->refs) { /* a loop: the guest decides how deep the tree is */
		struct p9_node *parent = n->parent;

		n->fs->n--;
		close(n->fd);
		free(n);
		n = parent;
	}
}

int p9_fs_open(struct p9_fs *fs, const char *path, bool read_only)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	fs->read_only = read_only;
	fs->dev = st.st_dev;
	return node_new(fs, NULL, "", fd, &fs->root);
}

void p9_fs_close(struct p9_fs *fs)
{
	p9_node_put(fs->root);
	fs->root = NULL;
}

/* ---- names */

/* One component that is no way out. */
static int check_name(const char *name)
{
	if (!name[0] || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
		return -EINVAL;
	return strlen(name) > NAME_BYTES ? -ENAMETOOLONG : 0;
}

static int check_change(struct p9_node *dir, const char *name)
{
	return dir->fs->read_only ? -EROFS : check_name(name);
}

/* The pinned file's name in /proc, which leads to it and to nothing else. */
struct proc_name {
	char text[32];
};

static struct proc_name proc_name(const struct p9_node *n)
{
	struct proc_name p;

	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", n->fd);
	return p;
}

int p9_node_walk(struct p9_node *dir, const char *name, struct p9_node **out)
{
	int fd, rc;

	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		*out = p9_node_get(name[1] && dir->parent ? dir->parent : dir);
		return 0;
	}
	rc = check_name(name);
	if (rc)
		return rc == -EINVAL ? -ENOENT : rc;
	fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : node_new(dir->fs, dir, name, fd, out);
}

/* ---- files */

int p9_node_stat(struct p9_node *n, struct stat *st)
{
	return fstatat(n->fd, "", st, AT_EMPTY_PATH) ? -errno : 0;
}

/* A device, FIFO or socket of the host is not the guest's to talk to; opening one could wait, too. */
static int check_kind(struct p9_node *n, int flags)
{
	struct stat st;
	int rc = p9_node_stat(n, &st);

	if (rc)
		return rc;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (S_ISDIR(st.st_mode))
		return (flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC) ? 0 : -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -ENXIO;
}

int p9_node_open(struct p9_node *n, int flags)
{
	int rc, fd;

	if (n->fs->read_only && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	rc = check_kind(n, flags);
	if (rc)
		return rc;
	fd = open(proc_name(n).text, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* The guest has applied its umask; this process's is not to count. Nor can a guest make a program that is run as its owner. */
static mode_t file_mode(mode_t mode)
{
	return mode & 01777;
}

static void set_mode_and_group(int dir, const char *name, mode_t mode, gid_t gid)
{
	struct p9_node at = {.fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)};

	if (at.fd < 0)
		return;
	/* As far as the user may: what was created is there, and its owner is the user. */
	if (gid != (gid_t)-1 && fchownat(at.fd, "", (uid_t)-1, gid, AT_EMPTY_PATH))
		errno = 0;
	if (mode != (mode_t)-1 && fchmodat(AT_FDCWD, proc_name(&at).text, mode, 0))
		errno = 0;
	close(at.fd);
}

int p9_node_create(struct p9_node *dir, const char *name, int flags, mode_t mode, gid_t gid, struct p9_node **out)
{
	int rc = check_change(dir, name), fd, path;
	bool fresh = true;
	struct stat st;

	if (rc)
		return rc;
	fd = openat(dir->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST && !(flags & O_EXCL)) {
		/* Walked to, so that what is there is looked at before it is opened. */
		fresh = false;
		rc = p9_node_walk(dir, name, out);
		if (rc)
			return rc;
		fd = p9_node_open(*out, flags);
		if (fd < 0)
			p9_node_put(*out);
		return fd;
	}
	if (fd < 0)
		return -errno;
	if (fresh && !fstat(fd, &st)) {
		if (gid != st.st_gid && fchown(fd, (uid_t)-1, gid))
			errno = 0; /* not this user's to give away */
		if (fchmod(fd, file_mode(mode)))
			errno = 0;
	}
	path = dup(fd); /* does for O_PATH */
	if (path < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	fcntl(path, F_SETFD, FD_CLOEXEC);
	rc = node_new(dir->fs, dir, name, path, out);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

ssize_t p9_node_readlink(struct p9_node *n, char *buf, size_t size)
{
	ssize_t len = readlinkat(n->fd, "", buf, size);

	return len < 0 ? (errno == ENOENT ? -EINVAL : -errno) : len;
}

int p9_node_symlink(struct p9_node *dir, const char *name, const char *target, gid_t gid)
{
	int rc = check_change(dir, name);

	if (rc)
		return rc;
	if (symlinkat(target, dir->fd, name))
		return -errno;
	set_mode_and_group(dir->fd, name, (mode_t)-1, gid);
	return 0;
}

int p9_node_mknod(struct p9_node *dir, const char *name, mode_t mode, gid_t gid)
{
	int rc = check_change(dir, name);

	if (rc)
		return rc;
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EPERM; /* no devices of the host */
	if (mknodat(dir->fd, name, (mode & S_IFMT) | 0600, 0))
		return -errno;
	set_mode_and_group(dir->fd, name, file_mode(mode), gid);
	return 0;
}

int p9_node_mkdir(struct p9_node *dir, const char *name, mode_t mode, gid_t gid)
{
	int rc = check_change(dir, name);

	if (rc)
		return rc;
	if (mkdirat(dir->fd, name, 0700))
		return -errno;
	set_mode_and_group(dir->fd, name, mode & 03777, gid);
	return 0;
}

int p9_node_link(struct p9_node *dir, struct p9_node *n, const char *name)
{
	int rc = check_change(dir, name);

	if (rc)
		return rc;
	return linkat(AT_FDCWD, proc_name(n).text, dir->fd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int p9_node_unlink(struct p9_node *dir, const char *name, bool is_dir)
{
	int rc = check_change(dir, name);

	if (rc)
		return rc;
	return unlinkat(dir->fd, name, is_dir ? AT_REMOVEDIR : 0) ? -errno : 0;
}

int p9_node_rename(struct p9_node *from, const char *old, struct p9_node *to, const char *name)
{
	int rc = check_change(from, old);

	if (!rc)
		rc = check_change(to, name);
	if (rc)
		return rc;
	return renameat(from->fd, old, to->fd, name) ? -errno : 0;
}

/* The name by which the guest came still leads there. */
static int check_still_there(struct p9_node *n)
{
	struct stat here, there;
	int rc = p9_node_stat(n, &here);

	if (!n->parent)
		return -EBUSY; /* the root */
	if (rc)
		return rc;
	if (fstatat(n->parent->fd, n->name, &there, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return here.st_dev == there.st_dev && here.st_ino == there.st_ino ? 0 : -ENOENT;
}

int p9_node_remove(struct p9_node *n)
{
	struct stat st;
	int rc = check_still_there(n);

	if (!rc)
		rc = p9_node_stat(n, &st);
	return rc ? rc : p9_node_unlink(n->parent, n->name, S_ISDIR(st.st_mode));
}

int p9_node_move(struct p9_node *n, struct p9_node *to, const char *name)
{
	int rc = check_still_there(n);

	return rc ? rc : p9_node_rename(n->parent, n->name, to, name);
}

int p9_node_chmod(struct p9_node *n, mode_t mode)
{
	struct stat st;
	int rc = n->fs->read_only ? -EROFS : p9_node_stat(n, &st);

	if (rc)
		return rc;
	if (S_ISLNK(st.st_mode))
		return -EOPNOTSUPP;
	if (!S_ISDIR(st.st_mode) && mode & (S_ISUID | S_ISGID))
		return -EPERM;
	return fchmodat(AT_FDCWD, proc_name(n).text, mode & 07777, 0) ? -errno : 0;
}

int p9_node_chown(struct p9_node *n, uid_t uid, gid_t gid)
{
	if (n->fs->read_only)
		return -EROFS;
	return fchownat(n->fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

int p9_node_truncate(struct p9_node *n, uint64_t size)
{
	int fd = p9_node_open(n, O_WRONLY), rc = 0;

	if (fd < 0)
		return fd;
	if (size > INT64_MAX)
		rc = -EFBIG;
	else if (ftruncate(fd, (off_t)size))
		rc = -errno;
	close(fd);
	return rc;
}

int p9_node_utimes(struct p9_node *n, const struct timespec times[2])
{
	if (n->fs->read_only)
		return -EROFS;
	/* Older kernels do not take AT_EMPTY_PATH; on those a symbolic link's times stay. */
	if (!utimensat(n->fd, "", times, AT_EMPTY_PATH) || !utimensat(AT_FDCWD, proc_name(n).text, times, 0))
		return 0;
	return -errno;
}
