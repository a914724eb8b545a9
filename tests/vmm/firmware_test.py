#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""firmware_test.py PAWL: U-Boot and EDK2 of Debian (u-boot-qemu, qemu-efi-aarch64) to their prompts, what they write to flash
found again, and EDK2 with a kernel handed over (with PAWL_TEST_GUEST). Skipped (77) without them."""
import os
import re
import subprocess
import sys
import tempfile
import threading

PAWL = sys.argv[1]
UBOOT = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"
EDK2 = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
GUEST = os.environ.get("PAWL_TEST_GUEST")
PATIENCE = 240  # seconds, then it hangs
FAILED = []


class Console:
    """A machine on two pipes; expect() waits for text on its console."""

    def __init__(self, *args):
        self.process = subprocess.Popen([PAWL, "run", "--timeout", str(PATIENCE), *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen = b""

    def expect(self, text):
        while text not in self.seen:
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return False
            self.seen += re.sub(rb"\x1b\[[0-9;=]*[a-zA-Z]|\r", b"", more)
        self.seen = self.seen[self.seen.index(text) + len(text):]
        return True

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self):
        rest = threading.Thread(target=self.process.stdout.read)
        rest.start()
        status = self.process.wait()
        rest.join()
        return status


def check(what, have, want=True, console=None):
    print("%s - %s" % ("ok" if have == want else "not ok", what), flush=True)
    if have != want:
        FAILED.append(what)
        if console:
            print("# " + repr(console.seen[-500:]))


def uboot(directory):
    variables = os.path.join(directory, "uboot")
    c = Console("--firmware", UBOOT, "--flash-vars", variables)
    check("U-Boot starts", c.expect(b"Hit any key"), console=c)
    c.type(b"\n")
    check("U-Boot's prompt", c.expect(b"=> "), console=c)
    c.type(b"setenv pawl was-here; saveenv\n")
    check("its environment is written", c.expect(b"Writing to Flash... done"), console=c)
    c.type(b"reset\n")
    check("a reset starts it again", c.expect(b"Hit any key"), console=c)
    c.type(b"\n")
    c.expect(b"=> ")
    c.type(b"poweroff\n")
    check("it powers off", c.end(), 0)

    c = Console("--firmware", UBOOT, "--flash-vars", variables)
    c.expect(b"Hit any key")
    c.type(b"\n")
    c.expect(b"=> ")
    c.type(b"printenv pawl\n")
    check("the environment is kept", c.expect(b"pawl=was-here"), console=c)
    c.process.kill()
    c.end()


def edk2(directory):
    variables = os.path.join(directory, "edk2")
    for run in ("first", "second"):
        c = Console("--firmware", EDK2, "--flash-vars", variables)
        check("EDK2's shell, %s start" % run, c.expect(b"UEFI Interactive Shell"), console=c)
        check("waits for a key", c.expect(b"any other key"), console=c)
        c.type(b"\r")
        check("the prompt", c.expect(b"Shell> "), console=c)
        if run == "first":
            c.type(b"set pawl was-here\r")
            c.expect(b"Shell> ")
        else:
            c.type(b"set pawl\r")
            check("the variable is kept", c.expect(b"pawl = was-here"), console=c)
        c.type(b"reset -s\r")
        check("it powers off", c.end(), 0)
    if GUEST:
        c = Console("--firmware", EDK2, "--kernel", GUEST + "/Image", "--initrd", GUEST + "/initrd.cpio.gz", "--append",
                    "pawl.init=hello")
        check("EDK2 starts a kernel", c.expect(b"EFI stub"), console=c)
        check("with its initrd and command line", c.expect(b"PAWL-HELLO"), console=c)
        check("it powers off", c.end(), 0)


def main():
    if not os.path.exists(UBOOT) or not os.path.exists(EDK2):
        return 77
    with tempfile.TemporaryDirectory() as directory:
        uboot(directory)
        edk2(directory)
    return bool(FAILED)


sys.exit(main())
