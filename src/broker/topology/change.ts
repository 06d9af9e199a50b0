/** Something durable or transient came or went in the topology. */
export interface TopologyChange {
  readonly kind: "namespace" | "exchange" | "queue" | "binding";
  readonly action: "created" | "deleted";
  readonly namespace: string;
  /** Of the namespace, exchange or queue; of the source for a binding. */
  readonly name: string;
}
