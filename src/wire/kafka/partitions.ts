import type { Operation, PartitionHandle } from "../../broker/index.ts";
import type { Peer } from "./api.ts";
import { CODES } from "./errors.ts";

/** The partition, or the error code with which it is refused to this user. */
export function findPartition(
  peer: Peer,
  operation: Operation,
  topic: string,
  index: number,
): PartitionHandle | number {
  if (!peer.rights.may(operation, "stream", topic)) return CODES.TOPIC_AUTHORIZATION_FAILED;
  const stream = peer.session.streams.find(topic);
  return stream?.partitions[index] ?? CODES.UNKNOWN_TOPIC_OR_PARTITION;
}

/** Likewise; who may not see it is not told that it exists. */
export function findPartitionById(
  peer: Peer,
  operation: Operation,
  topicId: string,
  index: number,
): PartitionHandle | number {
  const stream = peer.session.streams.findById(topicId);
  if (stream === null) return CODES.UNKNOWN_TOPIC_ID;
  if (!peer.rights.may(operation, "stream", stream.name)) return CODES.TOPIC_AUTHORIZATION_FAILED;
  return stream.partitions[index] ?? CODES.UNKNOWN_TOPIC_OR_PARTITION;
}

/** KIP-320: what a client that believes in this epoch (-1: none) is told. */
export function epochError(partition: PartitionHandle, currentLeaderEpoch: number): number {
  if (currentLeaderEpoch < 0 || currentLeaderEpoch === partition.epoch) return CODES.NONE;
  return currentLeaderEpoch < partition.epoch ? CODES.FENCED_LEADER_EPOCH : CODES.UNKNOWN_LEADER_EPOCH;
}
