import type { Notebook } from "../../broker/index.ts";
import type { Will } from "./codec/connect.ts";
import { Filters, type Subscription } from "./filters.ts";
import { parseFilter } from "./topic.ts";

/** Never ends by itself. */
export const EXPIRY_NEVER = 0xffffffff;

const STATE = "state";
const FILTER = "filter ";
const RECEIVED = "received ";
const RELEASING = "releasing ";
const FEEDING = "feeding ";
const IDENTIFIER = "identifier ";

/** What a note says of the session itself. JSON. */
interface StoredState {
  readonly user: string;
  readonly expirySeconds: number;
  /** Wall-clock ms at which the client left; 0 while it is connected. */
  readonly leftAt: number;
  readonly will: StoredWill | null;
  readonly sentTo: number;
}

type StoredWill = Omit<Will, "payload" | "properties"> & {
  readonly payload: string;
  readonly properties: string;
};

interface StoredSubscription {
  readonly qos: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: number;
  readonly id: number;
}

/** The connection that uses a session. */
export interface SessionUser {
  /** The session is in use elsewhere now: the connection ends at once. */
  takenOver(): void;
}

const NOBODY: ReadonlySet<number> = new Set();
const NOTHING: ReadonlyMap<number, number> = new Map();

/**
 * What the broker knows of a client by its id, also while it is away (4.1). A durable one lives in notes and
 * is there again after a crash; the rest ends with the connection.
 */
export class MqttSession {
  readonly clientId: string;
  readonly user: string;
  readonly filters: Filters;
  /** Null: nothing of it survives its connection. */
  private readonly notes: Notebook | null;
  expirySeconds: number;
  link: SessionUser | null = null;
  /** Wall-clock ms at which the client left; 0 while it is connected. */
  leftAt = 0;
  will: Will | null = null;
  /** Newest message of its own queue that was sent: what is not newer was sent before [MQTT-3.3.1-1]. */
  sentTo = 0;
  /** The will is due, whether the client is back or not is seen to by whoever connects. Wall-clock ms; 0 = no will. */
  willDueAt = 0;
  private receivedIds: Set<number> | null = null;
  private releasingIds: Set<number> | null = null;
  /** Numbers of messages by the packet identifiers that were chosen for them, and the other way round. */
  private chosen: { messages: Map<number, number>; identifiers: Map<number, number> } | null = null;

  constructor(clientId: string, user: string, expirySeconds: number, notes: Notebook | null) {
    this.clientId = clientId;
    this.user = user;
    this.expirySeconds = expirySeconds;
    this.notes = notes;
    this.filters = new Filters(clientId);
  }

  /** The session that notes tell of; null when they were cut short. */
  static restore(clientId: string, notes: Notebook): MqttSession | null {
    const state = notes.get(STATE);
    if (state === undefined) return null;
    const { user, expirySeconds, leftAt, will, sentTo } = JSON.parse(state) as StoredState;
    const session = new MqttSession(clientId, user, expirySeconds, notes);
    session.leftAt = leftAt;
    session.sentTo = sentTo;
    session.will = will === null ? null : restoredWill(will);
    for (const [key, value] of notes.entries()) {
      if (key.startsWith(FILTER)) {
        const stored = JSON.parse(value) as StoredSubscription;
        session.filters.add({ ...stored, filter: parseFilter(key.slice(FILTER.length)) });
      } else if (key.startsWith(IDENTIFIER))
        session.choose(Number(value), Number(key.slice(IDENTIFIER.length)));
      else if (key.startsWith(RECEIVED)) session.addReceived(Number(key.slice(RECEIVED.length)));
      else if (key.startsWith(RELEASING)) session.addReleasing(Number(key.slice(RELEASING.length)));
    }
    return session;
  }

  get durable(): boolean {
    return this.notes !== null;
  }

  /** Goes on without its connection. */
  get persistent(): boolean {
    return this.notes !== null && this.expirySeconds > 0;
  }

  // --- state ----------------------------------------------------------------------------------

  /** Notes who it belongs to and until when. */
  save(): void {
    const { user, expirySeconds, leftAt, sentTo } = this;
    const will = this.will === null ? null : storedWill(this.will);
    const state: StoredState = { user, expirySeconds, leftAt, will, sentTo };
    this.notes?.set(STATE, JSON.stringify(state));
  }

  forget(): void {
    this.notes?.clear();
  }

