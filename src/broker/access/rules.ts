import { BrokerError } from "../../base/errors.ts";
import {
  type AccessRule,
  CLUSTER_RESOURCE,
  type Operation,
  type ResourceType,
  type RuleFilter,
} from "./types.ts";

const EVERYBODY = "*";
const EVERYWHERE = "*";
const EVERY_NAME = "*";

/** What a rule that allows one operation allows besides (nobody can use what he may not see). */
const IMPLIED_BY: Readonly<Partial<Record<Operation, readonly Operation[]>>> = {
  describe: ["read", "write", "delete", "alter"],
  "describe-configs": ["alter-configs"],
};

const RULES_MAX = 10_000;
const NAME_LENGTH_MAX = 1024;

/** The explicit rules of one namespace. */
export class Rules {
  /** Rises with every change. */
  revision = 0;
  private readonly all = new Map<string, AccessRule>();
  /** What concerns a user, "*" included; made when asked for. */
  private readonly byUser = new Map<string, readonly AccessRule[]>();

  get isEmpty(): boolean {
    return this.all.size === 0;
  }

  /** False when it is there already. @throws BrokerError limit-reached */
  add(rule: AccessRule): boolean {
    const key = keyOf(rule);
    if (this.all.has(key)) return false;
    if (this.all.size >= RULES_MAX) {
      const detail = { kind: "rule", what: "access rules", limit: RULES_MAX };
      throw new BrokerError("limit-reached", `there are ${RULES_MAX} access rules already`, detail);
    }
    this.all.set(key, rule);
    this.changed();
    return true;
  }

  remove(rule: AccessRule): void {
    if (this.all.delete(keyOf(rule))) this.changed();
  }

  find(filter: RuleFilter): AccessRule[] {
    return Array.from(this.all.values()).filter((rule) => matchesFilter(rule, filter));
  }

  /** Whether any rule allows the user anything, which is what it takes to enter the namespace. */
  admit(user: string): boolean {
    return this.concerning(user).some(({ effect }) => effect === "allow");
  }

  /**
   * What the rules say, or null when they say nothing. `address` null: not known, which what denies
   * somebody at one address takes for that address, and what allows him for another.
   */
  decide(
    user: string,
    address: string | null,
    operation: Operation,
    resource: ResourceType,
    name: string,
  ): "allow" | "deny" | null {
    let allowed = false;
    for (const rule of this.concerning(user)) {
      if (rule.resource !== resource || !findsName(rule, name)) continue;
      if (rule.effect === "deny") {
        const here = address === null || findsAddress(rule, address);
        if (here && (rule.operation === "all" || rule.operation === operation)) return "deny";
      } else if (findsAddress(rule, address) && covers(rule, operation)) allowed = true;
    }
    if (allowed) return "allow";
    // Whoever may create in the cluster may create any stream.
    if (operation !== "create" || resource !== "stream") return null;
    return this.decide(user, address, operation, "cluster", CLUSTER_RESOURCE);
  }

  /** May the user do this with some resource of the type, by the rules alone? */
  allowsAny(user: string, address: string, operation: Operation, resource: ResourceType): boolean {
    const rules = this.concerning(user).filter(
      (rule) => rule.resource === resource && findsAddress(rule, address),
    );
    const denied = rules.filter(
      (rule) => rule.effect === "deny" && (rule.operation === "all" || rule.operation === operation),
    );
    return rules.some(
      (rule) =>
        rule.effect === "allow" && covers(rule, operation) && !denied.some((deny) => contains(deny, rule)),
    );
  }

  /** Does a rule deny the user this with every resource of the type? */
  deniesAll(user: string, address: string, operation: Operation, resource: ResourceType): boolean {
    return this.concerning(user).some(
      (rule) =>
        rule.effect === "deny" &&
        rule.resource === resource &&
        (rule.operation === "all" || rule.operation === operation) &&
        findsAddress(rule, address) &&
        (rule.prefix ? rule.name === "" : rule.name === EVERY_NAME),
    );
  }

  private concerning(user: string): readonly AccessRule[] {
    let rules = this.byUser.get(user);
    if (rules === undefined) {
      rules = Array.from(this.all.values()).filter((rule) => rule.user === user || rule.user === EVERYBODY);
      this.byUser.set(user, rules);
    }
    return rules;
  }

  private changed(): void {
    this.byUser.clear();
    this.revision++;
  }
}

/** Identity of a rule: two that say the same are one. */
export function keyOf({ user, address, resource, name, prefix, operation, effect }: AccessRule): string {
  return JSON.stringify([user, address, resource, name, prefix, operation, effect]);
}

/** @throws BrokerError argument-invalid */
export function checkRule(rule: AccessRule): void {
  for (const argument of ["user", "address", "name"] as const) {
    const value = rule[argument];
    if (value !== "" && value.length <= NAME_LENGTH_MAX) continue;
    const reason = value === "" ? "must not be empty" : `is longer than ${NAME_LENGTH_MAX} characters`;
    const detail = { kind: "rule", name: rule.name, argument, reason };
    throw new BrokerError("argument-invalid", `${argument} of an access rule ${reason}`, detail);
  }
}

function covers(rule: AccessRule, operation: Operation): boolean {
  if (rule.operation === "all" || rule.operation === operation) return true;
  return IMPLIED_BY[operation]?.includes(rule.operation) ?? false;
}

function findsName({ name: pattern, prefix }: AccessRule, name: string): boolean {
  return prefix ? name.startsWith(pattern) : pattern === EVERY_NAME || pattern === name;
}

function findsAddress(rule: AccessRule, address: string | null): boolean {
  return rule.address === EVERYWHERE || rule.address === address;
}

/** Is every resource that `inner` finds found by `outer`? */
function contains(outer: AccessRule, inner: AccessRule): boolean {
  if (!outer.prefix) return outer.name === EVERY_NAME || (!inner.prefix && outer.name === inner.name);
  return inner.name.startsWith(outer.name) && (inner.prefix || inner.name !== EVERY_NAME);
}

function matchesFilter(rule: AccessRule, filter: RuleFilter): boolean {
  const { user, address, resource, operation, effect } = filter;
  if (user !== undefined && user !== rule.user) return false;
  if (address !== undefined && address !== rule.address) return false;
  if (resource !== undefined && resource !== rule.resource) return false;
  if (operation !== undefined && operation !== rule.operation) return false;
  if (effect !== undefined && effect !== rule.effect) return false;
  return matchesPattern(rule, filter);
}

function matchesPattern(rule: AccessRule, { name, pattern }: RuleFilter): boolean {
  if (pattern === "exact" && rule.prefix) return false;
  if (pattern === "prefix" && !rule.prefix) return false;
  if (name === undefined) return true;
  return pattern === "match" ? findsName(rule, name) : rule.name === name;
}
