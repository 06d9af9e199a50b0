import { ORIGIN_STOMP } from "../../message/record.ts";
import type { Protocol } from "../protocol.ts";
import { StompAcceptor } from "./acceptor.ts";
import { stompReader } from "./headers.ts";

/** STOMP 1.0, 1.1 and 1.2 with RabbitMQ's destinations, or with ActiveMQ's. */
export const stomp: Protocol<object> = {
  name: "STOMP",
  scheme: "stomp",
  origin: ORIGIN_STOMP,
  reader: stompReader,
  acceptor: (context) => new StompAcceptor(context),
};
