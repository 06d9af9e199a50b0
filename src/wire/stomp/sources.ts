import { createHash } from "node:crypto";
import type { Session } from "../../broker/index.ts";
import {
  activemqPattern,
  type Destination,
  DestinationError,
  type Dialect,
  TOPIC_EXCHANGE,
} from "./destination.ts";
import { StompError } from "./errors.ts";
import type { Address, OwnQueues } from "./own-queues.ts";
import { flag, queueArguments } from "./queue-arguments.ts";
import type { Targets } from "./targets.ts";

type Get = (name: string) => string | undefined;

/** What a subscription reads from. */
export interface Source {
  readonly queue: string;
  /** The queue was made for this subscription, and goes with it. */
  readonly ownsQueue: boolean;
  /** Shown instead of where a message was published. */
  readonly destination: string | null;
}

export interface SourceParts {
  readonly session: Session;
  readonly dialect: Dialect;
  readonly targets: Targets;
  readonly own: OwnQueues;
  /** ActiveMQ: names durable subscriptions. */
  readonly clientId: string | undefined;
}

/** Finds, makes and binds the queues that subscriptions read from, as their destinations ask. */
export class Sources {
  private readonly parts: SourceParts;

  constructor(parts: SourceParts) {
    this.parts = parts;
  }

  /** @throws DestinationError, FrameError, StompError, BrokerError */
  find(destination: Destination, text: string, id: string, get: Get): Source {
    const { targets, dialect } = this.parts;
    switch (destination.kind) {
      case "queue":
        targets.ensureQueue(destination.name, get, null);
        return { queue: destination.name, ownsQueue: false, destination: null };
      case "existing-queue":
        return { queue: destination.name, ownsQueue: false, destination: null };
      case "topic":
      case "exchange":
        return this.bound(destination, text, id, get);
      default:
        // RabbitMQ subscribes by itself, when a temporary queue is named in reply-to.
        if (dialect === "rabbitmq") throw new DestinationError(`'${text}' is not a valid destination`);
        return this.temporary(destination, text);
    }
  }

  private temporary(destination: Destination, text: string): Source {
    const { own, session } = this.parts;
    const { exchange, key } = own.address(destination) as Address;
    if (exchange === "") return { queue: key, ownsQueue: false, destination: text };
    const queue = own.declare(true);
    session.queueBind(queue, exchange, key, new Map());
    return { queue, ownsQueue: true, destination: text };
  }

  /** A queue between an exchange and one subscription; a durable one goes on while the client is away. */
  private bound(
    destination: Destination & { kind: "topic" | "exchange" },
    text: string,
    id: string,
    get: Get,
  ): Source {
    const { session, own, dialect } = this.parts;
    const [exchange, key] =
      destination.kind === "exchange"
        ? [destination.exchange, destination.key]
        : [TOPIC_EXCHANGE, dialect === "activemq" ? activemqPattern(destination.key) : destination.key];
    const durableName = this.durableName(text, id, get);
    const queue = get("x-queue-name") ?? durableName ?? own.declare(true);
    const durable = durableName !== null;
    if (durable || get("x-queue-name") !== undefined) {
      session.queueDeclare({
        name: queue,
        durable,
        exclusive: flag("exclusive", get("exclusive") ?? "false"),
        autoDelete: flag("auto-delete", get("auto-delete") ?? `${!durable}`),
        ...queueArguments(get),
      });
    }
    session.queueBind(queue, exchange, key, new Map());
    return { queue, ownsQueue: !durable, destination: null };
  }

  private durableName(text: string, id: string, get: Get): string | null {
    if (this.parts.dialect === "activemq") {
      const name = get("activemq.subscriptionName") ?? get("activemq.subcriptionName");
      return name === undefined ? null : this.activemqName(name);
    }
    const durable = get("durable") ?? get("persistent");
    if (durable === undefined || !flag("durable", durable)) return null;
    const hash = createHash("md5").update(text).update("\0").update(id).digest("base64url");
    return `stomp-subscription-${hash}`;
  }

  /** Name of the queue behind ActiveMQ's durable subscription `name`. @throws StompError */
  activemqName(name: string): string {
    const { clientId } = this.parts;
    if (clientId === undefined)
      throw new StompError("Invalid header", "a durable subscription needs a client-id header in CONNECT");
    return `activemq-subscription-${clientId}-${name}`;
  }
}
