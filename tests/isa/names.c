/* SPDX-License-Identifier: MIT */
/*
 * The decode tables against an independent decoder (binutils' objdump, without aliases): for random words of every row,
 * its mnemonic must be the row's name, and what an emitter calls UNDEFINED it must refuse. For random words that no row
 * matches, it must refuse, too, or know an extension that is in names_gaps[]. Compares no operands.
 *
 *     isa_names OBJDUMP [--fp | --gaps] [--count N] [--seed S] [--row PATTERN]
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "harness.h"

static struct word {
	uint32_t word;
	int row;   /* -1 none */
	bool ours; /* not UNDEFINED */
	bool theirs;
	char text[100]; /* their mnemonic, blank, operands */
} * words;
static size_t n_words, max_words;

static void add_word(uint32_t word)
{
	static struct ir_builder *b;
	struct isa_ctx ctx = {.pc = CODE_PC, .features = ~0ull, .el = 1};
	int row = isa_row_of(word);

	if (!b && (b = ir_builder_new()))
		ir_builder_check_all(b);
	if (n_words == max_words) {
		max_words = max_words ? 2 * max_words : 4096;
		words = realloc(words, max_words * sizeof(*words));
	}
	if (!b || !words)
		exit(2);
	ctx.b = b;
	ir_begin(b, ctx.pc);
	ir_next_insn(b);
	words[n_words++] = (struct word){.word = word,
					 .row = row,
					 .ours = row >= 0 && isa_rows[row].implemented &&
						 isa_decode_emit(&ctx, (unsigned)row, word)};
}

/* Lines of words are "   8:<tab>d503201f <tab>nop". */
static bool disassemble(const char *objdump)
{
	char path[] = "/tmp/isa_names.XXXXXX", command[512], line[512];
	int fd = mkstemp(path);
	FILE *f;

	if (fd < 0)
		return false;
	for (size_t i = 0; i < n_words; i++)
		if (write(fd, &words[i].word, 4) != 4)
			return false;
	close(fd);
	snprintf(command, sizeof(command), "'%s' -z -D -b binary -m aarch64 -M no-aliases %s", objdump, path);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long at;
		unsigned word;
		int used = 0;

		if (sscanf(line, " %lx: %x %n", &at, &word, &used) < 2 || !used || at / 4 >= n_words ||
		    words[at / 4].word != word)
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(words[at / 4].text, sizeof(words->text), "%s", line + used);
		for (char *p = words[at / 4].text; *p; p++)
			if (*p == '\t')
				*p = ' ';
		words[at / 4].theirs = line[used] != '.';
	}
	unlink(path);
	return f && pclose(f) == 0;
}

/* The row's name in lower case, without the form. */
static void stem(const char *row, char out[64])
{
	unsigned i;

	for (i = 0; row[i] && row[i] != '_' && i < 63; i++)
		out[i] = row[i] >= 'A' && row[i] <= 'Z' ? (char)(row[i] - 'A' + 'a') : row[i];
	out[i] = 0;
}

static const struct name *name_of(const char *row)
{
	const struct name *lists[] = {names_fp, names_base};

	for (unsigned i = 0; i < 2; i++)
		for (const struct name *n = lists[i]; n->rows; n++)
			if (fnmatch(n->rows, row, 0) == 0)
				return n;
	return NULL;
}

static bool one_of(const char *patterns, const char *text)
{
	char s[400], *part, *rest, mnemonic[40];

	snprintf(mnemonic, sizeof(mnemonic), "%.*s", (int)strcspn(text, " "), text);
	snprintf(s, sizeof(s), "%s", patterns);
	for (part = strtok_r(s, " ", &rest); part; part = strtok_r(NULL, " ", &rest))
		if (fnmatch(part, mnemonic, 0) == 0)
			return true;
	return false;
}

static bool agree(const struct word *w)
{
	const char *name = isa_rows[w->row].name;
	const struct name *n = name_of(name);
	char s[64], both[140];

	if (w->ours != w->theirs)
		return n && (w->theirs ? n->they_take_more : n->they_take_less);
	if (!w->ours)
		return true;
	stem(name, s);
	/* The tables have one row for the lower and the upper half ("saddl", "saddl2"), which is not in the name. */
	snprintf(both, sizeof(both), isa_decode_is_fp((unsigned)w->row) ? "%s %s2" : "%s", s, s);
	return one_of(n && n->mnemonics ? n->mnemonics : both, w->text);
}

static unsigned check_rows(void)
{
	unsigned differing = 0;

	for (size_t i = 0; i < n_words;) {
		int row = words[i].row;
		unsigned failures = 0, count = 0;

		for (; i < n_words && words[i].row == row; i++, count++)
			if (!agree(&words[i]) && ++failures <= 3)
				printf("  %08x: %s%s, objdump: %s\n", words[i].word, isa_rows[row].name,
				       words[i].ours ? "" : " (UNDEFINED)", words[i].text);
		if (failures)
			printf("%s: %u of %u words differ\n", isa_rows[row].name, failures, count);
		differing += failures != 0;
	}
	return differing;
}

static unsigned check_gaps(void)
{
	unsigned differing = 0;

	for (size_t i = 0; i < n_words; i++)
		if (words[i].theirs && !one_of(names_gaps, words[i].text) && ++differing <= 40)
			printf("  %08x: no row, objdump: %s\n", words[i].word, words[i].text);
	return differing;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"count", 1, NULL, 'c'}, {"seed", 1, NULL, 's'}, {"row", 1, NULL, 'r'},
						{"fp", 0, NULL, 'f'},	 {"gaps", 0, NULL, 'g'}, {NULL, 0, NULL, 0}};
	unsigned long count = 100;
	uint64_t seed = 1;
	const char *pattern = NULL;
	bool fp = false, gaps = false;
	unsigned rows = 0, differing;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c': count = strtoul(optarg, NULL, 0); break;
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'r': pattern = optarg; break;
		case 'f': fp = true; break;
		case 'g': gaps = true; break;
		default: return 2;
		}
	}
	if (optind >= argc)
		return 2;
	rng_state = seed;
	for (unsigned long i = 0; gaps && i < count * 1000; i++) {
		uint32_t word = (uint32_t)rnd();

		if (isa_row_of(word) < 0)
			add_word(word);
	}
	for (unsigned i = 0; i < isa_row_count && !gaps; i++) {
		if (!isa_rows[i].implemented)
			continue;
		if (pattern ? fnmatch(pattern, isa_rows[i].name, 0) != 0 : isa_decode_is_fp(i) != fp)
			continue;
		rows++;
		for (unsigned long k = 0; k < count; k++)
			add_word(random_word(i));
	}
	if (!disassemble(argv[optind])) {
		fprintf(stderr, "%s does not run\n", argv[optind]);
		return 77;
	}
	differing = gaps ? check_gaps() : check_rows();
	if (gaps)
		printf("%zu words without a row, %u unexpected\n", n_words, differing);
	else
		printf("%u rows, %u with differences; seed %llu, %lu words each\n", rows, differing,
		       (unsigned long long)seed, count);
	return differing != 0;
}
