import { BrokerError } from "../../base/errors.ts";
import { replyAddress } from "../../message/pivot.ts";
import { stringOf, type Table } from "../../message/values.ts";
import type { Access } from "../access/access.ts";
import type { AccessKind, Grants } from "../access/grants.ts";
import type { Principal } from "../index.ts";
import { RedirectedRoute } from "../redirect.ts";
import type { Session } from "../session.ts";
import type {
  ExchangeDeclaration,
  Owner,
  QueueCounts,
  QueueDeclaration,
  QueueHandle,
  Route,
} from "../types.ts";
import { REPLY_TOPIC_EXCHANGE } from "./declarations.ts";
import { ALTERNATE_ARGUMENT, SOURCE_ARGUMENT } from "./graph.ts";
import type { BindingSpec, Namespace } from "./namespace.ts";
import type { Topology } from "./topology.ts";

export interface ControlParts {
  readonly topology: Pick<Topology, "namespace">;
  readonly access: Pick<Access, "grants">;
  readonly principal: Principal;
  readonly namespace: string;
  readonly owner: Owner;
}

/** The part of a session that needs no data plane. */
type Control = Pick<
  Session,
  | "namespace"
  | "user"
  | "owner"
  | "exchangeDeclare"
  | "exchangeCheck"
  | "exchangeDelete"
  | "exchangeBind"
  | "exchangeUnbind"
  | "queueDeclare"
  | "queueCheck"
  | "queueDelete"
  | "queuePurge"
  | "queueBind"
  | "queueUnbind"
  | "declaredArguments"
  | "route"
  | "openReplyQueue"
  | "closeReplyQueue"
  | "close"
>;

/** One user's access to the topology of one namespace: asks for permission, then has it done. */
export class ControlSession implements Control {
  readonly owner: Owner;
  /** What the user may do; changes while the session is open. */
  readonly grants: Grants;
  protected readonly space: Namespace;

  /** @throws BrokerError namespace-not-found, namespace-refused */
  constructor({ topology, access, principal, namespace, owner }: ControlParts) {
    this.space = topology.namespace(namespace);
    this.grants = access.grants(principal.user, namespace);
    this.owner = owner;
  }

  get namespace(): string {
    return this.space.name;
  }

  get user(): string {
    return this.grants.user;
  }

  // --- exchanges ------------------------------------------------------------------------------

  exchangeDeclare(declaration: ExchangeDeclaration): void {
    const alternate = declaration.arguments.get(ALTERNATE_ARGUMENT)?.value;
    const source = stringOf(declaration.arguments.get(SOURCE_ARGUMENT));
    this.space.exchangeDeclare(declaration, {
      declare: (name) => this.check("configure", "exchange", name),
      create: (name) => {
        if (source !== undefined) this.check("read", "queue", source);
        // Whoever names an alternate moves messages from one exchange to another.
        if (typeof alternate !== "string") return;
        this.check("read", "exchange", name);
        this.check("write", "exchange", alternate);
      },
    });
  }

  exchangeCheck(name: string): void {
    this.space.exchangeCheck(name);
  }

  exchangeDelete(name: string, ifUnused: boolean): void {
    // For the default exchange the answer is no whatever the permissions.
    if (name !== "") this.check("configure", "exchange", name);
    this.space.exchangeDelete(name, ifUnused);
  }

  exchangeBind(destination: string, source: string, key: string, args: Table): void {
    const spec: BindingSpec = { source, kind: "exchange", destination, key, args };
    this.checkBinding(spec);
    this.space.bind(spec, this.owner);
  }

  exchangeUnbind(destination: string, source: string, key: string, args: Table): void {
    const spec: BindingSpec = { source, kind: "exchange", destination, key, args };
    this.checkBinding(spec);
    this.space.unbind(spec, this.owner);
  }

  // --- queues ---------------------------------------------------------------------------------

