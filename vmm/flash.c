/* SPDX-License-Identifier: MIT */
/*
 * The board's flash: two banks, each of two 16-bit chips side by side, with the Intel command set (JEDEC JEP137, "Common
 * Flash Memory Interface", id 0x0001; the command sequences are those of Intel's 28F128J3 data sheet). Bank 0 holds the
 * firmware and refuses to be changed; bank 1 is --flash-vars. While a bank is in array mode its bytes are a read-only
 * memory slot, so only writes come here; otherwise the slot is away, and reads come here too. api.rst 4.35,
 * KVM_MEM_READONLY. Both chips get every command; what one chip alone is told is told to both, so that a driver which
 * sees one chip of 16 bits works too, if its blocks come in pairs. All operations are done at once, so there is nothing to suspend.
 */
#include "flash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board_fdt.h"

enum { /* commands */
       READ_ARRAY = 0xff,
       READ_ID = 0x90,
       READ_QUERY = 0x98,
       READ_STATUS = 0x70,
       CLEAR_STATUS = 0x50,
       PROGRAM = 0x40,
       PROGRAM_TOO = 0x10,
       PROGRAM_BUFFER = 0xe8,
       ERASE = 0x20,
       CONFIRM = 0xd0,
       SUSPEND = 0xb0,
       LOCK = 0x60
};
enum { STATUS_READY = 0x80, STATUS_ERASE_FAILED = 0x20, STATUS_PROGRAM_FAILED = 0x10, STATUS_LOCKED = 0x02 };

/* One chip's answers to a query, by its word address from 0x10: half the bank, half the block. */
static const uint8_t query[] = {
	'Q',  'R',  'Y',  0x01, 0x00, /* command set */
	0x31, 0x00,		      /* its table, below */
	0x00, 0x00, 0x00, 0x00,	      /* no other command set */
	0x45, 0x55, 0x00, 0x00,	      /* 4.5 to 5.5 V, no Vpp */
	0x07, 0x07, 0x0a, 0x00,	      /* typical 2^n us for a word, a buffer; ms for a block; no chip erase */
	0x04, 0x04, 0x04, 0x00,	      /* at most 2^n times that */
	0x19,			      /* 2^25 bytes */
	0x01, 0x00,		      /* 16 bits wide */
	0x0b, 0x00,		      /* 2^11 bytes of buffer */
	0x01,			      /* one region: 256 blocks of 128 KiB */
	0xff, 0x00, 0x00, 0x02, 'P',  'R', 'I', '1', '0', /* at 0x31 */
	0x00, 0x00, 0x00, 0x00,				  /* no optional feature */
	0x00,						  /* nothing while suspended */
	0x00, 0x00,					  /* no block status register */
	0x00, 0x00, 0x00,				  /* voltages; no protection registers */
};

static uint32_t chip_word(const struct flash *f, uint64_t off)
{
	uint64_t word = off >> 2;

	switch (f->mode) {
	case FLASH_QUERY: return word >= 0x10 && word - 0x10 < sizeof(query) ? query[word - 0x10] : 0;
	case FLASH_ID:
		switch (word % (FLASH_BLOCK / 4)) {
		case 0: return 0x89; /* Intel */
		case 1: return 0x18;
		case 2: return f->writable ? 0 : 1; /* locked */
		default: return 0;
		}
	default: return f->status;
	}
}

static uint32_t flash_read(struct device *dev, uint64_t off, unsigned len)
{
	struct flash *f = (struct flash *)dev;
	uint32_t val = 0, word;

	if (f->mode == FLASH_ARRAY) {
		memcpy(&val, f->bytes + off, len);
		return val;
	}
	word = chip_word(f, off);
	return (word | word << 16) >> 8 * (off & 3);
}

/* ---- what changes the array */

static void changed(struct flash *f, uint64_t off, uint64_t len, uint8_t failure)
{
	if (f->keep && !f->keep(f->arg, off, len))
		f->status |= failure;
}

static void program(struct flash *f, uint64_t off, const uint8_t *data, unsigned len)
{
	if (!f->writable) {
		f->status |= STATUS_PROGRAM_FAILED | STATUS_LOCKED;
		return;
	}
	for (unsigned i = 0; i < len; i++)
		f->bytes[off + i] &= data[i]; /* programming makes zeros, erasing makes ones */
	changed(f, off, len, STATUS_PROGRAM_FAILED);
}

static void erase(struct flash *f, uint64_t off)
{
	if (!f->writable) {
		f->status |= STATUS_ERASE_FAILED | STATUS_LOCKED;
		return;
	}
	off -= off % FLASH_BLOCK;
	memset(f->bytes + off, 0xff, FLASH_BLOCK);
	changed(f, off, FLASH_BLOCK, STATUS_ERASE_FAILED);
}

/* ---- commands */

