// kill -9 of the broker at the moment at which a client that has said goodbye sees its connection end: its will is not
// said after the restart, that of a client that was cut off is.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { lasting, leave } from "../support/mqtt-flow.ts";
import { RawMqtt } from "../support/mqtt-raw.ts";
import { PolymqProcess } from "../support/polymq-process.ts";

const ROUNDS = 4;
const CLIENTS = 40;

const dataDir = mkdtempSync(join(tmpdir(), "polymq-mqtt-goodbye-"));
let broker: PolymqProcess | null = null;
afterEach(async () => {
  await broker?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function mqttUrl({ output }: PolymqProcess): string {
  return /mqtt:\/\/[\d.]+:\d+/.exec(output)?.[0] as string;
}

const will = (topic: string) => ({ topic, payload: Buffer.from("gone"), qos: 1 as const, retain: false });

test("a will that was taken back before the connection ended is not said after a crash", async () => {
  broker = await PolymqProcess.start({ dataDir });
  let watcher = await RawMqtt.connect(mqttUrl(broker), lasting(4, "watcher"));
  await watcher.subscribe("wills/#", 1);
  for (let round = 0; round < ROUNDS; round++) {
    const names = Array.from({ length: CLIENTS }, (_, i) => `${round}/${i}`);
    const connect = (name: string, version: 4 | 5): Promise<RawMqtt> =>
      RawMqtt.connect(mqttUrl(broker as PolymqProcess), {
        ...lasting(version, `c${name}`),
        will: will(`wills/${name}`),
      });
    const version = round % 2 === 0 ? 4 : 5;
    const clients = await Promise.all(names.map((name) => connect(name, version)));
    // After all the others, so that their wills, if any, are there when this one is.
    await connect(`${round}/cut`, version);
    const seenEnd = new Set<string>();
    let over = false;
    const ends = clients.map((client, i) =>
      client.closed.then(() => {
        if (!over) seenEnd.add(`wills/${names[i]}`);
      }),
    );
    for (const client of clients) client.send({ cmd: "disconnect" });
    await Promise.race(ends);
    over = true;
    await broker.kill9();
    await broker.start();
    expect(seenEnd.size).toBeGreaterThan(0);

    watcher = await RawMqtt.connect(mqttUrl(broker), lasting(4, "watcher"));
    const said: string[] = [];
    while (said.at(-1) !== `wills/${round}/cut`) {
      const { topic, messageId = 0 } = await watcher.next("publish");
      said.push(topic);
      watcher.send({ cmd: "puback", messageId });
    }
    await watcher.settle();
    expect(watcher.packets.filter(({ cmd }) => cmd === "publish")).toEqual([]);
    expect(said.filter((topic) => seenEnd.has(topic))).toEqual([]);
    await leave(watcher);
  }
}, 120_000);
