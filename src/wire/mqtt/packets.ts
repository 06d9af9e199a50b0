import type { Outbox } from "../../net/outbox.ts";
import { DISCONNECT, LEVEL_3_1, LEVEL_5, SUBACK, UNSUBACK } from "./codec/packet.ts";
import { type Properties, writeProperties } from "./codec/properties.ts";
import { Writer } from "./codec/writer.ts";
import { returnCodeOf } from "./reasons.ts";

const CONNACK_FIRST = 0x20;
const writer = new Writer(512);

function send(outbox: Outbox): void {
  outbox.copy(writer.buffer, 0, writer.length);
}

/** Says why, as long as the packet stays as small as the client wants it [MQTT-3.14.2-3]. */
function withReason(text: string, packetBytesMax: number): Properties {
  return text !== "" && Buffer.byteLength(text) + 32 <= packetBytesMax ? { reasonString: text } : {};
}

/** 3.2. In MQTT 3.1 nothing is said of a session: its octet is reserved. Before MQTT 5 a reason without a return code is not answered at all: false. */
export function sendConnack(
  outbox: Outbox,
  level: number,
  present: boolean,
  reason: number,
  properties: Properties,
): boolean {
  const code = level === LEVEL_5 || reason === 0 ? reason : returnCodeOf(reason);
  if (code === null) return false;
  writer.packet(CONNACK_FIRST, (packet) => {
    packet.octet(present && level !== LEVEL_3_1 ? 1 : 0);
    packet.octet(code);
    if (level === LEVEL_5) writeProperties(packet, properties);
  });
  send(outbox);
  return true;
}

/** MQTT 5 only (3.14). */
export function sendDisconnect(outbox: Outbox, reason: number, text: string, packetBytesMax: number): void {
  writer.packet(DISCONNECT << 4, (packet) => {
    packet.octet(reason);
    writeProperties(packet, withReason(text, packetBytesMax));
  });
  send(outbox);
}

/** 3.9. Before MQTT 5 all that is refused is 0x80. */
export function sendSuback(
  outbox: Outbox,
  level: number,
  packetId: number,
  reasons: readonly number[],
): void {
  writer.packet(SUBACK << 4, (packet) => {
    packet.u16(packetId);
    if (level === LEVEL_5) writeProperties(packet, {});
    for (const reason of reasons) packet.octet(level !== LEVEL_5 && reason > 0x80 ? 0x80 : reason);
  });
  send(outbox);
}

/** 3.11. */
export function sendUnsuback(
  outbox: Outbox,
  level: number,
  packetId: number,
  reasons: readonly number[],
): void {
  writer.packet(UNSUBACK << 4, (packet) => {
    packet.u16(packetId);
    if (level !== LEVEL_5) return;
    writeProperties(packet, {});
    for (const reason of reasons) packet.octet(reason);
  });
  send(outbox);
}

/** MQTT 5 only (3.15). */
export function sendAuth(outbox: Outbox, reason: number, properties: Properties): void {
  writer.packet(0xf0, (packet) => {
    packet.octet(reason);
    writeProperties(packet, properties);
  });
  send(outbox);
}
