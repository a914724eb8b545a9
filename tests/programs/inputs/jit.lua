-- Loops that a tracing compiler compiles: numbers, tables, strings, closures, 64-bit integers, side exits.
local ffi, bit = require("ffi"), require("bit")
local s = 0
for i = 1, 60000 do
  s = s + math.sin(i) * (i % 7) / (i + 0.5)
  if i % 1000 == 0 then s = s - math.floor(s) end
end
print(string.format("%.17g", s))
local h = 0
for i = 1, 60000 do h = bit.bxor(bit.rol(h, 5), bit.tobit(i * 2654435761 % 4294967296)) end
print(bit.tohex(h))
local a = 1ULL
for i = 1, 60000 do a = a * 6364136223846793005ULL + 1442695040888963407ULL end
print(tostring(a))
local v = ffi.new("double[?]", 1000)
for r = 1, 50 do for i = 0, 999 do v[i] = v[i] * 0.5 + i * r end end
local t = 0
for i = 0, 999 do t = t + v[i] end
print(string.format("%.17g", t))
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(24))
local words = {}
for i = 1, 20000 do words[#words + 1] = string.format("%x", (i * 7919) % 65536) end
table.sort(words)
print(#table.concat(words, ","), words[1], words[10000], words[20000])
local perms = 0
local function permute(p, n)
  if n == 0 then perms = perms + p[1] * p[#p] return end
  for i = 1, n do p[i], p[n] = p[n], p[i]; permute(p, n - 1); p[i], p[n] = p[n], p[i] end
end
permute({1, 2, 3, 4, 5, 6, 7}, 7)
print(perms)
