/** What can be done to a group, by the number that the protocol gives it, and the permission it takes. */
export const GROUP_OPERATIONS = [
  { operation: 3, access: "read" }, // read
  { operation: 6, access: "configure" }, // delete
  { operation: 8, access: "read" }, // describe
] as const;

/** A bit for each operation's number. */
export function operationBits(operations: readonly { readonly operation: number }[]): number {
  return operations.reduce((bits, { operation }) => bits | (1 << operation), 0);
}
