import { compile } from "../codec/compile.ts";
import type { Reader } from "../codec/reader.ts";
import { array, bytes, int32, type Message, type Shape, string } from "../codec/schema.ts";
import type { Writer } from "../codec/writer.ts";

// What members of groups of the type "consumer" write into JoinGroup's metadata and SyncGroup's
// assignment: [version i16][fields]. Never flexible. To the broker they are bytes, but for those who
// must know what a group reads: deletion of offsets, and members of both protocols in one group.

const subscriptionShape = {
  topics: array(string),
  userData: bytes.nullable().or(null),
  ownedPartitions: array({ topic: string, partitions: array(int32) }).since(1),
  generationId: int32.since(2).or(-1),
  rackId: string.since(3).nullable().or(null),
};

const assignmentShape = {
  assignedPartitions: array({ topic: string, partitions: array(int32) }),
  userData: bytes.nullable().or(null),
};

/** Later versions only add at the end. */
const LAST_VERSION = 3;

/** @throws MalformedError */
export function readSubscription(reader: Reader): Message<typeof subscriptionShape> {
  return read(subscriptionShape, reader);
}

/** @throws MalformedError */
export function readAssignment(reader: Reader): Message<typeof assignmentShape> {
  return read(assignmentShape, reader);
}

export function writeAssignment(
  writer: Writer,
  version: number,
  assignment: Message<typeof assignmentShape>,
): void {
  writer.int16(version);
  compile(assignmentShape, Math.min(Math.max(version, 0), LAST_VERSION), false).write(writer, assignment);
}

function read<S extends Shape>(shape: S, reader: Reader): Message<S> {
  const version = Math.min(Math.max(reader.int16(), 0), LAST_VERSION);
  return compile(shape, version, false).read(reader) as Message<S>;
}
