/* SPDX-License-Identifier: MIT */
/* Memory ordering beyond what C's atomics get from every machine that we run on. */
#ifndef PAWL_BASE_ORDER_H
#define PAWL_BASE_ORDER_H

#include <stdatomic.h>

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

#endif
