import type { QueueDeclaration, QueueHost } from "../types.ts";
import type { TopologyChange } from "./change.ts";
import type { TopologyStore } from "./store.ts";

/** What all namespaces share. */
export interface TopologyContext {
  /** Streams are queues as well, and stored elsewhere: what of them there is in a namespace at a start. */
  readonly streams: { declared(namespace: string): Iterable<QueueDeclaration> };
  readonly host: QueueHost;
  readonly store: TopologyStore;
  readonly queuesMax: number;
  /** Queues of all namespaces. */
  queueCount: number;
  changed(
    kind: TopologyChange["kind"],
    action: TopologyChange["action"],
    namespace: string,
    name: string,
  ): void;
}

/** Asked while something is declared, before anything has changed; throws to refuse. */
export interface DeclareGuard {
  /** With the name it will have. */
  declare(name: string): void;
  /** It does not exist yet. */
  create(name: string): void;
}