static void wrong_sequence(struct flash *f)
{
	f->status |= STATUS_ERASE_FAILED | STATUS_PROGRAM_FAILED;
	f->expects = FLASH_COMMAND;
}

static void command(struct flash *f, uint8_t cmd)
{
	f->mode = FLASH_STATUS;
	switch (cmd) {
	case PROGRAM:
	case PROGRAM_TOO: f->expects = FLASH_PROGRAM; break;
	case PROGRAM_BUFFER: f->expects = FLASH_COUNT; break;
	case ERASE: f->expects = FLASH_ERASE; break;
	case LOCK: f->expects = FLASH_LOCK; break;
	case CLEAR_STATUS: f->status = STATUS_READY; break;
	case READ_STATUS:
	case SUSPEND:
	case CONFIRM: break;
	case READ_ID: f->mode = FLASH_ID; break;
	case READ_QUERY: f->mode = FLASH_QUERY; break;
	default: f->mode = FLASH_ARRAY; break;
	}
}

static void buffer_begin(struct flash *f, unsigned words)
{
	if (words > FLASH_BUFFER / 4) {
		wrong_sequence(f);
		return;
	}
	f->buffer_len = 0; /* the first word tells how wide they are */
	f->buffer_words = f->buffer_left = words;
	f->expects = FLASH_DATA;
}

static void buffer_put(struct flash *f, uint64_t off, uint32_t val, unsigned len)
{
	if (!f->buffer_len) {
		f->buffer_off = off;
		f->buffer_len = f->buffer_words * len;
		memset(f->buffer, 0xff, f->buffer_len);
	}
	if (off < f->buffer_off || off - f->buffer_off + len > f->buffer_len ||
	    f->buffer_off + f->buffer_len > FLASH_BANK) {
		wrong_sequence(f);
		return;
	}
	memcpy(f->buffer + (off - f->buffer_off), &val, len);
	if (!--f->buffer_left)
		f->expects = FLASH_CONFIRM;
}

static void flash_write(struct device *dev, uint64_t off, unsigned len, uint32_t val)
{
	struct flash *f = (struct flash *)dev;
	uint8_t cmd = (uint8_t)val;
	bool array;

	switch (f->expects) {
	case FLASH_COMMAND: command(f, cmd); break;
	case FLASH_PROGRAM:
		f->expects = FLASH_COMMAND;
		program(f, off, (const uint8_t *)&val, len);
		break;
	case FLASH_ERASE:
		f->expects = FLASH_COMMAND;
		if (cmd == CONFIRM)
			erase(f, off);
		else if (cmd == READ_ARRAY)
			f->mode = FLASH_ARRAY;
		else
			wrong_sequence(f);
		break;
	case FLASH_LOCK: /* lock bits are not kept: what is writable stays so */
		f->expects = FLASH_COMMAND;
		if (cmd == READ_ARRAY)
			f->mode = FLASH_ARRAY;
		break;
	case FLASH_COUNT: buffer_begin(f, (val & 0xffff) + 1); break;
	case FLASH_DATA: buffer_put(f, off, val, len); break;
	case FLASH_CONFIRM:
		f->expects = FLASH_COMMAND;
		if (cmd == CONFIRM)
			program(f, f->buffer_off, f->buffer, f->buffer_len);
		else
			wrong_sequence(f);
		break;
	}
	array = f->mode == FLASH_ARRAY;
	if (array != f->shown) {
		f->shown = array;
		if (f->show)
			f->show(f->arg, array);
	}
}

static void flash_reset(struct device *dev)
{
	struct flash *f = (struct flash *)dev;

	f->expects = FLASH_COMMAND;
	flash_write(dev, 0, 4, READ_ARRAY);
	f->status = STATUS_READY;
}

static void flash_free(struct device *dev)
{
	free(dev);
}

static const struct device_ops flash_ops = {
	.read = flash_read, .write = flash_write, .reset = flash_reset, .free = flash_free};

void flash_init(struct flash *f)
{
	f->dev.ops = &flash_ops;
	f->shown = false;
	flash_reset(&f->dev);
}

uint8_t *flash_bytes(void)
{
	enum { PIECE = 1 << 20 };
	uint8_t *all = mmap(NULL, FLASH_BANK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *p = NULL;
	int fd = memfd_create("pawl-flash", MFD_CLOEXEC);

	/* The same pages everywhere, private where they are written. */
	if (all != MAP_FAILED && fd >= 0 && !ftruncate(fd, PIECE))
		p = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p && p != MAP_FAILED) {
		memset(p, 0xff, PIECE);
		munmap(p, PIECE);
		for (size_t at = 0; at < FLASH_BANK && p != MAP_FAILED; at += PIECE)
			p = mmap(all + at, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
				 0);
	}
	if (fd >= 0)
		close(fd);
	if (p && p != MAP_FAILED)
		return all;
	if (all != MAP_FAILED)
		munmap(all, FLASH_BANK);
	return NULL;
}

/* ---- on the board */

