import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadBundle } from "./bundle.ts";

let directory: string;
const file = () => join(directory, "program.cjs");
const cache = () => join(directory, "program.cache");

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "polymq-bundle-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function build(id: string, exitCode: number): void {
  const text = `exports.run = async () => ${exitCode};`;
  writeFileSync(file(), `// ${id}\n(function (exports, require, module, __filename) {\n${text}\n})\n`);
}

/** Starts, and gets ready. */
async function life(): Promise<number | undefined> {
  const bundle = loadBundle(file(), cache());
  const exitCode = await bundle?.run([], {});
  bundle?.keep();
  return exitCode;
}

test("without a bundle there is none", () => expect(loadBundle(file(), cache())).toBeNull());

test("compiled code is kept once", async () => {
  build("a", 7);
  expect(await life()).toBe(7);
  const kept = statSync(cache()).ino;
  expect(await life()).toBe(7);
  expect(statSync(cache()).ino).toBe(kept);
});

test("another build of the same length does not run the old one's code", async () => {
  build("a", 7);
  await life();
  build("b", 8);
  expect(await life()).toBe(8);
  expect(readFileSync(cache(), "latin1").startsWith("// b ")).toBe(true);
});

test("a damaged cache is not run, and replaced", async () => {
  build("a", 7);
  await life();
  const whole = readFileSync(cache());
  for (let at = 128; at < whole.length; at += 64) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 0x5a;
    writeFileSync(cache(), damaged);
    expect(await life()).toBe(7);
    expect(readFileSync(cache()).equals(damaged)).toBe(false);
  }
});

test("a cache that is cut short, and one that cannot be written, cost speed and nothing else", async () => {
  build("a", 7);
  await life();
  truncateSync(cache(), 200);
  expect(await life()).toBe(7);
  const unwritable = loadBundle(file(), join(directory, "missing", "cache"));
  unwritable?.keep();
  expect(await unwritable?.run([], {})).toBe(7);
});
