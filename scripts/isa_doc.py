#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes docs/isa.md from the decode tables and the campaigns of the instruction fuzzer.

    isa_doc.py             writes docs/isa.md
    isa_doc.py --check     fails if docs/isa.md does not have the rows of the tables as they are (comparisons are not looked at)

A campaign is a file in tests/isa/campaigns that `tests/isa/fuzz --coverage` wrote.
"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode  # noqa: E402  pylint: disable=wrong-import-position

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOC = os.path.join(TOP, "docs/isa.md")
TABLES = ["isa/a64.decode", "isa/a64_fpsimd.decode"]

HEAD = """# Instructions

Made by `scripts/isa_doc.py`; do not edit. Every encoding that the decode tables (`isa/*.decode`) know, by the manual's groups: fixed bits
(x: field), the feature of the CPU model that it needs (BASE: none), and how often a random instruction of it was compared
with another implementation, on the interpreter and on the translator (`tests/isa/README.md`).

* **yes**: implemented. Without its feature it is UNDEFINED.
* **no**: known, not implemented, always UNDEFINED; the reason is given.
* Words that match no row are UNDEFINED. That they are unallocated is checked against objdump (`tests/isa/names.c`).
"""


def read_tables():
    table = decode.Table()
    for path in TABLES:
        table.read(os.path.join(TOP, path))
    table.check()
    return table


def read_campaigns():
    """{engine: {row: (count, oracle)}}, and a line for each campaign"""
    counts, heads = {"interp": {}, "jit": {}}, []
    for path in sorted(glob.glob(os.path.join(TOP, "tests/isa/campaigns/*.tsv"))):
        with open(path, encoding="ascii") as f:
            lines = f.read().splitlines()
        m = re.fullmatch(r"# engine=(\w+)( blocks)? seed=(\d+) comparisons=(\d+) differences=(\d+)", lines[0])
        if not m:
            raise SystemExit(f"{path}:1: not a file of fuzz --coverage")
        engine, blocks, seed, n, different = m.groups()
        what = "blocks of 2 to 32 instructions" if blocks else "single instructions"
        heads.append(f"| {what} | {engine} | {seed} | {int(n):,} | {different} |")
        if blocks:
            continue
        for num, line in enumerate(lines[1:], 2):
            try:
                name, count, oracle = line.split("\t")
                old = counts[engine].get(name, (0, oracle))[0]
                counts[engine][name] = (old + int(count), oracle)
            except (ValueError, KeyError):
                raise SystemExit(f"{path}:{num}: not a line of fuzz --coverage") from None
    return counts, heads


def bits(row):
    out = "".join(("1" if row.value >> i & 1 else "0") if row.mask >> i & 1 else "x" for i in reversed(range(32)))
    return " ".join(out[i:i + 8] for i in range(0, 32, 8))


def row_line(row, counts):
    name, feature = row.name, row.feature
    head = f"| {name} | `{bits(row)}` | {feature if row.implemented else '-'} | {'yes' if row.implemented else 'no'} |"
    if not row.implemented:
        return f"{head} {row.note} | |"
    cells = []
    for engine in ("interp", "jit"):
        count, oracle = counts[engine].get(name, (0, ""))
        cells.append(f"{count:,}" + (" (QEMU)" if oracle == "qemu" else "") if count else
                     oracle if oracle not in ("", "qemu", "unicorn") else "")
    if cells[0] == cells[1] and not cells[0][:1].isdigit():
        cells[1] = ""
    return f"{head} {cells[0]} | {cells[1]} |"


def generate(table):
    rows = table.rows
    counts, heads = read_campaigns()
    implemented = sum(r.implemented for r in rows)
    compared = sum(1 for r in rows if counts["interp"].get(r.name, (0, ""))[0])
    out = [HEAD, f"{len(rows)} rows, {implemented} implemented; {compared} compared with an oracle, the others have tests by hand.", ""]
    if heads:
        out += ["| campaign | engine | seed | comparisons | unexplained differences |", "|---|---|---|---|---|", *heads, ""]
    cls = None
    for row in rows:
        if row.cls != cls:
            cls = row.cls
            out += ["", f"## {cls}", "", "| row | encoding | feature | implemented | interpreter | translator |", "|---|---|---|---|---|---|"]
        out.append(row_line(row, counts))
    out += ["", "## Features that no model has", "", "The field of the ID register has this value whatever the model, and a client of the API cannot raise it.", "",
            "| feature | field | value | to a guest |", "|---|---|---|---|"]
    out += [f"| {a.name} | `{a.field()}` | {a.value} | {a.note} |" for a in table.absent]
    return "\n".join(out) + "\n"


def facts(text):
    """What a row says but for the comparisons; the order is the tables'."""
    out = []
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) >= 4 and cells[1].startswith("`"):
            out.append(tuple(cells[:4]) + ((cells[4],) if cells[3] == "no" else ()))
    return out


def main():
    table = read_tables()
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = generate(table)
    if not sys.argv[1:]:
        with open(DOC, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    with open(DOC, encoding="utf-8") as f:
        there, want = facts(f.read()), facts(text)
    gone, new = [r for r in there if r not in want], [r for r in want if r not in there]
    for r in gone:
        print(f"docs/isa.md has a row that the tables do not: {' '.join(r)}")
    for r in new:
        print(f"docs/isa.md lacks {' '.join(r)}")
    if gone or new or there != want:
        print("run scripts/isa_doc.py")
        return 1
    print(f"{len(want)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
