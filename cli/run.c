/* SPDX-License-Identifier: MIT */
/*
 * pawl run: the options, and the machine and the gdb server that they describe. pawl-run(1) is its documentation.
 * getopt_long would do the parsing, but neither tells options given twice nor names the option in its messages as
 * typed.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "gdb.h"
#include "vmm.h"

#define DEFAULT_MEMORY (UINT64_C(512) << 20)

enum option_id {
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_DTB,
	OPT_FIRMWARE,
	OPT_FLASH_VARS,
	OPT_MEMORY,
	OPT_SMP,
	OPT_CPU,
	OPT_ENGINE,
	OPT_KVM,
	OPT_EMULATE_MMIO,
	OPT_NO_REBOOT,
	OPT_TIMEOUT,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_DISK,
	OPT_NET,
	OPT_SHARE,
	OPT_CONSOLE,
	OPT_VSOCK,
	OPT_BALLOON,
	OPT_RNG,
	OPT_VIRTIO_LEGACY,
	OPT_GDB,
	OPT_GDB_WAIT,
	OPT_CONTROL,
	OPT_PIDFILE,
	OPT_STATS,
	OPT_DUMP_UNITS,
	OPT_DUMP_DTB,
	OPT_NO_SANDBOX,
	N_OPTIONS
};

static const struct option {
	const char *name;
	char letter;	      /* 0: none */
	const char *argument; /* NULL: none */
	const char *help;
} options[N_OPTIONS] = {
	/* the first half is the left column of --help, the second the right one */
	[OPT_KERNEL] = {"kernel", 'k', "FILE", "Image, gzip, EFI"},
	[OPT_INITRD] = {"initrd", 'i', "FILE", "its file system"},
	[OPT_APPEND] = {"append", 'a', "STRING", "its command line"},
	[OPT_DTB] = {"dtb", 0, "FILE", "its device tree"},
	[OPT_FIRMWARE] = {"firmware", 0, "FILE", "EDK2 or U-Boot"},
	[OPT_FLASH_VARS] = {"flash-vars", 0, "FILE", "its variables"},
	[OPT_MEMORY] = {"memory", 'm', "SIZE", "default 512M"},
	[OPT_SMP] = {"smp", 's', "N", "vcpus, default 1"},
	[OPT_CPU] = {"cpu", 0, "MODEL", "or help"},
	[OPT_ENGINE] = {"engine", 0, "NAME", "interp or jit"},
	[OPT_KVM] = {"kvm", 0, "PATH", "a kernel's KVM"},
	[OPT_EMULATE_MMIO] = {"emulate-mmio", 0, NULL, "beyond real KVM's"},
	[OPT_NO_REBOOT] = {"no-reboot", 0, NULL, "a reset is status 3"},
	[OPT_TIMEOUT] = {"timeout", 0, "TIME", "status 124 then"},
	[OPT_VERBOSE] = {"verbose", 'v', NULL, "tell stray accesses"},
	[OPT_HELP] = {"help", 'h', NULL, "this"},
	[OPT_DISK] = {"disk", 0, "FILE", "or nbd; ,ro ,snapshot"},
	[OPT_NET] = {"net", 0, "KIND", "user, tap=, passt="},
	[OPT_SHARE] = {"share", 0, "DIR", "by 9p; ,ro ,tag=TAG"},
	[OPT_CONSOLE] = {"console", 0, "WHERE", "pty, unix:, file:"},
	[OPT_VSOCK] = {"vsock", 0, "PATH", "by unix sockets"},
	[OPT_BALLOON] = {"balloon", 0, "SIZE", "memory it gives back"},
	[OPT_RNG] = {"rng", 0, NULL, "entropy"},
	[OPT_VIRTIO_LEGACY] = {"virtio-legacy", 0, NULL, "for old guests"},
	[OPT_GDB] = {"gdb", 0, "ADDR", "port or unix socket"},
	[OPT_GDB_WAIT] = {"gdb-wait", 0, NULL, "start held for gdb"},
	[OPT_CONTROL] = {"control", 0, "PATH", "for 'pawl control'"},
	[OPT_PIDFILE] = {"pidfile", 0, "FILE", "when all is set up"},
	[OPT_STATS] = {"stats", 0, NULL, "counters at the end"},
	[OPT_DUMP_UNITS] = {"dump-units", 0, "FILE", "translated code"},
	[OPT_DUMP_DTB] = {"dump-dtb", 0, "FILE", "write the tree only"},
	[OPT_NO_SANDBOX] = {"no-sandbox", 0, NULL, "do not confine it"},
};

