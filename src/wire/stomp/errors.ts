import { BrokerError, type ErrorCode } from "../../base/errors.ts";
import { FrameError } from "./codec/frame.ts";
import { DestinationError } from "./destination.ts";

/** What goes into an ERROR frame. */
export class StompError extends Error {
  override readonly name = "StompError";
  /** The message header: a few words. */
  readonly title: string;

  constructor(title: string, detail: string) {
    super(detail);
    this.title = title;
  }
}

/** The words that RabbitMQ uses for its channel errors. A new code does not compile until it is here. */
const TITLES: Readonly<Record<ErrorCode, string>> = {
  "access-refused": "access_refused",
  "login-refused": "Bad CONNECT",
  "namespace-not-found": "Bad CONNECT",
  "namespace-refused": "Bad CONNECT",
  "queue-not-found": "not_found",
  "exchange-not-found": "not_found",
  "no-last-queue": "not_found",
  "stream-not-found": "not_found",
  "stream-exists": "precondition_failed",
  "name-invalid": "precondition_failed",
  "offset-out-of-range": "precondition_failed",
  "name-reserved": "access_refused",
  "default-exchange": "access_refused",
  "system-exchange": "access_refused",
  "internal-exchange": "access_refused",
  "exchange-type-unknown": "command_invalid",
  inequivalent: "precondition_failed",
  "argument-invalid": "precondition_failed",
  "queue-locked": "resource_locked",
  "queue-exclusive-use": "access_refused",
  "queue-in-use": "precondition_failed",
  "queue-not-empty": "precondition_failed",
  "exchange-in-use": "precondition_failed",
  "consumer-tag-in-use": "not_allowed",
  "single-active-consumer": "resource_locked",
  "delivery-tag-unknown": "precondition_failed",
  "reply-consumer": "precondition_failed",
  "message-too-large": "precondition_failed",
  "message-invalid": "precondition_failed",
  "user-id-mismatch": "precondition_failed",
  "limit-reached": "not_allowed",
  "not-implemented": "not_implemented",
  "resource-alarm": "resource_error",
  "shutting-down": "connection_forced",
  internal: "internal_error",
};

/** Anything thrown, as an ERROR frame's content; null for a fault of ours. */
export function toStompError(thrown: unknown): StompError | null {
  if (thrown instanceof StompError) return thrown;
  if (thrown instanceof FrameError) return new StompError("Invalid frame", thrown.message);
  if (thrown instanceof DestinationError) return new StompError(thrown.title, thrown.message);
  if (thrown instanceof BrokerError) return new StompError(TITLES[thrown.code], thrown.message);
  return null;
}
