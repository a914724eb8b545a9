/* SPDX-License-Identifier: MIT */
/*
 * The shared directory as a tree of nodes that a guest has walked to. Nothing outside of the directory can be named: a step
 * down is one component, of which neither a symbolic link nor ".." is followed, from a descriptor that pins the directory;
 * a step up goes to the node that the guest came from. Symbolic links are the guest's to follow.
 *
 * All functions return 0 or more, or a negative errno. For one thread.
 */
#ifndef PAWL_VMM_P9_FS_H
#define PAWL_VMM_P9_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct p9_fs {
	struct p9_node *root;
	bool read_only;
	dev_t dev;	   /* of the root */
	unsigned n, n_max; /* nodes, each with a descriptor */
};

struct p9_node { /* a file, with O_PATH */
	struct p9_fs *fs;
	struct p9_node *parent; /* NULL: the root */
	unsigned refs;
	int fd;
	char name[]; /* by which the guest came */
};

int p9_fs_open(struct p9_fs *fs, const char *path, bool read_only);
void p9_fs_close(struct p9_fs *fs); /* all nodes have been put */

struct p9_node *p9_node_get(struct p9_node *n);
void p9_node_put(struct p9_node *n);
/* A step: a name, "." or "..". */
int p9_node_walk(struct p9_node *dir, const char *name, struct p9_node **out);

/* A descriptor to read and write: flags are O_ACCMODE, O_TRUNC, O_SYNC and O_DSYNC. Regular files and directories only. */
int p9_node_open(struct p9_node *n, int flags);
/* Creates and opens a regular file: flags as above, and O_EXCL. */
int p9_node_create(struct p9_node *dir, const char *name, int flags, mode_t mode, gid_t gid, struct p9_node **out);
int p9_node_stat(struct p9_node *n, struct stat *st);
ssize_t p9_node_readlink(struct p9_node *n, char *buf, size_t size);
int p9_node_symlink(struct p9_node *dir, const char *name, const char *target, gid_t gid);
int p9_node_mknod(struct p9_node *dir, const char *name, mode_t mode, gid_t gid);
int p9_node_mkdir(struct p9_node *dir, const char *name, mode_t mode, gid_t gid);
int p9_node_link(struct p9_node *dir, struct p9_node *n, const char *name);
int p9_node_unlink(struct p9_node *dir, const char *name, bool is_dir);
int p9_node_rename(struct p9_node *from, const char *old, struct p9_node *to, const char *name);
/* The same with the name by which the guest came, if that is still it. */
int p9_node_remove(struct p9_node *n);
int p9_node_move(struct p9_node *n, struct p9_node *to, const char *name);
int p9_node_chmod(struct p9_node *n, mode_t mode);
int p9_node_chown(struct p9_node *n, uid_t uid, gid_t gid); /* -1: as it is */
int p9_node_truncate(struct p9_node *n, uint64_t size);
int p9_node_utimes(struct p9_node *n, const struct timespec times[2]);

#endif