/* Those that make a virtio device of a kind, each time they are given. */
static const unsigned device_of[N_OPTIONS] = {
	[OPT_DISK] = VIRTIO_DISK,	[OPT_NET] = VIRTIO_NET,		[OPT_SHARE] = VIRTIO_SHARE,
	[OPT_RNG] = VIRTIO_RNG,		[OPT_CONSOLE] = VIRTIO_CONSOLE, [OPT_VSOCK] = VIRTIO_VSOCK,
	[OPT_BALLOON] = VIRTIO_BALLOON,
};

struct arguments {
	bool given[N_OPTIONS];
	const char *value[N_OPTIONS];
	struct virtio_spec virtio[MACHINE_MAX_VIRTIO];
	unsigned n_virtio;
};

/* All of it on a screen of 24 lines of 80 characters; pawl-run(1) has the sentences. */
int cmd_run_help(void)
{
	char left[2][32];

	printf("usage: pawl run [OPTION]... --kernel FILE | --firmware FILE\n"
	       "Boot an arm64 machine. pawl-run(1) explains each option, with an example.\n\n");
	for (int i = 0; i < N_OPTIONS / 2; i++) {
		const struct option *o[2] = {&options[i], &options[i + N_OPTIONS / 2]};

		for (int c = 0; c < 2; c++)
			snprintf(left[c], sizeof(left[c]), "--%s%s%s", o[c]->name, o[c]->argument ? " " : "",
				 o[c]->argument ? o[c]->argument : "");
		printf("%c%c %-18s%-19s %-18s%s\n", o[0]->letter ? '-' : ' ', o[0]->letter ? o[0]->letter : ' ',
		       left[0], o[0]->help, left[1], o[1]->help);
	}
	printf("\n  pawl run -k vmlinuz -i initrd.img -a root=/dev/vda --disk root.img --net user\n"
	       "On a terminal Ctrl-A x ends the machine, Ctrl-A h shows the keys.\n");
	return 0;
}

/* --cpu help */
static int cpu_help(void)
{
	const char *name, *what;
	unsigned column = 0;

	printf("CPU models:\n");
	for (unsigned i = 0; (name = pawl_cpu_model(i, &what)); i++)
		printf("  %-14s %s\n", name, what);
	printf("Features, as in --cpu max,-lse,-sha3:\n");
	for (unsigned i = 0; (name = pawl_cpu_feature(i)); i++) {
		column += (unsigned)printf("%s", column ? " " : "  ");
		for (; *name; name++, column++)
			putchar(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);
		if (column > 64) {
			putchar('\n');
			column = 0;
		}
	}
	if (column)
		putchar('\n');
	return 0;
}

static int take_device(struct arguments *a, int id, const char *value)
{
	struct virtio_spec spec = {device_of[id], value};
	struct vmm_error err;

	if (id == OPT_NET && !strcmp(value, "none"))
		return 0;
	if (a->n_virtio == MACHINE_MAX_VIRTIO)
		return cli_usage_error("run", "--%s: more devices than the board's %u slots", options[id].name,
				       (unsigned)MACHINE_MAX_VIRTIO);
	if (machine_check_virtio(&spec, &err))
		return cli_usage_error("run", "%s", err.text);
	a->virtio[a->n_virtio++] = spec;
	return 0;
}

static int take(struct arguments *a, int id, const char *value)
{
	if (device_of[id])
		return take_device(a, id, value);
	if (a->given[id])
		return cli_usage_error("run", "--%s is given twice", options[id].name);
	a->given[id] = true;
	a->value[id] = value;
	return 0;
}

static int option_named(const char *name, size_t len)
{
	int id = 0;

	while (id < N_OPTIONS && (strlen(options[id].name) != len || strncmp(options[id].name, name, len) != 0))
		id++;
	return id;
}

/* word, with len characters behind its dashes, is no option. */
static int unknown_option(const char *word, const char *name, size_t len)
{
	const char *here = cli_elsewhere(name, len);
	int id = option_named(name, len);
	int n = (int)(name - word) + (int)len;

	if (id < N_OPTIONS)
		return cli_usage_error("run", "unknown option '%.*s': it has two dashes, --%s", n, word,
				       options[id].name);
	if (here)
		return cli_usage_error("run", "unknown option '%.*s': %s", n, word, here);
	return cli_usage_error("run", "unknown option '%.*s'", n, word);
}

