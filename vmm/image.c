/* SPDX-License-Identifier: MIT */
/*
 * Recognises kernel files: the arm64 Image ("Booting AArch64 Linux", the kernel's
 * Documentation/arch/arm64/booting.rst), the same in gzip, zstd or an EFI zboot wrapper, and static arm64 ELF programs
 * (ELF specification, "Program Header"). Anything else is named in the message. Every offset and size is the file's
 * word and checked before use.
 */
#include "image.h"

#include <ctype.h>
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

struct bytes {
	const uint8_t *p;
	size_t size;
};

static uint64_t get_le(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static bool has(struct bytes b, size_t offset, const void *magic, size_t len)
{
	return b.p && b.size >= offset && b.size - offset >= len && !memcmp(b.p + offset, magic, len);
}

/* ---- decompression: each grows its output up to limit */

/* Makes room for more output; *cap is 0 at first. False: the limit is reached or there is no memory. */
static bool grow(uint8_t **out, size_t *cap, size_t limit)
{
	size_t want = *cap ? *cap * 2 : 1 << 20;
	uint8_t *p;

	if (*cap >= limit)
		return false;
	if (want > limit)
		want = limit;
	p = realloc(*out, want);
	if (!p)
		return false;
	*out = p;
	*cap = want;
	return true;
}

static int too_large(size_t limit, struct vmm_error *err)
{
	return vmm_fail(err, "unpacks to more than the guest's memory (%zu MiB)", limit >> 20);
}

static int unpack_gzip(struct bytes in, size_t limit, uint8_t **out, size_t *size, struct vmm_error *err)
{
	z_stream z = {.next_in = (uint8_t *)in.p};
	size_t left = in.size, cap = 0;
	int rc;

	*out = NULL;
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return vmm_fail(err, "no memory to unpack gzip data");
	do {
		size_t chunk, room;

		if (z.total_out == cap && !grow(out, &cap, limit)) {
			rc = Z_MEM_ERROR;
			break;
		}
		if (!z.avail_in) {
			chunk = left < 1 << 30 ? left : 1 << 30;
			z.avail_in = (unsigned)chunk;
			left -= chunk;
		}
		room = cap - z.total_out;
		z.next_out = *out + z.total_out;
		z.avail_out = room < 1 << 30 ? (unsigned)room : 1 << 30;
		rc = inflate(&z, Z_NO_FLUSH);
	} while (rc == Z_OK);
	*size = z.total_out;
	inflateEnd(&z);
	if (rc == Z_STREAM_END)
		return 0;
	free(*out);
	*out = NULL;
	if (rc == Z_MEM_ERROR)
		return too_large(limit, err);
	if (rc == Z_BUF_ERROR)
		return vmm_fail(err, "gzip data ends early, after %zu bytes (%zu unpacked): truncated file?", in.size,
				*size);
	return vmm_fail(err, "bad gzip data, %zu bytes unpacked", *size);
}

static int unpack_zstd(struct bytes in, size_t limit, uint8_t **out, size_t *size, struct vmm_error *err)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer src = {in.p, in.size, 0};
	ZSTD_outBuffer dst = {NULL, 0, 0};
	size_t rc = 1, cap = 0;

	*out = NULL;
	if (!z)
		return vmm_fail(err, "no memory to unpack zstd data");
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 31);
	do {
		size_t before = src.pos, made = dst.pos;

		if (dst.pos == cap && !grow(out, &cap, limit)) {
			ZSTD_freeDStream(z);
			free(*out);
			*out = NULL;
			return too_large(limit, err);
		}
		dst.dst = *out;
		dst.size = cap;
		rc = ZSTD_decompressStream(z, &dst, &src);
		if (!ZSTD_isError(rc) && rc && src.pos == before && dst.pos == made)
			break; /* no progress: the input is at its end */
	} while (!ZSTD_isError(rc) && rc);
	ZSTD_freeDStream(z);
	*size = dst.pos;
	if (!rc)
		return 0;
	free(*out);
	*out = NULL;
	if (ZSTD_isError(rc))
		return vmm_fail(err, "bad zstd data: %s", ZSTD_getErrorName(rc));
	return vmm_fail(err, "zstd data ends early, after %zu bytes (%zu unpacked): truncated file?", in.size, *size);
}

/* ---- what else a file may be */

struct magic {
	size_t offset;
	const char *bytes;
	size_t len;
	const char *what;
};

