import { BrokerError } from "../../base/errors.ts";

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
  /** Rises with every change. */
  revision = 0;
  private patterns: Record<AccessKind, RegExp> | null = null;
  private readonly topics = new Map<string, CompiledTopic>();
  private readonly answers: Record<AccessKind, Map<string, boolean>> = {
    configure: new Map(),
    write: new Map(),
    read: new Map(),
  };

  constructor(user: string, namespace: string) {
    this.user = user;
    this.namespace = namespace;
  }

  /** Whether there is any permission, which is what it takes to enter the namespace. */
  get exist(): boolean {
    return this.patterns !== null;
  }

  /** @throws BrokerError argument-invalid */
  set(permissions: Permissions | null): void {
    this.patterns = permissions === null ? null : compilePermissions(permissions);
    this.revision++;
    for (const answers of Object.values(this.answers)) answers.clear();
  }

  /** @throws BrokerError argument-invalid */
  setTopic(exchange: string, permissions: TopicPermissions | null): void {
    if (permissions === null) this.topics.delete(exchange);
    else this.topics.set(exchange, this.compileTopic(permissions));
    this.revision++;
  }

  allows(access: AccessKind, name: string): boolean {
    const answers = this.answers[access];
    const known = answers.get(name);
    if (known !== undefined) return known;
    const answer = this.patterns?.[access].test(name) ?? false;
    if (answers.size >= REMEMBERED_MAX) answers.clear();
    answers.set(name, answer);
    return answer;
  }

  /** @throws BrokerError access-refused */
  check(access: AccessKind, kind: "queue" | "exchange", name: string): void {
    const shown = kind === "exchange" && name === "" ? DEFAULT_EXCHANGE_NAME : name;
    if (this.allows(access, shown)) return;
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
  if (pattern === "") return /^$/;
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