  subscribe(subscription: Subscription): void {
    this.filters.add(subscription);
    const { filter, ...stored } = subscription;
    this.notes?.set(FILTER + filter.text, JSON.stringify(stored satisfies StoredSubscription));
  }

  unsubscribe(text: string): Subscription | undefined {
    this.notes?.delete(FILTER + text);
    this.notes?.delete(FEEDING + text);
    return this.filters.remove(text);
  }

  /** Retained messages of this filter are on their way to the session's queue: to be begun again after a crash. */
  feeding(text: string, begun: boolean): void {
    if (begun) this.notes?.set(FEEDING + text, "");
    else this.notes?.delete(FEEDING + text);
  }

  /** Filters whose retained messages were not all handed over. */
  get unfed(): string[] {
    const found: string[] = [];
    for (const [key] of this.notes?.entries() ?? []) {
      if (key.startsWith(FEEDING)) found.push(key.slice(FEEDING.length));
    }
    return found;
  }

  // --- QoS 2 from the client ---------------------------------------------------------------------

  /** Published, and not released by the client. */
  get received(): ReadonlySet<number> {
    return this.receivedIds ?? NOBODY;
  }

  receive(packetId: number): void {
    this.addReceived(packetId);
    this.notes?.set(RECEIVED + packetId, "");
  }

  /** False for an identifier that nobody knows. */
  released(packetId: number): boolean {
    if (this.receivedIds?.delete(packetId) !== true) return false;
    this.notes?.delete(RECEIVED + packetId);
    return true;
  }

  private addReceived(packetId: number): void {
    this.receivedIds ??= new Set();
    this.receivedIds.add(packetId);
  }

  // --- QoS 2 to the client -----------------------------------------------------------------------

  /** Received by the client, and released or about to be; in the order in which they were sent. */
  get releasing(): ReadonlySet<number> {
    return this.releasingIds ?? NOBODY;
  }

  release(packetId: number): void {
    this.addReleasing(packetId);
    this.notes?.set(RELEASING + packetId, "");
  }

  /** False for an identifier that nobody knows. */
  complete(packetId: number): boolean {
    if (this.releasingIds?.delete(packetId) !== true) return false;
    this.notes?.delete(RELEASING + packetId);
    return true;
  }

  private addReleasing(packetId: number): void {
    this.releasingIds ??= new Set();
    this.releasingIds.add(packetId);
  }

  // --- packet identifiers that were chosen (see PacketIds) -------------------------------------------

  /** Numbers of messages of the own queue, by their packet identifiers. */
  get identifiers(): ReadonlyMap<number, number> {
    return this.chosen?.messages ?? NOTHING;
  }

  /** 0 when none was chosen. */
  identifierOf(id: number): number {
    return this.chosen === null ? 0 : (this.chosen.identifiers.get(id) ?? 0);
  }

  /** Some message that is not acknowledged has it, or is about to. */
  isIdentifierGiven(packetId: number): boolean {
    return this.chosen?.messages.has(packetId) === true;
  }

  giveIdentifier(id: number, packetId: number): void {
    this.choose(id, packetId);
    this.notes?.set(IDENTIFIER + packetId, `${id}`);
  }

  freeIdentifier(packetId: number): void {
    const id = this.chosen?.messages.get(packetId);
    if (this.chosen === null || id === undefined) return;
    this.chosen.messages.delete(packetId);
    this.chosen.identifiers.delete(id);
    if (this.chosen.messages.size === 0) this.chosen = null;
    this.notes?.delete(IDENTIFIER + packetId);
  }

  private choose(id: number, packetId: number): void {
    this.chosen ??= { messages: new Map(), identifiers: new Map() };
    this.chosen.messages.set(packetId, id);
    this.chosen.identifiers.set(id, packetId);
  }
}

function storedWill({ payload, properties, ...will }: Will): StoredWill {
  const { correlationData } = properties;
  const plain = { ...properties, ...(correlationData && { correlationData: base64(correlationData) }) };
  return { ...will, payload: base64(payload), properties: JSON.stringify(plain) };
}

function restoredWill({ payload, properties, ...will }: StoredWill): Will {
  const plain = JSON.parse(properties);
  const { correlationData } = plain;
  if (typeof correlationData === "string") plain.correlationData = Buffer.from(correlationData, "base64");
  return { ...will, payload: Buffer.from(payload, "base64"), properties: plain };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
