import { describe, expect, it } from "vitest";
import { randomFrom } from "../../../test/support/random.ts";
import type { Notebook } from "../../broker/index.ts";
import { PacketIds } from "./packet-ids.ts";
import { MqttSession } from "./session.ts";

const ROUND = 65_535;
const OWN = true;
const GROUP = false;

/** A session that ends with its connection, whose client was sent everything up to `sentTo` before. */
function sessionOf(sentTo = 0): MqttSession {
  const session = new MqttSession("client", "user", 0, null);
  session.sentTo = sentTo;
  return session;
}

describe("PacketIds", () => {
  it("follow from the numbers of messages, and go round without 0", () => {
    const ids = new PacketIds(sessionOf());
    const numbers = [0, 1, ROUND - 1, ROUND, ROUND + 1];
    const chosen = numbers.map((id) => ids.choose(id, OWN).packetId);
    expect(chosen).toEqual([1, 2, ROUND, 1, 2]);
  });

  it("are others while in use, far from what comes next", () => {
    const session = sessionOf();
    const ids = new PacketIds(session);
    ids.sent(7, 1, 1, OWN);
    session.release(8);
    expect(ids.choose(ROUND + 6, OWN)).toEqual({ packetId: 32_775, waits: false, chosen: true });
    ids.sent(32_775, 2, 2, OWN);
    expect(ids.choose(2 * ROUND + 6, OWN)).toEqual({ packetId: 32_776, waits: false, chosen: true });
    expect(ids.choose(ROUND + 7, OWN)).toEqual({ packetId: 32_776, waits: false, chosen: true });
    ids.delete(7);
    expect(ids.choose(ROUND + 6, OWN)).toMatchObject({ packetId: 7, chosen: false });
  });

  it("that were chosen are a message's own until it is acknowledged", () => {
    const session = sessionOf();
    const ids = new PacketIds(session);
    session.giveIdentifier(ROUND + 6, 500);
    expect(ids.choose(ROUND + 6, OWN)).toMatchObject({ packetId: 500, chosen: false });
    expect(ids.choose(499, OWN)).toMatchObject({ chosen: true });
    ids.delete(500);
    expect(ids.choose(499, OWN)).toMatchObject({ packetId: 500, chosen: false });
    expect(ids.choose(ROUND + 6, OWN)).toMatchObject({ packetId: 7, chosen: false });
  });

  it("stay what they were over a reconnect: only a group's message can stand in the way, and is waited for", () => {
    const ids = new PacketIds(sessionOf(2 * ROUND));
    ids.sent(7, 1, 1, GROUP);
    expect(ids.choose(6, OWN)).toMatchObject({ packetId: 7, waits: true });
    expect(ids.choose(2 * ROUND + 6, OWN)).toMatchObject({ waits: false, chosen: true });
    ids.delete(7);
    // Whoever has it now had it before, so the other one never had: it was not sent, whatever a crash made believe.
    ids.sent(7, 2, 1, OWN);
    expect(ids.choose(ROUND + 6, OWN)).toMatchObject({ waits: false, chosen: true });
  });

  it("of messages that are no more are free when something new is sent", () => {
    const session = sessionOf(10);
    session.giveIdentifier(3, 500);
    session.giveIdentifier(4, 501);
    session.giveIdentifier(11, 502);
    const ids = new PacketIds(session);
    ids.sent(501, 1, 1, OWN);
    ids.news();
    expect([...session.identifiers]).toEqual([
      [501, 4],
      [502, 11],
    ]);
  });

  it("keep apart what waits for PUBACK and for PUBREC", () => {
    const ids = new PacketIds(sessionOf());
    ids.sent(1, 10, 1, OWN);
    ids.sent(2, 11, 2, GROUP);
    expect([ids.tag(1, 1), ids.tag(1, 2), ids.tag(2, 1), ids.tag(2, 2), ids.tag(3, 1)]).toEqual([
      10, 0, 0, 11, 0,
    ]);
  });

  it("are found when all but one are in use", () => {
    const ids = new PacketIds(sessionOf());
    for (let packetId = 1; packetId <= ROUND; packetId++)
      if (packetId !== 300) ids.sent(packetId, packetId, 1, OWN);
    expect(ids.choose(9, OWN)).toMatchObject({ packetId: 300, chosen: true });
  });

  it("of what is given back while the client has it are used again", () => {
    const ids = new PacketIds(sessionOf());
    ids.sent(7, 1, 2, OWN);
    ids.again(6, { has: () => true });
    expect(ids.size).toBe(1);
    ids.again(6, { has: () => false });
    expect(ids.choose(6, OWN)).toMatchObject({ packetId: 7, chosen: false });
  });
});

