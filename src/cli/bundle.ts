import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import type { run } from "./program.ts";

const KEY_BYTES = 128;
const DIGEST_BYTES = 32;

interface Program {
  readonly run: typeof run;
}

export interface Bundle extends Program {
  /** To be called when the start is over: keeps what was compiled, unless that was kept before. */
  keep(): void;
}

/**
 * The command in one file, as the build leaves it; null when it did not. Half of a start is reading and
 * compiling modules: one file takes a third of that, and with V8's compiled code beside it a tenth.
 * That code is kept by the first start, where the directory can be written.
 */
export function loadBundle(file: string, cache: string): Bundle | null {
  const source = readText(file);
  if (source === null) return null;
  const key = keyOf(source);
  const cachedData = keptCode(cache, key);
  const script = new Script(source, { filename: file, ...(cachedData !== null && { cachedData }) });
  const module = { exports: {} as Program };
  script.runInThisContext()(module.exports, createRequire(file), module, file);
  const keep = () => {
    if (cachedData === null) keepCode(cache, key, script);
  };
  return { run: module.exports.run, keep };
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, "latin1"); // it is ASCII, which this reads fastest
  } catch {
    return null;
  }
}

/** Of this text, for this Node.js: V8 itself looks at the length of a text and no further. */
function keyOf(source: string): Buffer {
  const id = source.slice(0, source.indexOf("\n"));
  const key = Buffer.alloc(KEY_BYTES);
  key.write(`${id} ${process.version} ${process.arch}`);
  return key;
}

/** V8 believes what it is given, and a flipped bit would end the process at every start: hence the digest. */
function keptCode(cache: string, key: Buffer): Buffer | null {
  try {
    const kept = readFileSync(cache);
    const code = kept.subarray(KEY_BYTES + DIGEST_BYTES);
    const isWhole = digestOf(code).equals(kept.subarray(KEY_BYTES, KEY_BYTES + DIGEST_BYTES));
    return isWhole && key.equals(kept.subarray(0, KEY_BYTES)) ? code : null;
  } catch {
    return null;
  }
}

function digestOf(code: Buffer): Buffer {
  return createHash("sha256").update(code).digest();
}

/** Whole or not at all, since another start may be reading it. */
function keepCode(cache: string, key: Buffer, script: Script): void {
  const unfinished = `${cache}.${process.pid}`;
  try {
    const code = script.createCachedData();
    writeFileSync(unfinished, Buffer.concat([key, digestOf(code), code]));
    renameSync(unfinished, cache);
  } catch {
    rmSync(unfinished, { force: true }); // a directory that cannot be written, or no room: the next start is as slow
  }
}
