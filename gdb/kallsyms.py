#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Symbols of an arm64 Linux kernel out of the kernel itself.

A kernel with CONFIG_KALLSYMS carries the names of its functions, compressed by the tokens that occur most often. This finds
the tables in an uncompressed Image (or a copy of one in memory) and writes an ELF file that has nothing but a symbol table,
for a kernel whose debug package is not at hand:

    kallsyms.py IMAGE OUT.elf [BASE]

BASE is the address of the image's first byte, by default the one that it was linked for; a debugger relocates by it. No layout is known beforehand: the digits among the
tokens are found first, then each table by its neighbour.
"""
import collections
import struct
import sys


class NotFound(Exception):
    pass


def align(n, to):
    return (n + to - 1) & -to


def find_tokens(data):
    """(offset of the token table, the 256 tokens, offset behind the token index)"""
    digits = b"".join(b"%d\0" % i for i in range(10))
    at = data.find(digits)
    while at >= 0:
        end, count = at, ord("0")
        while count < 256 and end < len(data):  # tokens '0' to 255
            end = data.find(b"\0", end) + 1
            count += 1
            if not end:
                break
        for index in (align(end, 8), align(end, 4), align(end, 2)):
            if count == 256 and index + 512 <= len(data):
                offsets = struct.unpack_from("<256H", data, index)
                start = at - offsets[ord("0")]
                if offsets[0] == 0 and start >= 0 and all(a < b for a, b in zip(offsets, offsets[1:])):
                    tokens = [data[start + o:data.find(b"\0", start + o)] for o in offsets]
                    return start, tokens, index + 512
        at = data.find(digits, at + 1)
    raise NotFound("no kallsyms token table: the kernel has no symbols, or this is no plain Image")


def name_length(data, at):
    """(bytes of the compressed name, bytes of the length itself)"""
    n = data[at]
    return ((n & 0x7F) | data[at + 1] << 7, 2) if n & 0x80 else (n, 1)


def skip_names(data, at, count):
    for _ in range(count):
        n, head = name_length(data, at)
        at += head + n
    return at


def find_names(data, tokens_at):
    """(offset of the number of symbols, of the names, the number)"""
    # The markers are increasing offsets of every 256th name, the first is 0. They end before the token table, or before a
    # table of 3 bytes for each symbol that stands between.
    # All are aligned to 8 bytes, in kernels of 2026 to 4.
    at = tokens_at & ~3
    lowest = max(0, tokens_at - (8 << 20))
    while at > lowest:
        at -= 4
        first, second = struct.unpack_from("<2I", data, at)
        if first or not 256 < second < 256 * 128:
            continue
        markers = [0]
        while at + 4 * len(markers) + 4 <= tokens_at:
            m = struct.unpack_from("<I", data, at + 4 * len(markers))[0]
            if not 256 < m - markers[-1] < 256 * 512:
                break
            markers.append(m)
        start = at - markers[-1] & ~3
        for names in range(start, max(start - 256 * 512, 8), -4):
            for number_at in (names - 8, names - 4):
                n = struct.unpack_from("<I", data, number_at)[0]
                if n and (n + 255) // 256 == len(markers) and skip_names(data, names, 256) - names == markers[1]:
                    return number_at, names, n
    raise NotFound("no kallsyms names before the token table")


def ascending(values):
    return all(a <= b for a, b in zip(values, values[1:]))


def find_offsets(data, number_at, behind_index, n):
    """(offsets of the symbols, where their base is): before the number of symbols, or behind the token index. No base: each was the
    distance from itself, and is from the image's first byte here."""
    for base_at in (number_at - 8, number_at - 16):
        at = base_at - align(4 * n, 8)
        if at >= 0:
            values = struct.unpack_from("<%dI" % n, data, at)
            if ascending(values) and values[-1] > n:
                return values, base_at
    for at in (align(behind_index, 8), align(behind_index, 4)):
        if at + align(4 * n, 8) + 8 <= len(data):
            values = struct.unpack_from("<%dI" % n, data, at)
            if ascending(values) and values[-1] > n:
                return values, at + align(4 * n, 8)
            values = [at + 4 * i + v for i, v in enumerate(struct.unpack_from("<%di" % n, data, at))]
            if ascending(values) and values[0] >= 0:
                return values, None
    raise NotFound("no kallsyms offsets (a kernel with absolute addresses is not understood)")


RELATIVE = struct.pack("<Q", 0x403)  # R_AARCH64_RELATIVE
BASE_ALIGN = 0x200000  # of a kernel's first byte when it was linked


