import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { silentLogger } from "../base/logger.ts";
import type { Offering } from "./offering.ts";
import { type Recognition, recogniseText } from "./recognition.ts";
import { makeCertificate } from "./testing/certificate.ts";
import { Client, closeAll, listen, Words } from "./testing/echo.ts";
import { proxyHeader } from "./testing/proxy.ts";

afterEach(closeAll);

const certificate = makeCertificate();

function speaks(prefix: string, opening: string) {
  const acceptor = new Words(`${prefix}:`);
  return { acceptor, recognises: (first: Uint8Array): Recognition => recogniseText(first, [opening]) };
}

/** Two protocols, one of which begins like HTTP, and a third that is spoken inside WebSockets only. */
async function shared(more: Partial<Offering> = {}, handshakeMsMax = 10_000) {
  const [apples, get] = [speaks("apples", "APPLES"), speaks("get", "GETAWAY")];
  const webSocket = { paths: ["/words"], subprotocols: ["words"], text: true };
  const silent = { acceptor: new Words("ws:"), webSocket };
  const reasons: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (fields: object) => reasons.push((fields as { reason: string }).reason),
  };
  const budget = { open: 0, max: 10 };
  const listener = await listen(
    {
      kind: "shared",
      protocols: [apples, get, silent],
      webSocket: { origins: null, messageBytesMax: 100_000 },
      ...(certificate !== null && { tls: certificate }),
      ...more,
    },
    { logger, budget, handshakeMsMax },
  );
  return { listener, reasons, budget, apples, words: silent.acceptor, port: listener.address.port };
}

test("each client gets its protocol, from the very first byte", async () => {
  const { listener, apples } = await shared();
  const [first, second] = [new Client(listener), new Client(listener)];
  first.socket.write("APPLES and pears|");
  await first.hears("apples:APPLES and pears|");
  second.socket.write("GETAWAY|");
  await second.hears("get:GETAWAY|");
  first.socket.write("more|");
  await first.hears("apples:more|");
  expect(apples.acceptor.transports.at(-1)).toMatchObject({ tls: null, loopback: true });
});

test("the first bytes may come one by one", async () => {
  const { listener } = await shared();
  const client = new Client(listener);
  client.socket.setNoDelay(true);
  for (const letter of "GETAWAY by car|") {
    client.socket.write(letter);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await client.hears("get:GETAWAY by car|");
});

test("WebSocket and plain HTTP on the same port", async () => {
  const { port, words } = await shared();
  const socket = new WebSocket(`ws://127.0.0.1:${port}/words`, "words");
  await new Promise((resolve) => socket.once("open", resolve));
  socket.send("hello|");
  const answer = await new Promise((resolve) => socket.once("message", (data) => resolve(`${data}`)));
  expect(answer).toBe("ws:hello|");
  expect(words.transports).toHaveLength(1);
  socket.terminate();
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect([response.status, await response.text()]).toEqual([426, "WebSocket at /words\n"]);
});

describe.skipIf(certificate === null)("over TLS", () => {
  const secure = (port: number) => connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });

  test("the same protocols are told apart after decryption", async () => {
    const { listener, port, apples } = await shared();
    const client = new Client(listener, secure(port));
    client.socket.write("APPLES|");
    await client.hears("apples:APPLES|");
    expect(apples.acceptor.transports[0]!.tls).toEqual({ peerName: null, version: "TLSv1.3" });
    const socket = new WebSocket(`wss://127.0.0.1:${port}/words`, { rejectUnauthorized: false });
    await new Promise((resolve) => socket.once("open", resolve));
    socket.send("hello|");
    expect(await new Promise((resolve) => socket.once("message", (data) => resolve(`${data}`)))).toBe(
      "ws:hello|",
    );
    socket.terminate();
  });

  test("behind a proxy's header", async () => {
    const { listener, port, apples } = await shared({ proxies: null });
    const raw = new Client(listener);
    await new Promise((resolve) => raw.socket.once("connect", resolve));
    raw.socket.removeAllListeners("data");
    raw.socket.write(proxyHeader({ body: "cb007107c0000201d4311628" }));
    const client = new Client(listener, connectTls({ socket: raw.socket, port, rejectUnauthorized: false }));
    client.socket.write("APPLES|");
    await client.hears("apples:APPLES|");
    expect(apples.acceptor.transports[0]).toMatchObject({ remoteAddress: "203.0.113.7", loopback: false });
  });

  test("a client that hangs up after the handshake leaves nothing behind", async () => {
    const { listener, port, budget } = await shared();
    const client = new Client(listener, secure(port));
    await new Promise((resolve) => client.socket.once("secureConnect", resolve));
    client.socket.end();
    await client.gone;
    while (budget.open > 0) await new Promise(setImmediate);
    expect(listener.connectionCount).toBe(0);
  });
});

describe("a client that is not understood is closed, with a line in the log", () => {
  test("when it speaks nothing known", async () => {
    const { listener, reasons } = await shared();
    const client = new Client(listener);
    client.socket.write("SSH-2.0-OpenSSH_9.2\r\n");
    await client.gone;
    expect(reasons).toEqual(["it speaks nothing known: 5353482d322e302d4f70656e5353485f"]);
  });

  test.each(["", "GETA"])("when '%s' is all it says", async (text) => {
    const { listener, reasons, budget } = await shared({}, 50);
    const client = new Client(listener);
    client.socket.write(text);
    await client.gone;
    expect(reasons).toEqual(["it has not said in time what it wants"]);
    while (budget.open > 0) await new Promise(setImmediate);
  });

  test("when it hangs up halfway", async () => {
    const { listener, budget } = await shared();
    const client = new Client(listener);
    client.socket.end("GETA");
    await client.gone;
    while (budget.open > 0) await new Promise(setImmediate);
  });

  test("and at a stop nobody waits for it", async () => {
    const { listener } = await shared();
    const client = new Client(listener);
    await new Promise((resolve) => client.socket.write("GETA", resolve));
    await listener.close(0);
    await client.gone;
  });
});
