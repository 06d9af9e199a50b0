import {
  PATTERN_GUARDED_ARGUMENT,
  PATTERN_ONE_ARGUMENT,
  type Session,
  type TopicPattern,
} from "../../broker/index.ts";
import type { Table } from "../../message/values.ts";
import { swapSeparators, TOPIC_EXCHANGE } from "./topic.ts";

/** '*' is a character like any other in a topic, and wildcards do not stand for a first level with '$' [MQTT-4.7.2-1]. */
const ARGUMENTS: Table = new Map([
  [PATTERN_ONE_ARGUMENT, { type: "string", value: "+" }],
  [PATTERN_GUARDED_ARGUMENT, { type: "bool", value: true }],
]);

/** A filter in the words of routing keys. */
export function patternOf(filter: string): TopicPattern {
  return { pattern: swapSeparators(filter), one: "+", guarded: true };
}

export function bindFilter(broker: Session, queue: string, filter: string): void {
  broker.queueBind(queue, TOPIC_EXCHANGE, swapSeparators(filter), ARGUMENTS);
}

export function unbindFilter(broker: Session, queue: string, filter: string): void {
  broker.queueUnbind(queue, TOPIC_EXCHANGE, swapSeparators(filter), ARGUMENTS);
}
