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
  TX_CHANNEL,
} from "./script.ts";

const OBSERVER = 100;
/** On the connection that plays: the only one that sees its exclusive queues. */
const COUNTER = CHANNELS + 1;
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
  /** Settled in the transaction that is open: a rollback brings them back. */
  private settledInTx: number[] = [];
  private readonly queueOf = new Map<string, string>();
  /**
   * Two queues delivered to one channel at once: which comes first is a race in RabbitMQ, where each
   * queue is a process, and all tags after it depend on it. So the script ends there.
   */
  private raced = false;
  /** Consumers, and channels' last gets, whose deliveries want no acknowledgement. */
  private autoAcked = new Set<string>();

  private readonly kind: "classic" | "quorum";

  constructor(url: string, kind: "classic" | "quorum") {
    this.url = url;
    this.kind = kind;
  }

  /** The transcript: one entry per operation. */
  async play(script: Operation[]): Promise<unknown[]> {
    this.observer = await RawConnection.open(this.url);
    await this.observer.openChannel(OBSERVER);
    await this.connect();
    const transcript: unknown[] = [];
    try {
      for (const operation of script) {
        const aside = await this.perform(operation);
        transcript.push({ operation, ...(await this.settle()), ...(aside === undefined ? {} : { aside }) });
        if (this.raced) break;
      }
    } finally {
      await this.cleanUp();
    }
    return transcript;
  }

  private async connect(): Promise<void> {
    this.raw = await RawConnection.open(this.url, { keepTags: true });
    for (let ch = 0; ch < CHANNELS; ch++) await this.open(ch);
    await this.raw.openChannel(COUNTER);
  }
  private async open(ch: number): Promise<void> {
    await this.raw.openChannel(ch + 1);
    await this.raw.call(ch === TX_CHANNEL ? "tx.select" : "confirm.select", ch + 1);
    this.tags[ch] = [];
    this.unsettled[ch] = [];
    if (ch === TX_CHANNEL) this.settledInTx = [];
  }

  private name(short: string): string {
    return short === "" || short.startsWith("amq.") ? short : this.prefix + short;
  }
  /** Replaces `$q0` with this run's name of q0, anywhere in a structure. */
  private named<T>(value: T): T {
    return JSON.parse(JSON.stringify(value).replaceAll("$", this.prefix));
  }

  /** Returns what another connection was told, if one took part. */
  private async perform(operation: Operation): Promise<unknown> {
    const channel = operation.ch + 1;
    if (operation.op === "reopen") {
      this.raw.send("channel.close", channel, { replyCode: 200 });
      await this.raw.find("channel.close-ok", channel);
      await this.open(operation.ch);
    } else if (operation.op === "publish") {
      this.publish(channel, operation.exchange, operation.key, operation.message, operation.mandatory);
    } else if (operation.op === "send") {
      this.publish(channel, "", this.name(operation.queue), operation.message, false);
    } else if (operation.op === "intrude") {
      return this.intrude(operation.method, this.name(operation.queue));
    } else {
      const request = this.topologyRequest(operation) ?? this.messageRequest(operation);
      if (request) this.raw.send(request[0], channel, request[1]);
      if (operation.op === "txCommit") await this.answered(channel, "tx.commit-ok");
    }
    return undefined;
  }

  /** RabbitMQ takes no method on a channel that it still owes a tx.commit-ok (504). */
  private async answered(channel: number, name: string): Promise<void> {
    const answers = (event: Incoming): boolean =>
      event.name === "connection.close" ||
      (event.channel === channel && [name, "channel.close"].includes(event.name));
    await this.raw.until(() => this.raw.incoming.some(answers) || this.raw.isClosed, name);
  }

  /** Another connection tries something with a queue that may be exclusive, or in exclusive use. */
  private async intrude(method: string, queue: string): Promise<unknown> {
    const other = await RawConnection.open(this.url);
    await other.openChannel(1);
    const args = method === "queue.declare" ? { queue, passive: true } : { queue, consumerTag: "intruder" };
    const { name, args: reply } = await other.call(method, 1, args);
    other.destroy();
    const told = name === "channel.close" ? reply : {};
    return JSON.parse(JSON.stringify({ name, ...told }).replaceAll(this.prefix, "$"));
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
      case "txSelect":
        return ["tx.select", {}];
      case "confirmSelect":
        return ["confirm.select", {}];
      case "txCommit":
        if (operation.ch === TX_CHANNEL) this.settledInTx = [];
        return ["tx.commit", {}];
      case "txRollback":
        if (operation.ch === TX_CHANNEL) {
          this.unsettled[TX_CHANNEL]!.push(...this.settledInTx.splice(0));
          this.unsettled[TX_CHANNEL]!.sort((a, b) => a - b);
        }
        return ["tx.rollback", {}];
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
        this.queueOf.set(consumerTag, operation.queue);
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
    const settled = [tag!, ...(multiple ? open.filter((other) => other < tag!) : [])];
    this.unsettled[operation.ch] = open.filter((other) => !settled.includes(other));
    if (operation.ch === TX_CHANNEL) this.settledInTx.push(...settled);
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
      const queues = new Set(own.map((event) => this.queueOf.get(event.args.consumerTag)));
      queues.delete(undefined);
      if (queues.size > 1) this.raced = true;
      seen.push({
        replies: cancelsInOrder(replies as unknown[]),
        deliveries: queues.size > 1 ? withoutOrder(deliveries as unknown[]) : deliveries,
      });
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
      const ends = [0, ch + 1];
      if (this.raw.incoming.some((event) => event.name.endsWith(".close") && ends.includes(event.channel)))
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
      const seen = await this.count(this.observer, OBSERVER, queue);
      // Locked to the connection that plays: it may ask, unless it has just been closed.
      const ended = this.raw.isClosed || this.raw.incoming.some((event) => event.name === "connection.close");
      counts[queue] = seen === "405" && !ended ? await this.count(this.raw, COUNTER, queue) : seen;
    }
    return counts;
  }

  private async count(connection: RawConnection, channel: number, queue: string): Promise<string> {
    const request = { queue: this.name(queue), passive: true };
    connection.send("queue.declare", channel, request);
    const reply = await connection.next(channel);
    if (reply.name === "queue.declare-ok") {
      const { messageCount, consumerCount } = reply.args;
      // RabbitMQ's quorum queues count a get that is not acknowledged yet as a consumer.
      return this.kind === "quorum"
        ? `${messageCount} ready`
        : `${messageCount} ready, ${consumerCount} consumers`;
    }
    connection.send("channel.close-ok", channel);
    await connection.openChannel(channel);
    return String(reply.args.replyCode);
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
    // Not cut off: its exclusive queues are gone when it is answered.
    await this.raw.close();
    for (const queue of QUEUES)
      await this.observer.call("queue.delete", OBSERVER, { queue: this.name(queue) });
    for (const name of EXCHANGES)
      await this.observer.call("exchange.delete", OBSERVER, { exchange: this.name(name) });
    await this.observer.close();
  }
}

/** Consumers of a queue that goes are told by name (RabbitMQ) or by priority: nobody can rely on either. */
function cancelsInOrder(replies: unknown[]): unknown[] {
  const isCancel = (reply: unknown): boolean => (reply as { name?: string }).name === "basic.cancel";
  const cancels = replies.filter(isCancel).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return replies.map((reply) => (isCancel(reply) ? cancels.shift() : reply));
}

function withoutOrder(deliveries: unknown[]): unknown[] {
  return deliveries
    .map((delivery) => JSON.stringify(delivery, (key, value) => (key === "deliveryTag" ? undefined : value)))
    .sort();
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
