import { BrokerError, type ErrorCode, type ErrorDetail } from "../../base/errors.ts";
import type { Table, TypedValue } from "../../message/values.ts";
import { REPLY_CODES } from "./codec/methods.ts";
import { argumentText, bareText, binaryTerm, typeName, valueTerm } from "./erlang.ts";

export type ReplyName = keyof typeof REPLY_CODES;

/** Errors that leave the connection usable (AMQP 0-9-1, constants of class soft-error). */
const SOFT: ReadonlySet<ReplyName> = new Set([
  "CONTENT_TOO_LARGE",
  "NO_CONSUMERS",
  "ACCESS_REFUSED",
  "NOT_FOUND",
  "RESOURCE_LOCKED",
  "PRECONDITION_FAILED",
]);

const REPLY_TEXT_BYTES_MAX = 255;

/** An error on its way to the client: closes the channel when soft, the connection when hard. */
export class AmqpError extends Error {
  override readonly name = "AmqpError";
  readonly reply: ReplyName;

  constructor(reply: ReplyName, explanation: string) {
    super(explanation);
    this.reply = reply;
  }

  get code(): number {
    return REPLY_CODES[this.reply];
  }

  get soft(): boolean {
    return SOFT.has(this.reply);
  }

  /** "NOT_FOUND - no queue 'q' in vhost '/'", cut as RabbitMQ cuts it. */
  get text(): string {
    const text = Buffer.from(this.message === "" ? this.reply : `${this.reply} - ${this.message}`);
    if (text.length <= REPLY_TEXT_BYTES_MAX) return text.toString();
    return `${text.toString("utf8", 0, REPLY_TEXT_BYTES_MAX - 3).replace(/\uFFFD+$/, "")}...`;
  }
}

/** What the texts need to know beside the error itself. */
export interface ErrorScope {
  readonly namespace: string;
  readonly user: string;
  /** Arguments that the failed declaration carried, and those in force, for inequivalence. */
  readonly received?: Table | undefined;
  readonly current?: Table | null | undefined;
}

type Mapping = readonly [ReplyName, (detail: ErrorDetail, scope: ErrorScope, message: string) => string];

const named = (kind: string, detail: ErrorDetail, scope: ErrorScope): string =>
  `${detail.kind ?? kind} '${detail.name ?? ""}' in vhost '${detail.namespace ?? scope.namespace}'`;

/** Neutral option names in RabbitMQ's words. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  autoDelete: "auto_delete",
  discipline: "x-queue-order",
  priorityMax: "x-max-priority",
  messageTtlMs: "x-message-ttl",
  expiresMs: "x-expires",
  deadLetterExchange: "x-dead-letter-exchange",
  deadLetterRoutingKey: "x-dead-letter-routing-key",
  lengthMax: "x-max-length",
  lengthBytesMax: "x-max-length-bytes",
  ageMaxMs: "x-max-age",
  segmentBytesMax: "x-stream-max-segment-size-bytes",
  partitions: "x-partitions",
  overflow: "x-overflow",
  singleActiveConsumer: "x-single-active-consumer",
  deliveryLimit: "x-delivery-limit",
  consumerTimeoutMs: "x-consumer-timeout",
  durability: "x-durability",
  retry: "x-retry-backoff",
};

function optionName(detail: ErrorDetail): string {
  const option = `${detail.option}`;
  if (option === "type" && (detail.kind ?? "queue") === "queue") return "x-queue-type";
  return OPTION_NAMES[option] ?? option;
}

function isTyped(value: unknown): value is TypedValue {
  return typeof value === "object" && value !== null && "type" in value;
}

/** Both sides as RabbitMQ prints them: bare values, but with their type when the other side has none. */
function sidesOf(option: string, detail: ErrorDetail, scope: ErrorScope): [string, string] {
  if (!option.startsWith("x-") && option !== "alternate-exchange") {
    return [`'${detail.received}'`, `'${detail.current}'`];
  }
  const side = (value: unknown, table: Table | null | undefined): TypedValue | undefined =>
    isTyped(value) ? value : table?.get(option);
  const received = side(detail.received, scope.received);
  const current = side(detail.current, scope.current);
  if (received !== undefined && current !== undefined) return [bareText(received), bareText(current)];
  return [argumentText(received), argumentText(current)];
}

