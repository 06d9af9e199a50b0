import { parseAgeMs } from "../../base/age.ts";
import { parseDurationMs } from "../../base/clock.ts";
import { BrokerError } from "../../base/errors.ts";
import type { QueueOptions, RetryPolicy } from "../../broker/index.ts";
import {
  integerOf,
  isInteger,
  stringOf,
  type Table,
  type TypedValue,
  valuesEqual,
} from "../../message/values.ts";
import { typeName } from "./erlang.ts";
import { AmqpError } from "./errors.ts";

type QueueType = "classic" | "quorum" | "stream";
type Options = { -readonly [K in keyof QueueOptions]: QueueOptions[K] };

/** Where an argument stands: for the texts. */
interface Site {
  readonly queue: string;
  readonly namespace: string;
  readonly key: string;
}

/** Ten years: the longest timer that RabbitMQ takes. */
export const EXPIRY_MS_MAX = 315_360_000_000;
const INT32_MAX = 2 ** 31 - 1;
/** What RabbitMQ takes for a segment. */
const SEGMENT_BYTES_MAX = 3_000_000_000;
const PARTITIONS_MAX = 10_000;

function invalid(site: Site, term: string): AmqpError {
  const { queue, namespace, key } = site;
  return new AmqpError(
    "PRECONDITION_FAILED",
    `invalid arg '${key}' for queue '${queue}' in vhost '${namespace}': ${term}`,
  );
}

function nonNegative(typed: TypedValue, site: Site, max = Number.MAX_SAFE_INTEGER): number {
  if (!isInteger(typed)) throw invalid(site, `"expected integer, got ${typeName(typed)}"`);
  const value = integerOf(typed);
  if (value === undefined || value > max) throw invalid(site, `{value_too_large,${typed.value}}`);
  if (value < 0) throw invalid(site, `{value_negative,${value}}`);
  return value;
}

/** Lengths beyond what a number can count here are all the same: none ever gets there. */
function length(typed: TypedValue, site: Site): number {
  const huge = typed.type === "int64" && BigInt(typed.value as number | bigint) > Number.MAX_SAFE_INTEGER;
  return huge ? Number.MAX_SAFE_INTEGER : nonNegative(typed, site);
}

function text(typed: TypedValue, site: Site): string {
  const value = stringOf(typed);
  if (value === undefined) throw invalid(site, `{unacceptable_type,${typeName(typed)}}`);
  return value;
}

function positive(typed: TypedValue, site: Site): void {
  if (nonNegative(typed, site) === 0) throw invalid(site, "{value_zero,0}");
}

const LEADER_LOCATORS = ["client-local", "balanced", "random", "least-leaders"];

function oneOf<T extends string>(typed: TypedValue, site: Site, values: readonly T[], term: string): T {
  const value = text(typed, site) as T;
  if (!values.includes(value)) throw invalid(site, term);
  return value;
}

type Reading = (options: Options, typed: TypedValue, site: Site, args: Table) => void;
type Types = "both" | "classic" | "quorum" | "stream" | "not-stream" | "replicated";

