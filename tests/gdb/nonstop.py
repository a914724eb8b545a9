#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Non-stop mode, by gdb's machine interface: nonstop.py ADDRESS SYMBOLS PAWL-GDB.PY. The guest has two vcpus. TAP."""
import re
import subprocess
import sys
import time

count = failures = 0


def check(name, ok, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print("%sok %d - %s%s" % ("" if ok else "not ", count, name, "" if ok else ": %s" % (detail,)), flush=True)


class Gdb:
    def __init__(self):
        self.p = subprocess.Popen(["gdb-multiarch", "-q", "-nx", "-i=mi3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True, bufsize=1)
        self.seen = []

    def read(self, pattern, what):
        """Lines up to one that matches."""
        for i, line in enumerate(self.seen):
            if re.search(pattern, line):
                del self.seen[:i + 1]
                return line
        while True:
            line = self.p.stdout.readline()
            if not line:
                raise EOFError("gdb ended while waiting for " + what)
            if re.search(pattern, line):
                return line
            if line.startswith("*"):
                self.seen.append(line)

    def ask(self, command):
        self.p.stdin.write(command + "\n")
        return self.read(r"^\^(done|running|connected|error|exit)", command)

    def stopped(self, thread=None):
        return self.read(r'^\*stopped.*thread-id="%s"' % (thread or r"\d+"), "*stopped")

    def states(self):
        return re.findall(r'state="(\w+)"', self.ask("-thread-info"))


def main():
    g = Gdb()
    for setting in ("non-stop on", "mi-async on", "pagination off", "confirm off", "architecture aarch64"):
        g.ask("-gdb-set " + setting)
    g.ask("-file-symbol-file " + sys.argv[2])
    r = g.ask("-target-select remote " + sys.argv[1])
    check("gdb connects in non-stop mode", "^connected" in r, r)
    check("both vcpus are stopped", g.states() == ["stopped", "stopped"], g.states())
    # gdb asks for no offsets in this mode
    g.ask('-interpreter-exec console "source %s"' % sys.argv[3])
    r = g.ask('-interpreter-exec console "pawl-kernel"')
    check("the script finds the kernel", "^done" in r, r)
    g.seen.clear()
    g.ask("-exec-continue --thread 2")
    check("one runs while the other is stopped", sorted(g.states()) == ["running", "stopped"], g.states())
    r = g.ask("-data-evaluate-expression --thread 1 $pc")
    check("the stopped one's registers are there", 'value="0x' in r or "value=" in r, r)
    pc = re.search(r"0x[0-9a-f]+", r).group()
    r = g.ask("-data-read-memory-bytes --thread 1 %s 16" % pc)
    check("and memory", "contents=" in r, r)
    time.sleep(0.3)
    r = g.ask("-data-evaluate-expression --thread 1 $pc")
    check("and it has not moved", pc in r, (pc, r))
    g.ask("-exec-interrupt --thread 2")
    r = g.stopped(2)
    check("an interrupt stops the other one", "stopped" in r, r)
    g.ask("-break-insert do_el0_svc")
    g.ask("-exec-continue --all")
    r = g.stopped()
    check("a breakpoint stops the vcpu that hits it", "breakpoint-hit" in r, r)
    first = re.search(r'thread-id="(\d+)"', r).group(1)
    g.ask("-exec-step-instruction --thread " + first)
    r = g.stopped(first)
    check("it can be stepped while the other does what it does", "end-stepping-range" in r, r)
    g.ask("-break-delete")
    g.ask("-exec-continue --all")
    time.sleep(0.2)
    g.ask("-exec-interrupt --all")
    stops = {re.search(r'thread-id="(\d+)"', g.stopped()).group(1) for _ in range(2)}
    check("an interrupt of all stops all", stops == {"1", "2"}, stops)
    r = g.ask("-target-detach")
    check("it detaches", "^done" in r, r)
    g.p.stdin.write("-gdb-exit\n")
    g.p.wait(20)
    print("1..%d" % count)
    return 1 if failures else 0


sys.exit(main())
