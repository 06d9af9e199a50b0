import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { type ClientOptions, WebSocket } from "ws";
import type { Listener } from "./listener.ts";
import { Client, closeAll, listen, Words } from "./testing/echo.ts";
import type { WebSocketOptions } from "./websocket-entrance.ts";

const sockets: WebSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await closeAll();
});

const MiB = 1024 * 1024;

async function serve(
  options: Partial<WebSocketOptions> = {},
  acceptor = new Words(),
  handshakeMsMax = 10_000,
) {
  const budget = { open: 0, max: 10 };
  const text = { paths: ["/text", "/"], subprotocols: ["v2.text", "v1.text"], text: true };
  const binary = { paths: ["/binary", "/"], subprotocols: ["binary"], text: false };
  const listener = await listen(
    {
      kind: "websocket",
      protocols: [
        { acceptor, webSocket: binary, options: { of: "binary" } },
        { acceptor, webSocket: text, options: { of: "text" } },
      ],
      webSocket: { origins: null, messageBytesMax: MiB, ...options },
    },
    { budget, handshakeMsMax },
  );
  return { listener, acceptor, budget };
}

function open(
  listener: Listener,
  path: string,
  protocols: string[] = [],
  options: ClientOptions = {},
): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${listener.address.port}${path}`, protocols, options);
  sockets.push(socket);
  return socket;
}

async function opened(...args: Parameters<typeof open>): Promise<WebSocket> {
  const socket = open(...args);
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return socket;
}

function next(socket: WebSocket): Promise<{ data: string; binary: boolean }> {
  return new Promise((resolve, reject) => {
    socket.once("message", (data, binary) => resolve({ data: `${data}`, binary }));
    socket.once("close", (code) => reject(new Error(`closed with ${code}`)));
  });
}

async function closeCode(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once("close", resolve));
}

async function refusal(...args: Parameters<typeof open>): Promise<string> {
  const socket = open(...args);
  return new Promise((resolve) => socket.once("error", (error) => resolve(error.message)));
}

describe("messages", () => {
  test("are bytes to the protocol: it may need several, and find several in one", async () => {
    const { listener } = await serve();
    const socket = await opened(listener, "/binary", ["binary"]);
    for (const part of ["on", "e|tw", "o|three|fo"]) socket.send(Buffer.from(part));
    const answers = [await next(socket)];
    while (answers.map(({ data }) => data).join("") !== "one|two|three|") answers.push(await next(socket));
    expect(answers.every(({ binary }) => binary)).toBe(true);
    socket.send(Buffer.from("ur|"));
    expect((await next(socket)).data).toBe("four|");
  });

  test("in fragments are one message", async () => {
    const { listener } = await serve();
    const socket = await opened(listener, "/binary");
    for (const part of ["f", "r", "ag|"]) socket.send(Buffer.from(part), { fin: part.endsWith("|") });
    expect((await next(socket)).data).toBe("frag|");
  });

  test("are answered in kind: text with text, unless it would be none", async () => {
    const { listener } = await serve();
    const socket = await opened(listener, "/text");
    socket.send("grüß dich|");
    expect(await next(socket)).toEqual({ data: "grüß dich|", binary: false });
    socket.send(Buffer.from("bytes|"));
    expect(await next(socket)).toEqual({ data: "bytes|", binary: true });
    const odd = await opened(
      await serve({}, new Words("é".slice(0, 0))).then(({ listener }) => listener),
      "/text",
    );
    odd.send(Buffer.from([0xff, 0x7c]));
    expect((await next(odd)).binary).toBe(true);
  });

  test("of text end a connection that speaks bytes only", async () => {
    const { listener, acceptor } = await serve();
    const socket = await opened(listener, "/binary");
    socket.send("text|");
    expect(await closeCode(socket)).toBe(1003);
    while (acceptor.failures.length === 0) await new Promise(setImmediate);
    expect(acceptor.failures[0]!.message).toContain("only binary");
  });

  test("beyond the limit end the connection, and nobody else's", async () => {
    const { listener } = await serve({ messageBytesMax: 1000 });
    const [socket, other] = [await opened(listener, "/binary"), await opened(listener, "/binary")];
    socket.send(Buffer.alloc(1001));
    expect(await closeCode(socket)).toBe(1009);
    other.send(Buffer.from("here|"));
    expect((await next(other)).data).toBe("here|");
  });
});

describe("the handshake", () => {
  test("takes the best subprotocol of those that are offered, or none if none is", async () => {
    const { listener, acceptor } = await serve();
    expect((await opened(listener, "/text", ["v1.text", "v2.text", "other"])).protocol).toBe("v2.text");
    expect((await opened(listener, "/text?token=1")).protocol).toBe("");
    expect((await opened(listener, "/")).protocol).toBe("");
    expect((await opened(listener, "/binary/", ["binary"])).protocol).toBe("binary");
    const [transport] = acceptor.transports;
    expect(transport!.listener).toMatchObject({
      name: "test",
      port: listener.address.port,
      options: { of: "text" },
    });
    expect(transport).toMatchObject({ loopback: true, tls: null, remoteAddress: "127.0.0.1" });
  });

  test("tells by the subprotocol who is meant where several share a path", async () => {
    const { listener, acceptor } = await serve();
    for (const names of [["binary"], ["v1.text"], []]) await opened(listener, "/", names);
    expect(acceptor.transports.map((transport) => transport.listener.options)).toEqual([
      { of: "binary" },
      { of: "text" },
      { of: "text" },
    ]);
    expect(await refusal(listener, "/", ["other"])).toContain("400");
  });

  test("is refused for what is not spoken", async () => {
    const { listener } = await serve();
    expect(await refusal(listener, "/nowhere")).toContain("404");
    expect(await refusal(listener, "/text", ["mqtt"])).toContain("400");
    const response = await fetch(`http://127.0.0.1:${listener.address.port}/text`);
    expect([response.status, await response.text()]).toEqual([426, "WebSocket at /binary, /, /text\n"]);
  });

  test("looks where a page comes from, if it is told to", async () => {
    const { listener } = await serve({ origins: ["https://chat.example"] });
    await opened(listener, "/text", [], { origin: "https://chat.example" });
    await opened(listener, "/text");
    await expect(opened(listener, "/text", [], { origin: "https://evil.example" })).rejects.toThrow();
  });

  test("that was forwarded is nobody's from this machine", async () => {
    const { listener, acceptor } = await serve();
    await opened(listener, "/text", [], { headers: { "X-Forwarded-For": "203.0.113.7" } });
    expect(acceptor.transports[0]!.loopback).toBe(false);
  });

  test("for a page from elsewhere is nobody's from this machine either, unless that page is expected", async () => {
    const { listener, acceptor } = await serve();
    const pages = [
      "https://evil.example",
      "null",
      "http://127.evil.example",
      "http://localhost:8080",
      "http://[::1]",
    ];
    for (const origin of pages) await opened(listener, "/text", [], { origin });
    expect(acceptor.transports.map(({ loopback }) => loopback)).toEqual([false, false, false, true, true]);
    const expecting = await serve({ origins: ["https://chat.example"] });
    await opened(expecting.listener, "/text", [], { origin: "https://chat.example" });
    expect(expecting.acceptor.transports[0]!.loopback).toBe(true);
  });

  test("that never ends is cut", async () => {
    const { listener, budget } = await serve({}, new Words(), 50);
    const slow = new Client(listener);
    slow.socket.write("GET /text HTTP/1.1\r\nHost: x\r\n");
    await slow.gone;
    while (budget.open > 0) await new Promise(setImmediate);
  });

  test("that is malformed leaves nothing behind", async () => {
    const { listener, budget } = await serve();
    const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
    const status = await new Promise((resolve) => {
      const { port } = listener.address;
      request({ port, path: "/text", headers }, (response) => resolve(response.statusCode)).end();
    });
    expect(status).toBe(400);
    while (budget.open > 0) await new Promise(setImmediate);
  });
});

