/* SPDX-License-Identifier: MIT */
/**
 * @file pawl.h
 * pawl as a library: the arm64 /dev/kvm API in this process.
 *
 * The functions below stand for the system calls of the same name on /dev/kvm and the descriptors that come from
 * it. Requests and structures are those of <pawl/kvm.h>; their documentation is the kernel's
 * Documentation/virt/kvm/api.rst. All return -1 and set errno on error, with the kernel's errno.
 *
 * Descriptors are real descriptors: dup, poll, close-on-exec and passing to another thread work as always. Close them
 * with pawl_close() (or close(), under the preload library).
 *
 * All functions may be called from any thread, with the kernel's own rules for which calls wait for which.
 */
#ifndef PAWL_H
#define PAWL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Version of the library: "0.1.0". */
const char *pawl_version(void);

/**
 * Open the system device, as open("/dev/kvm", flags).
 * @param flags  O_CLOEXEC is honoured; the access mode is ignored.
 * @return a descriptor, or -1: EMFILE, ENFILE, ENOMEM.
 */
int pawl_open(int flags);

/**
 * ioctl() on any pawl descriptor.
 * @param arg  what the request's documentation says: a value or a pointer.
 * @return as the kernel's ioctl; -1 and errno on error; EBADF if fd is not pawl's.
 */
int pawl_ioctl(int fd, unsigned long request, void *arg);

/**
 * mmap() of a vcpu descriptor (kvm_run, coalesced ring, dirty ring). munmap() undoes it.
 */
void *pawl_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/** close() of a pawl descriptor. An object goes when its last descriptor is closed. */
int pawl_close(int fd);

/** Whether fd is a pawl descriptor (also a dup of one). */
bool pawl_is_fd(int fd);

/**
 * Tell the library that a signal handler is running on this thread: a KVM_RUN in progress here returns EINTR, as it
 * does with the kernel. Async-signal-safe. The preload library calls it from the handlers it wraps; a program
 * linked with the library calls it from its own handlers, or sets kvm_run.immediate_exit.
 */
void pawl_signal_ran(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
