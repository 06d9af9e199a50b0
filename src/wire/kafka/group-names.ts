import type { GroupKind, GroupListing } from "../../broker/index.ts";

/** What the states of groups are called here. */
export const STATE_NAMES: Readonly<Record<GroupListing["state"], string>> = {
  empty: "Empty",
  preparing: "PreparingRebalance",
  completing: "CompletingRebalance",
  reconciling: "Reconciling",
  stable: "Stable",
  dead: "Dead",
};

export const KIND_NAMES: Readonly<Record<GroupKind, string>> = {
  classic: "classic",
  assigned: "consumer",
  share: "share",
};
