import { expect, test } from "vitest";
import { MalformedError, Reader } from "../codec/reader.ts";
import { readAssignment, readSubscription } from "./consumer-protocol.ts";

function reader(hex: string): Reader {
  return new Reader(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

test("a subscription of each version", () => {
  const topics = "00000001 0001 74";
  expect(readSubscription(reader(`0000 ${topics} ffffffff`))).toMatchObject({ topics: ["t"], rackId: null });
  const owned = "00000001 0001 74 00000002 00000000 00000003";
  expect(readSubscription(reader(`0003 ${topics} 00000000 ${owned} 00000007 0001 72`))).toEqual({
    topics: ["t"],
    userData: Buffer.alloc(0),
    ownedPartitions: [{ topic: "t", partitions: [0, 3] }],
    generationId: 7,
    rackId: "r",
  });
});

test("an assignment", () => {
  const read = readAssignment(reader("0001 00000001 0001 74 00000001 00000005 ffffffff"));
  expect(read).toEqual({ assignedPartitions: [{ topic: "t", partitions: [5] }], userData: null });
});

test("what is no subscription is malformed", () => {
  expect(() => readSubscription(reader("0000 7fffffff"))).toThrow(MalformedError);
});
