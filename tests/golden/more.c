/* SPDX-License-Identifier: MIT */
/*
 * More cases for stepgold.c, run as it runs its own, and recorded in the same way: more.7.2.13.txt. Usage is the same, but for -w.
 */
int stepgold_main(int argc, char **argv);
#define main stepgold_main
#include "stepgold.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

static int setup_el0_irq(struct vm *v)
{
	irq_line(v, 1);
	return el0_at(v, 0x340);
}

static const struct gcase more[] = {
#include "more_cases.inc"
};

static int is_wanted(const struct gcase *c, char **names)
{
	int want = !*names;

	for (; *names; names++)
		want |= !strcmp(*names, c->name);
	return want;
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	int list = 0, i;
	struct sigaction sa = {.sa_handler = on_alarm};

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "-o") && i + 1 < argc)
			dir = argv[++i];
		else if (!strcmp(argv[i], "-l"))
			list = 1;
		else
			return fprintf(stderr, "usage: %s [-o DIR] [-l] [case ...]\n", argv[0]), 2;
	}
	sigaction(SIGALRM, &sa, NULL);
	for (unsigned k = 0; k < ARRAY_LEN(more); k++) {
		const struct gcase *c = &more[k];

		if (!is_wanted(c, argv + i))
			continue;
		if (list) {
			printf("%-24s %s\n", c->name, c->what);
			continue;
		}
		if (!(c->flags & F_ONLYFREE))
			run_case(c, 1, dir);
		if (!(c->flags & F_ONLYSTEP))
			run_case(c, 0, dir);
	}
	return 0;
}
