import { expect, it } from "vitest";
import { type Task, Turn } from "./turn.ts";

function task(run: () => void): Task {
  return { scheduled: false, run };
}

const pass = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

it("runs work before flushes, each task once", async () => {
  const ran: string[] = [];
  const turn = new Turn();
  const flush = task(() => ran.push("flush"));
  const work = task(() => ran.push("work"));
  turn.last(flush);
  turn.soon(work);
  turn.soon(work);
  await pass();
  expect(ran).toEqual(["work", "flush"]);
});

it("goes on with the others when one throws, and says what it threw", async () => {
  const ran: string[] = [];
  const failures: unknown[] = [];
  const turn = new Turn((error) => failures.push(error));
  const [broken, brokenFlush] = ["work", "flush"].map((what) =>
    task(() => {
      throw new Error(what);
    }),
  ) as [Task, Task];
  turn.soon(broken);
  turn.soon(task(() => ran.push("work")));
  turn.last(brokenFlush);
  turn.last(task(() => ran.push("flush")));
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
  turn.last(task(() => ran.push("flush")));
  for (let i = 0; i < 4; i++) await pass();
  const numbers = Array.from({ length: 40 }, (_, i) => `${i}`);
  expect(ran).toEqual([...numbers.slice(0, 16), "flush", ...numbers.slice(16), "later"]);
});
