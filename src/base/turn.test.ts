import { expect, it } from "vitest";
import { type Flush, type Task, Turn } from "./turn.ts";

function task(run: () => void): Task {
  return { scheduled: false, run };
}

function flush(run: () => void, bytes = 0): Flush {
  const counted = () => {
    run();
    return bytes;
  };
  return { scheduled: false, run: counted };
}

const pass = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

it("runs work before flushes, each task once", async () => {
  const ran: string[] = [];
  const turn = new Turn();
  const work = task(() => ran.push("work"));
  turn.last(flush(() => ran.push("flush")));
  turn.soon(work);
  turn.soon(work);
  await pass();
  expect(ran).toEqual(["work", "flush"]);
});

it("goes on with the others when one throws, and says what it threw", async () => {
  const ran: string[] = [];
  const failures: unknown[] = [];
  const turn = new Turn((error) => failures.push(error));
  const fail = (what: string) => () => {
    throw new Error(what);
  };
  const [broken, brokenFlush] = [task(fail("work")), flush(fail("flush"))];
  turn.soon(broken);
  turn.soon(task(() => ran.push("work")));
  turn.last(brokenFlush);
  turn.last(flush(() => ran.push("flush")));
  await pass();
  expect(ran).toEqual(["work", "flush"]);
  expect(failures).toEqual([new Error("work"), new Error("flush")]);

  // Neither the pass nor the task that failed is stuck.
  turn.soon(broken);
  turn.soon(task(() => ran.push("again")));
  await pass();
  expect(ran).toEqual(["work", "flush", "again"]);
  expect(failures).toHaveLength(3);
});

it("writes when it has worked long enough, and goes on where it stopped", async () => {
  let nowMs = 0;
  const turn = new Turn(
    () => {},
    () => nowMs,
  );
  const ran: string[] = [];
  for (let i = 0; i < 40; i++) {
    const work = task(() => {
      nowMs++;
      ran.push(`${i}`);
      if (i === 0) turn.soon(task(() => ran.push("later")));
    });
    turn.soon(work);
  }
  turn.last(flush(() => ran.push("flush")));
  for (let i = 0; i < 4; i++) await pass();
  const numbers = Array.from({ length: 40 }, (_, i) => `${i}`);
  expect(ran).toEqual([...numbers.slice(0, 16), "flush", ...numbers.slice(16), "later"]);
});

it("flushes so many bytes, and so many connections, before it lets sockets be read", async () => {
  const turn = new Turn();
  let ran = 0;
  const perPass: number[] = [];
  const count = () => {
    perPass.push(ran);
    ran = 0;
    if (perPass.length < 6) setImmediate(count);
  };
  for (let i = 0; i < 3; i++) turn.last(flush(() => ran++, 200 * 1024));
  for (let i = 0; i < 40; i++) turn.last(flush(() => ran++, 10));
  setImmediate(count);
  while (perPass.length < 6) await pass();
  expect(perPass).toEqual([2, 32, 9, 0, 0, 0]);
});

it("keeps no trace of what it has written, though there is always more to write", async () => {
  const turn = new Turn();
  let ran = 0;
  let going = true;
  const always: Flush[] = Array.from({ length: 100 }, () =>
    flush(() => {
      ran++;
    }),
  );
  for (const one of always) turn.last(one);
  while (ran < 10_000) {
    await new Promise(setImmediate);
    for (const one of always) turn.last(one);
  }
  const { items } = (turn as unknown as { flushes: { items: Flush[] } }).flushes;
  expect(items.length).toBeLessThanOrEqual(400);
  const last = flush(() => {
    going = false;
  });
  turn.last(last);
  while (going) await new Promise(setImmediate);
  await pass();
  expect(items).not.toContain(last);
});
