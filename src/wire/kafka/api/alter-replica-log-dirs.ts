import { defineHandler, type Peer } from "../api.ts";
import { CODES, type CodeName } from "../errors.ts";
import { alterReplicaLogDirs } from "../schemas/alter-replica-log-dirs.ts";

/** A partition can be moved to the directory where it is: there is one. */
export const alterReplicaLogDirsHandler = defineHandler({
  api: alterReplicaLogDirs,
  handle({ dirs }, { peer }) {
    const results = dirs.flatMap(({ path, topics }) =>
      topics.map(({ name, partitions }) => ({
        topicName: name,
        partitions: partitions.map((partitionIndex) => ({
          partitionIndex,
          errorCode: CODES[move(peer, path, name, partitionIndex)],
        })),
      })),
    );
    return { results };
  },
});

function move({ rights, node, session }: Peer, path: string, name: string, index: number): CodeName {
  if (!rights.may("alter", "cluster", "cluster")) return "CLUSTER_AUTHORIZATION_FAILED";
  if (path !== node.settings.logDir) return "LOG_DIR_NOT_FOUND";
  return session.streams.find(name)?.partitions[index] === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : "NONE";
}
