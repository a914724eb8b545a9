/* SPDX-License-Identifier: MIT */
/*
 * The preload library's descriptors: open() of /dev/kvm gives a descriptor of libpawl, and ioctl(), mmap() and close()
 * of such go there; a program that looks at the file first sees a character device. Everything else goes on to the C
 * library. System calls that a program makes without the C library are not seen.
 */

/* open() is to mean open(), not open64(). */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "device.h"

/* The prototypes that the C library shows to no one, or under other names only. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags);

__thread int preload_inside __attribute__((tls_model("initial-exec")));

/* path may be NULL, whatever the prototypes of our callers promise: programs ask so whether a system call is there. */
static bool is_dev_kvm(const char *path)
{
	__asm__("" : "+r"(path)); /* forget the promise */
	return !preload_inside && path && strcmp(path, DEVICE_PATH) == 0;
}

/* Whether the program's fd is libpawl's. */
static bool is_pawl(int fd)
{
	bool yes;

	if (fd < 0 || preload_inside)
		return false;
	preload_inside++;
	yes = pawl_is_fd(fd);
	preload_inside--;
	return yes;
}

/* ---- open */

static int open_kvm(int flags)
{
	int fd;

	preload_inside++;
	fd = device_open(flags);
	preload_inside--;
	return fd;
}

/* The mode is there only if a file may be made. */
static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

NEXT(int, open, const char *, int, ...)
NEXT(int, open64, const char *, int, ...)
NEXT(int, openat, int, const char *, int, ...)
NEXT(int, openat64, int, const char *, int, ...)
NEXT(int, __open_2, const char *, int)
NEXT(int, __open64_2, const char *, int)
NEXT(int, __openat_2, int, const char *, int)
NEXT(int, __openat64_2, int, const char *, int)

