/* SPDX-License-Identifier: MIT */
/*
 * The list of PCs that single-stepping gives is the list of instructions that are executed: trace.S, stepped through the KVM API
 * from its first instruction to its last, against what qemu-system-aarch64 executed of it, one by one (trace.expected; trace.py
 * made it). Then the same without a debugger, and with stepping turned on and off on the way: the exits are the same.
 *
 *     trace_test PROGRAM EXPECTED
 *
 * An instruction before which an interrupt is taken is where the step before it ended, and is not executed then: of such a stop
 * the list has only the vector.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#define BASE 0x40100000ull
#define RAM 0x40000000ull
#define RAM_SIZE 0x400000ull
#define UART 0x09000000ull
enum { LIST_MAX = 100000, IRQ_EL1 = 0x280, IRQ_EL0 = 0x480 };

#define PC_ID (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))
#define VBAR_ID ARM64_SYS_REG(3, 0, 12, 0, 0)

static int kvm, vm, vcpu, gic;
static struct kvm_run *run;
static uint8_t *ram;
static size_t run_size;
static unsigned failed;

static _Noreturn void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(const char *what, int fd, unsigned long request, void *arg)
{
	int rc = pawl_ioctl(fd, request, arg);

	if (rc < 0)
		die(what);
	return rc;
}

static uint64_t reg(uint64_t id)
{
	uint64_t val = 0;
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)&val};

	must("KVM_GET_ONE_REG", vcpu, KVM_GET_ONE_REG, &r);
	return val;
}

static void gic_attr(uint32_t group, uint64_t attr, uint64_t val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&val};

	must("KVM_SET_DEVICE_ATTR", gic, KVM_SET_DEVICE_ATTR, &a);
}

static void machine_new(const char *program)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};
	struct kvm_create_device create = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	struct kvm_vcpu_init init = {0};
	uint64_t pc = BASE;
	struct kvm_one_reg r = {.id = PC_ID, .addr = (uintptr_t)&pc};
	FILE *f = fopen(program, "re");

	kvm = pawl_open(0);
	vm = must("KVM_CREATE_VM", kvm, KVM_CREATE_VM, NULL);
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!f || ram == MAP_FAILED || !fread(ram + (BASE - RAM), 1, 0x10000, f))
		die(program);
	fclose(f);
	slot.userspace_addr = (uintptr_t)ram;
	must("KVM_SET_USER_MEMORY_REGION", vm, KVM_SET_USER_MEMORY_REGION, &slot);
	vcpu = must("KVM_CREATE_VCPU", vm, KVM_CREATE_VCPU, NULL);
	must("KVM_ARM_PREFERRED_TARGET", vm, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	must("KVM_ARM_VCPU_INIT", vcpu, KVM_ARM_VCPU_INIT, &init);
	must("KVM_CREATE_DEVICE", vm, KVM_CREATE_DEVICE, &create);
	gic = (int)create.fd;
	gic_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000);
	gic_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080a0000);
	gic_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	must("KVM_SET_ONE_REG", vcpu, KVM_SET_ONE_REG, &r);
	run_size = (size_t)must("KVM_GET_VCPU_MMAP_SIZE", kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	run = pawl_mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("mmap");
}

static void machine_free(void)
{
	munmap(run, run_size);
	pawl_close(gic);
	pawl_close(vcpu);
	pawl_close(vm);
	pawl_close(kvm);
	munmap(ram, RAM_SIZE);
}

static void debug(bool step)
{
	struct kvm_guest_debug d = {.control = step ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0};

	must("KVM_SET_GUEST_DEBUG", vcpu, KVM_SET_GUEST_DEBUG, &d);
}

/* ---- what happened */

struct list {
	unsigned n;
	uint64_t at[LIST_MAX];
};

static void add(struct list *l, uint64_t x)
{
	if (l->n < LIST_MAX)
		l->at[l->n++] = x;
}

/* An access of the guest's to a device: where, how, what, and where the guest was. */
static void take_mmio(struct list *exits)
{
	uint64_t data = 0;

	if (run->mmio.is_write)
		memcpy(&data, run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8);
	else
		memcpy(run->mmio.data, &(uint64_t){0x1234567890abcdef}, 8);
	add(exits, reg(PC_ID));
	add(exits, run->mmio.phys_addr);
	add(exits, (uint64_t)run->mmio.len | (uint64_t)run->mmio.is_write << 8);
	add(exits, data);
}

