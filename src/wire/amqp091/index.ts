import { ORIGIN_AMQP091 } from "../../message/record.ts";
import type { Protocol } from "../protocol.ts";
import { AmqpAcceptor } from "./acceptor.ts";
import { amqp091Reader } from "./record-reader.ts";

/** AMQP 0-9-1 with RabbitMQ's extensions. */
export const amqp091: Protocol = {
  name: "amqp091",
  scheme: "amqp",
  origin: ORIGIN_AMQP091,
  reader: amqp091Reader,
  acceptor: (context) => new AmqpAcceptor(context),
};
