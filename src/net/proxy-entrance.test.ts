import { BlockList } from "node:net";
import { afterEach, expect, test } from "vitest";
import { silentLogger } from "../base/logger.ts";
import type { Listener } from "./listener.ts";
import { Client, closeAll, listen, Words } from "./testing/echo.ts";
import { proxyHeader } from "./testing/proxy.ts";

afterEach(closeAll);

const REMOTE = proxyHeader({ family: 0x11, body: "cb007107c0000201d4311628" });
const FROM_LOOPBACK = proxyHeader({ family: 0x11, body: "7f0000017f000001d4311628" });

async function proxied(proxies: BlockList | null = null) {
  const words = new Words();
  const reasons: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (fields: object) => reasons.push((fields as { reason: string }).reason),
  };
  const budget = { open: 0, max: 10 };
  const listener = await listen(
    { kind: "plain", protocols: [{ acceptor: words }], proxies },
    { logger, budget },
  );
  return { words, listener, reasons, budget };
}

async function introduced(listener: Listener, header: Buffer): Promise<Client> {
  const client = new Client(listener);
  client.socket.write(Buffer.concat([header, Buffer.from("he")]));
  client.socket.write("llo|");
  await client.hears("hello|");
  return client;
}

test("the client is who the proxy says, and nobody from this machine", async () => {
  const { words, listener } = await proxied();
  await introduced(listener, REMOTE);
  expect(words.transports[0]).toMatchObject({
    name: "203.0.113.7:54321 -> 192.0.2.1:5672",
    remoteAddress: "203.0.113.7",
    remotePort: 54_321,
    localAddress: "192.0.2.1",
    localPort: 5672,
    loopback: false,
  });
});

test("loopback is who comes from this machine through a proxy on it, or is that proxy", async () => {
  const { words, listener } = await proxied();
  await introduced(listener, FROM_LOOPBACK);
  await introduced(listener, proxyHeader({ command: 0x20, family: 0 }));
  await introduced(listener, proxyHeader({ family: 0 }));
  expect(words.transports.map(({ loopback }) => loopback)).toEqual([true, true, false]);
  expect(words.transports[1]!.remoteAddress).toBe("127.0.0.1");
});

test("a header may come in pieces", async () => {
  const { listener } = await proxied();
  const client = new Client(listener);
  client.socket.setNoDelay(true);
  for (const byte of REMOTE) {
    client.socket.write(Buffer.of(byte));
    await new Promise(setImmediate);
  }
  await client.says("piecemeal|");
});

test("who comes without a header is refused", async () => {
  const { words, listener, reasons, budget } = await proxied();
  const client = new Client(listener);
  client.socket.write("AMQP\0\0\x09\x01");
  await client.gone;
  expect(reasons).toEqual(["no PROXY protocol header"]);
  expect(words.transports).toEqual([]);
  while (budget.open > 0) await new Promise(setImmediate);
});

test("a proxy that is not trusted is refused, whatever it says", async () => {
  const trusted = new BlockList();
  trusted.addSubnet("10.0.0.0", 8, "ipv4");
  const { listener, reasons } = await proxied(trusted);
  const client = new Client(listener);
  client.socket.write(REMOTE);
  await client.gone;
  expect(reasons).toEqual(["it comes from no trusted proxy"]);
  trusted.addAddress("127.0.0.1", "ipv4");
  await introduced(listener, REMOTE);
});
