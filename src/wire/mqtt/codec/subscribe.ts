import { malformed, protocolError } from "../reasons.ts";
import { LEVEL_5, SUBSCRIBE, UNSUBSCRIBE } from "./packet.ts";
import { type Properties, readProperties } from "./properties.ts";
import type { Reader } from "./reader.ts";

export interface SubscribeOptions {
  readonly qos: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0: retained messages always, 1: only for a new subscription, 2: never. */
  readonly retainHandling: number;
}

export interface Subscribe {
  readonly packetId: number;
  readonly filters: readonly { readonly filter: string; readonly options: SubscribeOptions }[];
  readonly properties: Properties;
}

/** 3.8. @throws MqttError */
export function readSubscribe(reader: Reader, level: number): Subscribe {
  const packetId = readPacketId(reader);
  const properties = level === LEVEL_5 ? readProperties(reader, SUBSCRIBE) : {};
  const filters: Subscribe["filters"][number][] = [];
  while (reader.left > 0)
    filters.push({ filter: reader.text(), options: readOptions(reader.octet(), level) });
  // [MQTT-3.8.3-2]
  if (filters.length === 0) throw protocolError("nothing to subscribe to");
  return { packetId, filters, properties };
}

function readOptions(octet: number, level: number): SubscribeOptions {
  const qos = octet & 3;
  const retainHandling = (octet >> 4) & 3;
  const reserved = level === LEVEL_5 ? octet & 0xc0 : octet & 0xfc;
  if (qos === 3 || reserved !== 0) throw malformed("reserved subscription options");
  if (retainHandling === 3) throw protocolError("retain handling 3");
  return {
    qos,
    noLocal: (octet & 0x04) !== 0,
    retainAsPublished: (octet & 0x08) !== 0,
    retainHandling,
  };
}

export interface Unsubscribe {
  readonly packetId: number;
  readonly filters: readonly string[];
}

/** 3.10. @throws MqttError */
export function readUnsubscribe(reader: Reader, level: number): Unsubscribe {
  const packetId = readPacketId(reader);
  if (level === LEVEL_5) readProperties(reader, UNSUBSCRIBE);
  const filters: string[] = [];
  while (reader.left > 0) filters.push(reader.text());
  if (filters.length === 0) throw protocolError("nothing to unsubscribe from");
  return { packetId, filters };
}

/** [MQTT-2.2.1-3] */
function readPacketId(reader: Reader): number {
  const packetId = reader.u16();
  if (packetId === 0) throw malformed("packet identifier 0");
  return packetId;
}
