/* SPDX-License-Identifier: MIT */
/* Shared folders: 9P2000.L requests as Linux's client makes them, and as no client should. The files are real ones. */
#include "virtio_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "devices.h"
#include "p9.h"

enum { ROOT = 0, MSIZE = 8192, RDONLY = 0, WRONLY = 1, RDWR = 2, CREAT = 0100, EXCL = 0200, TRUNC = 01000 };

static struct driver d;
static char dir[] = "/tmp/pawl-p9-test-XXXXXX", share[64], path[128];
static struct vmm_error error;

/* ---- requests */

static uint8_t request[MSIZE], *reply;
static uint32_t request_len, reply_len, reply_at;
static uint64_t request_ipa, reply_ipa;

static void begin(uint8_t type)
{
	memset(request, 0, sizeof(request));
	request[4] = type;
	request[5] = 0x34;
	request[6] = 0x12;
	request_len = 7;
}

static void p(uint64_t v, unsigned bytes)
{
	memcpy(request + request_len, &v, bytes);
	request_len += bytes;
}

static void p_string(const char *s)
{
	p(strlen(s), 2);
	memcpy(request + request_len, s, strlen(s));
	request_len += (uint32_t)strlen(s);
}

static uint64_t g(unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, reply + reply_at, bytes);
	reply_at += bytes;
	return v;
}

/* The errno, 0 if it succeeded; g() reads the reply from its beginning. */
static int call(void)
{
	struct part parts[2] = {{request_ipa, 0, false}, {reply_ipa, MSIZE, true}};
	uint16_t head;
	uint8_t type = request[4];

	memcpy(request, &request_len, 4);
	memcpy(at(&d, request_ipa), request, request_len);
	parts[0].len = request_len;
	memset(at(&d, reply_ipa), 0xee, MSIZE);
	offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_true(used(&d, 0, &head, &reply_len));
	reply = at(&d, reply_ipa);
	reply_at = 0;
	assert_int_equal(g(4), reply_len);
	if (reply[4] == 7) {
		assert_int_equal(reply_len, 11);
		reply_at = 7;
		return (int)g(4);
	}
	assert_int_equal(g(1), type + 1);
	assert_int_equal(g(2), 0x1234);
	return 0;
}

static int version(uint32_t msize, const char *name)
{
	begin(TVERSION);
	p(msize, 4);
	p_string(name);
	return call();
}

static int attach(uint32_t fid)
{
	begin(TATTACH);
	p(fid, 4);
	p(0xffffffff, 4);
	p_string("root");
	p_string("");
	p(0, 4);
	return call();
}

/* Path with slashes, each component a step. */
static int walk(uint32_t fid, uint32_t new_fid, const char *names)
{
	uint32_t count_at;
	uint16_t n = 0;

	begin(TWALK);
	p(fid, 4);
	p(new_fid, 4);
	count_at = request_len;
	p(0, 2);
	for (const char *s = names; *s; n++) {
		char name[256];
		size_t len = strcspn(s, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, s);
		p_string(name);
		s += len + (s[len] == '/');
	}
	memcpy(request + count_at, &n, 2);
	return call();
}

static int clunk(uint32_t fid)
{
	begin(TCLUNK);
	p(fid, 4);
	return call();
}

static int open_fid(uint32_t fid, uint32_t flags)
{
	begin(TLOPEN);
	p(fid, 4);
	p(flags, 4);
	return call();
}

static int create(uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
	begin(TLCREATE);
	p(fid, 4);
	p_string(name);
	p(flags, 4);
	p(mode, 4);
	p(getgid(), 4);
	return call();
}

static int read_fid(uint32_t fid, uint64_t off, uint32_t count)
{
	begin(TREAD);
	p(fid, 4);
	p(off, 8);
	p(count, 4);
	return call();
}

static int write_fid(uint32_t fid, uint64_t off, const void *data, uint32_t count)
{
	begin(TWRITE);
	p(fid, 4);
	p(off, 8);
	p(count, 4);
	memcpy(request + request_len, data, count);
	request_len += count;
	return call();
}

static int name_call(uint8_t type, uint32_t fid, const char *name, uint32_t arg)
{
	begin(type);
	p(fid, 4);
	p_string(name);
	p(arg, 4);
	if (type == TMKDIR)
		p(getgid(), 4);
	return call();
}

static int rename_at(uint32_t fid, const char *old, uint32_t to, const char *name)
{
	begin(TRENAMEAT);
	p(fid, 4);
	p_string(old);
	p(to, 4);
	p_string(name);
	return call();
}

