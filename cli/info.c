/* SPDX-License-Identifier: MIT */
/* pawl info: what this build can do, and with --isa what its processor leaves out, row by row of the decode tables. */
#include "cli.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pawl/pawl.h>

#include "isa.h"
#include "vmm.h"

static void print_left_out(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < isa_row_count; i++) {
		const struct isa_row *row = &isa_rows[i];

		if (row->implemented)
			continue;
		printf("  %-24s %08x/%08x  %s\n", row->name, row->value, row->mask, row->note ? row->note : "");
		n++;
	}
	printf("%u of %u encodings are left out; they are UNDEFINED to the guest\n", n, isa_row_count);
	for (unsigned i = 0; i < isa_absent_count; i++)
		printf("  %-24s %s is %u: %s\n", isa_absents[i].name, isa_absents[i].field, isa_absents[i].value,
		       isa_absents[i].note);
	printf("%u features are in no CPU model\n", isa_absent_count);
}

int cmd_info(int argc, char **argv)
{
	bool isa = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return cli_help("info");
		if (strcmp(argv[i], "--isa") == 0)
			isa = true;
		else if (argv[i][0] == '-')
			return cli_usage_error("info", "unknown option '%s'", argv[i]);
		else
			return cli_usage_error("info", "unexpected argument '%s'", argv[i]);
	}
	printf("version: %s\nhost: %s\nengines: %s\nsandbox: %s\n", pawl_version(), PAWL_HOST, PAWL_ENGINES,
	       machine_can_confine ? "yes" : "no: not in a build with a sanitizer");
	if (isa)
		print_left_out();
	return 0;
}
