import { describe, expect, it } from "vitest";
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