/* One option at argv[*i]; moves *i past its argument. 0 or an exit status. */
static int parse_option(struct arguments *a, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	const char *value = NULL;
	int id;

	if (word[1] == '-') {
		size_t len = strcspn(word + 2, "=");

		id = option_named(word + 2, len);
		if (id == N_OPTIONS)
			return unknown_option(word, word + 2, len);
		if (word[2 + len])
			value = word + 2 + len + 1;
	} else {
		size_t len = strcspn(word + 1, "=");

		for (id = 0; id < N_OPTIONS; id++)
			if (options[id].letter && options[id].letter == word[1])
				break;
		if (len > 1 && (option_named(word + 1, len) < N_OPTIONS || cli_elsewhere(word + 1, len)))
			return unknown_option(word, word + 1, len);
		if (id == N_OPTIONS)
			return unknown_option(word, word + 1, 1);
		if (word[2])
			value = word + 2;
	}
	if (!options[id].argument && value)
		return cli_usage_error("run", "--%s takes no argument", options[id].name);
	if (options[id].argument && !value) {
		if (*i + 1 >= argc)
			return cli_usage_error("run", "--%s needs an argument: %s (%s)", options[id].name,
					       options[id].argument, options[id].help);
		value = argv[++*i];
	}
	return take(a, id, value);
}

static int parse_arguments(struct arguments *a, int argc, char **argv)
{
	int rc = 0;

	memset(a, 0, sizeof(*a));
	for (int i = 1; i < argc && !rc; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			rc = parse_option(a, argc, argv, &i);
		else if (a->given[OPT_KERNEL])
			rc = cli_usage_error("run", "unexpected argument '%s'", argv[i]);
		else
			rc = take(a, OPT_KERNEL, argv[i]);
	}
	return rc;
}

