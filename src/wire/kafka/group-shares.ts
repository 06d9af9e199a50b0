// What members of groups of the type "consumer" tell each other of their partitions, as the broker needs it where it
// divides the work for them (KIP-848).

import { copyBytes } from "../../base/copy-bytes.ts";
import type { Session, StreamPartitions, SyncResult } from "../../broker/index.ts";
import { Reader } from "./codec/reader.ts";
import { Writer } from "./codec/writer.ts";
import { readAssignment, readSubscription, writeAssignment } from "./schemas/consumer-protocol.ts";

interface NamedPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

/** What a member says that it has: nothing, where its assignor gives up everything before a rebalance. Null: cannot be read. */
export function ownedPartitions(session: Session, metadata: Uint8Array): readonly StreamPartitions[] | null {
  try {
    return byId(session, readSubscription(new Reader(metadata)).ownedPartitions);
  } catch {
    return null;
  }
}

interface GivenShare {
  readonly memberId: string;
  readonly assignment: Uint8Array;
}

/** By member; without those that cannot be read, or tell their member more than partitions. */
export function sharesOf(
  session: Session,
  assignments: readonly GivenShare[],
): Map<string, readonly StreamPartitions[]> {
  const shares = new Map<string, readonly StreamPartitions[]>();
  for (const { memberId, assignment } of assignments) {
    const share = shareIn(session, assignment);
    if (share !== null) shares.set(memberId, share);
  }
  return shares;
}

function shareIn(session: Session, assignment: Uint8Array): readonly StreamPartitions[] | null {
  if (assignment.length === 0) return [];
  try {
    const { assignedPartitions, userData } = readAssignment(new Reader(assignment));
    return userData === null || userData.length === 0 ? byId(session, assignedPartitions) : null;
  } catch {
    return null;
  }
}

function byId({ streams }: Session, all: readonly NamedPartitions[]): StreamPartitions[] {
  return all.flatMap(({ topic, partitions }) => {
    const streamId = streams.find(topic)?.id;
    return streamId === undefined ? [] : [{ streamId, partitions }];
  });
}

/** In the version in which the member writes. */
export function assignmentBytes(
  { streams }: Session,
  { partitions: all, metadata }: NonNullable<SyncResult["share"]>,
): Uint8Array {
  const assignedPartitions = all.flatMap(({ streamId, partitions }) => {
    const topic = streams.findById(streamId)?.name;
    return topic === undefined ? [] : [{ topic, partitions: [...partitions] }];
  });
  const writer = new Writer();
  writeAssignment(writer, new Reader(metadata).int16(), { assignedPartitions, userData: null });
  return copyBytes(writer.buffer, 0, writer.length);
}
