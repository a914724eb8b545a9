#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pauth_model.py OUT: pointer authentication by a second hand, as vectors for tests/cpu/pauth.c.

Written from Arm ARM DDI 0487, AddPAC(), Auth(), CalculateBottomPACBit(), and from R. Avanzi, "The QARMA Block Cipher Family" (2017),
in the paper's terms: cells in a 4x4 matrix, forward and backward rounds, a reflector. The paper's test vector must come out, or
nothing is written. Shares nothing with cpu/pauth.c.

What it is for: FEAT_EPAC, and FEAT_FPAC with and without FEAT_FPACCOMBINE, which no other implementation at hand has with QARMA5.
"""
import random
import sys

M64 = (1 << 64) - 1

# ---- QARMA-64 with the S-box sigma2, cell 0 is the most significant nibble

TAU = [0, 11, 6, 13, 10, 1, 12, 7, 5, 14, 3, 8, 15, 4, 9, 2]
H = [6, 5, 14, 15, 0, 1, 2, 3, 7, 12, 13, 4, 8, 9, 10, 11]
LFSR_CELLS = [0, 1, 3, 4, 8, 11, 13]
SIGMA2 = [11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10]
CIRC = [None, 1, 2, 1]  # the matrix's first row: zero, rho, rho^2, rho
C = [0, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89, 0x452821E638D01377]
ALPHA = 0xC0AC29B7C97C50DD


def cells(v):
    return [v >> (60 - 4 * i) & 15 for i in range(16)]


def word(c):
    return sum(x << (60 - 4 * i) for i, x in enumerate(c))


def inverse(p):
    return [p.index(i) for i in range(len(p))]


def pick(v, p):
    c = cells(v)
    return word([c[p[i]] for i in range(16)])


def sub(v, box):
    return word([box[x] for x in cells(v)])


def rho(x, n):
    return (x << n | x >> (4 - n)) & 15


def mix(v):
    c, out = cells(v), [0] * 16
    for row in range(4):
        for col in range(4):
            for k in range(1, 4):
                out[4 * row + col] ^= rho(c[4 * ((row + k) % 4) + col], CIRC[k])
    return word(out)


def omega(x):
    return (x & 1 ^ x >> 1 & 1) << 3 | x >> 1


def tweak_on(t):
    c = cells(pick(t, H))
    return word([omega(x) if i in LFSR_CELLS else x for i, x in enumerate(c)])


def qarma64(p, t, w0, k0, rounds):
    w1 = (w0 >> 1 | w0 << 63) & M64 ^ w0 >> 63
    tweaks = [t]
    for _ in range(rounds):
        tweaks.append(tweak_on(tweaks[-1]))
    s = p ^ w0
    for i in range(rounds):
        s ^= k0 ^ tweaks[i] ^ C[i]
        if i:
            s = mix(pick(s, TAU))
        s = sub(s, SIGMA2)
    s = sub(mix(pick(s ^ w1 ^ tweaks[rounds], TAU)), SIGMA2)
    s = pick(k0 ^ mix(pick(s, TAU)), inverse(TAU))  # the reflector; its key is k0
    s = pick(mix(sub(s, inverse(SIGMA2))), inverse(TAU)) ^ w0 ^ tweaks[rounds]
    for i in reversed(range(rounds)):
        s = sub(s, inverse(SIGMA2))
        if i:
            s = pick(mix(s), inverse(TAU))
        s ^= k0 ^ tweaks[i] ^ C[i] ^ ALPHA
    return s ^ w1


# ---- the architecture

PAUTH, EPAC, PAUTH2, FPAC, FPACCOMBINE = 1, 2, 3, 4, 5  # values of ID_AA64ISAR1_EL1.APA
TBI, TBID = (37, 38), (51, 52)


def bit(v, n):
    return v >> n & 1


def bits(v, high, low):
    return v >> low & ((1 << (high - low + 1)) - 1)


def put(v, high, low, x):
    mask = ((1 << (high - low + 1)) - 1) << low
    return v & ~mask & M64 | x << low & mask


def has_tbi(tcr, half, data):
    return bool(bit(tcr, TBI[half])) and (data or not bit(tcr, TBID[half]))


def bottom_bit(tcr, half):
    return 64 - bits(tcr, 21, 16) if half else 64 - bits(tcr, 5, 0)


def code(ptr, modifier, key):
    return qarma64(ptr, modifier, key >> 64, key & M64, 5)


def add_pac(level, tcr, ptr, modifier, key, data):
    """The tag of one half counts for both when the sign is chosen: the pointer's own half is not known yet."""
    sign = bit(ptr, 55 if has_tbi(tcr, 0, data) or has_tbi(tcr, 1, data) else 63)
    top = 55 if has_tbi(tcr, bit(ptr, 55), data) else 63
    low = bottom_bit(tcr, sign)
    pac = code(put(ptr, top, low, M64 * sign), modifier, key)
    upper = bits(ptr, top, low)
    if upper not in (0, (1 << (top - low + 1)) - 1):
        if level == EPAC:
            pac = 0
        elif level < PAUTH2:
            pac ^= 1 << (top - 1)
    if level >= PAUTH2:
        pac ^= ptr
    out = put(put(ptr, 54, low, bits(pac, 54, low)), 55, 55, sign)
    return out if top == 55 else put(out, 63, 56, bits(pac, 63, 56))


