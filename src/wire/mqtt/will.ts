import { BrokerError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Session } from "../../broker/index.ts";
import type { Will } from "./codec/connect.ts";
import { propertyBlock } from "./codec/properties.ts";
import { delayOf, IncomingMessage, nativeBytes } from "./message.ts";
import { MqttError } from "./reasons.ts";
import { Topics } from "./topics.ts";

/** Publishes what a client left to be said when it goes without a goodbye (3.1.2.5). */
export function publishWill(broker: Session, clientId: string, will: Will, logger: Logger): void {
  const { qos, retain, payload } = will;
  const { willDelay: _, ...properties } = will.properties;
  const name = Buffer.from(will.topic);
  const { messageExpiry } = properties;
  try {
    const topic = new Topics(broker).find(name, 0, name.length);
    const message = new IncomingMessage();
    const native = nativeBytes({
      qos,
      retain,
      publisher: null,
      topic: name,
      properties: propertyBlock(properties),
      hasExpiry: messageExpiry !== undefined,
      payload,
    });
    message.bytes = native;
    message.nativeStart = 0;
    message.nativeEnd = native.length;
    message.routing = topic.routing;
    message.routingStart = 0;
    message.routingEnd = topic.routing.length;
    message.bodyBytes = payload.length;
    message.persistent = qos > 0;
    message.retain = retain && !topic.direct;
    message.expirationMs = messageExpiry === undefined ? -1 : messageExpiry * 1000;
    message.delayMs = topic.route.delaying ? delayOf(message) : 0;
    broker.publish(topic.route, message);
  } catch (error) {
    if (!(error instanceof BrokerError) && !(error instanceof MqttError)) throw error;
    logger.warn({ clientId, topic: will.topic }, `will refused: ${error.message}`);
  }
}
