import { defineApi } from "../codec/api.ts";
import { bytes, int16, int64, string } from "../codec/schema.ts";

export const saslAuthenticate = defineApi({
  key: 36,
  name: "SaslAuthenticate",
  versions: [0, 2],
  flexible: 2,
  request: { authBytes: bytes },
  response: {
    errorCode: int16,
    errorMessage: string.nullable(),
    authBytes: bytes,
    sessionLifetimeMs: int64.since(1),
  },
});
