// The long fuzz run: of AMQP 0-9-1 (and of what else has a suite here by its name) against a broker process of its own,
// of mqtt-direct, stomp and kafka in this process, without sockets.
// usage: node test/fuzz/run.mjs [--suite fuzz|mqtt|mqtt-direct|stomp|kafka] [--count 1000000] [--seed N] [--from INDEX]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    suite: { type: "string", default: "fuzz" },
    count: { type: "string", default: "1000000" },
    seed: { type: "string" },
    from: { type: "string" },
  },
});
const env = { ...process.env, FUZZ_SPAWN: "1", FUZZ_COUNT: values.count };
if (values.seed) env.FUZZ_SEED = values.seed;
if (values.from) env.FUZZ_FROM = values.from;
const { status } = spawnSync("npx", ["vitest", "run", `test/fuzz/${values.suite}.test.ts`], {
  env,
  stdio: "inherit",
});
process.exit(status ?? 1);
