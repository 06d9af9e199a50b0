import { defineApi } from "../codec/api.ts";
import { array, bool, float64, int16, int32, string } from "../codec/schema.ts";

export const alterClientQuotas = defineApi({
  key: 49,
  name: "AlterClientQuotas",
  versions: [0, 1],
  flexible: 1,
  request: {
    entries: array({
      entity: array({ entityType: string, entityName: string.nullable() }),
      ops: array({ key: string, value: float64, remove: bool }),
    }),
    validateOnly: bool,
  },
  response: {
    throttleTimeMs: int32,
    entries: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      entity: array({ entityType: string, entityName: string.nullable() }),
    }),
  },
});
