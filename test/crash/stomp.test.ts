// kill -9 between any two frames of STOMP conversations: what has a receipt is there, a transaction is there
// whole or not at all.
//   CRASH_ROUNDS, CRASH_SEED   how many rounds, and which moments
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PolymqProcess } from "../support/polymq-process.ts";
import { randomFrom } from "../support/random.ts";
import { StompClient } from "../support/stomp-client.ts";

const rounds = Number(process.env.CRASH_ROUNDS ?? 3);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000_000);
const random = randomFrom(seed);

const FRAMES = ["SEND p1", "SEND p2", "BEGIN", "SEND a", "SEND b", "ACK", "COMMIT"] as const;

const urlOf = (broker: PolymqProcess): string => {
  const address = /stomp:\/\/(?:[^@\s]*@)?([\d.]+:\d+)/.exec(broker.output)?.[1];
  if (address === undefined) throw new Error(`the banner names no stomp:// address\n${broker.output}`);
  return `stomp://${address}`;
};

/** Everything in a queue, which is empty afterwards. */
async function drain(url: string, queue: string): Promise<string[]> {
  const client = await StompClient.connect(url);
  await client.ask("SUBSCRIBE", { id: "drain", destination: `/queue/${queue}` });
  client.send("SEND", { destination: `/queue/${queue}` }, "the end");
  const bodies: string[] = [];
  for (;;) {
    const body = (await client.next()).body.toString();
    if (body === "the end") break;
    bodies.push(body);
  }
  client.destroy();
  return bodies;
}

/** One conversation, up to some frame: a client that has said no more when the lights go out. */
class Conversation {
  readonly receipts = new Set<string>();
  private readonly client: StompClient;
  private readonly name: string;
  /** How many of FRAMES are sent. */
  private readonly sent: number;
  private readonly ack: string;

  private constructor(client: StompClient, name: string, sent: number, ack: string) {
    this.client = client;
    this.name = name;
    this.sent = sent;
    this.ack = ack;
  }

  static async open(url: string, name: string, sent: number): Promise<Conversation> {
    const client = await StompClient.connect(url);
    await client.ask("SEND", { destination: `/queue/${name}.work`, persistent: "true" }, "work");
    client.send("SUBSCRIBE", { id: "w", destination: `/queue/${name}.work`, ack: "client-individual" });
    const { headers } = await client.next();
    return new Conversation(client, name, sent, headers.ack as string);
  }

  start(): void {
    const { client, name } = this;
    const to = (queue: string) => ({ destination: `/queue/${name}.${queue}`, persistent: "true" });
    const send: Record<(typeof FRAMES)[number], () => void> = {
      "SEND p1": () => client.send("SEND", { ...to("p"), receipt: "p1" }, "p1"),
      "SEND p2": () => client.send("SEND", { ...to("p"), receipt: "p2" }, "p2"),
      BEGIN: () => client.send("BEGIN", { transaction: "t" }),
      "SEND a": () => client.send("SEND", { ...to("a"), transaction: "t" }, "a"),
      "SEND b": () => client.send("SEND", { ...to("b"), transaction: "t" }, "b"),
      ACK: () => client.send("ACK", { id: this.ack, transaction: "t" }),
      COMMIT: () => client.send("COMMIT", { transaction: "t", receipt: "commit" }),
    };
    for (const frame of FRAMES.slice(0, this.sent)) send[frame]();
    const listen = async (): Promise<void> => {
      for (;;) this.receipts.add((await client.next()).headers["receipt-id"] as string);
    };
    listen().catch(() => {});
  }

  async check(url: string): Promise<void> {
    const { name, receipts, sent } = this;
    const there = async (queue: string) => (await drain(url, `${name}.${queue}`)).join(" ");
    const [p, a, b, work] = [await there("p"), await there("a"), await there("b"), await there("work")];
    const context = `${name}: receipts ${[...receipts]}`;
    expect(["", "p1", "p1 p2"], context).toContain(p);
    for (const receipt of ["p1", "p2"]) if (receipts.has(receipt)) expect(p, context).toContain(receipt);
    const isCommitted = a === "a";
    expect({ a, b, work }, context).toEqual(
      isCommitted ? { a: "a", b: "b", work: "" } : { a: "", b: "", work: "work" },
    );
    if (receipts.has("commit")) expect(isCommitted, context).toBe(true);
    if (sent < FRAMES.length) expect(isCommitted, context).toBe(false);
  }
}

/** One transaction after another, until the broker is gone. */
class Committer {
  private readonly committed: string[] = [];
  private readonly client: StompClient;
  private readonly name: string;

  constructor(client: StompClient, name: string) {
    this.client = client;
    this.name = name;
  }

  get promised(): number {
    return this.committed.length;
  }

  async run(): Promise<void> {
    const { client, name } = this;
    try {
      for (let n = 0; ; n++) {
        const transaction = `${n}`;
        client.send("BEGIN", { transaction });
        for (const queue of ["left", "right"]) {
          for (const part of [1, 2]) {
            const headers = { destination: `/queue/${name}.${queue}`, persistent: "true", transaction };
            client.send("SEND", headers, `${n}.${part}`);
          }
        }
        await client.ask("COMMIT", { transaction });
        this.committed.push(`${n}.1`, `${n}.2`);
      }
    } catch {
      // The broker is gone.
    }
  }

  async check(url: string): Promise<void> {
    const [left, right] = [await drain(url, `${this.name}.left`), await drain(url, `${this.name}.right`)];
    expect(left).toEqual(right);
    // One may have been committed and not told of.
    expect(left.slice(0, this.committed.length)).toEqual(this.committed);
    expect([0, 2]).toContain(left.length - this.committed.length);
  }
}

test(
  `${rounds} rounds, seed ${seed}`,
  async () => {
    console.log(`crash: CRASH_SEED=${seed} CRASH_ROUNDS=${rounds}`);
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-crash-stomp-"));
    const broker = await PolymqProcess.start({ dataDir });
    let promised = 0;
    try {
      for (let round = 1; round <= rounds; round++) {
        const url = urlOf(broker);
        const conversations = await Promise.all(
          [0, ...FRAMES.map((_, i) => i + 1), FRAMES.length, FRAMES.length].map((sent, i) =>
            Conversation.open(url, `crash.${round}.${i}`, sent),
          ),
        );
        const committer = new Committer(await StompClient.connect(url), `crash.${round}`);
        const committing = committer.run();
        // All but the last say what they have to say well before the end; those are cut off in the middle.
        for (const conversation of conversations.slice(0, -2)) conversation.start();
        await new Promise((resolve) => setTimeout(resolve, random() ** 2 * 600));
        for (const conversation of conversations.slice(-2)) conversation.start();
        await new Promise((resolve) => setTimeout(resolve, random() * 8));
        await broker.kill9();
        await committing;
        await broker.start();
        for (const conversation of conversations) await conversation.check(urlOf(broker));
        await committer.check(urlOf(broker));
        promised += committer.promised;
        for (const { receipts } of conversations) promised += receipts.size;
      }
      expect(promised).toBeGreaterThan(rounds * 5);
    } finally {
      expect(await broker.stop()).toBe(0);
      rmSync(dataDir, { recursive: true, force: true });
    }
  },
  60_000 + rounds * 30_000,
);
