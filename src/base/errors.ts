/**
 * The broker's errors. Codes are stable and neutral; every protocol maps each of them to its own
 * reply in one exhaustive table, so a new code does not compile until each protocol has decided.
 */
export type ErrorCode =
  | "access-refused" // detail: access, name
  | "login-refused"
  | "namespace-not-found"
  | "namespace-refused"
  | "queue-not-found"
  | "exchange-not-found"
  | "stream-not-found"
  | "stream-exists" // also when a queue of another kind has the name; detail: name
  | "name-invalid" // detail: kind, name, reason
  | "offset-out-of-range"
  | "no-last-queue" // "" stands for the last queue declared, and there is none
  | "name-reserved"
  | "default-exchange" // operation not permitted on the default exchange
  | "system-exchange" // predeclared: cannot be deleted
  | "internal-exchange" // clients may not publish to it
  | "exchange-type-unknown"
  | "inequivalent" // detail: kind, option, received, current
  | "argument-invalid" // detail: kind, argument, reason
  | "queue-locked" // exclusive to another connection
  | "queue-exclusive-use" // an exclusive consumer is there, or one is asked for beside others
  | "queue-in-use"
  | "queue-not-empty"
  | "exchange-in-use"
  | "consumer-tag-in-use"
  | "single-active-consumer" // single get from a queue with single active consumer
  | "delivery-tag-unknown"
  | "reply-consumer" // direct reply-to misuse; detail: reason
  | "message-too-large"
  | "message-invalid" // detail: reason
  | "user-id-mismatch"
  | "limit-reached" // detail: what, limit
  | "not-implemented" // detail: what
  | "resource-alarm"
  | "shutting-down"
  | "internal";

export interface ErrorDetail {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly [key: string]: unknown;
}

export class BrokerError extends Error {
  override readonly name = "BrokerError";
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message);
    this.code = code;
    this.detail = detail;
  }
}
