// Access control lists, as the protocol numbers them, and the broker's rules.
import type { AccessRule, Operation, ResourceType, RuleFilter } from "../../../broker/index.ts";
import { KafkaError } from "../errors.ts";
import { OPERATION_CODES, OPERATIONS_OF } from "../operations.ts";

/** Resource types of the protocol that the broker has. 1 is any; 6 (delegation token) and 7 (user) it has not. */
const RESOURCES: Readonly<Record<number, ResourceType>> = {
  2: "stream",
  3: "group",
  4: "cluster",
  5: "transactional-id",
};

const ALL = 2;
const OPERATIONS: Readonly<Record<number, Operation | "all">> = {
  ...Object.fromEntries(Object.entries(OPERATION_CODES).map(([name, code]) => [code, name as Operation])),
  [ALL]: "all",
};

const EFFECTS: Readonly<Record<number, AccessRule["effect"]>> = { 2: "deny", 3: "allow" };

const ANY = 1;
const MATCH = 2;
const LITERAL = 3;
const PREFIXED = 4;

const PRINCIPAL = "User:";
const CLUSTER_NAME = "kafka-cluster";

/** One entry on the wire, under the names that the APIs share. */
export interface Acl {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly patternType: number;
  readonly principal: string;
  readonly host: string;
  readonly operation: number;
  readonly permissionType: number;
}

export interface AclFilter {
  readonly resourceTypeFilter: number;
  readonly resourceNameFilter: string | null;
  readonly patternTypeFilter: number;
  readonly principalFilter: string | null;
  readonly hostFilter: string | null;
  readonly operation: number;
  readonly permissionType: number;
}

/** @throws KafkaError INVALID_REQUEST */
export function ruleOf(acl: Acl): AccessRule {
  const resource = RESOURCES[acl.resourceType];
  const operation = OPERATIONS[acl.operation];
  const effect = EFFECTS[acl.permissionType];
  if (resource === undefined) throw invalid(`resource type ${acl.resourceType} is not supported`);
  if (operation === undefined) throw invalid(`operation ${acl.operation} is not supported`);
  if (effect === undefined) throw invalid(`permission type ${acl.permissionType} is not supported`);
  if (acl.patternType !== LITERAL && acl.patternType !== PREFIXED) {
    throw invalid(`pattern type ${acl.patternType} is not supported: literal or prefixed`);
  }
  if (operation !== "all" && !OPERATIONS_OF[resource].includes(operation)) {
    throw invalid(`operation ${operation} cannot be done with a ${resource}`);
  }
  if (resource === "cluster" && acl.resourceName !== CLUSTER_NAME) {
    throw invalid(`the only cluster is called ${CLUSTER_NAME}`);
  }
  return {
    user: userOf(acl.principal),
    address: acl.host,
    resource,
    name: resource === "cluster" ? "cluster" : acl.resourceName,
    prefix: acl.patternType === PREFIXED,
    operation,
    effect,
  };
}

export function aclOf(rule: AccessRule): Acl {
  return {
    resourceType: numberOf(RESOURCES, rule.resource),
    resourceName: rule.resource === "cluster" ? CLUSTER_NAME : rule.name,
    patternType: rule.prefix ? PREFIXED : LITERAL,
    principal: `${PRINCIPAL}${rule.user}`,
    host: rule.address,
    operation: numberOf(OPERATIONS, rule.operation),
    permissionType: numberOf(EFFECTS, rule.effect),
  };
}

/** Null: finds nothing that there can be. @throws KafkaError INVALID_REQUEST for what is no filter */
export function filterOf(filter: AclFilter): RuleFilter | null {
  const { resourceTypeFilter, patternTypeFilter, operation, permissionType } = filter;
  const unknown = [resourceTypeFilter, patternTypeFilter, operation, permissionType].some(
    (code) => code < ANY,
  );
  if (unknown || patternTypeFilter > PREFIXED) throw invalid("the filter has an element of unknown kind");
  const resource = RESOURCES[resourceTypeFilter];
  const wanted = OPERATIONS[operation];
  const effect = EFFECTS[permissionType];
  const principal = filter.principalFilter;
  if (resource === undefined && resourceTypeFilter !== ANY) return null;
  if (wanted === undefined && operation !== ANY) return null;
  if (effect === undefined && permissionType !== ANY) return null;
  if (principal !== null && !principal.startsWith(PRINCIPAL)) return null;
  const name = filter.resourceNameFilter;
  const pattern = patternOf(patternTypeFilter);
  return {
    ...(principal !== null && { user: userOf(principal) }),
    ...(filter.hostFilter !== null && { address: filter.hostFilter }),
    ...(resource !== undefined && { resource }),
    ...(name !== null && { name: resource === "cluster" && name === CLUSTER_NAME ? "cluster" : name }),
    ...(pattern !== null && { pattern }),
    ...(wanted !== undefined && { operation: wanted }),
    ...(effect !== undefined && { effect }),
  };
}

function patternOf(type: number): NonNullable<RuleFilter["pattern"]> | null {
  if (type === MATCH) return "match";
  if (type === LITERAL) return "exact";
  return type === PREFIXED ? "prefix" : null;
}

function userOf(principal: string): string {
  if (principal.startsWith(PRINCIPAL)) return principal.slice(PRINCIPAL.length);
  throw invalid(`principal '${principal}' is not of the form User:name`);
}

function numberOf<T>(table: Readonly<Record<number, T>>, value: T): number {
  const found = Object.entries(table).find(([, known]) => known === value);
  return Number((found as [string, T])[0]);
}

function invalid(text: string): KafkaError {
  return new KafkaError("INVALID_REQUEST", text);
}
