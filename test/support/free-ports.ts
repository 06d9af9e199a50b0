import { CLIENT_PORTS, environmentName, isSecure, OPTIONS } from "../../src/config.ts";

/** Those that are open unless somebody says otherwise. */
const STANDARD = CLIENT_PORTS.filter((name) => !isSecure(name) && OPTIONS[name].default !== "off");

/** Environment of a broker whose standard ports may be taken: any free one for each protocol. */
export const FREE_PORTS: Readonly<Record<string, string>> = Object.fromEntries(
  STANDARD.map((name) => [environmentName(name), "0"]),
);
