/* SPDX-License-Identifier: MIT */
#include "zeroed.h"

#include <sys/mman.h>

/* The leak checker looks for pointers in the heap, not in what is mapped. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_CHECKED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_CHECKED
#endif
#ifdef LEAKS_ARE_CHECKED
#include <sanitizer/lsan_interface.h>
#define may_hold_pointers(p, bytes) __lsan_register_root_region(p, bytes)
#define holds_no_pointers(p, bytes) __lsan_unregister_root_region(p, bytes)
#else
#define may_hold_pointers(p, bytes) ((void)0)
#define holds_no_pointers(p, bytes) ((void)0)
#endif

void *zeroed_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE); /* pages that nobody needs would be there */
	may_hold_pointers(p, bytes);
	return p;
}

void zeroed_free(void *p, size_t bytes)
{
	if (!p)
		return;
	holds_no_pointers(p, bytes);
	munmap(p, bytes);
}
