import { statfs } from "node:fs/promises";
import { defineHandler, type Peer } from "../api.ts";
import { CODES, KafkaError } from "../errors.ts";
import { describeLogDirs } from "../schemas/describe-log-dirs.ts";

const UNKNOWN_BYTES = -1;

/** What every partition takes of the disk, and what there is. */
export const describeLogDirsHandler = defineHandler({
  api: describeLogDirs,
  async handle({ topics }, { peer, node }) {
    if (!peer.rights.may("describe", "cluster", "cluster")) {
      throw new KafkaError("CLUSTER_AUTHORIZATION_FAILED");
    }
    const { logDir } = node.settings;
    return {
      results: [{ logDir, topics: sizes(peer, topics), ...(await diskOf(logDir)) }],
    };
  },
  // Up to version 2 there is no code for all of it: a directory says it.
  refuse: ({ errorCode }, _, version) => (version >= 3 ? { errorCode } : { results: [] }),
});

function sizes({ session }: Peer, asked: readonly { topic: string; partitions: readonly number[] }[] | null) {
  const wanted = asked === null ? null : new Map(asked.map(({ topic, partitions }) => [topic, partitions]));
  return Array.from(session.streams.all())
    .filter(({ name }) => wanted === null || wanted.has(name))
    .map(({ name, partitions }) => ({
      name,
      partitions: partitions
        .filter(({ index }) => wanted === null || wanted.get(name)?.includes(index))
        .map(({ index, storedBytes }) => ({
          partitionIndex: index,
          partitionSize: storedBytes,
          offsetLag: 0,
          isFutureKey: false,
        })),
    }));
}

async function diskOf(directory: string) {
  try {
    const { blocks, bavail, bsize } = await statfs(directory);
    return { errorCode: CODES.NONE, totalBytes: blocks * bsize, usableBytes: bavail * bsize };
  } catch {
    // Kept in memory, or the directory cannot be looked at: sizes are known all the same.
    return { errorCode: CODES.NONE, totalBytes: UNKNOWN_BYTES, usableBytes: UNKNOWN_BYTES };
  }
}
