/* SPDX-License-Identifier: MIT */
/* Descriptors, and the errno of each ioctl for each thing that can be wrong. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

TEST(system_descriptor_answers)
{
	machine_new(WITHOUT_GIC);
	expect_eq(call(m.kvm, KVM_GET_API_VERSION, NULL), 12);
	expect_eq(call(m.kvm, KVM_GET_API_VERSION, value(1)), -EINVAL);
	expect_eq(call(m.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), 2 * sysconf(_SC_PAGESIZE));
	expect_eq(call(m.kvm, KVM_GET_VCPU_MMAP_SIZE, value(1)), -EINVAL);
	expect_eq(call(m.kvm, KVM_RUN, NULL), -EINVAL);
}

TEST(vm_types_are_ipa_sizes)
{
	static const struct {
		unsigned long type;
		int err;
	} rows[] = {{31, EINVAL}, {32, 0}, {40, 0}, {48, 0}, {53, EINVAL}, {1ul << 31, EINVAL}, {0x100, EINVAL}};
	int kvm = api_open(O_RDWR);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		long fd = call(kvm, KVM_CREATE_VM, value(rows[i].type));

		expect_eq(fd < 0 ? -fd : 0, rows[i].err);
		if (fd >= 0)
			api_close((int)fd);
	}
	api_close(kvm);
}

TEST(unknown_requests_fail_by_kind_of_descriptor)
{
	machine_new(0);
	expect_eq(call(m.kvm, 0x1234, NULL), -EINVAL);
	expect_eq(call(m.vm, 0x1234, NULL), -EINVAL);
	expect_eq(call(m.vcpu, 0x1234, NULL), -EINVAL);
	expect_eq(call(m.gic, 0x1234, NULL), -ENOTTY);
	expect_eq(call(m.vm, FIONREAD, &(int){0}), -EINVAL);
	expect_eq(call(m.gic, FIONREAD, &(int){0}), -ENOTTY);
	expect_eq(call(m.vcpu, KVM_GET_REGS, NULL), -EINVAL);
	expect_eq(call(m.vcpu, KVM_SET_REGS, NULL), -EFAULT); /* read before anybody asks what for */
	expect_eq(call(m.vcpu, KVM_SET_REGS, &(struct kvm_regs){0}), -EINVAL);
	expect_eq(call(m.vcpu, KVM_TRANSLATE, NULL), -EFAULT);
	expect_eq(call(m.vcpu, KVM_TRANSLATE, &(struct kvm_translation){0}), -EINVAL);
	expect_eq(call(m.vcpu, KVM_INTERRUPT, NULL), -EINVAL);
	expect_eq(call(m.vcpu, KVM_ENABLE_CAP, NULL), -EINVAL);
	expect_eq(call(0, KVM_RUN, NULL), kvm_path ? -ENOTTY : -EBADF); /* somebody else's */
	expect_eq(call(-1, KVM_RUN, NULL), -EBADF);
}

TEST(bad_pointers_are_efault)
{
	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, NULL), -EFAULT);
	expect_eq(call(m.vm, KVM_ARM_PREFERRED_TARGET, NULL), -EFAULT);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, value(8)), -EFAULT);
	expect_eq(call(m.vcpu, KVM_GET_ONE_REG, NULL), -EFAULT);
	expect_eq(call(m.vcpu, KVM_SET_ONE_REG, NULL), -EFAULT);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, NULL), -EFAULT);
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, NULL), -EFAULT);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, NULL), -EFAULT);
	expect_eq(try_get_reg(PC, NULL), -EFAULT);
}

TEST(an_argument_may_end_where_its_memory_ends_and_not_behind)
{
	uint8_t *p = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end = p + 4096;
	struct kvm_one_reg reg = {.id = PC};
	uint64_t pc = 0x1234;

	machine_new(WITHOUT_GIC);
	munmap(end, 4096);
	memcpy(end - 8, &pc, 8);
	expect_eq(try_set_reg(PC, end - 8), 0);
	memset(end - 8, 0, 8);
	expect_eq(try_get_reg(PC, end - 8), 0);
	expect_eq(memcmp(end - 8, &pc, 8), 0);
	for (int behind = 1; behind <= 8; behind++) {
		expect_eq(try_set_reg(PC, end - 8 + behind), -EFAULT);
		expect_eq(try_get_reg(PC, end - 8 + behind), -EFAULT);
	}
	expect_pc(0x1234);
	reg.addr = (uintptr_t)(end - 16);
	memcpy(end - sizeof(reg), &reg, sizeof(reg));
	expect_eq(call(m.vcpu, KVM_GET_ONE_REG, end - sizeof(reg)), 0);
	expect_eq(call(m.vcpu, KVM_GET_ONE_REG, end - sizeof(reg) + 8), -EFAULT);
	expect_eq(call(m.vcpu, KVM_GET_ONE_REG, value(1ull << 63)), -EFAULT);
	mprotect(p, 4096, PROT_READ);
	expect_eq(try_get_reg(PC, p), -EFAULT);
	expect_eq(try_set_reg(PC, p), 0);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, p), -EFAULT); /* 4 bytes */
	expect_eq(try_get_reg(PC, p + 1), -EFAULT);
	munmap(p, 4096);
}

