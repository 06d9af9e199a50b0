import { beforeEach, describe, expect, it } from "vitest";
import { PUBLISH_APART, PUBLISH_DONE, PUBLISH_PENDING, PUBLISH_REFUSED } from "../../broker/index.ts";
import { Confirms } from "./confirms.ts";

const STREAMED = PUBLISH_PENDING | PUBLISH_APART;
let said: string[];
let confirms: Confirms;

beforeEach(() => {
  said = [];
  confirms = new Confirms({
    acknowledge: (tag, multiple, count) => said.push(`ack ${tag}${multiple ? ` of ${count}` : ""}`),
    refuse: (tag, multiple) => said.push(`nack ${tag}${multiple ? " and before" : ""}`),
  });
});

/** Publishes of one chunk, which wait for `batch`. */
function chunk(batch: number, ...outcomes: number[]): void {
  for (const outcome of outcomes) confirms.record(outcome);
  confirms.assign(batch);
  confirms.flush();
}

describe("Confirms", () => {
  it("cover all that is done with one answer, in the order of publishing", () => {
    chunk(1, PUBLISH_DONE, PUBLISH_DONE);
    expect(said.splice(0)).toEqual(["ack 2 of 2"]);
    chunk(1, PUBLISH_PENDING, PUBLISH_DONE, PUBLISH_PENDING);
    chunk(2, PUBLISH_DONE, PUBLISH_PENDING);
    expect([said, confirms.waiting]).toEqual([[], true]);
    confirms.committed(1, false);
    expect(said.splice(0)).toEqual(["ack 6 of 4"]);
    confirms.committed(2, false);
    expect([said, confirms.waiting]).toEqual([["ack 7"], false]);
  });

  it("refuse at once what was refused at once", () => {
    chunk(1, PUBLISH_PENDING, PUBLISH_REFUSED, PUBLISH_PENDING);
    expect(said.splice(0)).toEqual(["nack 2"]);
    confirms.committed(1, false);
    expect(said.splice(0)).toEqual(["ack 3 of 2"]);
    // Whatever is refused is counted by nobody else.
    chunk(2, PUBLISH_REFUSED, PUBLISH_DONE);
    expect(said.splice(0)).toEqual(["nack 4", "ack 5 of 1"]);
    chunk(2, PUBLISH_PENDING, PUBLISH_REFUSED, PUBLISH_REFUSED);
    confirms.committed(2, false);
    expect(said.splice(0)).toEqual(["nack 7", "nack 8", "ack 6"]);
    chunk(3, PUBLISH_DONE, PUBLISH_DONE);
    expect(said).toEqual(["ack 10 of 2"]);
  });

  it("refuse of a lost batch what went to streams, and nothing else", () => {
    chunk(1, PUBLISH_PENDING, STREAMED, STREAMED, PUBLISH_DONE, PUBLISH_PENDING, STREAMED);
    chunk(2, STREAMED);
    confirms.committed(1, true);
    expect(said.splice(0)).toEqual(["ack 1", "nack 3 and before", "ack 5 of 2", "nack 6"]);
    confirms.committed(2, false);
    expect(said).toEqual(["ack 7"]);
  });

  it("know what waits from what has no batch yet", () => {
    confirms.record(STREAMED);
    expect([confirms.unassigned, confirms.waiting]).toEqual([true, false]);
    confirms.assign(1);
    expect([confirms.unassigned, confirms.waiting]).toEqual([false, true]);
    // A batch before it, of which it holds nothing, is none of its business.
    confirms.committed(0, true);
    expect([said, confirms.waiting]).toEqual([[], true]);
  });
});
