import { BrokerError } from "../../../base/errors.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { durable } from "../durable.ts";
import { CODES, KafkaError, partRefusal } from "../errors.ts";
import { alterUserScramCredentials } from "../schemas/alter-user-scram-credentials.ts";
import { mechanismOfCode } from "../security/scram-mechanisms.ts";

type Asked = Request<typeof alterUserScramCredentials>;

/** Gives users passwords, salted by the client, or takes them away: for each user all that is asked, or nothing. */
export const alterUserScramCredentialsHandler = defineHandler({
  api: alterUserScramCredentials,
  async handle(request, { peer, node }) {
    const users = new Set([...request.deletions, ...request.upsertions].map(({ name }) => name));
    const results = Array.from(users, (user) => ({ user, ...alterUser(peer, user, request) }));
    await durable(node);
    return { results };
  },
});

function alterUser({ rights }: Peer, user: string, asked: Asked) {
  const deletions = asked.deletions.filter(({ name }) => name === user);
  const upsertions = asked.upsertions.filter(({ name }) => name === user);
  try {
    rights.check("alter", "cluster", "cluster");
    const mechanisms = [...deletions, ...upsertions].map(({ mechanism }) => mechanismOfCode(mechanism));
    if (new Set(mechanisms).size < mechanisms.length) {
      throw new KafkaError("DUPLICATE_RESOURCE", "A credential is changed more than once.");
    }
    const known = rights.scramCredentials().filter((credential) => credential.user === user);
    for (const { mechanism } of deletions) {
      if (known.some((credential) => credential.mechanism === mechanismOfCode(mechanism))) continue;
      throw new KafkaError("RESOURCE_NOT_FOUND", "Attempt to delete a user credential that does not exist");
    }
    for (const { mechanism, ...password } of upsertions) {
      rights.putScram({ ...password, user, mechanism: mechanismOfCode(mechanism) });
    }
    for (const { mechanism } of deletions) rights.deleteScram(user, mechanismOfCode(mechanism));
    return { errorCode: CODES.NONE, errorMessage: null };
  } catch (error) {
    if (error instanceof BrokerError && error.code === "argument-invalid") {
      return { errorCode: CODES.UNACCEPTABLE_CREDENTIAL, errorMessage: error.message };
    }
    return partRefusal(error);
  }
}