TEST(a_long_answer_is_written_where_it_may_be_and_changes_nothing_beside)
{
	enum { LIST = 4096 }; /* bytes: longer than one page of ids with its head */
	uint8_t *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_reg_list *list = (void *)(p + 4096 - 8);
	uint64_t n = 0;

	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, &n), -E2BIG);
	expect_eq(n * 8 < LIST * 2, true);
	list->n = n;
	memset(p, 0xaa, 4096 - 8);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, list), 0);
	expect_eq(p[4096 - 9], 0xaa);
	expect_eq(((uint8_t *)&list->reg[n])[0], 0);
	mprotect(p + 4096, 4096, PROT_READ);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, list), -EFAULT);
	munmap(p, 4 * 4096);
}

TEST(vcpus_are_created_once_and_within_limits)
{
	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_CREATE_VCPU, value(0)), -EEXIST);
	expect_eq(call(m.vm, KVM_CREATE_VCPU, value(512)), -EINVAL);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_MAX_VCPUS)), 512);
}

TEST(vcpu_init_refuses_what_it_does_not_know)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};

	machine_new(WITHOUT_GIC | WITHOUT_INIT);
	expect_eq(call(m.vcpu, KVM_RUN, NULL), -ENOEXEC);
	expect_eq(try_get_reg(PC, &(uint64_t){0}), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, &(struct kvm_reg_list){0}), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_RUN, value(1)), -EINVAL);
	init.target = 77;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), -EINVAL);
	init.target = KVM_ARM_TARGET_GENERIC_V8;
	init.features[0] = 1u << 9;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), -ENOENT);
	init.features[0] = 0;
	init.features[3] = 1;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), -ENOENT);
	init.features[3] = 0;
	init.features[0] = 1u << KVM_ARM_VCPU_SVE;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), -EINVAL);
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0);
	init.features[0] = 0;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), -EINVAL);
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0);
}

TEST(vcpu_init_resets_registers)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	guest(NOP);
	set_reg(X(5), 5);
	set_reg(PSTATE, 0x3c4);
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0);
	expect_reg(PC, 0);
	expect_reg(X(5), 0);
	expect_reg(PSTATE, 0x3c5);
	expect_reg(SYS(3, 0, 1, 0, 0), 0x00c50078);
	expect_reg(SYS(2, 0, 1, 1, 4), 8);
	expect_reg(VBAR_EL1, 0);
}

TEST(mp_state_is_one_of_three)
{
	struct kvm_mp_state mp;

	guest_with(POWERED_OFF, NOP);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, &mp), 0);
	expect_eq(mp.mp_state, KVM_MP_STATE_STOPPED);
	mp.mp_state = KVM_MP_STATE_HALTED;
	expect_eq(call(m.vcpu, KVM_SET_MP_STATE, &mp), -EINVAL);
	mp.mp_state = KVM_MP_STATE_SUSPENDED;
	expect_eq(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, &mp), 0);
	expect_eq(mp.mp_state, KVM_MP_STATE_SUSPENDED);
}

TEST(vcpu_events_check_their_arguments)
{
	struct kvm_vcpu_events ev;

	guest(NOP);
	expect_eq(call(m.vcpu, KVM_GET_VCPU_EVENTS, &ev), 0);
	expect_eq(ev.exception.serror_pending, 0);
	expect_eq(ev.exception.serror_has_esr, 1);
	ev.exception.pad[0] = 1;
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), -EINVAL);
	ev.exception.pad[0] = 0;
	ev.reserved[11] = 1;
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), -EINVAL);
	ev.reserved[11] = 0;
	ev.exception.serror_esr = 1ull << 25;
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0);
	ev.exception.serror_pending = 1;
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), -EINVAL);
	ev.exception.serror_esr = 0x123;
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0);
	memset(&ev, 0, sizeof(ev));
	expect_eq(call(m.vcpu, KVM_GET_VCPU_EVENTS, &ev), 0);
	expect_eq(ev.exception.serror_pending, 1);
	expect_eq(ev.exception.serror_esr, 0x123);
	set_reg(PSTATE, 0x3c5 & ~0x100u); /* A clear: delivered before the first instruction */
	put_words(VECTORS + 0x380, (const uint32_t[]){STR_X3_DEV}, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(VECTORS + 0x380);
	expect_reg(ESR_EL1, 0xbe000123);
}

