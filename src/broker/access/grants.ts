import { BrokerError } from "../../base/errors.ts";
import type { Rules } from "./rules.ts";
import type { Operation, ResourceType } from "./types.ts";

export type AccessKind = "configure" | "write" | "read";

/** One pattern per kind of access; the name of a resource must be found by it. */
export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** Which routing keys a user may publish to, or bind from, a topic exchange. */
export interface TopicPermissions {
  readonly write: string;
  readonly read: string;
}

export const FULL_PERMISSIONS: Permissions = { configure: ".*", write: ".*", read: ".*" };

/** The default exchange has no name that a pattern could find. */
const DEFAULT_EXCHANGE_NAME = "amq.default";

const PATTERN_LENGTH_MAX = 1024;
const REMEMBERED_MAX = 8192;

/** What each kind of access lets one do, when there are rules for single operations. */
const OPERATIONS: Readonly<Record<AccessKind, readonly Operation[]>> = {
  configure: ["create", "delete", "alter", "alter-configs"],
  write: ["write"],
  read: ["read"],
};

/** What beside a user's own patterns has a say. */
export interface GrantsContext {
  /** Of the namespace. */
  readonly rules: Rules;
  isAdministrator(user: string): boolean;
}

interface CompiledTopic {
  readonly write: RegExp;
  readonly read: RegExp;
}

/**
 * What one user may do in one namespace. Sessions hold on to it: it is changed in place when
 * permissions change, and `revision` tells those who have remembered an answer.
 */
export class Grants {
  readonly user: string;
  readonly namespace: string;
  private readonly context: GrantsContext;
  private changes = 0;
  private patterns: Record<AccessKind, RegExp> | null = null;
  private readonly topics = new Map<string, CompiledTopic>();
  private readonly answers: Record<AccessKind, Map<string, boolean>> = {
    configure: new Map(),
    write: new Map(),
    read: new Map(),
  };

  constructor(user: string, namespace: string, context: GrantsContext) {
    this.user = user;
    this.namespace = namespace;
    this.context = context;
  }

  /** Rises with every change. */
  get revision(): number {
    return this.changes + this.context.rules.revision;
  }

  /** Whether there is any permission, which is what it takes to enter the namespace. */
  get exist(): boolean {
    return this.patterns !== null || this.context.rules.admit(this.user);
  }

  /** @throws BrokerError argument-invalid */
  set(permissions: Permissions | null): void {
    this.patterns = permissions === null ? null : compilePermissions(permissions);
    this.changes++;
    for (const answers of Object.values(this.answers)) answers.clear();
  }

  /** @throws BrokerError argument-invalid */
  setTopic(exchange: string, permissions: TopicPermissions | null): void {
    if (permissions === null) this.topics.delete(exchange);
    else this.topics.set(exchange, this.compileTopic(permissions));
    this.changes++;
  }

  /** By the patterns alone. */
  allows(access: AccessKind, name: string): boolean {
    const answers = this.answers[access];
    const known = answers.get(name);
    if (known !== undefined) return known;
    const answer = this.patterns?.[access].test(name) ?? false;
    if (answers.size >= REMEMBERED_MAX) answers.clear();
    answers.set(name, answer);
    return answer;
  }

  /**
   * Rules first, then the patterns; an administrator may do everything. `address`: where the user comes
   * from, or null where that is not known.
   */
  permits(operation: Operation, resource: ResourceType, name: string, address: string | null): boolean {
    const { rules } = this.context;
    if (this.context.isAdministrator(this.user)) return true;
    const ruled = rules.isEmpty ? null : rules.decide(this.user, address, operation, resource, name);
    return ruled === null ? this.may(operation, resource, name) : ruled === "allow";
  }

  /** For what `permits` does not permit. */
  refusal(operation: Operation, resource: ResourceType, name: string): BrokerError {
    const { user, namespace } = this;
    const what = resource === "cluster" ? "the cluster" : `${resource} '${name}'`;
    const text = `${operation} access to ${what} in namespace '${namespace}' refused for user '${user}'`;
    return new BrokerError("access-refused", text, {
      access: operation,
      kind: resource,
      name,
      namespace,
      user,
    });
  }

