// Frames, order of answers, and what makes the broker hang up.
import { afterEach, describe, expect, test } from "vitest";
import { apiVersions } from "../../../src/wire/kafka/schemas/api-versions.ts";
import { fetch } from "../../../src/wire/kafka/schemas/fetch.ts";
import { heartbeat } from "../../../src/wire/kafka/schemas/heartbeat.ts";
import { listOffsets } from "../../../src/wire/kafka/schemas/list-offsets.ts";
import { metadata } from "../../../src/wire/kafka/schemas/metadata.ts";
import { produce } from "../../../src/wire/kafka/schemas/produce.ts";
import { useKafka } from "../../support/kafka.ts";
import { batchOf } from "../../support/kafka-batch.ts";
import { RawKafka, requestFrame } from "../../support/kafka-raw.ts";

const broker = await useKafka();
const open: RawKafka[] = [];
afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

async function connected(): Promise<RawKafka> {
  const client = await RawKafka.open(broker);
  open.push(client);
  return client;
}

async function topicNamed(client: RawKafka, name: string): Promise<void> {
  await client.ask(metadata, 4, { topics: [{ name }], allowAutoTopicCreation: true });
}

const waiting = (topic: string, maxWaitMs: number) => ({
  maxWaitMs,
  minBytes: 1,
  maxBytes: 1 << 20,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
});

describe("frames", () => {
  test("in pieces of any size are put together", async () => {
    const frames = Buffer.concat([
      requestFrame(apiVersions, 3, 0, { clientSoftwareName: "raw", clientSoftwareVersion: "1" }),
      requestFrame(metadata, 1, 1, { topics: [] }),
      requestFrame(metadata, 9, 2, { topics: [{ name: "x".repeat(249) }], allowAutoTopicCreation: false }),
    ]);
    for (const size of [1, 3, 7, 50, frames.length]) {
      const client = await connected();
      client.socket.setNoDelay(true);
      for (let at = 0; at < frames.length; at += size) {
        client.write(frames.subarray(at, at + size));
        await new Promise(setImmediate);
      }
      for (let id = 0; id < 3; id++) expect((await client.frame()).readInt32BE(0)).toBe(id);
    }
  });

  test("of megabytes pass, between small ones", async () => {
    const client = await connected();
    await topicNamed(client, "large-frames");
    const records = batchOf([{ value: "y".repeat(900_000) }]);
    const send = () =>
      client.post(produce, 7, {
        acks: -1,
        topicData: [{ name: "large-frames", partitionData: [{ index: 0, records }] }],
      });
    const answers = [];
    for (let i = 0; i < 5; i++) {
      answers.push(send());
      answers.push(client.post(metadata, 1, { topics: [] }));
    }
    for (const [i, answer] of answers.entries()) {
      const response = await answer();
      if (i % 2 === 1) continue;
      expect(response).toMatchObject({
        responses: [{ partitionResponses: [{ errorCode: 0, baseOffset: i / 2 }] }],
      });
    }
  });

  test.each([
    ["a negative size", "ffffffff"],
    ["a size beyond the limit", "7fffffff"],
    ["a size too small for a header", "0000000412345678"],
    ["a request that ends too early", "0000000c000300010000000000000001"],
    ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\n\r\n").toString("hex")],
  ])("%s ends the connection, and no other", async (_name, hex) => {
    const [bad, good] = [await connected(), await connected()];
    bad.write(Buffer.from(hex, "hex"));
    await bad.hungUp();
    expect((await good.ask(apiVersions, 0, {})).errorCode).toBe(0);
  });

  test("an array that claims to be larger than its frame ends the connection", async () => {
    const client = await connected();
    client.write(Buffer.from("0000000e00030001000000000000" + "7fffffff", "hex"));
    await client.hungUp();
  });
});