/** x-argument -> queue types that know it, and what it sets; in the order in which RabbitMQ judges them. */
const ARGUMENTS: Readonly<Record<string, Known>> = {
  "x-queue-type": ["both", () => {}],
  "x-expires": [
    "not-stream",
    (options, typed, site) => {
      const value = nonNegative(typed, site, EXPIRY_MS_MAX);
      if (value === 0) throw invalid(site, "{value_zero,0}");
      options.expiresMs = value;
    },
  ],
  "x-message-ttl": [
    "not-stream",
    (options, typed, site) => {
      options.messageTtlMs = nonNegative(typed, site, EXPIRY_MS_MAX);
    },
  ],
  "x-dead-letter-exchange": [
    "not-stream",
    (options, typed, site) => {
      options.deadLetterExchange = exchangeName(typed, site);
    },
  ],
  "x-dead-letter-routing-key": [
    "not-stream",
    (options, typed, site, args) => {
      options.deadLetterRoutingKey = text(typed, site);
      if (!args.has("x-dead-letter-exchange")) throw invalid(site, "routing_key_but_no_dlx_defined");
    },
  ],
  "x-dead-letter-strategy": [
    "quorum",
    (_options, typed, site) => {
      oneOf(typed, site, ["at-most-once", "at-least-once"], "invalid_dlx_strategy");
    },
  ],
  "x-max-length": [
    "not-stream",
    (options, typed, site) => {
      options.lengthMax = length(typed, site);
    },
  ],
  "x-max-length-bytes": [
    "both",
    (options, typed, site) => {
      options.lengthBytesMax = length(typed, site);
    },
  ],
  "x-overflow": [
    "not-stream",
    (options, typed, site) => {
      const values = ["drop-head", "reject-publish", "reject-publish-dlx"] as const;
      options.overflow = oneOf(typed, site, values, "invalid_overflow");
    },
  ],
  "x-single-active-consumer": [
    "not-stream",
    (options, typed, site) => {
      if (typed.type !== "bool") throw invalid(site, `{unacceptable_type,${typeName(typed)}}`);
      options.singleActiveConsumer = typed.value as boolean;
    },
  ],
  "x-max-priority": [
    "classic",
    (options, typed, site) => {
      const value = nonNegative(typed, site);
      if (value > 255) throw invalid(site, `{max_value_exceeded,${value}}`);
      options.priorityMax = value;
    },
  ],
  // Accepted and without effect: bodies are paged by need here, whatever the mode.
  "x-queue-mode": [
    "classic",
    (_options, typed, site) => {
      oneOf(typed, site, ["default", "lazy"], `"unsupported queue mode '${typed.value}'"`);
    },
  ],
  "x-queue-version": [
    "classic",
    (_options, typed, site) => {
      const value = nonNegative(typed, site);
      if (value !== 1 && value !== 2) throw invalid(site, `"unsupported queue version '${value}'"`);
    },
  ],
  "x-queue-master-locator": ["classic", (_options, typed, site) => void text(typed, site)],
  "x-queue-leader-locator": [
    "replicated",
    (_options, typed, site) => void oneOf(typed, site, LEADER_LOCATORS, "invalid_queue_locator_arg"),
  ],
  "x-delivery-limit": ["quorum", deliveryLimit],
  "x-quorum-initial-group-size": ["quorum", (_options, typed, site) => positive(typed, site)],
  "x-max-in-memory-length": ["quorum", (_options, typed, site) => void nonNegative(typed, site)],
  "x-max-in-memory-bytes": ["quorum", (_options, typed, site) => void nonNegative(typed, site)],
  "x-max-age": [
    "stream",
    (options, typed, site) => {
      const ageMs = parseAgeMs(text(typed, site));
      if (ageMs === null) throw invalid(site, "invalid_max_age");
      options.ageMaxMs = ageMs;
    },
  ],
  "x-stream-max-segment-size-bytes": [
    "stream",
    (options, typed, site) => {
      const value = nonNegative(typed, site);
      if (value > SEGMENT_BYTES_MAX) {
        throw new AmqpError("PRECONDITION_FAILED", "Exceeded max value for x-stream-max-segment-size-bytes");
      }
      if (value === 0) throw invalid(site, "{value_zero,0}");
      options.segmentBytesMax = value;
    },
  ],
  // Accepted and without effect: filters are exact here, and there is one copy.
  "x-stream-filter-size-bytes": [
    "stream",
    (_options, typed, site) => {
      const value = nonNegative(typed, site);
      if (value < 16 || value > 255) throw invalid(site, `{value_not_allowed,${value}}`);
    },
  ],
  "x-initial-cluster-size": ["stream", (_options, typed, site) => positive(typed, site)],
  // What follows is ours.
  "x-consumer-timeout": [
    "not-stream",
    (options, typed, site) => {
      options.consumerTimeoutMs = nonNegative(typed, site, EXPIRY_MS_MAX);
    },
  ],
  "x-queue-order": [
    "not-stream",
    (options, typed, site) => {
      options.discipline = oneOf(typed, site, ["fifo", "lifo"] as const, "neither fifo nor lifo");
    },
  ],
  "x-partitions": [
    "stream",
    (options, typed, site) => {
      const value = nonNegative(typed, site, PARTITIONS_MAX);
      if (value === 0) throw invalid(site, "{value_zero,0}");
      options.partitions = value;
    },
  ],
  "x-durability": [
    "both",
    (options, typed, site) => {
      options.durability = oneOf(
        typed,
        site,
        ["fsync", "os", "memory"] as const,
        "none of fsync, os, memory",
      );
    },
  ],
};

type Known = readonly [Types, Reading];
const READINGS = Object.entries(ARGUMENTS);

