import type { MetaStore } from "../../engine/engine.ts";
import { DEFAULT_LIMITS } from "../../limits.ts";
import type { Owner, QueueHost } from "../types.ts";
import type { TopologyChange } from "./change.ts";
import type { TopologyContext } from "./context.ts";
import { Namespace } from "./namespace.ts";
import { namespaceNotFound } from "./refusals.ts";
import { TopologyStore } from "./store.ts";

export interface TopologyOptions {
  /** Created when the store is new. */
  readonly firstNamespace?: string;
  readonly queuesMax?: number;
  /** Absent: there are none. */
  readonly streams?: TopologyContext["streams"];
}

/** All namespaces. What is durable in them is written as it changes; when it is safe is MetaStore.flush's to say. */
export class Topology {
  private readonly context: TopologyContext;
  private readonly spaces = new Map<string, Namespace>();
  private readonly listeners = new Set<(change: TopologyChange) => void>();

  private constructor(store: TopologyStore, host: QueueHost, options: TopologyOptions) {
    this.context = {
      streams: options.streams ?? { declared: () => [] },
      host,
      store,
      queuesMax: options.queuesMax ?? DEFAULT_LIMITS.queuesMax,
      queueCount: 0,
      changed: (kind, action, namespace, name) => {
        if (this.listeners.size === 0) return;
        for (const listener of this.listeners) listener({ kind, action, namespace, name });
      },
    };
  }

  /**
   * Builds everything that is stored, handing each durable queue to the host; call before messages
   * are recovered. @throws Error when the store is of an unknown version
   */
  static open(meta: MetaStore, host: QueueHost, options: TopologyOptions = {}): Topology {
    const store = new TopologyStore(meta);
    const isNew = store.begin();
    const topology = new Topology(store, host, options);
    for (const name of store.namespaces()) {
      const namespace = new Namespace(name, topology.context);
      topology.spaces.set(name, namespace);
      for (const dangling of namespace.restore()) store.deleteStoredBinding(name, dangling);
    }
    if (isNew) topology.createNamespace(options.firstNamespace ?? "/");
    return topology;
  }

  /** @throws BrokerError namespace-not-found */
  namespace(name: string): Namespace {
    const namespace = this.spaces.get(name);
    if (namespace === undefined) throw namespaceNotFound(name);
    return namespace;
  }

  has(name: string): boolean {
    return this.spaces.has(name);
  }

  namespaces(): Iterable<Namespace> {
    return this.spaces.values();
  }

  get queueCount(): number {
    return this.context.queueCount;
  }

  /** Returns the one that is there, if so. */
  createNamespace(name: string): Namespace {
    const existing = this.spaces.get(name);
    if (existing !== undefined) return existing;
    const namespace = new Namespace(name, this.context);
    this.spaces.set(name, namespace);
    this.context.store.putNamespace(name);
    this.context.changed("namespace", "created", name, name);
    return namespace;
  }

  /** With all exchanges, queues and messages. Sessions in it find nothing any more. @throws BrokerError namespace-not-found */
  deleteNamespace(name: string): void {
    const namespace = this.namespace(name);
    this.spaces.delete(name);
    namespace.dispose();
    this.context.host.forgetNamespace(name);
    this.context.store.deleteNamespace(name);
    this.context.changed("namespace", "deleted", name, name);
  }

  /** Deletes what was exclusive to the owner, in every namespace. */
  ownerGone(owner: Owner): void {
    for (const namespace of this.spaces.values()) namespace.ownerGone(owner);
  }

  /** Listeners run inside the change and must not change the topology. Returns how to stop. */
  onChange(listener: (change: TopologyChange) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
