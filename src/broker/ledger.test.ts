import { describe, expect, it } from "vitest";
import { seededRandom } from "../engine/file/sim-disk.ts";
import { type Holder, Ledger, type SettleTarget } from "./ledger.ts";

/** Writes down what becomes of its messages. */
class FakeQueue implements SettleTarget {
  readonly log: string[] = [];
  accepted = (slot: number): void => void this.log.push(`accepted ${slot}`);
  rejected = (slot: number, requeue: boolean): void =>
    void this.log.push(`${requeue ? "requeued" : "rejected"} ${slot}`);
  returned = (slot: number): void => void this.log.push(`returned ${slot}`);
  timedOut = (slot: number): void => void this.log.push(`late ${slot}`);
  wake(): void {}
}

function open(): { ledger: Ledger; queue: FakeQueue; holder: Holder } {
  const queue = new FakeQueue();
  return { ledger: new Ledger(), queue, holder: { queue, unsettled: 0 } };
}

describe("a delivery that stays unsettled while a million others come and go", () => {
  function left(): ReturnType<typeof open> {
    const parts = open();
    const { ledger, holder } = parts;
    ledger.enter(1, holder, 5);
    for (let slot = 2; slot <= 1_000_000; slot++) {
      const tag = ledger.enter(slot, holder, 10);
      if (slot !== 500_000) ledger.accept(tag, false);
    }
    parts.queue.log.length = 0;
    return parts;
  }

  it("costs no memory for the others", () => {
    const { ledger, holder } = left();
    expect(ledger.capacity).toBeLessThanOrEqual(64);
    expect([ledger.unsettled, holder.unsettled]).toEqual([2, 2]);
  });

  it("can be settled, once", () => {
    const { ledger, queue, holder } = left();
    ledger.accept(1, false);
    expect(() => ledger.accept(1, false)).toThrow("unknown delivery tag 1");
    expect(() => ledger.accept(2, false)).toThrow("unknown delivery tag 2");
    ledger.reject(500_000, false, true);
    expect(queue.log).toEqual(["accepted 1", "requeued 500000"]);
    expect([ledger.unsettled, holder.unsettled]).toEqual([0, 0]);
  });

  it("is one of all that are settled together, in order", () => {
    const parts = left();
    const tag = parts.ledger.enter(77, parts.holder, 10);
    parts.ledger.accept(tag, true);
    expect(parts.queue.log).toEqual(["accepted 1", "accepted 500000", "accepted 77"]);
    const rejecting = left();
    rejecting.ledger.reject(0, true, false);
    expect(rejecting.queue.log).toEqual(["rejected 1", "rejected 500000"]);
  });

  it("is given back, seen and timed out like others", () => {
    const { ledger, queue } = left();
    const slots: number[] = [];
    ledger.visitUnsettled(queue, (slot) => slots.push(slot));
    expect(slots).toEqual([1, 500_000]);
    ledger.returnLate(queue, 7);
    expect(queue.log).toEqual(["late 1"]);
    ledger.close();
    expect(queue.log).toEqual(["late 1", "returned 500000"]);
  });
});

it("forgets which tags timed out, but not that some did", () => {
  const { ledger, queue, holder } = open();
  for (let slot = 1; slot <= 100_000; slot++) ledger.enter(slot, holder, 1);
  ledger.returnLate(queue, 1);
  for (const tag of [1, 50_000, 100_000]) ledger.accept(tag, false);
  expect(queue.log.filter((line) => line.startsWith("accepted"))).toEqual([]);
  const tag = ledger.enter(7, holder, 2);
  ledger.accept(tag, false);
  expect(() => ledger.accept(tag, false)).toThrow("unknown delivery tag");
  expect(() => ledger.accept(0, false)).toThrow("unknown delivery tag 0");
});

it("does what a plain map would do", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const { ledger, queue, holder } = open();
    const model = new Map<number, number>();
    const expected: string[] = [];
    const patience = 1 + Math.floor(random() * 40);
    for (let step = 1; step < 600; step++) {
      const roll = random();
      if (roll < 0.1) ledger.passed();
      else if (roll < 0.6) model.set(ledger.enter(step, holder, step), step);
      else if (model.size > 0) {
        // Mostly the newest, so that some are left far behind.
        const tags = [...model.keys()];
        const tag = tags[Math.max(0, tags.length - 1 - Math.floor(random() * patience))] as number;
        const multiple = random() < 0.02;
        ledger.accept(tag, multiple);
        for (const other of tags) {
          if (other !== tag && !(multiple && other < tag)) continue;
          expected.push(`accepted ${model.get(other)}`);
          model.delete(other);
        }
      }
      expect(ledger.unsettled).toBe(model.size);
    }
    expect(queue.log).toEqual(expected);
    const slots: number[] = [];
    ledger.visitUnsettled(queue, (slot) => slots.push(slot));
    expect(slots).toEqual([...model.values()]);
    expect(holder.unsettled).toBe(model.size);
  }
});
