import type { StreamHandle } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { allowedOperations } from "../operations.ts";
import { describeTopicPartitions } from "../schemas/describe-topic-partitions.ts";

type Answer = Response<typeof describeTopicPartitions>;
type Topic = NonNullable<Answer["topics"]>[number];

/** As in Kafka, whatever the client asks for. */
const PARTITIONS_MAX = 2000;

/** KIP-966: topics in the order of their names, a page of partitions at a time. */
export const describeTopicPartitionsHandler = defineHandler({
  api: describeTopicPartitions,
  handle(request, { peer, node }) {
    const asked = request.topics.map(({ name }) => name);
    const names = asked.length > 0 ? asked : Array.from(peer.session.streams.all(), ({ name }) => name);
    const { cursor } = request;
    const topics: Topic[] = [];
    let left = Math.min(Math.max(request.responsePartitionLimit, 1), PARTITIONS_MAX);
    for (const name of [...new Set(names)].sort()) {
      if (cursor !== null && name < cursor.topicName) continue;
      const first = cursor !== null && name === cursor.topicName ? Math.max(0, cursor.partitionIndex) : 0;
      if (left <= 0) return { topics, nextCursor: { topicName: name, partitionIndex: first } };
      const stream = visible(peer, name);
      if (typeof stream === "number") {
        // Who asks for all sees those that he may see.
        if (asked.length > 0) topics.push({ errorCode: stream, name });
        continue;
      }
      const next = first + left;
      topics.push(described(peer, stream, first, next, node.settings.nodeId));
      left -= Math.max(0, Math.min(stream.partitions.length, next) - first);
      if (stream.partitions.length > next)
        return { topics, nextCursor: { topicName: name, partitionIndex: next } };
    }
    return { topics, nextCursor: null };
  },
});

function visible(peer: Peer, name: string): StreamHandle | number {
  if (!peer.rights.may("describe", "stream", name)) return CODES.TOPIC_AUTHORIZATION_FAILED;
  return peer.session.streams.find(name) ?? CODES.UNKNOWN_TOPIC_OR_PARTITION;
}

function described(peer: Peer, stream: StreamHandle, first: number, next: number, nodeId: number): Topic {
  const alone = [nodeId];
  return {
    name: stream.name,
    topicId: stream.id,
    partitions: stream.partitions.slice(first, next).map(({ index, epoch }) => ({
      partitionIndex: index,
      leaderId: nodeId,
      leaderEpoch: epoch,
      replicaNodes: alone,
      isrNodes: alone,
      // Kafka's own client cannot do with null here.
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
    })),
    topicAuthorizedOperations: allowedOperations(peer.rights, "stream", stream.name),
  };
}
