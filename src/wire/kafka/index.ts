import { ORIGIN_KAFKA } from "../../message/record.ts";
import { streamRecordReader } from "../../message/stream-record.ts";
import type { Recognition } from "../../net/recognition.ts";
import type { Protocol } from "../protocol.ts";
import { KafkaAcceptor } from "./acceptor.ts";
import type { KafkaSettings } from "./settings.ts";

/** The Kafka protocol. */
export const kafka: Protocol<KafkaSettings> = {
  name: "kafka",
  scheme: "kafka",
  origin: ORIGIN_KAFKA,
  reader: streamRecordReader,
  recognises,
  acceptor: (context) => new KafkaAcceptor(context),
};

/** Length, API key and version: what every request begins with. */
const OPENING_BYTES = 8;
/** More than any client says first: a login, or questions about versions and topics. */
const OPENING_REQUEST_BYTES_MAX = 1024 * 1024;
/** Well above those there are. */
const API_KEY_MAX = 255;
const API_VERSION_MAX = 63;

/** There is no magic number, but no other protocol begins with so small numbers. */
function recognises(first: Uint8Array): Recognition {
  const view = Buffer.from(first.buffer, first.byteOffset, first.length);
  if (view[0] !== 0) return "no";
  if (view.length < OPENING_BYTES) return "more";
  const length = view.readUInt32BE(0);
  const plausible = length >= OPENING_BYTES && length <= OPENING_REQUEST_BYTES_MAX;
  return plausible && view.readUInt16BE(4) <= API_KEY_MAX && view.readUInt16BE(6) <= API_VERSION_MAX
    ? "yes"
    : "no";
}
