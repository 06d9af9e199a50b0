import { isIP } from "node:net";
import type { ListenerOverview } from "../admin/index.ts";
import { environmentName, namesAdmin, type Settings } from "../config.ts";
import { PROTOCOLS } from "../protocols.ts";
import { PRODUCT, VERSION } from "../version.ts";

export interface BannerFacts {
  readonly settings: Settings;
  readonly listeners: readonly ListenerOverview[];
  readonly dataDirectory: string | null;
}

export const READY = `${PRODUCT} ready`;

/** Version, data directory, every listener, and how to send a first message. */
export function banner({ settings, listeners, dataDirectory }: BannerFacts): string {
  const kept = dataDirectory ?? "none: messages are gone when the broker stops";
  const rows = [
    ["data", dataDirectory === null ? kept : `${kept}  (durability ${settings.durability})`],
    ...listeners.map(({ name, url }) => [name, `${url}${LISTENER_NOTES[name] ?? ""}`]),
  ];
  const width = Math.max(6, ...rows.map(([name]) => name!.length));
  const warnings = exposureWarnings(settings, listeners).map((text) => `\nWarning: ${text}`);
  return `${[
    `${PRODUCT} ${VERSION}`,
    "",
    ...rows.map(([name, text]) => `  ${name!.padEnd(width)} ${text}`),
    ...firstMessage(settings, listeners),
    ...warnings,
  ].join("\n")}\n\n`;
}

const PATHS = new Set(PROTOCOLS.flatMap(({ protocol }) => protocol.webSocket?.paths ?? []));
const WEBSOCKET_PATHS = `  (${[...PATHS].join(", ")})`;
const LISTENER_NOTES: Readonly<Record<string, string>> = {
  http: "/  (also /livez, /readyz, /metrics)",
  ws: WEBSOCKET_PATHS,
  wss: WEBSOCKET_PATHS,
  shared: "  (all protocols)",
};

function firstMessage(settings: Settings, listeners: readonly ListenerOverview[]): string[] {
  const amqp = listeners.find(({ name }) => name === "amqp");
  if (amqp === undefined) return [];
  const user = namesAdmin(settings) ? `${encodeURIComponent(settings.adminUser)}:PASSWORD` : "guest:guest";
  const url = clientUrl(amqp, user);
  return [
    "",
    "A first message, with Python and pika (pip install pika):",
    "",
    `  python3 -c "import pika; c = pika.BlockingConnection(pika.URLParameters('${url}')).channel(); ` +
      `c.queue_declare('hello', durable=True); c.basic_publish('', 'hello', b'Hello'); print(c.basic_get('hello', True))"`,
  ];
}

/** Where clients take user and password from the URL. */
const USER_IN_URL = /^(amqp|mqtt|stomp)s?:/;
const UNENCRYPTED = /^(amqp|kafka|mqtt|stomp|tcp|ws):/;

/** A URL that a client on this machine can use: nobody connects to 0.0.0.0. */
export function clientUrl({ url, host, port }: ListenerOverview, user: string): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const authority = `${isIP(reachable) === 6 ? `[${reachable}]` : reachable}:${port}`;
  return `${url.slice(0, url.indexOf(":"))}://${USER_IN_URL.test(url) ? `${user}@` : ""}${authority}`;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** What somebody should know who opens a port to other machines. */
export function exposureWarnings(settings: Settings, listeners: readonly ListenerOverview[]): string[] {
  const exposed = listeners.filter(({ host }) => !isLoopback(host));
  if (exposed.length === 0) return [];
  const warnings = [`reachable from other machines: ${exposed.map(({ url }) => url).join(", ")}`];
  const plain = exposed.filter(({ url }) => UNENCRYPTED.test(url)).map(({ name }) => name);
  if (plain.length > 0) {
    warnings.push(
      `not encrypted: ${plain.join(", ")}: passwords and messages can be read on the way; see tls-cert`,
    );
  }
  if (exposed.some(({ name }) => name === "http")) {
    warnings.push("http asks for no password: whoever reaches it sees this broker's figures; see http-host");
  }
  if (!namesAdmin(settings)) {
    const variables = [environmentName("adminUser"), environmentName("adminPassword")].join(" and ");
    warnings.push(
      `guest may log in from this machine only; for clients elsewhere set ${variables} before the first start`,
    );
  }
  return warnings;
}
