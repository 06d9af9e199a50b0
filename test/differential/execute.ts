// Plays a script against one broker and writes down everything the broker did, in a form that can
// be compared with another broker's: names made relative, times removed, one step at a time.
import { type Incoming, RawConnection } from "../support/raw-connection.ts";
import type { Args } from "../support/wire.ts";
import {
  BINDING_HEADERS,
  CHANNELS,
  EXCHANGES,
  MESSAGES,
  type Operation,
  QUEUE_VARIANTS,
  QUEUES,
} from "./script.ts";

const OBSERVER = 100;
const SETTLE_MS = 4;

let runs = 0;

export class Player {
  private raw!: RawConnection;
  private observer!: RawConnection;
  private readonly url: string;
  private readonly prefix = `diff.${process.pid.toString(36)}.${Date.now().toString(36)}.${++runs}.`;
  private consumers = 0;
  private tags: string[][] = [];
  private unsettled: number[][] = [];
  /** Consumers, and channels' last gets, whose deliveries want no acknowledgement. */
  private autoAcked = new Set<string>();

  constructor(url: string) {
    this.url = url;
  }

  /** The transcript: one entry per operation. */
  async play(script: Operation[]): Promise<unknown[]> {
    this.observer = await RawConnection.open(this.url);
    await this.observer.openChannel(OBSERVER);
    await this.connect();
    const transcript: unknown[] = [];
    try {
      for (const operation of script) {
        await this.perform(operation);
        transcript.push({ operation, ...(await this.settle()) });
      }
    } finally {
      await this.cleanUp();
    }
    return transcript;
  }

  private async connect(): Promise<void> {
    this.raw = await RawConnection.open(this.url, { keepTags: true });
    for (let ch = 0; ch < CHANNELS; ch++) await this.open(ch);
  }
  private async open(ch: number): Promise<void> {
    await this.raw.openChannel(ch + 1);
    await this.raw.call("confirm.select", ch + 1);
    this.tags[ch] = [];
    this.unsettled[ch] = [];
  }

  private name(short: string): string {
    return short === "" || short.startsWith("amq.") ? short : this.prefix + short;
  }
  /** Replaces `$q0` with this run's name of q0, anywhere in a structure. */
  private named<T>(value: T): T {
    return JSON.parse(JSON.stringify(value).replaceAll("$", this.prefix));
  }

  private async perform(operation: Operation): Promise<void> {
    const channel = operation.ch + 1;
    if (operation.op === "reopen") {
      this.raw.send("channel.close", channel, { replyCode: 200 });
      await this.raw.find("channel.close-ok", channel);
      await this.open(operation.ch);
    } else if (operation.op === "publish") {
      this.publish(channel, operation.exchange, operation.key, operation.message, operation.mandatory);
    } else if (operation.op === "send") {
      this.publish(channel, "", this.name(operation.queue), operation.message, false);
    } else {
      const request = this.topologyRequest(operation) ?? this.messageRequest(operation);
      if (request) this.raw.send(request[0], channel, request[1]);
    }
  }

  private topologyRequest(operation: Operation): [string, Args] | undefined {
    switch (operation.op) {
      case "declareQueue": {
        const variant = this.named(QUEUE_VARIANTS[operation.variant]!);
        return ["queue.declare", { queue: this.name(operation.queue), ...variant }];
      }
      case "deleteQueue":
        return ["queue.delete", { ...operation, queue: this.name(operation.queue) }];
      case "purge":
        return ["queue.purge", { queue: this.name(operation.queue) }];
      case "declareExchange":
        return ["exchange.declare", { ...operation, exchange: this.name(operation.exchange) }];
      case "deleteExchange":
        return ["exchange.delete", { ...operation, exchange: this.name(operation.exchange) }];
      case "bind":
      case "unbind": {
        const [queue, exchange] = [this.name(operation.queue), this.name(operation.exchange)];
        const headers = BINDING_HEADERS[operation.headers];
        return [`queue.${operation.op}`, { queue, exchange, routingKey: operation.key, arguments: headers }];
      }
      case "bindExchange":
      case "unbindExchange": {
        const [source, destination] = [this.name(operation.source), this.name(operation.destination)];
        const method = operation.op === "bindExchange" ? "exchange.bind" : "exchange.unbind";
        return [method, { source, destination, routingKey: operation.key }];
      }
      default:
        return undefined;
    }
  }

  private messageRequest(operation: Operation): [string, Args] | undefined {
    switch (operation.op) {
      case "recover":
        this.unsettled[operation.ch] = [];
        return ["basic.recover", { requeue: true }];
      case "qos":
        return ["basic.qos", { prefetchCount: operation.count }];
      case "get":
        if (operation.noAck) this.autoAcked.add(`get ${operation.ch}`);
        else this.autoAcked.delete(`get ${operation.ch}`);
        return ["basic.get", { queue: this.name(operation.queue), noAck: operation.noAck }];
      case "consume": {
        const consumerTag = `c${this.consumers++}`;
        this.tags[operation.ch]!.push(consumerTag);
        if (operation.noAck) this.autoAcked.add(consumerTag);
        const args = { "x-priority": operation.priority };
        return [
          "basic.consume",
          { ...operation, queue: this.name(operation.queue), consumerTag, arguments: args },
        ];
      }
      case "cancel":
        return [
          "basic.cancel",
          { consumerTag: this.tags[operation.ch]![operation.consumer] ?? "no such consumer" },
        ];
      case "settle":
        return this.settleRequest(operation);
      case "settleUnknown":
        return [`basic.${operation.how}`, { deliveryTag: 9999 }];
      default:
        throw new Error(`no such operation: ${operation.op}`);
    }
  }

