import { defineHandler, type KafkaNode } from "../api.ts";
import type { Response } from "../codec/api.ts";
import { CODES } from "../errors.ts";
import { FEATURES } from "../features.ts";
import { apiVersions } from "../schemas/api-versions.ts";

/** KIP-511: what client software may be called. */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

/** What is served. Clients choose their versions by it, some even guess the broker's age. */
export const apiVersionsHandler = defineHandler({
  api: apiVersions,
  beforeLogin: true,
  handle(request, { version, peer, node }) {
    if (version >= 3) {
      const { clientSoftwareName: name, clientSoftwareVersion } = request;
      if (!SOFTWARE_NAME.test(name) || !SOFTWARE_NAME.test(clientSoftwareVersion))
        return { errorCode: CODES.INVALID_REQUEST };
      peer.software = { name, version: clientSoftwareVersion };
    }
    return { apiKeys: servedKeys(node), ...featuresIn(version) };
  },
});

/** From here on a feature's lowest level may be 0 (KAFKA-17011). */
const FIRST_WITH_LEVEL_0 = 4;

/** What clients must know beside the versions of APIs: which protocol of transactions is on. */
function featuresIn(version: number) {
  if (version < 3) return {};
  const supported = FEATURES.map(({ name, level }) => ({ name, minVersion: 0, maxVersion: level }));
  return {
    supportedFeatures: version >= FIRST_WITH_LEVEL_0 ? supported : [],
    finalizedFeaturesEpoch: 1,
    finalizedFeatures: FEATURES.map(({ name, level }) => ({
      name,
      maxVersionLevel: level,
      minVersionLevel: level,
    })),
  };
}

/** KIP-511: to a version of ApiVersions that is not served the answer is version 0, with what is. */
export function unsupportedApiVersions(node: KafkaNode): Response<typeof apiVersions> {
  return { errorCode: CODES.UNSUPPORTED_VERSION, apiKeys: servedKeys(node) };
}

function servedKeys(node: KafkaNode) {
  return node.served.map(({ api, first, last }) => ({
    apiKey: api.key,
    minVersion: first,
    maxVersion: last,
  }));
}
