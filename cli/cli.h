/* SPDX-License-Identifier: MIT */
/*
 * What a subcommand of `pawl` is: a row in main.c and a function in the file of its name. Exit statuses are those of
 * the man pages.
 */
#ifndef PAWL_CLI_H
#define PAWL_CLI_H

#include <stddef.h>

enum {
	EXIT_USAGE = 2,		 /* the command line is wrong; what was wrong has been said */
	EXIT_NOT_RUNNABLE = 126, /* pawl exec: the program is there, and cannot be run */
	EXIT_NOT_FOUND = 127,
};

/* argv[0] is the subcommand's name. The return value is the exit status. */
int cmd_run(int argc, char **argv); /* run.c */
int cmd_run_help(void);
int cmd_control(int argc, char **argv);
int cmd_exec(int argc, char **argv); /* exec.c */
int cmd_info(int argc, char **argv); /* info.c */
int cmd_units(int argc, char **argv);

/* Becomes program, with the resident in its process; x86-64 only (inject.c). Returns the exit status of what was said. */
int inject_exec(const char *program, char **argv, const char *resident);

/* What the option of QEMU or kvmtool with that name is here, or NULL; elsewhere.c. */
const char *cli_elsewhere(const char *name, size_t len);

/* A line "pawl COMMAND: ..." to standard error; the second also points at the help, and returns EXIT_USAGE. */
void cli_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The subcommand's help to standard output; 0, to be returned. */
int cli_help(const char *command);

#endif