struct board_flash {
	struct flash flash;
	struct machine *m;
	uint64_t ipa;
	uint32_t slot;
	int fd;	       /* -1: contents go with the machine */
	uint64_t size; /* bytes that the file has */
	bool told;
};

static void slot_show(void *arg, bool array)
{
	struct board_flash *b = arg;
	struct kvm_userspace_memory_region slot = {
		.slot = b->slot,
		.flags = KVM_MEM_READONLY,
		.guest_phys_addr = b->ipa,
		.memory_size = array ? FLASH_BANK : 0,
		.userspace_addr = (uintptr_t)b->flash.bytes,
	};

	if (b->m->sys->ioctl(b->m->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		machine_message(b->m, "cannot map the flash: %s", strerror(errno));
}

static bool write_back(struct board_flash *b, uint64_t off, uint64_t len)
{
	while (len) {
		ssize_t n = pwrite(b->fd, b->flash.bytes + off, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!b->told)
				machine_message(b->m, "%s: %s", b->m->config.flash_vars, strerror(n ? errno : ENOSPC));
			b->told = true;
			return false;
		}
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

/* The file is as long as was ever programmed; what is beyond its end is erased. */
static bool file_keep(void *arg, uint64_t off, uint64_t len)
{
	struct board_flash *b = arg;

	if (b->fd < 0)
		return true;
	if (off > b->size) {
		len += off - b->size;
		off = b->size;
	}
	if (!write_back(b, off, len))
		return false;
	if (off + len > b->size)
		b->size = off + len;
	return true;
}

static void board_flash_free(struct device *dev)
{
	struct board_flash *b = (struct board_flash *)dev;

	munmap(b->flash.bytes, FLASH_BANK);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

static const struct device_ops board_flash_ops = {
	.read = flash_read, .write = flash_write, .reset = flash_reset, .free = board_flash_free};

static struct device *flash_create(struct machine *m, const struct board_device *row, uint32_t slot)
{
	struct board_flash *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->flash.bytes = flash_bytes();
	if (!b->flash.bytes) {
		free(b);
		return NULL;
	}
	b->m = m;
	b->fd = -1;
	b->ipa = row->ipa;
	b->slot = slot;
	b->flash.show = slot_show;
	b->flash.keep = file_keep;
	b->flash.arg = b;
	return &b->flash.dev;
}

static void flash_start(struct device *dev)
{
	flash_init((struct flash *)dev);
	dev->ops = &board_flash_ops;
}

/* The bytes of a bank from a file that is open. */
static int fill(struct board_flash *b, int fd, const char *path, struct vmm_error *err)
{
	ssize_t n = 0;

	while (b->size < FLASH_BANK &&
	       (n = pread(fd, b->flash.bytes + b->size, FLASH_BANK - b->size, (off_t)b->size)) > 0)
		b->size += (uint64_t)n;
	if (b->size < FLASH_BANK && n < 0)
		return vmm_fail(err, "%s: %s", path, strerror(errno));
	return 0;
}

static int open_vars(struct board_flash *b, const char *path, struct vmm_error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;

	b->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (b->fd < 0 || fstat(b->fd, &st))
		return vmm_fail(err, "--flash-vars: %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return vmm_fail(err, "--flash-vars: %s: no regular file", path);
	if (st.st_size > FLASH_BANK)
		return vmm_fail(err, "--flash-vars: %s: larger than the 64 MiB of a flash bank", path);
	if (fcntl(b->fd, F_OFD_SETLK, &lock))
		return vmm_fail(err, "--flash-vars: %s: %s", path,
				errno == EAGAIN || errno == EACCES ? "in use by another machine" : strerror(errno));
	return fill(b, b->fd, path, err);
}

struct device *flash_code_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct device *dev = flash_create(m, row, SLOT_FLASH_CODE);

	if (!dev) {
		vmm_fail(err, "no memory for the flash: %s", strerror(errno));
		return NULL;
	}
	m->firmware = ((struct flash *)dev)->bytes;
	flash_start(dev);
	return dev;
}

struct device *flash_vars_create(struct machine *m, const struct board_device *row, struct vmm_error *err)
{
	struct device *dev = flash_create(m, row, SLOT_FLASH_VARS);

	if (!dev) {
		vmm_fail(err, "no memory for the flash: %s", strerror(errno));
		return NULL;
	}
	((struct flash *)dev)->writable = true;
	if (m->config.flash_vars && open_vars((struct board_flash *)dev, m->config.flash_vars, err)) {
		board_flash_free(dev);
		return NULL;
	}
	flash_start(dev);
	return dev;
}

bool flash_wanted(const struct machine_config *config)
{
	return config->firmware;
}

/* One node for both banks: this one's row and the next. */
void flash_fdt(void *fdt, const struct board_device *dev)
{
	fdt_flash(fdt, dev[0].ipa, dev[1].ipa, dev->size, 4);
}
