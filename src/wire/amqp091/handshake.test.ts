import { describe, expect, it } from "vitest";
import type { Table, TypedValue } from "../../message/values.ts";
import { writeTable } from "./codec/table.ts";
import { Writer } from "./codec/writer.ts";
import { FakeBroker } from "./testing/broker.ts";
import { FakePeer, methodFrame } from "./testing/peer.ts";

const HEADER = Buffer.from("AMQP\0\0\x09\x01", "latin1");
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const closes: Table = new Map([
  [
    "capabilities",
    { type: "table", value: new Map([["authentication_failure_close", { type: "bool", value: true }]]) },
  ],
]);

function startOk(mechanism: string, response: string, clientProperties: Table = new Map()): Buffer {
  return methodFrame(0, "connection.start-ok", { clientProperties, mechanism, response, locale: "en_US" });
}

async function tuned(): Promise<FakePeer> {
  const peer = new FakePeer();
  peer.write(HEADER);
  peer.write(startOk("PLAIN", "\0guest\0guest"));
  await turn();
  peer.frames();
  return peer;
}

describe("handshake", () => {
  it("announces itself as RabbitMQ does", () => {
    const peer = new FakePeer();
    for (const octet of HEADER) peer.write(Buffer.of(octet));
    const [start] = peer.frames();
    expect(start?.args).toMatchObject({
      versionMajor: 0,
      versionMinor: 9,
      locales: "en_US",
      mechanisms: "PLAIN AMQPLAIN",
    });
    const properties = start?.args.serverProperties as Table;
    expect(properties.get("product")?.value).toBe("RabbitMQ");
    const capabilities = properties.get("capabilities")?.value as Table;
    expect([...capabilities.keys()]).toContain("publisher_confirms");
  });

  it.each(["AMQP\x03\x01\0\0", "HTTP/1.1", "AMQP\0\0\x08\0", "GET / HT"])(
    "answers %j with its own header",
    (header) => {
      const peer = new FakePeer();
      const written: Buffer[] = [];
      peer.write(Buffer.from(header, "latin1"));
      peer.outbox.run();
      written.push(...peer.takeWritten());
      expect(Buffer.concat(written)).toEqual(HEADER);
      expect(peer.ended).toBe(true);
    },
  );

  it("tells the limits and takes smaller ones", async () => {
    const peer = new FakePeer();
    peer.write(HEADER);
    peer.write(startOk("PLAIN", "\0guest\0guest"));
    await turn();
    expect(peer.frames()[1]?.args).toEqual({ channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
    peer.send(0, "connection.tune-ok", { channelMax: 1, frameMax: 4096, heartbeat: 0 });
    peer.send(0, "connection.open", { virtualHost: "/", reserved1: "", reserved2: false });
    expect(peer.summary()).toEqual(["0 connection.open-ok"]);
    peer.send(1, "channel.open", { reserved1: "" });
    peer.send(2, "channel.open", { reserved1: "" });
    expect(peer.frames()[1]?.args).toMatchObject({ replyCode: 530 });
  });

  it.each([
    [
      { channelMax: 2047, frameMax: 100, heartbeat: 0 },
      "negotiated frame_max = 100 is lower than the minimum allowed value (4096)",
    ],
    [
      { channelMax: 2047, frameMax: 0, heartbeat: 0 },
      "negotiated frame_max = 0 is higher than the maximum allowed value (131072)",
    ],
    [
      { channelMax: 2047, frameMax: 200_000, heartbeat: 0 },
      "negotiated frame_max = 200000 is higher than the maximum allowed value (131072)",
    ],
    [
      { channelMax: 0, frameMax: 131_072, heartbeat: 0 },
      "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
    ],
  ])("refuses %j", async (tune, text) => {
    const peer = await tuned();
    peer.send(0, "connection.tune-ok", tune);
    const [close] = peer.frames();
    expect(close?.args).toEqual({
      replyCode: 530,
      replyText: `NOT_ALLOWED - ${text}`,
      classId: 10,
      methodId: 30,
    });
  });

  it("refuses an unknown vhost", async () => {
    const peer = await tuned();
    peer.send(0, "connection.tune-ok", { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
    peer.send(0, "connection.open", { virtualHost: "nope", reserved1: "", reserved2: false });
    expect(peer.frames()[0]?.args).toEqual({
      replyCode: 530,
      replyText: "NOT_ALLOWED - vhost nope not found",
      classId: 10,
      methodId: 40,
    });
    peer.send(0, "connection.close-ok", {});
    expect(peer.ended).toBe(true);
  });

  it("says why a login was refused to those who can hear it", async () => {
    const peer = new FakePeer();
    peer.write(HEADER);
    peer.write(startOk("PLAIN", "\0guest\0wrong", closes));
    await turn();
    expect(peer.frames()[1]?.args).toMatchObject({
      replyCode: 403,
      replyText:
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
    });
  });

  it("hangs up on the others after a while", async () => {
    const peer = new FakePeer();
    peer.write(HEADER);
    peer.write(startOk("PLAIN", "\0guest\0wrong"));
    await turn();
    expect(peer.summary()).toEqual(["0 connection.start"]);
    await peer.wait(2000);
    expect(peer.destroyed).toBe(false);
    await peer.wait(2000);
    expect(peer.destroyed).toBe(true);
  });

  it("knows AMQPLAIN, and EXTERNAL from a certificate", async () => {
    const writer = new Writer();
    const login = new Map<string, TypedValue>([
      ["LOGIN", { type: "string", value: "guest" }],
      ["PASSWORD", { type: "string", value: "guest" }],
    ]);
    writeTable(writer, login);
    const peer = new FakePeer();
    peer.write(HEADER);
    peer.write(startOk("AMQPLAIN", writer.buffer.toString("utf8", 4, writer.length)));
    await turn();
    expect(peer.summary()).toEqual(["0 connection.start", "0 connection.tune"]);

    const secure = new FakePeer(new FakeBroker(), {}, { peerName: "alice", version: "TLSv1.3" });
    secure.write(HEADER);
    secure.write(startOk("EXTERNAL", ""));
    await turn();
    const [start, tune] = secure.frames();
    expect(start?.args.mechanisms).toBe("PLAIN AMQPLAIN EXTERNAL");
    expect(tune?.name).toBe("connection.tune");
  });

  it("takes a client that does not wait for answers", async () => {
    const peer = new FakePeer();
    const open = methodFrame(0, "connection.open", { virtualHost: "/", reserved1: "", reserved2: false });
    const tune = methodFrame(0, "connection.tune-ok", { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
    const channel = methodFrame(1, "channel.open", { reserved1: "" });
    peer.write(Buffer.concat([HEADER, startOk("PLAIN", "\0guest\0guest"), tune, open, channel]));
    await turn();
    expect(peer.summary()).toEqual([
      "0 connection.start",
      "0 connection.tune",
      "0 connection.open-ok",
      "1 channel.open-ok",
    ]);
  });

  it("does not wait for ever", async () => {
    const peer = new FakePeer();
    peer.write(HEADER.subarray(0, 4));
    await peer.wait(11_000);
    expect(peer.destroyed).toBe(true);
  });

  it("does not take large or broken frames from strangers", async () => {
    const peer = new FakePeer();
    peer.write(HEADER);
    peer.write(Buffer.from("01000000ffffff", "hex"));
    await peer.wait(4000);
    expect(peer.destroyed).toBe(true);
  });

  it("says goodbye", async () => {
    const peer = await new FakePeer().open();
    peer.send(0, "connection.close", { replyCode: 200, replyText: "bye", classId: 0, methodId: 0 });
    expect(peer.summary()).toEqual(["0 connection.close-ok"]);
    expect(peer.session().closed).toBe(true);
    // The client has the last word; if it does not hang up, we do.
    expect([peer.ended, peer.destroyed]).toEqual([false, false]);
    await peer.wait(11_000);
    expect(peer.destroyed).toBe(true);
  });
});
