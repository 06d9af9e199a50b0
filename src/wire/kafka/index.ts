import { ORIGIN_KAFKA } from "../../message/record.ts";
import type { Protocol } from "../protocol.ts";
import { KafkaAcceptor } from "./acceptor.ts";
import type { KafkaSettings } from "./settings.ts";

/** The Kafka protocol. */
export const kafka: Protocol<KafkaSettings> = {
  name: "kafka",
  scheme: "kafka",
  origin: ORIGIN_KAFKA,
  // Records live in streams, whole batches at a time: none of them is a message of a queue.
  reader: { headers: () => null, property: () => null },
  acceptor: (context) => new KafkaAcceptor(context),
};
