import { ORIGIN_AMQP091 } from "../../message/record.ts";
import { recogniseText } from "../../net/recognition.ts";
import type { Protocol } from "../protocol.ts";
import { AmqpAcceptor } from "./acceptor.ts";
import { amqp091Reader } from "./record-reader.ts";

/** AMQP 0-9-1 with RabbitMQ's extensions. */
export const amqp091: Protocol = {
  name: "amqp091",
  scheme: "amqp",
  origin: ORIGIN_AMQP091,
  reader: amqp091Reader,
  // No subprotocol is registered for it: "amqp" is AMQP 1.0.
  webSocket: { paths: ["/amqp"], subprotocols: [], text: false },
  recognises: (first) => recogniseText(first, ["AMQP"]),
  acceptor: (context) => new AmqpAcceptor(context),
};
