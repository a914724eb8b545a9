/* SPDX-License-Identifier: MIT */
/*
 * Agent expressions: what each operation does, by the gdb manual's "Bytecode Descriptions"; and that no code, of whatever
 * bytes, does more than end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#include <cmocka.h>

static int reg(void *arg, unsigned n, uint64_t *val)
{
	*val = 0x1000 + n;
	return n < 40 ? 0 : -EINVAL;
}

static int mem(void *arg, uint64_t addr, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(addr + i) | 0x80;
	return addr < 0x10000 ? 0 : -EFAULT;
}

static const struct agent_env env = {reg, mem, NULL};

static enum agent_result eval(const char *code, size_t len, uint64_t *val)
{
	struct agent_expr *e = malloc(sizeof(*e) + len); /* exact: a sanitizer sees any read behind it */
	enum agent_result r;

	assert_non_null(e);
	e->len = (uint32_t)len;
	memcpy(e->code, code, len);
	r = agent_eval(e, &env, val);
	free(e);
	return r;
}

#define CODE(bytes) bytes, sizeof(bytes) - 1
#define END "\x27"

struct row {
	const char *code;
	size_t len;
	uint64_t val;
};

static void every_operation_does_what_the_manual_says(void **state)
{
	static const struct row rows[] = {
		{CODE("\x22\x05" END), 5},
		{CODE("\x23\x01\x02" END), 0x102},
		{CODE("\x24\x01\x02\x03\x04" END), 0x1020304},
		{CODE("\x25\x01\x02\x03\x04\x05\x06\x07\x08" END), 0x102030405060708},
		{CODE("\x26\x00\x03" END), 0x1003},
		{CODE("\x22\x05\x22\x03\x02" END), 8},
		{CODE("\x22\x05\x22\x03\x03" END), 2},
		{CODE("\x22\x05\x22\x03\x04" END), 15},
		{CODE("\x22\xf9\x16\x08\x22\x02\x05" END), (uint64_t)-3},		      /* -7 / 2 */
		{CODE("\x22\x07\x22\x02\x06" END), 3},					      /* 7 / 2 */
		{CODE("\x22\xf9\x16\x08\x22\x02\x07" END), (uint64_t)-1},		      /* -7 % 2 */
		{CODE("\x22\x07\x22\x02\x08" END), 1},					      /* 7 % 2 */
		{CODE("\x25\x80\0\0\0\0\0\0\0\x22\xff\x16\x08\x05" END), 0x8000000000000000}, /* does not trap */
		{CODE("\x25\x80\0\0\0\0\0\0\0\x22\xff\x16\x08\x07" END), 0},
		{CODE("\x22\x01\x22\x04\x09" END), 16},
		{CODE("\x22\x01\x22\x40\x09" END), 0},
		{CODE("\x22\xf0\x16\x08\x22\x02\x0a" END), (uint64_t)-4},
		{CODE("\x22\xf0\x22\x02\x0b" END), 0x3c},
		{CODE("\x22\x00\x0e" END), 1},
		{CODE("\x22\x06\x22\x03\x0f" END), 2},
		{CODE("\x22\x06\x22\x03\x10" END), 7},
		{CODE("\x22\x06\x22\x03\x11" END), 5},
		{CODE("\x22\x00\x12" END), ~0ull},
		{CODE("\x22\x06\x22\x06\x13" END), 1},
		{CODE("\x22\xff\x16\x08\x22\x01\x14" END), 1}, /* -1 < 1 */
		{CODE("\x22\xff\x16\x08\x22\x01\x15" END), 0}, /* but not unsigned */
		{CODE("\x22\x80\x16\x08" END), (uint64_t)-128},
		{CODE("\x23\x12\x34\x2a\x08" END), 0x34},
		{CODE("\x22\x05\x17" END), 0x85},
		{CODE("\x22\x05\x18" END), 0x8685},
		{CODE("\x22\x05\x19" END), 0x88878685},
		{CODE("\x22\x05\x1a" END), 0x8c8b8a8988878685},
		{CODE("\x22\x01\x20\x00\x08\x22\x09" END "\x22\x07" END), 7}, /* if_goto, taken */
		{CODE("\x22\x00\x20\x00\x08\x22\x09" END "\x22\x07" END), 9}, /* not taken */
		{CODE("\x21\x00\x04" END "\x22\x07" END), 7},
		{CODE("\x22\x05\x28\x02" END), 10},
		{CODE("\x22\x05\x22\x06\x29" END), 5},
		{CODE("\x22\x05\x22\x03\x2b\x03" END), (uint64_t)-2},
		{CODE("\x22\x05\x2d\x00\x01\x29\x2c\x00\x01" END), 5}, /* setv, getv */
		{CODE("\x22\x05\x22\x06\x32\x01" END), 5},	       /* pick */
		{CODE("\x22\x01\x22\x02\x22\x03\x33" END), 2},	       /* rot: 1 2 3 becomes 3 1 2 */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t val = 0;

		if (eval(rows[i].code, rows[i].len, &val) != AGENT_OK || val != rows[i].val)
			fail_msg("row %zu: %#llx", i, (unsigned long long)val);
	}
}

