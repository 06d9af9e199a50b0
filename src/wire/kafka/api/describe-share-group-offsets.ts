import type { SharePosition } from "../../../broker/index.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { describeShareGroupOffsets } from "../schemas/describe-share-group-offsets.ts";

type Wanted = Request<typeof describeShareGroupOffsets>["groups"][number];

/** How far share groups have read. */
export const describeShareGroupOffsetsHandler = defineHandler({
  api: describeShareGroupOffsets,
  handle({ groups }, { peer }) {
    return { groups: groups.map((wanted) => ({ groupId: wanted.groupId, ...described(wanted, peer) })) };
  },
});

function described({ groupId, topics }: Wanted, peer: Peer) {
  const { rights, session } = peer;
  if (!rights.may("describe", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
  if (session.groups.describe(groupId)?.kind !== "share") {
    return { errorCode: CODES.GROUP_ID_NOT_FOUND, errorMessage: `Group ${groupId} is not a share group.` };
  }
  const known = session.shares.positions(groupId);
  const all = topics ?? allTopics(known);
  return {
    topics: all.map(({ topicName, partitions }) => {
      const visible = rights.may("describe", "stream", topicName);
      const refusal = visible ? CODES.NONE : CODES.TOPIC_AUTHORIZATION_FAILED;
      return {
        topicName,
        topicId: session.streams.find(topicName)?.id,
        partitions: partitions.map((index) => {
          const found = known.find(({ stream, partition }) => stream === topicName && partition === index);
          if (refusal !== CODES.NONE || found === undefined) {
            return { partitionIndex: index, startOffset: -1, leaderEpoch: 0, errorCode: refusal };
          }
          return { partitionIndex: index, startOffset: found.start, leaderEpoch: 0, lag: found.lag };
        }),
      };
    }),
  };
}

function allTopics(known: readonly SharePosition[]): { topicName: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { stream, partition } of known) topics.set(stream, [...(topics.get(stream) ?? []), partition]);
  return Array.from(topics, ([topicName, partitions]) => ({ topicName, partitions }));
}
