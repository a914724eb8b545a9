/* SPDX-License-Identifier: MIT */
/*
 * Translated units for people outside: PAWL_PERF_MAP=1 makes /tmp/perf-PID.map, a line for each unit, by which perf names
 * addresses; PAWL_UNITS=FILE keeps every unit that is made, guest and host code, for `pawl units`. Both belong to the process,
 * stay open to its end, and are opened with its first PE: before a program has confined itself.
 */
#include "internal.h"
#include "unit_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *perf_map, *units;

static FILE *open_file(const char *variable, const char *name)
{
	FILE *f = fopen(name, "we");

	if (!f)
		fprintf(stderr, "pawl: %s: %s: %s\n", variable, name, strerror(errno));
	return f;
}

static void open_files(void)
{
	const char *map = getenv("PAWL_PERF_MAP"), *file = getenv("PAWL_UNITS");
	char name[64];

	if (map && strcmp(map, "0") != 0) {
		snprintf(name, sizeof(name), "/tmp/perf-%d.map", (int)getpid());
		perf_map = open_file("PAWL_PERF_MAP", name);
		if (perf_map)
			setlinebuf(perf_map);
	}
	if (file && *file)
		units = open_file("PAWL_UNITS", file);
}

static void add_name(const struct jit_unit *u, size_t bytes)
{
	fprintf(perf_map, "%" PRIxPTR " %zx EL%d_%" PRIx64 "+%u\n", (uintptr_t)u->code, bytes, u->el1, u->blk->pc,
		u->blk->n_insns);
	if (u->cold_bytes)
		fprintf(perf_map, "%" PRIxPTR " %zx EL%d_%" PRIx64 "+%u_seldom\n", (uintptr_t)u->cold, u->cold_bytes,
			u->el1, u->blk->pc, u->blk->n_insns);
}

/* Several PEs write: a record is in the file as a whole. Its last bytes may come when the process ends. */
static void add_record(const struct jit_unit *u, size_t bytes)
{
	const struct block *b = u->owner;
	const uint32_t *words = block_trace(b) ? block_trace(b)->words : block_words(b);
	int32_t places[IR_MAX_INSNS];
	unsigned n = u->blk->n_insns;
	struct unit_record r = {
		.magic = UNIT_MAGIC,
		.flags = u->el1 ? UNIT_EL1 : 0,
		.pc = b->pc,
		.host = (uintptr_t)u->code,
		.n_insns = n,
		.n_bytes = (uint32_t)bytes,
	};
	size_t body = 4 * (3 * (size_t)n + 1) + bytes;
	static const uint8_t zeros[8];

	for (unsigned i = 0; i < n; i++)
		places[i] = (int32_t)(ir_pc(u->blk, i) - u->blk->pc);
	flockfile(units);
	fwrite(&r, sizeof(r), 1, units);
	fwrite(words, 4, n, units);
	fwrite(places, 4, n, units);
	fwrite(u->marks, 4, n + 1, units);
	fwrite(u->code, 1, bytes, units);
	fwrite(zeros, 1, -body & 7, units);
	funlockfile(units);
}

static void made(void *opaque, const struct jit_unit *u, size_t bytes)
{
	if (perf_map)
		add_name(u, bytes);
	if (units)
		add_record(u, bytes);
}

void unit_watch(struct jit *j)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, open_files);
	if (perf_map || units)
		jit_watch(j, made, NULL);
}
