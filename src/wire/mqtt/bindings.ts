import type { Session, TopicPattern } from "../../broker/index.ts";
import type { Table } from "../../message/values.ts";
import { swapSeparators, TOPIC_EXCHANGE } from "./topic.ts";

const ARGUMENTS: Table = new Map();

/** A filter in the words of routing keys. '*' is a character like any other in a topic. */
export function patternOf(filter: string): TopicPattern {
  return { pattern: swapSeparators(filter), one: "+", guarded: true };
}

export function bindFilter(broker: Session, queue: string, filter: string): void {
  broker.queueBind(
    queue,
    TOPIC_EXCHANGE,
    swapSeparators(filter).replace(/(^|\.)\+(?=$|\.)/g, "$1*"),
    ARGUMENTS,
  );
}

export function unbindFilter(broker: Session, queue: string, filter: string): void {
  broker.queueUnbind(
    queue,
    TOPIC_EXCHANGE,
    swapSeparators(filter).replace(/(^|\.)\+(?=$|\.)/g, "$1*"),
    ARGUMENTS,
  );
}