TEST(signal_mask_has_the_kernels_length)
{
	struct {
		uint32_t len; /* struct kvm_signal_mask */
		uint8_t set[8];
	} mask = {.len = 4};

	guest(NOP);
	expect_eq(call(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), -EINVAL);
	mask.len = 8;
	expect_eq(call(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	expect_eq(call(m.vcpu, KVM_SET_SIGNAL_MASK, NULL), 0);
}

TEST(a_pending_signal_that_the_mask_lets_in_is_eintr_and_stays_pending)
{
	struct {
		uint32_t len; /* struct kvm_signal_mask */
		uint8_t set[8];
	} mask = {.len = 8};
	sigset_t set;
	struct timespec none = {0};

	guest(LDR_X0_DEV, STR_X3_DEV);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	expect_eq(call(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	expect_exit(KVM_EXIT_MMIO);
	answer(7);
	raise(SIGUSR1);
	expect_error(EINTR);
	expect_eq(m.run->exit_reason, KVM_EXIT_INTR);
	expect_pc(ENTRY + 4);
	expect_reg(X(0), 7);
	expect_eq(sigtimedwait(&set, NULL, &none), SIGUSR1);
	expect_exit(KVM_EXIT_MMIO);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

TEST(device_creation_checks_its_type)
{
	struct kvm_create_device d = {.type = 99};

	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), -ENODEV);
	d.type = KVM_DEV_TYPE_ARM_PV_TIME;
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), -ENODEV);
	d.type = KVM_DEV_TYPE_ARM_VGIC_V3;
	d.flags = KVM_CREATE_DEVICE_TEST;
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
}

TEST(capabilities_are_enabled_with_flags_zero)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER, .flags = 1};

	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.flags = 0;
	cap.cap = 9999;
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.cap = KVM_CAP_ARM_WRITABLE_IMP_ID_REGS; /* a vcpu exists */
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	cap.args[0] = 2;
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.args[0] = 3;
	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
}

TEST(attributes_of_unknown_groups_are_enxio)
{
	struct kvm_device_attr a = {.group = 77};

	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_SET_DEVICE_ATTR, &a), -ENXIO);
	expect_eq(call(m.vm, KVM_HAS_DEVICE_ATTR, &a), -ENXIO);
	expect_eq(call(m.vm, KVM_GET_DEVICE_ATTR, &a), -EINVAL);
	expect_eq(call(m.vcpu, KVM_SET_DEVICE_ATTR, &a), -ENXIO);
	expect_eq(call(m.vcpu, KVM_GET_DEVICE_ATTR, &a), -ENXIO);
	expect_eq(call(m.vcpu, KVM_HAS_DEVICE_ATTR, &a), -ENXIO);
}

TEST(a_duplicate_descriptor_means_the_same_object)
{
	int copy;

	guest(ADD_X0_1, STR_X3_DEV);
	copy = dup(m.vcpu);
	expect_eq(kvm_path || pawl_is_fd(copy), true);
	expect_eq(call(copy, KVM_RUN, NULL), 0);
	expect_reg(X(0), 1);
	api_close(m.vcpu);
	m.vcpu = copy;
	expect_reg(X(0), 1);
}

TEST(a_vm_lives_as_long_as_its_vcpu)
{
	guest(ADD_X0_1, STR_X3_DEV);
	api_close(m.vm);
	m.vm = -1;
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 1);
}

TEST(a_closed_descriptor_is_no_more_ours)
{
	int fd, other;

	if (kvm_path)
		skip("of the library's functions");
	fd = api_open(O_RDWR);
	expect_eq(pawl_is_fd(fd), true);
	expect_eq(api_close(fd), 0);
	expect_eq(pawl_is_fd(fd), false);
	expect_eq(api_close(fd), -1);
	expect_eq(errno, EBADF);
	other = open("/dev/null", O_RDWR);
	expect_eq(pawl_is_fd(other), false);
	expect_eq(call(other, KVM_GET_API_VERSION, NULL), -EBADF);
	close(other);
}

TEST(many_vms_come_and_go)
{
	int before = dup(0);

	close(before);
	for (int i = 0; i < 50; i++) {
		guest(NOP, STR_X3_DEV);
		expect_exit(KVM_EXIT_MMIO);
		machine_free();
	}
	expect_eq(dup(0), before);
	close(before);
}
