#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man_test.py PAWL MANPAGE: pawl-run(1) and `pawl run --help` name the same options, each has an example that uses it, and the help
fits a screen."""
import os
import re
import subprocess
import sys

WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "").split()  # a cross build's emulator
shown = subprocess.run(WRAPPER + [sys.argv[1], "run", "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
with open(sys.argv[2]) as f:
    page = f.read().replace("\\-", "-")
page = page[page.index(".SH OPTIONS"):page.index(".SH CONSOLE")]
described = {}
for part in page.split("\n.TP\n")[1:]:
    for option in re.findall(r"--net \w+=?|--[a-z-]*[a-z]", part.split("\n")[0].replace('"', "")):
        described[option] = described[option.split()[0]] = part
failed = False


def check(what, ok):
    global failed
    print("%s - %s" % ("ok" if ok else "not ok", what))
    failed |= not ok


lines = shown.splitlines()
check("the help fits 24 lines of 80 characters, with the next prompt", len(lines) < 24 and max(map(len, lines)) <= 80)
table = shown.split("\n\n")[1]
helped = set(re.findall(r"(?<!\S)--[a-z-]+", table))
check("every line of the help has two options", len(helped) == 2 * len(table.splitlines()) > 15)
for name in sorted(helped - {"--help"}):
    example = described.get(name, "").partition("Example:")[2]
    check("%s is in the page, with an example that uses it" % name, name in example or re.search(r"(?<!\S)-[a-z]\b", example))
for kind in ("user", "tap=", "passt=", "none"):
    check("--net %s, too" % kind, "--net " + kind in described.get("--net " + kind, "").partition("Example:")[2])
others = {name for name in described if " " not in name} - helped
check("the page has no others: %s" % sorted(others), not others)
sys.exit(failed)
