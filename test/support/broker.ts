// One broker for one test file: PolyMQ in this process, or whatever AMQP_URL points at (which is
// how the same tests prove themselves against rabbitmq-server).
import { connect } from "amqplib";
import { afterAll } from "vitest";
import type { Broker, Clock } from "../../src/index.ts";

export interface TestBroker {
  url: string;
  /** False against rabbitmq-server: tests of PolyMQ's own extensions then skip. */
  isPolymq: boolean;
  /** The oracle's version, e.g. "3.10.8", where it is RabbitMQ. */
  rabbitmqVersion: string | undefined;
}

async function identify(url: string): Promise<Pick<TestBroker, "isPolymq" | "rabbitmqVersion">> {
  const connection = await connect(url);
  const { platform, version } = connection.connection.serverProperties as {
    platform?: string;
    version?: string;
  };
  await connection.close();
  // PolyMQ may call itself RabbitMQ towards clients that look; it never claims to be Erlang.
  const isPolymq = !/erlang/i.test(platform ?? "");
  return { isPolymq, rabbitmqVersion: isPolymq ? undefined : version };
}

/** PolyMQ in this process, in memory. */
export async function startInProcess(options: object = {}): Promise<Broker> {
  const { startBroker } = await import("../../src/index.ts");
  return startBroker({ engine: "memory:", amqp: { port: 0 }, http: false, ...options });
}

/** Call at the top of a test file; the broker stops when the file is done. */
export async function useBroker(): Promise<TestBroker> {
  const external = process.env.AMQP_URL;
  if (external) return { url: external, ...(await identify(external)) };
  const broker = await startInProcess();
  afterAll(() => broker.stop());
  return { url: withGuest(broker.amqp.url), isPolymq: true, rabbitmqVersion: undefined };
}

function withGuest(url: string): string {
  return url.includes("@") ? url : url.replace("amqp://", "amqp://guest:guest@");
}

/**
 * A broker in this process with its inside in reach: for what no protocol can change yet. AMQP alone
 * listens, unless `texts` has more ports. Connections live in real time, whatever the clock.
 */
export async function startServer(texts: Record<string, string> = {}, clock?: Clock) {
  const [{ configure }, { CLIENT_PORTS, limitsOf }, { Server }, { SystemClock }, { silentLogger }] =
    await Promise.all([
      import("../../src/config/sources.ts"),
      import("../../src/config.ts"),
      import("../../src/server.ts"),
      import("../../src/base/clock.ts"),
      import("../../src/base/logger.ts"),
    ]);
  const ports = Object.fromEntries(CLIENT_PORTS.map((name) => [name, name === "amqpPort" ? "0" : "off"]));
  const all = { engine: "memory:", ...ports, httpPort: "off", shutdownGrace: "0ms", ...texts };
  const layer = new Map(Object.entries(all).map(([name, text]) => [name, { text, place: "test" }]));
  const { settings } = configure([layer as Parameters<typeof configure>[0][number]]);
  const limits = limitsOf(settings);
  const server = await Server.start({
    settings,
    limits,
    clock: clock ?? new SystemClock(),
    logger: silentLogger,
  });
  await server.broker!.access.ready;
  const port = (name: string) => server.listeners.find((listener) => listener.name === name)?.port;
  return {
    server,
    broker: server.broker!,
    address: `127.0.0.1:${port("amqp")}`,
    port,
    stop: () => server.close(),
  };
}
