import { createHash, randomBytes } from "node:crypto";
import type { MetaStore } from "../../engine/engine.ts";
import type { Permissions, TopicPermissions } from "./grants.ts";
import type { PasswordHash } from "./password.ts";
import { keyOf as ruleKeyOf } from "./rules.ts";
import type { ScramVerifier } from "./scram.ts";
import type { AccessRule, ScramMechanism } from "./types.ts";

/**
 * Users and what they may do, in the metadata store. Keys, with '/' and '%' in names
 * percent-encoded, and JSON values, version 1:
 *
 *     access/format                              {version}
 *     access/user/<user>                         StoredUser
 *     access/permission/<user>/<ns>              StoredPermission
 *     access/topic/<user>/<ns>/<exchange>        StoredTopicPermission
 *     access/rule/<ns>/<digest of the rule>      StoredRule
 *     access/scram-secret                        32 bytes: what makes up salts for unknown users
 */
const VERSION = 1;
const FORMAT_KEY = "access/format";
const SCRAM_SECRET_KEY = "access/scram-secret";

export interface StoredVerifier extends ScramVerifier {
  /** Made from the password that `StoredUser.password` is the hash of. */
  readonly derived: boolean;
}

/** Null: none, and none is to be made. Absent: to be made when the password is next seen. */
export type StoredVerifiers = Readonly<Partial<Record<ScramMechanism, StoredVerifier | null>>>;

export interface StoredUser {
  readonly name: string;
  readonly tags: readonly string[];
  /** Null: cannot log in with a password, unless there are verifiers. */
  readonly password: PasswordHash | null;
  readonly loopbackOnly: boolean;
  /** Absent in what was stored before there were any. */
  readonly scram?: StoredVerifiers;
}

export interface StoredRule extends AccessRule {
  readonly namespace: string;
}

export interface StoredPermission extends Permissions {
  readonly user: string;
  readonly namespace: string;
}

export interface StoredTopicPermission extends TopicPermissions {
  readonly user: string;
  readonly namespace: string;
  readonly exchange: string;
}

export class AccessStore {
  private readonly meta: MetaStore;

  constructor(meta: MetaStore) {
    this.meta = meta;
  }

  /** True when there is nothing yet. @throws Error for a version that this program does not know */
  checkFormat(): boolean {
    const value = this.meta.get(FORMAT_KEY);
    if (value === undefined) return true;
    const { version } = parse<{ version: number }>(value);
    if (version === VERSION) return false;
    throw new Error(`users are stored in version ${version}; this program reads version ${VERSION}`);
  }

  putFormat(): void {
    this.write(FORMAT_KEY, { version: VERSION });
  }

  putUser(user: StoredUser): void {
    this.write(keyOf("user", user.name), user);
  }

  deleteUser(name: string): void {
    this.meta.delete(keyOf("user", name));
  }

  putPermission(permission: StoredPermission): void {
    this.write(keyOf("permission", permission.user, permission.namespace), permission);
  }

  deletePermission(user: string, namespace: string): void {
    this.meta.delete(keyOf("permission", user, namespace));
  }

  putTopicPermission(permission: StoredTopicPermission): void {
    this.write(keyOf("topic", permission.user, permission.namespace, permission.exchange), permission);
  }

  deleteTopicPermission(user: string, namespace: string, exchange: string): void {
    this.meta.delete(keyOf("topic", user, namespace, exchange));
  }

  putRule(namespace: string, rule: AccessRule): void {
    const { user, address, resource, name, prefix, operation, effect } = rule;
    const stored: StoredRule = { namespace, user, address, resource, name, prefix, operation, effect };
    this.write(keyOf("rule", namespace, digestOf(rule)), stored);
  }

  deleteRule(namespace: string, rule: AccessRule): void {
    this.meta.delete(keyOf("rule", namespace, digestOf(rule)));
  }

  /** The same for as long as the data lives. */
  scramSecret(): Uint8Array {
    const known = this.meta.get(SCRAM_SECRET_KEY);
    if (known !== undefined) return known;
    const secret = new Uint8Array(randomBytes(32));
    this.meta.put(SCRAM_SECRET_KEY, secret);
    return secret;
  }

  rules(): StoredRule[] {
    return this.list("rule");
  }

  users(): StoredUser[] {
    return this.list("user");
  }

  permissions(): StoredPermission[] {
    return this.list("permission");
  }

  topicPermissions(): StoredTopicPermission[] {
    return this.list("topic");
  }

  private list<T>(room: string): T[] {
    return Array.from(this.meta.entries(`access/${room}/`), ([, value]) => parse<T>(value));
  }

  private write(key: string, json: object): void {
    // Not a Buffer: a small one is a window on memory that it shares with others.
    this.meta.put(key, new TextEncoder().encode(JSON.stringify(json)));
  }
}

function parse<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()) as T;
}

function digestOf(rule: AccessRule): string {
  return createHash("sha256").update(ruleKeyOf(rule)).digest("base64url");
}

function keyOf(room: string, ...names: string[]): string {
  return `access/${room}/${names.map((name) => name.replace(/[%/]/g, encodeURIComponent)).join("/")}`;
}
