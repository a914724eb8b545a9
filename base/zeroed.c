/* SPDX-License-Identifier: MIT */
#include "zeroed.h"

#include <sys/mman.h>

void *zeroed_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE); /* pages that nobody needs would be there */
	return p;
}

void zeroed_free(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}
