import type { Channel } from "../channel.ts";
import type { MethodArguments } from "../codec/method.ts";
import { AmqpError } from "../errors.ts";

export function channelOpen(): void {
  throw new AmqpError("CHANNEL_ERROR", "second 'channel.open' seen");
}

/** Clients may not stop deliveries this way: RabbitMQ never let them. */
export function channelFlow(channel: Channel, args: MethodArguments<"channel.flow">): void {
  if (!args.active) throw new AmqpError("NOT_IMPLEMENTED", "active=false");
  channel.reply(false, "channel.flow-ok", { active: true });
}

export function channelClose(channel: Channel): void {
  channel.release();
  channel.state = "closed";
  channel.gate.pass(() => {
    channel.send("channel.close-ok", {});
    channel.link.forget(channel.number);
  });
}

/** Very old clients ask for tickets; every ticket opens every door, permissions are checked elsewhere. */
export function accessRequest(channel: Channel): void {
  channel.reply(false, "access.request-ok", { ticket: 1 });
}

export function unimplemented(): void {
  throw new AmqpError("COMMAND_INVALID", "unimplemented method");
}
