import type { GroupRefusal, TransactionRefusal } from "../../broker/index.ts";
import { CODES, type CodeName } from "./errors.ts";
import { codeOf } from "./group-codes.ts";

/** What each refusal of a transaction is called here. */
const NAMES: Readonly<Record<TransactionRefusal, CodeName>> = {
  "transaction-name-invalid": "INVALID_REQUEST",
  "transaction-timeout-invalid": "INVALID_TRANSACTION_TIMEOUT",
  "transaction-busy": "CONCURRENT_TRANSACTIONS",
  "producer-unknown": "INVALID_PRODUCER_ID_MAPPING",
  "producer-fenced": "PRODUCER_FENCED",
  "transaction-state": "INVALID_TXN_STATE",
  "transaction-not-found": "TRANSACTIONAL_ID_NOT_FOUND",
};

/** `knowsFenced`: the client does; to others a fenced producer's epoch is only invalid (KIP-360). */
export function transactionCode(refusal: TransactionRefusal | null, knowsFenced: boolean): number {
  if (refusal === "producer-fenced" && !knowsFenced) return CODES.INVALID_PRODUCER_EPOCH;
  return refusal === null ? CODES.NONE : CODES[NAMES[refusal]];
}

/** For offsets, where the group may refuse as well as the transaction. */
export function stagedOffsetCode(refusal: TransactionRefusal | GroupRefusal | null): number {
  return refusal !== null && refusal in NAMES
    ? transactionCode(refusal as TransactionRefusal, false)
    : codeOf(refusal as GroupRefusal | null);
}
