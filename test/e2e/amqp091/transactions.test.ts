// tx: nothing before the commit, everything with it. amqplib does not speak tx, so raw frames.
import { describe, expect } from "vitest";
import { useBroker } from "../../support/broker.ts";
import { fresh, testWith } from "../../support/client.ts";
import { RawConnection } from "../../support/raw-connection.ts";

const broker = await useBroker();
const test = testWith(broker);

async function open(): Promise<RawConnection> {
  const raw = await RawConnection.open(broker.url);
  await raw.openChannel(1);
  return raw;
}
async function count(raw: RawConnection, queue: string): Promise<number> {
  return (await raw.call("queue.declare", 1, { queue, passive: true })).args.messageCount;
}

describe("tx", () => {
  test("publishes appear at commit and vanish at rollback", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const [raw, other] = [await open(), await open()];
    expect((await raw.call("tx.select", 1)).name).toBe("tx.select-ok");
    raw.publish(1, { routingKey: queue }, {}, "1");
    raw.publish(1, { routingKey: queue }, {}, "2");
    expect(await count(raw, queue)).toBe(0);
    expect((await raw.call("tx.commit", 1)).name).toBe("tx.commit-ok");
    expect(await count(other, queue)).toBe(2);
    raw.publish(1, { routingKey: queue }, {}, "3");
    expect((await raw.call("tx.rollback", 1)).name).toBe("tx.rollback-ok");
    expect((await raw.call("tx.commit", 1)).name).toBe("tx.commit-ok");
    expect(await count(other, queue)).toBe(2);
    raw.publish(1, { routingKey: queue }, {}, "lost with its connection");
    await count(raw, queue);
    await raw.close();
    expect(await count(other, queue)).toBe(2);
    await other.close();
  });

  test("acks count at commit; after a rollback the tags can be acked again", async ({ client }) => {
    const queue = await client.queue(await client.channel());
    const raw = await open();
    raw.publish(1, { routingKey: queue }, {}, "1");
    raw.publish(1, { routingKey: queue }, {}, "2");
    await raw.call("tx.select", 1);
    for (const tag of [1, 2]) {
      const got = await raw.call("basic.get", 1, { queue });
      expect(got.args.deliveryTag).toBe(tag);
    }
    raw.send("basic.ack", 1, { deliveryTag: 1 });
    expect((await raw.call("tx.rollback", 1)).name).toBe("tx.rollback-ok");
    expect((await raw.call("basic.get", 1, { queue })).name).toBe("basic.get-empty");
    raw.send("basic.ack", 1, { deliveryTag: 1 });
    expect((await raw.call("tx.commit", 1)).name).toBe("tx.commit-ok");
    await raw.close();
    const after = await open();
    const got = await after.call("basic.get", 1, { queue });
    expect([got.body?.toString(), got.args.redelivered, got.args.messageCount]).toEqual(["2", true, 0]);
    await after.close();
  });

  test("an unroutable mandatory message is returned at commit, before commit-ok", async () => {
    const raw = await open();
    await raw.call("tx.select", 1);
    const missing = fresh("nowhere");
    raw.publish(1, { routingKey: missing, mandatory: true }, {}, "x");
    raw.send("tx.commit", 1);
    expect((await raw.next(1)).name).toBe("basic.return");
    expect((await raw.next(1)).name).toBe("tx.commit-ok");
    await raw.close();
  });

  test("requires select, and excludes confirms", async () => {
    const closedWith = async (...methods: string[]) => {
      const raw = await open();
      let reply = await raw.call(methods[0]!, 1);
      for (const method of methods.slice(1)) reply = await raw.call(method, 1);
      raw.destroy();
      expect(reply.name).toBe("channel.close");
      return `${reply.args.replyCode} ${reply.args.replyText}`;
    };
    expect(await closedWith("tx.commit")).toBe("406 PRECONDITION_FAILED - channel is not transactional");
    expect(await closedWith("tx.rollback")).toBe("406 PRECONDITION_FAILED - channel is not transactional");
    expect(await closedWith("confirm.select", "tx.select")).toBe(
      "406 PRECONDITION_FAILED - cannot switch from confirm to tx mode",
    );
    expect(await closedWith("tx.select", "confirm.select")).toBe(
      "406 PRECONDITION_FAILED - cannot switch from tx to confirm mode",
    );
  });
});
