// The long crash run.
// usage: node test/crash/run.mjs [--rounds 200] [--seed N] [--broker rabbitmq]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string" },
    broker: { type: "string" },
  },
});
const env = { ...process.env, CRASH_ROUNDS: values.rounds };
if (values.seed) env.CRASH_SEED = values.seed;
if (values.broker) env.CRASH_BROKER = values.broker;
const { status } = spawnSync("npx", ["vitest", "run", "test/crash"], { env, stdio: "inherit" });
process.exit(status ?? 1);