static const struct magic magics[] = {
	{0, "070701", 6, "a cpio archive (an initramfs goes with --initrd)"},
	{0, "070702", 6, "a cpio archive (an initramfs goes with --initrd)"},
	{0, "\x27\x05\x19\x56", 4, "a U-Boot uImage (unwrap the Image first)"},
	{0, "\xd0\x0d\xfe\xed", 4, "a flattened device tree or a FIT image"},
	{0,
	 "\xfd"
	 "7zXZ\0",
	 6, "an xz file (unpack it first)"},
	{0, "\x04\x22\x4d\x18", 4, "an lz4 file (unpack it first)"},
	{0, "\x02\x21\x4c\x18", 4, "an lz4 file (unpack it first)"},
	{0, "\x5d\0\0", 3, "an lzma file (unpack it first)"},
	{0, "BZh", 3, "a bzip2 file (unpack it first)"},
	{0, "\x89LZO", 4, "an lzop file (unpack it first)"},
	{0, "PK\3\4", 4, "a zip archive"},
	{0, "7z\xbc\xaf\x27\x1c", 6, "a 7z archive"},
	{0, "!<arch>\n", 8, "an ar archive or Debian package"},
	{0, "\xed\xab\xee\xdb", 4, "an RPM package"},
	{0, "ANDROID!", 8, "an Android boot image"},
	{0, "hsqs", 4, "a squashfs file system"},
	{0, "QFI\xfb", 4, "a qcow2 disk image"},
	{0x202, "HdrS", 4, "a bzImage, an x86 kernel"},
	{0x24, "\x18\x28\x6f\x01", 4, "a zImage, a 32-bit Arm kernel"},
	{257, "ustar", 5, "a tar archive"},
	{0x438, "\x53\xef", 2, "an ext2/3/4 file system"},
	{510, "\x55\xaa", 2, "a disk image or boot sector"},
};

static const char *machine_name(unsigned machine)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {
		{EM_X86_64, "x86-64"}, {EM_386, "i386"},      {EM_ARM, "32-bit Arm"}, {EM_AARCH64, "arm64"},
		{EM_RISCV, "RISC-V"},  {EM_PPC64, "ppc64"},   {EM_PPC, "ppc"},	      {EM_S390, "s390"},
		{EM_MIPS, "MIPS"},     {EM_SPARCV9, "SPARC"}, {EM_IA_64, "ia64"},     {258, "LoongArch"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return NULL;
}

static const char *pe_machine_name(unsigned machine)
{
	switch (machine) {
	case 0x8664: return "x86-64";
	case 0x14c: return "i386";
	case 0xaa64: return "arm64";
	case 0x1c0:
	case 0x1c2:
	case 0x1c4: return "32-bit Arm";
	case 0x5032:
	case 0x5064: return "RISC-V";
	case 0x6232:
	case 0x6264: return "LoongArch";
	default: return "unknown machine";
	}
}

bool image_is_text(const void *file, size_t size)
{
	const uint8_t *p = file;
	size_t n = size < 512 ? size : 512, high = 0;

	for (size_t i = 0; i < n; i++) {
		high += p[i] >= 0x80;
		if (!isprint(p[i]) && !isspace(p[i]) && p[i] < 0x80)
			return false;
	}
	return n && high < n / 2 + 1;
}

static int unknown(struct bytes b, struct vmm_error *err)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (has(b, magics[i].offset, magics[i].bytes, magics[i].len))
			return vmm_fail(err, "%s, not an arm64 kernel", magics[i].what);
	if (has(b, 0, "MZ", 2) && b.size >= 64) {
		uint64_t pe = get_le(b.p + 60, 4);

		if (pe <= b.size && b.size - pe >= 6 && !memcmp(b.p + pe, "PE\0\0", 4))
			return vmm_fail(err, "an EFI program (%s) without an arm64 Image header",
					pe_machine_name((unsigned)get_le(b.p + pe + 4, 2)));
		return vmm_fail(err, "a DOS or EFI program without an arm64 Image header");
	}
	if (image_is_text(b.p, b.size))
		return vmm_fail(err, "a %s, not an arm64 kernel", has(b, 0, "#!", 2) ? "script" : "text file");
	if (b.size < 64)
		return vmm_fail(err, "only %zu bytes: an arm64 Image begins with a header of 64", b.size);
	return vmm_fail(err,
			"not an arm64 kernel: no \"ARM\\x64\" at offset 56 (found %02x %02x %02x %02x), no ELF, gzip, "
			"zstd or EFI zboot header",
			b.p[56], b.p[57], b.p[58], b.p[59]);
}

/* ---- ELF */

