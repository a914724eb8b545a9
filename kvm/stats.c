/* SPDX-License-Identifier: MIT */
/*
 * KVM_GET_STATS_FD (api.rst 4.134): counters of a VM and of a vcpu, in a file that describes itself: header, name, a descriptor
 * for each counter, values.
 *
 * The counters are plain memory until somebody asks. Then they move into a memfd, which every asker gets read-only: so a
 * descriptor can be read at any offset, at any time, and outlives what it tells of.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

enum { NAME_SIZE = 48, KEPT_FD_MIN = 512, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static const char file_name[] = "kvm-stats";
static atomic_bool any; /* anybody of this process has asked for one */

#define COUNTER (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define TIME (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define TIME_HIST (KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define BYTES_NOW (KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BYTES | KVM_STATS_BASE_POW10)
#define BYTES (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_BYTES | KVM_STATS_BASE_POW10)
#define BY_NUMBER (KVM_STATS_TYPE_LINEAR_HIST | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10) /* value i is of number i */
#define BOOLEAN (KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN | KVM_STATS_BASE_POW10)

struct stat_row {
	unsigned at; /* index of its first value */
	const char *name;
	uint32_t flags;
	uint16_t size; /* values */
};

/* In the order of the kernel's. halt_poll_fail: of polls that another thread ended, which wanted the processor (request.c). */
static const struct stat_row vm_rows[] = {
	{VM_STAT_REMOTE_TLB_FLUSH, "remote_tlb_flush", COUNTER, 1},
	{VM_STAT_REMOTE_TLB_FLUSH_REQUESTS, "remote_tlb_flush_requests", COUNTER, 1},
};
static const struct stat_row vcpu_rows[] = {
	{VCPU_STAT_HALT_SUCCESSFUL_POLL, "halt_successful_poll", COUNTER, 1},
	{VCPU_STAT_HALT_ATTEMPTED_POLL, "halt_attempted_poll", COUNTER, 1},
	{VCPU_STAT_HALT_POLL_INVALID, "halt_poll_invalid", COUNTER, 1},
	{VCPU_STAT_HALT_WAKEUP, "halt_wakeup", COUNTER, 1},
	{VCPU_STAT_HALT_POLL_SUCCESS_NS, "halt_poll_success_ns", TIME, 1},
	{VCPU_STAT_HALT_POLL_FAIL_NS, "halt_poll_fail_ns", TIME, 1},
	{VCPU_STAT_HALT_WAIT_NS, "halt_wait_ns", TIME, 1},
	{VCPU_STAT_HALT_POLL_SUCCESS_HIST, "halt_poll_success_hist", TIME_HIST, STAT_HIST},
	{VCPU_STAT_HALT_POLL_FAIL_HIST, "halt_poll_fail_hist", TIME_HIST, STAT_HIST},
	{VCPU_STAT_HALT_WAIT_HIST, "halt_wait_hist", TIME_HIST, STAT_HIST},
	{VCPU_STAT_BLOCKING, "blocking", BOOLEAN, 1},
	{VCPU_STAT_HVC_EXIT, "hvc_exit_stat", COUNTER, 1},
	{VCPU_STAT_WFE_EXIT, "wfe_exit_stat", COUNTER, 1},
	{VCPU_STAT_WFI_EXIT, "wfi_exit_stat", COUNTER, 1},
	{VCPU_STAT_MMIO_EXIT_USER, "mmio_exit_user", COUNTER, 1},
	{VCPU_STAT_MMIO_EXIT_KERNEL, "mmio_exit_kernel", COUNTER, 1},
	{VCPU_STAT_SIGNAL_EXITS, "signal_exits", COUNTER, 1},
	{VCPU_STAT_EXITS, "exits", COUNTER, 1},
	/* pawl's own */
	{VCPU_STAT_EXIT_KICK, "pawl_exit_kick", COUNTER, 1},
	{VCPU_STAT_EXIT_EC, "pawl_exit_ec", BY_NUMBER, 64},
	{VCPU_STAT_CPU + CPU_STAT_UNITS, "pawl_units", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_UNIT_INSNS, "pawl_unit_insns", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_UNIT_BYTES, "pawl_unit_bytes", BYTES, 1},
	{VCPU_STAT_CPU + CPU_STAT_UNITS_AGAIN, "pawl_units_again", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TRACES, "pawl_traces", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_ONCE, "pawl_interpreted_once", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_BLOCKS, "pawl_interpreted_blocks", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TIMED_NS, "pawl_translate_ns", TIME, 1},
	{VCPU_STAT_CPU + CPU_STAT_TIMED_INSNS, "pawl_translate_ns_insns", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_CODE_NOW, "pawl_code_bytes", BYTES_NOW, 1},
	{VCPU_STAT_CPU + CPU_STAT_BLOCKS_NOW, "pawl_block_bytes", BYTES_NOW, 1},
	{VCPU_STAT_CPU + CPU_STAT_CODE_DROPS, "pawl_code_drops", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_CODE_STALE, "pawl_code_stale", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LOOKUPS, "pawl_code_lookups", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LINKS, "pawl_code_links", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_ENTERED, "pawl_code_entered", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LEFT_LINK, "pawl_code_left_link", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LEFT_LOOKUP, "pawl_code_left_lookup", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LEFT_ATTN, "pawl_code_left_attention", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LEFT_TRAP, "pawl_code_left_trap", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_LEFT_EXIT, "pawl_code_left_exit", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_EXTENT_HIT, "pawl_extent_hit", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TLB_HIT, "pawl_tlb_hit", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TLB_HIT_C, "pawl_tlb_hit_in_c", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TLB_SHARED, "pawl_tlb_shared", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_TLB_WALK, "pawl_tlb_walk", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_FETCH_HIT, "pawl_fetch_hit", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_FETCH_WALK, "pawl_fetch_walk", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_FLUSH_ALL, "pawl_tlb_flush_all", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_FLUSH_ASID, "pawl_tlb_flush_asid", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_FLUSH_VA, "pawl_tlb_flush_va", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_NEW_SPACE, "pawl_tlb_new_space", COUNTER, 1},
	{VCPU_STAT_CPU + CPU_STAT_EL1_IRQ, "pawl_el1_irq", BY_NUMBER, 3},
	{VCPU_STAT_CPU + CPU_STAT_EL1_EC, "pawl_el1_ec", BY_NUMBER, 64},
};
enum { N_VM_ROWS = sizeof(vm_rows) / sizeof(vm_rows[0]), N_VCPU_ROWS = sizeof(vcpu_rows) / sizeof(vcpu_rows[0]) };

