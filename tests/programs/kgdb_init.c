/* SPDX-License-Identifier: MIT */
/*
 * The only process of a guest whose kernel is debugged over its serial line (kgdb_line.py). Puts a hardware breakpoint and a
 * watchpoint on addresses of the kernel, which perf does, since kgdb has none on arm64; stops the kernel by SysRq g, twice;
 * and makes the system calls that the debugger waits for (kgdb_gdb.py). Its lines have no character that means something in
 * gdb's protocol.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPUS = 2 };

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		printf("init: cannot write %s\n", path);
	close(fd);
}

static void get(const char *path)
{
	char text[16];
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text)) <= 0)
		printf("init: cannot read %s\n", path);
	close(fd);
}

static uint64_t address_of(const char *symbol)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long long at;
	char name[256];

	while (f && fscanf(f, "%llx %*c %255s%*[^\n]", &at, name) == 2)
		if (strcmp(name, symbol) == 0) {
			fclose(f);
			return at;
		}
	printf("init: no %s\n", symbol);
	return 0;
}

struct point {
	int fd[CPUS];
};

/* On each PE, in whatever task. */
static struct point point_at(const char *symbol, unsigned type, unsigned len)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT,
				       .size = sizeof(attr),
				       .bp_type = type,
				       .bp_addr = address_of(symbol),
				       .bp_len = len};
	struct point p;

	for (int cpu = 0; cpu < CPUS; cpu++) {
		p.fd[cpu] = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);
		if (p.fd[cpu] < 0)
			printf("init: no hardware for %s\n", symbol);
	}
	return p;
}

static unsigned hits_of(struct point *p)
{
	uint64_t all = 0, n;

	for (int cpu = 0; cpu < CPUS; cpu++) {
		if (read(p->fd[cpu], &n, sizeof(n)) == sizeof(n))
			all += n;
		close(p->fd[cpu]);
	}
	return (unsigned)all;
}

/* The kernel steps over what it has counted; an interrupt in between makes it count again. */
static void report(const char *what, unsigned hits, unsigned least)
{
	printf("init: %s %s %u\n", what, hits >= least && hits < 2 * least ? "as often as" : "NOT as often as", least);
}

static void hardware(void)
{
	struct point exec = point_at("__arm64_sys_getppid", HW_BREAKPOINT_X, sizeof(long));
	struct point write = point_at("panic_timeout", HW_BREAKPOINT_W, 4);
	struct point read = point_at("panic_on_oops", HW_BREAKPOINT_R, 4);

	for (int i = 0; i < 5; i++)
		syscall(SYS_getppid);
	for (int i = 0; i < 3; i++) {
		put("/proc/sys/kernel/panic", "7\n");
		get("/proc/sys/kernel/panic");
		get("/proc/sys/kernel/panic_on_oops");
	}
	report("breakpoint", hits_of(&exec), 5);
	report("watchpoint for stores", hits_of(&write), 3);
	report("watchpoint for loads", hits_of(&read), 3);
}

int main(void)
{
	int null = open("/dev/console", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	setvbuf(stdout, NULL, _IONBF, 0);
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	printf("init: up\n");
	hardware();
	put("/proc/sysrq-trigger", "g");
	for (int i = 0; i < 4; i++)
		printf("init: parent %ld\n", syscall(SYS_getppid));
	put("/proc/sysrq-trigger", "g");
	printf("init: end\n");
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
