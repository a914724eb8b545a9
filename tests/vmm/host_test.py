#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""host_test.py PAWL: what may happen around `pawl run`: closed descriptors, a reader that goes away, signals, a terminal,
and debuggers that send rubbish, disconnect or never read. Each ends with the documented status, and soon."""
import os
import pty
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

PAWL = sys.argv[1]
WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "").split()  # a cross build's emulator
PATIENCE = 60  # seconds, then it hangs
FAILED = []


def image(*words):
    """An Image whose program is words, at offset 64."""
    head = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, 0x644D5241, 0)
    return head + struct.pack("<%dI" % len(words), *words)


SPIN = image(0x14000000)
# mov x0, #0x9000000; mov w1, #'x'; str w1, [x0]; PSCI SYSTEM_OFF by hvc
PRINT = image(0xD2A12000, 0x52800F01, 0xB9000001, 0xD2B08000, 0xF2800100, 0xD4000002)


def check(what, have, want):
    if have != want:
        print("not ok: %s: %r, not %r" % (what, have, want))
        FAILED.append(what)


def start(kernel, *args, **kw):
    kw = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
    return subprocess.Popen(WRAPPER + [PAWL, "run", "--kernel", kernel, *args], **kw)


def ended(what, p, status, text=b""):
    try:
        out, err = p.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        out, err = b"", b"it hangs"
    check(what, p.returncode, status)
    check(what + ": " + repr(text), text in (err or b""), True)
    return out


def descriptors(print_kernel):
    shell = " ".join(WRAPPER + [PAWL]) + " run --kernel " + print_kernel
    for redirect, status in (("", 0), ("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- 2>&-", 0), ("<&- >&- 2>&-", 1),
                             (">/dev/full", 1)):
        p = subprocess.Popen(["sh", "-c", shell + " " + redirect], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        text = b"cannot write the console's output" if status and "2>" not in redirect else b""
        out = ended("descriptors " + redirect, p, status, text)
        check("output with " + redirect, out, b"" if ">&-" in redirect.replace("2>&-", "") or status else b"x")
    read, write = os.pipe()
    os.close(read)
    p = start(print_kernel, stdout=write)
    os.close(write)
    ended("a reader that is gone", p, 1, b"Broken pipe")


def terminal(spin):
    for how, status in (("key", 5), ("signal", 128 + signal.SIGTERM)):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        p = start(spin, stdin=slave, stdout=slave)
        while termios.tcgetattr(slave) == before and p.poll() is None:  # until it is raw
            time.sleep(0.01)
        if how == "key":
            os.write(master, b"\x01x")
        else:
            p.send_signal(signal.SIGTERM)
        ended("ended on a terminal by a " + how, p, status)
        check("the terminal after a " + how, termios.tcgetattr(slave), before)
        os.close(master)
        os.close(slave)


def packet(text):
    return b"$" + text + b"#%02x" % (sum(text) & 255)


def connect(path, p):
    while p.poll() is None:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            s.settimeout(PATIENCE)
            return s
        except OSError:
            s.close()
            time.sleep(0.01)
    raise SystemExit("not ok: pawl run --gdb ended: %r" % p.stderr.read())


def answers(s):
    """Whether the server still answers a question as it should."""
    s.sendall(packet(b"?"))
    got = b""
    while b"#" not in got:
        more = s.recv(4096)
        if not more:
            return False
        got += more
    return b"$T05" in got


RUBBISH = [
    b"", b"$", b"$m40200000,4", b"$m40200000,4#", b"$m40200000,4#0", b"$#00", b"#", b"+" * 1000 + b"-" * 1000,
    b"\x03" * 100, b"$" + b"x" * 200000, b"$" * 5000, b"}" * 5000, b"$g#67$g#67$g#67", random.Random(1).randbytes(100000),
]
COMMANDS = [
    b"G", b"G00", b"Gzz", b"p", b"p999999999999999999", b"P1f=zz", b"P=", b"m", b"m,", b"mffffffffffffffff,ffffffffffffffff",
    b"M40200000,4:zz", b"M40200000,ffffffff:00", b"X40200000,8:}", b"Z", b"Z9,0,0", b"Z1,40200000,99", b"Z2,0,-1",
    b"z0,ffffffffffffffff,4", b"vCont", b"vCont;", b"vCont;x", b"vCont;c:99", b"vCont;s:-1;c:p1.-1", b"vCont;r1:1",
    b"Hg-5", b"Hgzzz", b"T99", b"qRcmd,", b"qRcmd,z", b"qXfer:features:read:target.xml:fffffffffffffff,fff",
    b"qXfer:features:read:../../etc/passwd:0,fff", b"qXfer:::::", b"qSupported:" + b"a+;" * 2000, b"vMustReplyEmpty", b"\xff",
    b"s1", b"C", b"!",
]


def bad_debuggers(spin, directory):
    path = os.path.join(directory, "gdb")
    p = start(spin, "--gdb", "unix:" + path, "--gdb-wait")
    for rubbish in RUBBISH:
        with connect(path, p) as s:
            s.sendall(rubbish)
    for text in COMMANDS:
        with connect(path, p) as s:
            s.sendall(packet(text) + b"$m4020")
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):  # until the server has seen the end
                pass
    with connect(path, p) as s:
        check("answers after rubbish", answers(s), True)
        s.sendall(packet(b"k"))
        ended("killed by its debugger", p, 5)
    check("the socket is removed", os.path.exists(path), False)

    p = start(spin, "--gdb", "unix:" + path)
    with connect(path, p) as s:  # asks and never reads, until the server's send has to wait
        s.settimeout(1)
        try:
            while True:
                s.sendall(packet(b"qXfer:features:read:target.xml:0,fff") * 100)
        except socket.timeout:
            pass
        p.send_signal(signal.SIGTERM)
        ended("a debugger that does not read", p, 128 + signal.SIGTERM)

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        ended("a port in use", start(spin, "--gdb", str(busy.getsockname()[1])), 1, b"Address already in use")


def main():
    with tempfile.TemporaryDirectory() as directory:
        names = {}
        for name, data in (("spin", SPIN), ("print", PRINT)):
            names[name] = os.path.join(directory, name)
            with open(names[name], "wb") as f:
                f.write(data)
        descriptors(names["print"])
        terminal(names["spin"])
        bad_debuggers(names["spin"], directory)
    if not FAILED:
        print("all as it should be")
    return bool(FAILED)


sys.exit(main())