function inequivalent(detail: ErrorDetail, scope: ErrorScope): string {
  const option = optionName(detail);
  const [received, current] = sidesOf(option, detail, scope);
  return `inequivalent arg '${option}' for ${named("queue", detail, scope)}: received ${received} but current is ${current}`;
}

/** "in exchange exchange 'x'": RabbitMQ 3.10 says it twice for topics, and does not say which access. */
function accessRefused(detail: ErrorDetail, scope: ErrorScope): string {
  const at = { ...detail, kind: "exchange", name: detail.exchange };
  const what =
    detail.kind === "topic"
      ? `topic '${detail.name}' in exchange ${named("exchange", at as ErrorDetail, scope)}`
      : named("queue", detail, scope);
  return `access to ${what} refused for user '${scope.user}'`;
}

function locked(detail: ErrorDetail, scope: ErrorScope): string {
  return `cannot obtain exclusive access to locked ${named("queue", detail, scope)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`;
}

/** RabbitMQ has words of its own for the two arguments that name something to other parts of it. */
const argumentInvalid: Mapping[1] = (detail, scope, message) => {
  const { argument } = detail;
  if (argument === undefined || detail.name === undefined) return message;
  const typed = scope.received?.get(`${argument}`);
  const name = named("queue", detail, scope);
  if (typed !== undefined && argument === "alternate-exchange") {
    return `invalid type '${typeName(typed)}' for arg '${argument}' in ${name}`;
  }
  if (typed !== undefined && argument === "x-match") return matchInvalid(typed);
  const hashing = HASH_TEXTS[`${argument}`]?.(`${detail.reason}`);
  if (hashing !== undefined) return hashing;
  return `invalid arg '${OPTION_NAMES[`${argument}`] ?? argument}' for ${name}: ${detail.reason ?? message}`;
};

/** Of the hash exchanges, from our reasons to RabbitMQ's sentences. */
const HASH_TEXTS: Readonly<Record<string, (reason: string) => string | undefined>> = {
  "routing-key": (reason) =>
    `The binding key ${reason.replace(/'(.*)'$/s, (_, key) => binaryTerm(Buffer.from(key)))}`,
  "hash-property": (reason) => {
    if (reason.endsWith("are mutually exclusive"))
      return "hash-header and hash-property are mutually exclusive";
    const property = /^names the unsupported property '(.*)'$/s.exec(reason)?.[1];
    return property === undefined ? undefined : `Unsupported property: ${property}`;
  },
};

function matchInvalid(typed: TypedValue): string {
  const term = valueTerm(typed);
  return typed.type === "string"
    ? `Invalid x-match field value ${term}; expected all, any, all-with-x, or any-with-x`
    : `Invalid x-match field type ${typeName(typed)} (value ${term}); expected longstr`;
}

const reason: Mapping[1] = (detail, _scope, message) => `${detail.reason ?? message}`;
const asIs: Mapping[1] = (_detail, _scope, message) => message;