  private settleRequest(operation: Extract<Operation, { op: "settle" }>): [string, Args] | undefined {
    const open = this.unsettled[operation.ch]!;
    if (open.length === 0) return undefined;
    const [tag] = open.splice(operation.pick % open.length, 1);
    const multiple = operation.multiple && operation.how !== "reject";
    if (multiple) this.unsettled[operation.ch] = open.filter((other) => other > tag!);
    return [`basic.${operation.how}`, { deliveryTag: tag, multiple, requeue: operation.requeue }];
  }

  private publish(channel: number, exchange: string, key: string, index: number, mandatory: boolean): void {
    const { body, properties } = this.named(MESSAGES[index]!);
    this.raw.publish(
      channel,
      { exchange: this.name(exchange), routingKey: key, mandatory },
      properties,
      body,
    );
  }

  /**
   * Waits until nothing happens any more, then collects what arrived. RabbitMQ answers a count ahead
   * of work its queue has not done yet, so one look is not enough: two looks must agree.
   */
  private async settle(): Promise<{ events: unknown[]; counts: Record<string, string> }> {
    await this.roundTrip();
    let before = "";
    let counts: Record<string, string> = {};
    // RabbitMQ returns a closed channel's messages once the client has agreed, PolyMQ at once.
    const closed = new Set<number>();
    const events: Incoming[] = [];
    for (let looks = 0; looks < 200; looks++) {
      events.push(...this.raw.incoming.splice(0));
      await this.reopenClosed(events, closed);
      counts = await this.counts();
      const now = JSON.stringify([counts, events.length + this.raw.incoming.length]);
      if (now === before) break;
      before = now;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    }
    events.push(...this.raw.incoming.splice(0));
    const seen = [];
    for (let ch = 0; ch < CHANNELS; ch++) {
      const own = events.filter((event) => event.channel === ch + 1);
      // A broker may deliver a message before or after it confirms it: each has its own order.
      const [deliveries, replies] = [true, false].map((wanted) =>
        own
          .filter((event) => (event.name === "basic.deliver") === wanted)
          .map((event) => this.describe(event, ch)),
      );
      seen.push({ replies, deliveries });
      if (closed.has(ch)) this.unsettled[ch] = [];
    }
    const hard = events.find((event) => event.channel === 0 && event.name === "connection.close");
    if (hard) {
      seen.push([this.describe(hard, -1)]);
      this.raw.destroy();
      await this.connect();
    }
    return { events: seen, counts };
  }

  private async reopenClosed(events: Incoming[], closed: Set<number>): Promise<void> {
    for (let ch = 0; ch < CHANNELS; ch++) {
      if (closed.has(ch) || this.raw.isClosed) continue;
      const isClose = (event: Incoming) => event.name === "channel.close" && event.channel === ch + 1;
      if (!events.some(isClose)) continue;
      closed.add(ch);
      this.raw.send("channel.close-ok", ch + 1);
      await this.open(ch);
    }
  }

  /** Everything sent so far has been read by every channel of the broker. */
  private async roundTrip(): Promise<void> {
    for (let ch = 0; ch < CHANNELS; ch++) {
      if (this.raw.incoming.some((event) => event.name.endsWith(".close") && event.channel % (ch + 1) === 0))
        continue;
      this.raw.send("channel.flow", ch + 1, { active: true });
      const done = (event: Incoming) =>
        (event.channel === ch + 1 && ["channel.flow-ok", "channel.close"].includes(event.name)) ||
        event.name === "connection.close";
      await this.raw.until(() => this.raw.incoming.some(done) || this.raw.isClosed, "a round trip");
    }
    const rest = this.raw.incoming.filter((event) => event.name !== "channel.flow-ok");
    this.raw.incoming.splice(0, this.raw.incoming.length, ...rest);
  }

  private async counts(): Promise<Record<string, string>> {
    const counts: Record<string, string> = {};
    for (const queue of QUEUES) {
      const reply = await this.observer.call("queue.declare", OBSERVER, {
        queue: this.name(queue),
        passive: true,
      });
      if (reply.name === "queue.declare-ok") {
        counts[queue] = `${reply.args.messageCount} ready, ${reply.args.consumerCount} consumers`;
        continue;
      }
      counts[queue] = String(reply.args.replyCode);
      this.observer.send("channel.close-ok", OBSERVER);
      await this.observer.openChannel(OBSERVER);
    }
    return counts;
  }

  private describe(event: Incoming, ch: number): unknown {
    const { name, args, properties, body } = event;
    const source = name === "basic.get-ok" ? `get ${ch}` : args.consumerTag;
    if ((name === "basic.get-ok" || name === "basic.deliver") && !this.autoAcked.has(source)) {
      this.unsettled[ch]?.push(args.deliveryTag);
    }
    // One broker may confirm two publishes with one frame; how it groups them is its own affair.
    if (name === "basic.ack") return "confirmed";
    if (name === "basic.nack") return "refused";
    const text = JSON.stringify({ name, args, properties, body: body?.toString() });
    return normalise(JSON.parse(text.replaceAll(this.prefix, "$")));
  }

  private async cleanUp(): Promise<void> {
    this.raw.destroy();
    for (const queue of QUEUES)
      await this.observer.call("queue.delete", OBSERVER, { queue: this.name(queue) });
    for (const name of EXCHANGES)
      await this.observer.call("exchange.delete", OBSERVER, { exchange: this.name(name) });
    await this.observer.close();
  }
}

/** Removes what differs by nature: times, and headers that only newer releases add. */
function normalise(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalise);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value)
    .filter(([key]) => !key.startsWith("x-last-death-"))
    .map(([key, item]) => [key, /^T:\d+$/.test(String(item)) ? "T" : normalise(item)]);
  return Object.fromEntries(entries);
}
