import { defineApi } from "../codec/api.ts";
import { array, int8, int16, int32, string } from "../codec/schema.ts";

export const listConfigResources = defineApi({
  key: 74,
  name: "ListConfigResources",
  versions: [0, 1],
  flexible: 0,
  request: { resourceTypes: array(int8).since(1) },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    configResources: array({ resourceName: string, resourceType: int8.since(1).or(16) }),
  },
});
