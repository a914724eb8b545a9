/* SPDX-License-Identifier: MIT */
/*
 * Code memory: shared anonymous memory mapped twice, once to write and once to execute (W^X). The size is address space;
 * pages come when they are touched. Says nothing about what is in it. Not a memfd: perf takes that for a file, and looks for
 * symbols in it.
 */
#include "code.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int code_mem_init(struct code_mem *m, size_t size)
{
	void *rw, *rx;
	int err;

	rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rw == MAP_FAILED)
		return -errno;
	/* An old size of 0 leaves the first mapping of shared memory where it is. Not by way of a wrapper of our client's. */
	rx = (void *)syscall(SYS_mremap, rw, 0, size, MREMAP_MAYMOVE, 0);
	if (rx == MAP_FAILED || mprotect(rx, size, PROT_READ | PROT_EXEC)) {
		err = errno;
		munmap(rw, size);
		if (rx != MAP_FAILED)
			munmap(rx, size);
		return -err;
	}
	/* A child would share it, and write to its parent's code. */
	madvise(rw, size, MADV_DONTFORK);
	madvise(rx, size, MADV_DONTFORK);
	*m = (struct code_mem){.rw = rw, .rx = rx, .size = size};
	return 0;
}

void code_mem_exit(struct code_mem *m)
{
	if (m->rw) {
		munmap(m->rw, m->size);
		munmap((void *)(uintptr_t)m->rx, m->size);
	}
	memset(m, 0, sizeof(*m));
}
