import { ORIGIN_STOMP } from "../../message/record.ts";
import { type Recognition, recogniseText } from "../../net/recognition.ts";
import type { Protocol } from "../protocol.ts";
import { StompAcceptor } from "./acceptor.ts";
import { stompReader } from "./headers.ts";

/** STOMP 1.0, 1.1 and 1.2 with RabbitMQ's destinations, or with ActiveMQ's. */
export const stomp: Protocol<object> = {
  name: "STOMP",
  scheme: "stomp",
  origin: ORIGIN_STOMP,
  reader: stompReader,
  webSocket: { paths: ["/stomp", "/ws"], subprotocols: ["v12.stomp", "v11.stomp", "v10.stomp"], text: true },
  recognises,
  acceptor: (context) => new StompAcceptor(context),
};

const OPENINGS = ["CONNECT\n", "CONNECT\r\n", "STOMP\n", "STOMP\r\n"];

/** A client may begin with line ends, as it may between frames. */
function recognises(first: Uint8Array): Recognition {
  const start = first.findIndex((byte) => byte !== 10 && byte !== 13);
  return start < 0 ? "more" : recogniseText(first.subarray(start), OPENINGS);
}
