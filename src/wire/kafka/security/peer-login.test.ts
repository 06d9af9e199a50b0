import { beforeEach, describe, expect, it, vi } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import { silentLogger } from "../../../base/logger.ts";
import type { Peer } from "../api.ts";
import type { Step } from "./login.ts";
import { PeerLogin } from "./peer-login.ts";

const FIRST = new Uint8Array(1);

let clock: ManualClock;
let closed: () => void;
let peer: Peer;
let login: PeerLogin;

beforeEach(() => {
  clock = new ManualClock();
  closed = () => {};
  peer = {
    name: "a -> b",
    node: { context: { clock, logger: silentLogger } },
    onClosed: (callback: () => void) => {
      closed = callback;
      return () => {};
    },
    hold: () => () => {},
    login: vi.fn(),
    close: vi.fn(),
  } as unknown as Peer;
  login = new PeerLogin(peer);
});

async function logIn(user: string, seconds: number | null): Promise<Step> {
  const expiresAtMs = seconds === null ? null : clock.now() + seconds * 1000;
  const step: Step = { answer: new Uint8Array(0), principal: { user, tags: [] }, expiresAtMs };
  login.begin({ step: async () => step });
  return login.step(FIRST);
}

describe("a login that ends (KIP-368)", () => {
  it("takes the connection with it, and not a moment before", async () => {
    expect(login.lifetimeMs(await logIn("ann", 60))).toBe(60_000);
    clock.advance("59999ms");
    expect(peer.close).not.toHaveBeenCalled();
    clock.advance("1ms");
    expect(peer.close).toHaveBeenCalledOnce();
  });

  it("is over at once, but not for ever, when its time was up already", async () => {
    expect(login.lifetimeMs(await logIn("ann", -5))).toBe(1);
    clock.advance("1ms");
    expect(peer.close).toHaveBeenCalledOnce();
  });

  it.each([
    ["that lasts longer", 600],
    ["without an end", null],
  ])("goes on with another one %s", async (_, seconds) => {
    await logIn("ann", 60);
    await logIn("ann", seconds);
    clock.advance("9m");
    expect(peer.close).not.toHaveBeenCalled();
    clock.advance("2m");
    expect(peer.close).toHaveBeenCalledTimes(seconds === null ? 0 : 1);
  });

  it("has nothing to end when the connection has gone", async () => {
    await logIn("ann", 60);
    closed();
    clock.advance("1h");
    expect(peer.close).not.toHaveBeenCalled();
  });
});
