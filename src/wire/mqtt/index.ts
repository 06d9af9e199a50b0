import { ORIGIN_MQTT } from "../../message/record.ts";
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
  acceptor: (context) => new MqttAcceptor(context),
};
