/* SPDX-License-Identifier: MIT */
/* The back end of hosts that have none: jit_new says so, and nothing else is ever called. */
#include "jit.h"

#include <stdlib.h>

struct jit *jit_new(struct ir_env *env, const struct jit_dispatch *d, const char **why)
{
	*why = "there is no translator for this host";
	return NULL;
}

void jit_free(struct jit *j) {}

const void *jit_compile(struct jit *j, const struct ir_block *blk, uint32_t sp_mask)
{
	return NULL;
}

const void *jit_leave(const struct jit *j)
{
	return NULL;
}

bool jit_is_full(const struct jit *j)
{
	return false;
}

void jit_reset(struct jit *j) {}

enum jit_level jit_level(const struct jit *j)
{
	return JIT_SSE41;
}

void jit_set_level(struct jit *j, enum jit_level level) {}

enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code)
{
	abort();
}
