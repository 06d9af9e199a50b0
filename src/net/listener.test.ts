import { connect, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { Arena, BLOCK_BYTES, LARGE_CHUNK_BYTES } from "../base/arena.ts";
import { SystemClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import { Turn } from "../base/turn.ts";
import { reserveScratch } from "./connection.ts";
import { type ConnectionBudget, Listener, type ListenerOptions } from "./listener.ts";
import type { ConnectionAcceptor, ConnectionHandler, Transport } from "./transport.ts";

const clients: Socket[] = [];
const listeners: Listener[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const listener of listeners.splice(0)) await listener.close(0);
});

/** Says back what it hears; "many" brings more than there is memory for. */
class Echo implements ConnectionHandler {
  private readonly transport: Transport;
  constructor(transport: Transport) {
    this.transport = transport;
  }
  read(bytes: Uint8Array, start: number, end: number): number {
    const { outbox } = this.transport;
    if (Buffer.from(bytes.subarray(start, end)).includes("many")) {
      for (let i = 0; i < 100; i++) {
        outbox.reserve(LARGE_CHUNK_BYTES);
        outbox.advance(LARGE_CHUNK_BYTES);
      }
    } else outbox.copy(bytes, start, end - start);
    return end;
  }
  drained(): void {}
  closed(): void {}
  shutdown(): void {
    this.transport.outbox.copy(Buffer.from("bye"), 0, 3);
    this.transport.end();
  }
}

const acceptor: ConnectionAcceptor = {
  remainderBytesMax: 1024,
  accept: (transport) => new Echo(transport),
  close: () => {},
};

async function listen(options: Partial<ListenerOptions> = {}): Promise<Listener> {
  const arena = new Arena(16 * BLOCK_BYTES);
  const listener = await Listener.listen({
    name: "test",
    host: "127.0.0.1",
    port: 0,
    acceptor,
    arena,
    scratch: reserveScratch(arena, acceptor.remainderBytesMax),
    turn: new Turn(),
    clock: new SystemClock(),
    logger: silentLogger,
    outputHighWaterBytes: 1024 * 1024,
    budget: { open: 0, max: 100 },
    ...options,
  });
  listeners.push(listener);
  return listener;
}

class Client {
  readonly socket: Socket;
  heard = "";
  readonly gone: Promise<void>;
  private wake = (): void => {};

  constructor(listener: Listener) {
    this.socket = connect(listener.address.port, "127.0.0.1");
    clients.push(this.socket);
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk) => {
      this.heard += chunk.toString();
      this.wake();
    });
    this.gone = new Promise((resolve) => this.socket.once("close", () => resolve()));
  }

  async says(text: string): Promise<void> {
    this.socket.write(text);
    this.heard = "";
    while (this.heard !== text) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

it("runs out of output memory for one connection at the cost of that one", async () => {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_fields: object, message: string) => errors.push(message) };
  const listener = await listen({ logger });
  const [quiet, greedy] = [new Client(listener), new Client(listener)];
  await quiet.says("hello");
  await greedy.says("hello");
  greedy.socket.write("many");
  await greedy.gone;
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain("no memory left for output");
  await quiet.says("still here");
  await new Client(listener).says("and others");
  expect(listener.connectionCount).toBe(2);
});

it("counts connections over all listeners that share a budget", async () => {
  const budget: ConnectionBudget = { open: 0, max: 2 };
  const [first, second] = [await listen({ budget }), await listen({ budget })];
  const [one, two] = [new Client(first), new Client(second)];
  await one.says("one");
  await two.says("two");
  await new Client(first).gone;
  await new Client(second).gone;
  one.socket.destroy();
  while (budget.open > 1) await new Promise(setImmediate);
  await new Client(second).says("room again");
  expect(budget.open).toBe(2);
});

it("closes: accepts nobody, lets everybody say goodbye, and has nothing left", async () => {
  const budget: ConnectionBudget = { open: 0, max: 100 };
  const listener = await listen({ budget });
  const client = new Client(listener);
  await client.says("hello");
  await listener.close(5000);
  await client.gone;
  expect(client.heard).toBe("hellobye");
  expect([listener.connectionCount, budget.open]).toEqual([0, 0]);
  const late = new Client(listener);
  await late.gone;
  expect(late.heard).toBe("");
});

it("cuts who does not go within the grace", async () => {
  const stubborn: ConnectionAcceptor = {
    ...acceptor,
    accept: (transport) => Object.assign(new Echo(transport), { shutdown: () => {} }),
  };
  const listener = await listen({ acceptor: stubborn });
  const client = new Client(listener);
  await client.says("hello");
  await listener.close(20);
  await client.gone;
  expect(listener.connectionCount).toBe(0);
});

it("does not wait for a TLS handshake that never ends", async () => {
  const listener = await listen({ tls: {} });
  const client = new Client(listener);
  await new Promise((resolve) => client.socket.once("connect", resolve));
  await listener.close(0);
  await client.gone;
});
