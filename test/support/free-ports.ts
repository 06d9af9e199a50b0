import { CLIENT_PORTS, environmentName, isSecure } from "../../src/config.ts";

/** Environment of a broker whose standard ports may be taken: any free one for each protocol. */
export const FREE_PORTS: Readonly<Record<string, string>> = Object.fromEntries(
  CLIENT_PORTS.filter((name) => !isSecure(name)).map((name) => [environmentName(name), "0"]),
);
