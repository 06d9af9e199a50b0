import type { ScramMechanism } from "../../../broker/index.ts";
import { KafkaError } from "../errors.ts";

/** Numbers of the mechanisms in the APIs for SCRAM credentials. */
const MECHANISMS: readonly [ScramMechanism, number][] = [
  ["SCRAM-SHA-256", 1],
  ["SCRAM-SHA-512", 2],
];

export function codeOfMechanism(mechanism: ScramMechanism): number {
  return MECHANISMS.find(([name]) => name === mechanism)?.[1] ?? 0;
}

/** @throws KafkaError UNSUPPORTED_SASL_MECHANISM */
export function mechanismOfCode(code: number): ScramMechanism {
  const found = MECHANISMS.find(([, number]) => number === code);
  if (found === undefined)
    throw new KafkaError("UNSUPPORTED_SASL_MECHANISM", `Unknown SCRAM mechanism ${code}`);
  return found[0];
}