_Static_assert(sizeof(struct kvm_stats_header) == 24 && sizeof(struct kvm_stats_desc) == 16, "the file's layout");

static size_t data_offset(unsigned n_rows)
{
	return sizeof(struct kvm_stats_header) + NAME_SIZE + n_rows * (sizeof(struct kvm_stats_desc) + NAME_SIZE);
}

static void describe(char *file, const char *id, const struct stat_row *rows, unsigned n_rows)
{
	struct kvm_stats_header head = {
		.name_size = NAME_SIZE,
		.num_desc = n_rows,
		.id_offset = sizeof(head),
		.desc_offset = sizeof(head) + NAME_SIZE,
		.data_offset = (uint32_t)data_offset(n_rows),
	};
	char *at = file + head.desc_offset;

	memcpy(file, &head, sizeof(head));
	snprintf(file + head.id_offset, NAME_SIZE, "%s", id);
	for (unsigned i = 0; i < n_rows; i++, at += sizeof(struct kvm_stats_desc) + NAME_SIZE) {
		const struct kvm_stats_desc d = {
			.flags = rows[i].flags,
			.exponent = (rows[i].flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_SECONDS ? -9 : 0,
			.size = rows[i].size,
			.offset = rows[i].at * (uint32_t)sizeof(uint64_t),
			.bucket_size = (rows[i].flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_LINEAR_HIST,
		};

		memcpy(at, &d, sizeof(d));
		snprintf(at + sizeof(d), NAME_SIZE, "%s", rows[i].name);
	}
}

/* Move the counters into a memfd. */
static int publish(struct stats *s, const char *id, const struct stat_row *rows, unsigned n_rows)
{
	size_t data = data_offset(n_rows), size = data + s->count * sizeof(uint64_t);
	int err, high, fd = memfd_create(file_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p;

	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FD_MIN);
	if (high >= 0) {
		syscall(SYS_close, fd);
		fd = high;
	}
	if (ftruncate(fd, (off_t)size) != 0)
		goto fail;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	fchmod(fd, S_IRUSR | S_IWUSR);
	fcntl(fd, F_ADD_SEALS, SEALS);
	describe(p, id, rows, n_rows);
	memcpy(p + data, s->value, s->count * sizeof(uint64_t));
	free(s->own);
	s->own = NULL;
	s->value = (uint64_t *)(void *)(p + data);
	s->file = p;
	s->file_size = size;
	s->fd = fd;
	return 0;
fail:
	err = -errno;
	syscall(SYS_close, fd);
	return err;
}

static int get_fd(struct stats *s, const char *id, const struct stat_row *rows, unsigned n_rows)
{
	int err = s->file ? 0 : publish(s, id, rows, n_rows), fd;
	char path[32];

	atomic_store_explicit(&any, true, memory_order_relaxed);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) /* no procfs: one that can be written to, then */
		fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

bool stats_is_fd(int fd)
{
	static const char prefix[] = "/memfd:";
	char path[32], name[64];
	ssize_t n;

	if (!atomic_load_explicit(&any, memory_order_relaxed) || fcntl(fd, F_GET_SEALS) != SEALS)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name));
	return n >= (ssize_t)(sizeof(prefix) + sizeof(file_name) - 2) &&
	       memcmp(name, prefix, sizeof(prefix) - 1) == 0 &&
	       memcmp(name + sizeof(prefix) - 1, file_name, sizeof(file_name) - 1) == 0;
}

