import { type PartitionKey, partitionKey } from "./assigned-member.ts";

export interface AssignableStream {
  readonly id: string;
  readonly partitions: number;
}

export interface Assignee {
  readonly id: string;
  /** Streams that it reads. */
  readonly streams: readonly AssignableStream[];
  /** What it was to have so far. */
  readonly target: ReadonlySet<PartitionKey>;
}

/** What each member is to have, by its id. The same input gives the same result. */
export type Assignor = (members: readonly Assignee[]) => Map<string, Set<PartitionKey>>;

/** Each partition to one member, as evenly as what they read allows, moving as little as possible. */
const uniform: Assignor = (members) => (alike(members) ? uniformAlike(members) : uniformMixed(members));

/** Everybody reads the same, so that only numbers matter. */
const uniformAlike: Assignor = (members) => {
  const sorted = byId(members);
  const free = new Set(partitionsOf(sorted[0]?.streams ?? []));
  const floor = Math.floor(free.size / sorted.length);
  // So many have one more than the others.
  let extra = free.size % sorted.length;
  const shares = new Map<string, Set<PartitionKey>>();
  for (const { id, target } of sorted) {
    const own = [...target].filter((partition) => free.has(partition));
    const most = own.length > floor && extra > 0 ? floor + 1 : floor;
    const share = new Set(own.slice(0, most));
    for (const partition of share) free.delete(partition);
    if (share.size > floor) extra--;
    shares.set(id, share);
  }
  const left = free.values();
  for (const share of shares.values()) {
    if (share.size > floor) continue;
    const size = extra > 0 ? floor + 1 : floor;
    if (size > floor) extra--;
    while (share.size < size) share.add(left.next().value as PartitionKey);
  }
  return shares;
};

const uniformMixed: Assignor = (members) => {
  const shares = new Map<string, Set<PartitionKey>>();
  const readers = readersOf(members);
  const free = new Set(readers.keys());
  for (const { id, streams, target } of byId(members)) {
    const readable = new Set(streams.map((stream) => stream.id));
    const share = new Set<PartitionKey>();
    for (const partition of target) {
      if (readable.has(streamOf(partition)) && free.delete(partition)) share.add(partition);
    }
    shares.set(id, share);
  }
  const sizeOf = (id: string): number => (shares.get(id) as Set<PartitionKey>).size;
  const least = (partition: PartitionKey): string =>
    (readers.get(partition) as string[]).reduce((best, id) => (sizeOf(id) < sizeOf(best) ? id : best));
  // Those that fewest can read come first: they have the least choice.
  const choice = (partition: PartitionKey): number => (readers.get(partition) as string[]).length;
  const hardest = [...free].sort((a, b) => choice(a) - choice(b));
  for (const partition of hardest) shares.get(least(partition))?.add(partition);
  balance(shares, least, sizeOf);
  return shares;
};

/** Moves partitions to those who have less, as long as that makes things more even. */
function balance(
  shares: ReadonlyMap<string, Set<PartitionKey>>,
  least: (partition: PartitionKey) => string,
  sizeOf: (id: string) => number,
): void {
  for (let moved = true; moved; ) {
    moved = false;
    for (const share of shares.values()) {
      for (const partition of [...share].reverse()) {
        const other = least(partition);
        if (sizeOf(other) + 1 >= share.size) continue;
        share.delete(partition);
        shares.get(other)?.add(partition);
        moved = true;
      }
    }
  }
}

/** Of each stream a stretch of partitions: streams that are alike are divided alike, to be joined. */
const range: Assignor = (members) => {
  const sorted = byId(members);
  const shares = new Map(sorted.map(({ id }) => [id, new Set<PartitionKey>()]));
  for (const { id: streamId, partitions } of streamsOf(sorted)) {
    const readers = sorted.filter(({ streams }) => streams.some(({ id }) => id === streamId));
    const each = Math.floor(partitions / readers.length);
    const extra = partitions % readers.length;
    let next = 0;
    readers.forEach(({ id }, index) => {
      const count = each + (index < extra ? 1 : 0);
      for (let end = next + count; next < end; next++) shares.get(id)?.add(partitionKey(streamId, next));
    });
  }
  return shares;
};

/** Partitions may have many readers: everybody gets some, and every partition somebody (KIP-932). */
export const shared: Assignor = (members) => {
  const shares = new Map<string, Set<PartitionKey>>(byId(members).map(({ id }) => [id, new Set()]));
  for (const { id: streamId, partitions } of streamsOf(members)) {
    const readers = byId(members).filter(({ streams }) => streams.some(({ id }) => id === streamId));
    const rounds = Math.max(partitions, readers.length);
    for (let index = 0; index < rounds; index++) {
      const reader = readers[index % readers.length] as Assignee;
      shares.get(reader.id)?.add(partitionKey(streamId, index % partitions));
    }
  }
  return shares;
};

/** By name; the first is the default. */
export const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map([
  ["uniform", uniform],
  ["range", range],
]);

function alike(members: readonly Assignee[]): boolean {
  const text = ({ streams }: Assignee): string =>
    streams
      .map(({ id, partitions }) => `${id}:${partitions}`)
      .sort()
      .join();
  const [first] = members;
  if (first === undefined) return true;
  const wanted = text(first);
  return members.every((member) => text(member) === wanted);
}

function* partitionsOf(streams: readonly AssignableStream[]): Iterable<PartitionKey> {
  for (const { id, partitions } of streams) {
    for (let partition = 0; partition < partitions; partition++) yield partitionKey(id, partition);
  }
}

/** Who can read each partition. */
function readersOf(members: readonly Assignee[]): Map<PartitionKey, string[]> {
  const readers = new Map<PartitionKey, string[]>();
  for (const { id, streams } of byId(members)) {
    for (const { id: streamId, partitions } of streams) {
      for (let partition = 0; partition < partitions; partition++) {
        const key = partitionKey(streamId, partition);
        const others = readers.get(key);
        if (others === undefined) readers.set(key, [id]);
        else others.push(id);
      }
    }
  }
  return readers;
}

function streamsOf(members: readonly Assignee[]): AssignableStream[] {
  const streams = new Map<string, AssignableStream>();
  for (const member of members) for (const stream of member.streams) streams.set(stream.id, stream);
  return [...streams.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function byId(members: readonly Assignee[]): Assignee[] {
  return [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function streamOf(partition: PartitionKey): string {
  return partition.slice(0, partition.lastIndexOf(":"));
}
