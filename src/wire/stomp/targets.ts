import { BrokerError } from "../../base/errors.ts";
import type { Route, Session } from "../../broker/index.ts";
import { encodeRouting } from "../../message/record.ts";
import type { Table } from "../../message/values.ts";
import {
  activemqPattern,
  type Destination,
  DestinationError,
  type Dialect,
  parseDestination,
  TOPIC_EXCHANGE,
} from "./destination.ts";
import type { OwnQueues } from "./own-queues.ts";
import { flag, type QueueArguments, queueArguments } from "./queue-arguments.ts";

type Get = (name: string) => string | undefined;

/** Where SEND goes. */
export interface SendTarget {
  readonly routing: Uint8Array;
  readonly exchange: string;
  readonly key: string;
  /** The queue that has to be there first, or null. */
  readonly queue: string | null;
  route: Route | null;
}

/** Queues that nobody consumes from otherwise must not vanish: ActiveMQ's dead-letter queue. */
export const ACTIVEMQ_DEAD_LETTERS = "ActiveMQ.DLQ";
const ACTIVEMQ_REDELIVERIES_MAX = 6;
const TARGETS_MAX = 1024;

/** Destinations of one connection: parsed, made where they have to be, and routed once. */
export class Targets {
  private readonly session: Session;
  private readonly dialect: Dialect;
  private readonly own: OwnQueues;
  private cache = new Map<string, readonly SendTarget[]>();
  private accessRevision: number;

  constructor(session: Session, dialect: Dialect, own: OwnQueues) {
    this.session = session;
    this.dialect = dialect;
    this.own = own;
    this.accessRevision = session.accessRevision;
  }

  /** Forgets what the user was allowed before; to be called once for each chunk that was read. */
  refresh(): void {
    if (this.session.accessRevision === this.accessRevision) return;
    this.accessRevision = this.session.accessRevision;
    this.cache.clear();
  }

  /** Where a message to `destination` goes; queues are made as needed. @throws DestinationError, FrameError, BrokerError */
  find(destination: string, get: Get): readonly SendTarget[] {
    let targets = this.cache.get(destination);
    if (targets === undefined) {
      targets = parseDestination(destination, this.dialect).map((part) => this.target(part));
      if (this.cache.size >= TARGETS_MAX) this.cache.clear();
      this.cache.set(destination, targets);
    }
    for (const target of targets) {
      if (target.route?.valid === true) continue;
      if (target.queue !== null) this.ensureQueue(target.queue, get, null);
      target.route = this.session.route(target.exchange, target.key);
    }
    return targets;
  }

  private target(destination: Destination): SendTarget {
    // RabbitMQ's temporary queues are for answers, which come to the name that their sender was told.
    if (this.dialect === "rabbitmq" && destination.kind === "temporary") {
      throw new DestinationError(`'/temp-queue/${destination.name}' is only valid in reply-to`);
    }
    const own = this.own.address(destination);
    const [exchange, key] =
      own !== null ? [own.exchange, own.key] : publishAddress(destination, this.dialect);
    const queue = destination.kind === "queue" ? destination.name : null;
    return { routing: encodeRouting(exchange, key), exchange, key, queue, route: null };
  }

  /**
   * The shared queue of a destination: made if it is not there. If it is, and the client says nothing
   * of how it should be, it is taken as it is.
   */
  ensureQueue(name: string, get: Get, defaults: QueueArguments | null): void {
    const args = queueArguments(get);
    const says = args.arguments.size > 0 || FLAGS.some((flagName) => get(flagName) !== undefined);
    if (!says) {
      try {
        this.session.queueCheck(name);
        return;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        // Another connection's own: anybody may send an answer there, and consuming is refused further down.
        if (error.code === "queue-locked") return;
        if (error.code !== "queue-not-found") throw error;
      }
    }
    const flagOf = (flagName: string, otherwise: boolean): boolean => {
      const text = get(flagName);
      return text === undefined ? otherwise : flag(flagName, text);
    };
    const chosen = args.arguments.size > 0 ? args : (defaults ?? this.defaults(name, args));
    this.session.queueDeclare({
      name,
      durable: flagOf("durable", true),
      autoDelete: flagOf("auto-delete", false),
      exclusive: flagOf("exclusive", false),
      ...chosen,
    });
    this.bindVirtualTopic(name);
  }

  /** ActiveMQ gives up a message after some redeliveries, and keeps it in a queue of that name. */
  private defaults(name: string, args: QueueArguments): QueueArguments {
    if (this.dialect !== "activemq" || name === ACTIVEMQ_DEAD_LETTERS) return args;
    this.ensureQueue(ACTIVEMQ_DEAD_LETTERS, () => undefined, args);
    const table: Table = new Map([
      ["x-dead-letter-exchange", { type: "string", value: "" }],
      ["x-dead-letter-routing-key", { type: "string", value: ACTIVEMQ_DEAD_LETTERS }],
      ["x-delivery-limit", { type: "int64", value: ACTIVEMQ_REDELIVERIES_MAX }],
    ]);
    const options = {
      deadLetterExchange: "",
      deadLetterRoutingKey: ACTIVEMQ_DEAD_LETTERS,
      deliveryLimit: ACTIVEMQ_REDELIVERIES_MAX,
    };
    return { options, arguments: table };
  }

  /** Queue Consumer.A.VirtualTopic.T gets what is published to topic VirtualTopic.T. */
  private bindVirtualTopic(name: string): void {
    const match = this.dialect === "activemq" ? /^Consumer\.[^.]+\.(VirtualTopic\..+)$/.exec(name) : null;
    if (match === null) return;
    this.session.queueBind(name, TOPIC_EXCHANGE, activemqPattern(match[1] as string), new Map());
  }
}

const FLAGS = ["durable", "auto-delete", "exclusive"];

function publishAddress(destination: Destination, dialect: Dialect): [exchange: string, key: string] {
  switch (destination.kind) {
    case "queue":
    case "existing-queue":
      return ["", destination.name];
    case "topic":
      if (dialect === "activemq" && /(^|\.)[*>](\.|$)/.test(destination.key))
        throw new DestinationError(`cannot send to a pattern: '${destination.key}'`);
      return [TOPIC_EXCHANGE, destination.key];
    case "exchange":
      return [destination.exchange, destination.key];
    default:
      throw new DestinationError(`'/temp-queue/${destination.name}' is nobody's queue to send to`);
  }
}
