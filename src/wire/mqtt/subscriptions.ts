import { BrokerError } from "../../base/errors.ts";
import type { Session, StoredMessage } from "../../broker/index.ts";
import type { Table } from "../../message/values.ts";
import { bindFilter, unbindFilter } from "./bindings.ts";
import type { Subscribe, SubscribeOptions, Unsubscribe } from "./codec/subscribe.ts";
import { type Grant, grantOf, type Subscription } from "./filters.ts";
import type { Link } from "./link.ts";
import type { Content } from "./message.ts";
import { ownQueue, sharedQueue, volatileQueue } from "./names.ts";
import { fromBroker, protocolError, REASON } from "./reasons.ts";
import { RetainedFeed } from "./retained.ts";
import type { Space } from "./space.ts";
import type { QueueSink, Subscriber } from "./subscriber.ts";
import type { SysWatcher } from "./sys.ts";
import { type Filter, isFilterText, parseFilter, SYS_PREFIX } from "./topic.ts";

const NO_ARGUMENTS: Table = new Map();
/** Options of a queue that the operator decides. */
const CONFIGURED: ReadonlySet<string> = new Set(["deadLetterExchange", "retry"]);
/** QoS 0 that waits for a connection that does not read. */
const VOLATILE_LENGTH_MAX = 1000;
/** QoS 0 that waits behind QoS 1 and 2, or for the client's window. */
const TRANSIENT_BYTES_MAX = 1024 * 1024;

/** The queues, bindings and consumers of one connected client. */
export class Subscriptions implements SysWatcher {
  private readonly link: Link;
  private readonly space: Space;
  private readonly subscriber: Subscriber;
  private readonly feeds = new Set<RetainedFeed>();
  private volatileSink: QueueSink | null = null;
  private ownSink: QueueSink | null = null;
  private sharedSinks: Map<string, QueueSink> | null = null;

  constructor(link: Link, space: Space, subscriber: Subscriber) {
    this.link = link;
    this.space = space;
    this.subscriber = subscriber;
  }

  private get broker(): Session {
    return this.link.broker;
  }

  /** Takes up what a session is subscribed to that was there before. @throws BrokerError */
  resume(): void {
    const { session } = this.link;
    // Also without a subscription: what was begun is brought to its end [MQTT-3.10.4-3].
    if (session.durable && this.hasOwn()) this.ownName();
    for (const subscription of session.filters.all()) {
      const { filter, qos } = subscription;
      if (filter.share !== null) this.consumeShared(subscription);
      else if (isSys(filter)) this.link.sys.watch(this);
      else if (qos === 0) bindFilter(this.broker, this.volatileName(), filter.pattern);
      else this.ownName();
    }
    for (const text of session.unfed) {
      const subscription = session.filters.get(text);
      if (subscription === undefined) session.feeding(text, false);
      else this.feed(subscription);
    }
  }

  private hasOwn(): boolean {
    try {
      this.broker.queueCheck(ownQueue(this.link.session.clientId));
      return true;
    } catch (error) {
      if (error instanceof BrokerError && error.code === "queue-not-found") return false;
      throw error;
    }
  }

  // --- SUBSCRIBE -----------------------------------------------------------------------------------

  /** Returns a reason for each filter (3.9.3). @throws MqttError that ends the connection */
  subscribe(packet: Subscribe): { readonly reasons: number[]; readonly announced: () => void } {
    const id = packet.properties.subscriptionIds?.[0] ?? 0;
    const fed: Subscription[] = [];
    const reasons = packet.filters.map(({ filter, options }) => {
      try {
        return this.add(parseFilter(filter), options, id, fed);
      } catch (error) {
        const refusal = fromBroker(error);
        if (refusal.reason === REASON.protocolError) throw refusal;
        this.link.refused(refusal);
        // What topic permissions withhold is not for the client to know (3.9.3, 0x80).
        return isWithheld(error) ? REASON.unspecified : refusal.reason;
      }
    });
    const announced = (): void => {
      for (const subscription of fed) this.feed(subscription);
    };
    return { reasons, announced };
  }

  private add(filter: Filter, options: SubscribeOptions, id: number, fed: Subscription[]): number {
    const { session } = this.link;
    // [MQTT-3.8.3-4]
    if (filter.share !== null && options.noLocal) throw protocolError("no local on a shared subscription");
    const { qos, retainHandling } = options;
    const noLocal = options.noLocal || (this.link.bridge && filter.share === null);
    const retainAsPublished = options.retainAsPublished || this.link.bridge;
    const subscription: Subscription = { filter, qos, noLocal, retainAsPublished, retainHandling, id };
    const old = session.filters.get(filter.text);
    if (filter.share !== null) this.share(subscription);
    else if (!isSys(filter)) this.bind(subscription, old);
    session.subscribe(subscription);
    const wanted = retainHandling === 0 || (retainHandling === 1 && old === undefined);
    if (wanted && filter.share === null) {
      fed.push(subscription);
      if (qos > 0) session.feeding(filter.text, true);
    }
    return qos;
  }

  /** The new queue first, so that nothing is missed; what comes by both is told apart when it is delivered. */
  private bind({ filter, qos }: Subscription, old: Subscription | undefined): void {
    const queue = qos === 0 ? this.volatileName() : this.ownName();
    bindFilter(this.broker, queue, filter.pattern);
    if (old !== undefined && (old.qos === 0) !== (qos === 0)) this.unbind(old);
  }

