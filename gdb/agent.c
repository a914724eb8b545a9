/* SPDX-License-Identifier: MIT */
/*
 * Agent expressions: the bytecode in which gdb sends the condition of a breakpoint, so that it is evaluated where the
 * breakpoint is. gdb manual, "The GDB Agent Expression Mechanism", "Bytecode Descriptions". Floating point, trace
 * collection and printf are not part of a condition and are refused. The code comes from outside: the stack, every jump and
 * the number of operations are checked.
 */
#include "server.h"

#include <string.h>

enum { STACK = 100, MOST_OPERATIONS = 10000, VARIABLES = 16 };

enum op {
	OP_ADD = 0x02,
	OP_SUB,
	OP_MUL,
	OP_DIV_SIGNED,
	OP_DIV_UNSIGNED,
	OP_REM_SIGNED,
	OP_REM_UNSIGNED,
	OP_LSH,
	OP_RSH_SIGNED,
	OP_RSH_UNSIGNED,
	OP_TRACE,
	OP_TRACE_QUICK,
	OP_LOG_NOT,
	OP_BIT_AND,
	OP_BIT_OR,
	OP_BIT_XOR,
	OP_BIT_NOT,
	OP_EQUAL,
	OP_LESS_SIGNED,
	OP_LESS_UNSIGNED,
	OP_EXT,
	OP_REF8,
	OP_REF16,
	OP_REF32,
	OP_REF64,
	OP_IF_GOTO = 0x20,
	OP_GOTO,
	OP_CONST8,
	OP_CONST16,
	OP_CONST32,
	OP_CONST64,
	OP_REG,
	OP_END,
	OP_DUP,
	OP_POP,
	OP_ZERO_EXT,
	OP_SWAP,
	OP_GETV,
	OP_SETV,
	OP_PICK = 0x32,
	OP_ROT,
	OPS
};

/* Stack values an operation takes and leaves, and the bytes that follow it. Absent rows are refused. */
static const struct {
	uint8_t takes, leaves, operand;
	bool known;
} shape[OPS] = {
	[OP_ADD] = {2, 1, 0, true},	     [OP_SUB] = {2, 1, 0, true},	  [OP_MUL] = {2, 1, 0, true},
	[OP_DIV_SIGNED] = {2, 1, 0, true},   [OP_DIV_UNSIGNED] = {2, 1, 0, true}, [OP_REM_SIGNED] = {2, 1, 0, true},
	[OP_REM_UNSIGNED] = {2, 1, 0, true}, [OP_LSH] = {2, 1, 0, true},	  [OP_RSH_SIGNED] = {2, 1, 0, true},
	[OP_RSH_UNSIGNED] = {2, 1, 0, true}, [OP_LOG_NOT] = {1, 1, 0, true},	  [OP_BIT_AND] = {2, 1, 0, true},
	[OP_BIT_OR] = {2, 1, 0, true},	     [OP_BIT_XOR] = {2, 1, 0, true},	  [OP_BIT_NOT] = {1, 1, 0, true},
	[OP_EQUAL] = {2, 1, 0, true},	     [OP_LESS_SIGNED] = {2, 1, 0, true},  [OP_LESS_UNSIGNED] = {2, 1, 0, true},
	[OP_EXT] = {1, 1, 1, true},	     [OP_REF8] = {1, 1, 0, true},	  [OP_REF16] = {1, 1, 0, true},
	[OP_REF32] = {1, 1, 0, true},	     [OP_REF64] = {1, 1, 0, true},	  [OP_IF_GOTO] = {1, 0, 2, true},
	[OP_GOTO] = {0, 0, 2, true},	     [OP_CONST8] = {0, 1, 1, true},	  [OP_CONST16] = {0, 1, 2, true},
	[OP_CONST32] = {0, 1, 4, true},	     [OP_CONST64] = {0, 1, 8, true},	  [OP_REG] = {0, 1, 2, true},
	[OP_END] = {0, 0, 0, true},	     [OP_DUP] = {1, 2, 0, true},	  [OP_POP] = {1, 0, 0, true},
	[OP_ZERO_EXT] = {1, 1, 1, true},     [OP_SWAP] = {2, 2, 0, true},	  [OP_GETV] = {0, 1, 2, true},
	[OP_SETV] = {1, 1, 2, true},	     [OP_PICK] = {1, 2, 1, true},	  [OP_ROT] = {3, 3, 0, true},
};

/* a is below b on the stack. */
static uint64_t binary(enum op op, uint64_t a, uint64_t b)
{
	switch (op) {
	case OP_ADD: return a + b;
	case OP_SUB: return a - b;
	case OP_MUL: return a * b;
	case OP_DIV_SIGNED: return b == UINT64_MAX ? -a : (uint64_t)((int64_t)a / (int64_t)b);
	case OP_DIV_UNSIGNED: return a / b;
	case OP_REM_SIGNED: return b == UINT64_MAX ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
	case OP_REM_UNSIGNED: return a % b;
	case OP_LSH: return b < 64 ? a << b : 0;
	case OP_RSH_SIGNED: return (uint64_t)((int64_t)a >> (b < 64 ? b : 63));
	case OP_RSH_UNSIGNED: return b < 64 ? a >> b : 0;
	case OP_BIT_AND: return a & b;
	case OP_BIT_OR: return a | b;
	case OP_BIT_XOR: return a ^ b;
	case OP_EQUAL: return a == b;
	case OP_LESS_SIGNED: return (int64_t)a < (int64_t)b;
	case OP_LESS_UNSIGNED: return a < b;
	default: return 0;
	}
}

