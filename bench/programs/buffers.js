// SPDX-License-Identifier: MIT
// 1.2 million buffers of 64 to 4,063 bytes through a map of 50,000: what a server that caches
// answers does. A collector's thread frees them in bulk.
const count = Number(process.argv[2] || 1200000);
const map = new Map();
let seed = 12345;
for (let i = 0; i < count; i++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    map.set(i % 50000, Buffer.alloc(64 + seed % 4000));
}
console.log(`rest ${process.pid}`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
