import { randomBytes } from "node:crypto";
import type { Session } from "../../broker/index.ts";
import { type Destination, TOPIC_EXCHANGE } from "./destination.ts";

export interface Address {
  readonly exchange: string;
  readonly key: string;
}

/** Queues that live and die with one connection, and the names that its client gives them. */
export class OwnQueues {
  private readonly session: Session;
  private readonly addresses = new Map<string, Address>();

  constructor(session: Session) {
    this.session = session;
  }

  /** What stands behind a temporary destination, made at its first use; null for any other. */
  address(destination: Destination): Address | null {
    if (destination.kind !== "temporary" && destination.kind !== "temporary-topic") return null;
    const name = `${destination.kind}/${destination.name}`;
    let address = this.addresses.get(name);
    if (address === undefined) {
      address =
        destination.kind === "temporary-topic"
          ? { exchange: TOPIC_EXCHANGE, key: `temp-topic.${randomBytes(16).toString("hex")}` }
          : { exchange: "", key: this.declare(false) };
      this.addresses.set(name, address);
    }
    return address;
  }

  /** A nameless queue. Returns the name that it was given. */
  declare(autoDelete: boolean): string {
    const none = { name: "", options: {}, arguments: new Map() };
    return this.session.queueDeclare({ ...none, durable: false, exclusive: true, autoDelete }).name;
  }
}
