/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the preload library share: the C library's own functions, and the mark that says that a thread is
 * inside libpawl, whose own calls must not be taken for the program's.
 */
#ifndef PAWL_PRELOAD_H
#define PAWL_PRELOAD_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Everything is hidden but what the program is to find before the C library. */
#define EXPORT __attribute__((visibility("default")))

/*
 * next_NAME(): the NAME that the program would have had without us; NULL if the C library has none. Looked up once, on
 * first use, since programs and libraries call some of them before our constructors run.
 */
#define NEXT(ret, name, ...) \
	typedef ret (*next_##name##_fn)(__VA_ARGS__); \
	static inline next_##name##_fn next_##name(void) \
	{ \
		static _Atomic(void *) fn; \
		void *p = atomic_load_explicit(&fn, memory_order_relaxed); \
\
		if (__builtin_expect(!p, 0)) { \
			p = dlsym(RTLD_NEXT, #name); \
			atomic_store_explicit(&fn, p, memory_order_relaxed); \
		} \
		return (next_##name##_fn)p; \
	}

/* This thread is in libpawl. A signal handler of the program is not, whatever it interrupts (signal.c). */
extern __thread int preload_inside __attribute__((tls_model("initial-exec")));

#endif
