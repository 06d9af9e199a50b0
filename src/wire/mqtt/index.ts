import { ORIGIN_MQTT } from "../../message/record.ts";
import type { Recognition } from "../../net/recognition.ts";
import type { Protocol } from "../protocol.ts";
import { MqttAcceptor } from "./acceptor.ts";
import { mqttReader } from "./record-reader.ts";
import type { MqttSettings } from "./settings.ts";

export type { MqttSettings } from "./settings.ts";

/** MQTT 3.1, 3.1.1 and 5. */
export const mqtt: Protocol<MqttSettings> = {
  name: "mqtt",
  scheme: "mqtt",
  origin: ORIGIN_MQTT,
  reader: mqttReader,
  webSocket: { paths: ["/mqtt", "/ws"], subprotocols: ["mqtt", "mqttv3.1"], text: false },
  recognises,
  acceptor: (context) => new MqttAcceptor(context),
};

const CONNECT_FIRST = 0x10;
/** Length of the protocol's name: "MQTT" or "MQIsdp". */
const NAME_LENGTHS: readonly number[] = [4, 6];

/** CONNECT: its type, a length of up to four bytes, and the protocol's name. */
function recognises(first: Uint8Array): Recognition {
  if (first[0] !== CONNECT_FIRST) return "no";
  let at = 1;
  while (at < first.length && at < 5 && (first[at] as number) > 127) at++;
  const [high, low, letter] = first.subarray(at + 1, at + 4);
  if (letter === undefined) return "more";
  return high === 0 && NAME_LENGTHS.includes(low as number) && letter === 0x4d ? "yes" : "no";
}
