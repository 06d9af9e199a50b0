import { defineApi } from "../codec/api.ts";
import { array, int8, int16, int32, string } from "../codec/schema.ts";

export const describeUserScramCredentials = defineApi({
  key: 50,
  name: "DescribeUserScramCredentials",
  versions: [0, 0],
  flexible: 0,
  request: { users: array({ name: string }).nullable() },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: string.nullable(),
    results: array({
      user: string,
      errorCode: int16,
      errorMessage: string.nullable(),
      credentialInfos: array({ mechanism: int8, iterations: int32 }),
    }),
  },
});
