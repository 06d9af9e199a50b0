import { Counter, Gauge, type Metric, Registry } from "prom-client";
import { memoryUsage } from "../base/process-memory.ts";
import type { BrokerStats } from "../broker/index.ts";
import { COMMIT_BUCKETS_SECONDS, type CommitDurations } from "./commit-durations.ts";
import { EventLoopLag } from "./event-loop-lag.ts";
import type { Answer } from "./pages.ts";
import type { AdminSource } from "./source.ts";

type Row = readonly [name: string, help: string, read: (stats: BrokerStats) => number];

const GAUGES: readonly Row[] = [
  ["polymq_channels", "Open channels", (stats) => stats.channels],
  ["polymq_queues", "Queues", (stats) => stats.queues],
  ["polymq_consumers", "Consumers", (stats) => stats.consumers],
  ["polymq_messages_ready", "Messages that wait for a consumer", (stats) => stats.messagesReady],
  ["polymq_messages_unacked", "Messages delivered and not settled", (stats) => stats.messagesUnacked],
  [
    "polymq_messages_waiting",
    "Messages that wait for a retry or their delay",
    (stats) => stats.messagesWaiting,
  ],
  ["polymq_messages_retained", "Retained messages", (stats) => stats.messagesRetained],
  ["polymq_streams", "Streams", (stats) => stats.streams],
  ["polymq_stream_partitions", "Partitions of streams", (stats) => stats.streamPartitions],
  ["polymq_stream_log_bytes", "Bytes of record batches that streams keep", (stats) => stats.streamBytes],
  ["polymq_groups", "Groups of readers of streams", (stats) => stats.groups],
  ["polymq_log_bytes", "Bytes the logs of queues take on their medium", (stats) => stats.logBytes],
  ["polymq_message_memory_bytes", "Messages in memory", (stats) => stats.messageMemoryBytes],
  ["polymq_arena_used_bytes", "Message and socket memory in use", (stats) => stats.arenaBytesUsed],
  ["polymq_arena_limit_bytes", "Message and socket memory at most", (stats) => stats.arenaBytesMax],
  ["polymq_alarms", "Alarms that hold publishers back", (stats) => stats.alarms.length],
];

const COUNTERS: readonly Row[] = [
  ["polymq_messages_published_total", "Messages published", (stats) => stats.published],
  ["polymq_published_bytes_total", "Bytes of bodies published", (stats) => stats.publishedBytes],
  [
    "polymq_messages_confirmed_total",
    "Publishes that were confirmed to AMQP publishers",
    (stats) => stats.confirmed,
  ],
  ["polymq_messages_delivered_total", "Deliveries", (stats) => stats.delivered],
  ["polymq_messages_acked_total", "Deliveries acknowledged", (stats) => stats.acked],
  ["polymq_messages_redelivered_total", "Deliveries of messages seen before", (stats) => stats.redelivered],
  ["polymq_messages_returned_total", "Mandatory messages returned", (stats) => stats.returned],
  ["polymq_messages_unroutable_total", "Messages that no queue took", (stats) => stats.unroutable],
  ["polymq_messages_requeued_total", "Deliveries that went back to their queue", (stats) => stats.requeued],
  ["polymq_messages_refused_total", "Publishes that a full queue refused", (stats) => stats.refused],
  ["polymq_messages_retried_total", "Failed messages that came back", (stats) => stats.retried],
  [
    "polymq_messages_dead_lettered_total",
    "Messages sent to a dead-letter target",
    (stats) => stats.deadLettered,
  ],
  ["polymq_messages_parked_total", "Messages put into a parking lot", (stats) => stats.parked],
  [
    "polymq_stream_records_written_total",
    "Records written to streams",
    (stats) => stats.streamRecordsWritten,
  ],
  [
    "polymq_stream_written_bytes_total",
    "Bytes of record batches written to streams",
    (stats) => stats.streamBytesWritten,
  ],
  [
    "polymq_stream_records_read_total",
    "Records of streams that clients were given",
    (stats) => stats.streamRecordsRead,
  ],
  [
    "polymq_stream_read_bytes_total",
    "Bytes of record batches that clients were given",
    (stats) => stats.streamBytesRead,
  ],
  ["polymq_log_written_bytes_total", "Bytes written to logs", (stats) => stats.logWrittenBytes],
  ["polymq_messages_moved_total", "Messages written again to free log space", (stats) => stats.movedMessages],
  ["polymq_log_syncs_total", "Syncs of log files to stable storage", (stats) => stats.logSyncs],
  ["polymq_commit_rounds_total", "Commit rounds", (stats) => stats.commitRounds],
];

