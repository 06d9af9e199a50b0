// A conversation written by hand, held with any broker, and written down so that two brokers' can be compared.
import { type Incoming, RawConnection, type RawOptions } from "../support/raw-connection.ts";
import type { Args } from "../support/wire.ts";

const QUIET_LOOKS = 3;
const LOOK_MS = 12;

let talks = 0;

type Plain = { name: string } & Record<string, unknown>;

/** Consumers of a queue that goes are told in no order that anybody can rely on. */
function inOrder(replies: Plain[]): Plain[] {
  const cancels = replies
    .filter(({ name }) => name === "basic.cancel")
    .map((cancel) => JSON.stringify(cancel));
  cancels.sort();
  return replies.map((reply) =>
    reply.name === "basic.cancel" ? JSON.parse(cancels.shift() as string) : reply,
  );
}

/** Strings may say `$name` for a name that is this conversation's own. */
export class Talk {
  readonly url: string;
  /** Everything the broker said, step by step. */
  readonly said: unknown[] = [];
  private readonly prefix = `talk.${process.pid.toString(36)}.${Date.now().toString(36)}.${++talks}.`;
  private readonly connections: RawConnection[] = [];
  private readonly options: RawOptions[] = [];

  constructor(url: string) {
    this.url = url;
  }

  /** Opens one more connection with channel 1; returns its index. */
  async connect(options: RawOptions = {}): Promise<number> {
    this.options.push(options);
    const index = this.options.length - 1;
    await this.reconnect(index);
    return index;
  }

  raw(connection = 0): RawConnection {
    return this.connections[connection] as RawConnection;
  }

  /** Sends a method and notes all that comes back, until the channel is quiet. */
  async say(name: string, args: Args = {}, channel = 1, connection = 0): Promise<Incoming[]> {
    this.raw(connection).send(name, channel, this.own(args) as Args);
    if (name === "tx.commit") await this.committed(channel, connection);
    return this.listen(name, channel, connection);
  }

  /** RabbitMQ takes no method on a channel that it still owes a tx.commit-ok (504). */
  private async committed(channel: number, connection: number): Promise<void> {
    const raw = this.raw(connection);
    const answers = ({ name, channel: on }: Incoming): boolean =>
      name === "connection.close" || (on === channel && ["tx.commit-ok", "channel.close"].includes(name));
    await raw.until(() => raw.incoming.some(answers) || raw.isClosed, "the end of a commit");
  }

  /** Publishes, and notes what comes back. */
  async publish(
    exchange: string,
    routingKey: string,
    properties: Args = {},
    body: string | Buffer = "x",
    mandatory = false,
    channel = 1,
  ): Promise<Incoming[]> {
    const args = this.own({ exchange, routingKey, mandatory }) as Args;
    this.raw().publish(channel, args, this.own(properties) as Args, body);
    return this.listen(`publish to '${exchange}'`, channel, 0);
  }

