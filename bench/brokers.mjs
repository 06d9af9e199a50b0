// The brokers under test. Each is started in a fresh directory on free loopback ports, and offers:
// address, pid, version, dataDirectory, start(), stop(), kill(), metrics().
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { delimiter, join } from "node:path";
import { killGroup, removeDirectory, temporaryDirectory, trackGroup } from "./cleanup.mjs";
import { sleep } from "./generator.mjs";

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** True when whoever listens answers `greeting` with something that `accepts`, within two seconds. */
export function answers(port, greeting, accepts = () => true) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const done = (answer) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, 2000, false);
    socket.once("connect", () => socket.write(greeting));
    socket.once("data", (chunk) => done(accepts(chunk)));
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}

/** True when the broker answers a protocol header with connection.start. */
const amqpAnswers = (port) =>
  answers(port, Buffer.from("AMQP\0\0\x09\x01", "latin1"), (chunk) => chunk[0] === 1);

const httpReady = (port) =>
  fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );

export class BrokerProcess {
  version = "unknown";
  startSeconds = undefined;
  #child = undefined;
  #output = "";

  constructor(name, parentDirectory) {
    this.name = name;
    this.dataDirectory = temporaryDirectory(parentDirectory, name);
    this.address = { host: "127.0.0.1", port: 0 };
  }

  get pid() {
    return this.#child?.pid;
  }

  get output() {
    return this.#output;
  }

  /** Starts on the same data directory as before; resolves with the seconds until it was ready. */
  async start(limitSeconds = 60) {
    const { command, args, env } = await this.commandLine();
    const started = performance.now();
    // Descriptors are raised to the hard limit: the rows with thousands of connections need them.
    const child = spawn("sh", ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", command, ...args], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#child = trackGroup(child);
    this.#output = "";
    const keep = (chunk) => {
      this.#output = (this.#output + chunk).slice(-20_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    while (!(await this.isReady())) {
      const seconds = (performance.now() - started) / 1000;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(
          `${this.name} exited (${child.exitCode ?? child.signalCode}) before it was ready: ${this.#tail()}`,
        );
      if (seconds > limitSeconds) {
        this.kill();
        throw new Error(`${this.name} was not ready after ${limitSeconds} s: ${this.#tail()}`);
      }
      await sleep(20);
    }
    this.startSeconds = (performance.now() - started) / 1000;
    return this.startSeconds;
  }

  #tail() {
    return this.#output.trim().split("\n").slice(-3).join(" | ").slice(-300) || "no output";
  }

  /** SIGTERM, then wait; resolves with the seconds it took. */
  async stop(limitSeconds = 120) {
    return this.#end("SIGTERM", limitSeconds);
  }

  /** kill -9 of the whole process group. */
  async kill() {
    return this.#end("SIGKILL", 10);
  }

  async #end(signal, limitSeconds) {
    const child = this.#child;
    if (!child) return 0;
    const started = performance.now();
    killGroup(child, signal);
    while (child.exitCode === null && child.signalCode === null) {
      if (performance.now() - started > limitSeconds * 1000) killGroup(child);
      await sleep(10);
    }
    killGroup(child); // whatever of the group outlived its leader
    this.#child = undefined;
    return (performance.now() - started) / 1000;
  }

  async dispose() {
    await this.kill();
    removeDirectory(this.dataDirectory);
  }

  async metrics() {
    return undefined;
  }
}

/** The standard ports of the other protocols may be taken. */
async function freePorts() {
  const { CLIENT_PORTS, environmentName, isSecure, OPTIONS } = await import("../dist/config.js");
  const plain = CLIENT_PORTS.filter((name) => !isSecure(name) && OPTIONS[name].default !== "off");
  return Object.fromEntries(plain.map((name) => [environmentName(name), "0"]));
}

export class PolyMQ extends BrokerProcess {
  #main;
  #extraArgs;
  #httpPort = 0;

  constructor(parentDirectory, { main, extraArgs = [] }) {
    super("PolyMQ", parentDirectory);
    this.#main = main;
    this.#extraArgs = extraArgs;
    const version = spawnSync(process.execPath, [main, "--version"], { encoding: "utf8", timeout: 10_000 });
    this.version = version.stdout?.trim() || "unknown";
  }

