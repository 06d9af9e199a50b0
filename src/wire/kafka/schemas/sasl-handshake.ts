import { defineApi } from "../codec/api.ts";
import { array, int16, string } from "../codec/schema.ts";

export const saslHandshake = defineApi({
  key: 17,
  name: "SaslHandshake",
  versions: [0, 1],
  request: { mechanism: string },
  response: { errorCode: int16, mechanisms: array(string) },
});