def linked_address(data):
    """The address of the image's first byte that most of its pointers mean."""
    counts = collections.Counter(w // BASE_ALIGN for w, in struct.iter_unpack("<Q", data[:len(data) & ~7]) if w >> 47 == 0x1FFFF)
    span = range(-(-image_size(data) // BASE_ALIGN))
    return BASE_ALIGN * max((b for b in counts if counts[b] > 16), key=lambda b: sum(counts[b + i] for i in span), default=0)


def base_offset(data, base_at, va):
    """(the base's distance from the image's first byte, the address of that byte): the base is an address, relocated, or still in
    .rela.dyn."""
    if base_at is None:
        return 0, va or linked_address(data)
    value = struct.unpack_from("<Q", data, base_at)[0]
    if value:
        first = va or value - value % BASE_ALIGN
        return value - first, first
    best = None
    at = data.find(RELATIVE)
    while at >= 0:
        if at % 8 == 0 and at >= 8:
            place, _, addend = struct.unpack_from("<3Q", data, at - 8)
            linked = place - base_at
            if linked % BASE_ALIGN == 0 and 0 <= addend - linked < BASE_ALIGN and (best is None or addend - linked < best[0]):
                best = addend - linked, linked
        at = data.find(RELATIVE, at + 1)
    if best is None:
        raise NotFound("no relocation of the base of kallsyms")
    return best[0], va or best[1]


def symbols(data, va=0):
    """([(offset in the image, type letter, name)], ascending; the address of its first byte: as linked, or va). va: where the image is
    mapped, if data is memory."""
    tokens_at, tokens, behind = find_tokens(data)
    number_at, at, n = find_names(data, tokens_at)
    offsets, base_at = find_offsets(data, number_at, behind, n)
    base, first = base_offset(data, base_at, va)
    result = [(0, "T", "_text")]
    for i in range(n):
        length, head = name_length(data, at)
        at += head
        text = b"".join(tokens[c] for c in data[at:at + length]).decode("latin1")
        at += length
        if text[1:] != "_text":
            result.append((offsets[i] + base, text[:1], text[1:]))
    return result, first


def elf(syms, base, size):
    """An ELF file with one section over the image, and the symbols in it."""
    strtab, symtab = bytearray(b"\0"), bytearray(24)
    for i, (offset, kind, name) in enumerate(syms):
        if not 0 <= offset < size:
            continue
        end = syms[i + 1][0] if i + 1 < len(syms) else offset
        function = kind in "tTwW"
        info = (1 if kind.isupper() else 0) << 4 | (2 if function else 1)
        symtab += struct.pack("<IBBHQQ", len(strtab), info, 0, 1, base + offset, max(end - offset, 0))
        strtab += name.encode("latin1") + b"\0"
    # gdb wants local symbols before global ones: sort by binding, stably
    entries = [symtab[i:i + 24] for i in range(24, len(symtab), 24)]
    entries.sort(key=lambda e: e[4] >> 4)
    local = sum(e[4] >> 4 == 0 for e in entries) + 1
    symtab = bytes(24) + b"".join(entries)
    names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at = 64 + 56
    sym_at = at
    str_at = sym_at + len(symtab)
    names_at = str_at + len(strtab)
    sections_at = align(names_at + len(names), 8)

    def section(name, kind, flags, addr, off, length, link=0, info=0, alignment=1, entry=0):
        return struct.pack("<IIQQQQIIQQ", names.index(name) if name else 0, kind, flags, addr, off, length, link, info,
                           alignment, entry)

    sections = (section(b"", 0, 0, 0, 0, 0, alignment=0)
                + section(b".text", 8, 6, base, at, size, alignment=4)
                + section(b".symtab", 2, 0, 0, sym_at, len(symtab), 3, local, 8, 24)
                + section(b".strtab", 3, 0, 0, str_at, len(strtab))
                + section(b".shstrtab", 3, 0, 0, names_at, len(names)))
    head = (b"\x7fELF\2\1\1" + bytes(9)
            + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, base, 64, sections_at, 0, 64, 56, 1, 64, 5, 4))
    segment = struct.pack("<IIQQQQQQ", 1, 5, at, base, base, 0, size, 0x10000)
    body = head + segment + symtab + bytes(strtab) + names
    return body + bytes(sections_at - len(body)) + sections


def image_size(data):
    if data[56:60] != b"ARM\x64":
        raise NotFound("no arm64 kernel Image (decompress it first)")
    return struct.unpack_from("<Q", data, 16)[0] or len(data)


def main(argv):
    if len(argv) not in (3, 4):
        sys.exit("usage: kallsyms.py IMAGE OUT.elf [BASE]")
    try:
        data = open(argv[1], "rb").read()
        size = image_size(data)
        syms, base = symbols(data)
        with open(argv[2], "wb") as f:
            f.write(elf(syms, int(argv[3], 0) if len(argv) > 3 else base, size))
    except (NotFound, OSError, struct.error, ValueError) as e:
        sys.exit("kallsyms.py: %s: %s" % (argv[1], e))


if __name__ == "__main__":
    main(sys.argv)
