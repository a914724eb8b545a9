/* SPDX-License-Identifier: MIT */
/* The back end of hosts that have none: jit_new says so, and nothing else is ever called. */
#include "jit.h"

#include <stdlib.h>

struct jit *jit_new(struct ir_env *env, unsigned jump_bits, const char **why)
{
	*why = "there is no translator for this host";
	return NULL;
}

void jit_free(struct jit *j) {}

bool jit_compile(struct jit *j, struct jit_unit *u)
{
	return false;
}

void jit_replace(struct jit *j, const void *from, const void *to) {}

uint32_t jit_probed(const struct ir_probe *p)
{
	return 0;
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

void jit_see_reset(void) {}

size_t jit_used(const struct jit *j)
{
	return 0;
}

enum jit_level jit_level(const struct jit *j)
{
	return JIT_SSE41;
}

void jit_count_accesses(struct jit *j) {}

void jit_set_limit(struct jit *j, size_t bytes) {}

void jit_set_level(struct jit *j, enum jit_level level) {}

struct jit_site jit_site(const struct jit *j, uint32_t site)
{
	return (struct jit_site){0};
}

bool jit_link(struct jit *j, uint32_t site, const void *code, uint32_t view)
{
	return false;
}

void jit_unlink(struct jit *j, uint32_t first, uint32_t n) {}

void jit_watch(struct jit *j, jit_watch_fn *fn, void *opaque) {}

enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code)
{
	abort();
}
