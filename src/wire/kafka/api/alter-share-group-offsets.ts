import { defineHandler, type Peer } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { alterShareGroupOffsets } from "../schemas/alter-share-group-offsets.ts";

/** Where a share group that nobody is in goes on reading. */
export const alterShareGroupOffsetsHandler = defineHandler({
  api: alterShareGroupOffsets,
  async handle({ groupId, topics }, { peer }) {
    if (!peer.rights.may("read", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const view = peer.session.groups.describe(groupId);
    if (view?.kind !== "share") return { errorCode: CODES.GROUP_ID_NOT_FOUND };
    if (view.members.length > 0) return { errorCode: CODES.NON_EMPTY_GROUP };
    const responses = topics.map(async ({ topicName, partitions }) => ({
      topicName,
      topicId: peer.session.streams.find(topicName)?.id,
      partitions: await Promise.all(
        partitions.map(async ({ partitionIndex, startOffset }) => {
          const errorCode = await alter(peer, groupId, topicName, partitionIndex, startOffset);
          return { partitionIndex, errorCode };
        }),
      ),
    }));
    return { responses: await Promise.all(responses) };
  },
});

async function alter(
  { rights, session }: Peer,
  group: string,
  topic: string,
  partition: number,
  start: number,
): Promise<number> {
  if (!rights.may("read", "stream", topic)) return CODES.TOPIC_AUTHORIZATION_FAILED;
  const stream = session.streams.find(topic);
  if (stream?.partitions[partition] === undefined) return CODES.UNKNOWN_TOPIC_OR_PARTITION;
  return new Promise((resolve) => {
    session.shares.setStart(group, stream, partition, start, (refusal) => resolve(codeOf(refusal)));
  });
}
