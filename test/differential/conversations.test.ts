// Conversations written by hand, for what the random ones do not reach: with rabbitmq-server and with PolyMQ
// they must go the same way. What differs on purpose is left out, and listed in docs/protocols/amqp091.md.
//   RABBITMQ_URL, AMQP_URL   as in differential.test.ts
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { useBroker } from "../support/broker.ts";
import { connectionCases } from "./cases/connections.ts";
import { consumerCases } from "./cases/consumers.ts";
import { edgeCases } from "./cases/edges.ts";
import { exchangeCases } from "./cases/exchanges.ts";
import { messageCases } from "./cases/messages.ts";
import { queueCases } from "./cases/queues.ts";
import { quorumCases } from "./cases/quorum.ts";
import { Talk } from "./talk.ts";

const oracle = process.env.RABBITMQ_URL;
const cases = {
  ...quorumCases,
  ...queueCases,
  ...exchangeCases,
  ...messageCases,
  ...consumerCases,
  ...connectionCases,
  ...edgeCases,
};
const NAMES = { queues: ["$a", "$b", "$c"], exchanges: ["$v", "$w", "$x", "$y", "$z"] };
const PATIENCE_MS = 120_000;

async function held(url: string, play: (t: Talk) => Promise<void>): Promise<unknown[]> {
  const talk = new Talk(url);
  await talk.connect();
  try {
    await play(talk);
  } finally {
    await talk.end(NAMES);
  }
  return talk.said;
}

describe.skipIf(!oracle)("conversations", async () => {
  const broker = oracle ? await useBroker() : { url: "" };

  test.each(Object.entries(cases))(
    "%s",
    async (_name, play) => {
      const [expected, actual] = await Promise.all([held(oracle as string, play), held(broker.url, play)]);
      // Step by step: only what differs is worth a look.
      const differs = (_: unknown, at: number) => !isDeepStrictEqual(expected[at], actual[at]);
      expect(actual.filter(differs)).toEqual(expected.filter(differs));
      expect(actual.length).toBe(expected.length);
    },
    PATIENCE_MS,
  );
});
