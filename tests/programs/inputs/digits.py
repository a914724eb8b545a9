# Arithmetic whose digits show every wrong bit.
import cmath
import decimal
import fractions
import hashlib
import math
import random
import struct

decimal.getcontext().prec = 300
print(decimal.Decimal(2).sqrt(), decimal.Decimal(3).ln(), decimal.Decimal("1.1").exp())
print(sum(fractions.Fraction(1, n) for n in range(1, 300)))
print(hashlib.sha256(str(2 ** 20000 // 3 ** 5000).encode()).hexdigest(), pow(3, 10 ** 40, 10 ** 30 + 57), math.factorial(300) % 997 ** 9)
r = random.Random(1)
digest = hashlib.sha256()
for i in range(3000):
    x, y = r.uniform(-1e3, 1e3), r.lognormvariate(0, 30)
    v = (math.sin(x), math.cos(x) / y, math.tan(x), math.exp(x / 2), math.log(y), math.pow(abs(x), 0.37), math.atan2(x, y), math.sinh(x / 9),
         math.gamma(abs(x) % 160 + 0.5), math.erf(x / 100), math.fmod(y, 7.7), math.hypot(x, y), math.log1p(y), x * y + x - y, x / y, float(round(x, 3)))
    digest.update(struct.pack("<16d", *v))
    digest.update(struct.pack("<d", abs(cmath.sqrt(complex(x, y)))))
    digest.update(struct.pack("<fe", x, x / 100))
print(digest.hexdigest())
print(*[repr(r.gauss(0, 1e-300)) for _ in range(20)], 5e-324, 1.7976931348623157e308, float.fromhex("0x1.8p-1070"))
