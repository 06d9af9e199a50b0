// What happens when memory or disk runs low: publishers are held and told why, consumers go on, and it
// ends by itself. How much there is comes from the operating system, so that is what the tests replace.
import fs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChannelModel } from "amqplib";
import { afterEach, describe, expect, test, vi } from "vitest";
import { startServer } from "../../support/broker.ts";
import { barrier, Client, consume, eventually, getOne, publishAll, send } from "../../support/client.ts";
import { RawConnection } from "../../support/raw-connection.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;
const LIMITS = { memoryBudget: "16MiB", memoryHighWatermark: "1GiB" };
const cleanUps: (() => unknown)[] = [];
let resident = vi.spyOn(process.memoryUsage, "rss");

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  vi.restoreAllMocks();
});

async function start(options: Record<string, string> = {}) {
  resident = vi.spyOn(process.memoryUsage, "rss").mockReturnValue(100 * MiB);
  const { broker, address, stop } = await startServer({ ...LIMITS, ...options });
  const url = `amqp://guest:guest@${address}`;
  const client = new Client(url);
  cleanUps.push(stop, () => client.cleanUp());
  return { broker, url, client };
}

/** Everything the broker says about blocking, in order. */
function listen(connection: ChannelModel): string[] {
  const heard: string[] = [];
  connection.on("blocked", (reason) => heard.push(`blocked: ${reason}`));
  connection.on("unblocked", () => heard.push("unblocked"));
  return heard;
}

/** The broker has looked at its memory again, and done what follows from that. */
async function lookedAgain(): Promise<void> {
  const { calls } = resident.mock;
  const before = calls.length;
  await eventually(() => calls.length > before + 1, "the broker to look again");
}

describe("memory above the watermark", () => {
  test("publishers are told once and held, consumers drain, and then it goes on", async () => {
    const { broker, client } = await start();
    const [publishing, consuming] = [await client.connection(), await client.connection()];
    const heard = { publisher: listen(publishing), consumer: listen(consuming) };
    const publisher = await client.confirmChannel(publishing);
    const queue = await client.queue(publisher);
    await publishAll(publisher, queue, ["1", "2", "3"]);
    resident.mockReturnValue(2 * GiB);
    await eventually(() => heard.publisher.length > 0, "connection.blocked");
    // The one that makes the broker stop reading is taken; those behind it wait in the socket.
    send(publisher, queue, "4");
    await publisher.waitForConfirms();
    send(publisher, queue, "5");
    let confirmed = false;
    const rest = publisher.waitForConfirms().then(() => {
      confirmed = true;
    });
    const consumer = await client.channel(consuming);
    const inbox = await consume(consumer, queue);
    await inbox.count(4);
    consumer.ackAll();
    await barrier(consumer);
    await lookedAgain();
    expect([inbox.bodies(), confirmed]).toEqual([["1", "2", "3", "4"], false]);
    expect(broker.stats().messagesUnacked).toBe(0);
    // A tenth below the mark, not just below it.
    resident.mockReturnValue(GiB - MiB);
    await lookedAgain();
    expect(heard.publisher).toEqual(["blocked: low on memory"]);
    resident.mockReturnValue(100 * MiB);
    await rest;
    await inbox.count(5);
    expect(heard).toEqual({ publisher: ["blocked: low on memory", "unblocked"], consumer: [] });
    await publishAll(publisher, queue, ["6"]);
    await inbox.count(6);
  });

  test("who opens during an alarm may declare, consume and acknowledge, and is held when it publishes", async () => {
    const { broker, client } = await start();
    resident.mockReturnValue(2 * GiB);
    await eventually(() => broker.alarm, "the alarm");
    const connection = await client.connection();
    const heard = listen(connection);
    const channel = await client.channel(connection);
    const queue = await client.queue(channel);
    const other = await client.channel(await client.connection());
    send(other, queue, "before it is held");
    const message = await getOne(channel, queue, {});
    channel.ack(message);
    await barrier(channel);
    expect(heard).toEqual([]);
    send(channel, queue, "one");
    await eventually(() => heard.length === 1, "connection.blocked");
    expect(heard).toEqual(["blocked: low on memory"]);
    resident.mockReturnValue(100 * MiB);
    await eventually(() => heard.length === 2, "connection.unblocked");
  });

  test("a client that cannot hear of it is held all the same, and told nothing", async () => {
    const { broker, url } = await start();
    const raw = await RawConnection.open(url, { capabilities: {} });
    cleanUps.push(() => raw.socket.destroy());
    await raw.call("channel.open", 1);
    await raw.call("confirm.select", 1);
    resident.mockReturnValue(2 * GiB);
    await eventually(() => broker.alarm, "the alarm");
    raw.publish(1, { exchange: "", routingKey: "nowhere" });
    await raw.expect("basic.ack");
    raw.publish(1, { exchange: "", routingKey: "nowhere" });
    await lookedAgain();
    expect(broker.stats().published).toBe(1);
    resident.mockReturnValue(100 * MiB);
    await raw.expect("basic.ack");
    expect(raw.incoming.map(({ name }) => name).filter((name) => name.includes("blocked"))).toEqual([]);
  });

  test("stopping does not wait for those that are held", async () => {
    // Longer than a test may take.
    const { broker, client } = await start({ shutdownGrace: "10m" });
    const connection = await client.connection();
    const heard = listen(connection);
    resident.mockReturnValue(2 * GiB);
    await eventually(() => broker.alarm, "the alarm");
    const channel = await client.channel(connection);
    for (let i = 0; i < 100; i++) send(channel, "nowhere", `${i}`);
    await eventually(() => heard.length === 1, "connection.blocked");
    await cleanUps.shift()?.();
    cleanUps.length = 0;
  });
});

