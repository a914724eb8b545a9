/* SPDX-License-Identifier: MIT */
/* What C cannot say: system calls, stacks, signal frames. System V ABI, AMD64 supplement, "Linux Conventions". */
#include <asm/unistd.h>

	.text

#define FUNCTION(name) .globl name; .hidden name; .type name, @function; .balign 16; name

/* long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f) */
FUNCTION(raw_syscall6):
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
	syscall
	ret

/* long raw_clone(long nr, long a, long b, long c, long d, long e, void (*child)(void *), void *arg) */
FUNCTION(raw_clone):
	push	%r12
	push	%r13
	mov	24(%rsp), %r12
	mov	32(%rsp), %r13
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	syscall
	test	%rax, %rax
	jz	1f
	pop	%r13
	pop	%r12
	ret
1:	xor	%ebp, %ebp
	and	$-16, %rsp
	mov	%r13, %rdi
	call	*%r12
	ud2

/* void raw_sigreturn(void *uc) */
FUNCTION(raw_sigreturn):
	mov	%rdi, %rsp
	mov	$__NR_rt_sigreturn, %eax
	syscall
	ud2

/* sa_restorer: the handler has returned, the frame is at rsp */
FUNCTION(restorer):
	mov	$__NR_rt_sigreturn, %eax
	syscall
	ud2

/* void on_stack(void *top, void (*fn)(void *), void *arg) */
FUNCTION(on_stack):
	mov	%rdi, %rsp
	and	$-16, %rsp
	xor	%ebp, %ebp
	mov	%rdx, %rdi
	call	*%rsi
	ud2

/* void start_program(const struct handover *) */
FUNCTION(start_program):
	mov	8(%rdi), %rsp
	mov	(%rdi), %rax
	mov	%rax, -8(%rsp)
	sub	$8, %rsp
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	ret

	.section .note.GNU-stack, "", @progbits
