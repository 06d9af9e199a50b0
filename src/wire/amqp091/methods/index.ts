import type { Channel } from "../channel.ts";
import { type MethodArguments, type MethodName, methodId } from "../codec/method.ts";
import type { Publisher } from "../publisher.ts";
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  basicRecover,
  basicRecoverAsync,
  basicReject,
} from "./basic.ts";
import { accessRequest, channelClose, channelFlow, channelOpen, unimplemented } from "./channel.ts";
import { confirmSelect } from "./confirm.ts";
import { exchangeBind, exchangeDeclare, exchangeDelete, exchangeUnbind } from "./exchange.ts";
import { queueBind, queueDeclare, queueDelete, queuePurge, queueUnbind } from "./queue.ts";
import { txCommit, txRollback, txSelect } from "./tx.ts";

type Handler<N extends MethodName> = (
  channel: Channel,
  args: MethodArguments<N>,
  publisher: () => Publisher,
) => void;

/** Every method that an open channel takes; basic.publish is read frame by frame, in publisher.ts. */
const HANDLERS: { readonly [N in MethodName]?: Handler<N> } = {
  "channel.open": channelOpen,
  "channel.flow": channelFlow,
  "channel.close": channelClose,
  "access.request": accessRequest,
  "exchange.declare": exchangeDeclare,
  "exchange.delete": exchangeDelete,
  "exchange.bind": exchangeBind,
  "exchange.unbind": exchangeUnbind,
  "queue.declare": queueDeclare,
  "queue.bind": queueBind,
  "queue.unbind": queueUnbind,
  "queue.purge": queuePurge,
  "queue.delete": queueDelete,
  "basic.qos": basicQos,
  "basic.consume": basicConsume,
  "basic.cancel": basicCancel,
  "basic.cancel-ok": () => {},
  "basic.get": basicGet,
  "basic.ack": (channel, args) => basicAck(channel, args.deliveryTag, args.multiple),
  "basic.reject": basicReject,
  "basic.nack": basicNack,
  "basic.recover": basicRecover,
  "basic.recover-async": basicRecoverAsync,
  "confirm.select": confirmSelect,
  "tx.select": txSelect,
  "tx.commit": (channel, _args, publisher) => txCommit(channel, publisher()),
  "tx.rollback": txRollback,
};

type AnyHandler = (channel: Channel, args: never, publisher: () => Publisher) => void;

const byId: ReadonlyMap<number, AnyHandler> = new Map(
  Object.entries(HANDLERS).map(([name, handler]) => [methodId(name as MethodName), handler as AnyHandler]),
);

const CHANNEL_CLOSE = methodId("channel.close");

/** @throws AmqpError, BrokerError, MalformedError */
export function dispatch(
  id: number,
  channel: Channel,
  args: Record<string, unknown>,
  publisher: () => Publisher,
): void {
  // While a commit waits for the disk, only the end of the channel is in order.
  if (id !== CHANNEL_CLOSE) channel.transaction?.refuseWhileCommitting();
  const handler = byId.get(id) ?? unimplemented;
  handler(channel, args as never, publisher);
}
