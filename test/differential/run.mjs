// Compares PolyMQ with a rabbitmq-server: random scripts, and conversations written by hand.
// usage: node test/differential/run.mjs [--runs N] [--seed N] [--self] [file...]
//   --self   the oracle against itself: tells how repeatable the comparison is
// RABBITMQ_URL and RABBITMQ_STOMP_URL name a running oracle; otherwise the installed rabbitmq-server is started.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { startRabbitmq } from "../support/rabbitmq.mjs";

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "200" }, seed: { type: "string" }, self: { type: "boolean" } },
});
const oracle = process.env.RABBITMQ_URL
  ? { url: process.env.RABBITMQ_URL, stompUrl: process.env.RABBITMQ_STOMP_URL, stop() {} }
  : await startRabbitmq({ stomp: true });
const env = { ...process.env, RABBITMQ_URL: oracle.url, DIFF_RUNS: values.runs };
if (oracle.stompUrl) env.RABBITMQ_STOMP_URL = oracle.stompUrl;
if (values.seed) env.DIFF_SEED = values.seed;
if (values.self) Object.assign(env, { AMQP_URL: oracle.url, STOMP_URL: oracle.stompUrl });
// Not spawnSync: the oracle writes each of its errors to a pipe, and stands still when nobody reads it.
const [status] = await once(
  spawn("npx", ["vitest", "run", ...(files.length > 0 ? files : ["test/differential"])], {
    env,
    stdio: "inherit",
  }),
  "exit",
);
await oracle.stop();
process.exit(status ?? 1);
