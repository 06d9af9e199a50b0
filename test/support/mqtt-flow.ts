// Whole exchanges of packets, so that a test can say what is published and what comes of it.
import { expect } from "vitest";
import type { PublishFields, RawMqtt } from "./mqtt-raw.ts";

export interface Delivered {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
}

/** Publishes, and goes through with it as its QoS asks for. A QoS 0 is known to have been read when this is over. */
export async function say(raw: RawMqtt, fields: PublishFields): Promise<void> {
  const qos = fields.qos ?? 0;
  const messageId = fields.messageId ?? 42;
  raw.publish({ ...fields, ...(qos > 0 && { messageId }) });
  if (qos === 0) await raw.ping();
  if (qos === 1) expect(await raw.next("puback")).toMatchObject({ messageId });
  if (qos < 2) return;
  expect(await raw.next("pubrec")).toMatchObject({ messageId });
  raw.send({ cmd: "pubrel", messageId });
  expect(await raw.next("pubcomp")).toMatchObject({ messageId });
}

/** The next message, without an answer to it. */
export async function seen(raw: RawMqtt): Promise<Delivered & { readonly messageId: number }> {
  const { topic, payload, qos, retain, dup, messageId } = await raw.next("publish");
  return { topic, payload: `${payload}`, qos, retain, dup, messageId: messageId ?? 0 };
}

/** The next message, acknowledged as its QoS asks for. */
export async function take(raw: RawMqtt): Promise<Delivered> {
  const { messageId, ...message } = await seen(raw);
  expect(messageId > 0).toBe(message.qos > 0);
  if (message.qos === 1) raw.send({ cmd: "puback", messageId });
  if (message.qos < 2) return message;
  raw.send({ cmd: "pubrec", messageId });
  expect(await raw.next("pubrel")).toMatchObject({ messageId });
  raw.send({ cmd: "pubcomp", messageId });
  return message;
}

/** Nothing was published to this client that it has not taken. */
export async function quiet(raw: RawMqtt): Promise<void> {
  await raw.settle();
  expect(raw.packets.filter(({ cmd }) => cmd === "publish")).toEqual([]);
}

export async function unsubscribe(raw: RawMqtt, ...topics: string[]): Promise<void> {
  raw.send({ cmd: "unsubscribe", messageId: 43, unsubscriptions: topics });
  expect(await raw.next("unsuback")).toMatchObject({ messageId: 43 });
}

/** Of a session that outlives its connection; or one that begins anew, with `clean`. */
export const lasting = (protocolVersion: 3 | 4 | 5, clientId: string, clean = false) => ({
  protocolVersion,
  clientId,
  clean,
  ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 3600 } }),
});

export async function leave(raw: RawMqtt): Promise<void> {
  raw.close();
  await raw.closed;
}
