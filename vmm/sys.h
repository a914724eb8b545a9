/* SPDX-License-Identifier: MIT */
/*
 * The system calls that a KVM client makes, as a table: the machine runs on libpawl or on a kernel's /dev/kvm without
 * knowing which. Semantics are those of the system calls: -1 and errno.
 */
#ifndef PAWL_VMM_SYS_H
#define PAWL_VMM_SYS_H

#include <stddef.h>
#include <sys/types.h>

struct kvm_sys {
	const char *name; /* for messages: "pawl", "/dev/kvm" */
	int (*open)(const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
	int (*close)(int fd);
	/* A signal handler runs on this thread: a KVM_RUN in progress must end with EINTR. Async-signal-safe. */
	void (*signal_ran)(void);
};

extern const struct kvm_sys kvm_sys_pawl;   /* sys_pawl.c; path is ignored */
extern const struct kvm_sys kvm_sys_kernel; /* sys_kernel.c */

#endif
