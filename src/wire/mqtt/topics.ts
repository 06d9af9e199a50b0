import { copyBytes } from "../../base/copy-bytes.ts";
import type { Route, Session } from "../../broker/index.ts";
import { asBuffer } from "../../message/record.ts";
import { checkText } from "./codec/reader.ts";
import { MqttError, REASON } from "./reasons.ts";
import {
  copySwapped,
  isTopicName,
  QUEUE_TOPIC_PREFIX,
  queueOfTopic,
  swapSeparators,
  TOPIC_EXCHANGE,
} from "./topic.ts";

const SLOTS = 64;
/** A key of that many bytes or more says so, and goes on to the end of the routing. */
const KEY_BYTES_LONG = 255;

/** A topic that this client publishes to. */
export class Topic {
  readonly bytes: Uint8Array;
  /** [u8 length, exchange][u8 length, key], for the record. */
  readonly routing: Uint8Array;
  /** To a queue by name: nothing is kept, and nobody else sees it. */
  readonly direct: boolean;
  route: Route;

  constructor(bytes: Uint8Array, routing: Uint8Array, direct: boolean, route: Route) {
    this.bytes = bytes;
    this.routing = routing;
    this.direct = direct;
    this.route = route;
  }
}

/**
 * Routes by the bytes of the topic as they stand in PUBLISH, so that a publisher that keeps to a few
 * topics never decodes a string. One per connection; a slot is taken over by the next topic that falls into it.
 */
export class Topics {
  private readonly session: Session;
  private topics: (Topic | undefined)[] = [];
  private last: Topic | undefined;
  private accessRevision: number;

  constructor(session: Session) {
    this.session = session;
    this.accessRevision = session.accessRevision;
  }

  /** Forgets what the user was allowed before; to be called once for each chunk that was read. */
  refresh(): void {
    const { accessRevision } = this.session;
    if (accessRevision === this.accessRevision) return;
    this.accessRevision = accessRevision;
    this.topics = [];
    this.last = undefined;
  }

  /** @throws MqttError malformed, topic name invalid, not authorized; BrokerError */
  find(bytes: Uint8Array, at: number, end: number): Topic {
    const { last } = this;
    if (last?.route.valid && equal(last.bytes, bytes, at, end)) return last;
    const slot = slotOf(bytes, at, end);
    let topic = this.topics[slot];
    if (topic === undefined || !topic.route.valid || !equal(topic.bytes, bytes, at, end)) {
      topic = this.resolve(bytes, at, end);
      this.topics[slot] = topic;
    }
    this.last = topic;
    return topic;
  }

  private resolve(bytes: Uint8Array, at: number, end: number): Topic {
    checkText(bytes, at, end);
    if (!isTopicName(bytes, at, end)) throw new MqttError(REASON.topicNameInvalid, "no topic name");
    const name = asBuffer(bytes).toString("utf8", at, end);
    if (name.startsWith("$SYS/") || name.startsWith("$share/") || name === "$SYS") {
      throw new MqttError(REASON.notAuthorized, `'${name}' is written by the broker alone`);
    }
    const copy = copyBytes(bytes, at, end);
    const queue = queueOfTopic(name);
    if (queue !== null) {
      const routing = routingOf("", Buffer.from(queue));
      return new Topic(copy, routing, true, this.session.route("", queue));
    }
    if (name.startsWith(QUEUE_TOPIC_PREFIX))
      throw new MqttError(REASON.topicNameInvalid, `'${name}' names no queue`);
    const key = new Uint8Array(copy.length);
    copySwapped(copy, 0, copy.length, key, 0);
    const route = this.session.route(TOPIC_EXCHANGE, swapSeparators(name));
    return new Topic(copy, routingOf(TOPIC_EXCHANGE, key), false, route);
  }
}

function routingOf(exchange: string, key: Uint8Array): Uint8Array {
  const name = Buffer.from(exchange);
  const length = Math.min(key.length, KEY_BYTES_LONG);
  return new Uint8Array(Buffer.concat([Buffer.of(name.length), name, Buffer.of(length), key]));
}

function equal(known: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean {
  const length = known.length;
  if (length !== end - at) return false;
  // From the end: topics differ there first.
  for (let i = length - 1; i >= 0; i--) if (known[i] !== bytes[at + i]) return false;
  return true;
}

function slotOf(bytes: Uint8Array, at: number, end: number): number {
  let hash = end - at;
  for (let i = Math.max(at, end - 12); i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  return (hash ^ (hash >>> 8)) & (SLOTS - 1);
}