  /** Queues and streams: what rules for streams of this name say comes before the patterns. */
  allowsQueue(access: AccessKind, name: string): boolean {
    const { rules } = this.context;
    if (rules.isEmpty || this.context.isAdministrator(this.user)) return this.allows(access, name);
    let allowed = true;
    for (const operation of OPERATIONS[access]) {
      const ruled = rules.decide(this.user, null, operation, "stream", name);
      if (ruled === "deny") return false;
      if (ruled === null) allowed = false;
    }
    return allowed || this.allows(access, name);
  }

  /** What the patterns say of a single operation. */
  private may(operation: Operation, resource: ResourceType, name: string): boolean {
    const access = accessFor(operation, resource);
    if (access !== "any") return access !== null && this.allows(access, name);
    return this.allows("read", name) || this.allows("write", name) || this.allows("configure", name);
  }

  /** Is there any name for which the patterns may allow the operation? */
  mayAny(operation: Operation, resource: ResourceType): boolean {
    const access = accessFor(operation, resource);
    if (access === null || this.patterns === null) return false;
    const asked = access === "any" ? Object.values(this.patterns) : [this.patterns[access]];
    return asked.some(({ source }) => source !== FINDS_NOTHING.source);
  }

  /** @throws BrokerError access-refused */
  check(access: AccessKind, kind: "queue" | "exchange", name: string): void {
    const shown = kind === "exchange" && name === "" ? DEFAULT_EXCHANGE_NAME : name;
    if (kind === "queue" ? this.allowsQueue(access, shown) : this.allows(access, shown)) return;
    const { user, namespace } = this;
    const text = `${access} access to ${kind} '${shown}' in namespace '${namespace}' refused for user '${user}'`;
    throw new BrokerError("access-refused", text, { access, kind, name: shown, namespace, user });
  }

  /** For topic exchanges, after `check`: without topic permissions for the exchange every key goes. @throws BrokerError access-refused */
  checkTopic(access: "write" | "read", exchange: string, routingKey: string): void {
    const topic = this.topics.get(exchange);
    if (topic === undefined || topic[access].test(routingKey)) return;
    const { user, namespace } = this;
    throw new BrokerError(
      "access-refused",
      `${access} access to topic '${routingKey}' in exchange '${exchange}' in namespace '${namespace}' refused for user '${user}'`,
      { access, kind: "topic", name: routingKey, exchange, namespace, user },
    );
  }

  private compileTopic({ write, read }: TopicPermissions): CompiledTopic {
    const compile = (argument: string, pattern: string) =>
      compilePattern(
        argument,
        pattern
          .replaceAll("{username}", escapeRegex(this.user))
          .replaceAll("{vhost}", escapeRegex(this.namespace)),
      );
    return { write: compile("write", write), read: compile("read", read) };
  }
}

/** Null: no pattern gives it. What concerns the whole cluster is for administrators and rules. */
function accessFor(operation: Operation, resource: ResourceType): AccessKind | "any" | null {
  if (resource === "cluster" || operation === "cluster-action") return null;
  if (operation === "describe" || operation === "describe-configs") return "any";
  if (operation === "read") return "read";
  if (operation === "write" || operation === "idempotent-write") return "write";
  return "configure";
}

const FINDS_NOTHING = /^$/;

function compilePermissions({ configure, write, read }: Permissions): Record<AccessKind, RegExp> {
  return {
    configure: compilePattern("configure", configure),
    write: compilePattern("write", write),
    read: compilePattern("read", read),
  };
}

/** A pattern need only be found in the name; an empty one finds nothing but the empty name. @throws BrokerError argument-invalid */
function compilePattern(argument: string, pattern: string): RegExp {
  const refuse = (reason: string) =>
    new BrokerError("argument-invalid", `pattern for ${argument} ${reason}`, {
      kind: "permission",
      argument,
      reason,
    });
  if (pattern.length > PATTERN_LENGTH_MAX) throw refuse(`is longer than ${PATTERN_LENGTH_MAX} characters`);
  if (pattern === "") return FINDS_NOTHING;
  const ignoreCase = pattern.startsWith("(?i)");
  try {
    return new RegExp(ignoreCase ? pattern.slice(4) : pattern, ignoreCase ? "i" : "");
  } catch {
    throw refuse(`is no regular expression: '${pattern}'`);
  }
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
