import { replyName } from "../../message/pivot.ts";

/** Which broker's destinations a listener speaks. */
export type Dialect = "rabbitmq" | "activemq";

/** What a destination header stands for. */
export type Destination =
  /** A queue that is made when it is first used. */
  | { readonly kind: "queue"; readonly name: string }
  /** A queue that somebody made. */
  | { readonly kind: "existing-queue"; readonly name: string }
  /** A routing key, or for a subscription a pattern, of the topic exchange. */
  | { readonly kind: "topic"; readonly key: string }
  | { readonly kind: "exchange"; readonly exchange: string; readonly key: string }
  /** A name that stands for a queue of this connection's own. */
  | { readonly kind: "temporary"; readonly name: string }
  /** Like it, for publish/subscribe (ActiveMQ). */
  | { readonly kind: "temporary-topic"; readonly name: string };

export const TOPIC_EXCHANGE = "amq.topic";

/** The destination makes no sense. `message` is for the client. */
export class DestinationError extends Error {
  override readonly name = "DestinationError";
  /** RabbitMQ's words: of a kind that nobody knows, or not as its kind should be. */
  readonly title: string;

  constructor(message: string, title = "Invalid destination") {
    super(message);
    this.title = title;
  }
}

/** One destination, or the parts of a composite one. @throws DestinationError */
export function parseDestination(text: string, dialect: Dialect): Destination[] {
  return dialect === "rabbitmq" ? [rabbitmq(text)] : text.split(",").map((part) => activemq(part.trim()));
}

const KINDS: ReadonlySet<string> = new Set([
  "queue",
  "topic",
  "exchange",
  "amq",
  "temp-queue",
  "reply-queue",
]);

/** RabbitMQ's destinations: https://www.rabbitmq.com/docs/stomp#d. Names are percent-encoded. */
function rabbitmq(text: string): Destination {
  const parts = text.split("/");
  const [before, first = "", ...rest] = parts;
  if (text !== "" && (before !== "" || !KINDS.has(first))) {
    throw new DestinationError(`'${text}' is not a valid destination`, "Unknown destination");
  }
  if (first === "amq" && rest[0] === "queue" && rest.length >= 2) {
    return { kind: "existing-queue", name: name(rest.slice(1).join("/"), text) };
  }
  if (rest.length === 0 || rest[0] === "") throw invalid(text);
  if (first === "exchange") {
    if (rest.length > 2) throw invalid(text);
    return { kind: "exchange", exchange: name(rest[0] as string, text), key: decode(rest[1] ?? "", text) };
  }
  // Only exchanges have two parts: all else must escape its slashes.
  const only = rest.join("/");
  switch (first) {
    case "queue":
      if (rest.length > 1) throw invalid(text);
      return { kind: "queue", name: name(only, text) };
    case "topic":
      if (rest.length > 1) throw invalid(text);
      return { kind: "topic", key: name(only, text) };
    case "temp-queue":
      return { kind: "temporary", name: only };
    // Names of reply queues are given out by the broker, as they are.
    case "reply-queue":
      return { kind: "existing-queue", name: decode(only, text) };
    default:
      throw invalid(text);
  }
}

/** ActiveMQ's: '.' between words; `*` is one word, `>` the rest; a bare name is a queue. */
function activemq(text: string): Destination {
  const match = /^\/(queue|topic|temp-queue|temp-topic|dsub)\/(.+)$/s.exec(text);
  if (match === null) {
    if (text === "" || text.startsWith("/")) throw invalid(text);
    return { kind: "queue", name: text };
  }
  const [, kind, rest = ""] = match;
  switch (kind) {
    case "queue":
      return { kind: "queue", name: rest.split("?")[0] as string };
    case "topic":
      return { kind: "topic", key: rest.split("?")[0] as string };
    case "temp-queue":
      return { kind: "temporary", name: rest };
    case "temp-topic":
      return { kind: "temporary-topic", name: rest };
    default:
      throw invalid(text);
  }
}

/** ActiveMQ's wildcards in this broker's words; `null` when the pattern cannot be said. */
export function activemqPattern(key: string): string {
  const words = key.split(".");
  const wildcardInside = words.some((word, i) => word === ">" && i < words.length - 1);
  if (wildcardInside) throw new DestinationError(`'>' must be the last word of '${key}'`);
  if (words.includes("#")) throw new DestinationError(`'#' is no word of a topic: '${key}'`);
  return words.map((word) => (word === ">" ? "#" : word)).join(".");
}

function invalid(text: string): DestinationError {
  return new DestinationError(`'${text}' is not a valid destination`);
}

function name(part: string, text: string): string {
  const decoded = decode(part, text);
  if (decoded === "") throw invalid(text);
  return decoded;
}

function decode(part: string, text: string): string {
  if (!part.includes("%")) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(text);
  }
}

function encode(part: string): string {
  return /[%/\0]/.test(part) ? part.replace(/[%/\0]/g, encodeURIComponent) : part;
}

/** The destination of a message by where it was published. */
export function destinationOf(exchange: string, key: string, dialect: Dialect): string {
  if (dialect === "activemq") {
    const name = key.replaceAll("\0", "%00");
    return exchange === TOPIC_EXCHANGE ? `/topic/${name}` : `/queue/${name}`;
  }
  if (exchange === "") return `/queue/${encode(key)}`;
  if (exchange === TOPIC_EXCHANGE) return `/topic/${encode(key)}`;
  return key === "" ? `/exchange/${encode(exchange)}` : `/exchange/${encode(exchange)}/${encode(key)}`;
}

/** A reply-to header for the one address that a pivot knows. */
export function replyDestination(kind: "queue" | "topic", target: string, dialect: Dialect): string {
  if (kind === "topic") {
    return dialect === "rabbitmq" ? `/topic/${encode(target)}` : `/topic/${target}`;
  }
  return dialect === "rabbitmq" ? `/reply-queue/${encode(target)}` : `/queue/${target}`;
}

/** The queue name or topic behind a reply-to header, as one word; undefined when it names neither. */
export function replyTargetOf(header: string, dialect: Dialect): string | undefined {
  try {
    const [destination] = parseDestination(header, dialect);
    switch (destination?.kind) {
      case "queue":
      case "existing-queue":
        return destination.name;
      case "topic":
        return replyName({ kind: "topic", name: destination.key });
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}
