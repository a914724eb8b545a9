#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""boots_login.py DIR LOG OPTION...: a session in the Debian system of make-debian.sh, over the console as a person would have it: log
in, look at the network, install a package from the mirror through the user network, power off by the power button."""
import os
import re
import subprocess
import sys
import tempfile

PAWL = os.environ["PAWL"]
failed = False


class Console:
    def __init__(self, log, *args):
        self.log = open(log, "wb")
        self.process = subprocess.Popen([PAWL, "run", "--timeout", "40m", *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen = b""

    def expect(self, *texts):
        """The first of the texts that comes, or None when the machine has ended."""
        while True:
            found = [(self.seen.index(t), t) for t in texts if t in self.seen]
            if found:
                at, text = min(found)
                self.seen = self.seen[at + len(text):]
                return text
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                return None
            self.log.write(more)
            self.log.flush()
            self.seen += re.sub(rb"\x1b\[[0-9;?=]*[a-zA-Z]|\r", b"", more)

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def status_of(self, command):
        """Of a shell command in the guest. The echo of the line has no digit where the answer has one."""
        self.type(command + b"; echo stat''us=$?.\n")
        answers = [b"status=%d." % n for n in range(256)]
        got = self.expect(*answers)
        return answers.index(got) if got else None


def check(what, ok):
    global failed
    print("%s - %s" % ("ok" if ok else "not ok", what), flush=True)
    failed |= not ok


def main():
    directory, log, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        control = os.path.join(tmp, "control")
        c = Console(log, "--kernel", directory + "/Image", "--initrd", directory + "/initrd", "--disk",
                    directory + "/debian.img,snapshot", "--net", "user", "--memory", "1G", "--smp", "2", "--control", control,
                    "--append", "quiet systemd.show_status=1", *options)
        check("systemd comes to the login prompt", c.expect(b"debian login: ") is not None)
        c.type(b"root\n")
        check("root logs in", c.expect(b"root@debian:~# ") is not None)
        check("the system is up", c.status_of(b"systemctl is-system-running --wait") == 0)
        check("there is a network", c.status_of(b"networkctl status --no-pager; ip -4 route | grep -q ^default") == 0)
        check("lists come from the mirror", c.status_of(b"apt-get update") == 0)
        check("a package is installed", c.status_of(b"apt-get install -y --no-install-recommends hello && hello") == 0)
        pressed = subprocess.run([PAWL, "control", control, "powerdown"]).returncode == 0
        check("the power button shuts it down", pressed and c.expect(b"reboot: Power down") is not None)
        while c.expect(b"\0"):
            pass
        check("its status is 0", c.process.wait() == 0)
    return failed


sys.exit(main())
