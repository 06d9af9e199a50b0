import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../../base/clock.ts";
import type { KafkaNode, Peer } from "../api.ts";
import { KafkaError } from "../errors.ts";
import { entityFrom, type QuotaEntity, QuotaStore, type QuotaValues } from "./quota-store.ts";
import { Throttle } from "./throttle.ts";

/** What of a node quotas need. */
class FakeNode {
  readonly clock = new ManualClock();
  readonly kept = new Map<string, Record<string, string>>();
  private readonly parts = new Map<unknown, unknown>();
  readonly settings = {
    revision: 0,
    put: (_: string, name: string, values: Record<string, string>) => {
      this.settings.revision++;
      if (Object.keys(values).length === 0) this.kept.delete(name);
      else this.kept.set(name, values);
    },
    entries: () => [...this.kept],
  };
  readonly context = { clock: this.clock, broker: { settings: this.settings } };

  part<T>(make: (node: KafkaNode) => T): T {
    if (!this.parts.has(make)) this.parts.set(make, make(this as unknown as KafkaNode));
    return this.parts.get(make) as T;
  }
}

class FakePeer {
  held = 0;
  readonly principal: { user: string };
  readonly closers = new Set<() => void>();

  constructor(user: string) {
    this.principal = { user };
  }

  hold(): () => void {
    this.held++;
    return () => this.held--;
  }

  onClosed(callback: () => void): () => void {
    this.closers.add(callback);
    return () => this.closers.delete(callback);
  }
}

let node: FakeNode;
let store: QuotaStore;
let throttle: Throttle;

beforeEach(() => {
  node = new FakeNode();
  store = new QuotaStore(node as unknown as KafkaNode);
  throttle = new Throttle(node as unknown as KafkaNode);
});

const set = (entity: QuotaEntity, values: QuotaValues) => store.put(entity, values);
const spend = (peer: FakePeer, clientId: string, amount: number) =>
  throttle.spend("producer_byte_rate", { peer: peer as unknown as Peer, clientId }, amount);

describe("a quota", () => {
  it("that is not there holds nobody up", () => {
    expect(throttle.idle).toBe(true);
    set({ user: "ann" }, { consumer_byte_rate: 1 });
    expect(throttle.idle).toBe(false);
    expect(spend(new FakePeer("ann"), "c", 1e9)).toBe(0);
  });

  it("lets one second's worth through, then makes wait for what is too much", () => {
    set({ user: "ann" }, { producer_byte_rate: 1000 });
    const ann = new FakePeer("ann");
    expect(spend(ann, "c", 1000)).toBe(0);
    expect(spend(ann, "c", 500)).toBe(500);
    expect(ann.held).toBe(1);
    node.clock.advance(499);
    expect(ann.held).toBe(1);
    node.clock.advance(1);
    expect(ann.held).toBe(0);
    expect(ann.closers.size).toBe(0);
    node.clock.advance("1h");
    expect(spend(ann, "c", 1001)).toBe(1);
    expect(spend(ann, "c", 1e9)).toBe(30_000);
  });

  it("is shared by those for whom it was set, and no others", () => {
    set({ user: "ann" }, { producer_byte_rate: 1000 });
    set({ clientId: null }, { producer_byte_rate: 1000 });
    const ann = new FakePeer("ann");
    const bob = new FakePeer("bob");
    spend(ann, "one", 1000);
    expect(spend(ann, "two", 100)).toBe(100);
    spend(bob, "one", 1000);
    expect(spend(bob, "two", 1000)).toBe(0);
    expect(spend(bob, "one", 100)).toBe(100);
  });

  it("of the broker's time counts a second's work as 100", () => {
    set({ user: "ann" }, { request_percentage: 10 });
    const ann = new FakePeer("ann");
    const work = (ms: number) =>
      throttle.spend("request_percentage", { peer: ann as unknown as Peer, clientId: null }, ms);
    expect(work(100)).toBe(0);
    expect(work(5)).toBe(50);
  });

  it("of a connection that goes is forgotten", () => {
    set({ user: "ann" }, { producer_byte_rate: 1 });
    const ann = new FakePeer("ann");
    spend(ann, "c", 100);
    for (const closed of ann.closers) closed();
    node.clock.advance("1h");
    expect(ann.held).toBe(1);
  });

  it("acts at once when it is changed or removed", () => {
    set({ user: "ann" }, { producer_byte_rate: 1 });
    const ann = new FakePeer("ann");
    expect(spend(ann, "c", 100)).toBe(30_000);
    set({ user: "ann" }, {});
    expect(spend(ann, "c", 100)).toBe(0);
    expect(throttle.idle).toBe(true);
  });
});

it("the most specific quota holds", () => {
  const entities: QuotaEntity[] = [
    { clientId: null },
    { clientId: "c" },
    { user: null },
    { user: null, clientId: null },
    { user: null, clientId: "c" },
    { user: "ann" },
    { user: "ann", clientId: null },
    { user: "ann", clientId: "c" },
  ];
  entities.forEach((entity, i) => {
    set(entity, { producer_byte_rate: i + 1 });
    expect(store.limit("producer_byte_rate", "ann", "c")?.value).toBe(i + 1);
  });
  expect(store.limit("producer_byte_rate", "bob", "d")?.value).toBe(4);
  expect(store.limit("consumer_byte_rate", "ann", "c")).toBeNull();
  const again = new QuotaStore(node as unknown as KafkaNode);
  expect(again.entries().map(({ entity }) => entity)).toEqual(expect.arrayContaining(entities));
});

it.each([
  ["nobody", []],
  ["addresses", [{ entityType: "ip", entityName: "10.0.0.1" }]],
  [
    "one kind twice",
    [
      { entityType: "user", entityName: "a" },
      { entityType: "user", entityName: "b" },
    ],
  ],
  ["an empty name", [{ entityType: "user", entityName: "" }]],
])("there are no quotas for %s", (_, components) => {
  expect(() => entityFrom(components)).toThrow(KafkaError);
});
