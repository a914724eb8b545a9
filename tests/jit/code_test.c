/* SPDX-License-Identifier: MIT */
/* Code memory: never writable and executable at one address, not a child's, and a name that perf takes for anonymous memory. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "code.h"
#include "ir_random.h"
#include "jit.h"

/* Lines of /proc/self/maps: what they say of the mapping that has the address; all of them may not be both. */
static bool mapping(const void *address, char perms[5], char *name, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], p[5], n[256];
	uintptr_t from, to;
	bool found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		n[0] = 0;
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255[^\n]", &from, &to, p, n) < 3)
			continue;
		if (p[1] == 'w' && p[2] == 'x')
			fail_msg("writable and executable: %s", line);
		if ((uintptr_t)address - from >= to - from)
			continue;
		found = true;
		strcpy(perms, p);
		snprintf(name, len, "%s", n);
	}
	fclose(f);
	return found;
}

static void what_is_written_at_one_address_is_executed_at_another(void **s)
{
	static const uint8_t code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
	char perms[5], name[256];
	struct code_mem m;

	assert_int_equal(code_mem_init(&m, 1 << 20), 0);
	memcpy(m.rw + 4096, code, sizeof(code));
	assert_int_equal(((int (*)(void))(uintptr_t)(m.rx + 4096))(), 42);
	assert_true(mapping(m.rw + m.size - 1, perms, name, sizeof(name)));
	assert_string_equal(perms, "rw-s");
	assert_true(mapping(m.rx + m.size - 1, perms, name, sizeof(name)));
	assert_string_equal(perms, "r-xs");
	assert_true(!strncmp(name, "/dev/zero", 9)); /* perf's condition */
	code_mem_exit(&m);
}

/* How a child ends that does it. */
static int in_child(void (*fn)(struct code_mem *m), struct code_mem *m)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		fn(m);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_rw(struct code_mem *m)
{
	*(volatile uint8_t *)m->rw = 0xc3;
}

static void touch_rx(struct code_mem *m)
{
	(void)*(const volatile uint8_t *)m->rx;
}

static void write_to_code(struct code_mem *m)
{
	struct code_mem own;

	if (!code_mem_init(&own, 1 << 20))
		*(volatile uint8_t *)(uintptr_t)own.rx = 0xc3;
}

static void a_child_has_none_and_nobody_writes_where_code_runs(void **s)
{
	struct code_mem m;

	assert_int_equal(code_mem_init(&m, 1 << 20), 0);
	m.rw[0] = 0x90;
	assert_int_not_equal(in_child(touch_rw, &m), 0);
	assert_int_not_equal(in_child(touch_rx, &m), 0);
	assert_int_equal(m.rx[0], 0x90);
	assert_int_not_equal(in_child(write_to_code, &m), 0);
	code_mem_exit(&m);
}

/* With blocks made, run and dropped, links made and undone. */
static void nothing_that_a_translator_does_makes_memory_both(void **s)
{
	char perms[5], name[256];
	static struct pe pe;
	uint64_t seed = 5;
	const char *why;
	struct jit *j = jit_new(&pe.env, 0, &why);

	assert_non_null(j);
	for (unsigned n = 0; n < 2000; n++) {
		struct jit_unit u = {.blk = &h.blk};

		random_block(&seed);
		random_state(&pe, rnd(&seed) | 1);
		assert_true(jit_compile(j, &u));
		jit_run(j, &pe.env, u.code);
		if (n % 500)
			continue;
		assert_true(mapping(u.code, perms, name, sizeof(name)));
		assert_string_equal(perms, "r-xs");
		jit_unlink(j, u.sites, u.n_sites);
		jit_reset(j);
	}
	jit_free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_at_one_address_is_executed_at_another),
		cmocka_unit_test(a_child_has_none_and_nobody_writes_where_code_runs),
		cmocka_unit_test(nothing_that_a_translator_does_makes_memory_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
