// AMQP over TLS with certificates made for the occasion: encryption, client certificates, and
// that flow control works the same as in the clear.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelModel, connect, credentials } from "amqplib";
import { afterAll, describe, expect, test } from "vitest";
import { startServer } from "../../support/broker.ts";
import { eventually } from "../../support/client.ts";

const dir = mkdtempSync(join(tmpdir(), "polymq-tls-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const file = (name: string) => join(dir, name);
const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });

function authority(name: string): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.pem`);
}

function certificate(name: string, issuer: string): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", ...key, "-subj", `/O=PolyMQ/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
  writeFileSync(file(`${name}.ext`), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const by = ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-extfile", `${name}.ext`, "-out", `${name}.pem`);
}

const hasOpenssl = (() => {
  try {
    openssl("version");
    return true;
  } catch {
    return false;
  }
})();

if (hasOpenssl) {
  authority("ca");
  authority("stranger");
  certificate("localhost", "ca");
  certificate("ann", "ca");
  certificate("nobody", "ca");
  certificate("mallory", "stranger");
}

async function start(more: Record<string, string> = {}) {
  const pem = { tlsCert: file("localhost.pem"), tlsKey: file("localhost.key"), tlsCa: file("ca.pem") };
  const running = await startServer({ amqpsPort: "0", ...pem, ...more });
  await running.broker.access.putUser("ann", null, []);
  running.broker.access.setPermissions("ann", "/", { configure: ".*", write: ".*", read: ".*" });
  const { port } = running.server.listeners.find(({ name }) => name === "amqps")!;
  return { ...running, port };
}

interface Login {
  readonly certificate?: string;
  readonly external?: boolean;
  readonly ca?: string;
}

async function dial(port: number, { certificate: name, external, ca = "ca" }: Login): Promise<ChannelModel> {
  const connection = await connect(`amqps://localhost:${port}`, {
    ca: [readFileSync(file(`${ca}.pem`))],
    ...(name && { cert: readFileSync(file(`${name}.pem`)), key: readFileSync(file(`${name}.key`)) }),
    ...(external && { credentials: credentials.external() }),
  });
  connection.on("error", () => {});
  return connection;
}

describe.skipIf(!hasOpenssl)("a listener with an authority for clients", async () => {
  if (!hasOpenssl) return;
  const { port, stop, address } = await start();
  afterAll(stop);

  test("clients without a certificate log in with a password", async () => {
    const connection = await dial(port, {});
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("sealed"));
    await channel.waitForConfirms();
    expect(((await channel.get(queue, { noAck: true })) as { content: Buffer }).content.toString()).toBe(
      "sealed",
    );
    await connection.close();
  });

  test("a client that does not trust the certificate goes away, and others do not notice", async () => {
    await expect(dial(port, { ca: "stranger" })).rejects.toThrow(/certificate|unable to verify/);
    await (await dial(port, {})).close();
  });

  test("who speaks in the clear gets nowhere, here and there", async () => {
    await expect(connect(`amqp://localhost:${port}`)).rejects.toThrow();
    await expect(connect(`amqps://${address}`, { ca: [readFileSync(file("ca.pem"))] })).rejects.toThrow();
    await (await dial(port, {})).close();
  });

  test("EXTERNAL: the certificate's common name is the user", async () => {
    const connection = await dial(port, { certificate: "ann", external: true });
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    channel.sendToQueue(queue, Buffer.from("me"), { userId: "ann" });
    await channel.waitForConfirms();
    await connection.close();
  });

  test.each<[string, Login]>([
    ["no certificate", { external: true }],
    ["one of an unknown authority", { certificate: "mallory", external: true }],
    ["one that names no user", { certificate: "nobody", external: true }],
  ])("EXTERNAL with %s is refused", async (_name, login) => {
    await expect(dial(port, login)).rejects.toThrow(
      "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL",
    );
  });

  test("bodies of no and of 64 frames come through whole and in order", async () => {
    const connection = await dial(port, {});
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const sizes = [0, 1, 16_383, 16_384, 131_064, 131_065, 262_144, 1_048_576, 8 * 1_048_576, 3];
    const bodies = sizes.map((size, index) => Buffer.alloc(size, String.fromCharCode(97 + index)));
    const received: Buffer[] = [];
    await channel.consume(queue, (message) => received.push(message!.content), { noAck: true });
    for (const body of bodies) channel.sendToQueue(queue, body);
    await channel.waitForConfirms();
    await eventually(() => received.length === bodies.length, "all sizes");
    expect(received.map((body, index) => body.equals(bodies[index]!))).toEqual(bodies.map(() => true));
    await connection.close();
  });

  test("2,000 messages with acknowledgements, on two connections", async () => {
    const [source, sink] = [await dial(port, {}), await dial(port, {})];
    const consumer = await sink.createChannel();
    await consumer.prefetch(50);
    const { queue } = await consumer.assertQueue("");
    const seen: number[] = [];
    await consumer.consume(queue, (message) => {
      seen.push(message!.content.readUInt32BE(0));
      consumer.ack(message!);
    });
    const publisher = await source.createConfirmChannel();
    for (let i = 0; i < 2000; i++) {
      const body = Buffer.alloc(1024);
      body.writeUInt32BE(i);
      publisher.sendToQueue(queue, body, { persistent: true });
    }
    await publisher.waitForConfirms();
    await eventually(() => seen.length === 2000, "2,000 messages");
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, i) => i));
    await Promise.all([source.close(), sink.close()]);
  });
});

