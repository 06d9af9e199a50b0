import { StompClient } from "../../support/stomp-client.ts";
import { Mailbox, type Message, type Property, type Side, said } from "../side.ts";

const NAMES = {
  contentType: "content-type",
  contentEncoding: "content-encoding",
  correlationId: "correlation-id",
  replyTo: "reply-to",
  messageId: "amqp-message-id",
  expirationMs: "expiration",
  priority: "priority",
  type: "type",
  appId: "app-id",
  key: "x-key",
} as const;
const SERVER = new Set([
  "subscription",
  "destination",
  "message-id",
  "redelivered",
  "content-length",
  "persistent",
  "timestamp",
]);

const escaped = (text: string) =>
  text.replace(/[\\\n\r:]/g, (c) => ({ "\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c" })[c] as string);
const unescaped = (text: string) =>
  text.replace(/\\(.)/g, (_, c: string) => ({ n: "\n", r: "\r", c: ":", "\\": "\\" })[c] as string);

/** STOMP 1.2. */
export async function stompSide(url: string): Promise<Side> {
  const [sender, receiver] = [await StompClient.connect(url), await StompClient.connect(url)];
  const mailboxes = new Map<string, Mailbox>();
  let ids = 0;
  const read = async (): Promise<void> => {
    for (;;) {
      const frame = await receiver.next();
      if (frame.command === "MESSAGE")
        mailboxes.get(frame.headers.subscription as string)?.add(received(frame.lines, frame.body));
      else if (frame.command === "RECEIPT") receipts.get(frame.headers["receipt-id"] as string)?.();
    }
  };
  const receipts = new Map<string, () => void>();
  const reading = read().catch(() => {});
  return {
    name: "STOMP",
    says: new Set<Property>([
      "body",
      ...(Object.keys(NAMES) as Property[]),
      "timestampMs",
      "persistent",
      "headers",
    ]),
    duplicates: true,
    async publish(address, message) {
      const lines: [string, string][] = [["destination", `/topic/${address}`]];
      for (const [property, name] of Object.entries(NAMES)) {
        const value = message[property as keyof typeof NAMES];
        if (value !== undefined) lines.push([name, property === "replyTo" ? `/queue/${value}` : `${value}`]);
      }
      if (message.persistent) lines.push(["persistent", "true"]);
      if (message.timestampMs !== undefined)
        lines.push(["timestamp", `${Math.floor(message.timestampMs / 1000)}`]);
      lines.push(
        ...(message.headers ?? []),
        ["content-length", `${message.body.length}`],
        ["receipt", "sent"],
      );
      const head = lines.map(([name, value]) => `${escaped(name)}:${escaped(value)}\n`).join("");
      sender.raw(Buffer.concat([Buffer.from(`SEND\n${head}\n`), message.body, Buffer.of(0)]));
      const { command, headers } = await sender.next();
      if (command !== "RECEIPT") throw new Error(`${command} ${headers.message}`);
    },
    async subscribe(address) {
      const id = `${++ids}`;
      const mailbox = new Mailbox();
      mailboxes.set(id, mailbox);
      const subscribed = new Promise<void>((resolve) => receipts.set(id, resolve));
      receiver.send("SUBSCRIBE", { id, destination: `/topic/${address}`, receipt: id });
      await subscribed;
      return mailbox;
    },
    async close() {
      sender.destroy();
      receiver.destroy();
      await reading;
    },
  };
}

function received(lines: readonly [string, string][], body: Buffer): Message {
  const message: Record<string, unknown> = { body, persistent: false, headers: [] };
  for (const [rawName, rawValue] of lines) {
    const [name, value] = [unescaped(rawName), unescaped(rawValue)];
    const property = Object.entries(NAMES).find(([, header]) => header === name)?.[0];
    if (property === "replyTo") message.replyTo = value.replace(/^\/(reply-)?queue\//, "");
    else if (property === "expirationMs" || property === "priority") message[property] = Number(value);
    else if (property !== undefined) message[property] = value;
    else if (name === "persistent") message.persistent = value === "true";
    else if (name === "timestamp") message.timestampMs = Number(value) * 1000;
    else if (!SERVER.has(name)) (message.headers as [string, string][]).push([name, value]);
  }
  return said(message as unknown as Message);
}
