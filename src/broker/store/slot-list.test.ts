import fc from "fast-check";
import { expect, test } from "vitest";
import { SlotList } from "./slot-list.ts";

// Slot numbers double as ids here, scrambled so that slot order and id order differ.
const ids = { id: (slot: number): number => slot ^ 0b1010 };

type Op = ["back"] | ["popFront"] | ["popBack"] | ["insert", number] | ["remove", number];

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Op>(["back"]) },
  fc.constant<Op>(["popFront"]),
  fc.constant<Op>(["popBack"]),
  { weight: 3, arbitrary: fc.nat(5000).map((n): Op => ["insert", n]) },
  fc.nat(5000).map((n): Op => ["remove", n]),
);

test("behaves like a sorted array", () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 400 }), fc.integer({ min: 0, max: 6000 }), (ops, prefill) => {
      const list = new SlotList(ids);
      const model: number[] = [];
      let next = 0;
      for (; next < prefill; next++) {
        list.pushBack(ids.id(next));
        model.push(next);
      }
      next = Math.max(next, 5001);
      for (const [kind, argument] of ops) apply(list, model, kind, argument, next++);
      const seen: number[] = [];
      list.scan(false, (slot) => seen.push(ids.id(slot)) > 0);
      expect(seen).toEqual(model);
      expect(list.length).toBe(model.length);
    }),
    { numRuns: 60 },
  );
});

function apply(
  list: SlotList,
  model: number[],
  kind: Op[0],
  argument: number | undefined,
  next: number,
): void {
  if (kind === "back") {
    list.pushBack(ids.id(next));
    model.push(next);
  } else if (kind === "popFront" && model.length > 0) {
    expect(ids.id(list.popFront())).toBe(model.shift());
  } else if (kind === "popBack" && model.length > 0) {
    expect(ids.id(list.popBack())).toBe(model.pop());
  } else if (kind === "insert" && argument !== undefined && !model.includes(argument)) {
    list.insert(ids.id(argument));
    model.push(argument);
    model.sort((a, b) => a - b);
  } else if (kind === "remove" && argument !== undefined) {
    const index = model.indexOf(argument);
    expect(list.find(argument)).toBe(index < 0 ? -1 : ids.id(argument));
    expect(list.remove(argument)).toBe(index < 0 ? -1 : ids.id(argument));
    if (index >= 0) model.splice(index, 1);
  }
}
