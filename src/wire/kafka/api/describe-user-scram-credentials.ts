import { defineHandler } from "../api.ts";
import { CODES } from "../errors.ts";
import { repeated } from "../repeated.ts";
import { describeUserScramCredentials } from "../schemas/describe-user-scram-credentials.ts";
import { codeOfMechanism } from "../security/scram-mechanisms.ts";

/** For which mechanisms users have passwords. */
export const describeUserScramCredentialsHandler = defineHandler({
  api: describeUserScramCredentials,
  handle({ users }, { peer }) {
    const known = new Map<string, { mechanism: number; iterations: number }[]>();
    for (const { user, mechanism, iterations } of peer.rights.scramCredentials()) {
      const infos = known.get(user) ?? [];
      infos.push({ mechanism: codeOfMechanism(mechanism), iterations });
      known.set(user, infos);
    }
    const everybody = users === null || users.length === 0;
    const asked = everybody ? [...known.keys()] : users.map(({ name }) => name);
    const twice = repeated(asked);
    const results = asked.map((user) => {
      const credentialInfos = known.get(user);
      if (twice.has(user)) {
        const errorMessage = `User ${user} is asked for more than once.`;
        return { user, errorCode: CODES.DUPLICATE_RESOURCE, errorMessage };
      }
      if (credentialInfos !== undefined) return { user, errorMessage: null, credentialInfos };
      const errorMessage = `User ${user} has no SCRAM credentials.`;
      return { user, errorCode: CODES.RESOURCE_NOT_FOUND, errorMessage };
    });
    return { errorMessage: null, results };
  },
  refuse: ({ errorCode, errorMessage }) => ({ errorCode, errorMessage }),
});
