import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { deleteShareGroupOffsets } from "../schemas/delete-share-group-offsets.ts";

/** A share group that nobody is in forgets what it read of topics. */
export const deleteShareGroupOffsetsHandler = defineHandler({
  api: deleteShareGroupOffsets,
  async handle({ groupId, topics }, { peer }) {
    const { rights, session } = peer;
    if (!rights.may("delete", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const view = session.groups.describe(groupId);
    if (view?.kind !== "share") return { errorCode: CODES.GROUP_ID_NOT_FOUND };
    if (view.members.length > 0) return { errorCode: CODES.NON_EMPTY_GROUP };
    const forget = (topic: string): Promise<number> => {
      return new Promise((resolve) =>
        session.shares.forget(groupId, topic, (refusal) => resolve(codeOf(refusal))),
      );
    };
    const responses = topics.map(async ({ topicName }) => {
      if (!rights.may("read", "stream", topicName)) {
        return { topicName, errorCode: CODES.TOPIC_AUTHORIZATION_FAILED };
      }
      const topicId = session.streams.find(topicName)?.id;
      if (topicId === undefined) return { topicName, errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION };
      return { topicName, topicId, errorCode: await forget(topicName) };
    });
    return { responses: await Promise.all(responses) };
  },
});
