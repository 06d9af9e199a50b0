// kill -9 of the broker, or a broken connection, between any two packets of QoS 1 and 2, on either side. A message of
// QoS 1 that was acknowledged comes at least once, one of QoS 2 exactly once.
//   CRASH_ROUNDS, CRASH_SEED   how many times through all the places, and which packets
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PolymqProcess } from "../support/polymq-process.ts";
import { randomFrom } from "../support/random.ts";
import { Publisher, type Side, type Step, Subscriber } from "./mqtt-peers.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 1);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000_000);
const random = randomFrom(seed);
const MESSAGES = 40;
const WINDOW = 5;

type Place = readonly [Side, Step];

const PLACES: readonly Place[] = [
  ["publisher", "out publish"],
  ["publisher", "in puback"],
  ["publisher", "in pubrec"],
  ["publisher", "out pubrel"],
  ["publisher", "in pubcomp"],
  ["subscriber", "in publish"],
  ["subscriber", "out puback"],
  ["subscriber", "out pubrec"],
  ["subscriber", "in pubrel"],
  ["subscriber", "out pubcomp"],
];

function mqttUrl(broker: PolymqProcess): string {
  return /mqtt:\/\/[\d.]+:\d+/.exec(broker.output)?.[0] as string;
}

let scenario = 0;

const moment = () => new Promise((resolve) => setTimeout(resolve, random() * 4));

/** One breaking after some packet of this kind; then everything goes on to its end. Returns whether it broke. */
async function brokenAt(broker: PolymqProcess, [side, step]: Place, how: "broker" | "connection") {
  const name = `crash${++scenario}`;
  let nth = 1 + Math.floor(random() * 15);
  let broken: Promise<void> | null = null;
  const breakIt = async (): Promise<void> => {
    if (how === "broker") await broker.kill9();
    else for (const peer of [publisher, subscriber]) peer.cut();
  };
  const observe = (where: Side, what: Step): void => {
    if (broken !== null || where !== side || what !== step || --nth > 0) return;
    // At once, or when the broker has had a moment to act on it.
    broken = random() < 0.5 ? breakIt() : moment().then(breakIt);
  };
  const texts = Array.from({ length: MESSAGES }, (_, i) => `${name}/${i}`);
  const publisher = new Publisher(`${name}-p`, `${name}/t`, texts, observe);
  const subscriber = new Subscriber(`${name}-s`, `${name}/#`, observe);
  const all = () => texts.every((text) => subscriber.seen.has(text));
  for (let attempt = 0; !(publisher.done && all()); attempt++) {
    if (attempt > 5) throw new Error(`no end: ${subscriber.seen.size} of ${MESSAGES} came`);
    const url = mqttUrl(broker);
    let listens = true;
    const listening = subscriber.run(url).catch(() => {
      listens = false;
    });
    while (listens && !subscriber.ready) await new Promise(setImmediate);
    if (!publisher.done) await publisher.run(url, WINDOW).catch(() => {});
    while (listens && publisher.done && !all()) await new Promise(setImmediate);
    await broken;
    for (const peer of [publisher, subscriber]) peer.cut();
    await listening;
    if (broker.exitCode !== undefined) await broker.start();
  }
  await subscriber.rest(mqttUrl(broker));
  if (subscriber.unreleased > 0) throw new Error(`${subscriber.unreleased} messages were never released`);
  for (const [i, text] of texts.entries()) {
    const count = subscriber.seen.get(text) ?? 0;
    const right = i % 2 === 0 ? count === 1 : count >= 1;
    if (!right) throw new Error(`QoS ${i % 2 === 0 ? 2 : 1} message ${text} came ${count} times`);
  }
  return broken !== null;
}

test(
  `${rounds} times ${PLACES.length} places, seed ${seed}`,
  async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-mqtt-crash-"));
    const broker = await PolymqProcess.start({ dataDir });
    let hits = 0;
    try {
      for (let round = 0; round < rounds; round++) {
        for (const place of PLACES) {
          for (const how of ["broker", "connection", "connection"] as const) {
            const hit = await brokenAt(broker, place, how).catch((error: Error) => {
              throw new Error(`seed ${seed}, round ${round}, ${how} at ${place.join(" ")}: ${error.message}`);
            });
            if (hit) hits++;
          }
        }
      }
      expect(hits).toBe(rounds * PLACES.length * 3);
    } finally {
      await broker.stop();
      rmSync(dataDir, { recursive: true, force: true });
    }
  },
  60_000 + rounds * 120_000,
);
