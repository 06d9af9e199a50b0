import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { adoptWithBuffer, type RawStream } from "./raw-socket.ts";

const open: (Server | Socket)[] = [];

afterEach(() => {
  for (const one of open.splice(0)) "destroy" in one ? one.destroy() : one.close();
});

/** A stream of ours, and its peer, which reads nothing yet. */
async function pair(): Promise<{ stream: RawStream; peer: Socket }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const peer = connect((server.address() as AddressInfo).port, "127.0.0.1");
  peer.on("error", () => {});
  const [accepted] = (await once(server, "connection")) as [Socket];
  const stream = adoptWithBuffer(accepted, Buffer.alloc(1024), () => {});
  if (stream === null) throw new Error("this runtime offers no handle");
  stream.socket.on("error", () => {});
  open.push(server, peer, stream.socket);
  return { stream, peer };
}

/** Writes numbered parts of 8 KiB, one or several together, until some had to wait. */
function fill(stream: RawStream): { written: number; done: number[] } {
  const done: number[] = [];
  let written = 0;
  for (let round = 0; round < 4000; round++) {
    const parts = Array.from({ length: 1 + (round % 3) }, () => Buffer.alloc(8192, written++ % 251));
    const last = written;
    stream.write(parts, { done: () => done.push(last) });
  }
  return { written, done };
}

it("keeps the order, also of what the kernel takes late, and says when bytes are free", async () => {
  const { stream, peer } = await pair();
  const { written, done } = fill(stream);
  const atOnce = done.length;
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThan(4000);
  stream.end();
  let at = 0;
  for await (const chunk of peer) {
    for (const byte of chunk as Buffer) {
      if (byte !== Math.floor(at / 8192) % 251) expect.fail(`byte ${at} is out of order`);
      at++;
    }
  }
  expect(at).toBe(written * 8192);
  expect(done).toHaveLength(4000);
  expect(done).toEqual([...done].sort((a, b) => a - b));
});

it("lets go of all that waits when it is destroyed, and of what comes after", async () => {
  const { stream } = await pair();
  const { done } = fill(stream);
  const before = done.length;
  stream.destroy();
  expect(stream.destroyed).toBe(true);
  const after: string[] = [];
  stream.write([Buffer.alloc(1)], { done: () => after.push("done") });
  expect(after).toEqual(["done"]);
  await once(stream.socket, "close");
  await expect.poll(() => done.length).toBe(4000);
  expect(before).toBeLessThan(4000);
});

it("takes more parts than the system does at once, and empty ones, and leaves memory alone until it is free", async () => {
  const { stream, peer } = await pair();
  // What is free is written over at once, as an outbox does with its chunks.
  const memory = Array.from({ length: 64 }, () => Buffer.alloc(4096));
  const free = [...memory];
  const [sent, read] = [createHash("sha1"), createHash("sha1")];
  peer.on("data", (chunk) => read.update(chunk));
  const ended = once(peer, "end");
  let [bytes, waited] = [0, 0];
  for (let round = 0; waited < 20; round++) {
    const buffer = free.pop();
    if (buffer === undefined) {
      waited++;
      await new Promise(setImmediate);
      continue;
    }
    buffer.fill(round % 251);
    // Of one to 1,500 parts: the system takes 1,024 together.
    const size = 1 + ((round * 37) % 1500);
    const parts = Array.from({ length: size }, (_, at) => buffer.subarray(at, at + (at % 3) * 16));
    if (round % 5 === 0) parts.splice(0, size, buffer);
    for (const part of parts) {
      sent.update(part);
      bytes += part.length;
    }
    stream.write(parts, {
      done: () => {
        buffer.fill(255);
        free.push(buffer);
      },
    });
    // The array is the caller's again.
    parts.fill(Buffer.alloc(0));
  }
  expect(bytes).toBeGreaterThan(100_000);
  stream.end();
  await ended;
  expect(read.digest("hex")).toBe(sent.digest("hex"));
  expect(free).toHaveLength(memory.length);
});

it("sends what waits to a peer that says it is done, and closes then", async () => {
  const { stream, peer } = await pair();
  const { written, done } = fill(stream);
  peer.end();
  let count = 0;
  peer.on("data", (chunk) => {
    count += chunk.length;
  });
  await once(stream.socket, "close");
  expect(done).toHaveLength(4000);
  await expect.poll(() => count).toBe(written * 8192);
});

it("closes with the reason when the peer is gone", async () => {
  const { stream, peer } = await pair();
  fill(stream);
  const failed = once(stream.socket, "error");
  peer.resetAndDestroy();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  expect(["ECONNRESET", "EPIPE"]).toContain(error.code);
  expect(error.message).toContain(error.code);
});
