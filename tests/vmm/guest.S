/* SPDX-License-Identifier: MIT */
/*
 * Small guests for guest_test.sh, entered as the boot protocol says: MMU off, x0 the device tree. GUEST selects one.
 * Linked as an ELF for 0x40100000, or as a flat file behind an Image header with IMAGE_HEADER.
 */
	.equ	UART, 0x09000000
	.equ	SYSTEM_OFF, 0x84000008
	.equ	SYSTEM_RESET, 0x84000009

	.macro	call function
	movz	w0, #\function >> 16, lsl #16
	movk	w0, #\function & 0xffff
	hvc	#0
	.endm

	.text
	.globl	_start
_start:
#ifdef IMAGE_HEADER
	b	begin
	nop
	.quad	0			/* text_offset */
	.quad	0x10000			/* image_size */
	.quad	0xa			/* 4K pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
begin:
#endif
	ldr	w9, [x0]		/* the tree's magic, big endian */
	rev	w9, w9
	movz	w10, #0xd00d, lsl #16
	movk	w10, #0xfeed
	cmp	w9, w10
	b.ne	bad
	orr	x11, x1, x2
	orr	x11, x11, x3
	cbnz	x11, bad
	mrs	x11, CurrentEL
	cmp	x11, #4
	b.ne	bad
	mrs	x11, daif
	cmp	x11, #0x3c0
	b.ne	bad
	movz	x19, #UART >> 16, lsl #16
#if defined(GUEST_HELLO)
	adr	x1, text
	bl	print
	call	SYSTEM_OFF
#elif defined(GUEST_RESET)
	call	SYSTEM_RESET
#elif defined(GUEST_REBOOT)		/* RAM behind the image counts; a reset three times, then off */
	adr	x1, text
	bl	print
	movz	x20, #0x4030, lsl #16
	ldr	w0, [x20]
	add	w0, w0, #1
	str	w0, [x20]
	cmp	w0, #3
	b.hi	1f
	call	SYSTEM_RESET
1:	call	SYSTEM_OFF
#elif defined(GUEST_STATUS)
	movz	x20, #0x090e, lsl #16
	mov	w0, #0x12a
	str	w0, [x20]
1:	b	1b
#elif defined(GUEST_PANIC)
	movz	x20, #0x090f, lsl #16
	ldrb	w0, [x20]
	and	w0, w0, #1		/* if it can be told */
	strb	w0, [x20]
1:	b	1b
#elif defined(GUEST_PAIR)			/* no syndrome describes this access */
	mov	w0, #'!'
	str	w0, [x19]
	ldp	x0, x1, [x19]
	call	SYSTEM_OFF
#elif defined(GUEST_ECHO)			/* echoes by polling until a 'q' */
	mov	w0, #0x301
	str	w0, [x19, #0x30]
1:	ldr	w0, [x19, #0x18]
	tbnz	w0, #4, 1b
	ldr	w0, [x19]
	str	w0, [x19]
	cmp	w0, #'q'
	b.ne	1b
	call	SYSTEM_OFF
#elif defined(GUEST_HOLES)			/* accesses to nothing, of all sizes, then says so */
	movz	x20, #0x0a00, lsl #16
	mov	x21, #4096
1:	ldrb	w0, [x20]
	ldrh	w0, [x20, #2]
	ldr	w0, [x20, #4]
	ldr	x0, [x20, #8]
	str	x0, [x20, #16]
	strb	w0, [x20, #24]
	add	x20, x20, #0x1000
	subs	x21, x21, #1
	b.ne	1b
	adr	x1, text
	bl	print
	call	SYSTEM_OFF
#elif defined(GUEST_LOOP)
	adr	x1, text
	bl	print
1:	b	1b
#endif
bad:	adr	x1, bad_text
	bl	print
	call	SYSTEM_OFF

print:	ldrb	w0, [x1], #1
	cbz	w0, 1f
	str	w0, [x19]
	b	print
1:	ret

text:	.asciz	"hello\n"
bad_text:
	.asciz	"not as the boot protocol says\n"
	.balign	8
