/* SPDX-License-Identifier: MIT */
/*
 * A core file of the guest, as crash and drgn open it: what a kdump kernel's /proc/vmcore would be. ELF64 (System V ABI,
 * chapter 4, and its supplement for arm64): notes, RAM at its physical addresses, and, of a Linux guest, the part of the kernel's image
 * that a reader needs before it can walk the page tables. The notes are a struct elf_prstatus for each vcpu (the kernel's include/linux/elfcore.h) and VMCOREINFO (Documentation/admin-guide/kdump), which
 * a Linux guest keeps in memory ready to be found. Where the file can have holes, pages of zeros are holes.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bits.h"
#include "machine.h"

enum { CHUNK = 64 << 10, NOTE_PAGE = 4096, RAM_ALIGN = 0x10000 };
enum { /* struct elf_prstatus of arm64: 392 bytes */
       PRSTATUS_SIZE = 392,
       PRSTATUS_PID = 32,
       PRSTATUS_REG = 112 /* x0..x30, sp, pc, pstate */
};

#define CORE(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define VBAR_EL1 ARM64_SYS_REG(3, 0, 12, 0, 0)

static int get(const struct machine *m, unsigned vcpu, uint64_t id, uint64_t *val)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)val};

	return m->sys->ioctl(m->vcpus[vcpu].fd, KVM_GET_ONE_REG, &reg);
}

/* ---- notes */

struct notes {
	uint8_t *data;
	size_t size, room;
};

static bool note(struct notes *n, const char *name, uint32_t type, const void *desc, size_t size)
{
	Elf64_Nhdr h = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)size, .n_type = type};
	size_t name_room = (h.n_namesz + 3) & ~3u, need = sizeof(h) + name_room + ((size + 3) & ~(size_t)3);

	if (need > n->room - n->size)
		return false;
	memset(n->data + n->size, 0, need);
	memcpy(n->data + n->size, &h, sizeof(h));
	memcpy(n->data + n->size + sizeof(h), name, h.n_namesz);
	memcpy(n->data + n->size + sizeof(h) + name_room, desc, size);
	n->size += need;
	return true;
}

static int vcpu_note(struct notes *n, const struct machine *m, unsigned vcpu)
{
	uint8_t status[PRSTATUS_SIZE] = {0};
	uint64_t reg[34], sp_el1;
	uint32_t pid = vcpu + 1;

	for (unsigned i = 0; i < 31; i++)
		if (get(m, vcpu, CORE(regs.regs[0]) + 2 * i, &reg[i])) /* register numbers count 32 bits */
			return -1;
	if (get(m, vcpu, CORE(regs.sp), &reg[31]) || get(m, vcpu, CORE(sp_el1), &sp_el1) ||
	    get(m, vcpu, CORE(regs.pc), &reg[32]) || get(m, vcpu, CORE(regs.pstate), &reg[33]))
		return -1;
	if ((reg[33] & 0xf) == 5) /* EL1h */
		reg[31] = sp_el1;
	memcpy(status + PRSTATUS_PID, &pid, sizeof(pid));
	memcpy(status + PRSTATUS_REG, reg, sizeof(reg));
	return note(n, "CORE", NT_PRSTATUS, status, sizeof(status)) ? 0 : -1;
}

/* The number behind "NAME=" at the start of a line; false: none. */
static bool info_number(const char *info, size_t size, const char *name, int base, uint64_t *val)
{
	size_t len = strlen(name);

	for (size_t i = 0; i + len < size; i++)
		if ((!i || info[i - 1] == '\n') && !memcmp(info + i, name, len)) {
			char number[21] = "";

			snprintf(number, sizeof(number), "%.*s", (int)(size - i - len), info + i + len);
			*val = strtoull(number, NULL, base);
			return true;
		}
	return false;
}

/*
 * Linux's VMCOREINFO note: in RAM at a page's start, since about 2017 filled when the kernel boots. What an earlier kernel
 * left, before a reset, names addresses that this one does not use: VBAR_EL1 lies in the text of the one that runs.
 */
static const char *find_vmcoreinfo(const struct machine *m, size_t *size)
{
	static const char name[12] = "VMCOREINFO", begin[] = "OSRELEASE=";
	const char *found = NULL;
	uint64_t vbar = 0, text;

	if (get(m, 0, VBAR_EL1, &vbar))
		vbar = 0;
	for (uint64_t at = 0; at + NOTE_PAGE <= m->ram.size; at += NOTE_PAGE) {
		const uint8_t *p = m->host_ram + at;
		const char *info = (const char *)p + sizeof(Elf64_Nhdr) + sizeof(name);
		Elf64_Nhdr h;
		bool ours;

		memcpy(&h, p, sizeof(h));
		if (h.n_namesz != sizeof("VMCOREINFO") || h.n_type || h.n_descsz < sizeof(begin) ||
		    h.n_descsz > NOTE_PAGE || h.n_descsz > m->ram.size - at - sizeof(h) - sizeof(name) ||
		    memcmp(p + sizeof(h), name, sizeof(name)) != 0 || memcmp(info, begin, sizeof(begin) - 1) != 0)
			continue;
		ours = info_number(info, h.n_descsz, "SYMBOL(_stext)=", 16, &text) && vbar - text < UINT64_C(1) << 28;
		if (found && !ours)
			continue;
		found = info;
		*size = h.n_descsz;
		if (ours)
			break;
	}
	return found;
}

