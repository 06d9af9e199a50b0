// The same conversation with RabbitMQ's STOMP plugin and with PolyMQ must go the same way, up to the first ERROR.
//   RABBITMQ_STOMP_URL  the oracle; without one this file skips (run.mjs starts one)
//   STOMP_URL           the other broker; otherwise PolyMQ in this process
import { isDeepStrictEqual } from "node:util";
import { afterAll, describe, expect, test, vi } from "vitest";
import { startServer } from "../support/broker.ts";
import { StompClient, type StompFrame } from "../support/stomp-client.ts";
import { SCENARIOS } from "./stomp-scenarios.ts";
import type { Scenario } from "./stomp-steps.ts";

const oracle = process.env.RABBITMQ_STOMP_URL;
/** Nothing more comes when nothing came for so long; longer when the two differed, or should have. */
const QUIET_MS = [50, 200, 800, 3200];
const LOGIN_WITHIN = { timeout: 20_000, interval: 5 };

/** What differs from one broker to the next, or from one run to the next, and says nothing. */
const UNTOLD = new Set(["server", "session"]);
/** RabbitMQ hands on what was for itself; PolyMQ counts deliveries in classic queues as well. */
const OWN_WAYS = new Set(["receipt", "transaction", "x-delivery-count"]);

class Conversation {
  private readonly clients = new Map<number, StompClient>();
  private readonly ended = new Set<number>();
  private readonly failed = new Set<number>();
  private readonly messages = new Map<number, StompFrame[]>();
  private readonly names = new Map<string, string>();
  private readonly url: string;
  private readonly prefix: string;
  private readonly quietMs: number;

  constructor(url: string, prefix: string, quietMs: number) {
    this.url = url;
    this.prefix = prefix;
    this.quietMs = quietMs;
  }

  async play({ steps }: Scenario): Promise<unknown[]> {
    const transcript: unknown[] = [];
    for (const [index, bytes] of steps) {
      const logsIn = !this.clients.has(index) && /^(CONNECT|STOMP)\n/.test(bytes) && bytes.endsWith("\0");
      const client = await this.client(index);
      if (this.ended.has(index) || this.failed.has(index)) continue;
      client.raw(this.filled(index, bytes));
      // A password takes its time, the more the more log in.
      if (logsIn) await vi.waitUntil(() => client.unread > 0 || this.ended.has(index), LOGIN_WITHIN);
      transcript.push({ step: bytes, heard: await this.heard() });
    }
    for (const client of this.clients.values()) client.destroy();
    return transcript;
  }

  private async client(index: number): Promise<StompClient> {
    const known = this.clients.get(index);
    if (known !== undefined) return known;
    const client = await StompClient.open(this.url);
    this.clients.set(index, client);
    client.ended.then(() => this.ended.add(index));
    return client;
  }

  private filled(index: number, bytes: string): string {
    const got = this.messages.get(index) ?? [];
    return bytes
      .replace(/\$/g, this.prefix)
      .replace(/\{([a-z-]+) (\d)\}/g, (_, name, at) => got[Number(at)]?.headers[name] ?? "missing");
  }

  /**
   * What each client got, when it seems that nothing more comes: its messages, and the rest. Which of them comes
   * first is chance, in RabbitMQ.
   */
  private async heard(): Promise<unknown> {
    const heard: Record<string, unknown[]> = {};
    let lastAt = Date.now();
    while (Date.now() - lastAt < this.quietMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      for (const [index, client] of this.clients) {
        while (client.unread > 0) {
          const frame = await client.next();
          lastAt = Date.now();
          const isMessage = frame.command === "MESSAGE";
          if (isMessage) this.messages.set(index, [...(this.messages.get(index) ?? []), frame]);
          const place = `${index} ${isMessage ? "messages" : "answers"}`;
          // What comes after an ERROR is each broker's own affair: the specification says the end.
          if (!this.failed.has(index)) heard[place] = [...(heard[place] ?? []), this.described(frame)];
          if (frame.command === "ERROR") this.failed.add(index);
        }
      }
    }
    const gone = [...this.ended].filter((index) => !this.failed.has(index));
    return { ...heard, gone };
  }

  private described({ command, headers, body }: StompFrame): unknown {
    // RabbitMQ's errors do not say which frame they are about.
    if (command === "ERROR") return `ERROR ${headers.message}`;
    const told = Object.entries(headers)
      .filter(([name]) => !UNTOLD.has(name) && !(command === "MESSAGE" && OWN_WAYS.has(name)))
      .map(([name, value]) => `${name}:${this.named(name, value)}`)
      .sort();
    return [command, ...told, "", body.toString()].join("\n");
  }

  /** Names that a broker makes up are numbered as they come. */
  private named(header: string, value: string): string {
    if (header === "message-id" || header === "ack") return header;
    return value
      .replaceAll(this.prefix, "$")
      .replace(/(amq\.gen|stomp-subscription|amq\.reply|reply-queue\/)[\w.\-=]*/g, (name) => {
        const known = this.names.get(name) ?? `name ${this.names.size}`;
        this.names.set(name, known);
        return known;
      });
  }
}

/** Up to and including the first step that differs: the rest is only its consequence. */
function untilDifference(left: unknown[], right: unknown[]): [unknown[], unknown[]] {
  const at = left.findIndex((entry, index) => !isDeepStrictEqual(entry, right[index]));
  return [left.slice(0, at + 1), right.slice(0, at + 1)];
}

describe.skipIf(!oracle)("STOMP, beside RabbitMQ's plugin", async () => {
  const own = oracle && !process.env.STOMP_URL ? await startServer({ stompPort: "0" }) : null;
  const url = process.env.STOMP_URL ?? `stomp://127.0.0.1:${own?.port("stomp")}`;
  afterAll(() => own?.stop());
  let runs = 0;

  test.concurrent.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    "%s",
    async (_, scenario) => {
      let differences: [unknown[], unknown[]] | null = null;
      for (const quietMs of QUIET_MS) {
        const prefix = `d${process.pid}x${Date.now().toString(36)}x${++runs}x`;
        const [expected, actual] = await Promise.all([
          new Conversation(oracle as string, `${prefix}o`, quietMs).play(scenario),
          new Conversation(url, `${prefix}p`, quietMs).play(scenario),
        ]);
        differences = isDeepStrictEqual(expected, actual) ? null : untilDifference(expected, actual);
        if ((differences === null) === (scenario.differs === undefined)) break;
      }
      // The oracle beside itself has no ways of its own.
      if (scenario.differs !== undefined && url !== oracle)
        expect(differences, "a difference that is gone").not.toBe(null);
      else if (differences !== null) {
        const [left, right] = differences.map((entries) => JSON.stringify(entries.at(-1)));
        throw new Error(`rabbitmq: ${left}\n  polymq: ${right}`);
      }
    },
  );
});
