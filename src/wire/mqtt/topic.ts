import { MqttError, REASON } from "./reasons.ts";

/** The exchange that topics are routed by: '/' stands for '.' there. */
export const TOPIC_EXCHANGE = "amq.topic";
/** Messages to a topic below it go to the queue of that name, so that a client can answer one that waits there. */
export const QUEUE_TOPIC_PREFIX = "$queue/";
/** Statistics: written by the broker alone, never routed. */
export const SYS_PREFIX = "$SYS";
const SHARE_PREFIX = "$share/";

const SLASH = 0x2f;
const DOT = 0x2e;
const PLUS = 0x2b;
const HASH = 0x23;
const DOLLAR = 0x24;

/** Topic to routing key, and back: '/' and '.' change places, so that no two topics become one key. */
export function swapSeparators(text: string): string {
  return /[./]/.test(text) ? text.replace(/[./]/g, (character) => (character === "." ? "/" : ".")) : text;
}

/** Likewise, for bytes that are copied. */
export function copySwapped(
  from: Uint8Array,
  at: number,
  length: number,
  to: Uint8Array,
  target: number,
): void {
  for (let i = 0; i < length; i++) {
    const octet = from[at + i] as number;
    to[target + i] = octet === SLASH ? DOT : octet === DOT ? SLASH : octet;
  }
}

/** More are refused: each costs memory wherever it is compared or kept, and nobody has so many. mosquitto's bound: 200 '/'. */
const LEVELS_MAX = 201;

/** A name that can be published to has no wildcard in it (4.7.1) and at least one character [MQTT-4.7.3-1]. */
export function isTopicName(bytes: Uint8Array, at: number, end: number): boolean {
  let levels = 1;
  for (let i = at; i < end; i++) {
    const octet = bytes[i];
    if (octet === PLUS || octet === HASH) return false;
    if (octet === SLASH) levels++;
  }
  return end > at && levels <= LEVELS_MAX;
}

/** Not for filters that begin with a wildcard [MQTT-4.7.2-1]. */
export function isHidden(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === DOLLAR;
}

export function beginsWild(filter: string): boolean {
  return filter.startsWith("#") || filter.startsWith("+");
}

/** Wildcards stand alone in their level, and '#' in the last one (4.7.1). */
function isFilter(filter: string): boolean {
  if (filter === "" || Buffer.byteLength(filter) > 65_535) return false;
  const levels = filter.split("/");
  if (levels.length > LEVELS_MAX) return false;
  return levels.every((level, i) => {
    if (level === "#") return i === levels.length - 1;
    return level === "+" || !/[+#]/.test(level);
  });
}

/** A subscription's filter taken apart: `share` is null when it is the client's alone. */
export interface Filter {
  /** As the client wrote it; what it unsubscribes from. */
  readonly text: string;
  readonly share: string | null;
  /** What topics are compared with. */
  readonly pattern: string;
}

/** @throws MqttError topic filter invalid */
export function parseFilter(text: string): Filter {
  const filter = readFilter(text);
  if (filter === null) throw new MqttError(REASON.topicFilterInvalid, `'${text}' is no topic filter`);
  return filter;
}

export function isFilterText(text: string): boolean {
  return readFilter(text) !== null;
}

function readFilter(text: string): Filter | null {
  const shared = text === "$share" || text.startsWith(SHARE_PREFIX);
  if (!shared) return isFilter(text) ? { text, share: null, pattern: text } : null;
  const slash = text.indexOf("/", SHARE_PREFIX.length);
  const share = slash < 0 ? "" : text.slice(SHARE_PREFIX.length, slash);
  const pattern = slash < 0 ? "" : text.slice(slash + 1);
  // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
  return share === "" || /[+#]/.test(share) || !isFilter(pattern) ? null : { text, share, pattern };
}

/** Queue that a topic stands for, or null. What a topic must not contain is escaped in it. */
export function queueOfTopic(topic: string): string | null {
  if (!topic.startsWith(QUEUE_TOPIC_PREFIX)) return null;
  try {
    const name = decodeURIComponent(topic.slice(QUEUE_TOPIC_PREFIX.length));
    return name === "" || Buffer.byteLength(name) > 255 ? null : name;
  } catch {
    return null;
  }
}

export function topicOfQueue(queue: string): string {
  return QUEUE_TOPIC_PREFIX + queue.replace(/[%+#\0]/g, (character) => encodeURIComponent(character));
}
