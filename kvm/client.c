/* SPDX-License-Identifier: MIT */
/*
 * Arguments in the client's memory. The kernel gives EFAULT for an address that is not mapped; so a short argument is copied
 * after a cheap system call on each of its pages has told that it is there, and a long one by a system call on our own
 * process (seven times the price). Where that one is not to be had (seccomp, emulators) each page is asked for.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm.h"

enum { LOWEST_ADDRESS = 4096, PAGE = 4096 /* or more */, SHORT = 512 };

/* By a change of the signal mask that there is not, which the kernel says after it has copied the mask. */
static bool is_readable(uint64_t addr)
{
	return syscall(SYS_rt_sigprocmask, ~0, addr & ~7ull, NULL, 8) == 0 || errno != EFAULT;
}

/* The word is to be overwritten: put anything there. */
static bool is_writable(uint64_t word)
{
	return syscall(SYS_getcpu, word, NULL, NULL) == 0 || errno != EFAULT;
}

/* Nothing changes: other data may be in the word. */
static bool is_changeable(uint64_t word)
{
	uint32_t nobody_waits = 0;

	return syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_OP_PRIVATE, 0, 0, word,
		       FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0)) >= 0 ||
	       errno != EFAULT;
}

static bool pages_are(bool (*fn)(uint64_t addr), uint64_t addr, size_t len)
{
	if (addr + len < addr)
		return false;
	for (uint64_t at = addr; at < addr + len; at = (at & -(uint64_t)PAGE) + PAGE)
		if (!fn(at & ~3ull))
			return false;
	return true;
}

static bool ends_are_readable(uint64_t addr, size_t len)
{
	return is_readable(addr) && (!((addr ^ (addr + len - 1)) & -(uint64_t)PAGE) || is_readable(addr + len - 1));
}

static bool read_short(void *dst, uint64_t src, size_t len)
{
	if (!ends_are_readable(src, len))
		return false;
	memcpy(dst, (const void *)(uintptr_t)src, len);
	return true;
}

/* Words of the first and the last page that lie in dst; false: there are none. */
static bool words_of(uint64_t dst, size_t len, uint64_t *first, uint64_t *last)
{
	*first = (dst + 3) & ~3ull;
	*last = (dst + len - 4) & ~3ull;
	return len >= 8 && ((*first ^ dst) & -(uint64_t)PAGE) == 0 &&
	       ((*last ^ (dst + len - 1)) & -(uint64_t)PAGE) == 0;
}

int client_read(void *dst, uint64_t src, size_t len)
{
	struct iovec to = {dst, len}, from = {(void *)(uintptr_t)src, len};
	ssize_t n;

	if (len == 0)
		return 0;
	if (src < LOWEST_ADDRESS)
		return -EFAULT;
	if (len <= SHORT)
		return read_short(dst, src, len) ? 0 : -EFAULT;
	n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EFAULT || !pages_are(is_readable, src, len)) /* not there: an emulator */
		return -EFAULT;
	memcpy(dst, from.iov_base, len);
	return 0;
}

int client_write(uint64_t dst, const void *src, size_t len)
{
	struct iovec from = {(void *)(uintptr_t)src, len}, to = {(void *)(uintptr_t)dst, len};
	uint64_t first, last;
	ssize_t n;

	if (len == 0)
		return 0;
	if (dst < LOWEST_ADDRESS)
		return -EFAULT;
	if (len <= SHORT && words_of(dst, len, &first, &last)) {
		if (!is_writable(first) || ((first ^ last) & -(uint64_t)PAGE && !is_writable(last)))
			return -EFAULT;
		memcpy((void *)(uintptr_t)dst, src, len);
		return 0;
	}
	if (len <= SHORT) {
		if (!pages_are(is_changeable, dst, len))
			return -EFAULT;
		memcpy((void *)(uintptr_t)dst, src, len);
		return 0;
	}
	n = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EFAULT || !pages_are(is_changeable, dst, len))
		return -EFAULT;
	memcpy(to.iov_base, src, len);
	return 0;
}
