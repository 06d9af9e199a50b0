/** What can be set for this protocol. */
export interface KafkaSettings {
  /** Number of this broker: the leader of every partition, and the coordinator of every group. */
  readonly nodeId: number;
  readonly clusterId: string;
  /** The namespace in which its topics are streams. */
  readonly namespace: string;
  /** Topics that do not exist are created when a client asks for them and allows it. */
  readonly autoCreateTopics: boolean;
  /** Partitions of a topic that does not say how many. */
  readonly partitionsDefault: number;
  /** Largest request, in bytes. */
  readonly requestBytesMax: number;
}
