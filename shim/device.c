/* SPDX-License-Identifier: MIT */
/* What a program sees of /dev/kvm. System calls are made directly: the C library's functions may be the preload library's. */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <pawl/pawl.h>

int device_open(int flags)
{
	if (flags & O_DIRECTORY) {
		errno = ENOTDIR;
		return -1;
	}
	return pawl_open(flags);
}

int device_access(int mode)
{
	if (mode & X_OK) {
		errno = EACCES;
		return -1;
	}
	return 0;
}

int device_stat(struct stat *st)
{
	*st = (struct stat){
		.st_mode = S_IFCHR | 0666,
		.st_nlink = 1,
		.st_ino = KVM_MINOR,
		.st_rdev = makedev(KVM_MAJOR, KVM_MINOR),
		.st_blksize = 4096,
	};
	return 0;
}

int device_statx(struct statx *st)
{
	*st = (struct statx){
		.stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_INO,
		.stx_blksize = 4096,
		.stx_nlink = 1,
		.stx_mode = S_IFCHR | 0666,
		.stx_ino = KVM_MINOR,
		.stx_rdev_major = KVM_MAJOR,
		.stx_rdev_minor = KVM_MINOR,
	};
	return 0;
}

/* As the kernel has no huge pages in such files; the memfd behind it may have. */
int device_collapse(const void *addr)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	bool found = false;
	char line[512];

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%lx", &from, &to) == 2 && (uintptr_t)addr >= from && (uintptr_t)addr < to &&
			strstr(line, "memfd:kvm-guest-memfd");
	if (maps)
		fclose(maps);
	if (found)
		errno = EINVAL;
	return found ? -1 : 0;
}

bool device_advice_drops(int advice)
{
	enum { ADV_PAGEOUT = 21, ADV_DONTNEED_LOCKED = 24 }; /* older headers lack them */

	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE || advice == ADV_PAGEOUT ||
	       advice == ADV_DONTNEED_LOCKED;
}

void device_advised(void *addr, size_t length, int advice)
{
	int err = errno;

	if (device_advice_drops(advice))
		pawl_forget_memory(addr, length);
	errno = err;
}

/* Who maps the file is not known; images of disks, where holes are punched all the time, are in file systems of other kinds. */
void device_fallocated(int fd, int mode)
{
	struct statfs fs;
	int err = errno;

	if ((mode & FALLOC_FL_PUNCH_HOLE) && fstatfs(fd, &fs) == 0 &&
	    (fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC))
		pawl_forget_memory(NULL, SIZE_MAX);
	errno = err;
}

int device_close(int fd)
{
	int ret = pawl_close(fd);

	/* EBADF: the number was libpawl's, was closed behind our back, and means another file by now. */
	return ret == 0 || errno != EBADF ? ret : (int)syscall(SYS_close, fd);
}

/* Another file stands in the number's place while libpawl closes a duplicate of what was there. */
int device_make_room(int old, int fd)
{
	int spare, other;

	if (old == fd || !pawl_is_fd(fd) || syscall(SYS_fcntl, old, F_GETFD) < 0)
		return 0;
	spare = (int)syscall(SYS_dup, fd);
	if (spare < 0)
		return -1;
	other = eventfd(0, EFD_CLOEXEC);
	if (other < 0 || syscall(SYS_dup3, other, fd, 0) < 0) {
		int err = errno;

		if (other >= 0)
			syscall(SYS_close, other);
		pawl_close(spare);
		errno = err;
		return -1;
	}
	syscall(SYS_close, other);
	pawl_close(fd); /* EBADF: the number is not libpawl's any more, and libpawl forgets it */
	pawl_close(spare);
	return 0;
}

void device_close_range(unsigned first, unsigned last)
{
	int err = errno;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		unsigned fd = (unsigned)atoi(e->d_name);

		if (e->d_name[0] != '.' && fd >= first && fd <= last && (int)fd != dirfd(dir) && pawl_is_fd((int)fd))
			pawl_close((int)fd);
	}
	if (dir)
		closedir(dir);
	errno = err;
}
