import { BrokerError } from "../../../base/errors.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Request } from "../codec/api.ts";
import { durable } from "../durable.ts";
import { CODES, KafkaError, partRefusal } from "../errors.ts";
import { alterUserScramCredentials } from "../schemas/alter-user-scram-credentials.ts";
import { mechanismOfCode } from "../security/scram-mechanisms.ts";

type Asked = Request<typeof alterUserScramCredentials>;

type Deletion = Asked["deletions"][number];
type Upsertion = Asked["upsertions"][number];

interface Changes {
  readonly deletions: Deletion[];
  readonly upsertions: Upsertion[];
}

/** Gives users passwords, salted by the client, or takes them away. */
export const alterUserScramCredentialsHandler = defineHandler({
  api: alterUserScramCredentials,
  async handle({ deletions, upsertions }, { peer, node }) {
    const users = new Map<string, Changes>();
    const changesOf = (name: string): Changes => {
      const known = users.get(name);
      const changes = known ?? { deletions: [], upsertions: [] };
      if (known === undefined) users.set(name, changes);
      return changes;
    };
    for (const deletion of deletions) changesOf(deletion.name).deletions.push(deletion);
    for (const upsertion of upsertions) changesOf(upsertion.name).upsertions.push(upsertion);
    const results = Array.from(users, ([user, changes]) => ({ user, ...alterUser(peer, user, changes) }));
    await durable(node);
    return { results };
  },
});

function alterUser({ rights }: Peer, user: string, { deletions, upsertions }: Changes) {
  try {
    rights.check("alter", "cluster", "cluster");
    const mechanisms = [...deletions, ...upsertions].map(({ mechanism }) => mechanismOfCode(mechanism));
    if (new Set(mechanisms).size < mechanisms.length) {
      throw new KafkaError("DUPLICATE_RESOURCE", "A credential is changed more than once.");
    }
    for (const { mechanism } of deletions) {
      if (rights.deleteScram(user, mechanismOfCode(mechanism))) continue;
      throw new KafkaError("RESOURCE_NOT_FOUND", "Attempt to delete a user credential that does not exist");
    }
    for (const { mechanism, ...password } of upsertions) {
      rights.putScram({ ...password, user, mechanism: mechanismOfCode(mechanism) });
    }
    return { errorCode: CODES.NONE, errorMessage: null };
  } catch (error) {
    if (error instanceof BrokerError && error.code === "argument-invalid") {
      return { errorCode: CODES.UNACCEPTABLE_CREDENTIAL, errorMessage: error.message };
    }
    return partRefusal(error);
  }
}
