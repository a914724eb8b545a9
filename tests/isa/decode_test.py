#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The decoder's generator refuses every table in decode/ with the message that its first line expects, and takes good.decode
and the real tables. The decoder it makes finds the same row as a search of the rows one by one would."""

import os
import random
import re
import subprocess
import sys
import tempfile

script, *tables = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(script))
import decode  # noqa: E402

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decode")
failed = 0


def fail(text):
    global failed
    failed += 1
    print(text)


for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name)
    with open(path, encoding="utf-8") as f:
        want = f.readline().removeprefix("# expect:").strip()
    with tempfile.TemporaryDirectory() as out:
        c = os.path.join(out, "d.c")
        run = subprocess.run([sys.executable, script, "--source", c, path], capture_output=True, text=True, check=False)
        made = os.path.exists(c)
    if want == "ok":
        if run.returncode or not made:
            fail(f"{name}: refused: {run.stderr}")
    elif run.returncode != 1 or made:
        fail(f"{name}: taken, but must be refused: {want}")
    elif not re.search(want, run.stderr):
        fail(f"{name}: said '{run.stderr.strip()}', not '{want}'")


def walk(node, word):
    while node[0] == "split":
        _, lsb, width, children = node
        node = children[word >> lsb & ((1 << width) - 1)]
    return next((r for m, v, r in node[1] if word & m == v), None)


def search(rows, word):
    for i, r in enumerate(rows):  # the order of the rows is that of the groups
        if word & r.mask == r.value and all((word >> r.fields[f][0]) & ((1 << r.fields[f][1]) - 1) != v for f, v in r.differs):
            return i
    return None


table = decode.Table()
for path in tables:
    table.read(path)
table.check()
tree = table.tree()
rng = random.Random(1)
for i in range(20000):
    word = rng.getrandbits(32)
    if i % 4:
        row = rng.choice(table.rows)
        word = (word & ~row.mask) | row.value
    if walk(tree, word) != search(table.rows, word):
        fail(f"the tree and the rows disagree about {word:#010x}")
sys.exit(failed != 0)