  private unbind({ filter, qos }: Subscription): void {
    unbindFilter(this.broker, qos === 0 ? this.volatileName() : this.ownName(), filter.pattern);
  }

  /** The session's queue, made and consumed from when it is first needed. @throws BrokerError */
  private ownName(): string {
    const { session } = this.link;
    const name = ownQueue(session.clientId);
    if (this.ownSink !== null) return name;
    const durable = session.durable;
    this.ensureQueue(name, durable);
    this.ownSink = this.subscriber.consume(name, "own", null);
    return name;
  }

  /** What becomes of refused messages may have been configured anew since a queue was made: it stays as it is. */
  private ensureQueue(name: string, durable: boolean): void {
    const options = { transientBytesMax: TRANSIENT_BYTES_MAX, ...this.link.settings.sessionQueue };
    try {
      this.broker.queueDeclare({
        name,
        durable,
        exclusive: !durable,
        autoDelete: false,
        options,
        arguments: NO_ARGUMENTS,
      });
    } catch (error) {
      const isOlder = error instanceof BrokerError && error.code === "inequivalent";
      if (!isOlder || !CONFIGURED.has(`${error.detail.option}`)) throw error;
    }
  }

  private volatileName(): string {
    const name = volatileQueue(this.link.session.clientId);
    if (this.volatileSink !== null) return name;
    this.broker.queueDeclare({
      name,
      durable: false,
      exclusive: true,
      autoDelete: false,
      options: { volatile: true, lengthMax: VOLATILE_LENGTH_MAX },
      arguments: NO_ARGUMENTS,
    });
    this.volatileSink = this.subscriber.consume(name, "volatile", null);
    return name;
  }

  // --- shared subscriptions ------------------------------------------------------------------------

  private share(subscription: Subscription): void {
    const { filter } = subscription;
    const { session } = this.link;
    const name = sharedQueue(filter);
    const first = this.space.shares.join(filter, session);
    try {
      this.ensureQueue(name, true);
      if (first) bindFilter(this.broker, name, filter.pattern);
      // Where what is begun with QoS 2 goes (see QueueSink.move).
      if (session.durable) this.ownName();
      this.consumeShared(subscription);
    } catch (error) {
      if (session.filters.get(filter.text) === undefined) this.space.shares.leave(filter, session);
      throw error;
    }
  }

  private consumeShared(subscription: Subscription): void {
    const { filter } = subscription;
    const grant: Grant = grantOf([subscription]);
    const existing = this.sharedSinks?.get(filter.text);
    if (existing !== undefined) {
      existing.grant = grant;
      return;
    }
    this.sharedSinks ??= new Map();
    this.sharedSinks.set(filter.text, this.subscriber.consume(sharedQueue(filter), "shared", grant));
  }

  // --- UNSUBSCRIBE -----------------------------------------------------------------------------------

  unsubscribe(packet: Unsubscribe): number[] {
    return packet.filters.map((text) => {
      const subscription = this.link.session.unsubscribe(text);
      if (subscription === undefined)
        return isFilterText(text) ? REASON.noSubscriptionExisted : REASON.topicFilterInvalid;
      const { filter } = subscription;
      for (const feed of this.feeds) if (feed.subscription.filter.text === text) feed.cancel();
      if (filter.share !== null) this.leave(filter);
      else if (!isSys(filter)) this.unbind(subscription);
      return REASON.success;
    });
  }

  private leave(filter: Filter): void {
    const sink = this.sharedSinks?.get(filter.text);
    if (sink !== undefined) this.subscriber.cancel(sink);
    this.sharedSinks?.delete(filter.text);
    this.space.shares.leave(filter, this.link.session);
  }

  // --- retained messages ------------------------------------------------------------------------

  private feed(subscription: Subscription): void {
    const { filter } = subscription;
    if (isSys(filter)) {
      this.link.session.feeding(filter.text, false);
      this.link.sys.watch(this);
      return;
    }
    const feed = new RetainedFeed(this.link, this.subscriber, subscription, () => this.feeds.delete(feed));
    this.feeds.add(feed);
    feed.start();
  }

  /** A retained message reached the client by its queue: there is room for another. */
  retainedArrived(): void {
    for (const feed of this.feeds) feed.arrived();
  }

  /** A message of a group becomes this session's own. */
  takeOver(message: StoredMessage): void {
    this.broker.forward(this.ownName(), message, false);
  }

  resumeFeeds(): void {
    for (const feed of this.feeds) feed.resume();
  }

  /** A statistic; those who read them have asked for them by name. */
  sysPublished(content: Content, retained: boolean): void {
    const grant = this.link.session.filters.match(content);
    if (grant.qos < 0 || !this.link.live || this.link.outbox.full) return;
    this.subscriber.sendPlain(content, grant, retained, 0);
  }

  /** What was not fed yet is begun anew when a lasting session is back. */
  close(): void {
    this.link.sys.unwatch(this);
    for (const feed of [...this.feeds]) feed.cancel();
  }
}

function isWithheld(error: unknown): boolean {
  return error instanceof BrokerError && error.code === "access-refused" && error.detail.kind === "topic";
}

function isSys({ pattern }: Filter): boolean {
  return pattern === SYS_PREFIX || pattern.startsWith(`${SYS_PREFIX}/`);
}