/** Notes that a crash leaves as they are. */
class Kept implements Notebook {
  readonly name = "kept";
  private readonly notes = new Map<string, string>();

  get size(): number {
    return this.notes.size;
  }

  get(key: string): string | undefined {
    return this.notes.get(key);
  }

  has(key: string): boolean {
    return this.notes.has(key);
  }

  entries(): Iterable<readonly [string, string]> {
    return this.notes;
  }

  set(key: string, value: string): void {
    this.notes.set(key, value);
  }

  delete(key: string): void {
    this.notes.delete(key);
  }

  clear(): void {
    this.notes.clear();
  }
}

/** A session whose messages nearly all want the same few identifiers, and a client that acknowledges what it likes. */
class Crowd {
  private readonly notes = new Kept();
  private session = new MqttSession("crowd", "user", 1, this.notes);
  private ids = new PacketIds(this.session);
  /** Numbers in the queue, oldest first, sent or not. */
  private queue: number[] = [];
  private sent = 0;
  private newest = 0;
  /** What the client was sent and has not acknowledged, by number. */
  private readonly client = new Map<number, number>();
  collisions = 0;

  constructor() {
    this.session.save();
  }

  publish(residue: number): void {
    this.newest = (Math.floor(this.newest / ROUND) + 1) * ROUND + residue;
    this.queue.push(this.newest);
  }

  /** Sends the next message, as the subscriber does. */
  send(): void {
    const id = this.queue[this.sent];
    if (id === undefined) return;
    this.sent++;
    let { packetId, waits, chosen } = this.ids.choose(id, OWN);
    expect(waits).toBe(false);
    if (chosen) {
      this.collisions++;
      this.session.giveIdentifier(id, packetId);
      ({ packetId, chosen } = this.ids.choose(id, OWN));
      expect(chosen).toBe(false);
    }
    if (id > this.session.sentTo) {
      this.session.sentTo = id;
      this.ids.news();
    }
    this.ids.sent(packetId, 1 + this.sent, 1 + (id % 2), OWN);
    expect(this.client.get(id) ?? packetId).toBe(packetId);
    this.client.set(id, packetId);
    const used = [...this.client.values(), ...this.session.releasing];
    expect(new Set(used).size).toBe(used.length);
  }

  /** PUBACK, or PUBREC, for the nth of what is under way. */
  acknowledge(nth: number): void {
    const id = this.queue[nth % Math.max(1, this.sent)];
    if (id === undefined || this.sent === 0) return;
    const packetId = this.client.get(id) as number;
    this.ids.delete(packetId);
    if (this.ids.tag(packetId, 2) === 0 && id % 2 === 1) this.session.release(packetId);
    this.queue.splice(this.queue.indexOf(id), 1);
    this.client.delete(id);
    this.sent--;
  }

  complete(): void {
    for (const packetId of this.session.releasing) {
      this.session.complete(packetId);
      return;
    }
  }

  /** A message that is under way may be gone when the client is back. */
  reconnect(crash: boolean, lost: number): void {
    if (crash) {
      this.session.save();
      this.session = MqttSession.restore("crowd", this.notes) as MqttSession;
      this.session.sentTo = this.newest;
    }
    if (lost < this.sent) this.client.delete(this.queue.splice(lost, 1)[0] as number);
    this.ids = new PacketIds(this.session);
    this.sent = 0;
  }

  get identifiersGiven(): number {
    return this.session.identifiers.size;
  }
}

/** What two of them want is what the other two are given instead. */
const RESIDUES = [0, 1, 32_768, 32_769];

describe("PacketIds of messages that collide all the time", () => {
  it.each([1, 2, 3, 4, 5, 6])("are never used twice, and never change, seed %i", (seed) => {
    const random = randomFrom(seed);
    const below = (n: number): number => Math.floor(random() * n);
    const crowd = new Crowd();
    for (let step = 0; step < 5000; step++) {
      const kind = below(100);
      if (kind < 30) crowd.publish(RESIDUES[below(4)] as number);
      else if (kind < 70) crowd.send();
      else if (kind < 93) crowd.acknowledge(below(30));
      else if (kind < 98) crowd.complete();
      else crowd.reconnect(kind === 98, below(10));
    }
    expect(crowd.collisions).toBeGreaterThan(100);
    // All of it comes to an end, and nothing is left behind.
    for (let i = 0; i < 10_000; i++) {
      crowd.send();
      crowd.acknowledge(0);
      crowd.complete();
    }
    crowd.reconnect(false, 100);
    crowd.publish(1);
    crowd.send();
    crowd.acknowledge(0);
    expect(crowd.identifiersGiven).toBe(0);
  });
});
