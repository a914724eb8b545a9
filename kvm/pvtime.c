/* SPDX-License-Identifier: MIT */
/*
 * Paravirtual time: stolen time in a structure in guest memory (Arm DEN0057; KVM_ARM_VCPU_PVTIME_CTRL in vcpu.rst). Stolen is
 * what the host's scheduler says the vcpu's thread waited for a processor; it is written when KVM_RUN begins, after a wait and
 * whenever the guest is interrupted from outside, not each time the thread is scheduled in. Without the host's statistics
 * there is no paravirtual time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "hypercall.h"

enum { STRUCTURE_ALIGN = 64 /* bytes */, KEPT_FD_MIN = 512 /* above the numbers that clients see */ };
#define NOT_SET UINT64_MAX

struct stolen_time { /* DEN0057, "Stolen Time structure"; little endian */
	uint32_t revision, attributes;
	uint64_t stolen; /* ns */
};

bool pvtime_supported(void)
{
	return access("/proc/thread-self/schedstat", R_OK) == 0;
}

/* ---- the host's account of this thread: "time on a processor, time waiting for one, time slices", in ns */

static int open_schedstat(void)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	int kept = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FD_MIN);

	if (kept < 0)
		return fd;
	close(fd);
	return kept;
}

static bool read_delay(int fd, uint64_t *ns)
{
	char text[96];
	unsigned long long ran, waited;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	if (sscanf(text, "%llu %llu", &ran, &waited) != 2)
		return false;
	*ns = waited;
	return true;
}

/* What this thread has waited since the last look. A thread that is new to the vcpu begins at 0. */
static uint64_t newly_stolen(struct vcpu *vcpu)
{
	struct vcpu_pvtime *p = &vcpu->pvtime;
	uint64_t before = p->delay;

	if (p->open && pthread_equal(p->thread, pthread_self()) && read_delay(p->fd, &p->delay))
		return p->delay - before;
	if (p->open)
		close(p->fd);
	p->fd = open_schedstat();
	p->open = p->fd >= 0;
	p->thread = pthread_self();
	if (p->open)
		read_delay(p->fd, &p->delay);
	return 0;
}

/* ---- the guest's side */

/* vcpu thread in KVM_RUN */
void pvtime_record(struct vcpu *vcpu)
{
	ipa_t ipa = vcpu->pvtime.ipa + offsetof(struct stolen_time, stolen);
	uint64_t stolen, more = newly_stolen(vcpu);

	if (more == 0 || vm_read_guest(vcpu->vm, ipa, &stolen, sizeof(stolen)) != 0)
		return;
	stolen += more;
	vm_write_guest(vcpu->vm, ipa, &stolen, sizeof(stolen));
}

void pvtime_features(struct vcpu *vcpu)
{
	uint32_t fn = (uint32_t)smccc_arg(vcpu, 1);
	bool known = fn == SMCCC_PV_TIME_FEATURES || fn == SMCCC_PV_TIME_ST;

	smccc_return(vcpu, known && vcpu->pvtime.set ? 0 : SMCCC_RET_NOT_SUPPORTED, 0, 0, 0);
}

/* PV_TIME_ST: where the structure is; it counts from now. */
void pvtime_start(struct vcpu *vcpu)
{
	static const struct stolen_time zero;

	if (!vcpu->pvtime.set) {
		smccc_return(vcpu, SMCCC_RET_NOT_SUPPORTED, 0, 0, 0);
		return;
	}
	newly_stolen(vcpu);
	vm_write_guest(vcpu->vm, vcpu->pvtime.ipa, &zero, sizeof(zero));
	smccc_return(vcpu, vcpu->pvtime.ipa, 0, 0, 0);
}

/* ---- the client's side */

int pvtime_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	return attr->attr == KVM_ARM_VCPU_PVTIME_IPA && pvtime_supported() ? 0 : -ENXIO;
}

int pvtime_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	uint64_t ipa;
	int err = pvtime_has_attr(vcpu, attr);

	if (!err)
		err = client_read(&ipa, attr->addr, sizeof(ipa));
	if (err)
		return err;
	if (ipa % STRUCTURE_ALIGN)
		return -EINVAL;
	if (vcpu->pvtime.set)
		return -EEXIST;
	if (!vm_has_slot(vcpu->vm, ipa))
		return -EINVAL;
	vcpu->pvtime.ipa = ipa;
	vcpu->pvtime.set = true;
	return 0;
}

int pvtime_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	uint64_t ipa = vcpu->pvtime.set ? vcpu->pvtime.ipa : NOT_SET;
	int err = pvtime_has_attr(vcpu, attr);

	return err ? err : client_write(attr->addr, &ipa, sizeof(ipa));
}

void pvtime_vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->pvtime.open)
		close(vcpu->pvtime.fd);
}
