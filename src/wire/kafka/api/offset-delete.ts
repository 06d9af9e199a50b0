import { defineHandler, LATER } from "../api.ts";
import { CODES } from "../errors.ts";
import { codeOf } from "../group-codes.ts";
import { offsetDelete } from "../schemas/offset-delete.ts";

export const offsetDeleteHandler = defineHandler({
  api: offsetDelete,
  handle({ groupId, topics }, call) {
    const { rights, session } = call.peer;
    if (!rights.may("delete", "group", groupId)) return { errorCode: CODES.GROUP_AUTHORIZATION_FAILED };
    const readable = topics.map(({ name }) => rights.may("read", "stream", name));
    const asked = topics.flatMap(({ name, partitions }, index) =>
      readable[index]
        ? partitions.map(({ partitionIndex }) => ({ stream: name, partition: partitionIndex }))
        : [],
    );
    session.groups.deleteOffsets(groupId, asked, (refusal, refusals) => {
      let next = 0;
      call.answer({
        errorCode: codeOf(refusal),
        topics: (refusal === null ? topics : []).map(({ name, partitions }, index) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({
            partitionIndex,
            errorCode: readable[index] ? codeOf(refusals[next++] ?? null) : CODES.TOPIC_AUTHORIZATION_FAILED,
          })),
        })),
      });
    });
    return LATER;
  },
});
