// The same clients through other doors: WebSocket, one port for all, and a proxy in front.
import { connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client";
import { connect } from "amqplib";
import { afterAll, afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { proxyHeader } from "../../../src/net/testing/proxy.ts";
import { startInProcess, startServer } from "../../support/broker.ts";

Object.assign(globalThis, { WebSocket });

const closers: (() => Promise<unknown> | undefined)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => Reflect.deleteProperty(globalThis, "WebSocket"));

async function throughWebSocket(url: string): Promise<void> {
  const client = new AMQPWebSocketClient(url);
  await client.connect();
  const channel = await client.channel();
  await channel.confirmSelect();
  const { name } = await channel.queueDeclare("", { exclusive: true });
  const bodies = Array.from({ length: 200 }, (_, index) => `${index} ${"x".repeat(index * 40)}`);
  await Promise.all(bodies.map((body) => channel.basicPublish("", name, body)));
  const heard: string[] = [];
  await new Promise<void>((resolve) => {
    channel.basicConsume(name, { noAck: true }, (message) => {
      if (heard.push(message.bodyString() ?? "") === bodies.length) resolve();
    });
  });
  expect(heard).toEqual(bodies);
  await client.close();
}

async function throughSocket(url: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  const body = Buffer.alloc(300_000, 1);
  channel.sendToQueue(queue, body);
  await channel.waitForConfirms();
  const message = await channel.get(queue);
  expect(message !== false && message.content.equals(body)).toBe(true);
  await connection.close();
}

test("a browser's client speaks AMQP inside WebSockets", async () => {
  const broker = await startInProcess({ ws: { port: 0 } });
  closers.push(() => broker.stop());
  await throughWebSocket(`${broker.ws!.url}/amqp`);
});

test("one port serves AMQP, and WebSocket beside it", async () => {
  const { port, stop } = await startServer({ amqpPort: "off", sharedPort: "0" });
  closers.push(stop);
  const address = `127.0.0.1:${port("shared")}`;
  await Promise.all([throughSocket(`amqp://${address}`), throughWebSocket(`ws://${address}/amqp`)]);
});

/** Says to the broker that all who come by it are one and the same client. */
async function proxy(target: number, header: Buffer): Promise<number> {
  const sockets: Socket[] = [];
  const server: Server = createServer((client) => {
    const upstream = connectSocket(target, "127.0.0.1");
    upstream.write(header);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      socket.on("error", () => {});
      sockets.push(socket);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    // A client that is refused may not hang up by itself.
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as { port: number }).port;
}

test("behind a proxy guest comes from this machine only if the proxy says so", async () => {
  const { port, stop, broker } = await startServer({ proxyProtocol: "amqp" });
  closers.push(stop);
  const target = port("amqp")!;
  await throughSocket(
    `amqp://127.0.0.1:${await proxy(target, proxyHeader({ body: "7f0000017f000001d4311628" }))}`,
  );
  const remote = await proxy(target, proxyHeader({ body: "cb007107c0000201d4311628" }));
  await expect(connect(`amqp://127.0.0.1:${remote}`)).rejects.toThrow(/ACCESS.REFUSED/);
  await broker.access.putUser("ann", "secret", []);
  broker.access.setPermissions("ann", "/", { configure: ".*", write: ".*", read: ".*" });
  await throughSocket(`amqp://ann:secret@127.0.0.1:${remote}`);
});
