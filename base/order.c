/* SPDX-License-Identifier: MIT */
/* order_hot() and order_rare(): membarrier(2). */
#include "order.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

bool order_has_call; /* set once, before there is a hot side */

static void ask(void)
{
	order_has_call = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void order_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, ask);
}

void order_rare(void)
{
	if (order_has_call)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	atomic_thread_fence(memory_order_seq_cst);
}
