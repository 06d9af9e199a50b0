import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { FEATURES } from "../features.ts";
import { updateFeatures } from "../schemas/update-features.ts";

/** Features cannot be switched: what is asked for is as it is already, or refused. */
export const updateFeaturesHandler = defineHandler({
  api: updateFeatures,
  handle({ featureUpdates }, { version, peer }) {
    peer.rights.check("alter", "cluster", "cluster");
    const results = featureUpdates.map(({ feature, maxVersionLevel }) => {
      const found = FEATURES.find(({ name }) => name === feature);
      if (found?.level === maxVersionLevel) return { feature, errorCode: CODES.NONE, errorMessage: null };
      const why =
        found === undefined ? "There is no such feature" : `It is at ${found.level} and cannot be switched`;
      const errorMessage = `Feature ${feature} cannot be set to ${maxVersionLevel}. ${why}.`;
      return { feature, errorCode: CODES.INVALID_UPDATE_VERSION, errorMessage };
    });
    // From version 2 on one failure is the failure of all.
    const failed = version >= 2 ? results.find(({ errorCode }) => errorCode !== CODES.NONE) : undefined;
    if (failed !== undefined) return { errorCode: failed.errorCode, errorMessage: failed.errorMessage };
    return { errorMessage: null, results };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
