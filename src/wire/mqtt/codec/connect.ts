import { MqttError, malformed, protocolError, REASON } from "../reasons.ts";
import { isTopicName } from "../topic.ts";
import { CONNECT, LEVEL_3_1, LEVEL_3_1_1, LEVEL_5 } from "./packet.ts";
import { type Properties, readProperties, WILL } from "./properties.ts";
import type { Reader } from "./reader.ts";

export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly retain: boolean;
  readonly properties: Properties;
}

export interface Connect {
  /** 3 = 3.1, 4 = 3.1.1, 5 */
  readonly level: number;
  /** A bridge to another broker, as mosquitto's say: what it sent must not come back to it. */
  readonly bridge: boolean;
  readonly clientId: string;
  readonly cleanStart: boolean;
  readonly keepAliveSeconds: number;
  readonly will: Will | null;
  readonly user: string | null;
  readonly password: Uint8Array | null;
  readonly properties: Properties;
}

const NONE: Properties = {};
/** What MQTT 3.1 allows; everybody else sends longer ones too, and so do we take them. */
const NAMES: Readonly<Record<number, string>> = { 3: "MQIsdp", 4: "MQTT", 5: "MQTT" };

/**
 * Protocol level of a CONNECT packet, which must be known before anything else is read of it.
 * @throws MqttError malformed; unsupported version for what is no MQTT that we speak
 */
export function readLevel(reader: Reader): { readonly level: number; readonly bridge: boolean } {
  const name = reader.text();
  if (name !== "MQTT" && name !== "MQIsdp") throw unsupported(name);
  // The highest bit is how a bridge says what it is, before MQTT 5 had options for it.
  const octet = reader.octet();
  const level = octet & 0x7f;
  const bridge = octet > 0x7f;
  if (NAMES[level] !== name || (bridge && level === LEVEL_5)) throw unsupported(`${name} ${octet}`);
  return { level, bridge };
}

function unsupported(what: string): MqttError {
  return new MqttError(REASON.unsupportedVersion, `${what} is not spoken here`);
}

/** The rest of a CONNECT packet (3.1). @throws MqttError */
export function readConnect(reader: Reader, level: number, bridge: boolean): Connect {
  const flags = reader.octet();
  const has = (bit: number) => (flags & bit) !== 0;
  const qos = (flags >> 3) & 3;
  // [MQTT-3.1.2-3]
  if (has(0x01)) throw malformed("reserved connect flag is set");
  if (qos === 3) throw malformed("will QoS is 3");
  if (!has(0x04) && (qos !== 0 || has(0x20))) throw malformed("will flags without a will");
  if (level === LEVEL_3_1_1 && has(0x40) && !has(0x80)) throw malformed("password without a user name");
  const keepAliveSeconds = reader.u16();
  const properties = level === LEVEL_5 ? readProperties(reader, CONNECT) : NONE;
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError("authentication data without a method");
  }
  const clientId = reader.text();
  const will = has(0x04) ? readWill(reader, level, qos, has(0x20)) : null;
  // MQTT 3.1 lets a client announce what it then leaves out (3.1, CONNECT).
  const missing = level === LEVEL_3_1 && reader.left === 0;
  const user = has(0x80) && !missing ? reader.text() : null;
  const password = has(0x40) && !(level === LEVEL_3_1 && reader.left === 0) ? reader.binary() : null;
  reader.finish();
  const cleanStart = has(0x02);
  return { level, bridge, clientId, cleanStart, keepAliveSeconds, will, user, password, properties };
}

function readWill(reader: Reader, level: number, qos: number, retain: boolean): Will {
  const properties = level === LEVEL_5 ? readProperties(reader, WILL) : NONE;
  const topic = reader.text();
  const name = Buffer.from(topic);
  if (!isTopicName(name, 0, name.length)) {
    throw new MqttError(REASON.topicNameInvalid, `'${topic}' is no topic name`);
  }
  const { responseTopic } = properties;
  if (responseTopic !== undefined && /[+#]/.test(responseTopic))
    throw protocolError("response topic with a wildcard");
  return { topic, payload: reader.binary(), qos, retain, properties };
}
