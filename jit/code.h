/* SPDX-License-Identifier: MIT */
/* Memory for host code that is never writable and executable through one mapping. */
#ifndef PAWL_JIT_CODE_H
#define PAWL_JIT_CODE_H

#include <stddef.h>
#include <stdint.h>

struct code_mem {
	uint8_t *rw;	   /* written through this */
	const uint8_t *rx; /* executed through this */
	size_t size;
};

int code_mem_init(struct code_mem *m, size_t size); /* 0, or -errno */
void code_mem_exit(struct code_mem *m);

#endif
