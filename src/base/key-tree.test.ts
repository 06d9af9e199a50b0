import { expect, test } from "vitest";
import { KeyTree } from "./key-tree.ts";

const bytes = (key: string): [Buffer, number] => {
  const encoded = Buffer.from(key);
  return [encoded, encoded.length];
};

/** Every key with a value, by walking the tree. */
function contents(tree: KeyTree, keyOf: ReadonlyMap<number, string>): string[] {
  const found: string[] = [];
  const walk = (node: number): void => {
    if (tree.value(node) !== 0) found.push(keyOf.get(tree.value(node)) as string);
    for (let child = tree.firstChild(node); child !== 0; child = tree.nextSibling(child)) walk(child);
  };
  walk(KeyTree.ROOT);
  return found;
}

test("keys are found by their words, empty ones included, and only where they were put", () => {
  const tree = new KeyTree();
  const keys = ["a", "a.b", "a..b", ".", "", "..", "a.", ".a", "ä.ö", "x".repeat(65_000), "a.b.c"];
  for (const [i, key] of keys.entries()) tree.setValue(tree.grow(...bytes(key)), i + 1);
  for (const [i, key] of keys.entries()) expect(tree.value(tree.find(...bytes(key))), key).toBe(i + 1);
  for (const key of ["b", "a.c", "...", "a.b.c.d", "ä", "x"]) {
    const node = tree.find(...bytes(key));
    expect(node === 0 ? 0 : tree.value(node), key).toBe(0);
  }
});

test("like a Map under a hundred thousand random changes, and empty when everything is gone", () => {
  const tree = new KeyTree();
  const model = new Map<string, number>();
  const keyOf = new Map<number, string>();
  let seed = 42;
  const pick = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % n;
  };
  for (let step = 1; step <= 100_000; step++) {
    const words = Array.from({ length: 1 + pick(4) }, () => "w".repeat(pick(20)) + pick(40));
    const key = words.join(".");
    if (pick(3) === 0) {
      const node = tree.find(...bytes(key));
      if (node !== 0) tree.setValue(node, 0);
      model.delete(key);
    } else {
      tree.setValue(tree.grow(...bytes(key)), step);
      model.set(key, step);
      keyOf.set(step, key);
    }
  }
  expect(contents(tree, keyOf).sort()).toEqual([...model.keys()].sort());
  for (const key of model.keys()) tree.setValue(tree.find(...bytes(key)), 0);
  expect(tree.nodeCount).toBe(0);
  expect(tree.firstChild(KeyTree.ROOT)).toBe(0);
});

test("a pinned node stays among its siblings until it is let go", () => {
  const tree = new KeyTree();
  const nodes = ["a", "b", "c"].map((key) => tree.grow(...bytes(key)));
  for (const node of nodes) tree.setValue(node, 7);
  const [a, b, c] = nodes as [number, number, number];
  tree.pin(b);
  tree.pin(b);
  tree.setValue(b, 0);
  tree.setValue(a, 0);
  expect(tree.firstChild(KeyTree.ROOT)).toBe(b);
  expect(tree.nextSibling(b)).toBe(c);
  tree.unpin(b);
  expect(tree.nodeCount).toBe(2);
  tree.unpin(b);
  expect(tree.nodeCount).toBe(1);
  expect(tree.find(...bytes("b"))).toBe(0);
});
