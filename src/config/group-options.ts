import { option } from "./option.ts";
import { duration, integer } from "./value-types.ts";

const DAY_MS = 24 * 3_600_000;

/** Groups of readers, and transactions. */
export const GROUP_OPTIONS = {
  groupOffsetRetention: option({
    file: "groups.offset-retention",
    type: duration(1000, 3650 * DAY_MS),
    default: "7d",
    help: "offsets of a group of readers are forgotten when nobody has been in it for so long",
  }),
  groupInitialDelay: option({
    file: "groups.initial-delay",
    type: duration(0, 60_000),
    default: "100ms",
    help: "how long a new group waits for more members before it divides its work, again with each that comes",
  }),
  groupSessionTimeoutMin: option({
    file: "groups.session-timeout-min",
    type: duration(1, 30 * 60_000),
    default: "6s",
    help: "shortest session timeout that a member of a group may ask for",
  }),
  groupMembersMax: option({
    file: "groups.members-max",
    type: integer(1, 1_000_000),
    default: "10000",
    help: "members of one group at most",
  }),
  transactionTimeoutMax: option({
    file: "transactions.timeout-max",
    type: duration(1000, DAY_MS),
    default: "15m",
    help: "longest time for which a producer may leave a transaction open",
  }),
};