/** `GET /metrics`. Has a registry of its own, so that brokers in one process do not add up. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly source: AdminSource;
  private readonly lag = new EventLoopLag();
  private readonly gauges: readonly Gauge[];
  private readonly counters: readonly Counter[];
  private readonly dropped: Counter<"reason">;
  private readonly lags: Gauge<"namespace" | "group" | "stream">;
  private readonly connections: Gauge;
  private readonly lagGauge: Gauge<"quantile">;
  private readonly memory: Gauge<"kind">;
  private readonly residentMemory: Gauge;
  private readonly cpu: Counter;

  constructor(source: AdminSource, commits: CommitDurations) {
    const registers = [this.registry];
    this.source = source;
    this.gauges = GAUGES.map(([name, help]) => new Gauge({ name, help, registers }));
    this.counters = COUNTERS.map(([name, help]) => new Counter({ name, help, registers }));
    this.dropped = new Counter({
      name: "polymq_messages_dropped_total",
      help: "Messages thrown away as their queue was told to",
      labelNames: ["reason"],
      registers,
    });
    this.lags = new Gauge({
      name: "polymq_group_lag_records",
      help: "Records between what a group has committed and the end of a stream",
      labelNames: ["namespace", "group", "stream"],
      registers,
    });
    this.connections = new Gauge({ name: "polymq_connections", help: "Open connections", registers });
    this.lagGauge = new Gauge({
      name: "polymq_event_loop_lag_seconds",
      help: "Lateness of the event loop since the last scrape; quantile 1 is the maximum",
      labelNames: ["quantile"],
      registers,
    });
    this.residentMemory = new Gauge({
      name: "polymq_resident_memory_bytes",
      help: "Resident memory of the process",
      registers,
    });
    this.memory = new Gauge({
      name: "polymq_memory_bytes",
      help: "Memory of the process by kind, as Node.js reports it",
      labelNames: ["kind"],
      registers,
    });
    this.cpu = new Counter({ name: "polymq_cpu_seconds_total", help: "CPU time of the process", registers });
    const { version, engine } = source.overview();
    new Gauge({
      name: "polymq_build_info",
      help: "Always 1; what runs is in the labels",
      labelNames: ["version", "engine", "node"],
      registers,
    }).set({ version, engine, node: process.versions.node }, 1);
    this.registry.registerMetric(commitHistogram(commits));
  }

  async page(): Promise<Answer> {
    this.refresh();
    return { status: 200, contentType: this.registry.contentType, body: await this.registry.metrics() };
  }

  stop(): void {
    this.lag.stop();
    this.registry.clear();
  }

  private refresh(): void {
    const stats = this.source.stats();
    if (stats !== null) this.refreshBroker(stats);
    this.connections.set(this.source.connections());
    const lag = this.lag.read();
    this.lagGauge.set({ quantile: "0.5" }, lag.p50);
    this.lagGauge.set({ quantile: "0.99" }, lag.p99);
    this.lagGauge.set({ quantile: "1" }, lag.max);
    const { rss, ...kinds } = memoryUsage();
    this.residentMemory.set(rss);
    for (const [kind, bytes] of Object.entries(kinds)) this.memory.set({ kind }, bytes);
    const { user, system } = process.cpuUsage();
    setTotal(this.cpu, (user + system) / 1e6);
  }

  private refreshBroker(stats: BrokerStats): void {
    for (const [i, [, , read]] of GAUGES.entries()) this.gauges[i]!.set(read(stats));
    for (const [i, [, , read]] of COUNTERS.entries()) setTotal(this.counters[i]!, read(stats));
    this.lags.reset();
    for (const { records, ...labels } of stats.groupLags) this.lags.set(labels, records);
    this.dropped.reset();
    for (const [reason, count] of Object.entries(stats.dropped)) this.dropped.inc({ reason }, count);
  }
}

/** The broker counts by itself, in plain numbers; prom-client only knows how to add. */
function setTotal(counter: Counter, total: number): void {
  counter.reset();
  counter.inc(total);
}

/** prom-client's own histogram counts one by one; this one shows what was counted before it was there. */
function commitHistogram(commits: CommitDurations): Metric {
  const name = "polymq_commit_duration_seconds";
  const get = async () => {
    let rounds = 0;
    const buckets = [...COMMIT_BUCKETS_SECONDS, "+Inf"].map((le, i) => {
      rounds += commits.counts[i]!;
      return { metricName: `${name}_bucket`, labels: { le }, value: rounds };
    });
    const sum = { metricName: `${name}_sum`, labels: {}, value: commits.sumSeconds };
    const count = { metricName: `${name}_count`, labels: {}, value: rounds };
    const help = "Duration of commit rounds: write and sync";
    return { name, help, type: "histogram", aggregator: "sum", values: [...buckets, sum, count] };
  };
  // All that a registry asks of a metric.
  return { name, get } as unknown as Metric;
}