  /** Waits until nothing comes any more, then notes it and repairs what was closed. */
  async listen(what: string, channel = 1, connection = 0): Promise<Incoming[]> {
    const events: Incoming[] = [];
    const raw = this.raw(connection);
    for (let quiet = 0; quiet < QUIET_LOOKS; quiet++) {
      const before = events.length;
      await this.roundTrip(raw, channel, events);
      if (events.length > before) quiet = 0;
      if (raw.isClosed || events.some(({ name }) => name.endsWith(".close"))) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    // A delivery may come before or after a confirm or an answer: each has an order of its own.
    const [deliveries, replies] = [true, false].map((wanted) =>
      events.filter(({ name }) => (name === "basic.deliver") === wanted).map((event) => this.plain(event)),
    );
    this.said.push({ step: what, replies: inOrder(replies as Plain[]), deliveries, ended: raw.isClosed });
    await this.repair(raw, events, channel, connection);
    return events;
  }

  /** The queue's messages and consumers, when they have stopped changing; asked on a connection of its own. */
  async count(queue: string): Promise<void> {
    const raw = await RawConnection.open(this.url);
    await raw.openChannel(1);
    let before = "";
    for (let looks = 0; looks < 100; looks++) {
      const { name, args } = await raw.call("queue.declare", 1, this.own({ queue, passive: true }) as Args);
      const now = name === "queue.declare-ok" ? `${args.messageCount}/${args.consumerCount}` : args.replyText;
      if (name !== "queue.declare-ok") {
        raw.send("channel.close-ok", 1);
        await raw.openChannel(1);
      }
      if (now === before) break;
      before = now;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS * 2));
    }
    this.said.push({ step: `count of ${queue}`, now: this.own(before, true) });
    await raw.close();
  }

  async end(names: { queues: string[]; exchanges: string[] }): Promise<void> {
    for (const raw of this.connections) await raw.close();
    const raw = await RawConnection.open(this.url);
    await raw.openChannel(1);
    for (const queue of names.queues) await raw.call("queue.delete", 1, this.own({ queue }) as Args);
    for (const exchange of names.exchanges)
      await raw.call("exchange.delete", 1, this.own({ exchange }) as Args);
    await raw.close();
  }

  private async roundTrip(raw: RawConnection, channel: number, events: Incoming[]): Promise<void> {
    if (raw.isClosed) return;
    raw.send("channel.flow", channel, { active: true });
    const answered = ({ name, channel: on }: Incoming): boolean =>
      (on === channel && ["channel.flow-ok", "channel.close"].includes(name)) || name === "connection.close";
    await raw.until(() => raw.incoming.some(answered) || raw.isClosed, "a round trip");
    events.push(...raw.incoming.splice(0).filter(({ name }) => name !== "channel.flow-ok"));
  }

  private async repair(
    raw: RawConnection,
    events: Incoming[],
    channel: number,
    index: number,
  ): Promise<void> {
    if (raw.isClosed || events.some(({ name }) => name === "connection.close")) {
      raw.send("connection.close-ok", 0);
      raw.destroy();
      await this.reconnect(index);
    } else if (events.some(({ name, channel: on }) => name === "channel.close" && on === channel)) {
      raw.send("channel.close-ok", channel);
      await raw.openChannel(channel);
    }
  }

  private async reconnect(index: number): Promise<void> {
    const raw = await RawConnection.open(this.url, { keepTags: true, ...this.options[index] });
    this.connections[index] = raw;
    await raw.openChannel(1);
  }

  private plain({ name, channel, args, properties, body }: Incoming): Plain {
    // How confirms are put together is each broker's own affair.
    if (name === "basic.ack" || name === "basic.nack") return { name, channel, tag: args.deliveryTag };
    const text = body && (body.length > 200 ? `${body.length} bytes` : body.toString());
    return this.own({ name, channel, args, properties, body: text }, true) as Plain;
  }

  /** `$` for this conversation's prefix, or back; times and generated names become equal. */
  own(value: unknown, back = false): unknown {
    if (typeof value === "string") {
      if (!back) return value.replaceAll("$", this.prefix);
      return value
        .replaceAll(this.prefix, "$")
        .replace(/^amq\.rabbitmq\.reply-to\..*/, "amq.rabbitmq.reply-to.…")
        .replace(/amq\.(gen|ctag)-[\w-]{22}/g, "amq.$1-…")
        .replace(/^T:\d{9,}$/, "T:…");
    }
    if (Array.isArray(value)) return value.map((item) => this.own(item, back));
    if (value === null || typeof value !== "object" || Buffer.isBuffer(value) || value instanceof Date)
      return value;
    const entries = Object.entries(value).filter(([key]) => !back || !key.startsWith("x-last-death-"));
    return Object.fromEntries(entries.map(([key, item]) => [this.own(key, back), this.own(item, back)]));
  }
}
