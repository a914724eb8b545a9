/* SPDX-License-Identifier: MIT */
/*
 * What the KVM API costs: guest speed on a hot loop, a user-space MMIO round trip, an exact step, the creation of a VM.
 * An ordinary KVM client on libpawl, or on a real device with --kvm PATH. Prints the median of several rounds;
 * measures, never judges. bench/README.md tells how the figures in docs/performance.md are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

enum { RAM = 0x40000000, RAM_SIZE = 0x20000, CODE = RAM, DATA = RAM + 0x10000, MMIO = 0x0a000000, ROUNDS = 7 };

static int real_kvm; /* --kvm: system calls instead of the library */

static int do_ioctl(int fd, unsigned long req, void *arg)
{
	return real_kvm ? ioctl(fd, req, arg) : pawl_ioctl(fd, req, arg);
}

static void do_close(int fd)
{
	if (real_kvm)
		close(fd);
	else
		pawl_close(fd);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "kvm-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int rc, const char *what)
{
	if (rc < 0)
		die(what);
	return rc;
}

struct vm {
	int kvm, fd, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
	size_t run_size;
};

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

static void set_reg(struct vm *v, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	must(do_ioctl(v->vcpu, KVM_SET_ONE_REG, &r), "KVM_SET_ONE_REG");
}

static void vm_open(struct vm *v, const char *path, const uint32_t *code, size_t bytes)
{
	struct kvm_vcpu_init init = {0};
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};

	v->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->ram == MAP_FAILED)
		die("mmap");
	memcpy(v->ram + (CODE - RAM), code, bytes);
	slot.userspace_addr = (uintptr_t)v->ram;
	v->kvm = must(real_kvm ? open(path, O_RDWR | O_CLOEXEC) : pawl_open(O_CLOEXEC), "open");
	v->fd = must(do_ioctl(v->kvm, KVM_CREATE_VM, NULL), "KVM_CREATE_VM");
	must(do_ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	v->vcpu = must(do_ioctl(v->fd, KVM_CREATE_VCPU, NULL), "KVM_CREATE_VCPU");
	must(do_ioctl(v->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	must(do_ioctl(v->vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	v->run_size = (size_t)must(do_ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	v->run = real_kvm ? mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0)
			  : pawl_mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	if (v->run == MAP_FAILED)
		die("mmap of kvm_run");
	set_reg(v, CORE(regs.pc), CODE);
	set_reg(v, CORE(regs.regs[10]), DATA);
	set_reg(v, CORE(regs.regs[11]), MMIO);
}

static void vm_close(struct vm *v)
{
	munmap(v->run, v->run_size);
	do_close(v->vcpu);
	do_close(v->fd);
	do_close(v->kvm);
	munmap(v->ram, RAM_SIZE);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void run_to_mmio(struct vm *v)
{
	must(do_ioctl(v->vcpu, KVM_RUN, NULL), "KVM_RUN");
	if (v->run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "kvm-bench: unexpected exit %u\n", v->run->exit_reason);
		exit(1);
	}
}

/* Million guest instructions per second; `per_loop` instructions, x1 times, then a store to a device. */
static double speed(const char *path, const uint32_t *code, size_t bytes, unsigned per_loop, uint64_t loops)
{
	double rate[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t;

		set_reg(&v, CORE(regs.pc), CODE);
		set_reg(&v, CORE(regs.regs[1]), loops);
		t = now_ns();
		run_to_mmio(&v);
		t = now_ns() - t;
		rate[r] = (double)loops * per_loop * 1e3 / (double)t;
		v.run->immediate_exit = 1; /* complete the store, so that PC can be set anew */
		do_ioctl(v.vcpu, KVM_RUN, NULL);
		v.run->immediate_exit = 0;
	}
	vm_close(&v);
	return median(rate);
}

static double mmio_ns(const char *path, const uint32_t *code, size_t bytes)
{
	enum { N = 200000 };
	double ns[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < N; i++)
			run_to_mmio(&v);
		ns[r] = (double)(now_ns() - t) / N;
	}
	vm_close(&v);
	return median(ns);
}

static double step_ns(const char *path, const uint32_t *code, size_t bytes)
{
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	enum { N = 200000 };
	double ns[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	set_reg(&v, CORE(regs.regs[1]), ~0ull >> 1);
	must(do_ioctl(v.vcpu, KVM_SET_GUEST_DEBUG, &dbg), "KVM_SET_GUEST_DEBUG");
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < N; i++) {
			must(do_ioctl(v.vcpu, KVM_RUN, NULL), "KVM_RUN");
			if (v.run->exit_reason != KVM_EXIT_DEBUG)
				die("KVM_RUN did not step");
		}
		ns[r] = (double)(now_ns() - t) / N;
	}
	vm_close(&v);
	return median(ns);
}

static double create_us(const char *path, const uint32_t *code, size_t bytes)
{
	double us[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		struct vm v;
		uint64_t t = now_ns();

		vm_open(&v, path, code, bytes);
		run_to_mmio(&v);
		us[r] = (double)(now_ns() - t) / 1e3;
		vm_close(&v);
	}
	return median(us);
}

/* The hot integer loop: eor, add, ror, add, subs, b.ne; then str to the device */
static const uint32_t loop_alu[] = {0xca020063, 0x8b030084, 0x93c41c84, 0x91000c42,
				    0xf1000421, 0x54ffff61, 0xf9000161, 0x14000000};
/* The same with memory: ldr x2, [x10]; add x2, x2, #1; str x2, [x10]; ldr x3, [x10, #8]; subs; b.ne; str to the device
 */
static const uint32_t loop_mem[] = {0xf9400142, 0x91000442, 0xf9000142, 0xf9400543,
				    0xf1000421, 0x54ffff61, 0xf9000161, 0x14000000};
/* ldr x0, [x11]; b . - 4 */
static const uint32_t loop_mmio[] = {0xf9400160, 0x17ffffff};

int main(int argc, char **argv)
{
	const char *path = "/dev/kvm";

	if (argc == 3 && !strcmp(argv[1], "--kvm")) {
		real_kvm = 1;
		path = argv[2];
	} else if (argc != 1) {
		fprintf(stderr, "usage: kvm-bench [--kvm PATH]\n");
		return 2;
	}
	printf("%-44s %10.0f million/s\n", "guest instructions, hot integer loop",
	       speed(path, loop_alu, sizeof(loop_alu), 6, 3000000));
	printf("%-44s %10.0f million/s\n", "guest instructions, loop with loads and stores",
	       speed(path, loop_mem, sizeof(loop_mem), 6, 3000000));
	printf("%-44s %10.1f ns\n", "user-space MMIO round trip", mmio_ns(path, loop_mmio, sizeof(loop_mmio)));
	printf("%-44s %10.1f ns\n", "exact step", step_ns(path, loop_alu, sizeof(loop_alu)));
	printf("%-44s %10.1f us\n", "VM, vcpu, first instruction, first exit",
	       create_us(path, loop_mmio, sizeof(loop_mmio)));
	return 0;
}
