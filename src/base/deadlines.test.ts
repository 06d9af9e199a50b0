import { describe, expect, test } from "vitest";
import { ManualClock } from "./clock.ts";
import { Deadline, Deadlines } from "./deadlines.ts";

function world() {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const reached: string[] = [];
  const deadline = (name: string) => new Deadline(() => reached.push(`${name}@${clock.monotonic()}`));
  return { clock, deadlines, reached, deadline };
}

describe("deadlines", () => {
  test("are reached in order of time, each once", () => {
    const { clock, deadlines, reached, deadline } = world();
    deadlines.set(deadline("b"), 200);
    deadlines.set(deadline("a"), 100);
    clock.advance(1000);
    expect(reached).toEqual(["a@100", "b@200"]);
  });

  test("one that is put off is reached at its new time only", () => {
    const { clock, deadlines, reached, deadline } = world();
    const a = deadline("a");
    deadlines.set(a, 100);
    clock.advance(90);
    deadlines.set(a, 100);
    clock.advance(90);
    expect(reached).toEqual([]);
    clock.advance(1000);
    expect(reached).toEqual(["a@190"]);
  });

  test("one that is drawn nearer is reached once, at the nearer time", () => {
    const { clock, deadlines, reached, deadline } = world();
    const a = deadline("a");
    deadlines.set(a, 500);
    deadlines.set(a, 100);
    clock.advance(1000);
    expect(reached).toEqual(["a@100"]);
  });

  test("one that is called off, and set again, counts from then", () => {
    const { clock, deadlines, reached, deadline } = world();
    const a = deadline("a");
    deadlines.set(a, 100);
    deadlines.clear(a);
    clock.advance(150);
    expect(reached).toEqual([]);
    deadlines.set(a, 100);
    clock.advance(1000);
    expect(reached).toEqual(["a@250"]);
  });

  test("nothing is reached after a stop", () => {
    const { clock, deadlines, reached, deadline } = world();
    deadlines.set(deadline("a"), 100);
    deadlines.stop();
    deadlines.set(deadline("b"), 10);
    clock.advance(1000);
    expect(reached).toEqual([]);
  });
});
