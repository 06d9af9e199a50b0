// Every protocol's own client on one and the same port, with and without TLS.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { connect } from "amqplib";
import { connectAsync as connectMqtt } from "mqtt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Broker, startBroker } from "../../src/index.ts";
import { makeCertificate } from "../../src/net/testing/certificate.ts";
import { kafkaJs } from "../support/kafka.ts";

const directory = mkdtempSync(join(tmpdir(), "polymq-shared-"));
const certificate = makeCertificate();
const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
let broker: Broker;

beforeAll(async () => {
  if (certificate !== null) {
    writeFileSync(cert, certificate.cert);
    writeFileSync(key, certificate.key);
  }
  const amqps = certificate === null ? {} : { amqps: { port: 0, cert, key } };
  broker = await startBroker({ shared: { port: 0 }, ...amqps });
});
afterAll(async () => {
  await broker.stop();
  rmSync(directory, { recursive: true, force: true });
});

const ways = certificate === null ? ["plain"] : ["plain", "TLS"];

describe.each(ways)("%s", (way) => {
  const address = () => `127.0.0.1:${broker.shared!.port}`;
  const tls = { rejectUnauthorized: false };

  test("AMQP", async () => {
    const scheme = way === "TLS" ? "amqps" : "amqp";
    const connection = await connect(`${scheme}://guest:guest@${address()}`, tls);
    expect((await (await connection.createChannel()).assertQueue("shared")).queue).toBe("shared");
    await connection.close();
  });

  test("Kafka, whose clients are told to come back to the same port", async () => {
    const kafka = kafkaJs({
      brokers: [address()],
      ...(way === "TLS" && { ssl: tls }),
    });
    const admin = kafka.admin();
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    expect(brokers).toEqual([{ nodeId: 1, host: "127.0.0.1", port: broker.shared!.port }]);
    await admin.disconnect();
  });

  test("MQTT", async () => {
    const login = { username: "guest", password: "guest", reconnectPeriod: 0, ...tls };
    const client = await connectMqtt(`${way === "TLS" ? "mqtts" : "mqtt"}://${address()}`, login);
    expect(await client.subscribeAsync("shared")).toEqual([{ topic: "shared", qos: 0 }]);
    await client.endAsync();
  });

  test("STOMP", async () => {
    const { port } = broker.shared!;
    const socket = way === "TLS" ? connectTls({ port, ...tls }) : connectSocket(port, "127.0.0.1");
    socket.write("\nCONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0");
    const answer = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect(`${answer}`).toMatch(/^CONNECTED\n[\s\S]*\nversion:1\.2\n/);
    socket.destroy();
  });
});
