import fc from "fast-check";
import { expect, it } from "vitest";
import { ShortList } from "./short-list.ts";

it("holds what an array would", () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant("push" as const), n: fc.nat(100) }),
    fc.record({
      what: fc.constantFrom("put" as const, "removeFirst" as const, "truncate" as const),
      n: fc.nat(100),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const list = new ShortList<number>();
      const array: number[] = [];
      for (const { what, n } of steps) {
        const at = array.length === 0 ? 0 : n % (array.length + 1);
        if (what === "push") {
          list.push(n);
          array.push(n);
        } else if (what === "removeFirst") {
          list.removeFirst(at);
          array.splice(0, at);
        } else if (what === "truncate") {
          list.truncate(at);
          array.length = at;
        } else if (at < array.length) {
          list.put(at, n);
          array[at] = n;
        }
        expect(Array.from({ length: list.length }, (_, index) => list.at(index))).toEqual(array);
      }
    }),
  );
});

it("is right again after it has been long", () => {
  const list = new ShortList<number>();
  for (let i = 0; i < 1000; i++) list.push(i);
  list.removeFirst(999);
  expect([list.length, list.at(0)]).toEqual([1, 999]);
  list.removeFirst(1);
  list.push(7);
  expect([list.length, list.at(0)]).toEqual([1, 7]);
});
