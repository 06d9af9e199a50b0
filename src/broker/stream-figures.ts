import type { Groups } from "./groups/groups.ts";
import type { BrokerStats, Counters, GroupLag } from "./stats.ts";
import type { Streams } from "./stream/streams.ts";

/** Groups and streams that are told one by one; who watches more pays for each of them at every look. */
const LAGS_MAX = 1000;

type StreamFigures = Pick<
  BrokerStats,
  | "streams"
  | "streamPartitions"
  | "streamBytes"
  | "streamRecordsWritten"
  | "streamBytesWritten"
  | "streamRecordsRead"
  | "streamBytesRead"
  | "groups"
>;

/** What there is to know of streams and their groups, as of now. */
export function streamFigures(streams: Streams, groups: Groups, counters: Counters): StreamFigures {
  let [count, partitions, bytes] = [0, 0, 0];
  for (const stream of streams.all()) {
    count++;
    partitions += stream.partitions.length;
    for (const { storedBytes } of stream.partitions) bytes += storedBytes;
  }
  return {
    streams: count,
    streamPartitions: partitions,
    streamBytes: bytes,
    streamRecordsWritten: counters.streamRecordsWritten,
    streamBytesWritten: counters.streamBytesWritten,
    streamRecordsRead: counters.streamRecordsRead,
    streamBytesRead: counters.streamBytesRead,
    groups: groups.count,
  };
}

/** The groups that are furthest behind, and how far: a walk over all offsets. */
export function groupLags(streams: Streams, groups: Groups): GroupLag[] {
  const lags: GroupLag[] = [];
  for (const { namespace, name: group, offsets } of groups.committed()) {
    const byStream = new Map<string, number>();
    for (const [name, index, { offset, streamId }] of offsets) {
      const stream = streams.find(namespace, name);
      const partition = stream?.id === streamId ? stream.partitions[index] : undefined;
      if (partition === undefined) continue;
      const lag = Math.max(0, partition.committedOffset - Math.max(offset, partition.startOffset));
      byStream.set(name, (byStream.get(name) ?? 0) + lag);
    }
    for (const [stream, records] of byStream) lags.push({ namespace, group, stream, records });
  }
  return lags.length <= LAGS_MAX ? lags : lags.sort((a, b) => b.records - a.records).slice(0, LAGS_MAX);
}
