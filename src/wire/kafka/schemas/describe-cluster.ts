import { defineApi } from "../codec/api.ts";
import { array, bool, int8, int16, int32, string } from "../codec/schema.ts";

export const describeCluster = defineApi({
  key: 60,
  name: "DescribeCluster",
  versions: [0, 2],
  flexible: 0,
  request: {
    includeClusterAuthorizedOperations: bool,
    endpointType: int8.since(1).or(1),
    includeFencedBrokers: bool.since(2),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    endpointType: int8.since(1).or(1),
    clusterId: string,
    controllerId: int32.or(-1),
    brokers: array({
      brokerId: int32,
      host: string,
      port: int32,
      rack: string.nullable().or(null),
      isFenced: bool.since(2),
    }),
    clusterAuthorizedOperations: int32.or(-0x80000000),
  },
});
