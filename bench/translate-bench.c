/* SPDX-License-Identifier: MIT */
/*
 * What cold code costs: CPU time for a guest instruction, from its word to host code, block after block of a program's text, in
 * its stages. Memory for the code is warm from the first round on; what a PE adds (look-up, the block's place) is not in it, but
 * in the figure that `pawl run --stats` shows.
 *
 *     translate-bench FILE [OFFSET]       a file with A64 code from OFFSET (default 0x10000) on, such as a kernel's Image
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "isa.h"
#include "jit.h"

enum { WORDS = 400000, ROUNDS = 5 };

static const struct ir_env_ops no_ops;
static struct ir_env env = {.ops = &no_ops};
static uint32_t words[WORDS + IR_MAX_INSNS];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One pass over the words: stage 1 stops before the translator. Returns the blocks. */
static unsigned pass(struct ir_builder *b, struct jit *j, unsigned stage, unsigned *insns)
{
	struct isa_ctx ctx = {.b = b, .features = ~0ull, .el = 1};
	unsigned blocks = 0;

	*insns = 0;
	for (unsigned i = 0; i < WORDS; blocks++) {
		uint64_t pc = 0xffff800008000000 + 4ull * i;
		unsigned left = (4096 - (pc & 4095)) / 4, n;
		struct ir_block ir;
		bool open = true;

		ir_begin(b, pc);
		for (n = 0; open && n < left && n < IR_MAX_INSNS && (!n || ir_has_room(b)); n++) {
			ctx.pc = pc + 4 * n;
			ir_next_insn(b);
			open = isa_emit(&ctx, words[i + n]);
		}
		if (open)
			ir_br(b, pc + 4 * n);
		ir_finish(b, &ir);
		if (stage > 1) {
			struct jit_unit u = {.blk = &ir, .el1 = true, .chain = true};

			if (jit_is_full(j))
				jit_reset(j);
			jit_compile(j, &u);
		}
		*insns += n;
		i += n;
	}
	return blocks;
}

int main(int argc, char **argv)
{
	long offset = argc > 2 ? strtol(argv[2], NULL, 0) : 0x10000;
	FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;
	struct ir_builder *b = ir_builder_new();
	double best[3] = {0};
	unsigned insns = 1, blocks = 1;
	size_t bytes = 0;
	const char *why;
	struct jit *j;

	if (!f || fseek(f, offset, SEEK_SET) || fread(words, 4, WORDS, f) != WORDS) {
		fprintf(stderr, "usage: translate-bench FILE [OFFSET], with %u words behind OFFSET\n", WORDS);
		return 1;
	}
	fclose(f);
	j = jit_new(&env, 10, &why);
	if (!j || !b) {
		fprintf(stderr, "no translator here: %s\n", j ? "out of memory" : why);
		return 1;
	}
	for (unsigned stage = 1; stage < 3; stage++) {
		for (unsigned round = 0; round < ROUNDS; round++) {
			double from, took;

			jit_reset(j);
			from = now();
			blocks = pass(b, j, stage, &insns);
			took = now() - from;
			if (!best[stage] || took < best[stage])
				best[stage] = took;
			bytes = jit_used(j);
		}
	}
	printf("%u blocks of %.1f instructions\n", blocks, (double)insns / blocks);
	printf("words to IR        %7.1f ns for an instruction\n", best[1] / insns);
	printf("IR to host code    %7.1f\n", (best[2] - best[1]) / insns);
	printf("both               %7.1f\n", best[2] / insns);
	printf("host code          %7.1f bytes for an instruction (since the memory was full the last time: %zu)\n",
	       (double)bytes / insns, bytes);
	jit_free(j);
	ir_builder_free(b);
	return 0;
}
