/* SPDX-License-Identifier: MIT */
/*
 * pawl exec: runs a program that finds a /dev/kvm. One that is dynamically linked gets the preload library; one that the
 * dynamic linker does not load, or that is known to make its system calls itself, gets the resident (inject.c). What
 * neither can reach (another architecture, set-user-id) is refused, since it would run and not find the device. ELF:
 * System V ABI, "Program Header", "Note Section".
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
#define RESIDENT_NAME "pawl-resident"

#if defined(__x86_64__)
enum { HOST_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { HOST_MACHINE = EM_AARCH64 };
#endif

/* How a program gets its device. */
enum way { WAY_NONE, WAY_PRELOAD, WAY_RESIDENT };

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

/* Whether a note segment is Go's build id: such a program makes its system calls itself, dynamically linked or not. */
static bool is_go_note(int fd, const Elf64_Phdr *segment)
{
	struct {
		Elf64_Nhdr header;
		char name[4];
	} note;

	return pread(fd, &note, sizeof(note), (off_t)segment->p_offset) == sizeof(note) && note.header.n_namesz == 4 &&
	       note.header.n_type == 4 && memcmp(note.name, "Go\0", 4) == 0;
}

/* How the program at fd gets its device; says why it cannot. */
static enum way way_of(int fd, const char *path)
{
	bool interpreter = false, go = false;
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	ssize_t n = pread(fd, &header, sizeof(header), 0);

	if (n >= 2 && memcmp(&header, "#!", 2) == 0)
		return WAY_PRELOAD; /* the interpreter's affair, and it inherits the environment */
	if (n < EI_NIDENT || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
		cli_error("exec", "%s: not an executable file", path);
		return WAY_NONE;
	}
	if (n < (ssize_t)sizeof(header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != HOST_MACHINE) {
		unsigned machine = n >= (ssize_t)(offsetof(Elf64_Ehdr, e_machine) + 2) ? header.e_machine : 0;

		cli_error("exec", "%s: is a program for %s, and this pawl is for %s", path, machine_name(machine),
			  machine_name(HOST_MACHINE));
		return WAY_NONE;
	}
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &segment, sizeof(segment), (off_t)(header.e_phoff + (uint64_t)i * header.e_phentsize)) !=
		    sizeof(segment)) {
			cli_error("exec", "%s: is damaged: its program headers are behind its end", path);
			return WAY_NONE;
		}
		interpreter |= segment.p_type == PT_INTERP;
		go |= segment.p_type == PT_NOTE && is_go_note(fd, &segment);
	}
	return interpreter && !go ? WAY_PRELOAD : WAY_RESIDENT;
}

/* How path is run, in *way: 0, or the exit status of what was said. */
static int check_program(const char *path, enum way *way)
{
	struct stat st;
	int fd;

	if (stat(path, &st) != 0) {
		cli_error("exec", "%s: %s", path, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
	}
	if (S_ISDIR(st.st_mode) || access(path, X_OK) != 0) {
		cli_error("exec", "%s: %s", path, S_ISDIR(st.st_mode) ? strerror(EISDIR) : strerror(EACCES));
		return EXIT_NOT_RUNNABLE;
	}
	if ((st.st_mode & S_ISUID && st.st_uid != geteuid()) || (st.st_mode & S_ISGID && st.st_gid != getegid())) {
		cli_error("exec", "%s: changes its user or group, so nothing can be loaded into it", path);
		return EXIT_NOT_RUNNABLE;
	}
	*way = WAY_PRELOAD;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* executable and not readable: let the kernel try */
	*way = way_of(fd, path);
	close(fd);
	return *way == WAY_NONE ? EXIT_NOT_RUNNABLE : 0;
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

/*
 * A file that goes with this executable, in path[PATH_MAX]: in the build tree, where it was installed, or beside it. The
 * first two are from the directory of the executable, unless absolute.
 */
static bool find_part(const char *name, const char *built, const char *installed, char *path)
{
	const char *const places[] = {built, installed, ""};
	char own[PATH_MAX], place[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n > 0) {
		own[n] = '\0';
		*strrchr(own, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			bool absolute = places[i][0] == '/';

			snprintf(place, sizeof(place), "%s%s%s%s", absolute ? "" : own, absolute ? "" : "/", places[i],
				 name);
			if (realpath(place, path))
				return true;
		}
	}
	cli_error("exec", "%s is neither beside this program nor in its installation", name);
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

static int preload_exec(const char *program, char **argv)
{
	char library[PATH_MAX];

	if (!find_part(PRELOAD_NAME, "../shim/", PAWL_LIBDIR "/", library) || !set_preload(library))
		return EXIT_NOT_RUNNABLE;
	execv(program, argv);
	cli_error("exec", "%s: %s", program, strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

static int resident_exec(const char *program, char **argv)
{
#ifdef PAWL_HAVE_RESIDENT
	char resident[PATH_MAX];

	if (!find_part(RESIDENT_NAME, "../shim/resident/", PAWL_LIBDIR "/pawl/", resident))
		return EXIT_NOT_RUNNABLE;
	return inject_exec(program, argv, resident);
#else
	cli_error("exec",
		  "%s: makes its system calls without the C library, or is statically linked; this build of pawl can "
		  "give "
		  "such a program no /dev/kvm",
		  program);
	return EXIT_NOT_RUNNABLE;
#endif
}

int cmd_exec(int argc, char **argv)
{
	char program[PATH_MAX];
	const char *engine = NULL;
	bool trap = false;
	enum way way;
	int i, status;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0)
			return cli_help("exec");
		if (strcmp(argv[i], "--trap") == 0) {
			trap = true;
		} else if (strcmp(argv[i], "--engine") == 0) {
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
	status = check_program(program, &way);
	if (status)
		return status;
	if (engine && setenv("PAWL_ENGINE", engine, 1) != 0)
		return EXIT_NOT_RUNNABLE;
	return trap || way == WAY_RESIDENT ? resident_exec(program, argv + i) : preload_exec(program, argv + i);
}
