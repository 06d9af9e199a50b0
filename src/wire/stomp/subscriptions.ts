import type { TypedValue } from "../../message/values.ts";
import type { Frame } from "./codec/frame.ts";
import { DestinationError, parseDestination } from "./destination.ts";
import { StompError } from "./errors.ts";
import type { Link } from "./link.ts";
import { count } from "./queue-arguments.ts";
import type { Source, Sources } from "./sources.ts";
import { type AckMode, parseMessageId, Subscription } from "./subscription.ts";
import type { KeptSettlement } from "./transaction.ts";

type Get = (name: string) => string | undefined;

const PREFETCH_MAX = 65_535;
/** Asked for by some clients; whoever asks must not get what he wanted left out. */
const FILTERS = ["selector", "browser", "no-local", "activemq.noLocal", "activemq.retroactive"];
const STREAM_ARGUMENTS = ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

interface Consuming {
  readonly ack: AckMode;
  readonly prefetch: number;
  readonly priority: number;
  readonly exclusive: boolean;
  readonly arguments: Map<string, TypedValue>;
}

/** The subscriptions of one connection, also those that have ended with deliveries still open. */
export class Subscriptions {
  private readonly link: Link;
  private readonly sources: Sources;
  private readonly active = new Map<string, Subscription>();
  private readonly ended = new Map<string, Subscription>();

  constructor(link: Link, sources: Sources) {
    this.link = link;
    this.sources = sources;
  }

  has(id: string): boolean {
    return this.active.has(id);
  }

  /** SUBSCRIBE. Messages come once `announce` was called. */
  subscribe(frame: Frame, destination: string, id: string): Subscription {
    const { version, dialect } = this.link;
    const get: Get = (name) => frame.get(name, version);
    if (this.active.has(id)) {
      const detail = `A subscription identified by '${id}' already exists.`;
      throw new StompError("Duplicated subscription identifier", detail);
    }
    for (const name of FILTERS) {
      const value = get(name);
      if (value !== undefined && value !== "false")
        throw new StompError("not_implemented", `'${name}' is not supported: no message is filtered here`);
    }
    const consuming = this.consuming(get);
    const [only, ...others] = parseDestination(destination, dialect);
    if (only === undefined || others.length > 0)
      throw new DestinationError("subscribe to one destination at a time");
    return this.consume(id, this.sources.find(only, destination, id, get), consuming);
  }

  private consuming(get: Get): Consuming {
    const activemq = this.link.dialect === "activemq";
    const ack = get("ack") ?? "auto";
    if (ack !== "auto" && ack !== "client" && ack !== "client-individual")
      throw new StompError("Invalid ack mode", `'${ack}' is none of auto, client, client-individual`);
    const prefetch = get("prefetch-count") ?? (activemq ? get("activemq.prefetchSize") : undefined) ?? "0";
    const priority = get("x-priority") ?? (activemq ? get("activemq.priority") : undefined) ?? "0";
    if (!/^-?\d{1,9}$/.test(priority))
      throw new StompError("Invalid header", `malformed x-priority: '${priority}'`);
    const args = new Map<string, TypedValue>();
    for (const name of STREAM_ARGUMENTS) {
      const value = get(name);
      if (value !== undefined) args.set(name, streamArgument(name, value));
    }
    return {
      ack,
      prefetch: count("prefetch-count", prefetch, PREFETCH_MAX),
      priority: Number(priority),
      exclusive: activemq && get("activemq.exclusive") === "true",
      arguments: args,
    };
  }

  /** Begins to read `source`; what a temporary queue in reply-to does by itself. */
  consume(id: string, source: Source, consuming: Consuming = AUTOMATIC): Subscription {
    const { session, sessionId } = this.link;
    const { ack, ...rest } = consuming;
    const subscription = new Subscription(this.link, { id, ack, ...source }, (gone) => this.cancelled(gone));
    try {
      const wanted = { tag: `${sessionId}/${id}`, noAck: ack === "auto", ...rest };
      subscription.attach(session.consume(source.queue, wanted, subscription, subscription.ledger));
    } catch (error) {
      subscription.ledger.close();
      throw error;
    }
    this.ended.get(id)?.ledger.close();
    this.ended.delete(id);
    this.active.set(id, subscription);
    return subscription;
  }

  /** UNSUBSCRIBE. A durable subscription's queue goes only when the client says so. */
  unsubscribe(frame: Frame, id: string): void {
    const { version, session, dialect } = this.link;
    const subscription = this.active.get(id);
    const name = dialect === "activemq" ? frame.get("activemq.subscriptionName", version) : undefined;
    if (subscription !== undefined) {
      const forGood = frame.get("durable", version) === "true" || frame.get("persistent", version) === "true";
      this.end(subscription, forGood);
    } else if (name !== undefined) session.queueDelete(this.sources.activemqName(name), false, false);
    else {
      const detail = `UNSUBSCRIBE must refer to an existing subscription. Subscription to '${id}' not found.`;
      throw new StompError("No subscription found", detail);
    }
  }

  private end(subscription: Subscription, forGood: boolean): void {
    const { id, queue, ownsQueue } = subscription.options;
    this.active.delete(id);
    subscription.cancel();
    if (ownsQueue || forGood) {
      subscription.ledger.close();
      this.link.session.queueDelete(queue, false, false);
    } else if (subscription.ledger.unsettled > 0) this.ended.set(id, subscription);
    else subscription.ledger.close();
  }

  private cancelled(subscription: Subscription): void {
    const { id } = subscription.options;
    this.active.delete(id);
    subscription.ledger.close();
    this.link.subscriptionCancelled(id);
  }

  /** What an ACK or NACK with this message id settles. @throws StompError */
  settlement(id: string, accept: boolean, requeue: boolean): KeptSettlement {
    const named = parseMessageId(id, this.link.sessionId);
    if (named === null && !/^T_.*@@.*@@\d+$/s.test(id))
      throw new StompError("Invalid header", `${JSON.stringify(id)} is no message's id`);
    const key = named?.subscription ?? "";
    const subscription = this.active.get(key) ?? this.ended.get(key);
    if (named === null || subscription === undefined)
      throw new StompError(
        "Subscription not found",
        `Message with id ${JSON.stringify(id)} has no subscription`,
      );
    const { ack } = subscription.options;
    if (ack === "auto")
      throw new StompError("precondition_failed", `messages of '${key}' are acknowledged as they are sent`);
    return { ledger: subscription.ledger, tag: named.tag, multiple: ack === "client", accept, requeue };
  }

  /** Lets go of ended subscriptions whose last delivery is settled. */
  forgetEnded(): void {
    for (const [id, subscription] of this.ended) {
      if (subscription.ledger.unsettled > 0) continue;
      this.ended.delete(id);
      subscription.ledger.close();
    }
  }

  resume(): void {
    for (const subscription of this.active.values()) subscription.resume();
  }

  close(): void {
    for (const subscription of this.active.values()) subscription.cancel();
  }
}

const AUTOMATIC: Consuming = {
  ack: "auto",
  prefetch: 0,
  priority: 0,
  exclusive: false,
  arguments: new Map(),
};

/** "first", "last", "next", "offset=N", "timestamp=SECONDS"; anything else as it is. */
function streamArgument(name: string, value: string): TypedValue {
  const match = name === "x-stream-offset" ? /^(offset|timestamp)=(\d{1,15})$/.exec(value) : null;
  if (match !== null) return { type: match[1] === "offset" ? "int64" : "timestamp", value: Number(match[2]) };
  if (name === "x-stream-match-unfiltered") return { type: "bool", value: value === "true" };
  return { type: "string", value };
}
