import { defineApi } from "../codec/api.ts";
import { array, bool, int16, int32, int64, string } from "../codec/schema.ts";

export const apiVersions = defineApi({
  key: 18,
  name: "ApiVersions",
  versions: [0, 4],
  flexible: 3,
  request: { clientSoftwareName: string.since(3), clientSoftwareVersion: string.since(3) },
  response: {
    errorCode: int16,
    apiKeys: array({ apiKey: int16, minVersion: int16, maxVersion: int16 }),
    throttleTimeMs: int32.since(1),
    supportedFeatures: array({ name: string, minVersion: int16, maxVersion: int16 }).since(3).tagged(0),
    finalizedFeaturesEpoch: int64.since(3).tagged(1).or(-1),
    finalizedFeatures: array({ name: string, maxVersionLevel: int16, minVersionLevel: int16 })
      .since(3)
      .tagged(2),
    zkMigrationReady: bool.since(3).tagged(3),
  },
});