/* After a step: at a vector, instead of the instruction that is not executed. */
static void add_stop(struct list *stops)
{
	uint64_t pc = reg(PC_ID), vbar = reg(VBAR_ID);

	if (stops->n && (pc == vbar + IRQ_EL1 || pc == vbar + IRQ_EL0))
		stops->n--;
	add(stops, pc);
}

/*
 * To the end. period: steps, and then as many exits without, in turn; 0: no steps; UINT_MAX: steps alone. False: something else
 * happened.
 */
static bool go(unsigned period, struct list *stops, struct list *exits)
{
	bool stepping = period;
	unsigned left = period;

	stops->n = exits->n = 0;
	add(stops, BASE);
	debug(stepping);
	for (unsigned runs = 0; runs < LIST_MAX; runs++) {
		if (pawl_ioctl(vcpu, KVM_RUN, NULL)) {
			printf("# KVM_RUN: %s at %#" PRIx64 "\n", strerror(errno), reg(PC_ID));
			return false;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_MMIO: take_mmio(exits); break;
		case KVM_EXIT_DEBUG: add_stop(stops); break;
		case KVM_EXIT_SYSTEM_EVENT: return run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN;
		default: printf("# exit reason %u at %#" PRIx64 "\n", run->exit_reason, reg(PC_ID)); return false;
		}
		if (!period || --left)
			continue;
		stepping = !stepping;
		left = stepping ? period : 1 + period / 40;
		debug(stepping);
	}
	printf("# it does not end, behind %#" PRIx64 "\n", stops->at[stops->n - 1]);
	return false;
}

/* Lines "OFFSET COUNT": so many instructions one behind the other; the last line is what the program printed, in decimal. */
static bool read_expected(const char *name, struct list *l, uint8_t *last)
{
	FILE *f = fopen(name, "re");
	char line[160];
	unsigned offset, count, printed = 256;

	l->n = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "printed %u", &printed) == 1 || line[0] == '#')
			continue;
		if (sscanf(line, "%x %u", &offset, &count) != 2)
			return false;
		for (unsigned i = 0; i < count; i++)
			add(l, offset + 4 * i);
	}
	if (f)
		fclose(f);
	*last = (uint8_t)printed;
	return l->n && printed < 256;
}

static uint64_t physical(uint64_t pc) /* EL0's page has another address */
{
	return pc >> 12 == 0x60000 ? 0x60000000 | (pc & 0xfff) : pc;
}

static void result(bool ok, unsigned n, const char *what)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", n, what);
	failed += !ok;
}

static bool same(const struct list *have, const struct list *want, uint64_t base)
{
	for (unsigned i = 0; i < have->n && i < want->n; i++) {
		if (physical(have->at[i]) == base + want->at[i])
			continue;
		printf("# number %u is %#" PRIx64 ", not %#" PRIx64 " (%#" PRIx64 " before it)\n", i, have->at[i],
		       base + want->at[i], i ? have->at[i - 1] : 0);
		return false;
	}
	if (have->n != want->n)
		printf("# %u, not %u\n", have->n, want->n);
	return have->n == want->n;
}

int main(int argc, char **argv)
{
	static struct list want, stops, exits, others;
	static const unsigned periods[] = {1, 2, 3, 5, 17, 40, 100, 333, 1000};
	uint8_t printed;
	bool ok;

	if (argc != 3 || !read_expected(argv[2], &want, &printed)) {
		printf("Bail out! usage: trace_test PROGRAM EXPECTED\n");
		return 1;
	}
	printf("1..%zu\n", 3 + sizeof(periods) / sizeof(periods[0]));
	machine_new(argv[1]);
	ok = go(UINT32_MAX, &stops, &exits);
	result(ok && same(&stops, &want, 0), 1,
	       "stepping stops at each instruction that the reference executed, in order");
	result(exits.n >= 4 && exits.at[exits.n - 3] == UART && (uint8_t)exits.at[exits.n - 1] == printed, 2,
	       "the hash of the way is the reference's");
	machine_free();

	machine_new(argv[1]);
	ok = go(0, &stops, &others);
	result(ok && same(&others, &exits, 0), 3, "without a debugger the exits are the same");
	machine_free();
	for (unsigned i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		char what[80];

		machine_new(argv[1]);
		ok = go(periods[i], &stops, &others);
		snprintf(what, sizeof(what), "stepped now and then, %u instructions each time: the same", periods[i]);
		result(ok && same(&others, &exits, 0), 4 + i, what);
		machine_free();
	}
	return failed != 0;
}
