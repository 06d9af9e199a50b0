import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Table } from "../../message/values.ts";
import { FakeBroker } from "./testing/broker.ts";
import { FakePeer, frame, methodFrame, publishFrames } from "./testing/peer.ts";

const noTable: Table = new Map();
const flags = { passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false };
const headers = Buffer.from("2000" + "0000000a" + "0343430041" + "0000000000", "hex");

/** A conversation that touches every kind of frame. */
const conversation: readonly Buffer[] = [
  methodFrame(1, "queue.declare", { reserved1: 0, queue: "q", ...flags, arguments: noTable }),
  methodFrame(1, "confirm.select", { nowait: false }),
  methodFrame(1, "basic.consume", {
    reserved1: 0,
    queue: "q",
    consumerTag: "c",
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: new Map([["x-priority", { type: "int32", value: 1 }]]),
  }),
  ...publishFrames(1, "q", Buffer.from("hello")),
  ...publishFrames(1, "q", Buffer.alloc(5000, 1), { partBytes: 1000, mandatory: true }),
  ...publishFrames(1, "q", Buffer.from("x"), { properties: headers }),
  methodFrame(1, "basic.ack", { deliveryTag: 1, multiple: false }),
  methodFrame(1, "basic.nack", { deliveryTag: 0, multiple: true, requeue: true }),
  methodFrame(2, "channel.open", { reserved1: "" }),
  methodFrame(2, "tx.select", {}),
  ...publishFrames(2, "q", Buffer.from("in tx")),
  methodFrame(2, "tx.commit", {}),
  frame(8, 0, Buffer.alloc(0)),
  methodFrame(2, "channel.close", { replyCode: 200, replyText: "", classId: 0, methodId: 0 }),
];

const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  octet: fc.nat(255),
  cut: fc.boolean(),
});

function mutate(bytes: Buffer, mutations: { at: number; octet: number; cut: boolean }[]): Buffer {
  let result = Buffer.from(bytes);
  for (const { at, octet, cut } of mutations) {
    const index = Math.min(result.length - 1, Math.floor(at * result.length));
    if (cut) result = Buffer.concat([result.subarray(0, index), result.subarray(index + 1 + (octet & 7))]);
    else result[index] = octet;
    if (result.length === 0) return result;
  }
  return result;
}

describe("mutated input", () => {
  it("never gets past the protocol's own errors", async () => {
    const whole = Buffer.concat(conversation);
    let failures = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        async (mutations, pieces) => {
          const peer = new FakePeer(new FakeBroker(), {}, null, () => failures++);
          await peer.open();
          const bytes = mutate(whole, mutations);
          const step = 1 + (pieces % 700);
          for (let at = 0; at < bytes.length; at += step) peer.write(bytes.subarray(at, at + step));
          expect(failures).toBe(0);
          // Whatever was answered is itself well-formed, and ends with at most one connection.close.
          const closes = peer.frames().filter(({ name }) => name === "connection.close");
          expect(closes.length).toBeLessThanOrEqual(1);
          expect(peer.remainderBytes).toBeLessThanOrEqual(131_072 + 65_536);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("of any kind at all does no harm before the handshake", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, greet) => {
        const peer = new FakePeer();
        if (greet) peer.write(Buffer.from("AMQP\0\0\x09\x01", "latin1"));
        peer.write(noise);
        expect(peer.broker.sessions.length).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});
