/**
 * MQTT on a disk that dies at a random moment, life after life, while clients publish, receive, retain and leave wills with
 * QoS 1 and 2. What was acknowledged comes; what has QoS 2 comes once; the retained messages are those acknowledged
 * last, or newer; sessions are there; and the wills of those who were connected are said.
 *   SIM_SEEDS, SIM_FIRST_SEED   how many, and which
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ManualClock } from "../../src/base/clock.ts";
import { openFileEngine } from "../../src/engine/file/file-engine.ts";
import { SimDisk, seededRandom } from "../../src/engine/file/sim-disk.ts";
import { type DirectMqtt, openDirectMqtt } from "../support/mqtt-direct.ts";
import { type SimClient, SimPublisher, SimReader, SimSubscriber } from "./mqtt-clients.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 10);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const LIVES = 4;
const WINDOW = 8;
const STEPS = 400;
/** Turns in which all that is on its way must have come. */
const TURNS_MAX = 20_000;

class History {
  readonly publisher = new SimPublisher("publisher");
  readonly subscriber = new SimSubscriber("subscriber", ["t/#", "wills/#"]);
  /** What was published to each topic with RETAIN, in order. */
  readonly retained = new Map<string, string[]>();
  /** Wills of clients that had their CONNACK. */
  readonly wills = new Set<string>();
  readonly qos2 = new Set<string>();
  private mortals: { client: SimClient; will: string }[] = [];
  private number = 0;
  private readonly pick: (n: number) => number;

  constructor(pick: (n: number) => number) {
    this.pick = pick;
  }

  begin(broker: DirectMqtt, life: number): void {
    this.publisher.connect(broker);
    this.subscriber.connect(broker);
    this.mortals = [0, 1].map((i) => {
      const will = `will ${life}.${i}`;
      const client = new SimSubscriber(`mortal-${life}-${i}`, ["none"]);
      client.connect(broker, { topic: `wills/${i}`, payload: will });
      return { client, will };
    });
  }

  /** The broker has died. */
  end(): void {
    // Before anybody had subscribed there was nobody to hear them.
    for (const { client, will } of this.mortals)
      if (client.connected && this.subscriber.subscribed) this.wills.add(will);
    for (const { client } of this.mortals) client.lost();
    this.publisher.lost();
    this.subscriber.lost();
  }

  step(broker: DirectMqtt): void {
    const { publisher, subscriber, pick } = this;
    const action = pick(12);
    if (action < 5) this.publish();
    else if (action < 9) subscriber.answer();
    else if (action < 11) publisher.answer();
    else if (pick(4) === 0) {
      const client = pick(2) === 0 ? publisher : subscriber;
      if (!client.connected) return;
      client.drop();
      client.connect(broker);
    }
  }

  private publish(): void {
    const { publisher, subscriber, pick } = this;
    const { connected, unacknowledged } = publisher;
    if (!connected || !subscriber.subscribed || unacknowledged.size >= WINDOW) return;
    const payload = `${++this.number}`;
    const retain = pick(3) === 0;
    const place = pick(4);
    // Of each kept topic all have one QoS: one of QoS 1 that is sent again may well come after one of QoS 2 that is not.
    const qos = (retain ? place : pick(2)) % 2 === 0 ? 1 : 2;
    const topic = `t/${retain ? "kept/" : ""}${place}`;
    if (qos === 2) this.qos2.add(payload);
    if (retain) this.retained.set(topic, [...(this.retained.get(topic) ?? []), payload]);
    publisher.publish({ topic, payload, qos, retain });
  }

  get settled(): boolean {
    const { publisher, subscriber } = this;
    if (!subscriber.subscribed || publisher.unacknowledged.size > 0) return false;
    if (subscriber.answering || publisher.answering) return false;
    const came = (payload: string) => subscriber.delivered.has(payload);
    return [...publisher.acknowledged].every(came) && [...this.wills].every(came);
  }

