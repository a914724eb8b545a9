/* SPDX-License-Identifier: MIT */
/*
 * The interface's numbers and layouts as literals, checked by the compiler: a slip in <pawl/kvm.h> does not build. The
 * literals are what arm64 programs have in them. compare.py checks every name of the header against the kernel's.
 */
#include <pawl/kvm.h>
#include <pawl/pawl.h>

#define REQUEST(name, number) _Static_assert((name) == (number), #name)
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, bytes) _Static_assert(offsetof(type, field) == (bytes), #type "." #field)
#define EQUAL(a, b) _Static_assert((a) == (b), #a)

REQUEST(KVM_GET_API_VERSION, 0x0000AE00);
REQUEST(KVM_CREATE_VM, 0x0000AE01);
REQUEST(KVM_CHECK_EXTENSION, 0x0000AE03);
REQUEST(KVM_GET_VCPU_MMAP_SIZE, 0x0000AE04);

REQUEST(KVM_CREATE_VCPU, 0x0000AE41);
REQUEST(KVM_SET_USER_MEMORY_REGION, 0x4020AE46);
REQUEST(KVM_SET_USER_MEMORY_REGION2, 0x40A0AE49);
REQUEST(KVM_GET_DIRTY_LOG, 0x4010AE42);
REQUEST(KVM_CLEAR_DIRTY_LOG, 0xC018AEC0);
REQUEST(KVM_RESET_DIRTY_RINGS, 0x0000AEC7);
REQUEST(KVM_CREATE_IRQCHIP, 0x0000AE60);
REQUEST(KVM_IRQ_LINE, 0x4008AE61);
REQUEST(KVM_IRQ_LINE_STATUS, 0xC008AE67);
REQUEST(KVM_SET_GSI_ROUTING, 0x4008AE6A);
REQUEST(KVM_IRQFD, 0x4020AE76);
REQUEST(KVM_IOEVENTFD, 0x4040AE79);
REQUEST(KVM_SIGNAL_MSI, 0x4020AEA5);
REQUEST(KVM_REGISTER_COALESCED_MMIO, 0x4010AE67);
REQUEST(KVM_UNREGISTER_COALESCED_MMIO, 0x4010AE68);
REQUEST(KVM_ARM_SET_DEVICE_ADDR, 0x4010AEAB);
REQUEST(KVM_ARM_PREFERRED_TARGET, 0x8020AEAF);
REQUEST(KVM_CREATE_DEVICE, 0xC00CAEE0);
REQUEST(KVM_SET_DEVICE_ATTR, 0x4018AEE1);
REQUEST(KVM_GET_DEVICE_ATTR, 0x4018AEE2);
REQUEST(KVM_HAS_DEVICE_ATTR, 0x4018AEE3);
REQUEST(KVM_ENABLE_CAP, 0x4068AEA3);
REQUEST(KVM_ARM_MTE_COPY_TAGS, 0x8030AEB4);
REQUEST(KVM_ARM_SET_COUNTER_OFFSET, 0x4010AEB5);
REQUEST(KVM_ARM_GET_REG_WRITABLE_MASKS, 0x8040AEB6);
REQUEST(KVM_GET_STATS_FD, 0x0000AECE);
REQUEST(KVM_CREATE_GUEST_MEMFD, 0xC040AED4);
REQUEST(KVM_SET_MEMORY_ATTRIBUTES, 0x4020AED2);
REQUEST(KVM_PRE_FAULT_MEMORY, 0xC040AED5);

REQUEST(KVM_RUN, 0x0000AE80);
REQUEST(KVM_ARM_VCPU_INIT, 0x4020AEAE);
REQUEST(KVM_ARM_VCPU_FINALIZE, 0x4004AEC2);
REQUEST(KVM_GET_REG_LIST, 0xC008AEB0);
REQUEST(KVM_GET_ONE_REG, 0x4010AEAB);
REQUEST(KVM_SET_ONE_REG, 0x4010AEAC);
REQUEST(KVM_GET_MP_STATE, 0x8004AE98);
REQUEST(KVM_SET_MP_STATE, 0x4004AE99);
REQUEST(KVM_GET_VCPU_EVENTS, 0x8040AE9F);
REQUEST(KVM_SET_VCPU_EVENTS, 0x4040AEA0);
REQUEST(KVM_SET_GUEST_DEBUG, 0x4208AE9B);
REQUEST(KVM_SET_SIGNAL_MASK, 0x4004AE8B);
REQUEST(KVM_GET_REGS, 0x8360AE81);
REQUEST(KVM_SET_REGS, 0x4360AE82);
REQUEST(KVM_GET_SREGS, 0x8000AE83);
REQUEST(KVM_SET_SREGS, 0x4000AE84);
REQUEST(KVM_GET_FPU, 0x8000AE8C);
REQUEST(KVM_SET_FPU, 0x4000AE8D);
REQUEST(KVM_TRANSLATE, 0xC018AE85);

SIZE(struct kvm_regs, 864);
AT(struct kvm_regs, regs.sp, 248);
AT(struct kvm_regs, regs.pc, 256);
AT(struct kvm_regs, regs.pstate, 264);
AT(struct kvm_regs, sp_el1, 272);
AT(struct kvm_regs, elr_el1, 280);
AT(struct kvm_regs, spsr, 288);
AT(struct kvm_regs, fp_regs, 336);
AT(struct kvm_regs, fp_regs.fpsr, 848);
AT(struct kvm_regs, fp_regs.fpcr, 852);

SIZE(struct kvm_run, 2352);
AT(struct kvm_run, immediate_exit, 1);
AT(struct kvm_run, exit_reason, 8);
AT(struct kvm_run, ready_for_interrupt_injection, 12);
AT(struct kvm_run, flags, 14);
AT(struct kvm_run, cr8, 16);
AT(struct kvm_run, apic_base, 24);
AT(struct kvm_run, padding, 32);
AT(struct kvm_run, fail_entry.cpu, 40);
AT(struct kvm_run, debug.arch.hsr, 32);
AT(struct kvm_run, debug.arch.hsr_high, 36);
AT(struct kvm_run, debug.arch.far, 40);
AT(struct kvm_run, mmio.phys_addr, 32);
AT(struct kvm_run, mmio.data, 40);
AT(struct kvm_run, mmio.len, 48);
AT(struct kvm_run, mmio.is_write, 52);
AT(struct kvm_run, hypercall.args, 40);
AT(struct kvm_run, hypercall.ret, 88);
AT(struct kvm_run, hypercall.longmode, 96);
AT(struct kvm_run, hypercall.flags, 96);
AT(struct kvm_run, internal.data, 40);
AT(struct kvm_run, system_event.ndata, 36);
AT(struct kvm_run, system_event.data, 40);
AT(struct kvm_run, arm_nisv.fault_ipa, 40);
AT(struct kvm_run, memory_fault.size, 48);
AT(struct kvm_run, arm_sea.gpa, 56);
AT(struct kvm_run, kvm_valid_regs, 288);
AT(struct kvm_run, kvm_dirty_regs, 296);
AT(struct kvm_run, s.regs.device_irq_level, 304);

SIZE(struct kvm_userspace_memory_region, 32);
SIZE(struct kvm_userspace_memory_region2, 160);
AT(struct kvm_userspace_memory_region2, guest_memfd_offset, 32);
AT(struct kvm_userspace_memory_region2, guest_memfd, 40);
SIZE(struct kvm_dirty_log, 16);
SIZE(struct kvm_clear_dirty_log, 24);
AT(struct kvm_clear_dirty_log, first_page, 8);
SIZE(struct kvm_dirty_gfn, 16);
SIZE(struct kvm_coalesced_mmio_zone, 16);
SIZE(struct kvm_coalesced_mmio, 24);
SIZE(struct kvm_coalesced_mmio_ring, 8);
SIZE(struct kvm_irq_level, 8);
SIZE(struct kvm_irq_routing_entry, 48);
AT(struct kvm_irq_routing_entry, u, 16);
SIZE(struct kvm_irqfd, 32);
AT(struct kvm_irqfd, resamplefd, 12);
SIZE(struct kvm_ioeventfd, 64);
AT(struct kvm_ioeventfd, flags, 24);
SIZE(struct kvm_msi, 32);
AT(struct kvm_msi, devid, 16);
SIZE(struct kvm_create_device, 12);
SIZE(struct kvm_device_attr, 24);
SIZE(struct kvm_enable_cap, 104);
SIZE(struct kvm_vcpu_init, 32);
SIZE(struct kvm_vcpu_events, 64);
AT(struct kvm_vcpu_events, exception.ext_dabt_pending, 2);
AT(struct kvm_vcpu_events, exception.serror_esr, 8);
SIZE(struct kvm_guest_debug, 520);
AT(struct kvm_guest_debug, arch.dbg_bvr, 136);
AT(struct kvm_guest_debug, arch.dbg_wcr, 264);
AT(struct kvm_guest_debug, arch.dbg_wvr, 392);
SIZE(struct kvm_smccc_filter, 24);
SIZE(struct kvm_pmu_event_filter, 8);
SIZE(struct kvm_arm_copy_mte_tags, 48);
SIZE(struct kvm_arm_counter_offset, 16);
SIZE(struct reg_mask_range, 64);
SIZE(struct kvm_stats_header, 24);
SIZE(struct kvm_stats_desc, 16);

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
EQUAL(CORE(regs.regs[30]) | KVM_REG_SIZE_U64, 0x603000000010003C);
EQUAL(CORE(regs.sp) | KVM_REG_SIZE_U64, 0x603000000010003E);
EQUAL(CORE(regs.pc) | KVM_REG_SIZE_U64, 0x6030000000100040);
EQUAL(CORE(regs.pstate) | KVM_REG_SIZE_U64, 0x6030000000100042);
EQUAL(CORE(sp_el1) | KVM_REG_SIZE_U64, 0x6030000000100044);
EQUAL(CORE(elr_el1) | KVM_REG_SIZE_U64, 0x6030000000100046);
EQUAL(CORE(spsr[KVM_SPSR_FIQ]) | KVM_REG_SIZE_U64, 0x6030000000100050);
EQUAL(CORE(fp_regs.vregs[31]) | KVM_REG_SIZE_U128, 0x60400000001000D0);
EQUAL(CORE(fp_regs.fpsr) | KVM_REG_SIZE_U32, 0x60200000001000D4);
EQUAL(CORE(fp_regs.fpcr) | KVM_REG_SIZE_U32, 0x60200000001000D5);
EQUAL(ARM64_SYS_REG(3, 0, 0, 0, 5), 0x603000000013C005);
EQUAL(ARM64_SYS_REG(2, 0, 0, 2, 2), 0x6030000000138012);
EQUAL(KVM_REG_ARM_TIMER_CTL, 0x603000000013DF19);
EQUAL(KVM_REG_ARM_TIMER_CNT, 0x603000000013DF1A);
EQUAL(KVM_REG_ARM_TIMER_CVAL, 0x603000000013DF02);
EQUAL(KVM_REG_ARM_PTIMER_CTL, 0x603000000013DF11);
EQUAL(KVM_REG_ARM_PTIMER_CVAL, 0x603000000013DF12);
EQUAL(KVM_REG_ARM_PTIMER_CNT, 0x603000000013DF01);
EQUAL(KVM_REG_ARM_PSCI_VERSION, 0x6030000000140000);
EQUAL(KVM_REG_ARM_STD_BMAP, 0x6030000000160000);
EQUAL(KVM_REG_ARM_VENDOR_HYP_BMAP_2, 0x6030000000160003);
EQUAL(KVM_REG_ARM64_SVE_VLS, 0x606000000015FFFF);
EQUAL(KVM_REG_ARM64_SVE_ZREG(31, 0), 0x60800000001503E0);
EQUAL(KVM_REG_ARM64_SVE_PREG(15, 0), 0x60500000001505E0);
EQUAL(KVM_REG_ARM64_SVE_FFR(0), 0x6050000000150600);
EQUAL(KVM_REG_SIZE(KVM_REG_ARM64_SVE_VLS), 64);
EQUAL(KVM_ARM64_SVE_VLS_WORDS, 8);
EQUAL(KVM_ARM_FEATURE_ID_RANGE_IDX(3, 3, 0, 0, 1), 129);
EQUAL(KVM_DIRTY_LOG_PAGE_OFFSET, 64);

/* Macros are what they say in every context that clients use them in. */
int main(void)
{
	struct kvm_run run = {.exit_reason = KVM_EXIT_HYPERCALL, .hypercall.longmode = 1};
#if defined(KVM_DEV_TYPE_ARM_VGIC_V5) && defined(KVM_CAP_SET_GUEST_DEBUG)
	return run.hypercall.flags != 1;
#else
	return 1;
#endif
}
