// Functions that V8 optimises, and then has to give up again.
'use strict';
const out = [];
function mix(a, b) { return (Math.imul(a, 0x9e3779b1) ^ b) >>> 0; }
let h = 0;
for (let i = 0; i < 100000; i++) h = mix(h, i);
out.push(h);
function add(a, b) { return a + b; }
let s = 0;
for (let i = 0; i < 60000; i++) s = add(s, i * 0.25);
out.push(s, add('x', 1), add(1n, 2n), add([1], 2));
let f = 0;
for (let i = 1; i < 100000; i++) f += Math.sin(i) / i + Math.pow(i, 0.3) % 1 + Math.atan2(i, 3) + Math.exp(-i / 1e4) + Math.cbrt(i);
out.push(f);
const a = new Float64Array(5000), b = new Int32Array(5000), c = new Uint8ClampedArray(256);
for (let r = 0; r < 20; r++) for (let i = 0; i < a.length; i++) { a[i] += i * r / 3; b[i] = (b[i] * 31 + a[i]) | 0; c[i & 255] += b[i] / 1e6; }
out.push(a.reduce((x, y) => x + y), b.reduce((x, y) => (x ^ y) | 0), Array.from(c.slice(0, 20)).join());
class P { constructor(x) { this.x = x; } get y() { return this.x * 2; } }
class Q extends P { get y() { return super.y + 1; } }
let t = 0;
for (let i = 0; i < 100000; i++) t += (i % 3 ? new P(i) : new Q(i)).y;
out.push(t);
out.push(JSON.stringify([...Array(300).keys()].map(k => ({ k, q: k ** 3, s: k.toString(36) })).filter(o => o.k % 7 === 3)).length);
out.push((2n ** 521n - 1n).toString().slice(0, 60), (0.1 + 0.2).toString(), 1e21 + 1, (123.456).toFixed(10), (-1) >>> 0);
out.push('the quick brown fox'.replace(/(\w+) (\w+)/g, '$2 $1'), /(?<y>\d{4})-(?<m>\d\d)/.exec('on 2024-05-06').groups.m);
const m = new Map();
for (let i = 0; i < 50000; i++) m.set('k' + i % 777, (m.get('k' + i % 777) || 0) + i);
out.push([...m.entries()].sort((p, q) => q[1] - p[1]).slice(0, 5).join('|'));
console.log(out.join('\n'));
