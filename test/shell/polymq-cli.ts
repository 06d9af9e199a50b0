import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FREE_PORTS } from "../support/free-ports.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** The command line as a user runs it, with nothing of this process's environment but PATH; ports are free ones. */
export class PolymqCli {
  output = "";
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(args: readonly string[], environment: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env.PATH, ...FREE_PORTS, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout!.on("data", (chunk) => this.collect(chunk));
    this.child.stderr!.on("data", (chunk) => this.collect(chunk));
    this.exited = new Promise((resolve) => this.child.once("close", resolve));
  }

  private collect(chunk: Buffer): void {
    this.output += chunk.toString();
  }

  /** Resolves when the output contains `text`. @throws when the process ends first */
  async said(text: string): Promise<void> {
    if (this.output.includes(text)) return;
    await new Promise<void>((resolve, reject) => {
      const look = () => this.output.includes(text) && resolve();
      this.child.stdout!.on("data", look);
      this.child.stderr!.on("data", look);
      this.child.once("close", () => reject(new Error(`ended without saying '${text}':\n${this.output}`)));
    });
  }

  /** Port of a listener, as the banner tells it. */
  port(listener: string): number {
    return Number(new RegExp(`^  ${listener} +[a-z]+://[^ ]*:(\\d+)`, "m").exec(this.output)?.[1]);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}
