// The frames that conversations in STOMP are made of.

/** Who sends, and the bytes, as they are. */
export type Step = readonly [client: number, bytes: string];

export interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Why the two may go different ways here. They are then both played, and must differ. */
  readonly differs?: string;
}

type Headers = Readonly<Record<string, string>>;

export function frame(command: string, headers: Headers = {}, body = ""): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  return `${command}\n${lines.join("")}\n${body}\0`;
}

export const login = (version = "1.2", more: Headers = {}, client = 0): Step => [
  client,
  frame("CONNECT", { "accept-version": version, host: "/", login: "guest", passcode: "guest", ...more }),
];
export const send = (destination: string, body = "hello", more: Headers = {}, client = 0): Step => [
  client,
  frame("SEND", { destination, ...more }, body),
];
export const subscribe = (destination: string, more: Headers = {}, client = 0): Step => [
  client,
  frame("SUBSCRIBE", { id: "s", destination, ...more }),
];
export const say = (command: string, headers: Headers = {}, client = 0): Step => [
  client,
  frame(command, headers),
];
export const raw = (bytes: string, client = 0): Step => [client, bytes];

export const individual = { ack: "client-individual" };
export const cumulative = { ack: "client" };
