/* SPDX-License-Identifier: MIT */
/*
 * The machine part of the payloads: entry, exception vectors that give control back to who made the access, and the
 * accesses themselves. Runs at EL1 of a board like QEMU's "virt". Position independent: the code runs through either
 * half of the address space.
 */
	.arch	armv8.2-a+crypto+lse

	.section .text.start, "ax"
	.globl _start
_start:
	adrp	x0, stack_top
	add	x0, x0, :lo12:stack_top
	mov	sp, x0
	mov	x0, #3 << 20
	msr	cpacr_el1, x0
	isb
	bl	main
off:
	movz	w0, #0x8400, lsl #16	/* PSCI SYSTEM_OFF */
	movk	w0, #8
	hvc	#0
	b	off

	.text
/* void jump_half(uint64_t offset): goes on at the same code, stack and frames plus offset */
	.globl	jump_half
jump_half:
	add	sp, sp, x0
	add	x29, x29, x0
	add	x30, x30, x0
	ret

/*
 * struct access: see payload.h. access_run(struct access *a): makes it; what came of it is in *a. x19 to x30 and SP are
 * kept in it, so that the vectors can come back from anywhere.
 */
#define A_FN 0
#define A_VA 8
#define A_VAL 16
#define A_PAN 32
#define A_UAO 40
#define A_SPSR 48
#define A_VECTOR 56
#define A_ESR 64
#define A_FAR 72
#define A_ELR 80
#define A_SPSR_OUT 88
#define A_X0 96
#define A_PAR 104
#define A_SAVED 112
#define A_SP1 216
#define A_SP0 224

	.globl	access_run
