import type { ProtocolContext } from "../protocol.ts";
import type { KafkaNode } from "./api.ts";
import type { ApiTable } from "./api-table.ts";
import type { KafkaSettings } from "./settings.ts";

export class Node implements KafkaNode {
  readonly context: ProtocolContext<KafkaSettings>;
  readonly table: ApiTable;
  private readonly parts = new Map<unknown, unknown>();

  constructor(context: ProtocolContext<KafkaSettings>, table: ApiTable) {
    this.context = context;
    this.table = table;
  }

  get settings(): KafkaSettings {
    return this.context.settings;
  }

  get served(): ApiTable["served"] {
    return this.table.served;
  }

  part<T>(make: (node: KafkaNode) => T): T {
    let part = this.parts.get(make) as T | undefined;
    if (part === undefined) {
      part = make(this);
      this.parts.set(make, part);
    }
    return part;
  }
}
