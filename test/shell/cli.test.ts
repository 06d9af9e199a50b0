// The command line in a process of its own, as built.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { VERSION } from "../../src/version.ts";
import { PolymqCli } from "./polymq-cli.ts";

const directory = mkdtempSync(join(tmpdir(), "polymq-cli-"));
const running: PolymqCli[] = [];
let directories = 0;

afterEach(async () => {
  for (const cli of running.splice(0)) {
    cli.signal("SIGKILL");
    await cli.exited;
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(args: readonly string[], environment?: Record<string, string>): PolymqCli {
  const cli = new PolymqCli(args, environment);
  running.push(cli);
  return cli;
}

function freshDirectory(): string {
  return join(directory, `data-${directories++}`);
}

/** A broker on free ports. */
async function serve(args: readonly string[] = [], dataDir = freshDirectory()): Promise<PolymqCli> {
  const cli = run(["serve", "--data-dir", dataDir, "--amqp-port", "0", "--http-port", "0", ...args]);
  await cli.said("PolyMQ ready");
  return cli;
}

async function failure(args: readonly string[], environment?: Record<string, string>): Promise<string> {
  const cli = run(args, environment);
  expect(await cli.exited).toBe(1);
  return cli.output;
}

async function withTakenPort(work: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await work((server.address() as { port: number }).port);
  await new Promise((resolve) => server.close(resolve));
}

describe("serve", () => {
  test("says version, data directory, listeners and how to begin, then that it is ready", async () => {
    const dataDir = freshDirectory();
    const cli = await serve([], dataDir);
    expect(cli.output).toContain(`PolyMQ ${VERSION}\n`);
    expect(cli.output).toContain(`data   ${dataDir}  (durability fsync)`);
    expect(cli.output).toMatch(/amqp {3}amqp:\/\/127\.0\.0\.1:\d+\n/);
    expect(cli.output).toContain("pika.URLParameters('amqp://guest:guest@127.0.0.1:");
    expect(cli.output.trimEnd().endsWith("PolyMQ ready")).toBe(true);
    expect(cli.output).not.toContain("Warning");
  });

  test("GET / tells the ports too, and readiness is served", async () => {
    const cli = await serve();
    const url = `http://127.0.0.1:${cli.port("http")}`;
    const overview = (await (await fetch(url)).json()) as { listeners: { name: string; port: number }[] };
    expect(overview.listeners.find(({ name }) => name === "amqp")!.port).toBe(cli.port("amqp"));
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain("polymq_queues 0");
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s drains and exits 0; the data can be used again",
    async (signal) => {
      const dataDir = freshDirectory();
      const cli = await serve([], dataDir);
      cli.signal(signal);
      expect(await cli.exited).toBe(0);
      expect(cli.output).toContain("stopped");
      await serve([], dataDir);
    },
  );

  test("one wish to stop that comes twice is one", async () => {
    const cli = await serve();
    cli.signal("SIGTERM");
    cli.signal("SIGTERM");
    cli.signal("SIGINT");
    expect(await cli.exited).toBe(0);
    expect(cli.output).toContain("stopped");
  });

  test("a signal during the start stops what has been started", async () => {
    const cli = run(["serve", "--data-dir", freshDirectory(), "--amqp-port", "0", "--http-port", "0"]);
    cli.signal("SIGTERM");
    // Too early for our handler the system ends it (null); else the broker ends itself.
    expect([0, null]).toContain(await cli.exited);
  });

  test("in JSON each line is an object, and being ready is said at any log level", async () => {
    const cli = await serve(["--log-format", "json", "--log-level", "error"]);
    const lines = cli.output.trim().split("\n");
    const ready = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === "PolyMQ ready");
    expect(ready.listeners).toContainEqual(expect.objectContaining({ name: "amqp", host: "127.0.0.1" }));
  });

  test("warns of what others can reach", async () => {
    const cli = await serve(["--host", "0.0.0.0"]);
    expect(cli.output).toContain("Warning: reachable from other machines: ");
    expect(cli.output).toContain("guest may log in from this machine only");
    expect(cli.output).toContain("http asks for no password");
  });

  test("without HTTP", async () => {
    const cli = run(["serve", "--engine", "memory:", "--amqp-port", "0", "--http-port", "off"]);
    await cli.said("PolyMQ ready");
    expect(cli.output).not.toContain("http:");
    expect(cli.output).toContain("messages are gone when the broker stops");
  });
});

describe("a start that is refused", () => {
  test("for data that is in use", async () => {
    const dataDir = freshDirectory();
    const first = await serve([], dataDir);
    // The ports are taken as well; the data is what matters.
    const ports = ["--amqp-port", `${first.port("amqp")}`, "--http-port", `${first.port("http")}`];
    const output = await failure(["serve", "--data-dir", dataDir, ...ports]);
    expect(output).toContain("in use");
    expect(output).toContain(dataDir);
    expect(output).toContain("--data-dir DIR, POLYMQ_DATA_DIR=DIR, or 'data-dir'");
    expect(output).not.toContain("    at ");
  });

  test("for a port that is taken: it and its options are named", async () => {
    await withTakenPort(async (port) => {
      const args = ["serve", "--data-dir", freshDirectory()];
      const amqp = await failure([...args, "--http-port", "0", "--amqp-port", `${port}`]);
      expect(amqp).toContain(`port ${port} on 127.0.0.1 is taken`);
      expect(amqp).toContain("--amqp-port PORT, POLYMQ_AMQP_PORT=PORT, or 'amqp.port'");
      const http = await failure([...args, "--amqp-port", "0", "--http-port", `${port}`]);
      expect(http).toContain("--http-port PORT, POLYMQ_HTTP_PORT=PORT, or 'http.port'");
    });
  });

  test("for an address that is not here", async () => {
    const output = await failure(["serve", "--host", "192.0.2.1", "--data-dir", freshDirectory()]);
    expect(output).toContain("192.0.2.1 is not an address of this machine");
    expect(output).toContain("--host ADDRESS");
  });

  test("for a data directory that cannot be one: it and its option are named", async () => {
    const file = join(directory, "a-file");
    writeFileSync(file, "");
    const output = await failure(["serve", "--data-dir", join(file, "data")]);
    expect(output).toContain(`data directory ${join(file, "data")} cannot be used: ENOTDIR`);
    expect(output).toContain("--data-dir DIR, POLYMQ_DATA_DIR=DIR, or 'data-dir'");
    expect(output).not.toContain("    at ");
  });

  test("for a mistyped flag, command, variable or key", async () => {
    expect(await failure(["serve", "--amqp-prot", "1"])).toContain("Did you mean --amqp-port?");
    expect(await failure(["srve"])).toContain("Did you mean serve?");
    expect(await failure(["serve"], { POLYMQ_HSOT: "x" })).toContain("did you mean 'POLYMQ_HOST'?");
    const file = join(directory, "bad.yaml");
    writeFileSync(file, "htpp:\n  port: 1\n");
    expect(await failure(["serve", "--config", file])).toContain("bad.yaml, line 1: unknown key 'htpp'");
  });

  test("for a certificate that cannot be read", async () => {
    const missing = join(directory, "missing.pem");
    const output = await failure(["serve", "--tls-cert", missing, "--tls-key", missing]);
    expect(output).toMatch(/tls-cert: .*missing\.pem/);
    expect(output).not.toContain("    at ");
    const garbage = join(directory, "garbage.pem");
    writeFileSync(garbage, "no certificate");
    const other = await failure(["serve", "--tls-cert", garbage, "--tls-key", garbage]);
    expect(other).toContain("tls-cert and tls-key cannot be used together: ");
    expect(other).not.toContain("    at ");
  });
});

describe("config", () => {
  test("prints every option with its value and where it came from, but no password", async () => {
    const file = join(directory, "good.yaml");
    writeFileSync(file, "durability: os\n");
    const cli = run(["config", "--config", file, "--amqp-port", "1"], {
      POLYMQ_HTTP_PORT: "2",
      POLYMQ_ADMIN_PASSWORD: "swordfish",
    });
    expect(await cli.exited).toBe(0);
    expect(cli.output).toMatch(/^amqp-port +1 +--amqp-port$/m);
    expect(cli.output).toMatch(/^http-port +2 +POLYMQ_HTTP_PORT$/m);
    expect(cli.output).toMatch(/^durability +os +.*good\.yaml, line 1$/m);
    expect(cli.output).toMatch(/^log-level +info +default$/m);
    expect(cli.output).toMatch(/^admin-password +\*{8} +POLYMQ_ADMIN_PASSWORD$/m);
    expect(cli.output).not.toContain("swordfish");
  });
});

test("--version and --help", async () => {
  const version = run(["--version"]);
  expect(await version.exited).toBe(0);
  expect(version.output).toBe(`${VERSION}\n`);
  const help = run(["serve", "--help"]);
  expect(await help.exited).toBe(0);
  expect(help.output).toContain("--data-dir <text>");
});
