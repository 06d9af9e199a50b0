import { LARGE_CHUNK_BYTES } from "../../base/arena.ts";
import type { Consumer, ConsumerSink, Delivery } from "../../broker/index.ts";
import {
  ORIGIN_AMQP091,
  RECORD_HEADER_BYTES,
  RECORD_ORIGIN_OFFSET,
  readU32,
  writeU32,
} from "../../message/record.ts";
import { FRAME_END, FRAME_HEAD_BYTES, FRAME_METHOD } from "./codec/frame.ts";
import { Writer } from "./codec/writer.ts";
import { patchChannel, sendRecord } from "./content.ts";
import type { Link } from "./link.ts";
import { writeRouting } from "./long-key.ts";
import { headerChange, NO_DELIVERY_COUNT, withPlace } from "./rebuild.ts";
import type { DeliveryPosition } from "./transaction.ts";

const BASIC_DELIVER = 0x003c003c;
const TWO_32 = 0x100000000;
/** Frame head, class and method, length of the consumer tag. */
const TAG_AT = 12;

const method = new Writer();

let view: DataView = new DataView(new ArrayBuffer(0));

/** A view of output memory, which starts its ArrayBuffer; there is one in a process, several only in tests. */
function viewOf(bytes: Uint8Array): DataView {
  if (view.buffer !== bytes.buffer) view = new DataView(bytes.buffer);
  return view;
}

/**
 * A subscription of an AMQP client. Lives from basic.consume to basic.cancel, the end of its channel
 * or that of its queue.
 *
 *     +------------+--------+-----+-----------+----------+-------------+---------+--------+
 *     | frame head | 60, 60 | tag | delivery  | redeliv. | exchange    | 0xCE,   | body   |
 *     |            |        |     | tag       |          | routing key | header  |        |
 *     +------------+--------+-----+-----------+----------+-------------+---------+--------+
 *      prefix: per consumer, but for three fields         routing        native
 */
export class AmqpConsumer implements ConsumerSink {
  readonly tag: string;
  readonly queue: string;
  private readonly link: Link;
  private readonly channel: number;
  private readonly countsDeliveries: boolean;
  private readonly position: DeliveryPosition;
  private readonly onCancelled: (consumer: AmqpConsumer) => void;
  private readonly prefix: Uint8Array;
  /** The same in words, with up to three octets too many. */
  private readonly prefixWords: Int32Array;
  /** Deliveries must not overtake basic.consume-ok. */
  private announced = false;
  private consumer: Consumer | null = null;

  constructor(
    link: Link,
    channel: number,
    tag: string,
    queue: string,
    countsDeliveries: boolean,
    position: DeliveryPosition,
    onCancelled: (consumer: AmqpConsumer) => void,
  ) {
    this.link = link;
    this.channel = channel;
    this.tag = tag;
    this.queue = queue;
    this.countsDeliveries = countsDeliveries;
    this.position = position;
    this.onCancelled = onCancelled;
    const tagBytes = Buffer.from(tag);
    this.prefix = new Uint8Array(TAG_AT + tagBytes.length + 9);
    this.prefix[0] = FRAME_METHOD;
    this.prefix[1] = channel >>> 8;
    this.prefix[2] = channel;
    writeU32(this.prefix, 7, BASIC_DELIVER);
    this.prefix[TAG_AT - 1] = tagBytes.length;
    this.prefix.set(tagBytes, TAG_AT);
    this.prefixWords = wordsOf(this.prefix);
  }

  get writable(): boolean {
    return this.announced && !this.link.outbox.full;
  }

  attach(consumer: Consumer): void {
    this.consumer = consumer;
  }

  /** basic.consume-ok is written: deliveries may follow. */
  announce(): void {
    this.announced = true;
    this.consumer?.resume();
  }

  resume(): void {
    if (this.announced) this.consumer?.resume();
  }

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

