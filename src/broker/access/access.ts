import type { Clock } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import type { MetaStore } from "../../engine/engine.ts";
import type { Credentials, Principal } from "../index.ts";
import { FULL_PERMISSIONS, Grants, type Permissions, type TopicPermissions } from "./grants.ts";
import { hashPassword, PasswordVerifier, PUBLIC_COST } from "./password.ts";
import { ClientRights, type RightsSource } from "./rights.ts";
import { checkRule, Rules } from "./rules.ts";
import { deriveVerifiers, ScramUsers } from "./scram-users.ts";
import { AccessStore, type StoredPermission, type StoredTopicPermission, type StoredUser } from "./store.ts";
import type {
  AccessRule,
  Rights,
  ScramCredential,
  ScramExchange,
  ScramMechanism,
  ScramPassword,
  TokenLogin,
  TokenVerifier,
} from "./types.ts";

export interface AccessOptions {
  readonly clock: Clock;
  /** The administrator of a new store, instead of guest (who may come over the loopback interface only). */
  readonly initialUser?: { readonly name: string; readonly password: string };
  readonly firstNamespace?: string;
  /** Absent: no login by token. */
  readonly tokens?: TokenVerifier;
}

export interface UserInfo {
  readonly name: string;
  readonly tags: readonly string[];
  readonly hasPassword: boolean;
  readonly loopbackOnly: boolean;
}

const ADMINISTRATOR = "administrator";
/** Who may come from this machine only, with a password that is no secret. */
const GUEST = { name: "guest", password: "guest" };

/** Users, their passwords, permissions and rules. Changes act at once, also on sessions that are open. */
export class Access implements RightsSource {
  /** Rises when a user changes. */
  usersRevision = 0;
  readonly tokens: TokenVerifier | null;
  private readonly store: AccessStore;
  private readonly verifier: PasswordVerifier;
  private readonly scramUsers: ScramUsers;
  private readonly userMap = new Map<string, StoredUser>();
  private readonly ruleMap = new Map<string, Rules>();
  /** By user, then namespace. What sessions hold stays in here, even when emptied, so that it can be filled again. */
  private readonly grantMap = new Map<string, Map<string, Grants>>();

  /** Resolves when the first start's administrator is stored. */
  ready: Promise<void> = Promise.resolve();

  private constructor(store: AccessStore, clock: Clock, tokens: TokenVerifier | null) {
    this.store = store;
    this.tokens = tokens;
    this.verifier = new PasswordVerifier(clock);
    this.scramUsers = new ScramUsers(store.scramSecret(), {
      get: (name) => this.userMap.get(name),
      put: (user) => this.storeUser(user),
    });
  }

  static async open(meta: MetaStore, options: AccessOptions): Promise<Access> {
    const store = new AccessStore(meta);
    const isNew = store.checkFormat();
    const access = new Access(store, options.clock, options.tokens ?? null);
    for (const user of store.users()) access.userMap.set(user.name, user);
    for (const { namespace, ...rule } of store.rules()) access.rulesOf(namespace).add(rule);
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
    const known = this.userMap.get(user);
    const right = await this.isRight(password, known);
    const found = this.userMap.get(user);
    if (!right || known === undefined || found === undefined) throw loginRefused(user);
    // What was compared must still be what counts; other things about the user may have changed.
    if (found.password !== known.password || password === "") throw loginRefused(user);
    if (found.password === null && found.scram !== known.scram) throw loginRefused(user);
    if (found.loopbackOnly && !loopback) throw loginRefused(user, "only from this machine");
    this.scramUsers.seen(found, password);
    return { user, tags: found.tags };
  }

  /** A login by challenge and response. */
  scram(mechanism: ScramMechanism, loopback: boolean): ScramExchange {
    return this.scramUsers.exchange(mechanism, loopback, () => this.ready);
  }

  /** The token's user must be known here. @throws BrokerError login-refused */
  async authenticateToken(token: string, loopback: boolean): Promise<TokenLogin> {
    await this.ready;
    if (this.tokens === null) throw tokenRefused("tokens are not accepted");
    const claims = await this.tokens.verify(token).catch((error: Error) => {
      throw tokenRefused(error.message);
    });
    const found = this.userMap.get(claims.user);
    if (found === undefined) throw loginRefused(claims.user);
    if (found.loopbackOnly && !loopback) throw loginRefused(claims.user, "only from this machine");
    return { user: found.name, tags: found.tags, expiresAtMs: claims.expiresAtMs };
  }

  /** For an identity proven by other means. @throws BrokerError login-refused */
  async principalOf(user: string): Promise<Principal> {
    await this.ready;
    const found = this.userMap.get(user);
    if (found === undefined) throw loginRefused(user);
    return { user, tags: found.tags };
  }

  isAdministrator(user: string): boolean {
    return this.userMap.get(user)?.tags.includes(ADMINISTRATOR) ?? false;
  }

  /** Of a user who comes from `address`. @throws BrokerError namespace-refused */
  rights(user: string, namespace: string, address: string): Rights {
    return new ClientRights(this, user, namespace, address);
  }

  /** What the user may do in a namespace, kept up to date. @throws BrokerError namespace-refused */
  grants(user: string, namespace: string): Grants {
    const known = this.grantMap.get(user)?.get(namespace);
    if (known?.exist) return known;
    if (this.rulesOf(namespace).admit(user)) return this.grantsOf(user, namespace);
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
    hashCost?: number,
  ): Promise<void> {
    if (name === "") throw invalid("user", name, "name", "must not be empty");
    if (password === "") throw invalid("user", name, "password", "must not be empty");
    this.storeUser({ name, tags: [...tags], loopbackOnly, ...(await credentials(password, hashCost)) });
  }

