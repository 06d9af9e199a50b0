// The long fuzz run, against a broker process of its own.
// usage: node test/fuzz/run.mjs [--count 1000000] [--seed N] [--from INDEX]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000000" },
    seed: { type: "string" },
    from: { type: "string" },
  },
});
const env = { ...process.env, FUZZ_SPAWN: "1", FUZZ_COUNT: values.count };
if (values.seed) env.FUZZ_SEED = values.seed;
if (values.from) env.FUZZ_FROM = values.from;
const { status } = spawnSync("npx", ["vitest", "run", "test/fuzz/fuzz.test.ts"], { env, stdio: "inherit" });
process.exit(status ?? 1);
