import mqtt, { type IPublishPacket } from "mqtt";
import { Mailbox, type Message, type Property, type Side, said } from "../side.ts";

const topicOf = (address: string): string => address.replaceAll(".", "/");
/** User properties that have a place of their own in other protocols. */
const NAMED = {
  key: "x-key",
  contentEncoding: "content-encoding",
  messageId: "message-id",
  type: "type",
  appId: "app-id",
} as const;

/** MQTT 3.1.1 or 5, by MQTT.js. */
export async function mqttSide(url: string, version: 4 | 5): Promise<Side> {
  const client = await mqtt.connectAsync(url, { protocolVersion: version, clientId: `cross-${version}` });
  const mailboxes = new Map<string, Mailbox>();
  client.on("message", (topic, payload, packet) => mailboxes.get(topic)?.add(received(payload, packet)));
  const says: Property[] =
    version === 4
      ? ["body", "persistent"]
      : [
          "body",
          "persistent",
          "contentType",
          "correlationId",
          "replyTo",
          "expirationMs",
          "headers",
          ...(Object.keys(NAMED) as Property[]),
        ];
  return {
    name: version === 4 ? "MQTT 3.1.1" : "MQTT 5",
    says: new Set(says),
    duplicates: true,
    async publish(address, message) {
      const properties = version === 4 ? undefined : outgoing(message);
      const qos = message.persistent ? 1 : 0;
      await client.publishAsync(topicOf(address), message.body, { qos, ...(properties && { properties }) });
    },
    async subscribe(address) {
      const mailbox = new Mailbox();
      mailboxes.set(topicOf(address), mailbox);
      await client.subscribeAsync(topicOf(address), { qos: 1 });
      return mailbox;
    },
    close: () => client.endAsync(),
  };
}

function outgoing(message: Message) {
  // MQTT.js takes several values of one name as an array.
  const user: Record<string, string | string[]> = {};
  const add = (name: string, value: string): void => {
    const before = user[name];
    user[name] = before === undefined ? value : [before, value].flat();
  };
  for (const [property, name] of Object.entries(NAMED)) {
    const value = message[property as keyof typeof NAMED];
    if (value !== undefined) add(name, value);
  }
  for (const [name, value] of message.headers ?? []) add(name, value);
  return {
    ...(message.contentType !== undefined && { contentType: message.contentType }),
    ...(message.correlationId !== undefined && { correlationData: Buffer.from(message.correlationId) }),
    ...(message.replyTo !== undefined && { responseTopic: `$queue/${message.replyTo}` }),
    ...(message.expirationMs !== undefined && { messageExpiryInterval: message.expirationMs / 1000 }),
    // An empty object makes MQTT.js send nothing at all.
    ...(Object.keys(user).length > 0 && { userProperties: user }),
  };
}

function received(payload: Buffer, { qos, properties }: IPublishPacket): Message {
  const headers: [string, string][] = [];
  const named: Record<string, string> = {};
  const user = (properties?.userProperties ?? {}) as Record<string, string | string[]>;
  for (const [name, values] of Object.entries(user)) {
    const property = Object.entries(NAMED).find(([, header]) => header === name)?.[0];
    for (const value of [values].flat()) {
      if (property === undefined) headers.push([name, value]);
      else named[property] = value;
    }
  }
  return said({
    ...named,
    body: payload,
    persistent: qos > 0,
    contentType: properties?.contentType,
    correlationId: properties?.correlationData?.toString(),
    replyTo: properties?.responseTopic?.replace(/^\$queue\//, ""),
    expirationMs:
      properties?.messageExpiryInterval === undefined ? undefined : properties.messageExpiryInterval * 1000,
    headers,
  });
}
