/** What is different where a queue is a stream. Texts as RabbitMQ 3.10 words them. */
import type { Session } from "../../../broker/index.ts";
import type { Table } from "../../../message/values.ts";
import type { Channel } from "../channel.ts";
import { AmqpError } from "../errors.ts";

/** @throws AmqpError 540 */
export function refuseForStream(channel: Channel, queue: string, text: (named: string) => string): void {
  const declared = channel.session.declaredArguments("queue", queue);
  if (isStream(declared)) throw new AmqpError("NOT_IMPLEMENTED", text(named(channel, queue)));
}

/** @throws AmqpError 540 without acknowledgements or with a global prefetch, 406 without a prefetch */
export function checkStreamConsumer(channel: Channel, queue: string, noAck: boolean): void {
  const { session } = channel;
  const declared = session.declaredArguments("queue", queue);
  if (declared === null ? !isPartition(session, queue) : !isStream(declared)) return;
  const name = named(channel, queue);
  if (noAck) {
    const what = `automatic acknowledgement not supported by stream queues ${name}`;
    throw new AmqpError("NOT_IMPLEMENTED", what);
  }
  if (channel.ledger.prefetchMax !== 0) {
    throw new AmqpError("NOT_IMPLEMENTED", `${name} does not support global qos`);
  }
  if (channel.prefetch === 0) {
    throw new AmqpError("PRECONDITION_FAILED", `consumer prefetch count is not set for '${name}'`);
  }
}

function isStream(declared: Table | null): boolean {
  return declared?.get("x-queue-type")?.value === "stream";
}

/** "orders-2": the third partition of stream "orders". */
function isPartition(session: Session, queue: string): boolean {
  const stream = /^(.+)-\d{1,6}$/s.exec(queue)?.[1];
  return stream !== undefined && (session.streams.find(stream)?.partitions.length ?? 0) > 1;
}

function named({ session }: Channel, queue: string): string {
  return `queue '${queue}' in vhost '${session.namespace}'`;
}