access_run:
	msr	tpidr_el1, x0
	stp	x19, x20, [x0, #A_SAVED]
	stp	x21, x22, [x0, #A_SAVED + 16]
	stp	x23, x24, [x0, #A_SAVED + 32]
	stp	x25, x26, [x0, #A_SAVED + 48]
	stp	x27, x28, [x0, #A_SAVED + 64]
	stp	x29, x30, [x0, #A_SAVED + 80]
	mov	x9, sp
	str	x9, [x0, #A_SAVED + 96]
	mov	x9, #~0
	str	x9, [x0, #A_VECTOR]
	ldr	x3, [x0, #A_FN]
	ldr	x1, [x0, #A_VA]
	ldp	x2, x4, [x0, #A_VAL]
	ldr	x5, [x0, #A_PAN]
	ldr	x6, [x0, #A_UAO]
	ldr	x7, [x0, #A_SPSR]
	tbz	x7, #63, 1f
	/* at EL0, or wherever SPSR says */
	msr	elr_el1, x3
	and	x7, x7, #0xffffffff
	msr	spsr_el1, x7
	ldp	x8, x9, [x0, #A_SP1]
	cbz	x8, 2f
	mov	sp, x8
	msr	sp_el0, x9
2:	mov	x0, #0
	mov	x3, #0
	isb
	eret
1:	mov	x0, #0
	msr	uao, x6
	msr	pan, x5
	br	x3

/* Back without an exception: x0 is the result. */
	.globl	access_done
access_done:
	msr	pan, #0
	msr	uao, #0
	mrs	x9, tpidr_el1
	str	x0, [x9, #A_X0]
restore:
	mrs	x10, par_el1
	str	x10, [x9, #A_PAR]
	ldp	x19, x20, [x9, #A_SAVED]
	ldp	x21, x22, [x9, #A_SAVED + 16]
	ldp	x23, x24, [x9, #A_SAVED + 32]
	ldp	x25, x26, [x9, #A_SAVED + 48]
	ldp	x27, x28, [x9, #A_SAVED + 64]
	ldp	x29, x30, [x9, #A_SAVED + 80]
	ldr	x10, [x9, #A_SAVED + 96]
	mov	sp, x10
	ret

	/* x9 to x12: nobody needs them who can be interrupted here */
	.macro	vector n
	.balign	0x80
	mrs	x11, pan
	msr	pan, #0
	mrs	x12, uao
	msr	uao, #0
	msr	tpidr_el0, x0
	mov	x10, #\n
	b	taken
	.endm

	.balign	0x800
	.globl	vectors
vectors:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector	\n
	.endr
	.balign	0x80
taken:
	mrs	x9, spsel
	orr	x12, x12, x9
	mrs	x9, daif
	orr	x12, x12, x9
	mrs	x9, currentel
	orr	x12, x12, x9
	msr	spsel, #1
	mrs	x9, tpidr_el1
	stp	x11, x12, [x9, #A_PAN]	/* as it was when the vector was entered */
	str	x10, [x9, #A_VECTOR]
	mrs	x10, esr_el1
	str	x10, [x9, #A_ESR]
	mrs	x10, far_el1
	str	x10, [x9, #A_FAR]
	mrs	x10, elr_el1
	str	x10, [x9, #A_ELR]
	mrs	x10, spsr_el1
	str	x10, [x9, #A_SPSR_OUT]
	mrs	x10, tpidr_el0
	str	x10, [x9, #A_X0]
	b	restore

/* The accesses: x1 the address, x2 and x4 values, x0 the result. Two words each, back by access_done. */
	.macro	stub insn:vararg
	\insn
	b	access_done
	.endm
	.balign	8
	.globl	stubs
stubs:
	stub	ldr x0, [x1]
	stub	ldr w0, [x1]
	stub	ldrh w0, [x1]
	stub	ldrsb x0, [x1]
	stub	str x2, [x1]
	stub	str w2, [x1]
	stub	strh w2, [x1]
	stub	strb w2, [x1]
	stub	ldtr x0, [x1]
	stub	ldtrb w0, [x1]
	stub	sttr x2, [x1]
	stub	sttrh w2, [x1]
	stub	ldp x0, x3, [x1]
	stub	stp x2, x4, [x1]
	stub	ldxr x0, [x1]
	stub	ldar w0, [x1]
	stub	stlr x2, [x1]
	stub	ldr q0, [x1]
	stub	str q1, [x1]
	stub	swp x2, x0, [x1]
	stub	ldadd w2, w0, [x1]
	stub	cas x2, x4, [x1]
	stub	dc zva, x1
	stub	at s1e1r, x1
	stub	at s1e1w, x1
	stub	at s1e0r, x1
	stub	at s1e0w, x1
	stub	at s1e1rp, x1
	stub	at s1e1wp, x1
	stub	br x1
	stub	prfm pldl1keep, [x1]
	stub	ldrsw x0, [x1]
	stub	ldp q0, q2, [x1]
	stub	stp q1, q3, [x1]
	stub	ldnp x0, x3, [x1]
	stub	ldpsw x0, x3, [x1]
	stub	ld1 {v4.16b-v7.16b}, [x1]
	stub	st1 {v4.4s-v5.4s}, [x1]
	stub	ld3 {v4.8h-v6.8h}, [x1]
	stub	ldxp x0, x3, [x1]
	stub	ldtrsh x0, [x1]
	stub	sttrb w2, [x1]
	stub	ldarb w0, [x1]
	stub	stllr w2, [x1]

/* The same for EL0, which comes back by SVC. */
	.macro	user insn:vararg
	\insn
	svc	#0x7f
	.endm
	.globl	user_stubs
user_stubs:
	user	ldr x0, [x1]
	user	ldrb w0, [x1]
	user	str x2, [x1]
	user	strh w2, [x1]
	user	ldp x0, x3, [x1]
	user	stp x2, x4, [x1]
	user	swp x2, x0, [x1]
	user	ldxr w0, [x1]
	user	ldtr x0, [x1]
	user	sttr x2, [x1]
	user	br x1
	user	ldar x0, [x1]
	user	ldr q0, [x1]
	user	dc zva, x1
	user	cas w2, w4, [x1]
	user	ldtrsw x0, [x1]
	user	ldp q0, q2, [x1]
	user	stp q1, q3, [x1]
	user	ld4 {v4.4s-v7.4s}, [x1]
	user	st2 {v4.8b-v5.8b}, [x1]
	user	ld1r {v4.2d}, [x1]
	user	sttr w2, [x1]
	user	ldaxp w0, w3, [x1]
	user	stlr w2, [x1]

/* What FEAT_LSE2 is about: all kinds of exclusives, atomics, acquires and releases, of each size; at EL1 and then at EL0. */
	.macro	ordered back:vararg
	.irp	insn, "ldar x0", "ldar w0", "ldarh w0", "ldaxr x0", "ldaxr w0", "ldaxrh w0", "stlr x2", "stlr w2", "stlrh w2", \
		"ldapr x0", "ldapr w0", "ldaprh w0", "ldxp x0, x3", "ldaxp w0, w3", "swpal x2, x0", "swpl w2, w0", "swph w2, w0", \
		"ldclr x2, x0", "ldeora w2, w0", "ldseth w2, w0", "ldsmax x2, x0", "ldsmin w2, w0", "ldumaxh w2, w0", "ldumin x2, x0", \
		"cas x0, x2", "casa w0, w2", "cash w0, w2", "caspal x2, x3, x4, x5", "casp w2, w3, w4, w5", "stadd x2", "stlurh w2", \
		"ldapur x0"
	\insn, [x1]
	\back
	.endr
	.endm
	.arch	armv8.4-a
	.globl	lse2_stubs
lse2_stubs:
	ordered	b access_done
	ordered	svc #0x7f
