// The generator against a sink that does nothing, to show that it is not what limits a row.
import { spawn } from "node:child_process";
import { freePort } from "./brokers.mjs";
import { killGroup, trackGroup } from "./cleanup.mjs";
import { buildSink, generate, sleep } from "./generator.mjs";
import { formatNumber } from "./report.mjs";

const shapes = {
  publish: ["--producers", 1],
  "publish, confirm window 1000": ["--producers", 1, "--confirms", 1000],
  consume: ["--consumers", 1, "--auto-ack"],
  "publish and consume": ["--producers", 1, "--consumers", 1, "--auto-ack"],
  "100 publishers, window 1": ["--producers", 100, "--queues", 100, "--confirms", 1],
};

export async function proveGenerator({ seconds, warmup }) {
  for (const body of [16, 1024, 16384]) {
    const address = { host: "127.0.0.1", port: await freePort() };
    const sink = trackGroup(
      spawn(buildSink(), [String(address.port), String(body)], { detached: true, stdio: "inherit" }),
    );
    await sleep(200);
    for (const [name, args] of Object.entries(shapes)) {
      const result = await generate(address, [
        ...args,
        "--body",
        body,
        "--seconds",
        seconds,
        "--warmup",
        warmup,
      ]);
      const rates = `published ${formatNumber(result.published_per_s)}/s, delivered ${formatNumber(result.delivered_per_s)}/s`;
      console.log(`${body} B, ${name}: ${rates}, ${(result.cpu_seconds / result.seconds).toFixed(2)} cores`);
    }
    killGroup(sink);
  }
}
