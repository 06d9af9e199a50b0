// In and out by one protocol: every byte of properties and body, through a queue and through a stream.
import { connect as connectSocket, type Socket } from "node:net";
import { connect } from "amqplib";
import { afterAll, describe, expect, test } from "vitest";
import { startBroker } from "../../src/index.ts";
import { PROTOCOL_HEADER } from "../support/raw-connection.ts";
import { StompClient } from "../support/stomp-client.ts";
import { encodeMethod, frame } from "../support/wire.ts";

const broker = await startBroker({
  engine: "memory:",
  amqp: { port: 0 },
  mqtt: { port: 0 },
  stomp: { port: 0 },
});
const amqp = await connect(broker.amqp.url);
const channel = await amqp.createChannel();
const sockets: Socket[] = [];
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await amqp.close();
  await broker.stop();
});

/** What comes from a socket, cut by whoever knows how long a piece is. */
class Bytes {
  readonly socket: Socket;
  private unread = Buffer.alloc(0);
  private wake: () => void = () => {};

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connectSocket(Number(port), hostname);
    sockets.push(this.socket);
    this.socket.on("data", (chunk) => {
      this.unread = Buffer.concat([this.unread, chunk]);
      this.wake();
    });
    this.socket.on("error", () => {});
  }

  /** `length` tells how long the first piece is, or 0 while it cannot. */
  async piece(length: (bytes: Buffer) => number): Promise<Buffer> {
    for (;;) {
      const bytes = length(this.unread);
      if (bytes > 0 && this.unread.length >= bytes) {
        const piece = this.unread.subarray(0, bytes);
        this.unread = this.unread.subarray(bytes);
        return piece;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

const bytes = (...parts: (string | Buffer | readonly number[])[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from(part as Buffer))),
  );
const short = (text: string): Buffer => bytes([Buffer.byteLength(text)], text);
const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};

describe("AMQP 0-9-1", () => {
  /** All field types, several of one name, empty names and values. */
  const field = (name: string, type: string, ...value: (Buffer | readonly number[])[]): Buffer =>
    bytes(short(name), type, ...value);
  const table = (...fields: Buffer[]): Buffer => bytes(u32(Buffer.concat(fields).length), ...fields);
  const ODD = table(
    field("t", "t", [1]),
    field("t", "t", [0]),
    field("b", "b", [0x80]),
    field("B", "B", [0xff]),
    field("s", "s", [0x80, 0]),
    field("u", "u", [0xff, 0xff]),
    field("I", "I", u32(0x80000000)),
    field("i", "i", u32(0xffffffff)),
    field("l", "l", u32(0x7fffffff), u32(0xffffffff)),
    field("f", "f", u32(0x7fc00001)),
    field("d", "d", u32(0x80000000), u32(0)),
    field("D", "D", [3], u32(12345)),
    field("S", "S", u32(0)),
    field("x", "x", u32(2), [0, 255]),
    field("T", "T", u32(0), u32(1)),
    field("F", "F", table(field("deep", "V"))),
    field("A", "A", u32(3), bytes("V"), bytes("t", [1])),
    field("", "V"),
  );
  const CASES: Readonly<Record<string, Buffer>> = {
    "no properties": bytes([0, 0]),
    "an empty table": bytes([0x20, 0], u32(0)),
    "empty strings": bytes([0b1100_0110, 0b1010_1000], ...Array(7).fill([0])),
    "odd types and duplicates": bytes([0x20, 0], ODD),
    "all of them": bytes(
      [0xff, 0xf8],
      short("text/plain"),
      short(""),
      ODD,
      [1, 200],
      short("corr\u{1d11e}"),
      short("reply"),
      short("100000"),
      short(""),
      u32(1),
      u32(2),
      short("type"),
      short("guest"),
      short("app"),
    ),
  };

  const open = async (): Promise<Bytes> => {
    const line = new Bytes(broker.amqp.url);
    const send = (name: string, on: number, args: object) => line.socket.write(encodeMethod(name, on, args));
    line.socket.write(PROTOCOL_HEADER);
    send("connection.start-ok", 0, { mechanism: "PLAIN", response: "\0guest\0guest", locale: "en_US" });
    send("connection.tune-ok", 0, { channelMax: 10, frameMax: 131_072, heartbeat: 0 });
    send("connection.open", 0, { virtualHost: "/" });
    send("channel.open", 1, {});
    return line;
  };

  const frameLength = (unread: Buffer): number => (unread.length < 7 ? 0 : 8 + unread.readUInt32BE(3));

  test.each(
    ["classic", "stream"].flatMap((type) =>
      Object.entries(CASES).map(([name, flags]) => [type, name, flags] as const),
    ),
  )("through a queue of type %s: %s", async (type, name, properties) => {
    const queue = `bytes ${type} ${name}`;
    await channel.assertQueue(queue, { arguments: { "x-queue-type": type } });
    const line = await open();
    const body = Buffer.from([0, 255, 10]);
    line.socket.write(encodeMethod("basic.publish", 1, { routingKey: queue }));
    line.socket.write(frame(2, 1, bytes([0, 60, 0, 0], u32(0), u32(body.length), properties)));
    line.socket.write(frame(3, 1, body));
    line.socket.write(encodeMethod("basic.qos", 1, { prefetchCount: 10 }));
    const args = { "x-stream-offset": "first" };
    line.socket.write(encodeMethod("basic.consume", 1, { queue, arguments: type === "stream" ? args : {} }));
    for (;;) {
      const piece = await line.piece(frameLength);
      if (piece[0] !== 2) continue;
      const header = piece.subarray(7, -1);
      // A stream says where the message stands in it: one header more.
      const found = header.subarray(12);
      if (type === "classic") expect(found.toString("hex")).toBe(properties.toString("hex"));
      else {
        const offset = field("x-stream-offset", "l", u32(0), u32(0));
        const plain = Buffer.from(found);
        expect(plain.includes(offset)).toBe(true);
        expect(plain.length - offset.length - properties.length).toBe((properties[0]! & 0x20) === 0 ? 4 : 0);
        if ((properties[0]! & 0x20) !== 0) {
          const without = Buffer.from(
            plain.toString("latin1").replace(offset.toString("latin1"), ""),
            "latin1",
          );
          const at = tableAt(properties);
          without.writeUInt32BE(without.readUInt32BE(at) - offset.length, at);
          expect(without.toString("hex")).toBe(properties.toString("hex"));
        }
      }
      expect((await line.piece(frameLength)).subarray(7, -1)).toEqual(body);
      return;
    }
  });

  /** Where the headers' table begins, behind the content type and encoding. */
  function tableAt(properties: Buffer): number {
    let at = 2;
    for (const flag of [0x80, 0x40]) if ((properties[0]! & flag) !== 0) at += 1 + properties[at]!;
    return at;
  }
});

describe("STOMP", () => {
  const LINES =
    "a:1\na:2\nb:\nä\\c:\\n\\\\ x\ncontent-type:\nx-key:k\ncorrelation-id:\npriority:007\ntype: spaced \n";

  test.each(["classic", "stream"])("through a queue of type %s", async (type) => {
    const client = await StompClient.connect(broker.stomp?.url as string);
    const destination = `/queue/stomp-bytes-${type}`;
    const headers = { destination, "x-queue-type": type, "x-stream-offset": "first", "prefetch-count": "5" };
    await client.ask("SUBSCRIBE", { id: "s", ack: "client", ...headers });
    const body = Buffer.from([0, 255, 10, 0]);
    client.raw(bytes(`SEND\ndestination:${destination}\ncontent-length:4\n${LINES}\n`, body, [0]));
    const got = await client.next();
    const own = new Set([
      "subscription",
      "destination",
      "message-id",
      "redelivered",
      "ack",
      "content-length",
    ]);
    const rest = got.lines.filter(([name]) => !own.has(name) && name !== "x-stream-offset");
    expect(rest.map(([name, value]) => `${name}:${value}\n`).join("")).toBe(LINES);
    expect(got.body).toEqual(body);
    client.destroy();
  });
});

describe("MQTT 5", () => {
  const text = (value: string): Buffer => bytes([0, Buffer.byteLength(value)], value);
  const user = (name: string, value: string): Buffer => bytes([0x26], text(name), text(value));
  const CASES: Readonly<Record<string, Buffer>> = {
    none: bytes(),
    "empty ones": bytes([0x03], text(""), [0x09], text(""), user("", "")),
    "in the sender's order, duplicates and all": bytes(
      user("b", "1"),
      [0x09],
      bytes([0, 2, 0, 255]),
      user("a", "2"),
      user("b", "1"),
      [0x01, 1],
      [0x08],
      text("answers/ä"),
      [0x03],
      text("text/plain"),
      user("a", ""),
    ),
  };
  const packet = (first: number, rest: Buffer): Buffer => bytes([first, rest.length], rest);
  const packetLength = (unread: Buffer): number => (unread.length < 2 ? 0 : 2 + unread[1]!);

  test.each(Object.entries(CASES))("properties: %s", async (_name, properties) => {
    for (const qos of [0, 1, 2]) {
      const line = new Bytes(broker.mqtt?.url as string);
      line.socket.write(packet(0x10, bytes(text("MQTT"), [5, 2, 0, 60, 0], text(""))));
      line.socket.write(packet(0x82, bytes([0, 1, 0], text(`bytes/${qos}`), [qos])));
      const id = qos === 0 ? [] : [0, 9];
      const head = bytes(text(`bytes/${qos}`), id, [properties.length]);
      line.socket.write(packet(0x30 | (qos << 1), bytes(head, properties, "payload")));
      for (;;) {
        const piece = await line.piece(packetLength);
        if ((piece[0]! & 0xf0) !== 0x30) continue;
        expect(piece[0]).toBe(0x30 | (qos << 1));
        expect(piece.subarray(2 + head.length).toString("hex")).toBe(
          bytes(properties, "payload").toString("hex"),
        );
        break;
      }
      line.socket.destroy();
    }
  });
});
