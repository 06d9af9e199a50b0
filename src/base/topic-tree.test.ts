import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cpuMsOf } from "./testing/cpu-time.ts";
import { TopicTree } from "./topic-tree.ts";

function naiveMatch(pattern: readonly string[], key: readonly string[]): boolean {
  const [head, ...rest] = pattern;
  if (head === undefined) return key.length === 0;
  if (head === "#") return naiveMatch(rest, key) || (key.length > 0 && naiveMatch(pattern, key.slice(1)));
  if (key.length === 0) return false;
  return (head === "*" || head === key[0]) && naiveMatch(rest, key.slice(1));
}

const wordsOf = (text: string): string[] => (text === "" ? [] : text.split("."));

function matches<T>(tree: TopicTree<T>, key: string): Set<T> {
  const found = new Set<T>();
  tree.match(key, (value) => found.add(value));
  return found;
}

const keys = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 6 }).map((words) => words.join("."));
const patterns = fc
  .array(fc.constantFrom("a", "b", "", "*", "#", "#", "a*"), { maxLength: 6 })
  .map((words) => words.join("."));

describe("TopicTree", () => {
  it("matches as a naive matcher does, while patterns come and go", () => {
    fc.assert(
      fc.property(
        fc.array(patterns, { maxLength: 12 }),
        fc.array(fc.nat(11)),
        fc.array(keys),
        (all, gone, probes) => {
          const tree = new TopicTree<number>();
          for (const [i, pattern] of all.entries()) tree.add(pattern, i);
          const left = new Map(all.map((pattern, i) => [i, pattern]));
          for (const i of gone) {
            if (all[i] !== undefined) tree.remove(all[i], i);
            left.delete(i);
          }
          expect(tree.size).toBe(left.size);
          for (const key of probes) {
            const expected = [...left]
              .filter(([, p]) => naiveMatch(wordsOf(p), wordsOf(key)))
              .map(([i]) => i);
            expect(matches(tree, key)).toEqual(new Set(expected));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("holds empty words for words, and the empty key for none", () => {
    const tree = new TopicTree<string>();
    for (const pattern of ["a.*.b", "a..b", "#", "*", "", "*.*"]) tree.add(pattern, pattern);
    expect(matches(tree, "a..b")).toEqual(new Set(["a.*.b", "a..b", "#"]));
    expect(matches(tree, "")).toEqual(new Set(["#", ""]));
    expect(matches(tree, ".")).toEqual(new Set(["#", "*.*"]));
  });

  it("stays fast with many wildcards in one pattern", () => {
    const tree = new TopicTree<number>();
    tree.add(`${"#.*.".repeat(30)}x`, 1);
    tree.add(`${"#.a.".repeat(30)}x`, 2);
    const cpuMs = cpuMsOf(() => {
      expect(matches(tree, `${"a.".repeat(120)}y`).size).toBe(0);
      expect(matches(tree, `${"a.".repeat(120)}x`)).toEqual(new Set([1, 2]));
    });
    expect(cpuMs).toBeLessThan(500);
  });

  it("speaks other syntaxes", () => {
    const tree = new TopicTree<string>({ separator: "/", one: "+", many: "#" });
    for (const pattern of ["sport/+/score", "sport/#", "+/+", "sport.*"]) tree.add(pattern, pattern);
    expect(matches(tree, "sport")).toEqual(new Set(["sport/#"]));
    expect(matches(tree, "sport/tennis/score")).toEqual(new Set(["sport/+/score", "sport/#"]));
    expect(tree.isWild("a/+")).toBe(true);
    expect(tree.isWild("a+/b#")).toBe(false);
  });
});