/** The one table from neutral errors to replies: a new code does not compile until it is here. */
const MAPPINGS: Readonly<Record<ErrorCode, Mapping>> = {
  "access-refused": ["ACCESS_REFUSED", accessRefused],
  "login-refused": ["ACCESS_REFUSED", asIs],
  "namespace-not-found": ["NOT_ALLOWED", (d, s) => `vhost ${d.name ?? s.namespace} not found`],
  "namespace-refused": [
    "NOT_ALLOWED",
    (d, s) => `access to vhost '${d.name ?? s.namespace}' refused for user '${s.user}'`,
  ],
  "queue-not-found": ["NOT_FOUND", (d, s) => `no ${named("queue", d, s)}`],
  "exchange-not-found": ["NOT_FOUND", (d, s) => `no ${named("exchange", d, s)}`],
  "stream-not-found": ["NOT_FOUND", (d, s) => `no ${named("queue", d, s)}`],
  "stream-exists": ["PRECONDITION_FAILED", asIs],
  "name-invalid": ["PRECONDITION_FAILED", asIs],
  "offset-out-of-range": ["PRECONDITION_FAILED", asIs],
  "no-last-queue": ["NOT_FOUND", () => "no previously declared queue"],
  "name-reserved": [
    "ACCESS_REFUSED",
    (d) => `${d.kind ?? "queue"} name '${d.name}' contains reserved prefix 'amq.*'`,
  ],
  "default-exchange": ["ACCESS_REFUSED", () => "operation not permitted on the default exchange"],
  "system-exchange": [
    "ACCESS_REFUSED",
    (d, s) => `deletion of system ${named("exchange", d, s)} not allowed`,
  ],
  "internal-exchange": ["ACCESS_REFUSED", (d, s) => `cannot publish to internal ${named("exchange", d, s)}`],
  // As RabbitMQ up to 4.2, which client libraries' own tests rely on; later releases close the channel only.
  "exchange-type-unknown": ["COMMAND_INVALID", (d) => `unknown exchange type '${d.type ?? d.name ?? ""}'`],
  inequivalent: ["PRECONDITION_FAILED", inequivalent],
  "argument-invalid": ["PRECONDITION_FAILED", argumentInvalid],
  "queue-locked": ["RESOURCE_LOCKED", locked],
  "queue-exclusive-use": ["ACCESS_REFUSED", (d, s) => `${named("queue", d, s)} in exclusive use`],
  "queue-in-use": ["PRECONDITION_FAILED", (d, s) => `${named("queue", d, s)} in use`],
  "queue-not-empty": ["PRECONDITION_FAILED", (d, s) => `${named("queue", d, s)} not empty`],
  "exchange-in-use": ["PRECONDITION_FAILED", (d, s) => `${named("exchange", d, s)} in use`],
  "consumer-tag-in-use": [
    "NOT_ALLOWED",
    (d, _s, message) => (d.name === undefined ? message : `attempt to reuse consumer tag '${d.name}'`),
  ],
  "single-active-consumer": [
    "RESOURCE_LOCKED",
    (d, s) =>
      `cannot obtain access to locked ${named("queue", d, s)}. basic.get operations are not supported by queues with single active consumer`,
  ],
  "delivery-tag-unknown": [
    "PRECONDITION_FAILED",
    (d, _s, message) => (d.tag === undefined ? message : `unknown delivery tag ${d.tag}`),
  ],
  "reply-consumer": ["PRECONDITION_FAILED", reason],
  "message-too-large": ["PRECONDITION_FAILED", asIs],
  "message-invalid": ["PRECONDITION_FAILED", (d, _s, m) => `invalid message: ${d.reason ?? m}`],
  "user-id-mismatch": ["PRECONDITION_FAILED", asIs],
  "limit-reached": ["PRECONDITION_FAILED", asIs],
  "not-implemented": ["NOT_IMPLEMENTED", (d, _s, message) => `${d.what ?? message}`],
  "resource-alarm": ["RESOURCE_ERROR", asIs],
  "shutting-down": ["CONNECTION_FORCED", () => "broker forced connection closure with reason 'shutdown'"],
  internal: ["INTERNAL_ERROR", () => ""],
};

export function fromBroker(error: BrokerError, scope: ErrorScope): AmqpError {
  const [reply, text] = MAPPINGS[error.code];
  return new AmqpError(reply, text(error.detail, scope, error.message));
}

/** Anything thrown, as a reply. What is not ours closes the connection with 541 and no details. */
export function toAmqpError(error: unknown, scope: ErrorScope): AmqpError {
  if (error instanceof AmqpError) return error;
  if (error instanceof BrokerError) return fromBroker(error, scope);
  return new AmqpError("INTERNAL_ERROR", "");
}
