// The same random conversation with rabbitmq-server and with PolyMQ must go the same way.
//   RABBITMQ_URL  the oracle; without one this file skips (run.mjs starts one)
//   AMQP_URL      the other broker; otherwise PolyMQ in this process
//   DIFF_RUNS, DIFF_SEED, DIFF_PATH   how many scripts, and which
//   DIFF_KIND   classic or quorum; both without it
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { useBroker } from "../support/broker.ts";
import { Player } from "./execute.ts";
import { quorumScript, script } from "./script.ts";

const oracle = process.env.RABBITMQ_URL;
const runs = Number(process.env.DIFF_RUNS ?? 50);
const seed = Number(process.env.DIFF_SEED ?? Date.now() % 1_000_000_000);
const MINUTES = 60_000;

/** Entries up to and including the first that differs: what comes after is only its consequence. */
function untilDifference(left: unknown[], right: unknown[]): [unknown[], unknown[]] {
  const at = left.findIndex((entry, index) => !isDeepStrictEqual(entry, right[index]));
  return at < 0
    ? [left, right]
    : [left.slice(Math.max(0, at - 2), at + 1), right.slice(Math.max(0, at - 2), at + 1)];
}

describe.skipIf(!oracle)("differential", async () => {
  const broker = oracle ? await useBroker() : { url: "" };

  const kinds = [
    { kind: "classic" as const, scripts: script, numRuns: runs },
    { kind: "quorum" as const, scripts: quorumScript, numRuns: Math.ceil(runs / 3) },
  ].filter(({ kind }) => (process.env.DIFF_KIND ?? kind) === kind);

  test.each(kinds)(
    `$numRuns scripts, $kind queues, seed ${seed}`,
    async ({ kind, scripts, numRuns }) => {
      console.log(`differential: DIFF_KIND=${kind} DIFF_SEED=${seed} DIFF_RUNS=${runs}`);
      let repeats = 0;
      const property = fc.asyncProperty(scripts, async (operations) => {
        for (let attempt = 1; ; attempt++) {
          const [expected, actual] = await Promise.all([
            new Player(oracle!, kind).play(operations),
            new Player(broker.url, kind).play(operations),
          ]);
          if (isDeepStrictEqual(expected, actual)) return;
          // On a crowded machine the oracle itself is not quite repeatable: only what differs
          // three times in a row is a difference.
          repeats++;
          if (attempt < 3) continue;
          const [left, right] = untilDifference(expected, actual);
          expect(right).toEqual(left);
        }
      });
      await fc.assert(property, {
        numRuns,
        seed,
        ...(process.env.DIFF_PATH ? { path: process.env.DIFF_PATH } : {}),
        interruptAfterTimeLimit: 20 * MINUTES,
      });
      if (repeats > 0) console.log(`differential: ${repeats} scripts had to be repeated`);
    },
    30 * MINUTES,
  );
});
