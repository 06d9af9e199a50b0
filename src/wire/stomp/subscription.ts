import { copyBytes } from "../../base/copy-bytes.ts";
import type { Consumer, ConsumerSink, Delivery, Ledger } from "../../broker/index.ts";
import type { RecordReader } from "../../message/reader.ts";
import { ORIGIN_STOMP, type RecordView } from "../../message/record.ts";
import { FrameWriter } from "./codec/frame.ts";
import { destinationOf } from "./destination.ts";
import { annotationHeaders, headersOf } from "./headers.ts";
import type { Link } from "./link.ts";
import { StompContent } from "./native.ts";
import type { Source } from "./sources.ts";

export type AckMode = "auto" | "client" | "client-individual";

/** What was asked for, and where it is read from. */
export interface SubscriptionOptions extends Source {
  /** The client's id, or what stands for it. */
  readonly id: string;
  readonly ack: AckMode;
}

const writer = new FrameWriter();
const content = new StompContent();
const NOTHING: ReadonlySet<string> = new Set();
const EXPIRATION: ReadonlySet<string> = new Set(["expiration", "expires"]);

/** One subscription of a client, with the deliveries that it has not acknowledged. */
export class Subscription implements ConsumerSink {
  readonly options: SubscriptionOptions;
  readonly ledger: Ledger;
  private readonly link: Link;
  private readonly onCancelled: (subscription: Subscription) => void;
  private readonly prefix: string;
  private consumer: Consumer | null = null;
  /** Messages must not overtake a receipt that says that the subscription stands. */
  private announced = false;
  private lastRouting: Uint8Array = new Uint8Array(0);
  private lastDestination = "";

  constructor(link: Link, options: SubscriptionOptions, onCancelled: (subscription: Subscription) => void) {
    this.link = link;
    this.options = options;
    this.onCancelled = onCancelled;
    this.ledger = link.session.openLedger();
    writer.begin("MESSAGE");
    writer.header("subscription", options.id, link.version);
    this.prefix = writer.buffer.toString("utf8", 0, writer.length);
  }

  get writable(): boolean {
    return this.announced && !this.link.outbox.full;
  }

  attach(consumer: Consumer): void {
    this.consumer = consumer;
  }

  announce(): void {
    this.announced = true;
    this.consumer?.resume();
  }

  resume(): void {
    if (this.announced) this.consumer?.resume();
  }

  /** No messages after this; what is not acknowledged stays open. */
  cancel(): void {
    this.announced = false;
    this.consumer?.cancel();
    this.consumer = null;
  }

  cancelled(): void {
    this.announced = false;
    this.consumer = null;
    this.onCancelled(this);
  }

  /** Id of a delivery: names subscription and tag, and is unique in the connection's life. */
  private messageId(tag: number): string {
    return `T_${this.options.id}@@${this.link.sessionId}@@${tag}`;
  }

  deliver(delivery: Delivery): void {
    const { link, options } = this;
    if (!link.live) return;
    const { version } = link;
    const { record } = delivery;
    writer.length = 0;
    writer.utf8(this.prefix);
    writer.header("destination", options.destination ?? this.destination(record), version);
    const id = this.messageId(delivery.tag);
    writer.header("message-id", id, version);
    writer.ascii(delivery.redelivered ? "redelivered:true\n" : "redelivered:false\n");
    if (version === 2 && options.ack !== "auto") writer.header("ack", id, version);
    const annotations = record.annotationsLength === 0 ? null : record.annotations();
    const own = record.origin === ORIGIN_STOMP;
    const body = own
      ? this.ownHeaders(record, annotations?.expirationRemoved === true)
      : this.foreignHeaders(record);
    if (annotations !== null || delivery.deliveryCount > 0) {
      for (const [name, value] of annotationHeaders(annotations, delivery.deliveryCount))
        writer.header(name, value, version);
    }
    // For ActiveMQ's clients a message without a length is one of text.
    if (link.dialect !== "activemq" || !own || content.sized)
      writer.ascii(`content-length:${body.end - body.start}\n`);
    writer.octet(0x0a);
    link.outbox.copy(writer.buffer, 0, writer.length);
    if (body.end > body.start) link.outbox.copy(body.bytes, body.start, body.end - body.start);
    link.outbox.copy(NUL_LF, 0, 2);
  }

  private ownHeaders(record: RecordView, expirationRemoved: boolean): Body {
    const { version } = this.link;
    content.locate(record);
    if (content.fits(version) && !expirationRemoved)
      writer.raw(content.bytes, content.headersAt, content.headersEnd);
    else {
      const lines = content.linesFor(version, expirationRemoved ? EXPIRATION : NOTHING);
      writer.raw(lines, 0, lines.length);
    }
    body.bytes = content.bytes;
    body.start = content.headersEnd;
    body.end = content.bodyEnd;
    return body;
  }

  private foreignHeaders(record: RecordView): Body {
    const { version, dialect, readers } = this.link;
    const pivot = (readers.get(record.origin) as RecordReader).pivot(record);
    body.bytes = pivot.body ?? EMPTY;
    body.start = 0;
    body.end = body.bytes.length;
    for (const [name, value] of headersOf(pivot, dialect)) writer.header(name, value, version);
    return body;
  }

  private destination(record: RecordView): string {
    const { bytes, routingOffset: at, routingLength } = record;
    const last = this.lastRouting;
    let same = last.length === routingLength;
    for (let i = 0; same && i < routingLength; i++) same = last[i] === bytes[at + i];
    if (!same) {
      this.lastRouting = copyBytes(bytes, at, at + routingLength);
      this.lastDestination = destinationOf(record.exchange(), record.routingKey(), this.link.dialect);
    }
    return this.lastDestination;
  }
}

interface Body {
  bytes: Uint8Array;
  start: number;
  end: number;
}

const body: Body = { bytes: new Uint8Array(0), start: 0, end: 0 };
const EMPTY = new Uint8Array(0);
const NUL_LF = Buffer.from("\0\n");

/** Subscription and tag that an id names, or null. */
export function parseMessageId(
  id: string,
  sessionId: string,
): { readonly subscription: string; readonly tag: number } | null {
  const tail = id.lastIndexOf("@@");
  const middle = `@@${sessionId}`;
  if (!id.startsWith("T_") || tail < 0 || !id.slice(0, tail).endsWith(middle)) return null;
  const tag = id.slice(tail + 2);
  if (!/^[1-9]\d{0,15}$/.test(tag)) return null;
  return { subscription: id.slice(2, tail - middle.length), tag: Number(tag) };
}
