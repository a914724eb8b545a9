/* SPDX-License-Identifier: MIT */
/* What options of QEMU and kvmtool are called here, for fingers that know those. docs/coming-from-qemu.md has the whole list. */
#include <stddef.h>
#include <string.h>

#include "cli.h"

static const struct {
	const char *names; /* without dashes, each between spaces */
	const char *here;
} rows[] = {
	{" M machine ", "there is one board, QEMU's virt"},
	{" accel enable-kvm ", "it is --engine interp or jit, or --kvm /dev/kvm on an arm64 host"},
	{" bios ", "it is --firmware FILE"},
	{" drive hda hdb cdrom blockdev d ", "it is --disk FILE, with ,ro or ,snapshot"},
	{" snapshot ", "it is --disk FILE,snapshot"},
	{" nic netdev network n ", "it is --net user, tap=NAME or passt=SOCKET"},
	{" virtfs fsdev 9p ", "it is --share DIR[,tag=TAG]"},
	{" device ", "each device has an option: --disk, --net, --share, --rng, --console, --vsock, --balloon"},
	{" nographic serial display vga ", "the console is always standard input and output"},
	{" S ", "it is --gdb-wait"},
	{" qmp monitor mon ", "it is --control PATH, and the program 'pawl control'"},
	{" params p ", "it is --append STRING"},
	{" cpus c ", "it is --smp N"},
	{" mem ", "it is --memory SIZE"},
	{" flash pflash ", "it is --flash-vars FILE"},
	{" irqchip ", "there is a GICv3, always"},
	{" semihosting semihosting-config ", "there is none: a store to the exit port ends the machine with a status"},
	{" daemonize ", "it is a shell's &, with --pidfile FILE"},
};

const char *cli_elsewhere(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (const char *p = rows[i].names; p[1]; p += 1 + strcspn(p + 1, " "))
			if (strcspn(p + 1, " ") == len && !strncmp(p + 1, name, len))
				return rows[i].here;
	return NULL;
}
