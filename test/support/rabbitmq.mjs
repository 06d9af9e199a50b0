// Runs a private rabbitmq-server beside whatever else is on the machine: own node name, own
// ports, own directories, loopback only. It is the oracle for the differential run and the
// broker against which the tests in this folder are themselves tested.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARIES = [
  process.env.RABBITMQ_SERVER_BIN,
  // The distribution's wrapper in /usr/sbin insists on its own user and log directory.
  "/usr/lib/rabbitmq/bin/rabbitmq-server",
  "/opt/rabbitmq/sbin/rabbitmq-server",
  "/usr/local/sbin/rabbitmq-server",
];
const READY_WITHIN_MS = 90_000;

export function rabbitmqBinary() {
  return BINARIES.find((path) => path && existsSync(path));
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function configFiles(dir, port, stompPort) {
  const conf = [
    `listeners.tcp.local = 127.0.0.1:${port}`,
    ...(stompPort === null ? [] : [`stomp.listeners.tcp.local = 127.0.0.1:${stompPort}`]),
    "log.console = true",
    "log.console.level = error",
    "log.file = false",
    "disk_free_limit.absolute = 50MB",
    "vm_memory_high_watermark.absolute = 2GB",
  ];
  writeFileSync(join(dir, "rabbitmq.conf"), `${conf.join("\n")}\n`);
  const plugins = ["rabbitmq_consistent_hash_exchange", ...(stompPort === null ? [] : ["rabbitmq_stomp"])];
  writeFileSync(join(dir, "enabled_plugins"), `[${plugins}].\n`);
}

function environment(dir, port, distPort) {
  return {
    ...process.env,
    HOME: dir,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `polymq-oracle-${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_CONFIG_FILE: join(dir, "rabbitmq.conf"),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(dir, "mnesia"),
    RABBITMQ_LOG_BASE: join(dir, "log"),
    RABBITMQ_PID_FILE: join(dir, "pid"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
  };
}

/** The whole process group: the start script is a shell with an Erlang VM below it. */
function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

async function boot(binary, env) {
  const child = spawn(binary, [], { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  const collect = (chunk) => {
    if (output.length < 100_000) output += chunk;
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!/completed with \d+ plugins/.test(output)) {
    if (child.exitCode !== null || Date.now() > deadline) {
      signalGroup(child, "SIGKILL");
      throw new Error(`rabbitmq-server did not start:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { child, exited };
}

/**
 * Starts rabbitmq-server, with its STOMP plugin when asked to, and resolves once it accepts connections. It
 * can be killed and started again.
 */
export async function startRabbitmq({ stomp = false } = {}) {
  const binary = rabbitmqBinary();
  if (!binary) throw new Error("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)");
  const dir = mkdtempSync(join(tmpdir(), "polymq-oracle-"));
  const [port, distPort] = [await freePort(), await freePort()];
  const stompPort = stomp ? await freePort() : null;
  configFiles(dir, port, stompPort);
  const env = environment(dir, port, distPort);
  let running = await boot(binary, env);
  const end = async (signal) => {
    if (running.child.exitCode === null && running.child.signalCode === null)
      signalGroup(running.child, signal);
    await running.exited;
  };
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    stompUrl: stompPort === null ? undefined : `stomp://127.0.0.1:${stompPort}`,
    kill9: () => end("SIGKILL"),
    start: async () => {
      running = await boot(binary, env);
    },
    stop: async () => {
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function rabbitmqVersion() {
  const binary = rabbitmqBinary();
  if (!binary) return undefined;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation.
  const listed = spawnSync("dpkg-query", ["-W", "-f=${Version}", "rabbitmq-server"], { encoding: "utf8" });
  return listed.status === 0 ? listed.stdout : "unknown";
}

// `node test/support/rabbitmq.mjs` keeps one running and prints its URL: handy while writing tests.
if (process.argv[1] && import.meta.url.endsWith(process.argv[1].split("/").pop())) {
  const broker = await startRabbitmq({ stomp: true });
  console.log(`RABBITMQ_URL=${broker.url} RABBITMQ_STOMP_URL=${broker.stompUrl}`);
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => broker.stop().then(() => process.exit(0)));
}
