import { BrokerError, type ErrorCode } from "../../base/errors.ts";

/** Reason codes of MQTT 5 (2.4), as far as a server sends them. */
export const REASON = {
  success: 0x00,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedVersion: 0x84,
  clientIdNotValid: 0x85,
  badUserOrPassword: 0x86,
  notAuthorized: 0x87,
  serverBusy: 0x89,
  shuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdInUse: 0x91,
  packetIdNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
} as const;

/** What ends a connection, or refuses one packet of it. The text goes to clients that want reasons. */
export class MqttError extends Error {
  override readonly name = "MqttError";
  readonly reason: number;

  constructor(reason: number, text: string) {
    super(text);
    this.reason = reason;
  }
}

/** Bytes that do not follow the grammar (MQTT 5, 1.2 "Malformed Packet"). */
export function malformed(text: string): MqttError {
  return new MqttError(REASON.malformedPacket, text);
}

/** Bytes that follow it and say what must not be said (MQTT 5, 1.2 "Protocol Error"). */
export function protocolError(text: string): MqttError {
  return new MqttError(REASON.protocolError, text);
}

/** Every error of the broker, as MQTT says it. */
const BROKER_REASONS: Readonly<Record<ErrorCode, number>> = {
  "access-refused": REASON.notAuthorized,
  "login-refused": REASON.badUserOrPassword,
  "namespace-not-found": REASON.notAuthorized,
  "namespace-refused": REASON.notAuthorized,
  "queue-not-found": REASON.topicNameInvalid,
  "exchange-not-found": REASON.implementationSpecific,
  "no-last-queue": REASON.implementationSpecific,
  "name-reserved": REASON.notAuthorized,
  "default-exchange": REASON.notAuthorized,
  "system-exchange": REASON.notAuthorized,
  "internal-exchange": REASON.notAuthorized,
  "exchange-type-unknown": REASON.implementationSpecific,
  inequivalent: REASON.implementationSpecific,
  "argument-invalid": REASON.implementationSpecific,
  "queue-locked": REASON.notAuthorized,
  "queue-exclusive-use": REASON.notAuthorized,
  "queue-in-use": REASON.implementationSpecific,
  "queue-not-empty": REASON.implementationSpecific,
  "exchange-in-use": REASON.implementationSpecific,
  "consumer-tag-in-use": REASON.implementationSpecific,
  "single-active-consumer": REASON.implementationSpecific,
  "delivery-tag-unknown": REASON.packetIdNotFound,
  "reply-consumer": REASON.implementationSpecific,
  "message-too-large": REASON.packetTooLarge,
  "message-invalid": REASON.implementationSpecific,
  "user-id-mismatch": REASON.notAuthorized,
  "limit-reached": REASON.quotaExceeded,
  "not-implemented": REASON.implementationSpecific,
  "resource-alarm": REASON.quotaExceeded,
  "shutting-down": REASON.shuttingDown,
  "stream-not-found": REASON.topicNameInvalid,
  "stream-exists": REASON.implementationSpecific,
  "name-invalid": REASON.implementationSpecific,
  "offset-out-of-range": REASON.implementationSpecific,
  internal: REASON.unspecified,
};

/** What an error of the broker is for a client. Anything else is a fault of our own: rethrow it. */
export function fromBroker(error: unknown): MqttError {
  if (error instanceof MqttError) return error;
  if (error instanceof BrokerError) return new MqttError(BROKER_REASONS[error.code], error.message);
  throw error;
}

/** CONNACK return codes of MQTT 3.1 and 3.1.1 (3.2.2.3). */
const RETURN_CODES = new Map<number, number>([
  [REASON.unsupportedVersion, 1],
  [REASON.clientIdNotValid, 2],
  [REASON.serverBusy, 3],
  [REASON.shuttingDown, 3],
  [REASON.quotaExceeded, 3],
  [REASON.badUserOrPassword, 4],
  [REASON.notAuthorized, 5],
]);

/** Return code before MQTT 5, or null when there is none and the connection is just closed. */
export function returnCodeOf(reason: number): number | null {
  return RETURN_CODES.get(reason) ?? null;
}
