import { afterEach, describe, expect, test } from "vitest";
import { ManualClock } from "../base/clock.ts";
import { silentLogger } from "../base/logger.ts";
import type { BrokerStats } from "../broker/index.ts";
import { type Admin, type AdminSource, openAdmin } from "./index.ts";

const STATS: BrokerStats = {
  channels: 2,
  queues: 3,
  consumers: 4,
  messagesReady: 5,
  messagesUnacked: 6,
  messagesWaiting: 17,
  messagesRetained: 24,
  published: 100,
  publishedBytes: 5000,
  confirmed: 90,
  delivered: 80,
  acked: 70,
  redelivered: 8,
  returned: 1,
  unroutable: 2,
  requeued: 18,
  refused: 19,
  retried: 20,
  deadLettered: 21,
  parked: 22,
  logWrittenBytes: 8192,
  dropped: { expired: 7, maxlen: 3 },
  streams: 31,
  streamPartitions: 32,
  streamBytes: 33,
  streamRecordsWritten: 34,
  streamBytesWritten: 35,
  streamRecordsRead: 36,
  streamBytesRead: 37,
  groups: 38,
  groupLags: [{ namespace: "/", group: "g", stream: "s", records: 39 }],
  logBytes: 4096,
  logSyncs: 11,
  commitRounds: 12,
  movedMessages: 23,
  messageMemoryBytes: 512,
  arenaBytesUsed: 1024,
  arenaBytesMax: 2048,
  alarms: [],
};

const opened: Admin[] = [];
afterEach(async () => {
  for (const admin of opened.splice(0)) await admin.close();
});

async function open(changes: Partial<AdminSource> = {}) {
  const clock = new ManualClock();
  const source: AdminSource = {
    stats: () => STATS,
    connections: () => 9,
    unready: () => null,
    overview: () => ({
      product: "PolyMQ",
      version: "1.2.3",
      engine: "memory:",
      durability: "memory",
      dataDirectory: null,
      listeners: [{ name: "amqp", url: "amqp://127.0.0.1:5672", host: "127.0.0.1", port: 5672 }],
    }),
    ...changes,
  };
  const faults: string[] = [];
  const logger = {
    ...silentLogger,
    error: ({ err }: { err?: Error }) => void faults.push(`${err?.message}`),
  };
  const admin = await openAdmin({ host: "127.0.0.1", port: 0, source, clock, logger });
  opened.push(admin);
  const get = (path: string) => fetch(`http://127.0.0.1:${admin.address.port}${path}`);
  const metrics = async () => readMetrics(await (await get("/metrics")).text());
  return { admin, clock, faults, get, metrics };
}

function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** "name{labels}" -> value */
function readMetrics(page: string): Map<string, number> {
  const lines = page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

test("GET / says what runs and where it listens", async () => {
  const { clock, get } = await open();
  clock.advance("90s");
  expect(await (await get("/")).json()).toMatchObject({
    product: "PolyMQ",
    version: "1.2.3",
    uptimeSeconds: 90,
    dataDirectory: null,
    listeners: [{ name: "amqp", port: 5672 }],
    processId: process.pid,
  });
});

describe("health", () => {
  test("ready, and alarms do not change that", async () => {
    const { get } = await open({ stats: () => ({ ...STATS, alarms: ["disk"] }) });
    const response = await get("/readyz");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "ready", alarms: ["disk"] });
  });

  test("live but not ready while starting", async () => {
    const { get } = await open({ unready: () => "starting", stats: () => null });
    expect((await get("/livez")).status).toBe(200);
    const response = await get("/readyz");
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ status: "unready", reason: "starting" });
    expect((await get("/metrics")).status).toBe(200);
  });

  test("an unknown path is not found", async () => {
    const { get } = await open();
    expect((await get("/nothing")).status).toBe(404);
  });

  test("a query is no part of the path; HEAD answers without a body, other methods are refused", async () => {
    const { admin, get } = await open();
    expect((await get("/readyz?verbose")).status).toBe(200);
    const ask = (method: string) => fetch(`http://127.0.0.1:${admin.address.port}/readyz`, { method });
    const head = await ask("HEAD");
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const post = await ask("POST");
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("a fault in a page costs that answer, not the broker", async () => {
    let broken = true;
    const stats = () => {
      if (broken) throw new Error("broken");
      return STATS;
    };
    const { get, faults } = await open({ stats });
    expect((await get("/readyz")).status).toBe(500);
    expect(faults).toEqual(["broken"]);
    broken = false;
    expect((await get("/readyz")).status).toBe(200);
  });
});