  check(): void {
    const { delivered } = this.subscriber;
    for (const payload of this.publisher.acknowledged)
      expect(delivered.has(payload), `acknowledged ${payload} came`).toBe(true);
    for (const payload of this.qos2)
      expect(delivered.get(payload) ?? 0, `QoS 2 ${payload}`).toBeLessThanOrEqual(1);
    for (const will of this.wills) expect(delivered.get(will), will).toBe(1);
  }

  /** Right after a crash: nothing older than what was acknowledged last. */
  checkRetained(found: ReadonlyMap<string, string>): void {
    for (const [topic, payloads] of this.retained) {
      const last = payloads.findLastIndex((payload) => this.publisher.acknowledged.has(payload));
      const at = payloads.indexOf(found.get(topic) ?? "nothing");
      expect(at, `${topic}: ${found.get(topic)} of ${payloads.slice(-6)}`).toBeGreaterThanOrEqual(last);
    }
  }
}

async function open(disk: SimDisk, clock: ManualClock): Promise<DirectMqtt> {
  const engine = await openFileEngine({ directory: "/data", disk, clock, segmentBytes: 16 * 1024 });
  const direct = await openDirectMqtt({ engine, clock, sessionExpirySecondsMax: 3600, anonymousUser: "sim" });
  // A user without a password: hashes take their own time, which would be another one in each run.
  const { access } = direct.broker;
  await access.ready;
  await access.putUser("sim", null, []);
  access.setPermissions("sim", "/", { configure: ".*", write: ".*", read: ".*" });
  return direct;
}

// The commit loop looks at how long it has waited: here it is always the same time.
let readings = 0;
beforeAll(() => {
  vi.spyOn(performance, "now").mockImplementation(() => ++readings / 20);
});
afterAll(() => {
  vi.restoreAllMocks();
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function readRetained(broker: DirectMqtt, name: string): Promise<ReadonlyMap<string, string>> {
  const reader = new SimReader(name, "t/kept/#");
  reader.connect(broker);
  for (let i = 0; !reader.finished; i++) {
    if (i > TURNS_MAX) throw new Error("retained messages are not told");
    await turn();
  }
  for (let i = 0; i < 20; i++) await turn();
  reader.drop();
  return reader.retained;
}

async function lives(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const clock = new ManualClock();
  const history = new History(pick);
  let disk = new SimDisk(seededRandom(seed + 1));
  for (let life = 0; life < LIVES; life++) {
    const broker = await open(disk, clock);
    if (life > 0) history.checkRetained(await readRetained(broker, `reader-${life}`));
    let dead = false;
    void disk.killed.then(() => {
      dead = true;
    });
    disk.killAt = disk.operations + 5 + pick(250);
    history.begin(broker, life);
    for (let step = 0; step < STEPS && !dead; step++) {
      history.step(broker);
      // Sessions are looked after once a second: also their wills.
      if (pick(30) === 0) clock.advance("1s");
      if (pick(2) === 0) await turn();
    }
    if (!dead) disk.killAt = disk.operations + 1;
    history.end();
    expect(broker.faults).toEqual([]);
    disk = pick(2) === 0 ? disk.afterPowerLoss(seededRandom(seed + 2 + life)) : disk.afterKill();
  }
  const broker = await open(disk, clock);
  history.checkRetained(await readRetained(broker, "reader-last"));
  history.publisher.connect(broker);
  history.subscriber.connect(broker);
  for (let i = 0; i < TURNS_MAX && !history.settled; i++) {
    history.publisher.answer();
    history.subscriber.answer();
    if (i % 100 === 0) clock.advance("1s");
    await turn();
  }
  history.check();
  expect(history.settled, "all of it came to an end").toBe(true);
  expect(broker.faults).toEqual([]);
  history.end();
  await broker.close();
}

test(`${SEEDS} times ${LIVES} lives of MQTT that end at any moment`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    try {
      await lives(seed);
    } catch (error) {
      throw new Error(`seed ${seed} (SIM_FIRST_SEED=${seed} SIM_SEEDS=1): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}, 240_000);
