import { describe, expect, it } from "vitest";
import {
  copySwapped,
  isTopicName,
  parseFilter,
  queueOfTopic,
  swapSeparators,
  topicOfQueue,
} from "./topic.ts";

const isName = (text: string) => isTopicName(Buffer.from(text), 0, Buffer.byteLength(text));

describe("topics", () => {
  it("become routing keys and back, no two of them the same", () => {
    const topics = ["a/b", "a.b", "/", ".", "a/b.c/d", "//..", "plain", "sensors/v1.0/é", "*/#x"];
    expect(new Set(topics.map(swapSeparators)).size).toBe(topics.length);
    for (const topic of topics) {
      expect(swapSeparators(swapSeparators(topic))).toBe(topic);
      const bytes = Buffer.from(topic);
      const copy = Buffer.alloc(bytes.length);
      copySwapped(bytes, 0, bytes.length, copy, 0);
      expect(copy.toString()).toBe(swapSeparators(topic));
    }
  });

  it("have no wildcards and at least one character", () => {
    expect(["a", "/", "a/b", " ", "*", "$x"].filter(isName)).toHaveLength(6);
    expect(["", "+", "a/#", "a+", "/".repeat(201)].filter(isName)).toEqual([]);
  });

  it("of queues bring any name across", () => {
    for (const name of ["q", "a/b.c", "50%", "a+b#c", "%2B", "amq.gen-x_Y"]) {
      expect(queueOfTopic(topicOfQueue(name))).toBe(name);
      expect(isName(topicOfQueue(name))).toBe(true);
    }
    expect(["$queue/", "$queue/%", "queue/x", `$queue/${"x".repeat(256)}`].map(queueOfTopic)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});

describe("filters", () => {
  it.each(["a", "#", "+", "/", "a/#", "+/+/#", "a//b", "$SYS/#"])("%s is one", (filter) => {
    expect(parseFilter(filter)).toEqual({ text: filter, share: null, pattern: filter });
  });

  it.each([
    "",
    "a#",
    "#/a",
    "a/#/b",
    "a+",
    "+a/b",
    "$share",
    "$share/",
    "$share/g",
    "$share/g/",
    "$share//a",
    "$share/+/a",
  ])("'%s' is none", (filter) => {
    expect(() => parseFilter(filter)).toThrow("is no topic filter");
  });

  it("may be shared", () => {
    expect(parseFilter("$share/g/a/+/#")).toEqual({ text: "$share/g/a/+/#", share: "g", pattern: "a/+/#" });
  });
});
