/* SPDX-License-Identifier: MIT */
/*
 * PAWL_TRACE=FILE: a line per exit to EL2 and per return of KVM_RUN, appended to FILE. The format is for reading and
 * for scripts/demo_gdb.py; docs/trace.md describes it. Changes nothing that a guest or a client can see.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm.h"
#include "syndrome.h"

bool trace_on;
static int trace_fd = -1;

static void open_once(void)
{
	const char *path = getenv("PAWL_TRACE");

	if (!path || !*path)
		return;
	trace_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (trace_fd < 0)
		fprintf(stderr, "pawl: PAWL_TRACE: cannot write %s: %s\n", path, strerror(errno));
	trace_on = trace_fd >= 0;
}

void trace_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, open_once);
}

/* One write per line, so that lines of several vcpus do not mix. */
static void put_line(const char *line, int len, size_t size)
{
	size_t n = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
	ssize_t ignored = write(trace_fd, line, n);

	(void)ignored; /* a full disk must not change what the guest does */
}

static const char *class_name(unsigned ec)
{
	switch (ec) {
	case EC_WFX: return "WFx";
	case EC_HVC64: return "HVC";
	case EC_SMC64: return "SMC";
	case EC_SYS64: return "SYS";
	case EC_IABT_LOWER: return "IABT";
	case EC_DABT_LOWER: return "DABT";
	case EC_BREAKPT_LOWER: return "BREAKPOINT";
	case EC_STEP_LOWER: return "STEP";
	case EC_WATCHPT_LOWER: return "WATCHPOINT";
	case EC_BRK64: return "BRK";
	default: return "EC";
	}
}

void trace_write_trap(struct vcpu *vcpu)
{
	const struct cpu *cpu = vcpu->cpu;
	uint64_t esr = cpu->el2.esr;
	uint32_t iss = ESR_ISS(esr);
	unsigned ec = ESR_EC(esr);
	char line[256], more[96] = "";
	int n;

	if (ec == EC_DABT_LOWER || ec == EC_IABT_LOWER) {
		snprintf(more, sizeof(more), " ipa=%" PRIx64 " %s", cpu->el2.ipa,
			 ec == EC_IABT_LOWER  ? "fetch"
			 : iss & ISS_DABT_WNR ? "write"
					      : "read");
	} else if (ec == EC_SYS64) {
		uint32_t enc = iss_sys_enc(iss);

		snprintf(more, sizeof(more), " reg=%u,%u,%u,%u,%u %s", enc >> 14 & 3, enc >> 11 & 7, enc >> 7 & 15,
			 enc >> 3 & 15, enc & 7, iss & ISS_SYS_READ ? "read" : "write");
	} else if (ec == EC_HVC64 || ec == EC_SMC64) {
		snprintf(more, sizeof(more), " x0=%" PRIx64, cpu->env.x[0]);
	}
	n = snprintf(line, sizeof(line), "%u trap %s pc=%" PRIx64 " esr=%" PRIx64 "%s\n", vcpu->index, class_name(ec),
		     cpu->env.pc, esr, more);
	put_line(line, n, sizeof(line));
}

static const char *reason_name(unsigned reason)
{
	switch (reason) {
	case KVM_EXIT_DEBUG: return "DEBUG";
	case KVM_EXIT_MMIO: return "MMIO";
	case KVM_EXIT_INTR: return "INTR";
	case KVM_EXIT_HYPERCALL: return "HYPERCALL";
	case KVM_EXIT_SYSTEM_EVENT: return "SYSTEM_EVENT";
	case KVM_EXIT_ARM_NISV: return "ARM_NISV";
	case KVM_EXIT_FAIL_ENTRY: return "FAIL_ENTRY";
	case KVM_EXIT_INTERNAL_ERROR: return "INTERNAL_ERROR";
	default: return "exit";
	}
}

void trace_write_return(struct vcpu *vcpu, int ret)
{
	const struct kvm_run *run = vcpu->run;
	char line[256], more[96] = "";
	int n;

	if (ret < 0) {
		n = snprintf(line, sizeof(line), "%u return error %s pc=%" PRIx64 "\n", vcpu->index,
			     strerrorname_np(-ret), vcpu->cpu->env.pc);
		put_line(line, n, sizeof(line));
		return;
	}
	if (run->exit_reason == KVM_EXIT_MMIO)
		snprintf(more, sizeof(more), " ipa=%llx %s %u", (unsigned long long)run->mmio.phys_addr,
			 run->mmio.is_write ? "write" : "read", run->mmio.len);
	else if (run->exit_reason == KVM_EXIT_DEBUG)
		snprintf(more, sizeof(more), " hsr=%x", run->debug.arch.hsr);
	n = snprintf(line, sizeof(line), "%u return KVM_EXIT_%s pc=%" PRIx64 "%s\n", vcpu->index,
		     reason_name(run->exit_reason), vcpu->cpu->env.pc, more);
	put_line(line, n, sizeof(line));
}
