import type { Grants } from "./grants.ts";
import type { Rules } from "./rules.ts";
import {
  type AccessRule,
  CLUSTER_RESOURCE,
  type Operation,
  type ResourceType,
  type Rights,
  type RuleFilter,
  type ScramCredential,
  type ScramMechanism,
  type ScramPassword,
} from "./types.ts";

const REMEMBERED_MAX = 8192;

/** What of access control a connection's rights are made from. */
export interface RightsSource {
  grants(user: string, namespace: string): Grants;
  rulesOf(namespace: string): Rules;
  isAdministrator(user: string): boolean;
  /** Rises when a user changes. */
  readonly usersRevision: number;
  addRule(namespace: string, rule: AccessRule): void;
  removeRule(namespace: string, rule: AccessRule): void;
  scramCredentials(): ScramCredential[];
  putScram(password: ScramPassword): void;
  deleteScram(user: string, mechanism: ScramMechanism): boolean;
}

/** Rules first, then the patterns of permissions; an administrator may do everything. */
export class ClientRights implements Rights {
  readonly user: string;
  private readonly namespace: string;
  private readonly address: string;
  private readonly source: RightsSource;
  private readonly grants: Grants;
  private readonly ruleBook: Rules;
  /** By resource, operation and name: asked for every partition of every request. */
  private readonly answers: Readonly<Record<ResourceType, Map<Operation, Map<string, boolean>>>> = {
    stream: new Map(),
    group: new Map(),
    "transactional-id": new Map(),
    cluster: new Map(),
  };
  private answersRevision = -1;

  /** @throws BrokerError namespace-refused */
  constructor(source: RightsSource, user: string, namespace: string, address: string) {
    this.source = source;
    this.user = user;
    this.namespace = namespace;
    this.address = address;
    this.grants = source.grants(user, namespace);
    this.ruleBook = source.rulesOf(namespace);
  }

  get revision(): number {
    return this.grants.revision + this.ruleBook.revision + this.source.usersRevision;
  }

  may(operation: Operation, resource: ResourceType, name: string): boolean {
    const { revision } = this;
    if (revision !== this.answersRevision) this.forget(revision);
    const ofResource = this.answers[resource];
    let answers = ofResource.get(operation);
    if (answers === undefined) {
      answers = new Map();
      ofResource.set(operation, answers);
    }
    let answer = answers.get(name);
    if (answer === undefined) {
      answer = this.grants.permits(operation, resource, name, this.address);
      if (answers.size >= REMEMBERED_MAX) answers.clear();
      answers.set(name, answer);
    }
    return answer;
  }

  mayAny(operation: Operation, resource: ResourceType): boolean {
    const { user, address, ruleBook } = this;
    if (this.source.isAdministrator(user)) return true;
    if (ruleBook.allowsAny(user, address, operation, resource)) return true;
    if (ruleBook.deniesAll(user, address, operation, resource)) return false;
    return this.grants.mayAny(operation, resource);
  }

  check(operation: Operation, resource: ResourceType, name: string): void {
    if (this.may(operation, resource, name)) return;
    throw this.grants.refusal(operation, resource, name);
  }

  rules(filter: RuleFilter): AccessRule[] {
    this.check("describe", "cluster", CLUSTER_RESOURCE);
    return this.ruleBook.find(filter);
  }

  addRules(rules: readonly AccessRule[]): void {
    this.check("alter", "cluster", CLUSTER_RESOURCE);
    for (const rule of rules) this.source.addRule(this.namespace, rule);
  }

  removeRules(filter: RuleFilter): AccessRule[] {
    this.check("alter", "cluster", CLUSTER_RESOURCE);
    const found = this.ruleBook.find(filter);
    for (const rule of found) this.source.removeRule(this.namespace, rule);
    return found;
  }

  scramCredentials(): ScramCredential[] {
    this.check("describe", "cluster", CLUSTER_RESOURCE);
    return this.source.scramCredentials();
  }

  putScram(password: ScramPassword): void {
    this.check("alter", "cluster", CLUSTER_RESOURCE);
    this.source.putScram(password);
  }

  deleteScram(user: string, mechanism: ScramMechanism): boolean {
    this.check("alter", "cluster", CLUSTER_RESOURCE);
    return this.source.deleteScram(user, mechanism);
  }

  private forget(revision: number): void {
    for (const ofResource of Object.values(this.answers)) ofResource.clear();
    this.answersRevision = revision;
  }
}
