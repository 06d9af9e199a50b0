import type { Clock } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import type { MetaStore } from "../../engine/engine.ts";
import type { Credentials, Principal } from "../index.ts";
import { FULL_PERMISSIONS, Grants, type Permissions, type TopicPermissions } from "./grants.ts";
import { hashPassword, PasswordVerifier } from "./password.ts";
import { AccessStore, type StoredPermission, type StoredTopicPermission, type StoredUser } from "./store.ts";

export interface AccessOptions {
  readonly clock: Clock;
  /** The administrator of a new store, instead of guest (who may come over the loopback interface only). */
  readonly initialUser?: { readonly name: string; readonly password: string };
  readonly firstNamespace?: string;
}

export interface UserInfo {
  readonly name: string;
  readonly tags: readonly string[];
  readonly hasPassword: boolean;
  readonly loopbackOnly: boolean;
}

const ADMINISTRATOR = "administrator";
const GUEST = { name: "guest", password: "guest" };

/** Users, their passwords and permissions. Changes act at once, also on sessions that are open. */
export class Access {
  private readonly store: AccessStore;
  private readonly verifier: PasswordVerifier;
  private readonly userMap = new Map<string, StoredUser>();
  /** By user, then namespace. What sessions hold stays in here, even when emptied, so that it can be filled again. */
  private readonly grantMap = new Map<string, Map<string, Grants>>();

  /** Resolves when the first start's administrator is stored. */
  ready: Promise<void> = Promise.resolve();

  private constructor(store: AccessStore, clock: Clock) {
    this.store = store;
    this.verifier = new PasswordVerifier(clock);
  }

  static async open(meta: MetaStore, options: AccessOptions): Promise<Access> {
    const store = new AccessStore(meta);
    const isNew = store.checkFormat();
    const access = new Access(store, options.clock);
    for (const user of store.users()) access.userMap.set(user.name, user);
    for (const { user, namespace, ...permissions } of store.permissions()) {
      access.grantsOf(user, namespace).set(permissions);
    }
    for (const { user, namespace, exchange, ...permissions } of store.topicPermissions()) {
      access.grantsOf(user, namespace).setTopic(exchange, permissions);
    }
    // Hashing its password takes longer than all the rest of a start: who logs in waits for it, nobody else.
    if (isNew) access.ready = access.createFirstUser(options);
    return access;
  }

  // --- who is it ------------------------------------------------------------------------------

  /** @throws BrokerError login-refused */
  async authenticate({ user, password, loopback }: Credentials): Promise<Principal> {
    await this.ready;
    const known = this.userMap.get(user)?.password;
    // Names that do not exist take as long as wrong passwords, so that nobody can try out names.
    const right = await this.verifier.verify(password, known ?? (await decoyHash()));
    const found = this.userMap.get(user);
    if (!right || known == null || found?.password !== known || password === "") throw loginRefused(user);
    if (found.loopbackOnly && !loopback) throw loginRefused(user);
    return { user, tags: found.tags };
  }

  /** For an identity proven by other means. @throws BrokerError login-refused */
  async principalOf(user: string): Promise<Principal> {
    await this.ready;
    const found = this.userMap.get(user);
    if (found === undefined) throw loginRefused(user);
    return { user, tags: found.tags };
  }

  /** What the user may do in a namespace, kept up to date. @throws BrokerError namespace-refused */
  grants(user: string, namespace: string): Grants {
    const grants = this.grantMap.get(user)?.get(namespace);
    if (grants?.exist) return grants;
    const text = `access to namespace '${namespace}' refused for user '${user}'`;
    throw new BrokerError("namespace-refused", text, { kind: "namespace", name: namespace, namespace, user });
  }

  // --- users ----------------------------------------------------------------------------------

  users(): UserInfo[] {
    return Array.from(this.userMap.values(), infoOf);
  }

  user(name: string): UserInfo | undefined {
    const user = this.userMap.get(name);
    return user === undefined ? undefined : infoOf(user);
  }

  /** Creates the user or replaces all of it but the permissions. `password` null: no login by password. */
  async putUser(
    name: string,
    password: string | null,
    tags: readonly string[],
    loopbackOnly = false,
  ): Promise<void> {
    if (name === "") throw invalid("user", name, "name", "must not be empty");
    if (password === "") throw invalid("user", name, "password", "must not be empty");
    const hash = password === null ? null : await hashPassword(password);
    this.storeUser({ name, tags: [...tags], password: hash, loopbackOnly });
  }