  queueDeclare(declaration: QueueDeclaration): QueueCounts {
    const { deadLetterExchange } = declaration.options;
    return this.space.queueDeclare(declaration, this.owner, {
      declare: (name) => this.check("configure", "queue", name),
      create: (name) => {
        if (deadLetterExchange === undefined) return;
        this.check("read", "queue", name);
        this.check("write", "exchange", deadLetterExchange);
      },
    });
  }

  queueCheck(name: string): QueueCounts {
    return this.space.queueCheck(name, this.owner);
  }

  queueDelete(name: string, ifUnused: boolean, ifEmpty: boolean): number {
    this.check("configure", "queue", name);
    return this.space.queueDelete(name, ifUnused, ifEmpty, this.owner);
  }

  queuePurge(name: string): number {
    this.check("read", "queue", name);
    return this.space.queuePurge(name, this.owner);
  }

  queueBind(queue: string, exchange: string, key: string, args: Table): void {
    const spec: BindingSpec = { source: exchange, kind: "queue", destination: queue, key, args };
    this.checkBinding(spec);
    this.space.bind(spec, this.owner);
  }

  queueUnbind(queue: string, exchange: string, key: string, args: Table): void {
    const spec: BindingSpec = { source: exchange, kind: "queue", destination: queue, key, args };
    this.checkBinding(spec);
    this.space.unbind(spec, this.owner);
  }

  declaredArguments(kind: "queue" | "exchange", name: string): Table | null {
    const declared = kind === "queue" ? this.space.queue(name)?.declaration : this.space.exchange(name);
    return declared?.arguments ?? null;
  }

  // --- messages -------------------------------------------------------------------------------

  get accessRevision(): number {
    return this.grants.revision;
  }

  route(exchange: string, routingKey: string): Route {
    if (exchange === "") {
      // An answer to a topic, from a service that knows queues alone.
      const address = replyAddress(routingKey);
      if (address.kind === "topic") {
        return new RedirectedRoute(exchange, routingKey, this.route(REPLY_TOPIC_EXCHANGE, address.name));
      }
    }
    this.check("write", "exchange", exchange);
    const route = this.space.route(exchange, routingKey);
    const declaration = this.space.exchange(exchange) as ExchangeDeclaration;
    if (declaration.internal) throw internalExchange(exchange, this.namespace);
    if (declaration.type === "topic") this.grants.checkTopic("write", exchange, routingKey);
    return route;
  }

  openReplyQueue(): string {
    return this.space.openReplyQueue(this.owner);
  }

  closeReplyQueue(name: string): void {
    this.space.closeReplyQueue(name, this.owner);
  }

  close(): void {
    this.space.ownerGone(this.owner);
  }

  /** The queue to consume or get from. Nobody needs a permission for replies to himself. */
  protected queueForReading(name: string): QueueHandle {
    if (!this.space.isReplyQueueOf(name, this.owner)) this.check("read", "queue", name);
    return this.space.queueFor(name, this.owner);
  }

  /** A queue to put messages into without routing. */
  protected queueForWriting(name: string): QueueHandle {
    this.check("write", "queue", name);
    return this.space.queueFor(name, this.owner);
  }

  /** May this user read what a pattern of a topic exchange names? */
  protected checkTopicReading(exchange: string, pattern: string): void {
    this.check("read", "exchange", exchange);
    this.grants.checkTopic("read", exchange, pattern);
  }

  private check(access: AccessKind, kind: "queue" | "exchange", name: string): void {
    this.grants.check(access, kind, name);
  }

  private checkBinding({ source, kind, destination, key }: BindingSpec): void {
    // The default exchange is refused as such further down.
    if (source === "" || (kind === "exchange" && destination === "")) return;
    this.check("write", kind, destination);
    this.check("read", "exchange", source);
    if (this.space.exchange(source)?.type === "topic") this.grants.checkTopic("read", source, key);
  }
}

function internalExchange(name: string, namespace: string): BrokerError {
  const text = `cannot publish to internal exchange '${name}' in namespace '${namespace}'`;
  return new BrokerError("internal-exchange", text, { kind: "exchange", name, namespace });
}