function otherType(key: string, queue: string, namespace: string, type: QueueType): AmqpError {
  const named = `queue '${queue}' in vhost '${namespace}'`;
  return new AmqpError(
    "PRECONDITION_FAILED",
    `invalid arg '${key}' for ${named} of queue type rabbit_${type}_queue`,
  );
}

function exchangeName(typed: TypedValue, { queue, namespace, key }: Site): string {
  const name = stringOf(typed);
  if (name !== undefined) return name;
  const place = `in queue '${queue}' in vhost '${namespace}'`;
  throw new AmqpError("PRECONDITION_FAILED", `invalid type '${typeName(typed)}' for arg '${key}' ${place}`);
}

/** @throws AmqpError 406 */
export function consumeArguments(queue: string, namespace: string, args: Table, type: string): number {
  const site = (key: string): Site => ({ queue, namespace, key });
  const priority = args.get("x-priority");
  if (priority !== undefined && !isInteger(priority)) {
    throw invalid(site("x-priority"), `"expected integer, got ${typeName(priority)}"`);
  }
  if (type !== "classic") return integerOf(priority) ?? 0;
  const failover = args.get("x-cancel-on-ha-failover");
  if (failover !== undefined && failover.type !== "bool") {
    throw invalid(site("x-cancel-on-ha-failover"), `{unacceptable_type,${typeName(failover)}}`);
  }
  if (args.has("x-stream-offset")) throw otherType("x-stream-offset", queue, namespace, type);
  return integerOf(priority) ?? 0;
}

/** -1 means unlimited; any other negative number is an error. */
function deliveryLimit(options: Options, typed: TypedValue, site: Site): void {
  if (integerOf(typed) === -1) options.deliveryLimit = -1;
  else options.deliveryLimit = nonNegative(typed, site, INT32_MAX);
}

function queueType(args: Table, queue: string, namespace: string): QueueType | undefined {
  const typed = args.get("x-queue-type");
  if (typed === undefined) return undefined;
  const site = { queue, namespace, key: "x-queue-type" };
  const type = text(typed, site);
  if (type !== "classic" && type !== "quorum" && type !== "stream") {
    throw invalid(site, `"unsupported queue type '${type}'"`);
  }
  return type;
}

function knows(types: Types, type: QueueType): boolean {
  if (types === "both") return true;
  if (types === "not-stream") return type !== "stream";
  return types === "replicated" ? type !== "classic" : types === type;
}

/**
 * Declaration arguments in neutral terms. What no queue type knows is accepted and kept, as
 * RabbitMQ does; what another type knows is refused.
 * @throws AmqpError 406
 */
/** Shared by the many queues that are declared without arguments. */
const NO_OPTIONS: QueueOptions = {};

export function queueOptions(queue: string, namespace: string, args: Table): QueueOptions {
  if (args.size === 0) return NO_OPTIONS;
  const options: Options = {};
  const declared = queueType(args, queue, namespace);
  if (declared !== undefined) options.type = declared;
  const type = declared ?? "classic";
  const exchange = args.get("x-dead-letter-exchange");
  if (exchange !== undefined) exchangeName(exchange, { queue, namespace, key: "x-dead-letter-exchange" });
  for (const [key, [types, read]] of READINGS) {
    const typed = args.get(key);
    if (typed !== undefined && knows(types, type)) read(options, typed, { queue, namespace, key }, args);
  }
  for (const key of args.keys()) {
    if (!Object.hasOwn(ARGUMENTS, key) || knows((ARGUMENTS[key] as Known)[0], type)) continue;
    throw otherType(key, queue, namespace, type);
  }
  const retry = retryPolicy(args, queue, namespace);
  if (retry !== undefined) options.retry = retry;
  return options;
}

const OURS = ["x-queue-order", "x-retry-attempts", "x-retry-backoff", "x-consumer-timeout", "x-durability"];
/** What is compared when a queue is declared again: what its type knows, in RabbitMQ's order; it names the first. */
const COMPARED: Readonly<Record<QueueType, readonly string[]>> = {
  classic: [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    ...OURS,
  ],
  quorum: [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-message-ttl",
    "x-queue-leader-locator",
    ...OURS,
  ],
  stream: [
    "x-max-length-bytes",
    "x-queue-type",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
    "x-partitions",
    "x-durability",
  ],
};

const CLASSIC: TypedValue = { type: "string", value: "classic" };