def auth(level, tcr, ptr, modifier, key, data, b, combined):
    """(result, whether it is a PAC Fail exception instead)"""
    sign = bit(ptr, 55)
    top = 55 if has_tbi(tcr, sign, data) else 63
    low = bottom_bit(tcr, sign)
    plain = put(ptr, top, low, M64 * sign)
    pac = code(plain, modifier, key)
    got = put(ptr, 54, low, bits(ptr ^ pac, 54, low))
    if top == 63:
        got = put(got, 63, 56, bits(ptr ^ pac, 63, 56))
    if level < PAUTH2:
        same = bits(ptr ^ pac, 54, low) == 0 and (top == 55 or bits(ptr ^ pac, 63, 56) == 0)
        error = 2 if b else 1
        return (plain if same else put(plain, top - 1, top - 2, error)), False
    good = bits(got, top, low) == bits(M64 * bit(got, 55), top, low)
    return got, not good and (level == FPACCOMBINE or (level == FPAC and not combined))


# ---- vectors

def vectors(n):
    rng = random.Random(2017)

    def word64():
        return rng.getrandbits(64)

    for i in range(n):
        level = 1 + i % 5
        tcr = (rng.randrange(16, 40) | rng.randrange(16, 40) << 16 | rng.getrandbits(2) << 37 | rng.getrandbits(2) << 51)
        kind = rng.randrange(4)  # IA, IB, DA, DB
        data, b = kind >= 2, kind & 1
        key, modifier = rng.getrandbits(128), word64() if rng.randrange(2) else 0  # LDRA* have no other
        ptr = word64()
        if rng.randrange(4):  # else what is not a pointer
            half = bit(ptr, 55)
            ptr = put(ptr, 55 if rng.randrange(2) else 63, bottom_bit(tcr, half), M64 * half)
        signed = add_pac(level, tcr, ptr, modifier, key, data)
        tried = signed
        if rng.randrange(2):
            tried ^= 1 << rng.choice([b for b in range(25, 64) if b != 55])
        if not rng.randrange(4):
            tried ^= 1 << 55
        plain, fails = auth(level, tcr, tried, modifier, key, data, b, False)
        combined, combined_fails = auth(level, tcr, tried, modifier, key, data, b, True)
        yield (f"\t{{{level}, {kind}, {tcr:#x}, {{{key & M64:#x}, {key >> 64:#x}}}, {modifier:#x}, {ptr:#x}, {signed:#x}, {tried:#x}, "
               f"{plain:#x}, {combined:#x}, {int(fails)}, {int(combined_fails)}}},")


def main():
    # The paper's, for five rounds and sigma2.
    if qarma64(0xFB623599DA6E8127, 0x477D469DEC0B8762, 0x84BE85CE9804E94B, 0xEC2802D4E0A488E9, 5) != 0xC003B93999B33765:
        print("pauth_model.py: not QARMA", file=sys.stderr)
        return 1
    with open(sys.argv[1], "w", encoding="ascii") as f:
        f.write("/* Made by pauth_model.py. */\n" + "\n".join(vectors(1500)) + "\n")
    return 0


sys.exit(main())