describe("disk below the minimum", () => {
  async function onDisk(options: Record<string, string> = {}) {
    const dataDir = mkdtempSync(join(tmpdir(), "polymq-alarm-"));
    cleanUps.push(() => rmSync(dataDir, { recursive: true, force: true }));
    return start({ engine: "file:", dataDir, ...options });
  }

  /** What the file system says is free. */
  function free(bytes: () => number): void {
    vi.spyOn(fs, "statfs").mockImplementation(((_path: string, done: (e: null, s: object) => void) =>
      setImmediate(() => done(null, { bavail: bytes(), bsize: 1 }))) as unknown as typeof fs.statfs);
  }

  test("more than the disk has is an alarm from the start", async () => {
    const { broker, client } = await onDisk({ diskFreeMin: "9000000000000000" });
    await eventually(() => broker.alarm, "the alarm");
    expect(broker.stats().alarms).toEqual(["disk"]);
    const connection = await client.connection();
    const heard = listen(connection);
    const channel = await client.channel(connection);
    send(channel, await client.queue(channel), "1");
    await eventually(() => heard.length === 1, "connection.blocked");
    expect(heard).toEqual(["blocked: low on disk"]);
  });

  test("clears when there is room again, but not while memory is low as well", async () => {
    let bytes = 10 * GiB;
    free(() => bytes);
    const { broker, client } = await onDisk({ diskFreeMin: "1GiB" });
    const connection = await client.connection();
    const heard = listen(connection);
    const channel = await client.confirmChannel(connection);
    const queue = await client.queue(channel);
    await publishAll(channel, queue, ["1"]);
    bytes = GiB / 2;
    await eventually(() => heard.length === 1, "connection.blocked");
    resident.mockReturnValue(2 * GiB);
    await eventually(() => broker.stats().alarms.length === 2, "both alarms");
    bytes = 10 * GiB;
    await eventually(() => broker.stats().alarms.join() === "memory", "room on the disk");
    expect(heard).toEqual(["blocked: low on disk"]);
    resident.mockReturnValue(100 * MiB);
    await eventually(() => heard.length === 2, "connection.unblocked");
    await publishAll(channel, queue, ["2"]);
    expect((await channel.checkQueue(queue)).messageCount).toBe(2);
  });
});
