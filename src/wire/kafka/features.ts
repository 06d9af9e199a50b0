// Features of the cluster (KIP-584): protocols that clients and tools can find out about beside the versions of APIs.

/** Levels at which each is on; none can be switched. */
export const FEATURES: readonly { readonly name: string; readonly level: number }[] = [
  /** Groups that the broker divides (KIP-848). */
  { name: "group.version", level: 1 },
  /** Share groups (KIP-932). */
  { name: "share.version", level: 1 },
  /** Transactions of KIP-890. */
  { name: "transaction.version", level: 2 },
];
