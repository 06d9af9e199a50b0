import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LockedError } from "../engine.ts";
import { lockDirectory } from "./directory-lock.ts";
import { openFileEngine } from "./file-engine.ts";

describe("the lock of a data directory", () => {
  let directory: string;
  let child: ChildProcess | null = null;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "polymq-lock-"));
  });

  afterEach(() => {
    child?.kill("SIGKILL");
    child = null;
    rmSync(directory, { recursive: true, force: true });
  });

  /** Another process that listens where a broker would. */
  async function listener(address: string): Promise<ChildProcess> {
    const script = `require("net").createServer().listen(${JSON.stringify(address)}, () => console.log("up"))`;
    const started = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    child = started;
    await new Promise((resolve) => started.stdout?.once("data", resolve));
    return started;
  }

  async function killed(process: ChildProcess): Promise<void> {
    const ended = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await ended;
  }

  it("refuses a second engine in the same process, and names who has it", async () => {
    const engine = await openFileEngine({ directory });
    const second = openFileEngine({ directory: `${directory}/../${path.basename(directory)}` });
    await expect(second).rejects.toThrow(LockedError);
    await expect(openFileEngine({ directory })).rejects.toThrow(`pid ${process.pid}`);
    await engine.close();
    await (await openFileEngine({ directory })).close();
  });

  it("is free again when opening failed", async () => {
    writeFileSync(path.join(directory, "FORMAT"), "something else");
    await expect(openFileEngine({ directory })).rejects.toThrow("another version");
    await expect(openFileEngine({ directory })).rejects.toThrow("another version");
  });

  it.runIf(process.platform === "linux")(
    "is another process's until that is gone, also by kill -9",
    async () => {
      const { dev, ino } = statSync(directory);
      writeFileSync(path.join(directory, "LOCK"), JSON.stringify({ pid: 4711 }));
      for (const address of [`\0polymq-data-${dev}-${ino}`, path.join(directory, "LOCK.socket")]) {
        const holder = await listener(address);
        await expect(lockDirectory(directory)).rejects.toThrow("pid 4711");
        await killed(holder);
        await (await lockDirectory(directory)).release();
        writeFileSync(path.join(directory, "LOCK"), JSON.stringify({ pid: 4711 }));
      }
    },
  );
});
