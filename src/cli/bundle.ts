import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import type { run } from "./program.ts";

/** Long enough for a start to be over: what it compiled is in the cache, and nothing waits for it. */
const KEEP_AFTER_MS = 2000;
const KEY_BYTES = 128;

export interface Program {
  readonly run: typeof run;
}

/**
 * The command in one file, as the build leaves it; null when it did not. Half of a start is reading and
 * compiling modules: one file takes a third of that, and with V8's compiled code beside it a tenth.
 * That code is kept by the first start that gets around to it, where the directory can be written.
 */
export function loadBundle(file: string, cache: string): Program | null {
  const source = readText(file);
  if (source === null) return null;
  const key = keyOf(source);
  const cachedData = keptCode(cache, key);
  const script = new Script(source, { filename: file, ...(cachedData !== null && { cachedData }) });
  const module = { exports: {} as Program };
  script.runInThisContext()(module.exports, createRequire(file), module, file);
  if (cachedData === null) setTimeout(() => keepCode(cache, key, script), KEEP_AFTER_MS).unref();
  return module.exports;
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

function keptCode(cache: string, key: Buffer): Buffer | null {
  try {
    const kept = readFileSync(cache);
    return key.equals(kept.subarray(0, KEY_BYTES)) ? kept.subarray(KEY_BYTES) : null;
  } catch {
    return null;
  }
}

/** Whole or not at all, since another start may be reading it. */
function keepCode(cache: string, key: Buffer, script: Script): void {
  const unfinished = `${cache}.${process.pid}`;
  try {
    writeFileSync(unfinished, Buffer.concat([key, script.createCachedData()]));
    renameSync(unfinished, cache);
  } catch {
    rmSync(unfinished, { force: true }); // a directory that cannot be written, or no room: the next start is as slow
  }
}
