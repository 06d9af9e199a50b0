import { defineApi } from "../codec/api.ts";
import { array, bool, int16, int32, string, struct, uuid } from "../codec/schema.ts";

const topicPartitions = { topicId: uuid, topicName: string, partitions: array(int32) };

const assignment = { topicPartitions: array(topicPartitions) };

export const shareGroupDescribe = defineApi({
  key: 77,
  name: "ShareGroupDescribe",
  versions: [1, 1],
  flexible: 0,
  request: { groupIds: array(string), includeAuthorizedOperations: bool },
  response: {
    throttleTimeMs: int32,
    groups: array({
      errorCode: int16,
      errorMessage: string.nullable().or(null),
      groupId: string,
      groupState: string,
      groupEpoch: int32,
      assignmentEpoch: int32,
      assignorName: string,
      members: array({
        memberId: string,
        rackId: string.nullable().or(null),
        memberEpoch: int32,
        clientId: string,
        clientHost: string,
        subscribedTopicNames: array(string),
        assignment: struct(assignment),
      }),
      authorizedOperations: int32.or(-0x80000000),
    }),
  },
});