/** A queue is declared again: with the arguments that it has? @throws BrokerError inequivalent */
export function checkSameArguments(name: string, namespace: string, received: Table, current: Table): void {
  for (const option of COMPARED[queueType(current, name, namespace) ?? "classic"]) {
    const implied = option === "x-queue-type" ? CLASSIC : undefined;
    const [now, then] = [received.get(option), current.get(option)];
    const [a, b] = [now ?? implied, then ?? implied];
    if (a === b || (a !== undefined && b !== undefined && valuesEqual(a, b))) continue;
    const detail = { kind: "queue", name, namespace, option, received: now, current: then };
    throw new BrokerError("inequivalent", "inequivalent argument", detail);
  }
}

const RETRY_DEFAULTS: RetryPolicy = {
  attempts: 5,
  initialMs: 1000,
  multiplier: 2,
  ceilingMs: 60_000,
  jitter: 0.2,
};

const BACKOFF_PARTS = "initial and max are times (250ms, 1s, 5m), multiplier is 1 to 1000, jitter 0 to 1";

function retryPolicy(args: Table, queue: string, namespace: string): RetryPolicy | undefined {
  const attempts = args.get("x-retry-attempts");
  const backoff = args.get("x-retry-backoff");
  if (attempts === undefined && backoff === undefined) return undefined;
  const policy = { ...RETRY_DEFAULTS };
  if (attempts !== undefined) {
    policy.attempts = nonNegative(attempts, { queue, namespace, key: "x-retry-attempts" }, INT32_MAX);
  }
  if (backoff === undefined) return policy;
  const site = { queue, namespace, key: "x-retry-backoff" };
  let ceilingMs: number | undefined;
  const given = new Set<string>();
  for (const [name, value] of backoffParts(backoff, site)) {
    const number = partValue(name, value);
    if (number === undefined) throw invalid(site, `'${name}=${value}' is not understood; ${BACKOFF_PARTS}`);
    const meaning = name === "ceiling" ? "max" : name;
    if (given.has(meaning)) throw invalid(site, `'${name}' is given twice`);
    given.add(meaning);
    if (name === "initial") policy.initialMs = number;
    else if (name === "multiplier") policy.multiplier = number;
    else if (name === "jitter") policy.jitter = number;
    else ceilingMs = number;
  }
  if (ceilingMs !== undefined && ceilingMs < policy.initialMs) {
    throw invalid(
      site,
      `the longest wait (${ceilingMs} ms) is shorter than the first (${policy.initialMs} ms)`,
    );
  }
  policy.ceilingMs = ceilingMs ?? Math.max(policy.ceilingMs, policy.initialMs);
  return policy;
}

/**
 * "initial=1s,multiplier=2,max=1m,jitter=0.2", or a table with these keys; "ceiling"
 * is "max", and "1s" alone is the initial wait.
 */
function backoffParts(typed: TypedValue, site: Site): [string, string][] {
  if (typed.type === "table") {
    return [...(typed.value as Table)].map(([name, { value }]) => [name, `${value}`]);
  }
  return text(typed, site)
    .split(",")
    .map((part) => {
      const [name = "", value] = part.split("=", 2);
      return value === undefined ? ["initial", name.trim()] : [name.trim(), value.trim()];
    });
}

function partValue(name: string, value: string): number | undefined {
  if (name === "initial" || name === "max" || name === "ceiling") {
    try {
      const ms = parseDurationMs(value);
      return ms <= EXPIRY_MS_MAX ? ms : undefined;
    } catch {
      return undefined;
    }
  }
  const number = value === "" ? Number.NaN : Number(value);
  if (name === "multiplier") return number >= 1 && number <= 1000 ? number : undefined;
  if (name === "jitter") return number >= 0 && number <= 1 ? number : undefined;
  return undefined;
}

/** Quorum queues and streams outlive their declarer by definition. @throws AmqpError 406 */
export function checkLastingFlags(
  name: string,
  namespace: string,
  flags: { durable: boolean; exclusive: boolean; autoDelete: boolean },
): void {
  const wrong = !flags.durable
    ? "non-durable"
    : flags.exclusive
      ? "exclusive-owner"
      : flags.autoDelete
        ? "auto-delete"
        : null;
  if (wrong === null) return;
  throw new AmqpError(
    "PRECONDITION_FAILED",
    `invalid property '${wrong}' for queue '${name}' in vhost '${namespace}'`,
  );
}
