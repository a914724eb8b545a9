/* SPDX-License-Identifier: MIT */
/*
 * Code memory: one anonymous file mapped twice, once to write and once to execute (W^X). The size is address space;
 * pages come when they are touched. Says nothing about what is in it.
 */
#include "code.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int code_mem_init(struct code_mem *m, size_t size)
{
	void *rw = MAP_FAILED, *rx = MAP_FAILED;
	struct rlimit limit;
	int fd, err;

	/* Past the limit, ftruncate would raise SIGXFSZ in our client. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < size)
		return -EFBIG;
	fd = memfd_create("pawl-code", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0) {
		rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	err = errno;
	close(fd);
	if (rw == MAP_FAILED || rx == MAP_FAILED) {
		if (rw != MAP_FAILED)
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
