import type { Channel } from "../channel.ts";
import type { MethodArguments } from "../codec/method.ts";

/** RabbitMQ takes line ends out of names before it looks at them. */
export function cleanName(name: string): string {
  return name.replace(/[\r\n]/g, "");
}

export function exchangeDeclare(channel: Channel, args: MethodArguments<"exchange.declare">): void {
  const name = cleanName(args.exchange);
  if (args.passive) {
    channel.session.exchangeCheck(name);
    channel.reply(args.noWait, "exchange.declare-ok", {});
    return;
  }
  channel.session.exchangeDeclare({
    name,
    type: args.type,
    durable: args.durable,
    autoDelete: args.autoDelete,
    internal: args.internal,
    arguments: args.arguments,
  });
  channel.replyDurable(args.noWait, "exchange.declare-ok", {});
}

export function exchangeDelete(channel: Channel, args: MethodArguments<"exchange.delete">): void {
  channel.session.exchangeDelete(cleanName(args.exchange), args.ifUnused);
  channel.replyDurable(args.noWait, "exchange.delete-ok", {});
}

export function exchangeBind(channel: Channel, args: MethodArguments<"exchange.bind">): void {
  const { destination, source, routingKey } = args;
  channel.session.exchangeBind(cleanName(destination), cleanName(source), routingKey, args.arguments);
  channel.replyDurable(args.noWait, "exchange.bind-ok", {});
}

export function exchangeUnbind(channel: Channel, args: MethodArguments<"exchange.unbind">): void {
  const { destination, source, routingKey } = args;
  channel.session.exchangeUnbind(cleanName(destination), cleanName(source), routingKey, args.arguments);
  channel.replyDurable(args.noWait, "exchange.unbind-ok", {});
}