static int setattr(uint32_t fid, uint32_t valid, uint32_t mode, uint64_t size, uint64_t mtime)
{
	begin(TSETATTR);
	p(fid, 4);
	p(valid, 4);
	p(mode, 4);
	p(getuid(), 4);
	p(getgid(), 4);
	p(size, 8);
	p(0, 8);
	p(0, 8);
	p(mtime, 8);
	p(0, 8);
	return call();
}

/* ---- the host's files */

static const char *in_share(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", share, name);
	return path;
}

static void put_file(const char *name, const char *text)
{
	int fd = open(in_share(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void expect_file(const char *name, const char *text)
{
	char buf[256] = "";
	int fd = open(in_share(name), O_RDONLY);

	if (fd < 0)
		fail_msg("no file %s", name);
	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	close(fd);
	assert_string_equal(buf, text);
}

static void start(const char *options)
{
	char arg[128];

	snprintf(arg, sizeof(arg), "%s%s", share, options);
	d.vd = share_create(&d.host, arg, &error);
	if (!d.vd)
		fail_msg("%s", error.text);
	driver_start(&d, ~0ull & ~VIRTIO_F_EVENT_IDX);
	request_ipa = take(&d, MSIZE);
	reply_ipa = take(&d, MSIZE);
	assert_int_equal(version(MSIZE, "9P2000.L"), 0);
	assert_int_equal(attach(ROOT), 0);
}

static int setup(void **state)
{
	char command[128];

	snprintf(share, sizeof(share), "%s/share", dir);
	snprintf(command, sizeof(command), "rm -rf %s/*", dir);
	if (system(command))
		return -1;
	snprintf(path, sizeof(path), "%s/secret", dir);
	mkdir(path, 0755);
	mkdir(share, 0755);
	mkdir(in_share("sub"), 0755);
	put_file("file", "hello");
	put_file("sub/inner", "inside");
	driver_init(&d);
	return 0;
}

static int teardown(void **state)
{
	driver_free(&d);
	return 0;
}

/* ---- tests */

static void the_configuration_has_the_tag(void **state)
{
	start(",tag=home");
	assert_int_equal(reg(&d, R_DEVICE_ID), 9);
	assert_int_equal(features(&d) & 1, 1);
	assert_int_equal(reg(&d, R_CONFIG), 4 | 'h' << 16 | 'o' << 24);
}

static void only_9P2000_L_is_spoken(void **state)
{
	start("");
	assert_int_equal(version(4096, "9P2000.L"), 0);
	assert_int_equal(g(4), 4096);
	assert_int_equal(version(1 << 30, "9P2000.L"), 0);
	assert_int_equal(g(4), 512 << 10);
	assert_int_equal(version(MSIZE, "9P2000.u"), 0);
	reply_at += 4;
	assert_int_equal(g(2), 7);
	assert_memory_equal(reply + reply_at, "unknown", 7);
	assert_int_equal(attach(ROOT), EIO);
	begin(TAUTH);
	version(MSIZE, "9P2000.L");
	begin(TAUTH);
	assert_int_equal(call(), EOPNOTSUPP);
	begin(99);
	assert_int_equal(call(), EOPNOTSUPP);
	begin(TFLUSH);
	p(7, 2);
	assert_int_equal(call(), 0);
}

static void a_file_is_read_and_written(void **state)
{
	start("");
	assert_int_equal(walk(ROOT, 1, "file"), 0);
	assert_int_equal(g(2), 1);
	assert_int_equal(open_fid(1, RDWR), 0);
	assert_int_equal(read_fid(1, 1, 100), 0);
	assert_int_equal(g(4), 4);
	assert_memory_equal(reply + reply_at, "ello", 4);
	assert_int_equal(write_fid(1, 5, ", world", 7), 0);
	assert_int_equal(g(4), 7);
	expect_file("file", "hello, world");
	assert_int_equal(read_fid(1, 1000, 100), 0);
	assert_int_equal(g(4), 0);
	begin(TFSYNC);
	p(1, 4);
	p(0, 4);
	assert_int_equal(call(), 0);
	assert_int_equal(clunk(1), 0);
	assert_int_equal(clunk(1), EBADF);
	assert_int_equal(read_fid(1, 0, 1), EBADF);
}

static void files_directories_and_links_are_made(void **state)
{
	struct stat st;

	start("");
	assert_int_equal(walk(ROOT, 1, ""), 0);
	assert_int_equal(create(1, "new", WRONLY | EXCL, 0640), 0);
	assert_int_equal(write_fid(1, 0, "abc", 3), 0);
	expect_file("new", "abc");
	assert_int_equal(stat(in_share("new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(create(2, "new", WRONLY | EXCL, 0640), EEXIST);
	assert_int_equal(create(2, "new", WRONLY | TRUNC, 0640), 0); /* opens what is there */
	expect_file("new", "");
	assert_int_equal(name_call(TMKDIR, ROOT, "d", 0751), 0);
	assert_int_equal(stat(in_share("d"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(name_call(TMKDIR, ROOT, "d", 0751), EEXIST);
	begin(TSYMLINK);
	p(ROOT, 4);
	p_string("link");
	p_string("/etc/passwd");
	p(getgid(), 4);
	assert_int_equal(call(), 0);
	assert_int_equal(walk(ROOT, 3, "link"), 0);
	begin(TREADLINK);
	p(3, 4);
	assert_int_equal(call(), 0);
	assert_int_equal(g(2), 11);
	assert_memory_equal(reply + reply_at, "/etc/passwd", 11);
	assert_int_equal(walk(ROOT, 4, "file"), 0);
	begin(TLINK);
	p(ROOT, 4);
	p(4, 4);
	p_string("hard");
	assert_int_equal(call(), 0);
	assert_int_equal(stat(in_share("hard"), &st), 0);
	assert_int_equal(st.st_nlink, 2);
	begin(TMKNOD);
	p(ROOT, 4);
	p_string("fifo");
	p(S_IFIFO | 0600, 4);
	p(0, 8);
	p(getgid(), 4);
	assert_int_equal(call(), 0);
	begin(TMKNOD);
	p(ROOT, 4);
	p_string("null");
	p(S_IFCHR | 0666, 4);
	p(1, 4);
	p(3, 4);
	p(getgid(), 4);
	assert_int_equal(call(), EPERM);
}

static void files_are_renamed_and_removed(void **state)
{
	start("");
	assert_int_equal(walk(ROOT, 1, "sub"), 0);
	assert_int_equal(rename_at(ROOT, "file", 1, "moved"), 0);
	expect_file("sub/moved", "hello");
	assert_int_equal(rename_at(ROOT, "file", 1, "moved"), ENOENT);
	assert_int_equal(name_call(TUNLINKAT, ROOT, "sub", 0), EISDIR);
	assert_int_equal(name_call(TUNLINKAT, ROOT, "sub", 0x200), ENOTEMPTY);
	assert_int_equal(name_call(TUNLINKAT, 1, "moved", 0), 0);
	assert_int_equal(access(in_share("sub/moved"), F_OK), -1);
	/* The older messages, which name a file by its fid */
	assert_int_equal(walk(1, 2, "inner"), 0);
	begin(TRENAME);
	p(2, 4);
	p(ROOT, 4);
	p_string("outer");
	assert_int_equal(call(), 0);
	expect_file("outer", "inside");
	begin(TREMOVE); /* the name that fid 2 came by is no more its own */
	p(2, 4);
	assert_int_equal(call(), ENOENT);
	assert_int_equal(walk(ROOT, 2, "outer"), 0);
	begin(TREMOVE);
	p(2, 4);
	assert_int_equal(call(), 0);
	assert_int_equal(access(in_share("outer"), F_OK), -1);
	assert_int_equal(clunk(2), EBADF);
	begin(TREMOVE);
	p(1, 4);
	assert_int_equal(call(), 0);
	assert_int_equal(access(in_share("sub"), F_OK), -1);
}

static void attributes_are_read_and_set(void **state)
{
	struct stat st;

	start("");
	assert_int_equal(walk(ROOT, 1, "file"), 0);
	begin(TGETATTR);
	p(1, 4);
	p(0x7ff, 8);
	assert_int_equal(call(), 0);
	assert_int_equal(g(8), 0x7ff);
	assert_int_equal(g(1), 0);
	reply_at += 12;
	assert_int_equal(g(4), S_IFREG | 0644);
	assert_int_equal(g(4), getuid());
	assert_int_equal(g(4), getgid());
	assert_int_equal(g(8), 1);
	reply_at += 8;
	assert_int_equal(g(8), 5);
	assert_int_equal(setattr(1, 1, 0600, 0, 0), 0);
	assert_int_equal(setattr(1, 8, 0, 3, 0), 0);
	assert_int_equal(setattr(1, 0x120, 0, 0, 1234567890), 0);
	assert_int_equal(stat(in_share("file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(st.st_mtime, 1234567890);
	assert_int_equal(setattr(1, 8, 0, UINT64_MAX, 0), EFBIG);
	assert_int_equal(setattr(1, 1, 04755, 0, 0), EPERM); /* no program that is run as its owner */
	assert_int_equal(setattr(1, 6, 0, 0, 0), 0);	     /* to whom it belongs already */
	begin(TSTATFS);
	p(1, 4);
	assert_int_equal(call(), 0);
	assert_int_equal(g(4), 0x01021997);
}

static void a_directory_is_listed_in_parts(void **state)
{
	unsigned n = 0, calls = 0;
	uint64_t off = 0;
	bool seen[300] = {false};

	for (unsigned i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "sub/entry-%03u", i);
		put_file(name, "");
	}
	start("");
	assert_int_equal(walk(ROOT, 1, "sub"), 0);
	begin(TREADDIR);
	p(1, 4);
	p(0, 8);
	p(1000, 4);
	assert_int_equal(call(), EBADF);
	assert_int_equal(open_fid(1, RDONLY), 0);
	for (;; calls++) {
		uint32_t bytes;

		begin(TREADDIR);
		p(1, 4);
		p(off, 8);
		p(1000, 4);
		assert_int_equal(call(), 0);
		bytes = (uint32_t)g(4);
		assert_true(bytes <= 1000 && reply_len == 11 + bytes);
		if (!bytes)
			break;
		while (reply_at < reply_len) {
			char name[64];
			unsigned len, i;

			reply_at += 13;
			off = g(8);
			g(1);
			len = (unsigned)g(2);
			snprintf(name, sizeof(name), "%.*s", (int)len, (char *)reply + reply_at);
			reply_at += len;
			if (sscanf(name, "entry-%u", &i) == 1) {
				assert_false(seen[i]);
				seen[i] = true;
				n++;
			}
		}
	}
	assert_int_equal(n, 300);
	assert_true(calls >= 10);
}

static void nothing_leads_out_of_the_directory(void **state)
{
	static const char *const names[] = {"", ".", "..", "../secret", "/etc", "sub/inner", "a/"};
	struct stat root, st;
	int fd;

	snprintf(path, sizeof(path), "%s/secret/file", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	assert_int_equal(symlink("../secret", in_share("out")), 0);
	assert_int_equal(symlink("../secret/file", in_share("outfile")), 0);
	assert_int_equal(symlink("../secret/new", in_share("outnew")), 0);
	start("");
	/* Up from the root is the root. */
	assert_int_equal(stat(share, &root), 0);
	assert_int_equal(walk(ROOT, 1, "../../.."), 0);
	assert_int_equal(g(2), 3);
	reply_at += 2 * 13 + 5;
	assert_int_equal(g(8), root.st_ino);
	assert_int_equal(walk(ROOT, 2, "sub/../sub/../.."), 0);
	reply_at += 2 + 4 * 13 + 5;
	assert_int_equal(g(8), root.st_ino);
	/* Through a link: it is a link, and no directory and no file. */
	assert_int_equal(walk(ROOT, 3, "out"), 0);
	assert_int_equal(open_fid(3, RDONLY), ELOOP);
	assert_int_equal(walk(3, 4, "file"), ENOTDIR);
	assert_int_equal(name_call(TMKDIR, 3, "x", 0755), ENOTDIR);
	assert_int_equal(walk(ROOT, 5, "outfile"), 0);
	assert_int_equal(open_fid(5, RDWR), ELOOP);
	assert_int_equal(setattr(5, 8, 0, 0, 0), ELOOP);
	assert_int_equal(setattr(5, 1, 0600, 0, 0), EOPNOTSUPP);
	assert_int_equal(walk(ROOT, 6, ""), 0);
	assert_int_equal(create(6, "outnew", WRONLY, 0644), ELOOP);
	assert_int_equal(create(6, "outfile", WRONLY | TRUNC, 0644), ELOOP);
	snprintf(path, sizeof(path), "%s/secret/new", dir);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/secret/file", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* Names that are paths */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(create(6, names[i], WRONLY, 0644), EINVAL);
		assert_int_equal(name_call(TMKDIR, ROOT, names[i], 0755), EINVAL);
		assert_int_equal(name_call(TUNLINKAT, ROOT, names[i], 0x200), EINVAL);
		assert_int_equal(rename_at(ROOT, "file", ROOT, names[i]), EINVAL);
		assert_int_equal(rename_at(ROOT, names[i], ROOT, "y"), EINVAL);
	}
	begin(TWALK);
	p(ROOT, 4);
	p(7, 4);
	p(1, 2);
	p_string("../secret/file");
	assert_int_equal(call(), ENOENT);
	begin(TWALK);
	p(ROOT, 4);
	p(7, 4);
	p(1, 2);
	p(4, 2);
	p(0x656c0066, 4); /* a NUL inside */
	assert_int_equal(call(), EINVAL);
	/* A directory that the host moves away takes nobody along: up is where the guest came from. */
	assert_int_equal(walk(ROOT, 8, "sub"), 0);
	snprintf(path, sizeof(path), "%s/secret/sub", dir);
	{
		char from[128];

		snprintf(from, sizeof(from), "%s/sub", share);
		assert_int_equal(rename(from, path), 0);
	}
	assert_int_equal(walk(8, 9, "../file"), 0);
	reply_at += 2 + 13 + 5;
	assert_int_equal(stat(in_share("file"), &st), 0);
	assert_int_equal(g(8), st.st_ino);
}

static void what_is_no_file_or_directory_is_not_opened(void **state)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(mkfifo(in_share("fifo"), 0666), 0);
	assert_true(strlen(in_share("socket")) < sizeof(sa.sun_path));
	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	start("");
	assert_int_equal(walk(ROOT, 1, "fifo"), 0);
	assert_int_equal(open_fid(1, RDONLY), ENXIO); /* and does not wait */
	assert_int_equal(open_fid(1, WRONLY), ENXIO);
	assert_int_equal(walk(ROOT, 2, "socket"), 0);
	assert_int_equal(open_fid(2, RDWR), ENXIO);
	assert_int_equal(walk(ROOT, 3, ""), 0);
	assert_int_equal(create(3, "fifo", WRONLY, 0644), ENXIO);
	assert_int_equal(walk(ROOT, 4, "sub"), 0);
	assert_int_equal(open_fid(4, RDWR), EISDIR);
	close(fd);
}

static void a_read_only_share_stays_as_it_is(void **state)
{
	start(",ro");
	assert_int_equal(walk(ROOT, 1, "file"), 0);
	assert_int_equal(open_fid(1, RDWR), EROFS);
	assert_int_equal(open_fid(1, RDONLY | TRUNC), EROFS);
	assert_int_equal(setattr(1, 1, 0600, 0, 0), EROFS);
	assert_int_equal(setattr(1, 8, 0, 0, 0), EROFS);
	assert_int_equal(name_call(TMKDIR, ROOT, "d", 0755), EROFS);
	assert_int_equal(name_call(TUNLINKAT, ROOT, "file", 0), EROFS);
	assert_int_equal(rename_at(ROOT, "file", ROOT, "x"), EROFS);
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(create(2, "new", WRONLY, 0644), EROFS);
	begin(TLINK);
	p(ROOT, 4);
	p(1, 4);
	p_string("hard");
	assert_int_equal(call(), EROFS);
	assert_int_equal(open_fid(1, RDONLY), 0);
	assert_int_equal(write_fid(1, 0, "x", 1), EBADF);
	expect_file("file", "hello");
}

static void locks_are_granted_and_xattrs_are_refused(void **state)
{
	start("");
	assert_int_equal(walk(ROOT, 1, "file"), 0);
	begin(TLOCK);
	p(1, 4);
	p(1, 1);
	p(0, 4);
	p(0, 8);
	p(0, 8);
	p(1, 4);
	p_string("guest");
	assert_int_equal(call(), 0);
	assert_int_equal(g(1), 0);
	begin(TGETLOCK);
	p(1, 4);
	p(1, 1);
	p(5, 8);
	p(6, 8);
	p(7, 4);
	p_string("guest");
	assert_int_equal(call(), 0);
	assert_int_equal(g(1), 2);
	assert_int_equal(g(8), 5);
	begin(TXATTRWALK);
	p(1, 4);
	p(2, 4);
	p_string("user.x");
	assert_int_equal(call(), EOPNOTSUPP);
	begin(TXATTRCREATE);
	assert_int_equal(call(), EOPNOTSUPP);
}

static void walks_go_as_far_as_they_can(void **state)
{
	start("");
	assert_int_equal(walk(ROOT, 1, "sub/nothing/more"), 0);
	assert_int_equal(g(2), 1);
	assert_int_equal(clunk(1), EBADF); /* not made */
	assert_int_equal(walk(ROOT, 1, "nothing"), ENOENT);
	assert_int_equal(walk(ROOT, 1, ""), 0);
	assert_int_equal(walk(ROOT, 1, ""), EBADF); /* in use */
	assert_int_equal(walk(1, 1, "sub"), 0);	    /* moves it */
	assert_int_equal(walk(1, 1, "inner"), 0);
	assert_int_equal(open_fid(1, RDONLY), 0);
	assert_int_equal(open_fid(1, RDONLY), EBADF);
	assert_int_equal(attach(1), EBADF);
	assert_int_equal(walk(9, 2, ""), EBADF);
}

static void requests_that_are_cut_off_are_errors(void **state)
{
	static const uint8_t types[] = {TLOPEN,	  TLCREATE, TSYMLINK, TMKNOD,	 TRENAME,   TSETATTR, TREADDIR,
					TGETLOCK, TLINK,    TMKDIR,   TRENAMEAT, TUNLINKAT, TATTACH,  TWALK,
					TREAD,	  TWRITE,   TVERSION, TCLUNK,	 TGETATTR};

	start("");
	for (size_t i = 0; i < sizeof(types); i++) {
		begin(types[i]);
		assert_int_equal(call(), EINVAL);
		if (types[i] != TVERSION)
			continue;
		assert_int_equal(version(MSIZE, "9P2000.L"), 0);
		assert_int_equal(attach(ROOT), 0);
	}
	/* Twrite that says more than it brings, Tread that says more than fits */
	assert_int_equal(walk(ROOT, 1, "file"), 0);
	assert_int_equal(open_fid(1, RDWR), 0);
	begin(TWRITE);
	p(1, 4);
	p(0, 8);
	p(5000, 4);
	p(0, 8);
	assert_int_equal(call(), EINVAL);
	expect_file("file", "hello");
	assert_int_equal(read_fid(1, 0, 0xffffffff), 0);
	assert_int_equal(g(4), 5);
	assert_int_equal(read_fid(1, UINT64_MAX, 5), EINVAL);
}

static void a_reply_without_room_breaks_the_device_or_is_an_error(void **state)
{
	struct part parts[2];
	uint16_t head;
	uint32_t len;

	start("");
	begin(TGETATTR);
	p(ROOT, 4);
	p(0x7ff, 8);
	memcpy(request, &request_len, 4);
	memcpy(at(&d, request_ipa), request, request_len);
	parts[0] = (struct part){request_ipa, request_len, false};
	parts[1] = (struct part){reply_ipa, 100, true};
	offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_true(used(&d, 0, &head, &len));
	assert_int_equal(len, 11);
	parts[1].len = 10;
	offer(&d, 0, parts, 2);
	kick(&d, 0);
	assert_int_equal(reg(&d, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
}

static void wrong_options_are_refused(void **state)
{
	static const struct {
		const char *arg, *words;
	} bad[] = {{"/nonexistent", "/nonexistent: No such file"},
		   {"/dev/null", "/dev/null: Not a directory"},
		   {"", "name is empty"},
		   {",ro", "name is empty"},
		   {"/,tag=", "a tag has 1 to"},
		   {"/,tag=0123456789012345678901234567890123456789012345678901234567890123456789", "a tag has 1 to"}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(share_create(&d.host, bad[i].arg, &error));
		if (!strstr(error.text, bad[i].words))
			fail_msg("'%s' does not say '%s'", error.text, bad[i].words);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_configuration_has_the_tag),
		T(only_9P2000_L_is_spoken),
		T(a_file_is_read_and_written),
		T(files_directories_and_links_are_made),
		T(files_are_renamed_and_removed),
		T(attributes_are_read_and_set),
		T(a_directory_is_listed_in_parts),
		T(nothing_leads_out_of_the_directory),
		T(what_is_no_file_or_directory_is_not_opened),
		T(a_read_only_share_stays_as_it_is),
		T(locks_are_granted_and_xattrs_are_refused),
		T(walks_go_as_far_as_they_can),
		T(requests_that_are_cut_off_are_errors),
		T(a_reply_without_room_breaks_the_device_or_is_an_error),
		T(wrong_options_are_refused),
	};
	char command[128];
	int rc;

	if (!mkdtemp(dir))
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || rc;
}
