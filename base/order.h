/* SPDX-License-Identifier: MIT */
/* Memory ordering beyond what C's atomics get from every machine that we run on, or get cheaply. */
#ifndef PAWL_BASE_ORDER_H
#define PAWL_BASE_ORDER_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * Between a sequentially consistent store and a load of something else by the same thread, where another thread does the reverse and one
 * of the two must see the other. In C nothing is needed, and on arm64 a store-release is not passed by a later load-acquire. But QEMU's
 * translator, when it runs arm64 programs on x86, puts its barriers before the one and after the other, and so the load does pass.
 */
static inline void order_store_load(void)
{
#if defined(__aarch64__)
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/*
 * The same for two sides of which one is hot and the other rare: between its store and its load the hot one has order_hot(), which costs
 * nothing, and the rare one order_rare(), a system call that makes every thread of the process have had a fence. Where that call is not
 * to be had (seccomp, emulators), both are fences. order_init() comes first, in any thread, as often as one likes.
 */
extern bool order_has_call;

void order_init(void);
void order_rare(void);

static inline void order_hot(void)
{
	if (__builtin_expect(!order_has_call, 0))
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
}

#endif
