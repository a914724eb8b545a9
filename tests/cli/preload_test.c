/* SPDX-License-Identifier: MIT */
/*
 * An ordinary KVM client, built with the flags of pawl-kvm.pc and run with the preload library. It knows nothing of
 * pawl, and passes on a real arm64 /dev/kvm, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CODE = 0x40000000, DEVICE = 0x0a000000, RAM_SIZE = 0x10000 };

struct client {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint32_t *ram;
};

static void start(struct client *c, const uint32_t *code, size_t size)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = CODE, .memory_size = RAM_SIZE};
	struct kvm_vcpu_init init;
	uint64_t pc = CODE;
	struct kvm_one_reg reg = {.id = 0x6030000000100040, .addr = (uintptr_t)&pc};

	c->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	assert_true(c->kvm >= 0);
	c->vm = ioctl(c->kvm, KVM_CREATE_VM, 0);
	assert_true(c->vm >= 0);
	c->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(c->ram, MAP_FAILED);
	memcpy(c->ram, code, size);
	slot.userspace_addr = (uintptr_t)c->ram;
	assert_int_equal(ioctl(c->vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	c->vcpu = ioctl(c->vm, KVM_CREATE_VCPU, 0);
	assert_true(c->vcpu >= 0);
	assert_int_equal(ioctl(c->vm, KVM_ARM_PREFERRED_TARGET, &init), 0);
	assert_int_equal(ioctl(c->vcpu, KVM_ARM_VCPU_INIT, &init), 0);
	assert_int_equal(ioctl(c->vcpu, KVM_SET_ONE_REG, &reg), 0);
	c->run_size = (size_t)ioctl(c->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	c->run = mmap(NULL, c->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->vcpu, 0);
	assert_ptr_not_equal(c->run, MAP_FAILED);
}

static void stop(struct client *c)
{
	assert_int_equal(munmap(c->run, c->run_size), 0);
	assert_int_equal(close(c->vcpu), 0);
	assert_int_equal(close(c->vm), 0);
	assert_int_equal(close(c->kvm), 0);
	assert_int_equal(munmap(c->ram, RAM_SIZE), 0);
}

static void the_device_answers_with_the_arm64_interface(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR);

	assert_true(kvm >= 0);
	assert_int_equal(ioctl(kvm, KVM_GET_API_VERSION, 0), 12);
	assert_in_range(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE), 32, 52);
	assert_int_equal(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG), 1);
	assert_int_equal(ioctl(kvm, KVM_CREATE_VCPU, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(close(kvm), 0);
}

static void a_guest_runs_up_to_its_first_device_access(void **state)
{
	static const uint32_t code[] = {
		0x52800aa0, /* mov w0, #0x55 */
		0xd2a14001, /* mov x1, #0x0a000000 */
		0xb9000020, /* str w0, [x1] */
		0x14000000, /* b . */
	};
	struct client c;

	start(&c, code, sizeof(code));
	assert_int_equal(ioctl(c.vcpu, KVM_RUN, 0), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(c.run->mmio.phys_addr, DEVICE);
	assert_int_equal(c.run->mmio.len, 4);
	assert_int_equal(c.run->mmio.is_write, 1);
	assert_int_equal(c.run->mmio.data[0], 0x55);
	stop(&c);
}

static volatile sig_atomic_t alarms;

static void count(int sig)
{
	alarms++;
}

static void a_handled_signal_ends_kvm_run(void **state)
{
	static const uint32_t code[] = {0x14000000}; /* b . */
	/* again and again, so that one that comes before KVM_RUN does not matter */
	struct itimerval timer = {.it_value.tv_usec = 5000, .it_interval.tv_usec = 5000}, off = {.it_value.tv_sec = 0};
	struct sigaction action = {.sa_handler = count}, old;
	struct client c;

	start(&c, code, sizeof(code));
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ioctl(c.vcpu, KVM_RUN, 0), -1);
		assert_int_equal(errno, EINTR);
		assert_int_equal(c.run->exit_reason, KVM_EXIT_INTR);
		assert_true(alarms > i);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, &action), 0);
	assert_ptr_equal(action.sa_handler, count);
	stop(&c);
}

static void a_descriptor_can_be_duplicated_and_closed(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR), copy = dup(kvm);

	assert_int_equal(close(kvm), 0);
	assert_int_equal(ioctl(kvm, KVM_GET_API_VERSION, 0), -1);
	assert_true(errno == EBADF || errno == ENOSYS); /* ENOSYS: qemu-user's answer to requests it does not know */
	assert_int_equal(ioctl(copy, KVM_GET_API_VERSION, 0), 12);
	assert_int_equal(close(copy), 0);
	assert_int_equal(close(copy), -1);
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_answers_with_the_arm64_interface),
		cmocka_unit_test(a_guest_runs_up_to_its_first_device_access),
		cmocka_unit_test(a_handled_signal_ends_kvm_run),
		cmocka_unit_test(a_descriptor_can_be_duplicated_and_closed),
	};

	return cmocka_run_group_tests_name("preload", tests, NULL, NULL);
}