/* Where the kernel is, by its VMCOREINFO: virtual addresses for what is in the file by physical ones. */
static void locate_kernel(const struct machine *m, const char *info, size_t size, Elf64_Phdr *ram, Elf64_Phdr *kernel)
{
	uint64_t text, tables, offset, va_bits, phys;

	if (info_number(info, size, "NUMBER(VA_BITS)=", 10, &va_bits) && va_bits >= 36 && va_bits <= 52 &&
	    info_number(info, size, "NUMBER(PHYS_OFFSET)=", 16, &phys))
		ram->p_vaddr = m->ram.ipa - phys - (UINT64_C(1) << va_bits); /* the linear map */
	if (!info_number(info, size, "SYMBOL(_stext)=", 16, &text) ||
	    !info_number(info, size, "SYMBOL(swapper_pg_dir)=", 16, &tables) ||
	    !info_number(info, size, "NUMBER(kimage_voffset)=", 16, &offset) || tables < text ||
	    tables - text > m->ram.size || !machine_ram((struct machine *)m, text - offset, tables - text + RAM_ALIGN))
		return;
	*kernel = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = text - offset - m->ram.ipa, /* from RAM's, which is not known yet */
		.p_vaddr = text,
		.p_paddr = text - offset,
		.p_filesz = tables - text + RAM_ALIGN,
		.p_memsz = tables - text + RAM_ALIGN,
	};
}

static int make_notes(struct notes *n, const struct machine *m, Elf64_Phdr *ram, Elf64_Phdr *kernel,
		      struct vmm_error *err)
{
	const char *info;
	size_t size;

	n->room = m->n_vcpus * (PRSTATUS_SIZE + 64) + NOTE_PAGE + 64;
	n->size = 0;
	n->data = malloc(n->room);
	if (!n->data)
		return vmm_fail(err, "no memory for the core file's notes");
	for (unsigned i = 0; i < m->n_vcpus; i++)
		if (vcpu_note(n, m, i))
			return vmm_fail(err, "cannot read the registers of vcpu %u: %s", i, strerror(errno));
	info = find_vmcoreinfo(m, &size);
	if (info && note(n, "VMCOREINFO", 0, info, size))
		locate_kernel(m, info, size, ram, kernel);
	return 0;
}

/* ---- the file */

static int put(int fd, const void *data, size_t size, struct vmm_error *err)
{
	const uint8_t *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return vmm_fail(err, "cannot write the core file: %s", strerror(n ? errno : ENOSPC));
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static bool zeros(const uint8_t *p, size_t size)
{
	return !p[0] && !memcmp(p, p + 1, size - 1);
}

static int put_ram(const struct machine *m, int fd, bool holes, const atomic_bool *cancel, struct vmm_error *err)
{
	for (uint64_t at = 0; at < m->ram.size; at += CHUNK) {
		size_t n = m->ram.size - at < CHUNK ? (size_t)(m->ram.size - at) : CHUNK;

		if (atomic_load(cancel))
			return vmm_fail(err, "the machine has ended before the core file was complete");
		if (holes && zeros(m->host_ram + at, n)) {
			if (lseek(fd, (off_t)n, SEEK_CUR) < 0)
				return vmm_fail(err, "cannot write the core file: %s", strerror(errno));
		} else if (put(fd, m->host_ram + at, n, err)) {
			return -1;
		}
	}
	return 0;
}

int vmcore_write(struct machine *m, int fd, const atomic_bool *cancel, uint64_t *size, struct vmm_error *err)
{
	static const uint8_t padding[RAM_ALIGN];
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr note, ram, kernel;
	} head = {
		.e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		      .e_type = ET_CORE,
		      .e_machine = EM_AARCH64,
		      .e_version = EV_CURRENT,
		      .e_phoff = sizeof(Elf64_Ehdr),
		      .e_ehsize = sizeof(Elf64_Ehdr),
		      .e_phentsize = sizeof(Elf64_Phdr)},
		.note = {.p_type = PT_NOTE, .p_offset = sizeof(head), .p_align = 4},
		.ram = {.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W | PF_X}, /* p_align 0: what kdump does, and crash knows it by */
	};
	struct notes notes;
	bool holes = lseek(fd, 0, SEEK_CUR) == 0;
	int rc = make_notes(&notes, m, &head.ram, &head.kernel, err);

	head.note.p_filesz = head.note.p_memsz = notes.size;
	head.ram.p_offset = align_up(sizeof(head) + notes.size, RAM_ALIGN);
	head.kernel.p_offset += head.ram.p_offset;
	head.e.e_phnum = head.kernel.p_type == PT_LOAD ? 3 : 2;
	head.ram.p_paddr = m->ram.ipa;
	head.ram.p_filesz = head.ram.p_memsz = m->ram.size;
	*size = head.ram.p_offset + m->ram.size;
	if (!rc && holes && ftruncate(fd, (off_t)*size))
		holes = false;
	if (!rc)
		rc = put(fd, &head, sizeof(head), err) || put(fd, notes.data, notes.size, err) ||
		     put(fd, padding, head.ram.p_offset - sizeof(head) - notes.size, err) ||
		     put_ram(m, fd, holes, cancel, err);
	free(notes.data);
	return rc ? -1 : 0;
}