EXPORT int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	if (is_dev_kvm(path))
		return open_kvm(flags);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return next_open()(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	if (is_dev_kvm(path))
		return open_kvm(flags);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return next_open64()(path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	if (is_dev_kvm(path))
		return open_kvm(flags);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return next_openat()(dir, path, flags, mode);
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	if (is_dev_kvm(path))
		return open_kvm(flags);
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return next_openat64()(dir, path, flags, mode);
}

EXPORT int __open_2(const char *path, int flags)
{
	return is_dev_kvm(path) ? open_kvm(flags) : next___open_2()(path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return is_dev_kvm(path) ? open_kvm(flags) : next___open64_2()(path, flags);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	return is_dev_kvm(path) ? open_kvm(flags) : next___openat_2()(dir, path, flags);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
	return is_dev_kvm(path) ? open_kvm(flags) : next___openat64_2()(dir, path, flags);
}

/* ---- ioctl, mmap */

NEXT(int, ioctl, int, unsigned long, ...)
NEXT(void *, mmap, void *, size_t, int, int, int, off_t)
NEXT(void *, mmap64, void *, size_t, int, int, int, off64_t)

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* Requests are ints: a caller may have extended the sign of one. */
	if (_IOC_TYPE((uint32_t)request) == KVM_IOCTL_TYPE && !preload_inside) {
		preload_inside++;
		ret = pawl_ioctl(fd, (uint32_t)request, arg);
		preload_inside--;
		/* EBADF may also be about a descriptor that the argument names. */
		if (__builtin_expect(ret >= 0 || errno != EBADF || is_pawl(fd), 1))
			return ret;
	}
	if ((uint32_t)request == FIONREAD && is_pawl(fd)) /* the memfd below it would answer */
		request = 0;
	ret = next_ioctl()(fd, request, arg);
	/* Requests of others: libpawl knows with which errno that kind of descriptor refuses them. */
	if (ret < 0 && errno == ENOTTY && is_pawl(fd)) {
		preload_inside++;
		ret = pawl_ioctl(fd, (uint32_t)request, arg);
		preload_inside--;
	}
	return ret;
}

static bool maps_pawl(int flags, int fd)
{
	return !(flags & MAP_ANONYMOUS) && is_pawl(fd);
}

static void *map_pawl(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *p;

	preload_inside++;
	p = pawl_mmap(addr, length, prot, flags, fd, offset);
	preload_inside--;
	return p;
}

NEXT(int, munmap, void *, size_t)
NEXT(int, mprotect, void *, size_t, int)
NEXT(void *, mremap, void *, size_t, size_t, int, ...)

/* A change of the program's memory, which may be a guest's: libpawl makes it while no vcpu uses it. */
struct change {
	enum { MAP, UNMAP, PROTECT, REMAP } what;
	void *addr, *to, *result;
	size_t length, new_length;
	int prot, flags, fd;
	off64_t offset;
};

static int change(void *arg)
{
	struct change *c = arg;

	switch (c->what) {
	case MAP:
		c->result = next_mmap64()(c->addr, c->length, c->prot, c->flags, c->fd, c->offset);
		return c->result == MAP_FAILED ? -1 : 0;
	case UNMAP: return next_munmap()(c->addr, c->length);
	case PROTECT: return next_mprotect()(c->addr, c->length, c->prot);
	default:
		c->result = next_mremap()(c->addr, c->length, c->new_length, c->flags, c->to);
		return c->result == MAP_FAILED ? -1 : 0;
	}
}

static int make_change(struct change *c, void *addr, size_t length)
{
	int ret, err;

	if (preload_inside)
		return change(c);
	preload_inside++;
	ret = pawl_change_memory(addr, length, change, c);
	err = errno;
	preload_inside--;
	errno = err;
	return ret;
}

static void *map_over(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
	struct change c = {
		.what = MAP, .addr = addr, .length = length, .prot = prot, .flags = flags, .fd = fd, .offset = offset};

	make_change(&c, addr, length);
	return c.result;
}

EXPORT void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	if (maps_pawl(flags, fd))
		return map_pawl(addr, length, prot, flags, fd, offset);
	if (flags & MAP_FIXED)
		return map_over(addr, length, prot, flags, fd, offset);
	return next_mmap()(addr, length, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
	if (maps_pawl(flags, fd))
		return map_pawl(addr, length, prot, flags, fd, offset);
	if (flags & MAP_FIXED)
		return map_over(addr, length, prot, flags, fd, offset);
	return next_mmap64()(addr, length, prot, flags, fd, offset);
}

EXPORT int munmap(void *addr, size_t length)
{
	struct change c = {.what = UNMAP, .addr = addr, .length = length};

	return make_change(&c, addr, length);
}

EXPORT int mprotect(void *addr, size_t length, int prot)
{
	struct change c = {.what = PROTECT, .addr = addr, .length = length, .prot = prot};

	return make_change(&c, addr, length);
}

/* Where it goes to with MREMAP_FIXED is a second range; all of memory is asked for then. */
EXPORT void *mremap(void *addr, size_t length, size_t new_length, int flags, ...)
{
	struct change c = {.what = REMAP, .addr = addr, .length = length, .new_length = new_length, .flags = flags};
	va_list ap;

	va_start(ap, flags);
	c.to = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
	va_end(ap);
	if (flags & MREMAP_FIXED)
		make_change(&c, NULL, SIZE_MAX);
	else
		make_change(&c, addr, length > new_length ? length : new_length);
	return c.result;
}

/* A guest_memfd: its descriptor allows nothing by itself. */
NEXT(int, fallocate, int, int, off_t, off_t)
NEXT(int, fallocate64, int, int, off64_t, off64_t)
NEXT(int, madvise, void *, size_t, int)

static int fallocate_pawl(int fd, int mode, off_t offset, off_t length)
{
	int ret;

	preload_inside++;
	ret = pawl_fallocate(fd, mode, offset, length);
	preload_inside--;
	return ret;
}

static int fallocated(int fd, int mode, int ret)
{
	if (preload_inside || !(mode & FALLOC_FL_PUNCH_HOLE))
		return ret;
	preload_inside++;
	device_fallocated(fd, mode);
	preload_inside--;
	return ret;
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (is_pawl(fd))
		return fallocate_pawl(fd, mode, offset, length);
	return fallocated(fd, mode, next_fallocate()(fd, mode, offset, length));
}

EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	if (is_pawl(fd))
		return fallocate_pawl(fd, mode, offset, length);
	return fallocated(fd, mode, next_fallocate64()(fd, mode, offset, length));
}

NEXT(off_t, lseek, int, off_t, int)
NEXT(off64_t, lseek64, int, off64_t, int)

/* Also what libpawl does not call its own: descriptors of counters. False: not ours. */
static bool seek_pawl(int fd, long offset, int whence, long *result)
{
	if (fd < 0 || preload_inside)
		return false;
	preload_inside++;
	*result = pawl_lseek(fd, offset, whence);
	preload_inside--;
	return *result >= 0 || errno != EBADF;
}

EXPORT off_t lseek(int fd, off_t offset, int whence)
{
	long result;

	return seek_pawl(fd, (long)offset, whence, &result) ? (off_t)result : next_lseek()(fd, offset, whence);
}

EXPORT off64_t lseek64(int fd, off64_t offset, int whence)
{
	long result;

	return seek_pawl(fd, (long)offset, whence, &result) ? (off64_t)result : next_lseek64()(fd, offset, whence);
}

EXPORT int madvise(void *addr, size_t length, int advice)
{
	int ret;

	if (preload_inside || (advice != DEVICE_MADV_COLLAPSE && !device_advice_drops(advice)))
		return next_madvise()(addr, length, advice);
	preload_inside++;
	ret = advice == DEVICE_MADV_COLLAPSE ? device_collapse(addr) : 0;
	if (ret == 0) {
		ret = next_madvise()(addr, length, advice);
		device_advised(addr, length, advice);
	}
	preload_inside--;
	return ret;
}

