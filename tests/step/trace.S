/* SPDX-License-Identifier: MIT */
/*
 * A program for the bare machine whose every instruction is accounted for (trace_test.c): loops, calls, indirect branches,
 * devices of the client and of KVM, system registers, SVC, ERET, faults that are skipped and faults that are repaired, self-made
 * interrupts, code that changes, atomics, and an EL0 that does some of it. Nothing in it depends on time or on which machine it
 * is. Linked for 0x40100000, entered there at EL1 with the MMU off. x28: a hash of the way, also at the end in UART's register.
 */
	.equ	UART, 0x09000000
	.equ	DIST, 0x08000000
	.equ	SGI_BASE, 0x080b0000
	.equ	TABLES, 0x40200000	/* level 1, 2, 3 */
	.equ	DATA, 0x40300000

	.macro	way			/* here went the way */
	adr	x16, .
	and	x16, x16, #0xfffff
	crc32cx	w28, w28, x16
	.endm

	.macro	const reg, value
	movz	\reg, #(\value) & 0xffff
	movk	\reg, #((\value) >> 16) & 0xffff, lsl #16
	.endm

	.arch	armv8.2-a+crc+lse+crypto
	.text
	.globl	_start
_start:
	mov	w28, #0
	const	x0, DATA + 0x20000
	mov	sp, x0
	adr	x0, vectors
	msr	vbar_el1, x0
	mov	x0, #3 << 20
	msr	cpacr_el1, x0
	isb

	/* the GIC: SGI 1 in group 1 */
	const	x20, DIST
	mov	w0, #0x12
	str	w0, [x20]
	const	x21, SGI_BASE
	mov	w0, #-1
	str	w0, [x21, #0x80]	/* IGROUPR0 */
	const	w0, 0x80808080
	str	w0, [x21, #0x400]	/* IPRIORITYR0 */
	mov	w0, #2
	str	w0, [x21, #0x100]	/* ISENABLER0 */
	ldr	w1, [x21, #0x100]
	mov	x0, #7
	msr	s3_0_c12_c12_5, x0	/* ICC_SRE_EL1 */
	isb
	mov	x0, #0xf0
	msr	s3_0_c4_c6_0, x0	/* ICC_PMR_EL1 */
	mov	x0, #1
	msr	s3_0_c12_c12_7, x0	/* ICC_IGRPEN1_EL1 */
	isb

	/* tables: 1 GiB of devices, RAM in pages of 2 MiB, and at 0x60000000 pages of 4 KiB: [0] for EL0, [1] comes later */
	const	x0, TABLES
	const	x1, 0x401		/* device, EL1, AF */
	str	x1, [x0]
	const	x1, TABLES + 0x1000 + 3
	str	x1, [x0, #8]
	const	x2, TABLES + 0x1000
	const	x1, 0x40000705		/* normal, inner shareable, EL1 */
	mov	x3, #8
1:	str	x1, [x2], #8
	add	x1, x1, #0x200000
	subs	x3, x3, #1
	b.ne	1b
	way
	const	x2, TABLES + 0x1000 + 8 * 256
	const	x1, TABLES + 0x2000 + 3
	str	x1, [x2]
	const	x2, TABLES + 0x2000
	adr	x1, user
	const	x3, 0x7c7		/* normal, EL0 too, read-only */
	orr	x1, x1, x3
	str	x1, [x2]
	const	x0, TABLES
	msr	ttbr0_el1, x0
	movz	x0, #0xff00
	msr	mair_el1, x0
	const	x0, 0x80803519		/* T0SZ 25, 4 KiB, TTBR1 off */
	msr	tcr_el1, x0
	dsb	sy
	isb
	mrs	x0, sctlr_el1
	orr	x0, x0, #1
	msr	sctlr_el1, x0
	isb
	way

	mov	x19, #3			/* all of it, three times */
again:
	/* loops, calls, tables of branches */
	mov	x0, #100
	mov	x1, #0
2:	add	x1, x1, x0, lsl #3
	eor	x1, x1, x1, ror #7
	tbz	x1, #4, 3f
	sub	x1, x1, #5
3:	subs	x0, x0, #1
	b.ne	2b
	way
	mov	x0, #8
	bl	fib
	mov	x22, #4
4:	sub	x22, x22, #1
	adr	x2, ways
	ldr	w3, [x2, x22, lsl #2]
	add	x2, x2, w3, sxtw
	br	x2
way_0:	add	x1, x1, #1
	b	5f
way_1:	way
	b	5f
way_2:	mul	x1, x1, x1
way_3:	cmp	x1, #0
	ccmp	x1, #3, #4, ne
	cset	x3, gt
5:	cbnz	x22, 4b

	/* devices, of the client and of KVM; sizes, signs */
	const	x23, UART
	mov	w0, #'.'
	str	w0, [x23]
	strb	w0, [x23]
	ldr	w0, [x23, #0xfe0]	/* UARTPeriphID0 */
	ldrb	w0, [x23, #0xfe4]
	ldrsh	x0, [x23, #0xfe8]
	ldr	w1, [x23, #0xfec]
	str	wzr, [x23, #0x38]	/* UARTIMSC */
	way
	ldr	w0, [x20]
	ldr	w0, [x20, #0x8]
	str	w0, [x20, #0x80]
	way

	/* system registers: the PE's own, those that trap */
	mrs	x0, midr_el1
	mrs	x0, ctr_el0
	mrs	x0, cntvct_el0
	msr	tpidr_el1, x1
	mrs	x1, tpidr_el1
	mrs	x0, s3_0_c12_c12_5
	mrs	x0, s3_0_c12_c11_3	/* ICC_RPR_EL1 */
	msr	daifset, #8
	mrs	x0, daif
	msr	oslar_el1, xzr
	mrs	x0, oslsr_el1
	way

	/* exceptions that are taken from here and come back */
	svc	#7
	const	x0, 0x84000000		/* PSCI_VERSION. BRK would be the debugger's */
	hvc	#0
	.inst	0			/* UDF */
	mov	x24, #0x70000000
	ldr	x0, [x24]		/* translation fault, skipped */
	str	x0, [x24], #8
	stp	x0, x1, [x24, #-16]!
	mov	x25, #0x60000000
	str	x0, [x25]		/* permission fault, skipped */
	ldr	x0, [x25]
	add	x25, x25, #0x1000
	str	x19, [x25, #8]		/* translation fault, repaired: made again */
	ldr	x0, [x25, #8]
	at	s1e1r, x25
	isb
	mrs	x0, par_el1
	const	x26, TABLES + 0x2000
	str	xzr, [x26, #8]		/* for the next round */
	dsb	ish
	lsr	x0, x25, #12
	tlbi	vaae1is, x0
	dsb	ish
	isb
	way

	/* an interrupt at once, one that waits for its mask, and one that waits for ERET */
	const	x27, 0x01000001
	msr	daifclr, #2
	msr	s3_0_c12_c11_5, x27	/* ICC_SGI1R_EL1 */
	nop
	nop
	msr	daifset, #2
	msr	s3_0_c12_c11_5, x27
	mrs	x0, s3_0_c12_c12_2	/* ICC_HPPIR1_EL1 */
	wfi				/* pending: it does not wait */
	add	x0, x0, #1
	msr	daifclr, #2
	nop
	msr	daifset, #2
	way

	/* code that changes: with maintenance; then the old way again */
	adr	x0, patch
	ldr	w1, patch_with
	ldr	w2, [x0]
	str	w1, [x0]
	dc	cvau, x0
	dsb	ish
	ic	ivau, x0
	dsb	ish
	isb
	bl	patch
	adr	x0, patch
	str	w2, [x0]
	dc	cvau, x0
	dsb	ish
	ic	ivau, x0
	dsb	ish
	isb
	bl	patch
	way

	/* memory: pairs, vectors, atomics, zeroing, over the end of a page */
	const	x0, DATA
	stp	x2, x1, [x0, #16]!
	ldpsw	x2, x3, [x0]
	ldadd	x1, x2, [x0]
	swpal	x3, x4, [x0]
	casal	x4, x5, [x0]
	ldr	q0, [x0]
	aese	v0.16b, v1.16b
	add	v0.4s, v0.4s, v0.4s
	fadd	d2, d0, d0
	str	q0, [x0, #32]
	dc	zva, x0
	add	x0, x0, #0xff0
	str	x1, [x0, #-4]
	ldur	x1, [x0, #-4]
	ldar	x1, [x0]
	stlr	x1, [x0]
	dmb	ish
	prfm	pldl1keep, [x0]
	way

	/* EL0, with interrupts open and one pending when it begins */
	msr	s3_0_c12_c11_5, x27
	mov	x0, #0x60000000
	msr	elr_el1, x0
	msr	spsr_el1, xzr
	mov	x17, #3
	eret
from_user:
	way
	subs	x19, x19, #1
	b.ne	again
	str	w28, [x23]
	const	x0, 0x84000008
	hvc	#0
	b	.

fib:	cmp	x0, #2
	b.lt	1f
	stp	x29, x30, [sp, #-32]!
	str	x0, [sp, #16]
	sub	x0, x0, #1
	bl	fib
	ldr	x1, [sp, #16]
	str	x0, [sp, #24]
	sub	x0, x1, #2
	bl	fib
	ldr	x1, [sp, #24]
	add	x0, x0, x1
	ldp	x29, x30, [sp], #32
1:	ret

ways:	.word	way_0 - ways, way_1 - ways, way_2 - ways, way_3 - ways
patch_with:
	sub	x1, x1, #3

	.balign	64
patch:	add	x1, x1, #7
	ret

	.balign	4096
user:	mov	x1, #20
1:	mul	x2, x1, x1
	subs	x1, x1, #1
	b.ne	1b
	svc	#1			/* comes back */
	mrs	x3, midr_el1		/* UNDEFINED, skipped */
	mov	x4, #0
	ldr	x3, [x4]		/* permission fault, skipped */
	nop
	subs	x17, x17, #1
	b.ne	user
	svc	#2			/* does not */
	b	.

	/* x14, x15, x16: scratch of the vectors */
	.balign	2048
vectors:
	.rept	4
	b	.
	.balign	128
	.endr
	b	sync			/* 0x200 */
	.balign	128
	b	irq
	.balign	128
	.rept	2
	b	.
	.balign	128
	.endr
	b	sync			/* 0x400 */
	.balign	128
	b	irq
	.balign	128
	b	.

sync:	mrs	x14, esr_el1
	lsr	x15, x14, #26
	cmp	x15, #0x15
	b.eq	call
	mrs	x16, far_el1
	cmp	x15, #0x25		/* data abort */
	b.ne	skip
	lsr	x16, x16, #12
	const	x15, 0x60001
	cmp	x16, x15
	b.ne	skip
	const	x16, TABLES + 0x2000
	const	x15, DATA + 0x10000 + 0x707
	str	x15, [x16, #8]
	dsb	ish
	isb
	eret				/* again */
skip:	mrs	x16, elr_el1
	add	x16, x16, #4
	msr	elr_el1, x16
	way
	eret
call:	and	x14, x14, #0xffff
	cmp	x14, #2
	b.eq	1f
	way
	eret
1:	adr	x16, from_user
	msr	elr_el1, x16
	const	x16, 0x3c5
	msr	spsr_el1, x16
	eret

irq:	mrs	x14, s3_0_c12_c12_0	/* ICC_IAR1_EL1 */
	way
	msr	s3_0_c12_c12_1, x14	/* ICC_EOIR1_EL1 */
	eret
