import { KafkaError } from "./errors.ts";

const LETTERS_MAX = 249;
const LEGAL = /^[a-zA-Z0-9._-]*$/;

/** What the protocol's own broker keeps its metadata in, and tools take for that. */
const METADATA = "__cluster_metadata";

/** What the protocol's own broker takes for the name of a new topic. @throws KafkaError INVALID_TOPIC_EXCEPTION */
export function checkLegalName(name: string): void {
  const wrong = whatIsWrong(name);
  if (wrong !== null) throw new KafkaError("INVALID_TOPIC_EXCEPTION", `Topic name is invalid: ${wrong}`);
}

function whatIsWrong(name: string): string | null {
  if (name === "") return "it is empty";
  if (name === "." || name === "..") return `'${name}' is not allowed`;
  if (name.length > LETTERS_MAX) return `it has ${name.length} characters, of at most ${LETTERS_MAX}`;
  if (!LEGAL.test(name)) return `'${name}' has others than a-z, A-Z, 0-9, '.', '_' and '-'`;
  return name === METADATA ? `'${name}' is reserved` : null;
}
