import type { OptionName } from "./config.ts";
import { amqp091 } from "./wire/amqp091/index.ts";
import type { Protocol } from "./wire/protocol.ts";

export interface ProtocolEntry {
  readonly protocol: Protocol;
  /** Option with the port for plain TCP, and for TLS. */
  readonly port: "amqpPort" & OptionName;
  readonly securePort: "amqpsPort" & OptionName;
}

/** Every protocol that is spoken: one line each. */
export const PROTOCOLS: readonly ProtocolEntry[] = [
  { protocol: amqp091, port: "amqpPort", securePort: "amqpsPort" },
];
