/* SPDX-License-Identifier: MIT */
/*
 * What the files of one program share: answers.c says what it is for. A line is "SECTION: NAME = result or errno".
 */
#ifndef PAWL_TESTS_GOLDEN_ANSWERS_H
#define PAWL_TESTS_GOLDEN_ANSWERS_H

#include <stdint.h>

#include <linux/kvm.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ull
#define BAD ((void *)8)
#define VAL(x) ((void *)(uintptr_t)(x))

extern const char *section;
extern int kvm, vm, vcpu; /* the VM of now, and its first vcpu if it has one */
extern uint8_t *ram;	  /* 1 MiB */

/* ---- answers_ask.c */

long say(long ret, const char *fmt, ...); /* a line; errno if ret is negative. Returns ret */
/* A call whose success is a descriptor, or a value that means nothing: only that it succeeded is said. */
long done(long ret, const char *fmt, ...);
long io(int fd, unsigned long request, const void *arg);
void vm_new(void);
int vcpu_new(unsigned id);
long init_with(int fd, uint32_t target, unsigned features);
long slot(unsigned id, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva);
void vm_with_vcpu(unsigned features);
int device(unsigned type);
#define SET KVM_SET_DEVICE_ATTR
#define GET KVM_GET_DEVICE_ATTR
#define HAS KVM_HAS_DEVICE_ATTR
long attr(int fd, unsigned long request, uint32_t group, uint64_t a, const void *addr);
long set64(int fd, uint32_t group, uint64_t a, uint64_t val);
long set32(int fd, uint32_t group, uint64_t a, uint32_t val);
int gicv3(void);

/* ---- answers_vgic.c */

void devices(void);
void interrupts(void);
void gic_addresses(void);

#endif