static int parse_elf(struct image *image, struct bytes b, struct vmm_error *err)
{
	Elf64_Ehdr eh;
	const char *machine;
	bool mapped = false, code = false;

	if (b.size < EI_NIDENT)
		return vmm_fail(err, "an ELF header cut off at %zu bytes", b.size);
	if (b.p[EI_DATA] == ELFDATA2LSB || b.p[EI_DATA] == ELFDATA2MSB) {
		if (b.size < 20)
			return vmm_fail(err, "an ELF header cut off at %zu bytes", b.size);
		unsigned m = b.p[EI_DATA] == ELFDATA2LSB ? b.p[18] | b.p[19] << 8 : b.p[18] << 8 | b.p[19];

		machine = machine_name(m);
		if (m != EM_AARCH64 && machine)
			return vmm_fail(err, "an %s ELF, not arm64", machine);
		if (m != EM_AARCH64)
			return vmm_fail(err, "an ELF for machine %u, not arm64", m);
	}
	if (b.p[EI_CLASS] != ELFCLASS64 || b.p[EI_DATA] != ELFDATA2LSB)
		return vmm_fail(err, "an arm64 ELF that is not 64-bit little-endian");
	if (b.size < sizeof(eh))
		return vmm_fail(err, "an ELF header cut off: %zu of %zu bytes", b.size, sizeof(eh));
	memcpy(&eh, b.p, sizeof(eh));
	if (eh.e_type != ET_EXEC)
		return vmm_fail(
			err, "an arm64 ELF of type %s: only statically linked, fixed-address ones (ET_EXEC) can be run",
			eh.e_type == ET_DYN    ? "ET_DYN (position-independent, shared, or a kernel's vmlinux)"
			: eh.e_type == ET_REL  ? "ET_REL (an object file or module)"
			: eh.e_type == ET_CORE ? "ET_CORE (a core dump)"
					       : "unknown");
	if (!eh.e_phnum)
		return vmm_fail(err, "an arm64 ELF without program headers: nothing to load");
	if (eh.e_phentsize != sizeof(Elf64_Phdr))
		return vmm_fail(err, "an arm64 ELF with program headers of %u bytes, not %zu", eh.e_phentsize,
				sizeof(Elf64_Phdr));
	if (eh.e_phoff > b.size || (b.size - eh.e_phoff) / sizeof(Elf64_Phdr) < eh.e_phnum)
		return vmm_fail(err,
				"an arm64 ELF cut off: %u program headers at offset %#" PRIx64 ", file ends at %#zx",
				eh.e_phnum, eh.e_phoff, b.size);
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, b.p + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type == PT_INTERP)
			return vmm_fail(err, "a dynamically linked arm64 program, not a kernel");
		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		if (ph.p_offset > b.size || ph.p_filesz > b.size - ph.p_offset)
			return vmm_fail(err,
					"an arm64 ELF cut off: segment %u has %#" PRIx64 " bytes at offset %#" PRIx64
					", file ends at %#zx",
					i, ph.p_filesz, ph.p_offset, b.size);
		if (ph.p_filesz > ph.p_memsz || ph.p_paddr + ph.p_memsz < ph.p_paddr ||
		    ph.p_vaddr + ph.p_memsz < ph.p_vaddr)
			return vmm_fail(err, "an arm64 ELF whose segment %u has impossible sizes", i);
		if (image->n_seg == IMAGE_MAX_SEGMENTS)
			return vmm_fail(err, "an arm64 ELF with more than %d segments to load", IMAGE_MAX_SEGMENTS);
		image->seg[image->n_seg++] = (struct image_segment){.ipa = ph.p_paddr,
								    .offset = ph.p_offset,
								    .filesz = ph.p_filesz,
								    .memsz = ph.p_memsz,
								    .va = ph.p_vaddr};
	}
	if (!image->n_seg)
		return vmm_fail(err, "an arm64 ELF without a segment to load");
	/* The MMU is off at entry: an entry point that is a virtual address goes through its segment. */
	for (unsigned i = 0; i < image->n_seg && !mapped; i++) {
		const struct image_segment *s = &image->seg[i];

		mapped = eh.e_entry >= s->va && eh.e_entry - s->va < s->memsz;
		if (mapped)
			image->entry = s->ipa + (eh.e_entry - s->va);
		code = mapped && eh.e_entry - s->va < s->filesz;
	}
	if (!mapped || !code)
		return vmm_fail(err, "an arm64 ELF whose entry point %#" PRIx64 " is in no loaded segment", eh.e_entry);
	if (image->entry & 3)
		return vmm_fail(err, "an arm64 ELF whose entry point %#" PRIx64 " is not a multiple of 4",
				image->entry);
	image->kind = IMAGE_ELF;
	image->data = b.p;
	image->size = b.size;
	return 0;
}

/* ---- the arm64 Image */

/*
 * Bytes that a file has which is also an EFI program, as kernels are: the end of the last section. 0: it is none. The
 * header of the Image itself only knows the size in memory. Microsoft PE format, "COFF File Header", "Section Table".
 */
