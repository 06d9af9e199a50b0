import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/** A browser without a window; null where none is installed. CHROMIUM names another one. */
export const BROWSER =
  [process.env.CHROMIUM, ...NAMES].find((name) => name !== undefined && runs(name)) ?? null;

function runs(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

/** Serves one page with the scripts it loads, and hears what it reports by `report(value)`. */
export class Page {
  readonly origin: string;
  private readonly server: Server;
  private readonly profile = mkdtempSync(join(tmpdir(), "polymq-browser-"));
  private readonly reports: unknown[] = [];
  private wake = (): void => {};
  private browser: ChildProcess | null = null;

  private constructor(server: Server) {
    this.server = server;
    this.origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  /** @param scripts by path, such as "/stomp.js" */
  static async serve(scripts: Readonly<Record<string, string>>): Promise<Page> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const page = new Page(server);
    server.on("request", (request, response) => {
      const script = scripts[request.url ?? ""];
      if (request.method === "POST") {
        let body = "";
        request.on("data", (chunk) => {
          body += chunk;
        });
        request.on("end", () => {
          response.end();
          page.reports.push(JSON.parse(body));
          page.wake();
        });
      } else if (script !== undefined) response.setHeader("content-type", "text/javascript").end(script);
      else {
        const tags = Object.keys(scripts).map((path) => `<script src="${path}"></script>`);
        response
          .setHeader("content-type", "text/html")
          .end(`<!doctype html><meta charset="utf-8">${tags.join("")}`);
      }
    });
    return page;
  }

  open(): void {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${this.profile}`];
    // Whatever keeps the debugger open keeps the page open.
    const args = [...flags, "--remote-debugging-port=0", `${this.origin}/`];
    this.browser = spawn(BROWSER ?? "", args, { stdio: "ignore", detached: true });
  }

  /** What the page reports next. */
  async next(): Promise<unknown> {
    while (this.reports.length === 0) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.reports.shift();
  }

  async close(): Promise<void> {
    const { browser } = this;
    if (browser !== null) {
      const gone = new Promise((resolve) => browser.once("exit", resolve));
      // It is many processes, of which we know the first.
      if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL");
      await gone;
    }
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** For the page: tells the test. */
export const REPORT = `
  const report = (value) => fetch("/", { method: "POST", body: JSON.stringify(value) });
  addEventListener("error", (event) => report({ error: String(event.message) }));
`;