  async setPassword(name: string, password: string | null): Promise<void> {
    this.requireUser(name);
    if (password === "") throw invalid("user", name, "password", "must not be empty");
    const hash = password === null ? null : await hashPassword(password);
    // Looked up again: the user may have changed or gone while the hash was computed.
    this.storeUser({ ...this.requireUser(name), password: hash });
  }

  setTags(name: string, tags: readonly string[]): void {
    this.storeUser({ ...this.requireUser(name), tags: [...tags] });
  }

  /** Deleting who is not there is no error. */
  deleteUser(name: string): void {
    for (const namespace of this.grantMap.get(name)?.keys() ?? []) this.clearAll(name, namespace);
    this.userMap.delete(name);
    this.store.deleteUser(name);
  }

  // --- permissions ----------------------------------------------------------------------------

  permissions(): StoredPermission[] {
    return this.store.permissions();
  }

  /** @throws BrokerError argument-invalid */
  setPermissions(user: string, namespace: string, permissions: Permissions): void {
    this.requireUser(user);
    const { configure, write, read } = permissions;
    this.grantsOf(user, namespace).set(permissions);
    this.store.putPermission({ user, namespace, configure, write, read });
  }

  clearPermissions(user: string, namespace: string): void {
    this.grantMap.get(user)?.get(namespace)?.set(null);
    this.store.deletePermission(user, namespace);
  }

  topicPermissions(): StoredTopicPermission[] {
    return this.store.topicPermissions();
  }

  /** @throws BrokerError argument-invalid */
  setTopicPermissions(
    user: string,
    namespace: string,
    exchange: string,
    permissions: TopicPermissions,
  ): void {
    this.requireUser(user);
    const { write, read } = permissions;
    this.grantsOf(user, namespace).setTopic(exchange, permissions);
    this.store.putTopicPermission({ user, namespace, exchange, write, read });
  }

  clearTopicPermissions(user: string, namespace: string, exchange: string): void {
    this.grantMap.get(user)?.get(namespace)?.setTopic(exchange, null);
    this.store.deleteTopicPermission(user, namespace, exchange);
  }

  /** To be called when a namespace is deleted: one of the same name must not inherit its permissions. */
  forgetNamespace(namespace: string): void {
    for (const user of this.grantMap.keys()) this.clearAll(user, namespace);
  }

  private async createFirstUser({ initialUser, firstNamespace }: AccessOptions): Promise<void> {
    const { name, password } = initialUser ?? GUEST;
    await this.putUser(name, password, [ADMINISTRATOR], initialUser === undefined);
    this.setPermissions(name, firstNamespace ?? "/", FULL_PERMISSIONS);
    // Last, and in the same turn: a start that was cut short begins anew.
    this.store.putFormat();
  }

  private clearAll(user: string, namespace: string): void {
    this.clearPermissions(user, namespace);
    for (const topic of this.store.topicPermissions()) {
      if (topic.user !== user || topic.namespace !== namespace) continue;
      this.clearTopicPermissions(user, namespace, topic.exchange);
    }
  }

  private storeUser(user: StoredUser): void {
    this.userMap.set(user.name, user);
    this.store.putUser(user);
  }

  private requireUser(name: string): StoredUser {
    const user = this.userMap.get(name);
    if (user === undefined) throw invalid("user", name, "name", "is no user");
    return user;
  }

  private grantsOf(user: string, namespace: string): Grants {
    let byNamespace = this.grantMap.get(user);
    if (byNamespace === undefined) {
      byNamespace = new Map();
      this.grantMap.set(user, byNamespace);
    }
    let grants = byNamespace.get(namespace);
    if (grants === undefined) {
      grants = new Grants(user, namespace);
      byNamespace.set(namespace, grants);
    }
    return grants;
  }
}

let decoy: ReturnType<typeof hashPassword> | null = null;

function decoyHash(): ReturnType<typeof hashPassword> {
  decoy ??= hashPassword("");
  return decoy;
}

function infoOf({ name, tags, password, loopbackOnly }: StoredUser): UserInfo {
  return { name, tags, hasPassword: password !== null, loopbackOnly };
}

function loginRefused(user: string): BrokerError {
  return new BrokerError("login-refused", `login refused for user '${user}'`, { kind: "user", name: user });
}

function invalid(kind: string, name: string, argument: string, reason: string): BrokerError {
  return new BrokerError("argument-invalid", `${argument} of ${kind} '${name}' ${reason}`, {
    kind,
    name,
    argument,
    reason,
  });
}
