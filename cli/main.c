/* SPDX-License-Identifier: MIT */
/* The `pawl` command: finds the subcommand's row and calls it. */
#include "cli.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pawl/pawl.h>

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *summary;
	const char *help; /* below usage and summary */
};

static const struct command commands[] = {
	{"run", cmd_run, "", "boot a machine", ""}, /* cmd_run_help() has it all */
	{"control", cmd_control, "SOCKET COMMAND [ARGUMENT]", "tell a running machine something",
	 "SOCKET is what the machine was given with --control. Commands:\n\n"
	 "  status          what the machine is doing\n"
	 "  pause, resume   stop the virtual CPUs and the guest's time; go on\n"
	 "  reset           push the reset button\n"
	 "  powerdown       push the power button: the guest may shut down\n"
	 "  quit            end the machine\n"
	 "  gdb ADDR        listen for gdb\n"
	 "  balloon SIZE    take that much memory from the guest\n"
	 "  stats           what the virtual CPUs have done, in numbers\n"
	 "  vmcore FILE     write a core file for crash and drgn\n"},
	{"exec", cmd_exec, "[--engine interp|jit] [--trap] [--] PROGRAM [ARGUMENT]...",
	 "run a program that uses /dev/kvm",
	 "PROGRAM finds a /dev/kvm with the arm64 interface. It must be for this machine.\n\n"
	 "  --engine interp|jit  how guest instructions are run\n"
	 "  --trap               take its system calls, not the C library's functions\n"},
	{"units", cmd_units, "FILE [ADDRESS]", "show translated code, guest beside host",
	 "FILE comes from 'pawl run --dump-units FILE', or from PAWL_UNITS=FILE in the environment.\n"
	 "ADDRESS, in hexadecimal, is one of the guest's or of the translated code (as perf\n"
	 "shows them); without it all units are listed, in the order in which they were made.\n"},
	{"info", cmd_info, "[--isa]", "say what this build can do",
	 "  --isa  list the instructions that are left out, and why\n"},
	{"version", cmd_version, "", "print the version", ""},
	{"help", cmd_help, "[COMMAND]", "print this, or how to use a command", ""},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find(const char *name)
{
	for (int i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Without the line's end. */
static void print_error(const char *command, const char *format, va_list ap)
{
	fputs("pawl", stderr);
	if (command)
		fprintf(stderr, " %s", command);
	fputs(": ", stderr);
	vfprintf(stderr, format, ap);
}

void cli_error(const char *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_error(command, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int cli_usage_error(const char *command, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_error(command, format, ap);
	va_end(ap);
	fprintf(stderr, ". Try 'pawl help%s%s'.\n", command ? " " : "", command ? command : "");
	return EXIT_USAGE;
}

int cli_help(const char *command)
{
	const struct command *c = find(command);

	if (c->run == cmd_run)
		return cmd_run_help();
	printf("usage: pawl %s %s\n%c%s.\n", c->name, c->arguments, c->summary[0] - 'a' + 'A', c->summary + 1);
	if (c->help[0])
		printf("\n%s", c->help);
	return 0;
}

static int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage_error("version", "unexpected argument '%s'", argv[1]);
	printf("pawl %s\n", pawl_version());
	return 0;
}

static int cmd_help(int argc, char **argv)
{
	if (argc > 2)
		return cli_usage_error("help", "unexpected argument '%s'", argv[2]);
	if (argc == 2) {
		if (!find(argv[1]))
			return cli_usage_error(NULL, "unknown command '%s'", argv[1]);
		return cli_help(argv[1]);
	}
	printf("usage: pawl COMMAND [ARGUMENT]...\nThe arm64 KVM, in software.\n\n");
	for (int i = 0; i < N_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	return 0;
}

/*
 * Started with a standard descriptor closed, the next file opened would take its number, and the console would read
 * and write that. So it is taken by what fails: its use is an error as it was.
 */
static bool hold_standard_descriptors(void)
{
	static const int mode[] = {O_WRONLY, O_RDONLY, O_RDONLY};

	for (int fd = 0; fd < 3; fd++) {
		/* The lowest free number is the one that is closed: those below are open by now. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode[fd]) != fd)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct command *c;

	if (!hold_standard_descriptors())
		return 1;
	if (argc < 2)
		return cli_usage_error(NULL, "a command is missing");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return cmd_help(argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return cmd_version(argc - 1, argv + 1);
	if (argv[1][0] == '-')
		return cli_usage_error(NULL, "unknown option '%s'", argv[1]);
	c = find(argv[1]);
	if (!c)
		return cli_usage_error(NULL, "unknown command '%s'", argv[1]);
	return c->run(argc - 1, argv + 1);
}
