import { KafkaError } from "./errors.ts";

/** What the protocol's own broker takes for a topic's name. */
const LEGAL = /^[a-zA-Z0-9._-]{1,249}$/;

/** @throws KafkaError INVALID_TOPIC_EXCEPTION */
export function checkLegalName(name: string): void {
  if (LEGAL.test(name) && name !== "." && name !== "..") return;
  const text = `Topic name '${name}' is illegal: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-', but not '.' or '..'`;
  throw new KafkaError("INVALID_TOPIC_EXCEPTION", text);
}
