# SPDX-License-Identifier: MIT
"""What kgdb_line.py has gdb do: a kernel that is stopped in kgdb is at the other end of the socket $KGDB_LINE; $KGDB_VMLINUX has its
symbols. Says "ok" or "NOT OK" per check."""
import os

import gdb


def run(command):
    return gdb.execute(command, to_string=True)


def value(expression):
    return int(gdb.parse_and_eval(expression)) & (1 << 64) - 1


failed = False


def pstate():
    return int(run("p/x $cpsr").split("=")[1], 16)


def set_pstate(v):
    """gdb cannot assign to a register of flags: its packet by hand."""
    run(f"maint packet P21={v.to_bytes(4, 'little').hex()}")
    run("maint flush register-cache")


def check(what, good):
    global failed  # pylint: disable=global-statement
    failed = failed or not good
    print(f"{'ok' if good else 'NOT OK'} {what}", flush=True)


def address(symbol):
    return value(f"(unsigned long)&{symbol}")


def word_at(at):
    return value(f"*(unsigned int *){at:#x}")


def signed(v, width):
    return v - (1 << width) if v >> (width - 1) else v


def after(pc, insn):
    """Where the PE may be after the instruction."""
    if insn >> 26 & 31 == 5:  # B, BL
        return {pc + 4 * signed(insn & 0x3FFFFFF, 26)}
    if insn >> 24 == 0x54 or insn >> 25 & 63 == 26:  # B.cond, CB*
        return {pc + 4, pc + 4 * signed(insn >> 5 & 0x7FFFF, 19)}
    if insn >> 25 & 63 == 27:  # TB*
        return {pc + 4, pc + 4 * signed(insn >> 5 & 0x3FFF, 14)}
    if insn >> 25 == 0x6B:  # BR, BLR, RET
        return {value(f"$x{insn >> 5 & 31}")}
    return {pc + 4}


def steps(n):
    for _ in range(n):
        pc = value("$pc")
        to = after(pc, word_at(pc))
        run("stepi")
        if value("$pc") not in to:
            print(f"from {pc:#x} to {value('$pc'):#x}")
            return False
    return True


def session():
    for setting in ("pagination off", "confirm off", "architecture aarch64", "remotetimeout 600", "osabi none"):
        run(f"set {setting}")
    run(f"file {os.environ['KGDB_VMLINUX']}")
    run(f"target remote {os.environ['KGDB_LINE']}")

    # kgdbwait: before there is a process
    check("the kernel waits where kgdb stops it", "kgdb" in run("info symbol $pc") or "configure_kgdboc" in run("backtrace"))
    check("memory is read", word_at(address("linux_banner")) == int.from_bytes(b"Linu", "little"))
    run("break run_init_process")
    run("continue")
    check("a software breakpoint in the kernel is hit", value("$pc") - address("run_init_process") in range(0, 16))
    run("delete")

    run("continue")  # to SysRq g
    check("SysRq stops the kernel", "sysrq" in run("backtrace"))
    check("the other PE is held, and the threads are listed", "shadowCPU" in run("info threads") and "init" in run("info threads"))
    run("set var *(int *)&panic_timeout = 11")
    check("memory is written", value("*(int *)&panic_timeout") == 11)

    run("break *&__arm64_sys_getppid")
    run("continue")
    at = address("__arm64_sys_getppid")
    check("a system call is caught at its first instruction", value("$pc") == at)
    state = pstate()
    set_pstate(state | 0x80)  # an interrupt would be stepped into, as on hardware
    check("single steps go where the instructions say", steps(40))
    check("the interrupt mask is the one that was set", pstate() & 0x80)
    set_pstate(pstate() & ~0x80)

    run("continue")
    check("the second call is caught", value("$pc") == at)
    back = value("$x30")
    run("delete")  # what is stepped over may be hit again, after an interrupt
    run(f"tbreak *{back:#x}")
    run("continue")
    check("a breakpoint at the return address is hit", value("$pc") == back)
    run("set $x0 = 4321")

    run("continue")  # to the second SysRq g
    check("SysRq stops it again", "sysrq" in run("backtrace"))
    run("detach")


try:
    session()
except gdb.error as error:
    check(f"gdb: {error}", False)
gdb.execute(f"quit {int(failed)}")