  deliver(delivery: Delivery): void {
    if (!this.link.live) return;
    const record = delivery.record;
    const source = record.bytes;
    const start = record.offset;
    const bodyBytes = readU32(source, start + 12);
    const counted = this.countsDeliveries && delivery.deliveryCount > 0;
    const count = counted ? delivery.deliveryCount : NO_DELIVERY_COUNT;
    if (
      source[start + RECORD_ORIGIN_OFFSET] !== ORIGIN_AMQP091 ||
      readU32(source, start + 8) !== 0 ||
      bodyBytes > this.link.bodyPartBytesMax ||
      counted ||
      delivery.streamOffset >= 0
    ) {
      this.deliverRebuilt(delivery, count);
      return;
    }
    const routingLength = ((source[start + 6] as number) << 8) | (source[start + 7] as number);
    const contentAt = start + RECORD_HEADER_BYTES;
    const contentBytes = start + record.length - contentAt;
    const total = this.prefix.length + contentBytes;
    if (total <= LARGE_CHUNK_BYTES)
      this.deliverWhole(delivery, contentAt, contentBytes, routingLength, bodyBytes);
    else this.deliverRebuilt(delivery, NO_DELIVERY_COUNT);
  }

  /** The plain case: one reservation, one copy of routing and content, channel numbers patched. */
  private deliverWhole(
    delivery: Delivery,
    contentAt: number,
    contentBytes: number,
    routingLength: number,
    bodyBytes: number,
  ): void {
    const outbox = this.link.outbox;
    const prefixBytes = this.prefix.length;
    const total = prefixBytes + contentBytes;
    const at = outbox.reserve(total);
    const bytes = outbox.bytes;
    const words = this.prefixWords;
    const output = viewOf(bytes);
    // Words, not octets: 15 ns against 100. What they overshoot is written over by the content.
    for (let i = 0; i < words.length; i++) output.setInt32(at + (i << 2), words[i] as number);
    const target = at + prefixBytes;
    const tag = delivery.tag;
    this.position.tag = tag;
    output.setUint32(at + 3, prefixBytes - FRAME_HEAD_BYTES + routingLength);
    output.setUint32(target - 9, (tag / TWO_32) >>> 0);
    output.setUint32(target - 5, tag >>> 0);
    bytes[target - 1] = delivery.redelivered ? 1 : 0;
    const source = delivery.record.bytes;
    if (source === bytes) bytes.copyWithin(target, contentAt, contentAt + contentBytes);
    else bytes.set(source.subarray(contentAt, contentAt + contentBytes), target);
    patchChannel(bytes, target + routingLength, this.channel, bodyBytes);
    outbox.advance(total);
  }

  private writePrefix(bytes: Uint8Array, at: number, delivery: Delivery, routingLength: number): void {
    const length = this.prefix.length;
    bytes.set(this.prefix, at);
    writeU32(bytes, at + 3, length - FRAME_HEAD_BYTES + routingLength);
    const tagAt = at + length - 9;
    const tag = delivery.tag;
    this.position.tag = tag;
    writeU32(bytes, tagAt, (tag / TWO_32) >>> 0);
    writeU32(bytes, tagAt + 4, tag >>> 0);
    bytes[tagAt + 8] = delivery.redelivered ? 1 : 0;
  }

  /** Annotated, large or foreign messages: the header is written anew and the body split as needed. */
  private deliverRebuilt(delivery: Delivery, deliveryCount: number): void {
    const { record } = delivery;
    method.reset();
    const at = method.room(this.prefix.length);
    writeRouting(method, record);
    this.writePrefix(method.buffer, at, delivery, method.length - at - this.prefix.length);
    method.octet(FRAME_END);
    const { outbox, bodyPartBytesMax } = this.link;
    const { readers } = this.link.context;
    const change = withPlace(headerChange(record.annotations(), deliveryCount), delivery);
    sendRecord(outbox, this.channel, bodyPartBytesMax, method, record, change, readers);
  }
}

function wordsOf(bytes: Uint8Array): Int32Array {
  const padded = new DataView(new ArrayBuffer((bytes.length + 3) & ~3));
  for (let i = 0; i < bytes.length; i++) padded.setUint8(i, bytes[i] as number);
  return Int32Array.from({ length: padded.byteLength / 4 }, (_, i) => padded.getInt32(i * 4));
}
