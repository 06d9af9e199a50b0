import type { Session } from "../../broker/index.ts";
import type { ProtocolContext } from "../protocol.ts";
import type { Connect, Will } from "./codec/connect.ts";
import { ownQueue } from "./names.ts";
import { EXPIRY_NEVER, MqttSession } from "./session.ts";
import type { MqttSettings } from "./settings.ts";
import { Shares } from "./shares.ts";
import { publishWill } from "./will.ts";

const NOTEBOOK_PREFIX = "mqtt.session.";

/** How a session was found. */
export interface Attached {
  readonly session: MqttSession;
  /** It was there before (3.2.2.1.1). */
  readonly present: boolean;
}

/** The clients of one namespace, connected or not. */
export class Space {
  readonly namespace: string;
  /** The broker's own access, for what is done while a client is away. */
  readonly own: Session;
  readonly shares: Shares;
  private readonly context: ProtocolContext<MqttSettings>;
  private readonly sessions = new Map<string, MqttSession>();
  /** Sessions without a connection that end, or whose will is due, some day. */
  private readonly waiting = new Set<MqttSession>();

  constructor(namespace: string, context: ProtocolContext<MqttSettings>) {
    this.namespace = namespace;
    this.context = context;
    this.own = context.broker.ownSession(namespace, { connectionName: "mqtt sessions" });
    this.shares = new Shares(this.own);
    this.restore();
  }

  /** Adds this namespace's figures. */
  count(into: { connected: number; sessions: number; subscriptions: number; retained: number }): void {
    into.sessions += this.sessions.size;
    into.retained += this.own.retainedCount;
    for (const { link, filters } of this.sessions.values()) {
      if (link !== null) into.connected++;
      into.subscriptions += filters.size;
    }
  }

  /** Whoever was connected when the broker went down has left at that moment, as far as anybody can tell. */
  private restore(): void {
    const now = this.context.clock.now();
    for (const name of [...this.own.notebooks(NOTEBOOK_PREFIX)]) {
      const notes = this.own.notebook(name);
      const clientId = name.slice(NOTEBOOK_PREFIX.length);
      const session = MqttSession.restore(clientId, notes);
      if (session === null) {
        notes.clear();
        continue;
      }
      this.sessions.set(clientId, session);
      for (const { filter } of session.filters.all())
        if (filter.share !== null) this.shares.join(filter, session);
      if (session.leftAt === 0) {
        session.leftAt = now;
        session.sentTo = this.context.broker.newestMessageId;
        session.save();
      }
      this.await(session);
    }
    this.shares.restored();
  }

  // --- coming and going ------------------------------------------------------------------------

  /**
   * The session of a client that connects; who used it before is disconnected.
   */
  attach(connect: Connect, clientId: string, user: string, expirySeconds: number): Attached {
    const old = this.sessions.get(clientId);
    // [MQTT-3.1.4-3]; its will and its end follow from the end of its connection.
    old?.link?.takenOver();
    const kept = this.sessions.get(clientId);
    if (kept !== undefined) {
      // Another user's session is nothing that one could go on with.
      if (!connect.cleanStart && kept.user === user)
        return { session: this.resume(kept, connect, expirySeconds), present: true };
      this.end(kept);
    }
    const notes = expirySeconds > 0 ? this.own.notebook(NOTEBOOK_PREFIX + clientId) : null;
    const session = new MqttSession(clientId, user, expirySeconds, notes);
    session.will = connect.will;
    session.save();
    this.sessions.set(clientId, session);
    return { session, present: false };
  }

  private resume(session: MqttSession, connect: Connect, expirySeconds: number): MqttSession {
    this.waiting.delete(session);
    // Back in time: what was to be said of its absence is not said (3.1.3.2.2).
    session.leftAt = 0;
    session.willDueAt = 0;
    session.will = connect.will;
    session.expirySeconds = expirySeconds;
    session.save();
    return session;
  }

  /** The connection is gone. `broker` is its access, open still; `willed`: not said goodbye. */
  detach(session: MqttSession, broker: Session, willed: boolean): void {
    session.link = null;
    const now = this.context.clock.now();
    const { will } = session;
    if (!willed) session.will = null;
    else if (will !== null) {
      const delayMs = Math.min(will.properties.willDelay ?? 0, session.expirySeconds) * 1000;
      if (delayMs > 0) session.willDueAt = now + delayMs;
      else this.sayWill(session, broker);
    }
    if (!session.persistent) {
      this.end(session);
      return;
    }
    session.leftAt = now;
    session.save();
    this.await(session);
  }

  private await(session: MqttSession): void {
    if (session.will !== null && session.willDueAt === 0) {
      const delay = Math.min(session.will.properties.willDelay ?? 0, session.expirySeconds);
      session.willDueAt = session.leftAt + delay * 1000;
    }
    if (session.expirySeconds !== EXPIRY_NEVER || session.will !== null) this.waiting.add(session);
  }

  /** Called about once a second. */
  tick(): void {
    const now = this.context.clock.now();
    for (const session of this.waiting) {
      const over =
        session.expirySeconds !== EXPIRY_NEVER && now >= session.leftAt + session.expirySeconds * 1000;
      if (over) this.end(session);
      else if (session.will !== null && now >= session.willDueAt) {
        this.sayWillLate(session);
        session.save();
        if (session.expirySeconds === EXPIRY_NEVER) this.waiting.delete(session);
      }
    }
  }

  /** A session is over: so is what was waiting for its client; a will that was still to come is said (3.1.2.5). */
  private end(session: MqttSession): void {
    this.waiting.delete(session);
    this.sessions.delete(session.clientId);
    if (session.will !== null) this.sayWillLate(session);
    for (const { filter } of session.filters.all())
      if (filter.share !== null) this.shares.leave(filter, session);
    if (!session.durable) return;
    this.own.queueDelete(ownQueue(session.clientId), false, false);
    session.forget();
  }

  private sayWillLate(session: MqttSession): void {
    const { broker } = this.context;
    const { user } = session;
    const will = session.will as Will;
    session.will = null;
    // With what its user may do by now.
    broker.principalOf(user).then(
      (principal) => {
        const access = broker.openSession(principal, this.namespace, {
          connectionName: `will of ${session.clientId}`,
        });
        publishWill(access, session.clientId, will, this.context.logger);
        access.close();
      },
      (error: Error) => this.context.logger.warn({ clientId: session.clientId }, `no will: ${error.message}`),
    );
  }

  private sayWill(session: MqttSession, broker: Session): void {
    const will = session.will as Will;
    session.will = null;
    publishWill(broker, session.clientId, will, this.context.logger);
  }

  close(): void {
    this.own.close();
  }
}
