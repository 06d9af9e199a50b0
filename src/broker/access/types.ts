/** What the door shows of access control, beside logins by password and patterns of permissions. */

// --- challenge and response (RFC 5802, RFC 7677) ------------------------------------------------

export type ScramMechanism = "SCRAM-SHA-256" | "SCRAM-SHA-512";

/** The server's side of one login; made anew for each. */
export interface ScramExchange {
  /**
   * Takes the client's next message and resolves to the answer: first the challenge, then the server's
   * own proof, with which `user` is set. @throws BrokerError login-refused
   */
  step(message: Uint8Array): Promise<Uint8Array>;
  /** Null until the client has proven that it knows the password. */
  readonly user: { readonly user: string; readonly tags: readonly string[] } | null;
}

export interface ScramCredential {
  readonly user: string;
  readonly mechanism: ScramMechanism;
  readonly iterations: number;
}

/** A password as those who administer it from afar send it: salted and hashed, but not yet split into keys. */
export interface ScramPassword extends ScramCredential {
  readonly salt: Uint8Array;
  /** Hi(password, salt, iterations) of RFC 5802. */
  readonly saltedPassword: Uint8Array;
}

// --- explicit rules -----------------------------------------------------------------------------

export type ResourceType = "stream" | "group" | "transactional-id" | "cluster";

/** "cluster" resources have one name. */
export const CLUSTER_RESOURCE = "cluster";

export type Operation =
  | "read"
  | "write"
  | "create"
  | "delete"
  | "alter"
  | "describe"
  | "cluster-action"
  | "describe-configs"
  | "alter-configs"
  | "idempotent-write";

/**
 * Allows or denies a user an operation, whatever the patterns of permissions say: a rule that denies
 * wins over one that allows, and one that allows over a pattern that does not find the name. A rule for
 * a stream acts on the queue of that name, too.
 */
export interface AccessRule {
  /** "*" is everybody. */
  readonly user: string;
  /** Where from: an address, or "*". */
  readonly address: string;
  readonly resource: ResourceType;
  /** With "prefix" false, "*" is every name. */
  readonly name: string;
  readonly prefix: boolean;
  readonly operation: Operation | "all";
  readonly effect: "allow" | "deny";
}

/** What is absent matches everything. */
export interface RuleFilter {
  readonly user?: string;
  readonly address?: string;
  readonly resource?: ResourceType;
  readonly name?: string;
  /**
   * "exact" and "prefix": rules with just this name, of this kind; "match": rules that act on a
   * resource of this name; absent: rules with just this name, of either kind.
   */
  readonly pattern?: "exact" | "prefix" | "match";
  readonly operation?: Operation | "all";
  readonly effect?: "allow" | "deny";
}

/**
 * What one connection's user may do in a namespace, by rules and permissions together, and the
 * administration of both. Follows every change at once.
 */
export interface Rights {
  readonly user: string;
  /** Rises with every change that may change an answer. */
  readonly revision: number;
  may(operation: Operation, resource: ResourceType, name: string): boolean;
  /** May the user do this with any resource of the type? */
  mayAny(operation: Operation, resource: ResourceType): boolean;
  /** @throws BrokerError access-refused */
  check(operation: Operation, resource: ResourceType, name: string): void;

  /** @throws BrokerError access-refused without the right to describe the cluster */
  rules(filter: RuleFilter): AccessRule[];
  /** Adding what is there already is no error. @throws BrokerError access-refused without the right to alter the cluster, argument-invalid */
  addRules(rules: readonly AccessRule[]): void;
  /** Returns what was removed. @throws BrokerError access-refused, likewise */
  removeRules(filter: RuleFilter): AccessRule[];

  /** @throws BrokerError access-refused without the right to describe the cluster */
  scramCredentials(): ScramCredential[];
  /** Creates the user, without permissions, when there is none. @throws BrokerError access-refused, argument-invalid */
  putScram(password: ScramPassword): void;
  /** False when there was none. @throws BrokerError access-refused */
  deleteScram(user: string, mechanism: ScramMechanism): boolean;
}

// --- tokens -------------------------------------------------------------------------------------

/** Who a token speaks for. */
export interface TokenClaims {
  /** Value of the claim that names the user. */
  readonly user: string;
  /** Wall-clock ms. */
  readonly expiresAtMs: number;
}

/** Decides whether a token is genuine, current and meant for this broker. */
export interface TokenVerifier {
  /** @throws Error saying what is wrong with it */
  verify(token: string): Promise<TokenClaims>;
}

export interface TokenLogin {
  readonly user: string;
  readonly tags: readonly string[];
  /** Wall-clock ms. */
  readonly expiresAtMs: number;
}
