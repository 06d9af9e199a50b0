// The long fuzz run; AMQP's against a broker process of its own.
// usage: node test/fuzz/run.mjs [--protocol amqp|stomp] [--count 1000000] [--seed N] [--from INDEX]
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    protocol: { type: "string", default: "amqp" },
    count: { type: "string", default: "1000000" },
    seed: { type: "string" },
    from: { type: "string" },
  },
});
const FILES = {
  amqp: { file: "test/fuzz/fuzz.test.ts", prefix: "FUZZ" },
  stomp: { file: "test/fuzz/stomp.test.ts", prefix: "STOMP_FUZZ" },
};
const chosen = FILES[values.protocol];
if (chosen === undefined) {
  console.error(`--protocol is one of ${Object.keys(FILES).join(", ")}`);
  process.exit(2);
}
const { file, prefix } = chosen;
const env = { ...process.env, FUZZ_SPAWN: "1", [`${prefix}_COUNT`]: values.count };
if (values.seed) env[`${prefix}_SEED`] = values.seed;
if (values.from) env[`${prefix}_FROM`] = values.from;
const { status } = spawnSync("npx", ["vitest", "run", file], { env, stdio: "inherit" });
process.exit(status ?? 1);
