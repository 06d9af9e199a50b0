import type { MetaStore } from "../../engine/engine.ts";
import type { Permissions, TopicPermissions } from "./grants.ts";
import type { PasswordHash } from "./password.ts";

/**
 * Users and what they may do, in the metadata store. Keys, with '/' and '%' in names
 * percent-encoded, and JSON values, version 1:
 *
 *     access/format                              {version}
 *     access/user/<user>                         StoredUser
 *     access/permission/<user>/<ns>              StoredPermission
 *     access/topic/<user>/<ns>/<exchange>        StoredTopicPermission
 */
const VERSION = 1;
const FORMAT_KEY = "access/format";

export interface StoredUser {
  readonly name: string;
  readonly tags: readonly string[];
  /** Null: cannot log in with a password. */
  readonly password: PasswordHash | null;
  readonly loopbackOnly: boolean;
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

function keyOf(room: string, ...names: string[]): string {
  return `access/${room}/${names.map((name) => name.replace(/[%/]/g, encodeURIComponent)).join("/")}`;
}
