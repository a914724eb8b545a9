/* SPDX-License-Identifier: MIT */
/*
 * Arguments in the client's memory. The kernel gives EFAULT for an address that is not mapped; here the copy is a system
 * call on our own process, which does the same. Where that call is not to be had (seccomp, emulators) it is a plain copy.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm.h"

enum { LOWEST_ADDRESS = 4096 };

int client_read(void *dst, uint64_t src, size_t len)
{
	struct iovec to = {dst, len}, from = {(void *)(uintptr_t)src, len};
	ssize_t n;

	if (len == 0)
		return 0;
	if (src < LOWEST_ADDRESS)
		return -EFAULT;
	n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EFAULT)
		return -EFAULT;
	memcpy(dst, from.iov_base, len);
	return 0;
}

int client_write(uint64_t dst, const void *src, size_t len)
{
	struct iovec from = {(void *)(uintptr_t)src, len}, to = {(void *)(uintptr_t)dst, len};
	ssize_t n;

	if (len == 0)
		return 0;
	if (dst < LOWEST_ADDRESS)
		return -EFAULT;
	n = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EFAULT)
		return -EFAULT;
	memcpy(to.iov_base, src, len);
	return 0;
}
