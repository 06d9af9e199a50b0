import type { LedgerHandle } from "../../broker/index.ts";
import type { MqttSession } from "./session.ts";

const PACKET_IDS = 65_535;
/** Far from what the messages behind it will want, so that one collision does not bring about the next. */
const ELSEWHERE = 32_768;

const QOS2_BIT = 1;
const GROUP_BIT = 2;
const TAG_UNIT = 4;

/** How a message of QoS 1 or 2 gets its packet identifier. */
export interface Choice {
  packetId: number;
  /** A group's message uses the identifier, and this one, which was sent with it before, must have no other. */
  waits: boolean;
  /** It is not the one that follows from the message's number: it must be noted before it is used. */
  chosen: boolean;
}

const choice: Choice = { packetId: 0, waits: false, chosen: false };

/**
 * Packet identifiers of the messages to one client (2.2.1).
 *
 * An identifier follows from the message's number in the broker, so that a message that is sent again, even
 * after a crash, has the one it had before [MQTT-4.4.0-1] without a note of each. Numbers go round: a message
 * whose identifier is still in use by one that came long before gets a free one, and its session notes which.
 */
export class PacketIds {
  private readonly session: MqttSession;
  /** The newest message that was sent before this connection: up to here, identifiers are as they were. */
  private readonly sentBefore: number;
  /** What is unacknowledged: ledger tag times TAG_UNIT, and the bits. */
  private readonly inFlight = new Map<number, number>();
  private caughtUp = false;

  constructor(session: MqttSession) {
    this.session = session;
    this.sentBefore = session.sentTo;
  }

  get size(): number {
    return this.inFlight.size;
  }

  /** Of the message with this number; `own`: it waits in the session's own queue. A reused object. */
  choose(id: number, own: boolean): Choice {
    const { session } = this;
    const noted = own ? session.identifierOf(id) : 0;
    choice.packetId = noted === 0 ? (id % PACKET_IDS) + 1 : noted;
    choice.chosen = false;
    choice.waits = false;
    if (this.used(choice.packetId))
      choice.waits = own && id <= this.sentBefore && this.isGroups(choice.packetId);
    else if (noted !== 0 || !session.isIdentifierGiven(choice.packetId)) return choice;
    if (choice.waits) return choice;
    choice.packetId = this.free(choice.packetId);
    choice.chosen = true;
    return choice;
  }

  /** Given back while its client had it: it keeps the identifier that it has [MQTT-4.4.0-1]. */
  again(id: number, ledger: Pick<LedgerHandle, "has">): void {
    const packetId = this.session.identifierOf(id) || (id % PACKET_IDS) + 1;
    const known = this.inFlight.get(packetId);
    if (known !== undefined && !ledger.has(tagOf(known))) this.inFlight.delete(packetId);
  }

  /** Ledger tag of what is in flight under an identifier with this QoS, or 0. */
  tag(packetId: number, qos: 1 | 2): number {
    const known = this.inFlight.get(packetId);
    return known === undefined || (known & QOS2_BIT) !== qos - 1 ? 0 : tagOf(known);
  }

  sent(packetId: number, tag: number, qos: number, own: boolean): void {
    this.inFlight.set(packetId, tag * TAG_UNIT + (qos === 2 ? QOS2_BIT : 0) + (own ? 0 : GROUP_BIT));
  }

  /** Acknowledged, as far as its PUBLISH goes. */
  delete(packetId: number): void {
    this.inFlight.delete(packetId);
    this.session.freeIdentifier(packetId);
  }

  /** A message of the own queue goes out for the first time: all that was sent before this connection is out again. */
  news(): void {
    if (this.caughtUp) return;
    this.caughtUp = true;
    for (const [packetId, id] of this.session.identifiers) {
      // It expired, or was taken off the queue, while its client was away.
      if (id <= this.sentBefore && !this.inFlight.has(packetId)) this.session.freeIdentifier(packetId);
    }
  }

  used(packetId: number): boolean {
    return this.inFlight.has(packetId) || this.session.releasing.has(packetId);
  }

  /**
   * What one's own queue sent under an identifier before is ahead of whatever it sends under it now; a group's
   * message may have come first.
   */
  private isGroups(packetId: number): boolean {
    return ((this.inFlight.get(packetId) ?? 0) & GROUP_BIT) !== 0;
  }

  /** There always is one: a window is no larger than all of them. Better not one that is spoken for. */
  private free(taken: number): number {
    const start = taken - 1 + ELSEWHERE;
    let free = taken;
    for (let i = 0; i < PACKET_IDS; i++) {
      const packetId = ((start + i) % PACKET_IDS) + 1;
      if (this.used(packetId)) continue;
      if (!this.session.isIdentifierGiven(packetId)) return packetId;
      free = packetId;
    }
    return free;
  }
}

function tagOf(known: number): number {
  return Math.floor(known / TAG_UNIT);
}