describe("back-pressure", () => {
  test("reading stops when the protocol says so, and goes on", async () => {
    const { listener, acceptor } = await serve();
    const socket = await opened(listener, "/binary");
    socket.send(Buffer.from("first|"));
    await next(socket);
    const [transport] = acceptor.transports;
    transport!.pauseReading();
    const silent = next(socket);
    const sent = transport!.lastReadMs;
    for (let i = 0; i < 64; i++) socket.send(Buffer.alloc(MiB / 2, 120));
    // Until nothing moves any more: the kernel's buffers are full.
    for (let [left, turns] = [0, 0]; turns < 100; left = socket.bufferedAmount) {
      turns = socket.bufferedAmount === left ? turns + 1 : 0;
      await new Promise(setImmediate);
    }
    expect(transport!.lastReadMs).toBe(sent);
    expect(socket.bufferedAmount).toBeGreaterThan(0);
    transport!.resumeReading();
    socket.terminate();
    await expect(silent).rejects.toThrow("closed");
  });

  test("output to a peer that does not read stays counted, and drains when it does", async () => {
    const { listener, acceptor } = await serve();
    const socket = await opened(listener, "/binary");
    socket.send(Buffer.from("first|"));
    await next(socket);
    socket.pause();
    const { outbox } = acceptor.transports[0]!;
    const block = new Uint8Array(64 * 1024);
    while (!outbox.full) {
      outbox.copy(block, 0, block.length);
      await new Promise(setImmediate);
    }
    expect(outbox.pendingBytes).toBeGreaterThanOrEqual(MiB);
    socket.resume();
    while (outbox.pendingBytes > 0) await new Promise(setImmediate);
    expect(outbox.full).toBe(false);
  });
});

describe("the end", () => {
  test("a client that leaves is gone for the protocol, too", async () => {
    const { listener, acceptor, budget } = await serve();
    const socket = await opened(listener, "/binary");
    socket.close();
    expect(await closeCode(socket)).toBe(1005);
    while (budget.open > 0) await new Promise(setImmediate);
    expect(acceptor.failures).toEqual([null]);
    expect(listener.connectionCount).toBe(0);
  });

  test("a stop lets everybody say goodbye", async () => {
    const { listener, budget } = await serve();
    const socket = await opened(listener, "/binary");
    const code = closeCode(socket);
    await listener.close(5000);
    expect(await code).toBe(1000);
    expect(budget.open).toBe(0);
  });
});
