/* SPDX-License-Identifier: MIT */
/*
 * pawl exec: runs a program with the preload library, which gives it a /dev/kvm. A program that the dynamic linker
 * would not give the library to (statically linked, of another architecture, set-user-id) is refused, since it would
 * run and not find the device. ELF: System V ABI, "Program Header".
 */
#include "cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRELOAD_NAME "libpawl-preload.so"

#if defined(__x86_64__)
enum { HOST_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { HOST_MACHINE = EM_AARCH64 };
#endif

/* ---- The program */

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_X86_64: return "x86-64";
	case EM_AARCH64: return "arm64";
	case EM_386: return "x86";
	case EM_ARM: return "arm";
	case EM_RISCV: return "RISC-V";
	case EM_PPC64: return "POWER";
	case EM_S390: return "S/390";
	default: return "another architecture";
	}
}

/* Whether the dynamic linker will load the program at fd; says why not. */
static bool is_preloadable(int fd, const char *path)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	ssize_t n = pread(fd, &header, sizeof(header), 0);

	if (n >= 2 && memcmp(&header, "#!", 2) == 0)
		return true; /* the interpreter's affair, and it inherits the environment */
	if (n < EI_NIDENT || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
		cli_error("exec", "%s: not an executable file", path);
		return false;
	}
	if (n < (ssize_t)sizeof(header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != HOST_MACHINE) {
		unsigned machine = n >= (ssize_t)(offsetof(Elf64_Ehdr, e_machine) + 2) ? header.e_machine : 0;

		cli_error("exec", "%s: is a program for %s, and this pawl is for %s", path, machine_name(machine),
			  machine_name(HOST_MACHINE));
		return false;
	}
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &segment, sizeof(segment), (off_t)(header.e_phoff + (uint64_t)i * header.e_phentsize)) !=
		    sizeof(segment))
			break;
		if (segment.p_type == PT_INTERP)
			return true;
	}
	cli_error("exec", "%s: is statically linked; only a dynamically linked program can be given a /dev/kvm", path);
	return false;
}

/* Whether path can be run with the preload library: 0, or the exit status of what was said. */
static int check_program(const char *path)
{
	struct stat st;
	int fd, status = 0;

	if (stat(path, &st) != 0) {
		cli_error("exec", "%s: %s", path, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
	}
	if (S_ISDIR(st.st_mode) || access(path, X_OK) != 0) {
		cli_error("exec", "%s: %s", path, S_ISDIR(st.st_mode) ? strerror(EISDIR) : strerror(EACCES));
		return EXIT_NOT_RUNNABLE;
	}
	if ((st.st_mode & S_ISUID && st.st_uid != geteuid()) || (st.st_mode & S_ISGID && st.st_gid != getegid())) {
		cli_error("exec", "%s: changes its user or group, so nothing can be preloaded", path);
		return EXIT_NOT_RUNNABLE;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* executable and not readable: let the kernel try */
	if (!is_preloadable(fd, path))
		status = EXIT_NOT_RUNNABLE;
	close(fd);
	return status;
}

/* The file that execvp() would take for name, in path[PATH_MAX]; false if PATH has none. */
static bool find_program(const char *name, char *path)
{
	const char *search = getenv("PATH");
	struct stat st;

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
	while (search && *search) {
		size_t n = strcspn(search, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? search : ".", name) < PATH_MAX &&
		    stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return true;
		search += n + (search[n] == ':');
	}
	return false;
}

/* ---- The library */

/* The preload library of this executable, in path[PATH_MAX]: where it was installed, or beside it in the build tree. */
static bool find_preload(char *path)
{
	/* from the directory of the executable, unless absolute */
	static const char *const places[] = {"../shim/", PAWL_LIBDIR "/", ""};
	char own[PATH_MAX], place[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n > 0) {
		own[n] = '\0';
		*strrchr(own, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			bool absolute = places[i][0] == '/';

			snprintf(place, sizeof(place), "%s%s%s" PRELOAD_NAME, absolute ? "" : own, absolute ? "" : "/",
				 places[i]);
			if (realpath(place, path))
				return true;
		}
	}
	cli_error("exec", PRELOAD_NAME " is neither beside this program nor in its installation");
	return false;
}

/* LD_PRELOAD: ours, and what the user has in it. */
static bool set_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *value;
	bool ok;

	if (strpbrk(library, ": ")) {
		cli_error("exec", "%s: a path with a space or colon cannot be preloaded", library);
		return false;
	}
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "", others ? others : "") < 0)
		return false;
	ok = setenv("LD_PRELOAD", value, 1) == 0;
	free(value);
	return ok;
}

int cmd_exec(int argc, char **argv)
{
	char program[PATH_MAX], library[PATH_MAX];
	const char *engine = NULL;
	int i, status;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0)
			return cli_help("exec");
		if (strcmp(argv[i], "--engine") == 0) {
			if (++i == argc)
				return cli_usage_error("exec", "--engine needs an argument");
			engine = argv[i];
		} else if (strncmp(argv[i], "--engine=", strlen("--engine=")) == 0) {
			engine = argv[i] + strlen("--engine=");
		} else {
			return cli_usage_error("exec", "unknown option '%s'", argv[i]);
		}
	}
	if (engine && strcmp(engine, "interp") != 0 && strcmp(engine, "jit") != 0)
		return cli_usage_error("exec", "unknown engine '%s': interp or jit", engine);
	if (i == argc)
		return cli_usage_error("exec", "a program is missing");

	if (!find_program(argv[i], program)) {
		cli_error("exec", "%s: there is no such program", argv[i]);
		return EXIT_NOT_FOUND;
	}
	status = check_program(program);
	if (status)
		return status;
	if (!find_preload(library) || !set_preload(library) || (engine && setenv("PAWL_ENGINE", engine, 1) != 0))
		return EXIT_NOT_RUNNABLE;
	execv(program, argv + i);
	cli_error("exec", "%s: %s", program, strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}
