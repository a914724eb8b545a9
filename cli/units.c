/* SPDX-License-Identifier: MIT */
/*
 * pawl units: what is in a file of translated units (PAWL_UNITS, `pawl run --dump-units`), as a list, or one of them with guest
 * code beside host code. Capstone disassembles both; without it the listing has the words, and the names of the decode tables.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif

#include "isa.h"
#include "library.h"
#include "unit_file.h"

enum { BYTES_MAX = 16 << 20, LEFT = 58 };

struct unit {
	struct unit_record r;
	uint32_t *words, *marks;
	const int32_t *places;
	uint8_t *code;
	void *body;
};

/* ---- the two disassemblers */

#ifdef HAVE_CAPSTONE
static csh guest_cs, host_cs;

/* Loaded here, as no other command wants it. */
static struct {
	__typeof__(cs_open) *open;
	__typeof__(cs_option) *option;
	__typeof__(cs_disasm) *disasm;
	__typeof__(cs_free) *free;
} capstone;

static bool disassembler_open(void)
{
#define SONAME_(major) "libcapstone.so." #major
#define SONAME(major) SONAME_(major)
	static const struct library_function functions[] = {{"cs_open", &capstone.open},
							    {"cs_option", &capstone.option},
							    {"cs_disasm", &capstone.disasm},
							    {"cs_free", &capstone.free}};
	const char *why;

	if (!library_load(SONAME(CS_API_MAJOR), functions, sizeof(functions) / sizeof(functions[0]), &why)) {
		cli_error("units", "capstone: %s", why);
		return false;
	}
	if (capstone.open(CS_ARCH_ARM64, CS_MODE_ARM, &guest_cs) != CS_ERR_OK ||
	    capstone.open(CS_ARCH_X86, CS_MODE_64, &host_cs) != CS_ERR_OK) {
		cli_error("units", "capstone cannot disassemble arm64 and x86-64");
		return false;
	}
	capstone.option(host_cs, CS_OPT_SKIPDATA, CS_OPT_ON);
	return true;
}

static void guest_text(uint32_t word, uint64_t pc, char *text, size_t len)
{
	const char *name = isa_name(word);
	cs_insn *insn;

	if (capstone.disasm(guest_cs, (const uint8_t *)&word, 4, pc, 1, &insn) == 1) {
		snprintf(text, len, "%s %s", insn->mnemonic, insn->op_str);
		capstone.free(insn, 1);
	} else { /* newer than capstone */
		snprintf(text, len, "%s", name ? name : "(undefined)");
	}
}

static size_t host_text(const uint8_t *code, size_t bytes, uint64_t at, char *text, size_t len)
{
	cs_insn *insn;
	size_t size;

	if (capstone.disasm(host_cs, code, bytes, at, 1, &insn) != 1) {
		snprintf(text, len, "(bad)");
		return 1;
	}
	snprintf(text, len, "%s %s", insn->mnemonic, insn->op_str);
	size = insn->size;
	capstone.free(insn, 1);
	return size;
}
#else
static bool disassembler_open(void)
{
	return true;
}

static void guest_text(uint32_t word, uint64_t pc, char *text, size_t len)
{
	const char *name = isa_name(word);

	snprintf(text, len, "%s", name ? name : "(undefined)");
}

/* Sixteen bytes of it. */
static size_t host_text(const uint8_t *code, size_t bytes, uint64_t at, char *text, size_t len)
{
	size_t n = bytes < 16 ? bytes : 16;

	for (size_t i = 0; i < n && 3 * i + 4 < len; i++)
		snprintf(text + 3 * i, len - 3 * i, "%02x ", code[i]);
	return n;
}
#endif

/* ---- the file */

