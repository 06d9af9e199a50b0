import { parseAgeMs } from "../../base/age.ts";
import { BrokerError } from "../../base/errors.ts";
import { integerOf, isInteger, stringOf, type Table, type TypedValue } from "../../message/values.ts";

/** A place in a stream: "last" is the newest batch; a time is that of the first record not older, in ms. */
export type StreamPlace =
  | { readonly at: "first" | "last" | "next" }
  | { readonly at: "offset"; readonly offset: number }
  | { readonly at: "time"; readonly timestampMs: number };

/** Records that a consumer wants: those with one of these filter values, and perhaps those without any. */
export interface StreamFilter {
  readonly values: readonly string[];
  readonly unfiltered: boolean;
}

const PLACE_ARGUMENT = "x-stream-offset";
const FILTER_ARGUMENT = "x-stream-filter";
const UNFILTERED_ARGUMENT = "x-stream-match-unfiltered";

/**
 * Where a consumer begins: a word, an offset, a time in seconds, or how long ago ("1h").
 * @throws BrokerError argument-invalid
 */
export function placeOf(args: Table, nowMs: number, queue: string, namespace: string): StreamPlace {
  const typed = args.get(PLACE_ARGUMENT);
  if (typed === undefined) return { at: "next" };
  if (typed.type === "timestamp") return { at: "time", timestampMs: (typed.value as number) * 1000 };
  if (isInteger(typed)) {
    const offset = integerOf(typed) ?? -1;
    if (offset >= 0) return { at: "offset", offset };
  }
  const word = stringOf(typed);
  if (word === "first" || word === "last" || word === "next") return { at: word };
  const agoMs = word === undefined ? null : parseAgeMs(word);
  if (agoMs !== null) return { at: "time", timestampMs: nowMs - agoMs };
  throw invalid(PLACE_ARGUMENT, `'${typed.value}' is no place in a stream`, queue, namespace);
}

/** @throws BrokerError argument-invalid */
export function filterOf(args: Table, queue: string, namespace: string): StreamFilter | null {
  const typed = args.get(FILTER_ARGUMENT);
  if (typed === undefined) return null;
  const items = typed.type === "array" ? (typed.value as TypedValue[]) : [typed];
  const values = items.map((item) => {
    const value = stringOf(item);
    if (value === undefined) throw invalid(FILTER_ARGUMENT, "filters are strings", queue, namespace);
    return value;
  });
  return { values, unfiltered: args.get(UNFILTERED_ARGUMENT)?.value === true };
}

function invalid(argument: string, reason: string, name: string, namespace: string): BrokerError {
  const detail = { kind: "queue", name, namespace, argument, reason };
  return new BrokerError("argument-invalid", `argument '${argument}' ${reason}`, detail);
}
