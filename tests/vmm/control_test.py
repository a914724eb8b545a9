#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""control_test.py PAWL: the control socket, as a program and as `pawl control` see it, and --pidfile. The guest counts in
memory and on the console, so that whether it runs can be told without a clock."""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PAWL = sys.argv[1]
WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "").split()  # a cross build's emulator
PATIENCE = 60  # seconds, then it hangs
FAILED = []


def image(*words):
    """An Image whose program is words, at offset 64."""
    head = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, 0x644D5241, 0)
    return head + struct.pack("<%dI" % len(words), *words)


# mov x0, #0x9000000; mov w1, #'x'; str w1, [x0]; then yield for ever
GUEST = image(0xD2A12000, 0x52800F01, 0xB9000001, 0xD503203F, 0x17FFFFFF)


def check(what, have, want):
    if have != want:
        print("not ok: %s: %r, not %r" % (what, have, want))
        FAILED.append(what)


class Control:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text)

    def line(self):
        text = self.file.readline()
        return json.loads(text) if text else None

    def event(self, name):
        while True:
            line = self.line()
            if line is None or line.get("event") == name:
                return line

    def answer(self):
        while True:
            line = self.line()
            if line is None or "event" not in line:
                return line

    def ask(self, **request):
        self.send(json.dumps(request).encode() + b"\n")
        return self.answer()


def start(directory, *args):
    pidfile = os.path.join(directory, "pid")
    p = subprocess.Popen(WRAPPER + [PAWL, "run", "--kernel", os.path.join(directory, "guest"), "--memory", "16M",
                                    "--control", os.path.join(directory, "control"), "--pidfile", pidfile, *args],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not os.path.exists(pidfile) and p.poll() is None:
        time.sleep(0.01)
    if p.poll() is not None:
        raise SystemExit("not ok: it ended: %r" % (p.communicate(),))
    with open(pidfile) as f:
        check("the pidfile", int(f.read()), p.pid)
    return p


def ended(what, p, status):
    try:
        p.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
    check(what, p.returncode, status)


def commands(directory, p):
    c = Control(os.path.join(directory, "control"))
    status = c.ask(command="status", id=7)
    check("ok and id", (status["ok"], status["id"]), (True, 7))
    check("status", (status["state"], status["vcpus"], status["memory"], status["pid"], status["resets"], status["debugger"]),
          ("running", 2, 16 << 20, p.pid, 0, False))
    check("milliseconds, and no digits of nothing", round(status["seconds"], 3), status["seconds"])
    check("pause", c.ask(command="pause"), {"ok": True})
    check("paused", c.ask(command="status")["state"], "paused")
    check("pause again", c.ask(command="pause"), {"ok": True})
    check("resume", c.ask(command="resume"), {"ok": True})
    check("running", c.ask(command="status")["state"], "running")

    check("a balloon", c.ask(command="balloon"), {"ok": True, "size": 0, "actual": 0})
    check("another size", c.ask(command="balloon", size="4M"), {"ok": True, "size": 4 << 20, "actual": 0})
    check("more than there is", "no more than that" in c.ask(command="balloon", size="16M")["error"], True)
    check("no size", "is not a size" in c.ask(command="balloon", size="x")["error"], True)

    check("reads before the reset", p.stdout.read(1), b"x")
    check("reset", c.ask(command="reset"), {"ok": True})
    check("the event", c.event("reset"), {"event": "reset"})
    check("the guest starts again", p.stdout.read(1), b"x")
    check("resets are counted", c.ask(command="status")["resets"], 1)

    stats = c.ask(command="stats")
    check("counters of each vcpu", (stats["ok"], len(stats["vcpus"]), sorted(stats["vcpus"][0]) == sorted(stats["all"])), (True, 2, True))
    check("their sum", stats["all"]["mmio_exit_user"], sum(v["mmio_exit_user"] for v in stats["vcpus"]))
    check("the guest has printed", stats["vcpus"][0]["mmio_exit_user"] >= 2, True)
    check("data aborts at EL2 are at least these", stats["vcpus"][0]["pawl_exit_ec"][0x24] >= 2, True)
    check("the second vcpu has not run", stats["vcpus"][1]["pawl_units"] + stats["vcpus"][1]["pawl_interpreted_blocks"], 0)
    check("of the VM", "remote_tlb_flush" in stats["vm"], True)

    # a reset while it is paused leaves it paused, at its first instruction
    c.ask(command="pause")
    c.ask(command="reset")
    c.event("reset")
    check("paused after a reset", c.ask(command="status")["state"], "paused")
    c.ask(command="resume")
    check("and goes on", p.stdout.read(1), b"x")
    check("powerdown", c.ask(command="powerdown"), {"ok": True})

    for text, words in ((b"rubbish\n", "not JSON"), (b"[1]\n", "a request is"), (b'{"command":1}\n', "a request is"),
                        (b'{"command":"dance"}\n', "unknown command 'dance'"), (b'{"command":"gdb"}\n', "address"),
                        (b"\0\0\n", "not JSON"), (b'{"command":"gdb","address":"nowhere.invalid:0:1"}\n', "gdb")):
        c.send(text)
        answer = c.answer()
        check("the answer to %r has %r: %r" % (text, words, answer), (answer["ok"], words in answer["error"]), (False, True))
    c.send(b"\n  \n")
    c.send(b'{"command":"sta')
    c.send(b'tus"}\n{"command":"status"}\n')
    check("two in three pieces", (c.answer()["ok"], c.answer()["ok"]), (True, True))
    long = Control(os.path.join(directory, "control"))
    long.send(b"x" * 10000)
    check("a line without an end", long.answer()["error"], "the line is too long")

    # many clients, some of which never read
    quiet = [Control(os.path.join(directory, "control")) for _ in range(5)]
    try:
        for _ in range(100000):
            quiet[0].socket.setblocking(False)
            quiet[0].send(b'{"command":"help"}\n' * 50)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    check("another client meanwhile", c.ask(command="status")["ok"], True)
    for q in quiet:
        q.socket.close()
    return c


def gdb(c, directory):
    path = os.path.join(directory, "gdb")
    check("gdb", c.ask(command="gdb", address="unix:" + path), {"ok": True})
    check("gdb twice", "already" in c.ask(command="gdb", address="unix:" + path)["error"], True)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE)
        s.connect(path)
        s.sendall(b"$?#3f")
        got = b""
        while b"T05" not in got:
            got += s.recv(100)
        check("a debugger is there", c.ask(command="status")["debugger"], True)


def notes(data):
    while data:
        name, size, kind = struct.unpack_from("<III", data)
        at = 12 + (name + 3 & ~3)
        yield data[12:12 + name - 1], kind, data[at:at + size]
        data = data[at + (size + 3 & ~3):]


def core_file(path):
    """The core file's notes, and its bytes by physical address."""
    with open(path, "rb") as f:
        data = f.read()
    ident, kind, machine, _, _, phoff, _, _, _, phentsize, phnum, _, _, _ = struct.unpack_from("<16sHHIQQQIHHHHHH", data)
    check("an ELF core file for arm64", (ident[:6], kind, machine), (b"\x7fELF\x02\x01", 4, 183))
    found, ram = [], {}
    for i in range(phnum):
        kind, _, off, _, paddr, filesz, _, _ = struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize)
        if kind == 4:
            found = list(notes(data[off:off + filesz]))
        elif kind == 1:
            ram[paddr] = data[off:off + filesz]
    return found, ram


