// What each level of durability keeps, asked of the real process: kill -9, and an orderly stop.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Client, drain, eventually, publishAll } from "../support/client.ts";
import { PolymqProcess } from "../support/polymq-process.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(...args: string[]): Promise<PolymqProcess> {
  const dataDir = mkdtempSync(join(tmpdir(), "polymq-durability-"));
  const broker = await PolymqProcess.start({ dataDir, args });
  cleanUps.push(
    () => rmSync(dataDir, { recursive: true, force: true }),
    () => broker.stop(),
  );
  return broker;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`);

/** Publishes persistent messages, confirmed one and all, then leaves without a trace. */
async function confirmed(broker: PolymqProcess, queue: string, bodies: string[], durability?: string) {
  const client = new Client(broker.url);
  const channel = await client.confirmChannel();
  const options = durability === undefined ? {} : { arguments: { "x-durability": durability } };
  await channel.assertQueue(queue, options);
  await publishAll(channel, queue, bodies, { persistent: true });
  await client.cleanUp();
}

/** What is in the queue; null when there is no such queue. */
async function left(broker: PolymqProcess, queue: string): Promise<string[] | null> {
  const client = new Client(broker.url);
  const channel = await client.channel();
  const bodies = await channel.checkQueue(queue).then(
    () => drain(channel, queue),
    () => null,
  );
  await client.cleanUp();
  return bodies;
}

/** What was confirmed before this is in a checkpoint when it is over. */
async function checkpointed(broker: PolymqProcess): Promise<void> {
  // The first one that ends may have begun too early. Whoever has nothing to write makes none.
  for (let ended = 0; ended < 2; ended++) {
    const before = await broker.figure("polymq_log_syncs_total");
    await confirmed(broker, "unwritten", ["x"]);
    await eventually(async () => (await broker.figure("polymq_log_syncs_total")) > before, "a checkpoint");
  }
}

async function restart(broker: PolymqProcess, how: "kill -9" | "stop"): Promise<void> {
  if (how === "kill -9") await broker.kill9();
  else expect(await broker.stop()).toBe(0);
  await broker.start();
}

describe.each(["fsync", "os"])("--durability %s", (level) => {
  test.each(["kill -9", "stop"] as const)("everything that was confirmed outlives %s", async (how) => {
    const broker = await start("--durability", level);
    await confirmed(broker, "q", numbers(0, 500));
    await restart(broker, how);
    expect(await left(broker, "q")).toEqual(numbers(0, 500));
    await restart(broker, "stop");
    expect(await left(broker, "q")).toEqual([]);
  });
});

describe("--durability memory", () => {
  const checkpoint = ["--checkpoint-interval", "200ms"];

  test("an orderly stop keeps everything", async () => {
    const broker = await start("--durability", "memory", "--checkpoint-interval", "1h");
    await confirmed(broker, "q", numbers(0, 500));
    await restart(broker, "stop");
    expect(await left(broker, "q")).toEqual(numbers(0, 500));
  });

  test("kill -9 loses what came after the last checkpoint, and nothing before it", async () => {
    const broker = await start("--durability", "memory", ...checkpoint);
    await confirmed(broker, "q", numbers(0, 500));
    await checkpointed(broker);
    await confirmed(broker, "q", numbers(500, 600));
    await restart(broker, "kill -9");
    const bodies = (await left(broker, "q"))!;
    expect(bodies.length).toBeGreaterThanOrEqual(500);
    expect(bodies).toEqual(numbers(0, bodies.length));
  });
});

describe("x-durability", () => {
  test("of a queue, beside others of another level", async () => {
    const broker = await start("--durability", "os");
    await confirmed(broker, "kept", numbers(0, 100), "os");
    await confirmed(broker, "light", numbers(0, 100), "memory");
    await restart(broker, "stop");
    for (const queue of ["kept", "light"]) expect(await left(broker, queue)).toHaveLength(100);
  });

  test("more than the broker gives is refused, not promised", async () => {
    const broker = await start("--durability", "memory", "--checkpoint-interval", "1h");
    const client = new Client(broker.url);
    for (const level of ["os", "fsync"]) {
      const error = await client.errorOf((ch) =>
        ch.assertQueue(`q.${level}`, { arguments: { "x-durability": level } }),
      );
      expect(error).toMatchObject({ code: 406, scope: "channel" });
      expect(error.text).toContain(`invalid arg 'x-durability' for queue 'q.${level}' in vhost '/'`);
    }
    await client.cleanUp();
  });

  test.each(["os", "memory"])("%s under fsync: an orderly stop keeps it", async (level) => {
    const broker = await start();
    await confirmed(broker, "q", numbers(0, 300), level);
    await confirmed(broker, "synced", numbers(0, 10));
    await restart(broker, "stop");
    expect(await left(broker, "q")).toEqual(numbers(0, 300));
    expect(await left(broker, "synced")).toEqual(numbers(0, 10));
  });

  test("os under fsync outlives kill -9; memory leaves a beginning, and the queue", async () => {
    const broker = await start();
    await confirmed(broker, "kept", numbers(0, 300), "os");
    await confirmed(broker, "light", numbers(0, 300), "memory");
    await restart(broker, "kill -9");
    expect(await left(broker, "kept")).toEqual(numbers(0, 300));
    const light = (await left(broker, "light"))!;
    expect(light).toEqual(numbers(0, light.length));
  });

  test("is part of the declaration, and one that does not exist is refused", async () => {
    const broker = await start();
    await confirmed(broker, "q", [], "os");
    const client = new Client(broker.url);
    const declared = (durability?: string) => (ch: Parameters<Parameters<Client["errorOf"]>[0]>[0]) =>
      ch.assertQueue("q", durability === undefined ? {} : { arguments: { "x-durability": durability } });
    const error = await client.errorOf(declared("memory"));
    expect(error).toMatchObject({ code: 406, scope: "channel" });
    expect(error.text).toContain("inequivalent arg 'x-durability' for queue 'q' in vhost '/'");
    expect(await client.errorOf(declared("paper"))).toMatchObject({ code: 406 });
    await client.cleanUp();
  });
});

describe("--engine memory:", () => {
  test("keeps nothing", async () => {
    const broker = await start("--engine", "memory:");
    await confirmed(broker, "q", numbers(0, 10));
    await restart(broker, "stop");
    expect(await left(broker, "q")).toBeNull();
  });

  test.each(["stop", "kill -9"] as const)("with checkpoints, after %s", async (how) => {
    const broker = await start("--engine", "memory:", "--checkpoint-interval", "200ms");
    await confirmed(broker, "q", numbers(0, 500));
    if (how === "kill -9") await checkpointed(broker);
    await restart(broker, how);
    expect(await left(broker, "q")).toEqual(numbers(0, 500));
    // What was taken is not there again after the next checkpoint.
    if (how === "kill -9") await checkpointed(broker);
    await restart(broker, how);
    expect(await left(broker, "q")).toEqual([]);
  });
});