/* ---- close, and what closes on the way. dup() and fcntl() need nothing: libpawl knows its descriptors by inode. */

NEXT(int, close, int)
NEXT(int, dup2, int, int)
NEXT(int, dup3, int, int, int)
NEXT(int, close_range, unsigned, unsigned, int)
NEXT(void, closefrom, int)

EXPORT int close(int fd)
{
	int ret;

	if (!is_pawl(fd))
		return next_close()(fd);
	preload_inside++;
	ret = device_close(fd);
	preload_inside--;
	return ret;
}

static int make_room(int old, int fd)
{
	int ret;

	if (preload_inside)
		return 0;
	preload_inside++;
	ret = device_make_room(old, fd);
	preload_inside--;
	return ret;
}

EXPORT int dup2(int old, int fd)
{
	return make_room(old, fd) < 0 ? -1 : next_dup2()(old, fd);
}

EXPORT int dup3(int old, int fd, int flags)
{
	if ((flags & ~O_CLOEXEC) == 0 && make_room(old, fd) < 0)
		return -1;
	return next_dup3()(old, fd, flags);
}

static void close_pawl_range(unsigned first, unsigned last)
{
	preload_inside++;
	device_close_range(first, last);
	preload_inside--;
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (!next_close_range()) {
		errno = ENOSYS;
		return -1;
	}
	if (flags == 0 && first <= last && !preload_inside)
		close_pawl_range(first, last);
	return next_close_range()(first, last, flags);
}

EXPORT void closefrom(int first)
{
	if (!preload_inside)
		close_pawl_range(first < 0 ? 0 : (unsigned)first, UINT32_MAX);
	if (next_closefrom())
		next_closefrom()(first);
}

/* ---- is the file there? */

NEXT(int, access, const char *, int)
NEXT(int, eaccess, const char *, int)
NEXT(int, euidaccess, const char *, int)
NEXT(int, faccessat, int, const char *, int, int)
NEXT(int, stat, const char *, struct stat *)
NEXT(int, stat64, const char *, struct stat64 *)
NEXT(int, lstat, const char *, struct stat *)
NEXT(int, lstat64, const char *, struct stat64 *)
NEXT(int, fstatat, int, const char *, struct stat *, int)
NEXT(int, fstatat64, int, const char *, struct stat64 *, int)
NEXT(int, __xstat, int, const char *, struct stat *)
NEXT(int, __xstat64, int, const char *, struct stat64 *)
NEXT(int, __lxstat, int, const char *, struct stat *)
NEXT(int, __lxstat64, int, const char *, struct stat64 *)
NEXT(int, __fxstatat, int, int, const char *, struct stat *, int)
NEXT(int, __fxstatat64, int, int, const char *, struct stat64 *, int)
NEXT(int, statx, int, const char *, int, unsigned, struct statx *)

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout on a 64-bit host");

static int stat_kvm(void *st)
{
	return device_stat(st);
}

EXPORT int access(const char *path, int mode)
{
	return is_dev_kvm(path) ? device_access(mode) : next_access()(path, mode);
}

EXPORT int eaccess(const char *path, int mode)
{
	return is_dev_kvm(path) ? device_access(mode) : next_eaccess()(path, mode);
}

EXPORT int euidaccess(const char *path, int mode)
{
	return is_dev_kvm(path) ? device_access(mode) : next_euidaccess()(path, mode);
}

EXPORT int faccessat(int dir, const char *path, int mode, int flags)
{
	return is_dev_kvm(path) ? device_access(mode) : next_faccessat()(dir, path, mode, flags);
}

EXPORT int stat(const char *path, struct stat *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_stat()(path, st);
}

EXPORT int stat64(const char *path, struct stat64 *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_stat64()(path, st);
}

EXPORT int lstat(const char *path, struct stat *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_lstat()(path, st);
}

EXPORT int lstat64(const char *path, struct stat64 *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_lstat64()(path, st);
}

EXPORT int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_fstatat()(dir, path, st, flags);
}

EXPORT int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next_fstatat64()(dir, path, st, flags);
}

/* Programs built with a C library before 2.33 call these. */
EXPORT int __xstat(int version, const char *path, struct stat *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___xstat()(version, path, st);
}

EXPORT int __xstat64(int version, const char *path, struct stat64 *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___xstat64()(version, path, st);
}

EXPORT int __lxstat(int version, const char *path, struct stat *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___lxstat()(version, path, st);
}

EXPORT int __lxstat64(int version, const char *path, struct stat64 *st)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___lxstat64()(version, path, st);
}

EXPORT int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___fxstatat()(version, dir, path, st, flags);
}

EXPORT int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags)
{
	return is_dev_kvm(path) ? stat_kvm(st) : next___fxstatat64()(version, dir, path, st, flags);
}

EXPORT int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	if (!is_dev_kvm(path))
		return next_statx()(dir, path, flags, mask, st);
	return device_statx(st);
}
