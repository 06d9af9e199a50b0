import type { StreamContext } from "./context.ts";
import { Partition } from "./partition.ts";
import type { StreamConfig, StreamHandle } from "./types.ts";

/** What of a stream is stored. */
export interface StreamRecord {
  readonly id: string;
  readonly name: string;
  readonly partitions: number;
  readonly overrides: Partial<StreamConfig>;
  readonly attributes: Readonly<Record<string, string>>;
}

export class Stream implements StreamHandle {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  overrides: Partial<StreamConfig>;
  attributes: Readonly<Record<string, string>>;
  config: StreamConfig;
  readonly partitions: Partition[] = [];
  deleted = false;
  private readonly context: StreamContext;
  private defaults: StreamConfig;

  constructor(context: StreamContext, namespace: string, record: StreamRecord, defaults: StreamConfig) {
    this.context = context;
    this.defaults = defaults;
    this.id = record.id;
    this.namespace = namespace;
    this.name = record.name;
    this.overrides = record.overrides;
    this.attributes = record.attributes;
    this.config = { ...defaults, ...record.overrides };
    this.grow(record.partitions);
  }

  get record(): StreamRecord {
    const { id, name, partitions, overrides, attributes } = this;
    return { id, name, partitions: partitions.length, overrides, attributes };
  }

  grow(partitions: number): void {
    for (let index = this.partitions.length; index < partitions; index++) {
      this.partitions.push(new Partition(this.context, this, index));
    }
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