static bool divides(enum op op)
{
	return op >= OP_DIV_SIGNED && op <= OP_REM_UNSIGNED;
}

/* The n lowest bits; the manual leaves n = 0 and n > 64 open: all 64. */
static uint64_t extend(uint64_t v, unsigned n, bool sign)
{
	if (!n || n >= 64)
		return v;
	v &= (1ull << n) - 1;
	return sign && v >> (n - 1) & 1 ? v | ~0ull << n : v;
}

static uint64_t operand(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++; /* big-endian */
	return v;
}

static int reference(const struct agent_env *env, enum op op, uint64_t addr, uint64_t *val)
{
	*val = 0;
	return env->mem(env->arg, addr, val, 1u << (op - OP_REF8)); /* the guest is little-endian, and so is the host */
}

enum agent_result agent_eval(const struct agent_expr *e, const struct agent_env *env, uint64_t *val)
{
	uint64_t st[STACK], var[VARIABLES] = {0}, imm, a;
	unsigned sp = 0, pc = 0; /* st[sp - 1] is the top */

	for (unsigned count = 0; count < MOST_OPERATIONS; count++) {
		enum op op;

		if (pc >= e->len)
			return AGENT_BAD_CODE;
		op = (enum op)e->code[pc++];
		if ((unsigned)op >= OPS || !shape[op].known || shape[op].operand > e->len - pc)
			return AGENT_BAD_CODE;
		if (sp < shape[op].takes || sp - shape[op].takes + shape[op].leaves > STACK)
			return AGENT_STACK;
		imm = operand(e->code + pc, shape[op].operand);
		pc += shape[op].operand;
		switch (op) {
		case OP_END:
			if (!sp)
				return AGENT_STACK;
			*val = st[sp - 1];
			return AGENT_OK;
		case OP_LOG_NOT: st[sp - 1] = !st[sp - 1]; break;
		case OP_BIT_NOT: st[sp - 1] = ~st[sp - 1]; break;
		case OP_EXT:
		case OP_ZERO_EXT: st[sp - 1] = extend(st[sp - 1], (unsigned)imm, op == OP_EXT); break;
		case OP_REF8:
		case OP_REF16:
		case OP_REF32:
		case OP_REF64:
			if (reference(env, op, st[sp - 1], &st[sp - 1]))
				return AGENT_MEMORY;
			break;
		case OP_IF_GOTO:
			if (st[--sp])
				pc = (unsigned)imm;
			break;
		case OP_GOTO: pc = (unsigned)imm; break;
		case OP_CONST8:
		case OP_CONST16:
		case OP_CONST32:
		case OP_CONST64: st[sp++] = imm; break;
		case OP_REG:
			if (env->reg(env->arg, (unsigned)imm, &a))
				return AGENT_REGISTER;
			st[sp++] = a;
			break;
		case OP_DUP:
			st[sp] = st[sp - 1];
			sp++;
			break;
		case OP_POP: sp--; break;
		case OP_SWAP:
			a = st[sp - 1];
			st[sp - 1] = st[sp - 2];
			st[sp - 2] = a;
			break;
		case OP_GETV:
		case OP_SETV:
			if (imm >= VARIABLES)
				return AGENT_BAD_CODE;
			if (op == OP_SETV)
				var[imm] = st[sp - 1];
			else
				st[sp++] = var[imm];
			break;
		case OP_PICK:
			if (imm >= sp)
				return AGENT_STACK;
			st[sp] = st[sp - 1 - imm];
			sp++;
			break;
		case OP_ROT: /* a b c -> c a b */
			a = st[sp - 1];
			st[sp - 1] = st[sp - 2];
			st[sp - 2] = st[sp - 3];
			st[sp - 3] = a;
			break;
		default:
			if (divides(op) && !st[sp - 1])
				return AGENT_DIVIDE;
			sp--;
			st[sp - 1] = binary(op, st[sp - 1], st[sp]);
		}
	}
	return AGENT_TOO_LONG;
}

const char *agent_error(enum agent_result r)
{
	switch (r) {
	case AGENT_OK: return "";
	case AGENT_BAD_CODE: return "it is no code that is known here";
	case AGENT_STACK: return "its stack is too small or too large";
	case AGENT_TOO_LONG: return "it does not come to an end";
	case AGENT_DIVIDE: return "it divides by 0";
	case AGENT_REGISTER: return "it names a register that cannot be read";
	case AGENT_MEMORY: return "it reads memory that is not mapped";
	}
	return "";
}