static uint64_t pe_file_size(struct bytes b)
{
	uint64_t pe = get_le(b.p + 60, 4), sections, count, end = 0;

	if (!has(b, 0, "MZ", 2) || !has(b, pe, "PE\0\0", 4) || b.size - pe < 24)
		return 0;
	count = get_le(b.p + pe + 6, 2);
	sections = pe + 24 + get_le(b.p + pe + 20, 2);
	for (uint64_t at = sections; count && at <= b.size && b.size - at >= 40; at += 40, count--) {
		uint64_t section_end = get_le(b.p + at + 16, 4) + get_le(b.p + at + 20, 4);

		if (section_end > end)
			end = section_end;
	}
	return end;
}

static int parse_linux(struct image *image, struct bytes b, struct vmm_error *err)
{
	uint64_t file_size = pe_file_size(b);

	if (file_size > b.size)
		return vmm_fail(err, "an arm64 Image that ends early, after %zu of %" PRIu64 " bytes: truncated file?",
				b.size, file_size);
	image->kind = IMAGE_LINUX;
	image->data = b.p;
	image->size = b.size;
	image->text_offset = get_le(b.p + 8, 8);
	image->image_size = get_le(b.p + 16, 8);
	image->flags = get_le(b.p + 24, 8);
	return 0;
}

static int parse_plain(struct image *image, struct bytes b, struct vmm_error *err)
{
	if (has(b, 56, "ARM\x64", 4) && b.size >= 64)
		return parse_linux(image, b, err);
	if (has(b, 56, "ARM\x64", 4))
		return vmm_fail(err, "an arm64 Image header cut off: %zu of 64 bytes", b.size);
	if (has(b, 0, ELFMAG, SELFMAG))
		return parse_elf(image, b, err);
	return unknown(b, err);
}

/* ---- wrappers */

typedef int unpack_fn(struct bytes in, size_t limit, uint8_t **out, size_t *size, struct vmm_error *err);

static int parse_packed(struct image *image, struct bytes in, unpack_fn *unpack, const char *wrapper, size_t limit,
			struct vmm_error *err)
{
	struct bytes b = {NULL, 0};
	struct vmm_error inner;

	if (unpack(in, limit, &image->owned, &b.size, &inner))
		return vmm_fail(err, "%s: %.400s", wrapper, inner.text);
	b.p = image->owned;
	if (!b.p || !b.size)
		return vmm_fail(err, "%s: contains nothing", wrapper);
	if (!parse_plain(image, b, &inner))
		return 0;
	return vmm_fail(err, "%s: contains %.400s", wrapper, inner.text);
}

static int parse_zboot(struct image *image, struct bytes b, size_t limit, struct vmm_error *err)
{
	struct bytes payload;
	uint64_t offset, size;
	char method[33] = "";
	size_t n;

	if (b.size < 64)
		return vmm_fail(err, "an EFI zboot header cut off: %zu of 64 bytes", b.size);
	offset = get_le(b.p + 8, 4);
	size = get_le(b.p + 12, 4);
	for (n = 0; n < sizeof(method) - 1 && 24 + n < 56 && isalnum(b.p[24 + n]); n++)
		method[n] = (char)b.p[24 + n];
	if (offset < 64 || offset > b.size || size > b.size - offset)
		return vmm_fail(err,
				"an EFI zboot image cut off: payload of %#" PRIx64 " bytes at offset %#" PRIx64
				", file ends at %#zx",
				size, offset, b.size);
	payload = (struct bytes){b.p + offset, (size_t)size};
	if (!strcmp(method, "gzip"))
		return parse_packed(image, payload, unpack_gzip, "an EFI zboot image (gzip)", limit, err);
	/* zstd at level 22 is named zstd22 by the kernel's build */
	if (!strncmp(method, "zstd", 4))
		return parse_packed(image, payload, unpack_zstd, "an EFI zboot image (zstd)", limit, err);
	return vmm_fail(err, "an EFI zboot image with %s compression, of which gzip and zstd can be read",
			method[0] ? method : "unnamed");
}

int image_parse(struct image *image, const void *file, size_t size, size_t limit, struct vmm_error *err)
{
	struct bytes b = {file, size};
	int rc;

	memset(image, 0, sizeof(*image));
	if (!size)
		rc = vmm_fail(err, "empty");
	else if (has(b, 0, "\x1f\x8b", 2))
		rc = parse_packed(image, b, unpack_gzip, "a gzip file", limit, err);
	else if (has(b, 0, "\x28\xb5\x2f\xfd", 4))
		rc = parse_packed(image, b, unpack_zstd, "a zstd file", limit, err);
	else if (has(b, 0, "MZ", 2) && has(b, 4, "zimg", 4))
		rc = parse_zboot(image, b, limit, err);
	else
		rc = parse_plain(image, b, err);
	if (rc)
		image_free(image);
	return rc;
}

void image_free(struct image *image)
{
	free(image->owned);
	memset(image, 0, sizeof(*image));
}
