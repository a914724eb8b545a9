# SPDX-License-Identifier: MIT
"""gdb's side of debugging a Linux kernel in `pawl run`. In gdb: source .../pawl-gdb.py

pawl-kernel           relocate the symbol file to where the kernel runs, KASLR or not; before the MMU is on, run to there first
pawl-symbols [IMAGE]  take function symbols from the kernel itself, for a kernel without a debug package; then as pawl-kernel
set pawl-unwind on|off  back traces by frame pointer through kernel code whose return addresses are signed (on)

Attached to a kernel that is up, `gdb vmlinux` and `target remote` need no pawl-kernel: the stub tells gdb the offset (qOffsets).
"""
import atexit
import os
import re
import sys
import tempfile

import gdb
import gdb.unwinder

# not __file__: sourced by another script it is that one's
sys.path.insert(0, os.path.dirname(os.path.abspath(sys._getframe().f_code.co_filename)))
import kallsyms  # noqa: E402  (beside this file)


def monitor(command):
    """What a monitor command answers. Not by `monitor`, whose output a machine interface takes for itself."""
    text = gdb.execute("maintenance packet qRcmd," + command.encode().hex(), to_string=True)
    m = re.search(r'received: "([0-9a-f]*)"', text)
    return bytes.fromhex(m.group(1)).decode("latin1") if m else ""


def number(expression):
    return int(gdb.parse_and_eval("(unsigned long)(%s)" % expression))


def where():
    """(physical address, size, virtual address or 0) of the kernel's image"""
    m = re.search(r"IPA (0x[0-9a-f]+), (0x[0-9a-f]+) bytes(?:, mapped at (0x[0-9a-f]+))?", monitor("kernel"))
    if not m:
        raise gdb.GdbError("there is no Linux kernel in the guest's memory")
    return tuple(int(v or "0", 0) for v in m.groups())


def address_of(symbol):
    try:
        return number("&" + symbol)
    except gdb.error:
        return None


def symbol_file():
    names = [o.filename for o in gdb.objfiles() if o.filename and os.path.exists(o.filename)]
    if not names or address_of("_text") is None:
        raise gdb.GdbError("no kernel symbols: gdb vmlinux, or pawl-symbols for a kernel without them")
    return names[0]


def load(path, offset):
    """Symbols of path, moved by offset. gdb sets breakpoints again, and disables what it cannot find at any moment."""
    enabled = [b for b in gdb.breakpoints() if b.enabled]
    gdb.execute("symbol-file -o %#x %s" % (offset & (1 << 64) - 1, path), to_string=True)
    for b in enabled:
        b.enabled = True


def run_to_mapping(ipa):
    """From before the MMU is on to the first code that runs where the kernel is mapped. The address of _text there."""
    text = address_of("_text")
    for name in ("__primary_switched", "start_kernel"):
        symbol = address_of(name)
        if symbol is not None:
            break
    else:
        raise gdb.GdbError("the symbol file has neither __primary_switched nor start_kernel")
    others = [b for b in gdb.breakpoints() if b.enabled]
    for b in others:  # they are at addresses where nothing will be
        b.enabled = False
    stop = gdb.Breakpoint("*%#x" % (ipa + symbol - text), internal=True)
    try:
        gdb.execute("continue", to_string=True)
        pc = number("$pc")
    finally:
        stop.delete()
        for b in others:
            b.enabled = True
    if pc - (symbol - text) & 0xFFF:
        raise gdb.GdbError("stopped at %#x, which is not %s" % (pc, name))
    return pc - (symbol - text)


def settle(path):
    ipa, _, va = where()
    if not va:
        va = run_to_mapping(ipa)
    offset = va - address_of("_text")
    if offset:
        load(path, offset)
    print("kernel at %#x (moved by %#x)" % (va, offset & (1 << 64) - 1))


class Kernel(gdb.Command):
    """Relocate the symbol file to where the guest's kernel runs."""

    def __init__(self):
        super().__init__("pawl-kernel", gdb.COMMAND_FILES)

    def invoke(self, argument, from_tty):
        settle(symbol_file())


