// One broker for one test file: PolyMQ in this process, or whatever AMQP_URL points at (which is
// how the same tests prove themselves against rabbitmq-server).
import { connect } from "amqplib";
import { afterAll } from "vitest";

export interface TestBroker {
  url: string;
  /** False against rabbitmq-server: tests of PolyMQ's own extensions then skip. */
  isPolymq: boolean;
  /** The oracle's version, e.g. "3.10.8", where it is RabbitMQ. */
  rabbitmqVersion: string | undefined;
}

interface InProcessBroker {
  amqp: { url: string };
  stop(): Promise<void>;
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
export async function startInProcess(options: object = {}): Promise<InProcessBroker> {
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
