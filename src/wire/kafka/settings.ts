/** What can be set for this protocol. */
export interface KafkaSettings {
  /** Number of this broker: the leader of every partition, and the coordinator of every group. */
  readonly nodeId: number;
  /** The namespace in which its topics are streams. */
  readonly namespace: string;
  /** Topics that do not exist are created when a client asks for them and allows it. */
  readonly autoCreateTopics: boolean;
  /** Partitions of a topic that does not say how many. */
  readonly partitionsDefault: number;
  /** Only the replication factor 1 is accepted; else any is, and is reported as 1. */
  readonly replicationStrict: boolean;
  /** Ways to log in that are offered, in the words of SASL. */
  readonly saslMechanisms: readonly string[];
  /** Where records are kept, for tools to show. */
  readonly logDir: string;
  /** Largest request, in bytes. */
  readonly requestBytesMax: number;
  /** Connections on which nothing has been heard for so long are closed. */
  readonly idleMsMax: number;
  /**
   * Who clients are that do not log in; null: nobody. It is the first user of a new broker, guest, only for
   * clients on this machine, and only as long as guest has the password that everybody knows.
   */
  readonly anonymousUser: string | null;
}

/** What differs between listeners. */
export interface KafkaListenerOptions {
  /** The address that clients are told to use; null: the one that they used. */
  readonly advertised: { readonly host: string; readonly port: number | null } | null;
}
