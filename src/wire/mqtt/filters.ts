import { copyBytes } from "../../base/copy-bytes.ts";
import { type TopicSyntax, TopicTree } from "../../base/topic-tree.ts";
import type { Content } from "./message.ts";
import { beginsWild, type Filter, isHidden } from "./topic.ts";

const SYNTAX: TopicSyntax = { separator: "/", one: "+", many: "#" };

/** What a client asked for, and was granted. */
export interface Subscription {
  readonly filter: Filter;
  readonly qos: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: number;
  /** Subscription identifier; 0 = none. */
  readonly id: number;
}

/** All that a client's subscriptions say of one topic. */
export interface Grant {
  /** The highest of all that match; -1 when none does. */
  readonly qos: number;
  readonly retainAsPublished: boolean;
  /** Identifiers of all that match and have one. */
  readonly ids: readonly number[];
}

const NO_IDS: readonly number[] = [];
const NOTHING: Grant = { qos: -1, retainAsPublished: false, ids: NO_IDS };
/** Topics that a client's grants are remembered for. */
const SLOTS = 64;

/**
 * Subscriptions of one client. The broker routes; this says what each message that arrives was wanted for,
 * so that overlapping subscriptions give one copy with the highest QoS and all identifiers (3.3.4).
 */
export class Filters {
  private readonly clientId: Uint8Array;
  private readonly map = new Map<string, Subscription>();
  private readonly tree = new TopicTree<Subscription>(SYNTAX);
  private readonly shared = new TopicTree<Subscription>(SYNTAX);
  private lastTopic: Uint8Array | null = null;
  private lastGrant: Grant = NOTHING;
  private topics: (Uint8Array | undefined)[] = [];
  private grants: (Grant | undefined)[] = [];
  private localCount = 0;

  constructor(clientId: string) {
    this.clientId = Buffer.from(clientId);
  }

  get size(): number {
    return this.map.size;
  }

  /** Some subscription does not want what this client publishes itself. */
  get marksOwn(): boolean {
    return this.localCount > 0;
  }

  get publisherId(): Uint8Array {
    return this.clientId;
  }

  get(text: string): Subscription | undefined {
    return this.map.get(text);
  }

  all(): Iterable<Subscription> {
    return this.map.values();
  }

  /** Replaces the subscription with the same filter. */
  add(subscription: Subscription): void {
    const { filter } = subscription;
    this.remove(filter.text);
    this.map.set(filter.text, subscription);
    this.treeOf(filter).add(filter.pattern, subscription);
    if (subscription.noLocal) this.localCount++;
    this.forget();
  }

  remove(text: string): Subscription | undefined {
    const old = this.map.get(text);
    if (old === undefined) return undefined;
    this.map.delete(text);
    this.treeOf(old.filter).remove(old.filter.pattern, old);
    if (old.noLocal) this.localCount--;
    this.forget();
    return old;
  }

  private treeOf(filter: Filter): TopicTree<Subscription> {
    return filter.share === null ? this.tree : this.shared;
  }

  private forget(): void {
    this.lastTopic = null;
    this.topics = [];
    this.grants = [];
  }

  /** What the message in `content` was wanted for. */
  match(content: Content): Grant {
    if (content.publisherAt >= 0 && this.localCount > 0 && content.isFrom(this.clientId)) {
      return this.find(content, true);
    }
    const { bytes, topicAt, topicBytes } = content;
    const last = this.lastTopic;
    if (last !== null && equal(last, bytes, topicAt, topicBytes)) return this.lastGrant;
    const slot = slotOf(bytes, topicAt, topicBytes);
    let topic = this.topics[slot];
    let grant = this.grants[slot];
    if (topic === undefined || grant === undefined || !equal(topic, bytes, topicAt, topicBytes)) {
      grant = this.find(content, false);
      topic = copyBytes(bytes, topicAt, topicAt + topicBytes);
      this.topics[slot] = topic;
      this.grants[slot] = grant;
    }
    this.lastTopic = topic;
    this.lastGrant = grant;
    return grant;
  }

  private find(content: Content, own: boolean): Grant {
    const topic = content.topic();
    const hidden = isHidden(content.bytes, content.topicAt);
    const found: Subscription[] = [];
    const visit = (subscription: Subscription): void => {
      // [MQTT-4.7.2-1]
      if (hidden && beginsWild(subscription.filter.pattern)) return;
      if (own && subscription.noLocal) return;
      found.push(subscription);
    };
    this.tree.match(topic, visit);
    // A message that a shared queue gave to this client for good.
    if (found.length === 0) this.shared.match(topic, visit);
    return found.length === 0 ? NOTHING : grantOf(found);
  }
}

export function grantOf(subscriptions: readonly Subscription[]): Grant {
  let qos = -1;
  let retainAsPublished = false;
  const ids: number[] = [];
  for (const subscription of subscriptions) {
    qos = Math.max(qos, subscription.qos);
    if (subscription.retainAsPublished) retainAsPublished = true;
    if (subscription.id !== 0) ids.push(subscription.id);
  }
  return { qos, retainAsPublished, ids: ids.length === 0 ? NO_IDS : ids };
}

function equal(known: Uint8Array, bytes: Uint8Array, at: number, length: number): boolean {
  if (known.length !== length) return false;
  // From the end: topics differ there first.
  for (let i = length - 1; i >= 0; i--) if (known[i] !== bytes[at + i]) return false;
  return true;
}

function slotOf(bytes: Uint8Array, at: number, length: number): number {
  let hash = length;
  const end = at + length;
  for (let i = Math.max(at, end - 12); i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  return (hash ^ (hash >>> 8)) & (SLOTS - 1);
}
