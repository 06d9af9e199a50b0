import { parseDurationMs } from "../../base/clock.ts";
import type { QueueOptions, RetryPolicy } from "../../broker/index.ts";
import type { Table } from "../../message/values.ts";
import { FrameError } from "./codec/frame.ts";

type Options = { -readonly [K in keyof QueueOptions]: QueueOptions[K] };
type KeysOf<T> = {
  [K in keyof QueueOptions]-?: QueueOptions[K] extends T | undefined ? K : never;
}[keyof QueueOptions];

/** SEND and SUBSCRIBE may carry queue arguments: https://www.rabbitmq.com/docs/stomp#queue-properties */
const NUMBERS: Readonly<Record<string, KeysOf<number>>> = {
  "x-message-ttl": "messageTtlMs",
  "x-expires": "expiresMs",
  "x-max-length": "lengthMax",
  "x-max-length-bytes": "lengthBytesMax",
  "x-max-priority": "priorityMax",
  "x-delivery-limit": "deliveryLimit",
  "x-consumer-timeout": "consumerTimeoutMs",
};

const TEXTS: Readonly<Record<string, readonly [option: KeysOf<string>, allowed?: readonly string[]]>> = {
  "x-dead-letter-exchange": ["deadLetterExchange"],
  "x-dead-letter-routing-key": ["deadLetterRoutingKey"],
  "x-queue-type": ["type", ["classic", "quorum", "stream"]],
  "x-queue-order": ["discipline", ["fifo", "lifo"]],
  "x-overflow": ["overflow", ["drop-head", "reject-publish", "reject-publish-dlx"]],
};

const RETRY_DEFAULTS: RetryPolicy = {
  attempts: 5,
  initialMs: 1000,
  multiplier: 2,
  ceilingMs: 60_000,
  jitter: 0.2,
};

/** What a queue that is made on the way is made with: in the broker's terms, and as it was said. */
export interface QueueArguments {
  readonly options: QueueOptions;
  readonly arguments: Table;
}

/** Reads the queue arguments among a frame's headers. @throws FrameError */
export function queueArguments(get: (name: string) => string | undefined): QueueArguments {
  const options: Options = {};
  const table: Table = new Map();
  for (const [name, option] of Object.entries(NUMBERS)) {
    const text = get(name);
    if (text === undefined) continue;
    const value = count(name, text, option === "priorityMax" ? 255 : Number.MAX_SAFE_INTEGER);
    options[option] = value;
    table.set(name, { type: "int64", value });
  }
  for (const [name, [option, allowed]] of Object.entries(TEXTS)) {
    const value = get(name);
    if (value === undefined) continue;
    if (allowed?.includes(value) === false) throw malformed(name, value);
    Object.assign(options, { [option]: value });
    table.set(name, { type: "string", value });
  }
  const single = get("x-single-active-consumer");
  if (single !== undefined) {
    options.singleActiveConsumer = flag("x-single-active-consumer", single);
    table.set("x-single-active-consumer", { type: "bool", value: options.singleActiveConsumer });
  }
  retryPolicy(get, options, table);
  return { options, arguments: table };
}

function retryPolicy(get: (name: string) => string | undefined, options: Options, table: Table): void {
  const [attempts, backoff] = [get("x-retry-attempts"), get("x-retry-backoff")];
  if (attempts === undefined && backoff === undefined) return;
  const policy = { ...RETRY_DEFAULTS };
  if (attempts !== undefined) {
    policy.attempts = count("x-retry-attempts", attempts, 2 ** 31 - 1);
    table.set("x-retry-attempts", { type: "int64", value: policy.attempts });
  }
  if (backoff !== undefined) {
    try {
      policy.initialMs = parseDurationMs(backoff);
    } catch {
      throw malformed("x-retry-backoff", backoff);
    }
    policy.ceilingMs = Math.max(policy.ceilingMs, policy.initialMs);
    table.set("x-retry-backoff", { type: "string", value: backoff });
  }
  options.retry = policy;
}

function malformed(name: string, value: string): FrameError {
  return new FrameError(`malformed ${name}: '${value}'`);
}

/** @throws FrameError */
export function count(name: string, text: string, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw malformed(name, text);
  return value;
}

/** @throws FrameError */
export function flag(name: string, text: string): boolean {
  if (text !== "true" && text !== "false") throw malformed(name, text);
  return text === "true";
}