describe("versions", () => {
  test("of ApiVersions that are too new are answered in version 0, with what is served", async () => {
    const client = await connected();
    client.write(Buffer.from("0000000c0012006300000007ffff0000", "hex"));
    const frame = await client.frame();
    expect(frame.readInt32BE(0)).toBe(7);
    expect(frame.readInt16BE(4)).toBe(35);
    // The connection goes on.
    const { apiKeys } = await client.ask(apiVersions, 0, {});
    expect(apiKeys).toContainEqual({ apiKey: 18, minVersion: 0, maxVersion: 4 });
    expect(frame.readInt32BE(6)).toBe(apiKeys.length);
  });

  test.each([
    ["an API that there is not", "0000000a03e7000000000000ffff"],
    ["a version that is not served", "0000000a0003006300000000ffff"],
  ])("%s ends the connection", async (_name, hex) => {
    const client = await connected();
    client.write(Buffer.from(hex, "hex"));
    await client.hungUp();
  });

  test("a client that does not say what it is is told so", async () => {
    const client = await connected();
    expect((await client.ask(apiVersions, 3, { clientSoftwareName: "" })).errorCode).toBe(42);
  });
});

describe("the order of answers", () => {
  test("is that of the requests, though some wait", async () => {
    const client = await connected();
    await topicNamed(client, "ordered");
    const first = client.post(fetch, 4, waiting("ordered", 200));
    const rest = [
      client.post(heartbeat, 0, { groupId: "g", generationId: 1, memberId: "m" }),
      client.post(listOffsets, 1, {
        topics: [{ name: "ordered", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
      }),
      client.post(metadata, 1, { topics: [] }),
    ];
    expect((await first()).responses[0]?.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 0 });
    for (const answer of rest) await answer();
  });

  test("what waits for records gets them from a request behind it", async () => {
    const client = await connected();
    await topicNamed(client, "behind");
    const waitingFetch = client.post(fetch, 4, waiting("behind", 20_000));
    const produced = client.post(produce, 3, {
      acks: 1,
      topicData: [{ name: "behind", partitionData: [{ index: 0, records: batchOf([{ value: "v" }]) }] }],
    });
    expect((await waitingFetch()).responses[0]?.partitions[0]).toMatchObject({
      errorCode: 0,
      highWatermark: 1,
    });
    expect((await produced()).responses[0]?.partitionResponses[0]).toMatchObject({ errorCode: 0 });
  });

  test("a thousand requests at once are all answered", async () => {
    const client = await connected();
    const answers = Array.from({ length: 3000 }, () => client.post(metadata, 1, { topics: [] }));
    for (const answer of answers) expect((await answer()).controllerId).toBe(1);
  });

  test("produce without acknowledgement has none, and what is wrong with it ends the connection", async () => {
    const client = await connected();
    await topicNamed(client, "silent");
    const topicData = [{ name: "silent", partitionData: [{ index: 0, records: batchOf([{ value: "v" }]) }] }];
    client.post(produce, 3, { acks: 0, topicData });
    const end = client.post(listOffsets, 1, {
      topics: [{ name: "silent", partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
    });
    // Its number is the next one after the silent request's: nothing came in between.
    expect((await end()).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, offset: 0 });
    expect(client.answersWaiting).toBe(0);
    client.post(produce, 3, { acks: 0, topicData: [{ ...topicData[0], name: "not-there" }] });
    await client.hungUp();
  });
});

test("a client that has gone leaves nothing behind that waits", async () => {
  const [client, next] = [await connected(), await connected()];
  await topicNamed(client, "gone");
  await topicNamed(client, "marker");
  const oneRecord = (name: string) => ({
    acks: 1,
    topicData: [{ name, partitionData: [{ index: 0, records: batchOf([{ value: "v" }]) }] }],
  });
  client.post(fetch, 4, waiting("gone", 60_000));
  // What is behind the fetch was taken: so was the fetch.
  client.post(produce, 3, oneRecord("marker"));
  expect(
    (await next.ask(fetch, 4, waiting("marker", 20_000))).responses[0]?.partitions[0]?.highWatermark,
  ).toBe(1);
  client.close();
  const { responses } = await next.ask(produce, 3, oneRecord("gone"));
  expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
});
