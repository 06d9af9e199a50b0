import type { ResourceType } from "../../../broker/index.ts";
import { advertisedAddress } from "../address.ts";
import { defineHandler, type Peer } from "../api.ts";
import type { Response } from "../codec/api.ts";
import { CODES, type CodeName } from "../errors.ts";
import { findCoordinator } from "../schemas/find-coordinator.ts";

type Answer = Response<typeof findCoordinator>;
type Coordinator = NonNullable<Answer["coordinators"]>[number];

const GROUP = 0;
const TRANSACTION = 1;
const SHARE = 2;
/** Many keys at once, each with its own answer. */
const FIRST_WITH_KEYS = 4;

/** Who is in charge of a group or a transactional id: this broker. */
export const findCoordinatorHandler = defineHandler({
  api: findCoordinator,
  handle(request, { peer, version }): Answer {
    const { key, keyType, coordinatorKeys } = request;
    // Until then no message is null; afterwards, as with Kafka, it is empty.
    if (version < FIRST_WITH_KEYS) return { errorMessage: null, ...coordinatorOf(peer, keyType, key) };
    return {
      coordinators: coordinatorKeys.map((one) => ({ key: one, ...coordinatorOf(peer, keyType, one) })),
    };
  },
});

function coordinatorOf(peer: Peer, keyType: number, key: string): Coordinator {
  const refusal = refusalOf(peer, keyType, key);
  if (refusal !== null) return { errorCode: CODES[refusal], errorMessage: refusal, nodeId: -1, port: -1 };
  return { nodeId: peer.node.settings.nodeId, ...advertisedAddress(peer) };
}

function refusalOf(peer: Peer, keyType: number, key: string): CodeName | null {
  const may = (resource: ResourceType, name: string) => peer.rights.may("describe", resource, name);
  switch (keyType) {
    case GROUP:
      return may("group", key) ? null : "GROUP_AUTHORIZATION_FAILED";
    case TRANSACTION:
      return may("transactional-id", key) ? null : "TRANSACTIONAL_ID_AUTHORIZATION_FAILED";
    case SHARE: {
      // "group:topic id:partition"
      const parts = key.split(":");
      if (parts.length < 3) return "INVALID_REQUEST";
      return may("group", parts.slice(0, -2).join(":")) ? null : "GROUP_AUTHORIZATION_FAILED";
    }
  }
  return "INVALID_REQUEST";
}
