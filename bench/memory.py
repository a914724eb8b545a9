#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""memory.py MARK PAWL run OPTION...: host memory beyond the guest's own, when the guest has printed MARK.

    bench/memory.py INIT build/cli/pawl run --kernel Image --initrd small.cpio --append "console=ttyAMA0 bench=boot" --memory 2048M

The machine is stopped there (its control socket is added), and the proportional share (Pss) of all mappings is added up, but for
the one that is the guest's memory."""
import os
import re
import subprocess
import sys
import tempfile


def size_of(args):
    text = args[args.index("--memory") + 1] if "--memory" in args else "512M"
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


def mappings(pid):
    """(from, to, name, Pss in KiB)"""
    found = []
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            if head:
                found.append([int(head[1], 16), int(head[2], 16), head[4] or "anonymous", 0])
            elif line.startswith("Pss:"):
                found[-1][3] = int(line.split()[1])
    return found


def main():
    mark, pawl, args = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
    ram = size_of(args)
    with tempfile.TemporaryDirectory() as d:
        control = os.path.join(d, "control")
        p = subprocess.Popen([pawl, *args, "--control", control], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        seen = b""
        while mark not in seen:
            more = p.stdout.read1(4096)
            if not more:
                raise SystemExit("the guest ended without printing %r" % sys.argv[1])
            seen += more
        subprocess.run([pawl, "control", control, "pause"], check=True)
        found = mappings(p.pid)
        guest = [m for m in found if m[2] == "anonymous" and m[0] // 4096 * 4096 <= m[0] and m[1] - m[0] >= ram // 2]
        rest = [m for m in found if m not in guest]
        kinds = {}
        for m in rest:
            kinds.setdefault("the program and its libraries" if m[2].startswith("/") and "zero" not in m[2] else
                             "code" if "zero" in m[2] else m[2], []).append(m)
        for kind, ms in sorted(kinds.items(), key=lambda k: -sum(m[3] for m in k[1])):
            print("%8.1f MB  %s" % (sum(m[3] for m in ms) / 1024, kind))
            for m in sorted(ms, key=lambda m: -m[3])[:4]:
                if m[3] >= 512:
                    print("               %8.1f of %.1f MB at %x" % (m[3] / 1024, (m[1] - m[0]) / 1048576, m[0]))
        print("%8.1f MB beyond the guest's own, which has %.1f MB" %
              (sum(m[3] for m in rest) / 1024, sum(m[3] for m in guest) / 1024))
        subprocess.run([pawl, "control", control, "quit"], check=True)
        p.wait()


main()
