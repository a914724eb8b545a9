#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""start.py PAWL IMAGE [INITRD] [OPTION...]: from the start of `pawl run` to the guest's first instructions and out again. The kernel's
first instructions are replaced by a store to the exit port, so reading, unwrapping, placing, set-up and sandbox are all in it, and
the end of the process too. Prints the time on the wall and the CPU time, of forty runs."""
import resource
import struct
import subprocess
import sys
import tempfile
import time

# movz x1, #0x090e, lsl #16; mov w0, #0; str w0, [x1]; b .
OUT = struct.pack("<4I", 0xD2A121C1, 0x52800000, 0xB9000020, 0x14000000)


def main():
    pawl, image, *rest = sys.argv[1:]
    if rest and not rest[0].startswith("-"):
        rest[0:1] = ["--initrd", rest[0]]
    with open(image, "rb") as f:
        data = bytearray(f.read())
    branch, = struct.unpack_from("<I", data, 4)  # code1 of the header goes to the entry
    if data[56:60] != b"ARM\x64" or branch >> 26 != 5:
        sys.exit("start.py: %s is no plain arm64 Image" % image)
    entry = 4 + ((branch & 0x3FFFFFF) << 2)
    data[entry:entry + len(OUT)] = OUT
    wall, cpu = [], []
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        for _ in range(40):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([pawl, "run", "--kernel", f.name, *rest], stdin=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall.append(time.perf_counter() - start)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    for name, values in (("wall", sorted(wall)), ("CPU", sorted(cpu))):
        print("%s: least %.1f ms, median %.1f ms" % (name, values[0] * 1e3, values[20] * 1e3))


main()
