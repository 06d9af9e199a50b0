import { describe, expect, it } from "vitest";
import { FakePeer, publishFrames } from "./testing/peer.ts";

describe("a commit that needs messages from the disk", () => {
  async function committing(): Promise<FakePeer> {
    const peer = await new FakePeer().open();
    const queue = { reserved1: 0, queue: "q", noWait: false, arguments: new Map() };
    const flags = { passive: false, durable: true, exclusive: false, autoDelete: false };
    peer.send(1, "queue.declare", { ...queue, ...flags });
    const consumer = { consumerTag: "c", noLocal: false, noAck: false, exclusive: false };
    peer.send(1, "basic.consume", { ...queue, ...consumer });
    peer.write(Buffer.concat(publishFrames(1, "q", Buffer.from("x"))));
    peer.send(1, "tx.select", {});
    peer.send(1, "basic.reject", { deliveryTag: 1, requeue: false });
    peer.session().holding = [];
    peer.frames();
    peer.send(1, "tx.commit", {});
    expect(peer.summary()).toEqual([]);
    expect(peer.session().ledgers[0]?.log).toEqual([]);
    return peer;
  }

  it("is done as a whole when they are there", async () => {
    const peer = await committing();
    let released = false;
    peer.session().holding?.[0]?.(() => {
      released = true;
    });
    expect(peer.session().ledgers[0]?.log).toEqual(["reject 1"]);
    expect(released).toBe(true);
    peer.session().commit();
    expect(peer.summary()).toEqual(["1 tx.commit-ok"]);
  });

  it("is not done at all when memory does not hold them", async () => {
    const peer = await committing();
    peer.session().holding?.[0]?.(null);
    expect(peer.session().ledgers[0]?.log).toEqual([]);
    const [close] = peer.frames();
    expect([close?.channel, close?.name, close?.args.replyCode]).toEqual([0, "connection.close", 506]);
  });

  it("takes no other method meanwhile, but for the end of the channel", async () => {
    const impatient = await committing();
    impatient.send(1, "tx.commit", {});
    const [close] = impatient.frames();
    expect([close?.name, close?.args.replyCode]).toEqual(["connection.close", 504]);

    const leaving = await committing();
    leaving.send(1, "channel.close", { replyCode: 200, replyText: "", classId: 0, methodId: 0 });
    let released = false;
    leaving.session().holding?.[0]?.(() => {
      released = true;
    });
    expect(released).toBe(true);
    expect(leaving.session().ledgers[0]?.log).not.toContain("reject 1");
    expect(leaving.summary()).toEqual(["1 channel.close-ok"]);
  });
});