/* Digits and a suffix. False: something else, or too large for 64 bits. */
static bool parse_size(const char *text, uint64_t *size)
{
	unsigned shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*size = strtoull(text, &end, 0);
	if (errno)
		return false;
	switch (*end) {
	case 'k':
	case 'K': shift = 10; break;
	case 'm':
	case 'M': shift = 20; break;
	case 'g':
	case 'G': shift = 30; break;
	case 't':
	case 'T': shift = 40; break;
	}
	if (shift) {
		end++;
		if (*end == 'i' || *end == 'I')
			end++;
		if (*end == 'b' || *end == 'B')
			end++;
	}
	if (*end || *size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

/* Seconds, with a fraction, or a suffix s, m, h. Milliseconds; false: something else. */
static bool parse_time(const char *text, uint64_t *ms)
{
	double unit = 1000, n;
	char *end;

	if ((text[0] < '0' || text[0] > '9') && text[0] != '.')
		return false;
	n = strtod(text, &end);
	switch (*end) {
	case 's': end++; break;
	case 'm':
		unit = 60 * 1000;
		end++;
		break;
	case 'h':
		unit = 3600 * 1000;
		end++;
		break;
	}
	if (*end || !(n * unit >= 1 && n * unit < 1e15))
		return false;
	*ms = (uint64_t)(n * unit);
	return true;
}

static int configure(struct machine_config *config, const struct arguments *a)
{
	char why[160];
	uint64_t n;

	*config = (struct machine_config){
		.sys = a->given[OPT_KVM] ? &kvm_sys_kernel : &kvm_sys_pawl,
		.kvm_path = a->value[OPT_KVM],
		.kernel = a->value[OPT_KERNEL],
		.initrd = a->value[OPT_INITRD],
		.append = a->value[OPT_APPEND],
		.dtb = a->value[OPT_DTB],
		.firmware = a->value[OPT_FIRMWARE],
		.flash_vars = a->value[OPT_FLASH_VARS],
		.cpu = a->value[OPT_CPU],
		.memory = DEFAULT_MEMORY,
		.smp = 1,
		.held = a->given[OPT_GDB_WAIT],
		.verbose = a->given[OPT_VERBOSE],
		.emulate_mmio = a->given[OPT_EMULATE_MMIO],
		.stats = a->given[OPT_STATS],
		.no_reboot = a->given[OPT_NO_REBOOT],
		.sandbox = {.on = !a->given[OPT_NO_SANDBOX] && machine_can_confine},
		.control = a->value[OPT_CONTROL],
		.virtio = a->virtio,
		.n_virtio = a->n_virtio,
		.virtio_legacy = a->given[OPT_VIRTIO_LEGACY],
	};
	if (a->given[OPT_TIMEOUT] && !parse_time(a->value[OPT_TIMEOUT], &config->timeout_ms))
		return cli_usage_error("run", "--timeout: '%s' is not a time such as 30, 2.5s, 10m or 1h",
				       a->value[OPT_TIMEOUT]);
	if (a->given[OPT_CONTROL] && !a->value[OPT_CONTROL][0])
		return cli_usage_error("run", "--control: the path is empty");
	if (a->given[OPT_MEMORY]) {
		if (!parse_size(a->value[OPT_MEMORY], &config->memory))
			return cli_usage_error("run", "--memory: '%s' is not a size such as 512M or 2G",
					       a->value[OPT_MEMORY]);
		if (!config->memory)
			return cli_usage_error("run", "--memory: '%s' is no memory at all", a->value[OPT_MEMORY]);
		if (config->memory & 0xffff)
			return cli_usage_error("run", "--memory: '%s' is not a multiple of 64K%s", a->value[OPT_MEMORY],
					       config->memory < 65536 ? "; it is bytes without K, M or G" : "");
	}
	if (a->given[OPT_SMP]) {
		if (!parse_size(a->value[OPT_SMP], &n) || n < 1 || n > machine_max_vcpus())
			return cli_usage_error("run", "--smp: '%s' is not a number from 1 to %u", a->value[OPT_SMP],
					       machine_max_vcpus());
		config->smp = (unsigned)n;
	}
	if (a->given[OPT_GDB] && !a->value[OPT_GDB][0])
		return cli_usage_error("run", "--gdb: the address is empty");
	if (a->given[OPT_GDB] && !gdb_address_is_valid(a->value[OPT_GDB], why, sizeof(why)))
		return cli_usage_error("run", "--gdb: %s", why);
	if (a->given[OPT_GDB_WAIT] && !a->given[OPT_GDB])
		return cli_usage_error("run", "--gdb-wait needs --gdb ADDR");
	if (a->given[OPT_CPU] && !a->given[OPT_KVM] && !pawl_cpu_model_is_valid(a->value[OPT_CPU], why, sizeof(why)))
		return cli_usage_error("run", "--cpu: %s; --cpu help lists what there is", why);
	if (a->given[OPT_ENGINE]) {
		if (strcmp(a->value[OPT_ENGINE], "interp") != 0 && strcmp(a->value[OPT_ENGINE], "jit") != 0)
			return cli_usage_error("run", "unknown engine '%s': interp or jit", a->value[OPT_ENGINE]);
		if (a->given[OPT_KVM])
			return cli_usage_error("run", "--engine and --kvm exclude each other");
		if (!strstr(" " PAWL_ENGINES " ", a->value[OPT_ENGINE]))
			return cli_usage_error("run", "this pawl has no engine '%s'", a->value[OPT_ENGINE]);
	}
	if (a->given[OPT_DUMP_UNITS] && a->given[OPT_KVM])
		return cli_usage_error("run", "--dump-units and --kvm exclude each other");
	if (!a->given[OPT_KERNEL] && !a->given[OPT_DUMP_DTB] && !a->given[OPT_FIRMWARE])
		return cli_usage_error("run", "a kernel is missing: --kernel FILE, or --firmware FILE");
	if (a->given[OPT_FLASH_VARS] && !a->given[OPT_FIRMWARE])
		return cli_usage_error("run", "--flash-vars needs --firmware FILE");
	if (config->append && strlen(config->append) > 2047)
		cli_error("run", "--append: Linux takes 2047 characters, and this has %zu", strlen(config->append));
	return 0;
}

/* ---- the gdb server, which --gdb starts, or the control socket later */

struct debugger {
	struct gdb_server *server; /* NULL: none */
	bool held;
};

static int listen_gdb(void *arg, struct machine *m, const char *address, struct vmm_error *err)
{
	struct debugger *d = arg;
	char text[256];

	if (d->server)
		return vmm_fail(err, "a gdb server is listening already");
	d->server = gdb_server_start(address, &machine_gdb_ops, m, d->held, text, sizeof(text));
	return d->server ? 0 : vmm_fail(err, "--gdb: %s", text);
}

/* ---- --pidfile */

/* Complete when it appears: whoever waits for it may read it at once. */
static int write_pidfile(const char *path, struct vmm_error *err)
{
	char name[4096];
	FILE *f;
	int bad;

	if (snprintf(name, sizeof(name), "%s.%d", path, (int)getpid()) >= (int)sizeof(name))
		return vmm_fail(err, "--pidfile: the path is too long");
	f = fopen(name, "we");
	if (!f)
		return vmm_fail(err, "--pidfile: %s: %s", path, strerror(errno));
	bad = fprintf(f, "%d\n", (int)getpid()) < 0;
	bad |= fclose(f);
	if (bad || rename(name, path)) {
		vmm_fail(err, "--pidfile: %s: %s", path, strerror(errno));
		unlink(name);
		return -1;
	}
	return 0;
}

/* The path of an address of --gdb, if it is one. */
static const char *unix_path(const char *address)
{
	if (address && !strncmp(address, "unix:", 5))
		return address + 5;
	return address && strchr(address, '/') ? address : NULL;
}

/* What the sandbox must leave open. */
static void set_sandbox(struct machine_config *config, const char *gdb_address, const char *pidfile)
{
	config->sandbox.gdb = unix_path(gdb_address);
	config->sandbox.control = config->control;
	config->sandbox.pidfile = pidfile;
	for (unsigned i = 0; i < config->n_virtio; i++) {
		const struct virtio_spec *v = &config->virtio[i];

		if ((v->kind == VIRTIO_NET && !strncmp(v->arg, "user", 4)) ||
		    (v->kind == VIRTIO_DISK &&
		     !strncmp(v->arg, "nbd", 3))) /* whose server may have to be found again */
			config->sandbox.network = true;
	}
}

static int run(struct machine_config *config, const char *gdb_address, const char *pidfile)
{
	struct debugger debugger = {.held = config->held};
	struct machine *m = NULL;
	struct vmm_error err;
	struct stat st;
	int status;

	config->listen_gdb = listen_gdb;
	config->listen_gdb_arg = &debugger;
	set_sandbox(config, gdb_address, pidfile);
	if (pidfile && !stat(pidfile, &st) && S_ISDIR(st.st_mode)) { /* the sandbox would say something else */
		vmm_fail(&err, "--pidfile: %s: %s", pidfile, strerror(EISDIR));
		goto fail;
	}
	m = machine_create(config, &err);
	if (!m)
		goto fail;
	machine_confine(m);
	if (gdb_address && listen_gdb(&debugger, m, gdb_address, &err))
		goto fail;
	debugger.held = false; /* one that starts later finds them running */
	if (pidfile && write_pidfile(pidfile, &err))
		goto fail;
	status = machine_run(m);
	if (pidfile)
		unlink(pidfile);
	gdb_server_stop(debugger.server, status);
	machine_destroy(m);
	return status;
fail:
	cli_error("run", "%s", err.text);
	gdb_server_stop(debugger.server, MACHINE_FAILED);
	if (m)
		machine_destroy(m);
	return MACHINE_FAILED;
}

/* The library says so if it cannot make it, and goes on. */
static bool make_file(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f || fclose(f)) {
		cli_error("run", "--dump-units: %s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

int cmd_run(int argc, char **argv)
{
	struct arguments a;
	struct machine_config config;
	struct vmm_error err;
	int rc = parse_arguments(&a, argc, argv);

	if (rc)
		return rc;
	if (a.given[OPT_HELP])
		return cmd_run_help();
	if (a.given[OPT_CPU] && !strcmp(a.value[OPT_CPU], "help"))
		return cpu_help();
	rc = configure(&config, &a);
	if (rc)
		return rc;
	if (a.given[OPT_DUMP_DTB]) {
		if (machine_dump_dtb(&config, a.value[OPT_DUMP_DTB], &err)) {
			cli_error("run", "%s", err.text);
			return MACHINE_FAILED;
		}
		return 0;
	}
	if (a.given[OPT_DUMP_UNITS] && !make_file(a.value[OPT_DUMP_UNITS]))
		return MACHINE_FAILED;
	if ((a.given[OPT_ENGINE] && setenv("PAWL_ENGINE", a.value[OPT_ENGINE], 1)) ||
	    (a.given[OPT_DUMP_UNITS] && setenv("PAWL_UNITS", a.value[OPT_DUMP_UNITS], 1))) {
		cli_error("run", "%s", strerror(errno));
		return MACHINE_FAILED;
	}
	return run(&config, a.value[OPT_GDB], a.value[OPT_PIDFILE]);
}
