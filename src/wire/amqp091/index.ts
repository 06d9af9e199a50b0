import type { Protocol } from "../protocol.ts";
import { AmqpAcceptor } from "./acceptor.ts";

/** AMQP 0-9-1 with RabbitMQ's extensions. */
export const amqp091: Protocol = {
  name: "amqp091",
  scheme: "amqp",
  acceptor: (context) => new AmqpAcceptor(context),
};