describe.skipIf(!hasOpenssl)("back-pressure over TLS", () => {
  test("a consumer that does not read is not written to without end, and gets all of it later", async () => {
    const { port, stop, broker } = await start({ memoryBudget: "64MiB" });
    const [slow, fast] = [await dial(port, {}), await dial(port, {})];
    const consumer = await slow.createChannel();
    const { queue } = await consumer.assertQueue("slow");
    const sizes: number[] = [];
    await consumer.consume(queue, (message) => sizes.push(message!.content.length), { noAck: true });
    const socket = (slow.connection as unknown as { stream: NodeJS.ReadableStream }).stream;
    const readable = socket.listeners("readable") as (() => void)[];
    socket.removeAllListeners("readable");
    const publisher = await fast.createConfirmChannel();
    for (let i = 0; i < 300; i++) publisher.sendToQueue(queue, Buffer.alloc(100_000, i));
    await publisher.waitForConfirms();
    // 30 MB for one that reads nothing: its sockets' buffers and a high-water mark are gone, no more.
    const { messagesReady } = broker.stats();
    expect(messagesReady).toBeGreaterThan(100);
    await publisher.assertQueue("others", { exclusive: true });
    publisher.sendToQueue("others", Buffer.from("go on"));
    await publisher.waitForConfirms();
    expect(await publisher.get("others", { noAck: true })).toBeTruthy();
    for (const listener of readable) {
      socket.on("readable", listener);
      listener();
    }
    await eventually(() => sizes.length === 300, "the backlog");
    expect(new Set(sizes)).toEqual(new Set([100_000]));
    await Promise.all([slow.close(), fast.close()]);
    await stop();
  });
});

describe.skipIf(!hasOpenssl)("tls.verify-peer", async () => {
  if (!hasOpenssl) return;
  const { port, stop } = await start({ tlsVerifyPeer: "yes" });
  afterAll(stop);

  test("lets in who has a certificate of ours, with a password too", async () => {
    await (await dial(port, { certificate: "ann", external: true })).close();
    await (await dial(port, { certificate: "nobody" })).close();
  });

  test("keeps out who has none, or another's", async () => {
    await expect(dial(port, {})).rejects.toThrow();
    await expect(dial(port, { certificate: "mallory" })).rejects.toThrow();
  });

  test("means nothing without an authority, and is refused", async () => {
    await expect(start({ tlsVerifyPeer: "yes", tlsCa: "" })).rejects.toThrow("tls-verify-peer needs tls-ca");
  });
});
