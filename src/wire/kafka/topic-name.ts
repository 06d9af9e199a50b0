import type { Peer } from "./api.ts";
import { CODES } from "./errors.ts";

interface TopicReference {
  readonly name: string;
  readonly topicId: string;
}

/** Name of the topic that a request means by its name or its id, if the user may do that with it; else why not. */
export function topicName(
  { session, rights }: Peer,
  operation: "read" | "describe",
  byId: boolean,
  { name, topicId }: TopicReference,
): { readonly name: string | null; readonly code: number } {
  const meant = byId ? (session.streams.findById(topicId)?.name ?? null) : name;
  if (meant === null) return { name: null, code: CODES.UNKNOWN_TOPIC_ID };
  if (rights.may(operation, "stream", meant)) return { name: meant, code: CODES.NONE };
  return { name: null, code: CODES.TOPIC_AUTHORIZATION_FAILED };
}