  async setPassword(name: string, password: string | null): Promise<void> {
    this.requireUser(name);
    if (password === "") throw invalid("user", name, "password", "must not be empty");
    const made = await credentials(password);
    // Looked up again: the user may have changed or gone while that was computed.
    this.storeUser({ ...this.requireUser(name), ...made });
  }

  setTags(name: string, tags: readonly string[]): void {
    this.storeUser({ ...this.requireUser(name), tags: [...tags] });
  }

  /** Deleting who is not there is no error. */
  deleteUser(name: string): void {
    for (const namespace of this.grantMap.get(name)?.keys() ?? []) this.clearAll(name, namespace);
    for (const [namespace, rules] of this.ruleMap) {
      for (const rule of rules.find({ user: name })) this.removeRule(namespace, rule);
    }
    this.userMap.delete(name);
    this.store.deleteUser(name);
    this.usersRevision++;
  }

  scramCredentials(): ScramCredential[] {
    return [...this.userMap.values()].flatMap((user) => this.scramUsers.credentialsOf(user));
  }

  /** Creates the user when there is none. @throws BrokerError argument-invalid */
  putScram(password: ScramPassword): void {
    this.scramUsers.put(password);
  }

  /** False when there was none. */
  deleteScram(user: string, mechanism: ScramMechanism): boolean {
    return this.scramUsers.delete(user, mechanism);
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

  // --- rules ----------------------------------------------------------------------------------

  rulesOf(namespace: string): Rules {
    let rules = this.ruleMap.get(namespace);
    if (rules === undefined) {
      rules = new Rules();
      this.ruleMap.set(namespace, rules);
    }
    return rules;
  }

  /** @throws BrokerError argument-invalid, limit-reached */
  addRule(namespace: string, rule: AccessRule): void {
    checkRule(rule);
    if (this.rulesOf(namespace).add(rule)) this.store.putRule(namespace, rule);
  }

  removeRule(namespace: string, rule: AccessRule): void {
    this.rulesOf(namespace).remove(rule);
    this.store.deleteRule(namespace, rule);
  }

  /** To be called when a namespace is deleted: one of the same name must not inherit its permissions. */
  forgetNamespace(namespace: string): void {
    for (const user of this.grantMap.keys()) this.clearAll(user, namespace);
    for (const rule of this.rulesOf(namespace).find({})) this.removeRule(namespace, rule);
  }

  /** Resolves when nothing is being computed that would be stored. */
  async idle(): Promise<void> {
    await this.ready;
    await this.scramUsers.idle();
  }

  /** A password in the clear against whatever is stored of the user's. */
  private async isRight(password: string, user: StoredUser | undefined): Promise<boolean> {
    // Names that do not exist take as long as wrong passwords, so that nobody can try out names.
    if (user?.password != null) return this.verifier.verify(password, user.password);
    const verifiers = user === undefined ? [] : this.scramUsers.comparisons(user, password);
    if (verifiers.length === 0) await this.verifier.verify(password, await decoyHash());
    for (const { stored, compare } of verifiers) {
      if (await this.verifier.verifyBy(password, stored, compare)) return true;
    }
    return false;
  }

  private async createFirstUser({ initialUser, firstNamespace }: AccessOptions): Promise<void> {
    const { name, password } = initialUser ?? GUEST;
    if (initialUser === undefined) await this.putUser(name, password, [ADMINISTRATOR], true, PUBLIC_COST);
    else await this.putUser(name, password, [ADMINISTRATOR]);
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
    this.usersRevision++;
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
      const context = { rules: this.rulesOf(namespace), isAdministrator: this.isAdministrator.bind(this) };
      grants = new Grants(user, namespace, context);
      byNamespace.set(namespace, grants);
    }
    return grants;
  }
}

/** All that is stored of a password; null: no login by password. */
async function credentials(
  password: string | null,
  cost?: number,
): Promise<Pick<StoredUser, "password" | "scram">> {
  if (password === null) return { password: null, scram: {} };
  const [hash, scram] = await Promise.all([hashPassword(password, cost), deriveVerifiers(password)]);
  return { password: hash, scram };
}

let decoy: ReturnType<typeof hashPassword> | null = null;

function decoyHash(): ReturnType<typeof hashPassword> {
  decoy ??= hashPassword("");
  return decoy;
}

function infoOf({ name, tags, password, scram, loopbackOnly }: StoredUser): UserInfo {
  const hasPassword = password !== null || Object.values(scram ?? {}).some((verifier) => verifier !== null);
  return { name, tags, hasPassword, loopbackOnly };
}

function tokenRefused(reason: string): BrokerError {
  return new BrokerError("login-refused", `login by token refused: ${reason}`, { kind: "token", reason });
}

/** The reason is for the log: clients are not told more than that it was refused. */
function loginRefused(user: string, reason?: string): BrokerError {
  const text = `login refused for user '${user}'${reason === undefined ? "" : `: ${reason}`}`;
  return new BrokerError("login-refused", text, { kind: "user", name: user });
}

function invalid(kind: string, name: string, argument: string, reason: string): BrokerError {
  return new BrokerError("argument-invalid", `${argument} of ${kind} '${name}' ${reason}`, {
    kind,
    name,
    argument,
    reason,
  });
}