int stats_vm_fd(struct vm *vm)
{
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d", (int)getpid());
	return get_fd(&vm->priv->stats, id, vm_rows, N_VM_ROWS);
}

int stats_vcpu_fd(struct vcpu *vcpu)
{
	char id[NAME_SIZE];
	int fd;

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", (int)getpid(), vcpu->id);
	fd = get_fd(&vcpu->stats, id, vcpu_rows, N_VCPU_ROWS);
	vcpu->cpu->stat = &vcpu->stats.value[VCPU_STAT_CPU]; /* they may have moved */
	vcpu->cpu->stat_time = true;			     /* somebody wants to know */
	return fd;
}

int stats_init(struct stats *s, unsigned count)
{
	*s = (struct stats){.count = count, .fd = -1};
	s->own = calloc(count, sizeof(*s->own));
	s->value = s->own;
	return s->own ? 0 : -ENOMEM;
}

void stats_destroy(struct stats *s)
{
	if (s->file) {
		munmap(s->file, s->file_size);
		syscall(SYS_close, s->fd);
	}
	free(s->own);
}

void stats_wait(struct vcpu *vcpu, unsigned stat, uint64_t ns)
{
	unsigned hist = stat == VCPU_STAT_HALT_WAIT_NS	      ? VCPU_STAT_HALT_WAIT_HIST
			: stat == VCPU_STAT_HALT_POLL_FAIL_NS ? VCPU_STAT_HALT_POLL_FAIL_HIST
							      : VCPU_STAT_HALT_POLL_SUCCESS_HIST;
	unsigned bucket = ns ? 64 - (unsigned)__builtin_clzll(ns) : 0;

	stat_add(vcpu, stat, ns);
	stat_add(vcpu, hist + (bucket < STAT_HIST ? bucket : STAT_HIST - 1), 1);
}
