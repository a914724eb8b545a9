#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the A64 decoder from the .decode tables. The format of the tables is in isa/README.md.

Fails (exit status 1, file:line: message) on rows that do not fill 32 bits, on two rows that match one word and are not
ordered by a { } group, on rows that can never match, on duplicate names, and on fields that a row and its argument format do not
agree on. An emitter that is missing fails at link time, an unknown feature at compile time.
"""

import argparse
import re
import shlex
import sys


class Bad(Exception):
    def __init__(self, where, text):
        super().__init__(f"{where}: {text}")


class Row:
    """One encoding: fixed bits, fields, constraints, and what to call."""

    def __init__(self, where, name, implemented):
        self.where = where
        self.name = name
        self.implemented = implemented
        self.mask = self.value = 0
        self.fields = {}  # name -> (lsb, width, signed)
        self.const = {}  # format field -> C expression
        self.differs = []  # (field, value): the field is not this
        self.format = None
        self.emit = name
        self.feature = None
        self.note = ""
        self.cls = ""
        self.fp = False
        self.group = None  # (group number, position in it)
        self.cubes = []

    def c_format(self):
        if self.format:
            return self.format
        return self.emit if self.fields or self.const else "none"


# ID registers that %absent may name: CRm and op2 of their place in op0 3, op1 0, CRn 0.
ID_REGISTERS = {
    "ID_AA64PFR0_EL1": (4, 0), "ID_AA64PFR1_EL1": (4, 1), "ID_AA64ZFR0_EL1": (4, 4), "ID_AA64SMFR0_EL1": (4, 5),
    "ID_AA64DFR0_EL1": (5, 0), "ID_AA64ISAR0_EL1": (6, 0), "ID_AA64ISAR1_EL1": (6, 1), "ID_AA64ISAR2_EL1": (6, 2),
    "ID_AA64MMFR0_EL1": (7, 0), "ID_AA64MMFR1_EL1": (7, 1), "ID_AA64MMFR2_EL1": (7, 2),
}


class Absent:
    """A feature that no model of the processor has: a field of an ID register that keeps its value."""

    def __init__(self, where, words):
        self.where = where
        m = len(words) == 4 and re.fullmatch(r"(\w+)\[(\d+):(\d+)\]=(\d+)", words[2])
        note = len(words) == 4 and re.fullmatch(r"note=(.+)", words[3])
        if not m or not note:
            raise Bad(where, '%absent takes NAME REGISTER[HIGH:LOW]=VALUE note="..."')
        self.name, self.note = words[1], note[1]
        self.register, self.value = m[1], int(m[4])
        high, self.shift = int(m[2]), int(m[3])
        if self.register not in ID_REGISTERS:
            raise Bad(where, f"unknown ID register {self.register}")
        if high != self.shift + 3 or self.shift % 4 or high > 63:
            raise Bad(where, "a field of an ID register is four aligned bits")
        if self.value > 15:
            raise Bad(where, f"field of {self.name} is too narrow for {self.value}")

    def field(self):
        return f"{self.register}[{self.shift + 3}:{self.shift}]"


# A cube is a pair (mask, value). The words a row matches are a union of disjoint cubes.


def meets(a, b):
    return (a[1] ^ b[1]) & a[0] & b[0] == 0


def minus(a, b):
    """Cubes of a that are not in b."""
    if not meets(a, b):
        return [a]
    out = []
    mask, value = a
    for i in reversed(range(32)):
        bit = 1 << i
        if b[0] & bit and not mask & bit:
            out.append((mask | bit, value | (~b[1] & bit)))
            mask |= bit
            value |= b[1] & bit
    return out


def minus_all(cubes, others):
    for o in others:
        cubes = [c for a in cubes for c in minus(a, o)]
    return cubes


class Table:
    def __init__(self):
        self.rows = []
        self.absent = []
        self.formats = {}  # name -> (where, [fields])
        self.groups = 0

    # ---- reading

    def read(self, path):
        cls, feature, fp, group, pos = "", "BASE", False, None, 0
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        for num, text in enumerate(lines, 1):
            where = f"{path}:{num}"
            try:
                words = shlex.split(text, comments=True)
            except ValueError as e:
                raise Bad(where, str(e)) from e
            if not words:
                continue
            if words == ["{"]:
                if group is not None:
                    raise Bad(where, "groups do not nest")
                group, pos = self.groups, 0
                self.groups += 1
            elif words == ["}"]:
                if group is None:
                    raise Bad(where, "no group is open")
                group = None
            elif words[0] == "%class" and len(words) == 2:
                cls = words[1]
            elif words[0] == "%feature" and len(words) == 2:
                feature = words[1]
            elif words[0] == "%fp" and len(words) <= 2 and words[1:] in ([], ["on"], ["off"]):
                fp = words[1:] != ["off"]
            elif words[0] == "%absent":
                self.absent.append(Absent(where, words))
            elif words[0].startswith("%"):
                raise Bad(where, f"unknown directive {words[0]}")
            elif words[0].startswith("&"):
                self.add_format(where, words[0][1:], words[1:])
            else:
                row = self.read_row(where, words)
                row.cls, row.fp = cls, fp
                row.feature = row.feature or feature
                if group is not None:
                    row.group = (group, pos)
                    pos += 1
                self.rows.append(row)
        if group is not None:
            raise Bad(path, "a group is still open at the end of the file")

    def add_format(self, where, name, fields):
        if name in self.formats:
            if self.formats[name][1] != fields:
                raise Bad(where, f"format {name} was declared differently at {self.formats[name][0]}")
            return
        if not re.fullmatch(r"[A-Za-z]\w*", name) or name == "none":
            raise Bad(where, f"bad format name '{name}'")
        if len(set(fields)) != len(fields) or not fields:
            raise Bad(where, f"format {name} needs distinct fields")
        self.formats[name] = (where, fields)

    def read_row(self, where, words):
        name = words[0]
        row = Row(where, name.lstrip("!"), not name.startswith("!"))
        if not re.fullmatch(r"!?[A-Za-z]\w*", name):
            raise Bad(where, f"bad row name '{name}'")
        pos = 32
        for w in words[1:]:
            if re.fullmatch(r"[01x]+", w):
                for ch in w:
                    pos -= 1
                    if ch != "x" and pos >= 0:
                        row.mask |= 1 << pos
                        row.value |= int(ch) << pos
            elif m := re.fullmatch(r"([a-zA-Z]\w*):(s?)(\d+)", w):
                field, signed, width = m[1], bool(m[2]), int(m[3])
                if field in row.fields:
                    raise Bad(where, f"field {field} is given twice")
                if width == 0:
                    raise Bad(where, f"field {field} has no bits")
                pos -= width
                row.fields[field] = (pos, width, signed)
            elif m := re.fullmatch(r"([a-zA-Z]\w*)@([01x]+)", w):
                if m[1] in row.fields:
                    raise Bad(where, f"field {m[1]} is given twice")
                for ch in m[2]:
                    pos -= 1
                    if ch != "x" and pos >= 0:
                        row.mask |= 1 << pos
                        row.value |= int(ch) << pos
                row.fields[m[1]] = (pos, len(m[2]), False)
            elif m := re.fullmatch(r"&(\w+)", w):
                if row.format:
                    raise Bad(where, "more than one argument format")
                row.format = m[1]
            elif m := re.fullmatch(r"([a-zA-Z]\w*)!=(\w+)", w):
                row.differs.append((m[1], int(m[2], 0)))
            elif m := re.fullmatch(r"([a-zA-Z]\w*)=(.+)", w):
                self.set_key(row, m[1], m[2])
            else:
                raise Bad(where, f"cannot read '{w}'")
        if pos != 0:
            raise Bad(where, f"{row.name} has {32 - pos} bits, not 32")
        return row

    @staticmethod
    def set_key(row, key, value):
        if key in ("feature", "note"):
            setattr(row, key, value)
        elif key == "emit":
            row.emit = value
        elif key in row.const:
            raise Bad(row.where, f"{key} is set twice")
        else:
            row.const[key] = value

    # ---- checking

    def check(self):
        names = {}
        fields = {}
        for a in self.absent:
            if a.field() in fields:
                raise Bad(a.where, f"{a.field()} was given at {fields[a.field()]}")
            fields[a.field()] = a.where
        emitters = {}
        for row in self.rows:
            if row.name in names:
                raise Bad(row.where, f"{row.name} was defined at {names[row.name]}")
            names[row.name] = row.where
            if not row.implemented and not row.note:
                raise Bad(row.where, f"{row.name} is not implemented and has no note that says why")
            self.check_fields(row)
            if row.implemented:
                first = emitters.setdefault(row.emit, row)
                if first.c_format() != row.c_format() or (first is not row and not row.format):
                    raise Bad(row.where, f"rows that share emitter {row.emit} must have one &format ({first.where})")
            row.cubes = self.make_cubes(row)
        self.check_signs()
        self.check_overlaps()

    def check_fields(self, row):
        for field, value in row.differs:
            if field not in row.fields:
                raise Bad(row.where, f"constraint on unknown field {field}")
            if value >> row.fields[field][1]:
                raise Bad(row.where, f"field {field} is too narrow for {value}")
        for field in row.const:
            if field in row.fields:
                raise Bad(row.where, f"field {field} has bits and a constant")
        if not row.implemented:
            return
        have = set(row.fields) | set(row.const)
        if row.format is None:
            if row.const:
                raise Bad(row.where, f"constant {next(iter(row.const))} without an &format that has it")
            return
        if row.format not in self.formats:
            raise Bad(row.where, f"unknown format {row.format}")
        want = set(self.formats[row.format][1])
        for field in sorted(have - want):
            raise Bad(row.where, f"unknown field {field}: not in format {row.format}")
        for field in sorted(want - have):
            raise Bad(row.where, f"field {field} of format {row.format} is not given")

    def check_signs(self):
        """A field of a format is signed in all rows that have bits for it, or in none."""
        seen = {}
        for row in self.rows:
            if not row.implemented:
                continue
            for field, (_, _, signed) in row.fields.items():
                key = (row.c_format(), field)
                if seen.setdefault(key, signed) != signed:
                    raise Bad(row.where, f"field {field} of format {row.c_format()} is signed in some rows only")
        self.signed = seen

    @staticmethod
    def make_cubes(row):
        cubes = [(row.mask, row.value)]
        for field, value in row.differs:
            lsb, width, _ = row.fields[field]
            cubes = minus_all(cubes, [(((1 << width) - 1) << lsb, value << lsb)])
        if not cubes:
            raise Bad(row.where, f"{row.name} can never match")
        return cubes

    def check_overlaps(self):
        for i, a in enumerate(self.rows):
            for b in self.rows[:i]:
                if not meets((a.mask, a.value), (b.mask, b.value)):
                    continue
                hit = [(x, y) for x in a.cubes for y in b.cubes if meets(x, y)]
                if not hit:
                    continue
                if a.group is None or b.group is None or a.group[0] != b.group[0]:
                    x, y = hit[0]
                    raise Bad(a.where, f"{a.name} overlaps {b.name} ({b.where}), for example {x[1] | y[1]:#010x}")
                # b is earlier in the group and wins
                a.cubes = minus_all(a.cubes, b.cubes)
                if not a.cubes:
                    raise Bad(a.where, f"{a.name} can never match: earlier rows of its group cover it")

    # ---- the decision tree

    LEAF = 3  # cubes that are simply tried one by one

    def tree(self):
        """Nodes: ('leaf', [(mask, value, row)]) or ('split', lsb, width, [children])."""
        return self.split([(m, v, i) for i, r in enumerate(self.rows) for m, v in r.cubes], 0)

    def split(self, cubes, known):
        if len(cubes) <= self.LEAF:
            return ("leaf", cubes)
        best = None
        for width in range(1, 7):
            for lsb in range(0, 33 - width):
                bits = ((1 << width) - 1) << lsb
                if bits & known:
                    continue
                # cubes in the children together and in the largest of them; free bits of a cube put it in many children
                total = sum(1 << bin(bits & ~c[0]).count("1") for c in cubes)
                score = total / (1 << width) + 0.02 * (1 << width)
                if best is None or score < best[0]:
                    best = (score, lsb, width, bits)
        if best is None:
            return ("leaf", cubes)
        _, lsb, width, bits = best
        children = []
        for k in range(1 << width):
            value = k << lsb
            part = [c for c in cubes if (c[1] ^ value) & c[0] & bits == 0]
            if len(part) == len(cubes) and all(c[0] & bits == 0 for c in cubes):
                return ("leaf", cubes)
            children.append(self.split(part, known | bits))
        return ("split", lsb, width, children)

    # ---- writing

    def header(self):
        out = ["/* Made by scripts/decode.py from the .decode tables. */", "#ifndef PAWL_ISA_DECODE_H", "#define PAWL_ISA_DECODE_H",
               "", '#include "isa.h"', "", "struct args_none {", "\tchar unused;", "};"]
        done = {"none"}
        for row in self.rows:
            fmt = row.c_format()
            if not row.implemented or fmt in done:
                continue
            done.add(fmt)
            fields = self.formats[fmt][1] if row.format else list(row.fields)
            out.append(f"struct args_{fmt} {{")
            for field in fields:
                out.append(f"\t{'int32_t' if self.signed.get((fmt, field)) else 'uint32_t'} {field};")
            out.append("};")
        out.append("")
        done = set()
        for row in self.rows:
            if row.implemented and row.emit not in done:
                done.add(row.emit)
                out.append(f"bool emit_{row.emit}(struct isa_ctx *ctx, const struct args_{row.c_format()} *a);")
        out += ["", "enum {"]
        out += [f"\tISA_ROW_{row.name}," for row in self.rows]
        out += ["};", "", "/* Row of an encoding, or -1. */", "int isa_decode_row(uint32_t insn);",
                "/* Calls the emitter of a row that is implemented: false is UNDEFINED. */",
                "bool isa_decode_emit(struct isa_ctx *ctx, unsigned row, uint32_t insn);",
                "/* The row is an FP or SIMD instruction, which CPACR_EL1.FPEN may trap. */",
                "bool isa_decode_is_fp(unsigned row);", "", "#endif", ""]
        return "\n".join(out)

    def source(self):
        out = ["/* Made by scripts/decode.py from the .decode tables. */", '#include "decode.h"', "",
               "const struct isa_row isa_rows[] = {"]
        for row in self.rows:
            impl = "true" if row.implemented else "false"
            note = f'"{c_string(row.note)}"' if row.note else "NULL"
            out.append(f'\t{{ "{row.name}", "{c_string(row.cls)}", {row.mask:#010x}, {row.value:#010x}, '
                       f"ISA_{row.feature}, {impl}, {note} }},")
        out += ["};", f"const unsigned isa_row_count = {len(self.rows)};", "", "const struct isa_absent isa_absents[] = {"]
        for a in self.absent:
            crm, op2 = ID_REGISTERS[a.register]
            out.append(f'\t{{ "{c_string(a.name)}", "{a.field()}", {crm}, {op2}, {a.shift}, {a.value}, "{c_string(a.note)}" }},')
        out += ["\t{ 0 },", "};", f"const unsigned isa_absent_count = {len(self.absent)};", ""]
        out += ["bool isa_decode_is_fp(unsigned row)", "{", "\tstatic const uint8_t fp[] = {"]
        bits = [1 if r.fp else 0 for r in self.rows]
        for i in range(0, len(bits), 32):
            out.append("\t\t" + " ".join(f"{b}," for b in bits[i:i + 32]))
        out += ["\t};", "", "\treturn fp[row];", "}", ""]
        out += self.source_tree()
        out += self.source_emit()
        return "\n".join(out)

    def source_tree(self):
        """Node n: split (shift, width, first child's slot in nodes[]) or leaf (width 0: first cube, count in shift)."""
        nodes, cubes = [None], []

        def place(slot, node):
            if node[0] == "leaf":
                nodes[slot] = f"{{ {len(node[1])}, 0, {len(cubes)} }}"
                cubes.extend(node[1])
                return
            _, lsb, width, children = node
            base = len(nodes)
            nodes.extend([None] * len(children))
            nodes[slot] = f"{{ {lsb}, {width}, {base} }}"
            seen = {}
            for k, child in enumerate(children):
                key = repr(child)
                if key in seen:
                    nodes[base + k] = nodes[seen[key]]
                else:
                    place(base + k, child)
                    seen[key] = base + k

        place(0, self.tree())
        out = ["static const struct {", "\tuint8_t shift, width;", "\tuint32_t at;", "} nodes[] = {"]
        out += ["\t" + ", ".join(nodes[i:i + 6]) + "," for i in range(0, len(nodes), 6)]
        out += ["};", "", "static const struct {", "\tuint32_t mask, value;", "\tuint16_t row;", "} cubes[] = {"]
        out += [f"\t{{ {m:#010x}, {v:#010x}, {r} }}," for m, v, r in cubes]
        out += ["\t{ 0, 1, 0 },", "};", "", "int isa_decode_row(uint32_t insn)", "{", "\tuint32_t n = 0;", "",
                "\twhile (nodes[n].width)",
                "\t\tn = nodes[n].at + (insn >> nodes[n].shift & ((1u << nodes[n].width) - 1));",
                "\tfor (uint32_t i = nodes[n].at; i < nodes[n].at + nodes[n].shift; i++)",
                "\t\tif ((insn & cubes[i].mask) == cubes[i].value)", "\t\t\treturn cubes[i].row;", "\treturn -1;", "}", ""]
        return out

    def source_emit(self):
        out = ["static inline uint32_t ubits(uint32_t insn, unsigned lsb, unsigned width)", "{",
               "\treturn insn >> lsb & (uint32_t)((1ull << width) - 1);", "}", "",
               "static inline int32_t sbits(uint32_t insn, unsigned lsb, unsigned width)", "{",
               "\treturn (int32_t)(insn << (32 - lsb - width)) >> (32 - width);", "}", "",
               "bool isa_decode_emit(struct isa_ctx *ctx, unsigned row, uint32_t insn)", "{",
               "\t(void)sbits; /* a table may have no signed field */", "\t(void)ubits;", "\tswitch (row) {"]
        for i, row in enumerate(self.rows):
            if not row.implemented:
                continue
            init = [f".{f} = {'s' if s else 'u'}bits(insn, {lsb}, {w})" for f, (lsb, w, s) in row.fields.items()]
            init += [f".{f} = {expr}" for f, expr in row.const.items()]
            out += [f"\tcase {i}: {{ /* {row.name} */",
                    f"\t\tconst struct args_{row.c_format()} a = {{ {', '.join(init) or '0'} }};",
                    f"\t\treturn emit_{row.emit}(ctx, &a);", "\t}"]
        out += ["\t}", "\treturn false;", "}", ""]
        return out


def c_string(s):
    return s.replace("\\", "\\\\").replace('"', '\\"')


def main():
    ap = argparse.ArgumentParser(description="Makes the A64 decoder from the .decode tables.")
    ap.add_argument("--source", help="C file to write")
    ap.add_argument("--header", help="C header to write")
    ap.add_argument("tables", nargs="+")
    args = ap.parse_args()
    table = Table()
    try:
        for path in args.tables:
            table.read(path)
        table.check()
        outputs = [(args.source, table.source), (args.header, table.header)]
        texts = [(path, make()) for path, make in outputs if path]
    except Bad as e:
        print(e, file=sys.stderr)
        return 1
    for path, text in texts:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
