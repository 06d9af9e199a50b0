import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { updateFeatures } from "../schemas/update-features.ts";

/** There are no features that could be switched: what is asked for is refused. */
export const updateFeaturesHandler = defineHandler({
  api: updateFeatures,
  handle({ featureUpdates }, { version, peer }) {
    peer.rights.check("alter", "cluster", "cluster");
    const results = featureUpdates.map(({ feature, maxVersionLevel }) => ({
      feature,
      errorCode: CODES.INVALID_UPDATE_VERSION,
      errorMessage: `Feature ${feature} has no version ${maxVersionLevel} here: it is not supported.`,
    }));
    // From version 2 on one failure is the failure of all.
    const failed = version >= 2 ? results[0] : undefined;
    if (failed !== undefined) return { errorCode: failed.errorCode, errorMessage: failed.errorMessage };
    return { errorMessage: null, results };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