describe("metrics", () => {
  test("show what the broker counts, under names that Prometheus expects", async () => {
    const { metrics } = await open();
    expect(Object.fromEntries(await metrics())).toMatchObject({
      polymq_connections: 9,
      polymq_channels: 2,
      polymq_queues: 3,
      polymq_consumers: 4,
      polymq_messages_ready: 5,
      polymq_messages_unacked: 6,
      polymq_messages_published_total: 100,
      polymq_published_bytes_total: 5000,
      polymq_messages_moved_total: 23,
      polymq_message_memory_bytes: 512,
      polymq_messages_confirmed_total: 90,
      polymq_messages_delivered_total: 80,
      polymq_messages_acked_total: 70,
      polymq_messages_redelivered_total: 8,
      polymq_messages_returned_total: 1,
      polymq_messages_unroutable_total: 2,
      'polymq_messages_dropped_total{reason="expired"}': 7,
      'polymq_messages_dropped_total{reason="maxlen"}': 3,
      polymq_messages_waiting: 17,
      polymq_messages_retained: 24,
      polymq_messages_requeued_total: 18,
      polymq_messages_refused_total: 19,
      polymq_messages_retried_total: 20,
      polymq_messages_dead_lettered_total: 21,
      polymq_messages_parked_total: 22,
      polymq_log_written_bytes_total: 8192,
      polymq_log_bytes: 4096,
      polymq_streams: 31,
      polymq_stream_partitions: 32,
      polymq_stream_log_bytes: 33,
      polymq_stream_records_written_total: 34,
      polymq_stream_written_bytes_total: 35,
      polymq_stream_records_read_total: 36,
      polymq_stream_read_bytes_total: 37,
      polymq_groups: 38,
      'polymq_group_lag_records{namespace="/",group="g",stream="s"}': 39,
      polymq_log_syncs_total: 11,
      polymq_commit_rounds_total: 12,
      polymq_arena_used_bytes: 1024,
      polymq_arena_limit_bytes: 2048,
      polymq_alarms: 0,
    });
  });

  test("totals are the broker's, however often they are read", async () => {
    const { metrics } = await open();
    await metrics();
    expect((await metrics()).get("polymq_messages_published_total")).toBe(100);
  });

  test("commit rounds fill a histogram", async () => {
    const { admin, metrics } = await open();
    for (const seconds of [0.0002, 0.001, 0.002, 0.2, 11]) admin.observeCommit(seconds);
    const values = await metrics();
    const bucket = (le: string) => values.get(`polymq_commit_duration_seconds_bucket{le="${le}"}`);
    expect(["0.0001", "0.001", "0.0025", "10", "+Inf"].map(bucket)).toEqual([0, 2, 3, 4, 5]);
    expect(values.get("polymq_commit_duration_seconds_count")).toBe(5);
    expect(values.get("polymq_commit_duration_seconds_sum")).toBeCloseTo(11.2032);
    admin.observeCommit(0.0002);
    expect((await metrics()).get("polymq_commit_duration_seconds_count")).toBe(6);
  });

  test("lag is that of the event loop, not of the timer that measures it", async () => {
    const { metrics } = await open();
    const lag = async () => (await metrics()).get('polymq_event_loop_lag_seconds{quantile="1"}')!;
    // The first stalls may come before the measuring timer has begun to tick.
    const lagAfterStall = () => {
      stall(60);
      return lag();
    };
    await expect.poll(lagAfterStall).toBeGreaterThan(0.02);
  });

  test("two brokers in a process do not add up", async () => {
    const one = await open();
    const other = await open({ stats: () => ({ ...STATS, published: 1 }) });
    expect((await one.metrics()).get("polymq_messages_published_total")).toBe(100);
    expect((await other.metrics()).get("polymq_messages_published_total")).toBe(1);
  });
});

test("closing does not wait for a scraper that keeps its connection", async () => {
  const { admin, get } = await open();
  await (await get("/livez")).text();
  await admin.close();
  await expect(get("/livez")).rejects.toThrow();
});
