import { RawConnection } from "../../support/raw-connection.ts";
import { frame } from "../../support/wire.ts";
import type { Talk } from "../talk.ts";

export const connectionCases: Record<string, (t: Talk) => Promise<void>> = {
  "update-secret": async (t) => {
    await t.say("connection.update-secret", { newSecret: "guest", reason: "rotation" }, 0);
    await t.say("connection.update-secret", { newSecret: "wrong", reason: "" }, 0);
    await t.say("queue.declare", { queue: "$a" });
  },
  "channels: opened twice, zero, not open, beyond the maximum": async (t) => {
    await t.say("channel.open", {}, 1);
    await t.say("basic.qos", { prefetchCount: 1 }, 0);
    await t.say("channel.open", {}, 0);
    await t.say("channel.open", {}, 2047);
    await t.say("queue.declare", { queue: "$a" }, 9);
    await t.say("channel.close", { replyCode: 200 }, 9);
  },
  "frames out of place": async (t) => {
    const raw = (bytes: Buffer, what: string) => {
      t.raw().write(bytes);
      return t.listen(what);
    };
    await raw(frame(3, 1, Buffer.from("body")), "a body without a method");
    await raw(frame(2, 1, Buffer.alloc(14)), "a header without a method");
    await raw(frame(9, 1, Buffer.alloc(1)), "a frame type that is none");
    await raw(frame(8, 1, Buffer.alloc(0)), "a heartbeat on a channel");
    await raw(frame(8, 0, Buffer.from("x")), "a heartbeat with a body");
    await raw(frame(1, 1, Buffer.from([0, 50])), "a method cut short");
  },
  "methods that only a broker sends": async (t) => {
    for (const [name, channel] of [
      ["queue.declare-ok", 1],
      ["channel.flow-ok", 1],
      ["connection.start-ok", 0],
      ["connection.tune-ok", 0],
      ["connection.open", 0],
      ["connection.blocked", 0],
    ] as const)
      await t.say(name, {}, channel);
  },
  "publishing, interrupted by a method": async (t) => {
    t.raw().send("basic.publish", 1, { exchange: "", routingKey: "a" });
    await t.say("queue.declare", { queue: "$a" });
  },
  "a channel after its error": async (t) => {
    t.raw().send("queue.declare", 1, { queue: "$none", passive: true });
    t.raw().send("queue.declare", 1, { queue: "$b" });
    t.raw().publish(1, { exchange: "", routingKey: "x" }, {}, "dropped");
    await t.listen("one error");
    await t.say("queue.declare", { queue: "$b", passive: true });
  },
  immediate: async (t) => {
    t.raw().publish(1, { exchange: "", routingKey: "x", immediate: true }, {}, "m");
    await t.listen("immediate");
  },
  "no room for more than the negotiated frame": async (t) => {
    await t.connect({ tune: { frameMax: 4096 } });
    await t.say("queue.declare", { queue: "$a", arguments: { long: "x".repeat(5000) } }, 1, 1);
    t.raw(1).sendFrame(3, 1, Buffer.alloc(5000));
    await t.listen("a frame that is too long", 1, 1);
  },
  "virtual hosts, logins": async (t) => {
    for (const options of [
      { vhost: "none" },
      { vhost: "" },
      { user: "nobody" },
      { password: "wrong" },
      { user: "" },
    ]) {
      const raw = await RawConnection.dial(t.url, options);
      raw.write(Buffer.from("AMQP\x00\x00\x09\x01", "latin1"));
      await raw.expect("connection.start");
      raw.startOk();
      const first = await raw.next();
      t.said.push({ options, name: first.name, args: first.args });
      if (first.name === "connection.tune") {
        raw.send("connection.tune-ok", 0, first.args);
        raw.send("connection.open", 0, { virtualHost: options.vhost ?? "/" });
        const reply = await raw.next();
        t.said.push({ name: reply.name, args: reply.args });
      }
      raw.destroy();
    }
  },
};
