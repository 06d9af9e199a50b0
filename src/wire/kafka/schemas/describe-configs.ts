import { defineApi } from "../codec/api.ts";
import { array, bool, int8, int16, int32, string } from "../codec/schema.ts";

export const describeConfigs = defineApi({
  key: 32,
  name: "DescribeConfigs",
  versions: [0, 4],
  flexible: 4,
  request: {
    resources: array({
      resourceType: int8,
      resourceName: string,
      configurationKeys: array(string).nullable(),
    }),
    includeSynonyms: bool.since(1),
    includeDocumentation: bool.since(3),
  },
  response: {
    throttleTimeMs: int32,
    results: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
      configs: array({
        name: string,
        value: string.nullable(),
        readOnly: bool,
        isDefault: bool.until(0),
        configSource: int8.since(1).or(-1),
        isSensitive: bool,
        synonyms: array({ name: string, value: string.nullable(), source: int8 }).since(1),
        configType: int8.since(3),
        documentation: string.since(3).nullable(),
      }),
    }),
  },
});
