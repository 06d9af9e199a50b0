// The long crash run: of every suite here, or of one by its name.
// usage: node test/crash/run.mjs [--suite amqp091] [--rounds 200] [--seed N] [--broker rabbitmq]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    rounds: { type: "string", default: "200" },
    seed: { type: "string" },
    broker: { type: "string" },
  },
});
const env = { ...process.env, CRASH_ROUNDS: values.rounds };
if (values.seed) env.CRASH_SEED = values.seed;
if (values.broker) env.CRASH_BROKER = values.broker;
const tests = values.suite === undefined ? "test/crash" : `test/crash/${values.suite}.test.ts`;
const { status } = spawnSync("npx", ["vitest", "run", tests], { env, stdio: "inherit" });
process.exit(status ?? 1);
