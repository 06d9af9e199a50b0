import type { Table } from "../../message/values.ts";
import type { QueueOptions } from "../types.ts";
import type { StreamContext } from "./context.ts";
import { Partition } from "./partition.ts";
import type { StreamConfig, StreamHandle } from "./types.ts";

/** How a stream was declared as a queue. */
export interface DeclaredQueue {
  readonly options: QueueOptions;
  readonly arguments: Table;
}

/** What of a stream is stored. */
export interface StreamFacts {
  readonly id: string;
  readonly name: string;
  readonly partitions: number;
  readonly overrides: Partial<StreamConfig>;
  readonly attributes: Readonly<Record<string, string>>;
  /** Null: it was not made as a queue. */
  readonly declared: DeclaredQueue | null;
}

export class Stream implements StreamHandle {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly declared: DeclaredQueue | null;
  overrides: Partial<StreamConfig>;
  attributes: Readonly<Record<string, string>>;
  config: StreamConfig;
  readonly partitions: Partition[] = [];
  deleted = false;
  /** The storage of a partition takes no more. */
  failed = false;
  /** Told when partitions were added. */
  readonly growthListeners = new Set<() => void>();
  private readonly context: StreamContext;
  private defaults: StreamConfig;

  constructor(context: StreamContext, namespace: string, facts: StreamFacts, defaults: StreamConfig) {
    this.context = context;
    this.defaults = defaults;
    this.id = facts.id;
    this.namespace = namespace;
    this.name = facts.name;
    this.overrides = facts.overrides;
    this.attributes = facts.attributes;
    this.declared = facts.declared;
    this.config = { ...defaults, ...facts.overrides };
    this.grow(facts.partitions);
  }

  get facts(): StreamFacts {
    const { id, name, partitions, overrides, attributes, declared } = this;
    return { id, name, partitions: partitions.length, overrides, attributes, declared };
  }

  grow(partitions: number): void {
    for (let index = this.partitions.length; index < partitions; index++) {
      this.partitions.push(new Partition(this.context, this, index));
    }
    for (const grown of this.growthListeners) grown();
  }

  rebase(defaults: StreamConfig): void {
    this.defaults = defaults;
    this.config = { ...defaults, ...this.overrides };
  }

  alter(overrides: Partial<StreamConfig>, attributes: Readonly<Record<string, string>>): void {
    this.overrides = overrides;
    this.attributes = attributes;
    this.config = { ...this.defaults, ...overrides };
  }
}
