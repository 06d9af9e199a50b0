// The real broker in a process of its own, started through its command line. Crash tests need
// something that can be killed; long fuzz runs need memory that can be measured from outside.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FREE_PORTS } from "./free-ports.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const READY_WITHIN_MS = 30_000;

export interface ProcessOptions {
  dataDir: string;
  args?: string[];
  env?: Record<string, string>;
  /** By the system's leave. */
  openFilesMax?: number;
}

export class PolymqProcess {
  url = "";
  /** Where its figures are. */
  httpUrl = "";
  output = "";
  exitCode: number | null | undefined;
  private exited!: Promise<void>;
  private child!: ChildProcess;

  private readonly options: ProcessOptions;

  private constructor(options: ProcessOptions) {
    this.options = options;
  }

  static async start(options: ProcessOptions): Promise<PolymqProcess> {
    if (!existsSync(MAIN)) throw new Error("dist/main.js is missing: run `npm run build` first");
    const broker = new PolymqProcess(options);
    await broker.start();
    return broker;
  }

  get pid(): number {
    return this.child.pid!;
  }

  async start(): Promise<void> {
    const http = ["--http-port", "0"];
    const args = [MAIN, "serve", "--data-dir", this.options.dataDir, ...http, "--log-level", "warn"];
    this.output = "";
    this.exitCode = undefined;
    const { openFilesMax = "hard" } = this.options;
    const limited = ["-c", `ulimit -n ${openFilesMax} && exec "$0" "$@"`, process.execPath];
    const [command, before] = openFilesMax === "hard" ? [process.execPath, []] : ["sh", limited];
    this.child = spawn(command, [...before, ...args, ...(this.options.args ?? [])], {
      env: { ...process.env, ...FREE_PORTS, ...this.options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code) => {
        this.exitCode = code;
        resolve();
      });
    });
    await this.waitForBanner();
  }

  private async waitForBanner(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why}\n${this.output}`));
      const timer = setTimeout(() => fail(`not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
      const read = (chunk: Buffer) => {
        // A long run must not collect a chatty broker's whole log.
        if (this.output.length < 100_000) this.output += chunk.toString();
        if (!this.output.includes("PolyMQ ready")) return;
        clearTimeout(timer);
        resolve();
      };
      this.child.stdout!.on("data", read);
      this.child.stderr!.on("data", read);
      this.child.once("exit", (code) => fail(`exited with ${code} before it was ready`));
    });
    const address = /amqp:\/\/(?:[^@\s]*@)?([\d.]+:\d+)/.exec(this.output)?.[1];
    if (!address) throw new Error(`the banner names no amqp:// address\n${this.output}`);
    this.url = `amqp://guest:guest@${address}`;
    this.httpUrl = /http:\/\/[\d.]+:\d+/.exec(this.output)?.[0] ?? "";
  }

  /** Ends the process the way a power cut would, as far as the process is concerned. */
  async kill9(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Asks it to drain and resolves to its exit code. */
  async stop(): Promise<number | null> {
    if (this.exitCode === undefined) this.child.kill("SIGTERM");
    await this.exited;
    return this.exitCode ?? null;
  }

  /** One of the figures at /metrics that have no labels. */
  async figure(name: string): Promise<number> {
    const page = await (await fetch(`${this.httpUrl}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, "m").exec(page)?.[1]);
  }

  residentBytes(): number {
    return residentBytes(this.pid);
  }
}

/** Resident memory of a process; 0 where /proc does not exist. */
export function residentBytes(pid: number | "self"): number {
  try {
    const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0;
  }
}