class Symbols(gdb.Command):
    """Take symbols from the kernel itself: pawl-symbols [IMAGE]. IMAGE is an uncompressed Image; else memory is read."""

    def __init__(self):
        super().__init__("pawl-symbols", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        ipa, size, va = where()
        try:
            if argument:
                with open(os.path.expanduser(argument), "rb") as f:
                    data = f.read()
                syms, base = kallsyms.symbols(data)
                size = kallsyms.image_size(data)
            else:
                data = self.memory(ipa, size, va)
                syms, base = kallsyms.symbols(data, va)
        except (kallsyms.NotFound, OSError) as e:
            raise gdb.GdbError("%s" % e)
        with tempfile.NamedTemporaryFile(prefix="pawl-kernel-", suffix=".elf", delete=False) as f:
            f.write(kallsyms.elf(syms, va or base, size))
        atexit.register(os.unlink, f.name)
        gdb.execute("symbol-file " + f.name, to_string=True)
        print("%d symbols from the kernel, in %s" % (len(syms), f.name))
        settle(f.name)

    @staticmethod
    def memory(ipa, size, va):
        """The image as it is in memory; what is not mapped any more is zeroes."""
        inferior, data, chunk = gdb.selected_inferior(), bytearray(), 1 << 16
        for at in range(0, size, chunk):
            n = min(chunk, size - at)
            try:
                data += bytes(inferior.read_memory((va or ipa) + at, n))
            except gdb.MemoryError:
                data += bytes(n)
        return bytes(data)


# ---- signed return addresses

class Frame:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


STP_FP_LR = (0xFFC07FFF, 0xA9807BFD)  # stp x29, x30, [sp, #imm]!
SET_FP = ((0xFFFFFFFF, 0x910003FD), (0xFF8003FF, 0x910003FD))  # mov x29, sp; add x29, sp, #imm


class SignedUnwinder(gdb.unwinder.Unwinder):
    """
    Frame records (x29) with the code removed from each return address. gdb does that by itself from the masks that the stub
    gives, but before gdb 14 for addresses of the low half only.
    """

    MASKS = ("pauth_dmask", "pauth_cmask", "pauth_dmask_high", "pauth_cmask_high")

    def __init__(self):
        super().__init__("pawl-signed")

    @staticmethod
    def strip(pending, value):
        high = value >> 55 & 1
        mask = int(pending.read_register("pauth_cmask_high" if high else "pauth_cmask")) & (1 << 64) - 1
        return value | mask if high else value & ~mask

    @staticmethod
    def words(address, count):
        memory = gdb.selected_inferior().read_memory(address, 8 * count).tobytes()
        return [int.from_bytes(memory[i:i + 8], "little") for i in range(0, 8 * count, 8)]

    @staticmethod
    def prologue(pc):
        """(the frame record is stored, x29 points to it, its size) when the next instruction is at pc"""
        # gdb.execute() in here would disturb the command that wants the back trace
        text = gdb.Value(pc).cast(gdb.lookup_type("void").pointer()).format_string(symbols=True)
        m = re.search(r"<.*?(\+(\d+))?>$", text)
        if not m:
            return True, True, 0
        start = pc - int(m.group(2) or "0")
        stored, size = False, 0
        code = gdb.selected_inferior().read_memory(start, min(pc - start, 256)).tobytes()
        for i in range(0, len(code) & ~3, 4):
            insn = int.from_bytes(code[i:i + 4], "little")
            if insn & STP_FP_LR[0] == STP_FP_LR[1]:
                stored, size = True, -((insn >> 15 & 0x7F) - 128) * 8
            elif any(insn & mask == bits for mask, bits in SET_FP):
                return True, True, size
        return stored, False, size

    def __call__(self, pending):
        try:
            pc = int(pending.read_register("pc")) & (1 << 64) - 1
            if not pc >> 55 & 1:
                return None
            sp, fp, lr = (int(pending.read_register(r)) & (1 << 64) - 1 for r in ("sp", "x29", "x30"))
            pending.read_register("pauth_cmask_high")  # ValueError: this CPU signs nothing
            stored, linked, size = self.prologue(pc)
            if linked:
                caller_fp, lr = self.words(fp, 2)
                cfa = fp + 16
            elif stored:
                caller_fp, lr = self.words(sp, 2)
                cfa = sp + size
            else:
                caller_fp, cfa = fp, sp
        except (gdb.error, ValueError):
            return None
        caller = self.strip(pending, lr)
        if not caller or caller == pc:
            return None
        unsigned = gdb.lookup_type("unsigned long")

        def value(n):
            return gdb.Value(n).cast(unsigned)

        unwind = pending.create_unwind_info(Frame(value(cfa), value(pc)))
        for name, n in (("pc", caller), ("sp", cfa), ("x29", caller_fp), ("x30", lr)):
            unwind.add_saved_register(name, value(n))
        for name in self.MASKS:  # the same in every frame
            unwind.add_saved_register(name, pending.read_register(name))
        return unwind


class Unwind(gdb.Parameter):
    """Back traces of the kernel by frame pointer, with return addresses freed of their authentication code."""

    set_doc = show_doc = "Frame-pointer back traces through signed return addresses."

    def __init__(self):
        self.unwinder = SignedUnwinder()
        gdb.unwinder.register_unwinder(None, self.unwinder, replace=True)
        super().__init__("pawl-unwind", gdb.COMMAND_STACK, gdb.PARAM_BOOLEAN)
        self.value = True

    def get_set_string(self):
        self.unwinder.enabled = self.value
        gdb.invalidate_cached_frames()
        return ""


Kernel()
Symbols()
Unwind()
