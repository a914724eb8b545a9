#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""units_test.py PAWL: translated code seen from outside: `pawl run --dump-units`, `pawl units`, and the map for perf. The guest is
a few instructions, so that each unit is known."""
import os
import re
import struct
import subprocess
import sys
import tempfile

PAWL = sys.argv[1]
WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "").split()  # a cross build's emulator
FAILED = []


def check(what, have, want=True):
    if have != want:
        print("not ok: %s: %r, not %r" % (what, have, want))
        FAILED.append(what)


def pawl(*args, **env):
    p = subprocess.Popen(WRAPPER + [PAWL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, env={**os.environ, **env})
    out, err = p.communicate(timeout=60)
    return p.returncode, out, err, p.pid


# mov x0, #1000; loop: subs x0, x0, #1; b.ne loop; mov w0, #0x84000000; add w0, w0, #8; hvc #0
WORDS = (0xD2807D00, 0xF1000400, 0x54FFFFE1, 0x52B08000, 0x11002000, 0xD4000002)
HEAD = struct.pack("<IIQQQQQQII", 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, 0x644D5241, 0)


def main(directory):
    guest, units = os.path.join(directory, "guest"), os.path.join(directory, "units")
    with open(guest, "wb") as f:
        f.write(HEAD + struct.pack("<6I", *WORDS))
    run = ["run", "--kernel", guest, "--memory", "16M"]
    status, _, err, pid = pawl(*run, "--engine", "jit", "--dump-units", units, PAWL_PERF_MAP="1")  # all of it is translated
    check("the guest ends", (status, err), (0, ""))
    status, out, err, _ = pawl("units", units)
    check("a list", (status, err), (0, ""))
    listed = re.findall(r"^EL1 ([0-9a-f]{16}) +(\d+) instructions +(\d+) bytes at ([0-9a-f]+)$", out, re.M)
    check("each line is a unit", len(listed), len(out.splitlines()))
    map_file = "/tmp/perf-%d.map" % pid
    if not listed:  # this host interprets
        check("no translator, no map of anything", not os.path.exists(map_file) or not os.path.getsize(map_file))
        return
    at = {int(pc, 16) & 0xFFF: (int(n), int(size), int(host, 16)) for pc, n, size, host in listed}
    check("units of the branch, the program and the loop", sorted({0, 0x40, 0x44} & set(at)), [0, 0x40, 0x44])

    with open(map_file) as f:
        names = f.read()
    os.unlink(map_file)
    for pc, n, size, host in listed:
        line = "%x %x EL1_%x+%s" % (int(host, 16), int(size), int(pc, 16), n)
        check("the map has " + line, line in names.splitlines())

    loop = next(int(pc, 16) for pc, n, _, _ in listed if int(pc, 16) & 0xFFF == 0x44)
    status, out, err, _ = pawl("units", units, "%x" % loop)
    check("a listing", (status, err), (0, ""))
    shown = re.findall(r"^ *([0-9a-f]+) ([0-9a-f]{8}) (\S+)", out, re.M)
    want = [(4 * (i - 1), WORDS[i]) for first in (0, 1) for i in range(first, first + at[0x40 + 4 * first][0])]
    check("guest instructions, of both units that have them", [(int(pc, 16) - loop, int(w, 16)) for pc, w, _ in shown], want)
    check("host code of the units, without a gap", len(re.findall(r" {2}[0-9a-f]+  \S+ ", out)) >= 8)
    by_host = pawl("units", units, "%x" % (at[0x44][2] + 1))
    check("by an address of the host's, that unit alone", re.findall(r"^EL1 ([0-9a-f]+)", by_host[1], re.M), ["%016x" % loop])

    check("an address that no unit has", pawl("units", units, "1")[0], 1)
    check("no address", pawl("units", units, "loop")[0], 2)
    check("no file", pawl("units", units + "x")[0], 1)
    check("another file", "no file of translated units" in pawl("units", guest)[2])
    with open(units, "rb") as f:
        data = f.read()
    for cut in range(1, 160, 7):
        with open(units, "wb") as f:
            f.write(data[:-cut])
        check("a file that is cut off by %d" % cut, "cut off" in pawl("units", units)[2])
    with open(units, "wb") as f:
        f.write(data[:40] + b"\xff\xff\xff\xff" + data[44:])
    check("marks that lead out of it", "contradicts itself" in pawl("units", units)[2])

    # A loop that is one unit, several times around: the words are those of the loop, at their addresses, in the order of control.
    hot = os.path.join(directory, "hot")
    status, _, err, _ = pawl(*run, "--engine", "jit", "--dump-units", hot, PAWL_HEAT="3")
    check("the guest ends with hot units", (status, err), (0, ""))
    parts = re.split(r"^EL1 ", pawl("units", hot, "%x" % loop)[1], flags=re.M)
    shown = [re.findall(r"^ *([0-9a-f]+) ([0-9a-f]{8}) \S", part, re.M) for part in parts]
    around = [(0, WORDS[1]), (4, WORDS[2])] * 4
    check("a loop four times around", around in [[(int(pc, 16) - loop, int(w, 16)) for pc, w in rows] for rows in shown])
    check("a file that cannot be made", "/nowhere/units" in pawl(*run, "--dump-units", "/nowhere/units")[2])


with tempfile.TemporaryDirectory() as d:
    main(d)
print("not ok" if FAILED else "ok")
sys.exit(bool(FAILED))
