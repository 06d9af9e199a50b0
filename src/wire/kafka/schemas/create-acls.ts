import { defineApi } from "../codec/api.ts";
import { array, int8, int16, int32, string } from "../codec/schema.ts";

export const createAcls = defineApi({
  key: 30,
  name: "CreateAcls",
  versions: [0, 3],
  flexible: 2,
  request: {
    creations: array({
      resourceType: int8,
      resourceName: string,
      resourcePatternType: int8.since(1).or(3),
      principal: string,
      host: string,
      operation: int8,
      permissionType: int8,
    }),
  },
  response: { throttleTimeMs: int32, results: array({ errorCode: int16, errorMessage: string.nullable() }) },
});
