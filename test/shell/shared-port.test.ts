// Every protocol's own client on one and the same port, with and without TLS.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Broker, startBroker } from "../../src/index.ts";
import { makeCertificate } from "../../src/net/testing/certificate.ts";
import { StompClient } from "../support/stomp-client.ts";

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

  test("Kafka", async () => {
    // ApiVersions 0, correlation id 7, client id "x".
    const request = Buffer.from("0000000b" + "0012" + "0000" + "00000007" + "000178", "hex");
    const { port } = broker.shared!;
    const socket = way === "TLS" ? connectTls({ port, ...tls }) : connectSocket(port, "127.0.0.1");
    socket.write(request);
    const answer = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect([answer.readUInt32BE(0), answer.readUInt32BE(4)]).toEqual([answer.length - 4, 7]);
    socket.destroy();
  });

  test.runIf(way === "plain")("STOMP", async () => {
    const client = await StompClient.connect(`stomp://${address()}`);
    client.destroy();
  });
});
