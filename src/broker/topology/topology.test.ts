import { describe, expect, it } from "vitest";
import { cpuMsOf } from "../../base/testing/cpu-time.ts";
import type { QueueHandle } from "../types.ts";
import type { TopologyChange } from "./change.ts";
import { exchange, FakeHost, FakeMeta, queue, refusalOf, table } from "./fakes.ts";
import type { BindingSpec, Namespace } from "./namespace.ts";
import { Topology } from "./topology.ts";

const durable = { durable: true };

function listing(space: Namespace): unknown {
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  return {
    exchanges: [...space.exchanges()].sort(byName),
    queues: Array.from(space.queues(), ({ id, name, declaration }) => ({ id, name, declaration })).sort(
      byName,
    ),
    bindings: Array.from(space.bindings(), (b) => JSON.stringify([b, [...b.args]])).sort(),
  };
}

function edge(source: string, destination: string, more: Partial<BindingSpec> = {}): BindingSpec {
  return { source, kind: "queue", destination, key: "a/b%", args: new Map(), ...more };
}

describe("Topology", () => {
  it("comes back as it was, without what was transient", () => {
    const meta = new FakeMeta();
    const space = Topology.open(meta, new FakeHost()).createNamespace("tenant/1 %");
    space.exchangeDeclare(
      exchange("x/1", "topic", { ...durable, arguments: table({ "alternate-exchange": "y" }) }),
    );
    space.exchangeDeclare(exchange("y", "headers", { ...durable, autoDelete: true, internal: true }));
    const options = {
      messageTtlMs: 5,
      retry: { attempts: 1, initialMs: 1, multiplier: 1, ceilingMs: 1, jitter: 0.5 },
    };
    const args = table({
      "x-message-ttl": 5,
      big: { type: "int64", value: 2n ** 60n },
      bytes: { type: "binary", value: new Uint8Array([1]) },
    });
    space.queueDeclare(queue("q/1", { ...durable, autoDelete: true, options, arguments: args }), null);
    space.bind(edge("x/1", "q/1"), null);
    space.bind(edge("y", "q/1", { args: table({ "x-match": "any", h: 1 }) }), null);
    space.bind(edge("x/1", "y", { kind: "exchange" }), null);
    const before = listing(space);

    space.exchangeDeclare(exchange("transient", "fanout"));
    space.queueDeclare(queue("transient"), null);
    space.queueDeclare(queue("exclusive", { ...durable, exclusive: true }), { connectionName: "c" });
    space.bind(edge("x/1", "transient"), null);
    space.bind(edge("transient", "q/1"), null);
    space.queueDeclare(queue("deleted", durable), null);
    space.bind(edge("x/1", "deleted"), null);
    space.queueDelete("deleted", false, false, null);
    space.exchangeDeclare(exchange("deleted", "direct", durable));
    space.bind(edge("deleted", "q/1"), null);
    space.exchangeDelete("deleted", false);
    space.bind(edge("amq.topic", "q/1"), null);
    space.unbind(edge("amq.topic", "q/1"), null);

    const host = new FakeHost();
    const again = Topology.open(meta, host);
    expect(Array.from(again.namespaces(), ({ name }) => name)).toEqual(["/", "tenant/1 %"]);
    expect(listing(again.namespace("tenant/1 %"))).toEqual(before);
    expect(host.created.map(({ name, namespace }) => [namespace, name])).toEqual([["tenant/1 %", "q/1"]]);
    const restored = again.namespace("tenant/1 %");
    const into: QueueHandle[] = [];
    const message = { headers: () => table({ h: 1 }), property: () => null };
    restored.destinations(restored.route("x/1", "a/b%"), message, [], into);
    expect(into.map(({ name }) => name)).toEqual(["q/1"]);
    const rewritten = new Map(meta.map);
    Topology.open(meta, new FakeHost());
    expect(meta.map).toEqual(rewritten);
  });

  it("never gives an id twice, over restarts", () => {
    const meta = new FakeMeta();
    const ids = new Set<number>();
    for (let start = 0; start < 4; start++) {
      const host = new FakeHost();
      const space = Topology.open(meta, host).namespace("/");
      for (let n = 0; n < 3000; n++) {
        space.queueDeclare(queue("q"), null);
        space.queueDelete("q", false, false, null);
      }
      for (const { id } of host.created) ids.add(id);
    }
    expect(ids.size).toBe(12_000);
  });

  it("drops bindings that have lost an end, and refuses versions that it does not know", () => {
    const meta = new FakeMeta();
    const space = Topology.open(meta, new FakeHost()).namespace("/");
    space.queueDeclare(queue("q", durable), null);
    space.bind(edge("amq.topic", "q"), null);
    meta.delete("topology/queue/%2F/q");
    expect([...Topology.open(meta, new FakeHost()).namespace("/").bindings()]).toEqual([]);
    expect([...meta.map.keys()].filter((key) => key.startsWith("topology/binding"))).toEqual([]);
    meta.put("topology/format", Buffer.from('{"version":99}'));
    expect(() => Topology.open(meta, new FakeHost())).toThrow(/version 99/);
  });

  it("deletes a namespace with all that is in it", () => {
    const meta = new FakeMeta();
    const host = new FakeHost();
    const topology = Topology.open(meta, host);
    const keys = [...meta.map.keys()];
    const space = topology.createNamespace("gone");
    expect(topology.createNamespace("gone")).toBe(space);
    space.exchangeDeclare(exchange("x", "fanout", durable));
    space.queueDeclare(queue("q", durable), null);
    space.bind(edge("x", "q"), null);
    space.openReplyQueue({ connectionName: "c" });
    const route = space.route("x", "k");
    topology.deleteNamespace("gone");
    expect([route.valid, space.deleted, topology.queueCount]).toEqual([false, true, 0]);
    expect(host.created.every(({ deleted }) => deleted)).toBe(true);
    expect(new Set(meta.map.keys())).toEqual(new Set([...keys, "topology/queue-ids"]));
    expect(refusalOf(() => topology.namespace("gone"))?.code).toBe("namespace-not-found");
    expect(refusalOf(() => space.queueDeclare(queue("q"), null))?.code).toBe("namespace-not-found");
    expect(refusalOf(() => space.route("", "q"))?.code).toBe("exchange-not-found");
  });

  it("tells of changes", () => {
    const topology = Topology.open(new FakeMeta(), new FakeHost());
    const changes: TopologyChange[] = [];
    const stop = topology.onChange((change) => changes.push(change));
    const space = topology.createNamespace("n");
    space.exchangeDeclare(exchange("x", "fanout", { autoDelete: true }));
    space.queueDeclare(queue("q"), null);
    space.bind(edge("x", "q"), null);
    space.queueDelete("q", false, false, null);
    stop();
    space.queueDeclare(queue("q"), null);
    expect(changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`)).toEqual([
      "created namespace n",
      "created exchange x",
      "created queue q",
      "created binding x",
      "deleted binding x",
      "deleted exchange x",
      "deleted queue q",
    ]);
  });

  it("holds and loads ten thousand durable queues lightly", () => {
    const meta = new FakeMeta();
    const space = Topology.open(meta, new FakeHost()).namespace("/");
    for (let n = 0; n < 10_000; n++) {
      space.queueDeclare(queue(`queue-${n}`, { ...durable, arguments: table({ "x-message-ttl": 5 }) }), null);
      space.bind(edge("amq.topic", `queue-${n}`, { key: `orders.${n}.*` }), null);
    }
    let again = space;
    const cpuMs = cpuMsOf(() => {
      again = Topology.open(meta, new FakeHost()).namespace("/");
    });
    expect(cpuMs).toBeLessThan(2000);
    expect(again.queueCount).toBe(10_000);
    expect(again.route("amq.topic", "orders.77.x").queues).toHaveLength(1);
  });
});
