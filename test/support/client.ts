// amqplib with what every test needs around it: fresh names, everything cleaned up afterwards,
// errors as values, and waiting for conditions.
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type GetMessage,
  type Options,
} from "amqplib";
import { test as base } from "vitest";

let counter = 0;
const RUN = `${process.pid.toString(36)}${Date.now().toString(36)}`;

/** A name no other test uses, also on a shared broker. */
export function fresh(kind: string): string {
  return `test.${kind}.${RUN}.${++counter}`;
}

export interface AmqpError {
  code: number;
  /** The reply text, e.g. "NOT_FOUND - no queue 'q' in vhost '/'". */
  text: string;
  /** Whose fault: the connection's (hard error) or the channel's. */
  scope: "channel" | "connection";
  classId: number | undefined;
  methodId: number | undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: amqplib's errors carry untyped extras.
function describeError(error: any, scope: AmqpError["scope"]): AmqpError {
  const text = /with message "(.*)"$/s.exec(error.message)?.[1] ?? error.message;
  return { code: error.code, text, scope, classId: error.classId, methodId: error.methodId };
}

export class Client {
  private connections: ChannelModel[] = [];
  private queues: string[] = [];
  private exchanges: string[] = [];
  private main: ChannelModel | undefined;

  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /** A further connection; `channel()` uses one shared by the test. */
  async connection(url = this.url): Promise<ChannelModel> {
    const connection = await connect(url);
    connection.on("error", () => {});
    this.connections.push(connection);
    return connection;
  }
  async channel(connection?: ChannelModel): Promise<Channel> {
    const channel = await (connection ?? (await this.shared())).createChannel();
    channel.on("error", () => {});
    return channel;
  }
  async confirmChannel(connection?: ChannelModel): Promise<ConfirmChannel> {
    const channel = await (connection ?? (await this.shared())).createConfirmChannel();
    channel.on("error", () => {});
    return channel;
  }
  private async shared(): Promise<ChannelModel> {
    this.main ??= await this.connection();
    return this.main;
  }

  /** Declares a queue of a fresh name (durable unless told otherwise), deleted after the test. */
  async queue(channel: Channel, options: Options.AssertQueue = {}, name = fresh("q")): Promise<string> {
    this.queues.push(name);
    await channel.assertQueue(name, options);
    return name;
  }
  async exchange(channel: Channel, type: string, options: Options.AssertExchange = {}): Promise<string> {
    const name = fresh(type.replace(/^x-/, ""));
    this.exchanges.push(name);
    await channel.assertExchange(name, type, options);
    return name;
  }
  /** Registers names the test declares by itself. */
  forget(names: { queues?: string[]; exchanges?: string[] }): void {
    this.queues.push(...(names.queues ?? []));
    this.exchanges.push(...(names.exchanges ?? []));
  }

  /** Runs an operation that must fail and tells how the broker closed the channel or connection. */
  async errorOf(
    operation: (channel: Channel) => unknown | Promise<unknown>,
    options: { confirm?: boolean } = {},
  ): Promise<AmqpError> {
    const connection = await this.connection();
    const channel = await (options.confirm ? connection.createConfirmChannel() : connection.createChannel());
    const failure = new Promise<AmqpError>((resolve) => {
      channel.on("error", (error) => resolve(describeError(error, "channel")));
      connection.on("error", (error) => resolve(describeError(error, "connection")));
    });
    const attempt = Promise.resolve()
      .then(() => operation(channel))
      .then(() => channel.checkExchange("amq.direct"))
      .then(
        () => Promise.reject(new Error("the broker accepted it")),
        () => failure,
      );
    return Promise.race([failure, attempt]);
  }

  async cleanUp(): Promise<void> {
    for (const connection of this.connections) await connection.close().catch(() => {});
    if (this.queues.length + this.exchanges.length === 0) return;
    const connection = await connect(this.url);
    let channel = await this.quiet(connection);
    const remove = async (operation: (channel: Channel) => Promise<unknown>) => {
      await operation(channel).catch(async () => {
        channel = await this.quiet(connection);
      });
    };
    for (const queue of this.queues) await remove((ch) => ch.deleteQueue(queue));
    for (const exchange of this.exchanges) await remove((ch) => ch.deleteExchange(exchange));
    await connection.close();
  }
  private async quiet(connection: ChannelModel): Promise<Channel> {
    const channel = await connection.createChannel();
    channel.on("error", () => {});
    return channel;
  }
}

/** `test` with a `client` for the broker of this file. */
export function testWith(broker: { url: string }) {
  return base.extend<{ client: Client }>({
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern to find dependencies.
    client: async ({}, use) => {
      const client = new Client(broker.url);
      await use(client);
      await client.cleanUp();
    },
  });
}

/** What has not come by then never will: the slowest that was seen on a crowded machine took a few seconds. */
const PATIENCE_MS = 60_000;

/** Polls until the check returns something truthy: for state that has no event. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what = "the condition",
): Promise<NonNullable<T>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Gets one message, waiting until there is one. */
export function getOne(
  channel: Channel,
  queue: string,
  options: Options.Get = { noAck: true },
): Promise<GetMessage> {
  return eventually(() => channel.get(queue, options), `a message in ${queue}`) as Promise<GetMessage>;
}

/** Takes everything that is ready now, auto-acknowledged. */
export async function drain(channel: Channel, queue: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return bodies;
    bodies.push(message.content.toString());
  }
}

export interface Inbox {
  messages: ConsumeMessage[];
  consumerTag: string;
  cancelled: boolean;
  bodies(): string[];
  /** Resolves once that many messages have arrived in all. */
  count(total: number): Promise<ConsumeMessage[]>;
}

/** A consumer that collects. Acknowledges only when told to. */
export async function consume(
  channel: Channel,
  queue: string,
  options: Options.Consume = {},
): Promise<Inbox> {
  const inbox: Inbox = {
    messages: [],
    consumerTag: "",
    cancelled: false,
    bodies: () => inbox.messages.map((message) => message.content.toString()),
    count: async (total) => {
      await eventually(
        () => inbox.messages.length >= total,
        `${total} messages, have ${inbox.messages.length}`,
      );
      return inbox.messages;
    },
  };
  const { consumerTag } = await channel.consume(
    queue,
    (message) => {
      if (message) inbox.messages.push(message);
      else inbox.cancelled = true;
    },
    options,
  );
  inbox.consumerTag = consumerTag;
  return inbox;
}

export function send(channel: Channel, queue: string, body: string, options: Options.Publish = {}): void {
  channel.sendToQueue(queue, Buffer.from(body), options);
}

/** Publishes on a confirm channel and waits until the broker has taken it. */
export async function publishAll(
  channel: ConfirmChannel,
  queue: string,
  bodies: string[],
  options: Options.Publish = {},
): Promise<void> {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), options);
  await channel.waitForConfirms();
}

/** A round trip: everything this channel sent before has been handled by the broker. */
export async function barrier(channel: Channel): Promise<void> {
  await channel.checkExchange("amq.direct");
}
