/* SPDX-License-Identifier: MIT */
/*
 * What a program sees of /dev/kvm, whichever way its system calls come to us: what the file looks like, and how libpawl
 * hears of descriptors that are closed on the way. All functions are called from inside libpawl's world: what they call
 * is not taken for the program's.
 */
#ifndef PAWL_DEVICE_H
#define PAWL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum { KVM_IOCTL_TYPE = 0xAE, KVM_MAJOR = 10, KVM_MINOR = 232 };

#define DEVICE_PATH "/dev/kvm"

/* As the system calls of those names with DEVICE_PATH: 0 or a descriptor, or -1 and errno. */
int device_open(int flags);
int device_access(int mode);
int device_stat(struct stat *st);
int device_statx(struct statx *st);

/* MADV_COLLAPSE, which older headers lack, at an address: -1 and EINVAL in a mapping of a guest_memfd, else 0. */
enum { DEVICE_MADV_COLLAPSE = 25 };
int device_collapse(const void *addr);

/* After madvise() or fallocate(), which may have succeeded in part: libpawl hears of pages that they drop. */
bool device_advice_drops(int advice);
void device_advised(void *addr, size_t length, int advice);
void device_fallocated(int fd, int mode);

/* close() of a descriptor of libpawl; if its number means another file by now, of that. */
int device_close(int fd);

/*
 * Before dup2(old, fd): a descriptor of libpawl at fd is closed, as libpawl must hear of that, and the number stays taken.
 * 0, or -1 and errno.
 */
int device_make_room(int old, int fd);

/* Before close_range(): libpawl's descriptors from first to last are closed. */
void device_close_range(unsigned first, unsigned last);

#endif
