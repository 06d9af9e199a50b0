import { describe, expect, it } from "vitest";
import { Filters, type Subscription } from "./filters.ts";
import { Content, nativeBytes } from "./message.ts";
import { parseFilter } from "./topic.ts";

function subscription(text: string, qos: number, more: Partial<Subscription> = {}): Subscription {
  return {
    filter: parseFilter(text),
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    id: 0,
    ...more,
  };
}

function message(topic: string, publisher: string | null = null): Content {
  const native = nativeBytes({
    qos: 1,
    retain: false,
    publisher: publisher === null ? null : Buffer.from(publisher),
    topic: Buffer.from(topic),
    properties: new Uint8Array(0),
    hasExpiry: false,
    payload: Buffer.from("x"),
  });
  const content = new Content();
  content.locate(native, 0, native.length);
  return content;
}

describe("Filters", () => {
  it("grants the highest QoS of all that match, with their identifiers", () => {
    const filters = new Filters("c");
    filters.add(subscription("a/#", 0, { id: 1 }));
    filters.add(subscription("a/+", 2, { id: 2, retainAsPublished: true }));
    filters.add(subscription("a/b", 1));
    filters.add(subscription("x", 1, { id: 3 }));
    const { ids, ...grant } = filters.match(message("a/b"));
    expect(grant).toEqual({ qos: 2, retainAsPublished: true });
    expect([...ids].sort()).toEqual([1, 2]);
    expect(filters.match(message("a"))).toEqual({ qos: 0, retainAsPublished: false, ids: [1] });
    expect(filters.match(message("b")).qos).toBe(-1);
  });

  it("forgets what it knew of topics when subscriptions change", () => {
    const filters = new Filters("c");
    filters.add(subscription("a", 0));
    expect(filters.match(message("a")).qos).toBe(0);
    filters.add(subscription("a", 2));
    expect(filters.match(message("a")).qos).toBe(2);
    filters.remove("a");
    expect(filters.match(message("a")).qos).toBe(-1);
  });

  it("does not give hidden topics to wildcards in front", () => {
    const filters = new Filters("c");
    for (const text of ["#", "+/x", "$a/#"]) filters.add(subscription(text, text === "$a/#" ? 1 : 2));
    expect(filters.match(message("$a/x")).qos).toBe(1);
    expect(filters.match(message("b/x")).qos).toBe(2);
  });

  it("leaves out subscriptions that do not want the client's own, for its own", () => {
    const filters = new Filters("me");
    filters.add(subscription("a", 2, { noLocal: true }));
    filters.add(subscription("#", 0));
    expect(filters.marksOwn).toBe(true);
    expect(filters.match(message("a", "me")).qos).toBe(0);
    expect(filters.match(message("a", "you")).qos).toBe(2);
    filters.remove("a");
    expect(filters.marksOwn).toBe(false);
  });

  it("asks shared subscriptions only where no other matches", () => {
    const filters = new Filters("c");
    filters.add(subscription("$share/g/#", 2));
    filters.add(subscription("a", 1));
    expect(filters.match(message("a")).qos).toBe(1);
    expect(filters.match(message("b")).qos).toBe(2);
  });
});
