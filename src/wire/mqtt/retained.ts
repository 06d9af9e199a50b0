import type { RetainedSink, RetainedWalk, StoredMessage } from "../../broker/index.ts";
import { patternOf } from "./bindings.ts";
import { type Grant, grantOf, type Subscription } from "./filters.ts";
import type { Link } from "./link.ts";
import { ownQueue } from "./names.ts";
import type { Subscriber } from "./subscriber.ts";
import { TOPIC_EXCHANGE } from "./topic.ts";

/** Retained messages that wait in the session's queue at most, before more are put there. */
const WAITING_MAX = 1000;

/**
 * Retained messages on their way to a new subscription (3.8.4), at the pace at which the client takes them.
 * QoS 0 goes out at once; QoS 1 and 2 through the session's queue, which knows how to send them again.
 */
export class RetainedFeed implements RetainedSink {
  readonly subscription: Subscription;
  private readonly link: Link;
  private readonly subscriber: Subscriber;
  private readonly grant: Grant;
  private readonly done: () => void;
  private walk: RetainedWalk | null = null;
  private waiting = 0;

  constructor(link: Link, subscriber: Subscriber, subscription: Subscription, done: () => void) {
    this.link = link;
    this.subscriber = subscriber;
    this.subscription = subscription;
    this.grant = grantOf([subscription]);
    this.done = done;
  }

  start(): void {
    this.walk = this.link.broker.retained(TOPIC_EXCHANGE, patternOf(this.subscription.filter.pattern), this);
  }

  get writable(): boolean {
    return this.link.live && !this.link.outbox.full && this.waiting < WAITING_MAX;
  }

  retained(message: StoredMessage): void {
    const { link, grant } = this;
    const content = link.translator.contentOf(message);
    if (content === null) return;
    if (Math.min(content.qos, grant.qos) === 0) {
      this.subscriber.sendPlain(content, grant, true, message.expiresAt);
      return;
    }
    this.waiting++;
    link.broker.forward(ownQueue(link.session.clientId), message, true);
  }

  finished(): void {
    this.link.session.feeding(this.subscription.filter.text, false);
    this.done();
  }

  arrived(): void {
    if (this.waiting > 0) this.waiting--;
    if (this.waiting === WAITING_MAX / 2) this.walk?.resume();
  }

  resume(): void {
    this.walk?.resume();
  }

  cancel(): void {
    this.walk?.cancel();
    this.done();
  }
}