static void what_is_wrong_with_an_expression_is_told(void **state)
{
	static const struct {
		const char *code;
		size_t len;
		enum agent_result r;
	} rows[] = {
		{CODE(""), AGENT_BAD_CODE},
		{CODE("\x01" END), AGENT_BAD_CODE},		    /* float */
		{CODE("\x22\x01\x22\x01\x0c" END), AGENT_BAD_CODE}, /* trace */
		{CODE("\xff"), AGENT_BAD_CODE},
		{CODE("\x22"), AGENT_BAD_CODE}, /* its operand is missing */
		{CODE("\x25\x01\x02"), AGENT_BAD_CODE},
		{CODE("\x21\xff\xff"), AGENT_BAD_CODE}, /* a jump out of it */
		{CODE("\x22\x05"), AGENT_BAD_CODE},	/* no end */
		{CODE(END), AGENT_STACK},
		{CODE("\x22\x05\x02" END), AGENT_STACK},
		{CODE("\x32\x00" END), AGENT_STACK},
		{CODE("\x22\x05\x32\x01" END), AGENT_STACK},
		{CODE("\x22\x05\x2d\xff\xff" END), AGENT_BAD_CODE},
		{CODE("\x22\x05\x21\x00\x00"), AGENT_STACK}, /* pushes for ever */
		{CODE("\x21\x00\x00"), AGENT_TOO_LONG},	     /* runs for ever */
		{CODE("\x22\x05\x22\x00\x05" END), AGENT_DIVIDE},
		{CODE("\x22\x05\x22\x00\x08" END), AGENT_DIVIDE},
		{CODE("\x26\xff\xff" END), AGENT_REGISTER},
		{CODE("\x24\x00\x01\x00\x00\x17" END), AGENT_MEMORY},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t val;
		enum agent_result r = eval(rows[i].code, rows[i].len, &val);

		if (r != rows[i].r)
			fail_msg("row %zu: %d %s", i, r, agent_error(r));
		assert_true(r == AGENT_OK || *agent_error(r));
	}
}

static void code_of_any_bytes_comes_to_an_end(void **state)
{
	const char *rounds = getenv("PAWL_FUZZ_ROUNDS"); /* a longer campaign */
	uint64_t seed = 1;
	int ended = 0;

	for (long n = rounds ? atol(rounds) : 30000; n > 0; n--) {
		char code[64];
		size_t len = (seed >> 60) * 4 + 1;
		uint64_t val;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			code[i] =
				(char)(seed >> 33 & (seed >> 50 & 1 ? 0xff : 0x3f)); /* mostly operations that exist */
			if (i == 0 && seed >> 51 & 1)
				code[i] = 0x25; /* something on the stack */
		}
		ended += eval(code, len, &val) == AGENT_OK;
	}
	assert_true(ended > 10); /* and not all of it is refused at once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_does_what_the_manual_says),
		cmocka_unit_test(what_is_wrong_with_an_expression_is_told),
		cmocka_unit_test(code_of_any_bytes_comes_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