/* 1: a unit; 0: the end; -1: it is no such file, which has been said. */
static int unit_read(FILE *f, const char *name, struct unit *u)
{
	size_t n = fread(&u->r, 1, sizeof(u->r), f), words, size;

	if (!n && feof(f))
		return 0;
	if (n != sizeof(u->r) || u->r.magic != UNIT_MAGIC || u->r.n_insns > BYTES_MAX || u->r.n_bytes > BYTES_MAX) {
		cli_error("units", "%s: %s", name,
			  ferror(f)					  ? strerror(errno)
			  : n == sizeof(u->r) && u->r.magic != UNIT_MAGIC ? "no file of translated units"
									  : "a unit is cut off");
		return -1;
	}
	words = 3 * (size_t)u->r.n_insns + 1;
	size = (4 * words + u->r.n_bytes + 7) & ~(size_t)7;
	u->body = malloc(size);
	if (!u->body || fread(u->body, 1, size, f) != size) {
		cli_error("units", "%s: %s", name, u->body ? "a unit is cut off" : "no memory");
		free(u->body);
		return -1;
	}
	u->words = u->body;
	u->places = (const int32_t *)u->words + u->r.n_insns;
	u->marks = u->words + 2 * (size_t)u->r.n_insns;
	u->code = (uint8_t *)(u->words + words);
	for (uint32_t i = 0; i <= u->r.n_insns; i++) {
		if (u->marks[i] <= u->r.n_bytes && (!i || u->marks[i] >= u->marks[i - 1]))
			continue;
		cli_error("units", "%s: a unit contradicts itself", name);
		free(u->body);
		return -1;
	}
	return 1;
}

static uint64_t pc_of(const struct unit *u, uint32_t i)
{
	return u->r.pc + (uint64_t)(int64_t)u->places[i];
}

static void print_line(const struct unit *u)
{
	printf("EL%u %016" PRIx64 " %4u instructions %6u bytes at %" PRIx64 "\n", u->r.flags & UNIT_EL1 ? 1u : 0u,
	       u->r.pc, u->r.n_insns, u->r.n_bytes, u->r.host);
}

/* Host code from one offset to another; the first line has what is on the left. */
static void print_host(const struct unit *u, uint32_t from, uint32_t to, const char *left)
{
	char text[256];

	if (from == to)
		printf("%s\n", left);
	while (from < to) {
		size_t n = host_text(u->code + from, to - from, u->r.host + from, text, sizeof(text));

		printf("%-*s %5x  %s\n", LEFT, left, from, text);
		left = "";
		from += (uint32_t)n;
	}
}

static void print_listing(const struct unit *u, unsigned before)
{
	char text[256], left[320];

	if (before)
		putchar('\n');
	print_line(u);
	print_host(u, 0, u->r.n_insns ? u->marks[0] : u->r.n_bytes, "");
	for (uint32_t i = 0; i < u->r.n_insns; i++) {
		uint64_t pc = pc_of(u, i);

		guest_text(u->words[i], pc, text, sizeof(text));
		snprintf(left, sizeof(left), "%16" PRIx64 " %08x %s", pc, u->words[i], text);
		print_host(u, u->marks[i], u->marks[i + 1], left);
	}
	if (u->r.n_insns)
		print_host(u, u->marks[u->r.n_insns], u->r.n_bytes, "behind the unit:");
}

/* address: of a guest instruction in it, or of its host code. */
static bool has(const struct unit *u, uint64_t address)
{
	for (uint32_t i = 0; i < u->r.n_insns; i++) {
		if (address - pc_of(u, i) < 4)
			return true;
	}
	return address - u->r.host < u->r.n_bytes;
}

int cmd_units(int argc, char **argv)
{
	uint64_t address = 0;
	unsigned found = 0;
	struct unit u;
	char *end;
	FILE *f;
	int rc;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return cli_help("units");
	if (argc < 2)
		return cli_usage_error("units", "the file is missing");
	if (argc > 3)
		return cli_usage_error("units", "unexpected argument '%s'", argv[3]);
	if (argc == 3) {
		errno = 0;
		address = strtoull(argv[2], &end, 16);
		if (errno || end == argv[2] || *end)
			return cli_usage_error("units", "'%s' is not an address in hexadecimal", argv[2]);
		if (!disassembler_open())
			return 1;
	}
	f = fopen(argv[1], "re");
	if (!f) {
		cli_error("units", "%s: %s", argv[1], strerror(errno));
		return 1;
	}
	while ((rc = unit_read(f, argv[1], &u)) > 0) {
		if (argc == 2)
			print_line(&u);
		else if (has(&u, address))
			print_listing(&u, found++);
		free(u.body);
	}
	fclose(f);
	if (rc < 0)
		return 1;
	if (argc == 3 && !found) {
		cli_error("units", "no unit of %s has the address %" PRIx64, argv[1], address);
		return 1;
	}
	return 0;
}