def vmcore(directory, c):
    def expect(path):
        found, ram = core_file(path)
        check("a note for each vcpu", [(n, k, len(d)) for n, k, d in found], [(b"CORE", 1, 392)] * 2)
        pc = struct.unpack_from("<Q", found[0][2], 112 + 8 * 32)[0]
        check("the first vcpu's PC is in its loop", pc in (0x4020004C, 0x40200050), True)
        check("its x0", struct.unpack_from("<Q", found[0][2], 112)[0], 0x9000000)
        check("all of RAM", [(at, len(data)) for at, data in ram.items()], [(0x40000000, 16 << 20)])
        check("the kernel is there", ram[0x40000000][0x200000:].startswith(GUEST), True)

    one, two = os.path.join(directory, "one"), os.path.join(directory, "two")
    done = subprocess.run(WRAPPER + [PAWL, "control", os.path.join(directory, "control"), "vmcore", one],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    check("pawl control vmcore", (done.returncode, done.stderr), (0, b""))
    expect(one)
    with open(two, "wb") as f:
        socket.send_fds(c.socket, [b'{"command":"vmcore","id":"x"}\n'], [f.fileno()])
    answer = c.answer()
    check("its size", (answer["ok"], answer["id"], answer["size"]), (True, "x", os.path.getsize(two)))
    expect(two)
    check("it runs on", c.ask(command="status")["state"], "running")

    # a reader that never reads stops neither the answers nor the end
    read, write = os.pipe()
    socket.send_fds(c.socket, [b'{"command":"vmcore"}\n'], [write])
    check("one at a time", "another" in c.ask(command="vmcore", file=two)["error"], True)
    check("no reset meanwhile", "being written" in c.ask(command="reset")["error"], True)
    os.close(write)
    os.close(read)
    check("a reader that goes", "Broken pipe" in c.answer()["error"], True)
    check("no file", "needs" in c.ask(command="vmcore")["error"], True)
    os.unlink(one)
    os.unlink(two)


def confined(p):
    """How many of the process's threads are under seccomp, and how many not."""
    modes = []
    for thread in os.listdir("/proc/%d/task" % p.pid):
        with open("/proc/%d/task/%s/status" % (p.pid, thread)) as f:
            modes += [line.split()[1] for line in f if line.startswith("Seccomp:")]
    return modes.count("2"), len(modes) - modes.count("2")


def sandbox(directory):
    possible = b"sandbox: yes" in subprocess.run([PAWL, "info"], stdout=subprocess.PIPE, check=True).stdout
    outside = os.path.join(directory, "outside")
    for args, on in (((), possible), (("--no-sandbox",), False)):
        p = start(directory, "--smp", "2", *args)
        c = Control(os.path.join(directory, "control"))
        check("it runs", p.stdout.read(1), b"x")
        yes, no = confined(p)
        if yes == 0 and on and b"not confined" in p.stderr.peek():
            print("this kernel cannot confine")
            on = False
        check("all of its threads are confined, or none: %d, %d" % (yes, no), (yes > 0, no > 0), (on, not on))
        answer = c.ask(command="vmcore", file=outside)
        check("it can make files", answer["ok"], not on)
        check("and has", os.path.exists(outside), not on)
        if on:
            check("it says how else", "sandbox" in answer["error"], True)
        check("its own descriptors work: reset", c.ask(command="reset")["ok"], True)
        c.event("reset")
        check("it runs again", p.stdout.read(1), b"x")
        path = os.path.join(directory, "gdb")
        check("a debugger's socket", c.ask(command="gdb", address="unix:" + path), {"ok": True})
        c.ask(command="quit")
        ended("quit", p, 5)
    os.unlink(outside)
    check("nothing is left", sorted(os.listdir(directory)), ["guest"])


def by_command(directory):
    def control(*args):
        done = subprocess.run(WRAPPER + [PAWL, "control", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
        return done.returncode, done.stdout, done.stderr

    path = os.path.join(directory, "control")
    status = control(path, "status")
    check("pawl control status", (status[0], "state: running\n" in status[1], status[2]), (0, True, ""))
    check("pawl control pause", control(path, "pause"), (0, "", ""))
    check("pawl control resume", control(path, "resume"), (0, "", ""))
    check("an unknown command", control(path, "dance"), (1, "", "pawl control: unknown command 'dance'\n"))
    check("no command", control(path)[0], 2)
    check("an argument too many", control(path, "status", "x")[0], 2)
    check("no socket", control(path + "x", "status"), (1, "", "pawl control: %sx: No such file or directory\n" % path))
    check("pawl control quit", control(path, "quit"), (0, "", ""))


def main():
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "guest"), "wb") as f:
            f.write(GUEST)
        p = start(directory, "--smp", "2", "--balloon", "0")
        c = commands(directory, p)
        vmcore(directory, c)
        gdb(c, directory)
        by_command(directory)
        check("the last event", c.event("end"), {"event": "end", "status": 5})
        ended("quit", p, 5)
        check("nothing is left", sorted(os.listdir(directory)), ["guest"])

        others = ["--vsock", os.path.join(directory, "vsock"), "--console", "unix:" + os.path.join(directory, "console")]
        p = start(directory, *others)
        for option, path in (("--control", os.path.join(directory, "control")), others[:2], others[2:]):
            second = subprocess.run(WRAPPER + [PAWL, "run", "--kernel", os.path.join(directory, "guest"), option, path],
                                    stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
            check("a socket in use: " + option, (second.returncode, b"Address already in use" in second.stderr), (1, True))
        p.send_signal(signal.SIGKILL)
        ended("killed", p, -signal.SIGKILL)
        os.unlink(os.path.join(directory, "pid"))
        p = start(directory, *others)  # takes the place of sockets that nobody listens at
        check("a socket that was left behind", Control(os.path.join(directory, "control")).ask(command="quit"), {"ok": True})
        ended("quit", p, 5)
        check("and nothing is left", sorted(os.listdir(directory)), ["guest"])
        if not WRAPPER:  # an emulator has no seccomp
            sandbox(directory)
    if not FAILED:
        print("all as it should be")
    return bool(FAILED)


sys.exit(main())
