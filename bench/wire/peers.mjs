// The brokers of the rows over Kafka's, MQTT's and STOMP's protocols. Each is started in a fresh
// directory on free loopback ports: `ports.kafka`, `ports.mqtt`, `ports.stomp`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { answers, BrokerProcess, findRabbitMQ, freePort, PolyMQ, RabbitMQ } from "../brokers.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const jars = join(here, "..", "build", "kafka");

export const accepts = (port) =>
  new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

/** PolyMQ with every protocol, at a durability. */
export class WirePolyMQ extends PolyMQ {
  ports = {};

  constructor(parent, { main, durability }) {
    super(parent, { main, extraArgs: ["--durability", durability] });
    this.name = durability === "fsync" ? "PolyMQ" : `PolyMQ ${durability}`;
  }

  async commandLine() {
    const line = await super.commandLine();
    for (const name of ["kafka", "mqtt", "stomp"]) this.ports[name] ??= await freePort();
    const extra = Object.entries(this.ports).flatMap(([name, port]) => [`--${name}-port`, String(port)]);
    return { ...line, args: [...line.args, ...extra] };
  }
}

/** Jars of the broker and its tools, from Maven Central. */
export function kafkaClasspath() {
  if (!existsSync(jars) || readdirSync(jars).length < 50) {
    console.error("fetching Kafka's jars with mvn ...");
    const args = [
      "-q",
      "-f",
      join(here, "pom.xml"),
      "dependency:copy-dependencies",
      `-DoutputDirectory=${jars}`,
    ];
    const result = spawnSync("mvn", args, { encoding: "utf8" });
    if (result.error) throw new Error("Kafka's jars need mvn");
    if (result.status !== 0) throw new Error(`mvn failed: ${result.stdout.trim().split("\n")[0]}`);
  }
  return join(jars, "*");
}

export class Kafka extends BrokerProcess {
  ports = {};
  #classpath;
  #formatted = false;

  constructor(parent) {
    super("Kafka", parent);
    this.#classpath = kafkaClasspath();
    this.version = /kafka_2\.13-(.*)\.jar/.exec(readdirSync(jars).join(" "))?.[1]?.split(".jar")[0] ?? "4";
  }

  // Its defaults, but for what one node needs. The heap is what its own start script gives it.
  async commandLine() {
    this.ports.kafka ??= await freePort();
    const controller = await freePort();
    const file = join(this.dataDirectory, "server.properties");
    const at = (name, port) => `${name}://127.0.0.1:${port}`;
    const lines = [
      "process.roles=broker,controller",
      "node.id=1",
      `controller.quorum.bootstrap.servers=127.0.0.1:${controller}`,
      `listeners=${at("PLAINTEXT", this.ports.kafka)},${at("CONTROLLER", controller)}`,
      `advertised.listeners=${at("PLAINTEXT", this.ports.kafka)},${at("CONTROLLER", controller)}`,
      "controller.listener.names=CONTROLLER",
      `log.dirs=${join(this.dataDirectory, "data")}`,
      "offsets.topic.replication.factor=1",
      "transaction.state.log.replication.factor=1",
      "transaction.state.log.min.isr=1",
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    if (!this.#formatted) {
      const format = [
        "-cp",
        this.#classpath,
        "kafka.tools.StorageTool",
        "format",
        "--standalone",
        "-c",
        file,
      ];
      const id = Buffer.from("polymq-benchmark").toString("base64url").slice(0, 22);
      const result = spawnSync("java", [...format, "-t", id], { encoding: "utf8" });
      if (result.status !== 0) throw new Error(`format failed: ${result.stderr.trim().split("\n")[0]}`);
      this.#formatted = true;
    }
    return {
      command: "java",
      args: ["-Xmx1G", "-Xms1G", "-cp", this.#classpath, "kafka.Kafka", file],
      env: {},
    };
  }

  async isReady() {
    return /Kafka Server started/.test(this.output) || (await kafkaAnswers(this.ports.kafka));
  }
}

/** True when a broker answers ApiVersions. */
const kafkaAnswers = (port) => answers(port, Buffer.from("0000000a00120000000000010000", "hex"));

function onPath(name) {
  const places = ["/usr/sbin", "/usr/bin", ...(process.env.PATH ?? "").split(delimiter)];
  return places.map((place) => join(place, name)).find((path) => existsSync(path));
}

export class Mosquitto extends BrokerProcess {
  ports = {};

  constructor(parent) {
    super("mosquitto", parent);
    this.server = onPath("mosquitto");
    if (!this.server) throw new Error("mosquitto is not installed (Debian's package mosquitto)");
    const version = spawnSync(this.server, ["-h"], { encoding: "utf8" });
    this.version = /version (\S+)/.exec(version.stdout)?.[1] ?? "unknown";
  }

  // Its defaults, with persistence on as Debian's configuration has it.
  async commandLine() {
    this.ports.mqtt ??= await freePort();
    const file = join(this.dataDirectory, "mosquitto.conf");
    const lines = [
      `listener ${this.ports.mqtt} 127.0.0.1`,
      "allow_anonymous true",
      "persistence true",
      `persistence_location ${this.dataDirectory}/`,
      "user root",
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    return { command: this.server, args: ["-c", file], env: {} };
  }

  isReady() {
    return accepts(this.ports.mqtt);
  }
}

/** RabbitMQ with its MQTT and STOMP plugins. */
export class WireRabbitMQ extends RabbitMQ {
  ports = {};

  constructor(parent) {
    super(parent, { server: findRabbitMQ() });
  }

  async commandLine() {
    const line = await super.commandLine();
    for (const name of ["mqtt", "stomp"]) this.ports[name] ??= await freePort();
    mkdirSync(this.dataDirectory, { recursive: true });
    const [plugins, conf] = ["enabled_plugins", "bench.conf"].map((name) => join(this.dataDirectory, name));
    writeFileSync(plugins, "[rabbitmq_mqtt,rabbitmq_stomp].\n");
    const listeners = Object.entries(this.ports).map(
      ([name, port]) => `${name}.listeners.tcp.1 = 127.0.0.1:${port}`,
    );
    writeFileSync(conf, `${listeners.join("\n")}\n`);
    const env = { ...line.env, RABBITMQ_ENABLED_PLUGINS_FILE: plugins, RABBITMQ_CONFIG_FILE: conf };
    return { ...line, env };
  }

  async isReady() {
    return (await super.isReady()) && (await accepts(this.ports.stomp));
  }
}