  async commandLine() {
    this.address.port = await freePort();
    this.#httpPort = await freePort();
    const ports = ["--amqp-port", String(this.address.port), "--http-port", String(this.#httpPort)];
    const args = [
      this.#main,
      "serve",
      "--data-dir",
      join(this.dataDirectory, "data"),
      ...ports,
      ...this.#extraArgs,
    ];
    return { command: process.execPath, args, env: await freePorts() };
  }

  async isReady() {
    return (await httpReady(this.#httpPort)) && (await amqpAnswers(this.address.port));
  }

  async metrics() {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#httpPort}/metrics`, {
        signal: AbortSignal.timeout(5000),
      });
      return response.ok ? await response.text() : undefined;
    } catch {
      return undefined;
    }
  }
}

export class RabbitMQ extends BrokerProcess {
  #server;
  #portMapper = undefined;

  constructor(parentDirectory, { server }) {
    super("RabbitMQ", parentDirectory);
    this.#server = server;
  }

  // Default settings throughout; only places and ports are ours, so that a RabbitMQ that already runs
  // on this machine is neither disturbed nor read. Its port mapper is a child of ours as well.
  async commandLine() {
    const directory = this.dataDirectory;
    const mapperPort = await freePort();
    this.address.port = await freePort();
    mkdirSync(join(directory, "home"), { recursive: true });
    if (this.#portMapper) killGroup(this.#portMapper);
    this.#portMapper = trackGroup(
      spawn("epmd", ["-address", "127.0.0.1", "-port", String(mapperPort)], {
        detached: true,
        stdio: "ignore",
      }),
    );
    this.#portMapper.on("error", () => {}); // not on PATH: Erlang then starts its own
    const env = {
      HOME: join(directory, "home"),
      RABBITMQ_NODENAME: `polymq-bench-${process.pid}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(this.address.port),
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_MNESIA_BASE: join(directory, "data"),
      RABBITMQ_LOG_BASE: join(directory, "log"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "plugins"),
      RABBITMQ_CONFIG_FILE: join(directory, "none"),
      RABBITMQ_CONF_ENV_FILE: "/dev/null",
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
      ERL_EPMD_ADDRESS: "127.0.0.1",
      ERL_EPMD_PORT: String(mapperPort),
    };
    return { command: this.#server, args: [], env };
  }

  async isReady() {
    const ready = await amqpAnswers(this.address.port);
    if (ready) this.version = /RabbitMQ (\d[\w.]*)/.exec(this.output)?.[1] ?? this.version;
    return ready;
  }

  async dispose() {
    await this.kill();
    if (this.#portMapper) killGroup(this.#portMapper);
    await super.dispose();
  }
}

/** A server somebody else runs: it can be measured, but not started, stopped or looked into. */
export class Target {
  name = "target";
  version = "unknown";
  dataDirectory = undefined;

  constructor(address, pid) {
    this.address = address;
    this.pid = pid;
  }

  async start() {
    if (!(await amqpAnswers(this.address.port)))
      throw new Error(`nothing speaks AMQP at port ${this.address.port}`);
    return undefined;
  }

  async metrics() {
    return undefined;
  }

  async dispose() {}
}

function installedRabbitMQ() {
  const places = [
    "/usr/lib/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    ...(process.env.PATH ?? "").split(delimiter),
  ];
  // Debian's /usr/sbin/rabbitmq-server drops our environment on the way; the one in /usr/lib does not.
  return places.map((place) => join(place, "rabbitmq-server")).find((path) => existsSync(path));
}

/** Finds rabbitmq-server or installs Debian's package; throws with the reason when neither works. */
export function findRabbitMQ() {
  const found = installedRabbitMQ();
  if (found) return found;
  if (process.getuid?.() !== 0)
    throw new Error("rabbitmq-server is not installed, and only root can install it");
  console.error("installing rabbitmq-server with apt-get ...");
  // RUNLEVEL=1 keeps the package from starting its service.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", "rabbitmq-server"]]) {
    const result = spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], {
      env,
      encoding: "utf8",
    });
    if (result.error) throw new Error("rabbitmq-server is not installed and there is no apt-get");
    if (result.status !== 0)
      throw new Error(`apt-get ${args[0]} failed: ${result.stderr.trim().split("\n").pop()}`);
  }
  spawnSync("service", ["rabbitmq-server", "stop"]); // systemd does not ask for the run level
  const installed = installedRabbitMQ();
  if (!installed) throw new Error("the package was installed but holds no rabbitmq-server");
  return installed;
}
