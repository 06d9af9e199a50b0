import type { Operation, ResourceType, Rights } from "../../broker/index.ts";
import { CLUSTER_RESOURCE } from "../../broker/index.ts";

/** Numbers of the operations in Kafka's rules; in sets of them each is the bit of its number. */
export const OPERATION_CODES: Readonly<Record<Operation, number>> = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  "cluster-action": 9,
  "describe-configs": 10,
  "alter-configs": 11,
  "idempotent-write": 12,
};

/** Where nobody asked. */
export const OPERATIONS_UNASKED = -0x80000000;

/** Which operations there are for each kind of resource; others make no sense. */
export const OPERATIONS_OF: Readonly<Record<ResourceType, readonly Operation[]>> = {
  stream: ["read", "write", "create", "delete", "alter", "describe", "describe-configs", "alter-configs"],
  group: ["read", "delete", "describe", "describe-configs", "alter-configs"],
  "transactional-id": ["write", "describe"],
  cluster: [
    "create",
    "alter",
    "describe",
    "cluster-action",
    "describe-configs",
    "alter-configs",
    "idempotent-write",
  ],
};

/** What the user may do, as a set of bits. */
export function allowedOperations(rights: Rights, type: ResourceType, name = CLUSTER_RESOURCE): number {
  let bits = 0;
  for (const operation of OPERATIONS_OF[type]) {
    if (rights.may(operation, type, name)) bits |= 1 << OPERATION_CODES[operation];
  }
  return bits;
}
